package sqlmap

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Map is a data map as written: one or more datasets that live in one
// database.
type Map struct {
	Datasets []Dataset `yaml:"dataset"`

	// File is the name errors carry.
	File string `yaml:"-"`
	// Digest is the lower-case hex SHA-256 of the file.
	Digest string `yaml:"-"`

	tree *ast.File
	// neighbours are the maps of other connectors.
	neighbours []*Map
}

// Dataset is one schema of the database.
type Dataset struct {
	Key            string       `yaml:"fides_key"`
	Name           string       `yaml:"name"`
	Description    string       `yaml:"description"`
	Organization   string       `yaml:"organization_fides_key"`
	Tags           []string     `yaml:"tags"`
	DataCategories []string     `yaml:"data_categories"`
	Meta           any          `yaml:"meta"`
	FidesMeta      *DatasetMeta `yaml:"fides_meta"`
	FidesopsMeta   *DatasetMeta `yaml:"fidesops_meta"`
	Habeas         DatasetRules `yaml:"habeas"`
	Collections    []Collection `yaml:"collections"`
}

// DatasetMeta is the fides_meta of a dataset.
type DatasetMeta struct {
	After      []string          `yaml:"after"`
	Namespace  map[string]string `yaml:"namespace"`
	ResourceID string            `yaml:"resource_id"`
	Redact     string            `yaml:"redact"`
}

// DatasetRules is our extension of a dataset: what the manifest declares of
// the system as a whole.
type DatasetRules struct {
	// After names connectors whose erasure comes first.
	After []string `yaml:"after"`
	// Beside names datasets that live behind other connectors. A reference to
	// one of them becomes a kind of identifier that is accepted or yielded.
	Beside []string `yaml:"beside"`
	// Tier is "own" (the default), "third_party" or "identity".
	Tier string `yaml:"tier"`
	// Cap is the most records one person may plausibly have.
	Cap int64 `yaml:"cap"`
	// BackupExpiry is how long backups keep erased rows, such as "35 days".
	BackupExpiry Period `yaml:"backup_expiry"`
	// Contract refers to the agreement with a third party.
	Contract string `yaml:"contract"`
	// Shared are what the law asks for where rows stay because other people reach
	// them as well: where the assessment of that is kept.
	Shared sdk.Facts `yaml:"shared"`
	// Batch bounds how many people are handled in one pass.
	Batch struct {
		Size   int           `yaml:"size"`
		Window time.Duration `yaml:"window"`
	} `yaml:"batch"`
}

// Collection is one table.
type Collection struct {
	Name           string          `yaml:"name"`
	Description    string          `yaml:"description"`
	DataCategories []string        `yaml:"data_categories"`
	Meta           any             `yaml:"meta"`
	FidesMeta      *CollectionMeta `yaml:"fides_meta"`
	FidesopsMeta   *CollectionMeta `yaml:"fidesops_meta"`
	Habeas         CollectionRules `yaml:"habeas"`
	Fields         []Field         `yaml:"fields"`
}

// CollectionMeta is the fides_meta of a collection.
type CollectionMeta struct {
	After          []string         `yaml:"after"`
	EraseAfter     []string         `yaml:"erase_after"`
	SkipProcessing bool             `yaml:"skip_processing"`
	Masking        *MaskingOverride `yaml:"masking_strategy_override"`
	Partitioning   any              `yaml:"partitioning"`
	Redact         string           `yaml:"redact"`
}

// CollectionRules is our extension of a collection.
type CollectionRules struct {
	// Erase is the method for the person's rows: delete (the default), null,
	// mask, deidentify, or retain, which asks for at least one rule in Retain.
	Erase Method `yaml:"erase"`
	// SmallestGroup is, under erase: deidentify, the fewest people who must share
	// what is left in a record, at least 2; 0 is [DefaultGroup].
	SmallestGroup int `yaml:"smallest_group"`
	// Otherwise is what becomes of records that too few share when nothing can be
	// made coarser any more: delete (the default), null, which empties what is left
	// of them, or wait, which holds the person's erasure back until others come.
	Otherwise Method `yaml:"otherwise"`
	// Retain are the reasons to keep rows; the first that holds counts.
	Retain []Retention `yaml:"retain"`
	// Needs are the personal columns that stay when a row must remain only
	// because a kept row refers to it.
	Needs []string `yaml:"needs"`
	// Cut are references set to NULL in rows that are kept.
	Cut []string `yaml:"cut"`
	// Owner says whose a row is when several people reach it: identity or
	// reference fields of this collection, or "collection.field" of one that
	// refers to it. The single item "any" lets anybody who reaches a row
	// have it erased.
	Owner []string `yaml:"owner"`
	// Time is the column that dates a row, for the look-back window.
	Time string `yaml:"time"`
	// Role is "business" (the default) or "service_provider".
	Role string `yaml:"role"`
	// Source says where the rows came from: "consumer" (the default) or
	// "third_party".
	Source string `yaml:"source"`
	// Letters are the statutory categories, A to L, when they do not follow
	// from the data categories.
	Letters []string `yaml:"letters"`
	// List makes the collection one by which the connector says whom it holds.
	List *ListRules `yaml:"list"`
}

// Retention keeps rows for a legal basis.
type Retention struct {
	// Basis is the code of the exception.
	Basis string `yaml:"basis"`
	// Period is how long, such as "7 years", counted from column From.
	Period Period `yaml:"period"`
	From   string `yaml:"from"`
	// When limits the rule to rows whose column has one of the values.
	When *Condition `yaml:"when"`
	// With takes the rule of the row that this reference field leads to,
	// instead of Basis, Period, From and When.
	With string `yaml:"with"`
	// Needs are the personal columns the basis needs; all others are emptied
	// when the person is erased.
	Needs []string `yaml:"needs"`
	// Facts are what the law asks for with the basis: legal_ref, reference,
	// assessment or facts.
	Facts sdk.Facts `yaml:"facts"`
}

// Condition compares one column with values.
type Condition struct {
	Column string `yaml:"column"`
	In     []any  `yaml:"in"`
}

// Field is one column, or a part of one that holds a document.
type Field struct {
	Name           string     `yaml:"name"`
	Description    string     `yaml:"description"`
	DataCategories []string   `yaml:"data_categories"`
	DataQualifier  any        `yaml:"data_qualifier"`
	Meta           any        `yaml:"meta"`
	FidesMeta      *FieldMeta `yaml:"fides_meta"`
	FidesopsMeta   *FieldMeta `yaml:"fidesops_meta"`
	Habeas         FieldRules `yaml:"habeas"`
	Fields         []Field    `yaml:"fields"`
}

// FieldMeta is the fides_meta of a field.
type FieldMeta struct {
	References         []Reference      `yaml:"references"`
	Identity           string           `yaml:"identity"`
	PrimaryKey         bool             `yaml:"primary_key"`
	DataType           string           `yaml:"data_type"`
	Length             int              `yaml:"length"`
	ReadOnly           bool             `yaml:"read_only"`
	ReturnAllElements  bool             `yaml:"return_all_elements"`
	CustomRequestField string           `yaml:"custom_request_field"`
	Masking            *MaskingOverride `yaml:"masking_strategy_override"`
	Redact             string           `yaml:"redact"`
}

// Reference ties a field to a field of another collection.
type Reference struct {
	Dataset string `yaml:"dataset"`
	// Field is "collection.field".
	Field string `yaml:"field"`
	// Direction is "to" (this field feeds the other), "from" (the other feeds
	// this one) or empty (whichever is reached first).
	Direction string `yaml:"direction"`
}

// MaskingOverride names a masking strategy.
type MaskingOverride struct {
	Strategy      string `yaml:"strategy"`
	Configuration struct {
		RewriteValue string `yaml:"rewrite_value"`
		Length       int    `yaml:"length"`
		Algorithm    string `yaml:"algorithm"`
		Format       struct {
			Suffix string `yaml:"suffix"`
		} `yaml:"format_preservation"`
	} `yaml:"configuration"`
}

// FieldRules is our extension of a field.
type FieldRules struct {
	// Erase is null, mask or retain (leave as it is) where the collection's
	// rows stay. The default is null, or mask where NULL is not allowed.
	Erase Method `yaml:"erase"`
	// Generalise keeps a coarser value of a column that identifies nobody by itself
	// where the collection says erase: deidentify: "year" or "month" of a date,
	// "prefix 3" of a text, "step 10" of a whole number.
	Generalise string `yaml:"generalise"`
	// Further are the coarser rules that follow, in order, for records that too few
	// people share; the last may be "nothing", which empties the column.
	Further []string `yaml:"further"`
	// Withhold names the type of an item that is never disclosed
	// (11 CCR 7024(d)) where the data category does not tell.
	Withhold string `yaml:"withhold"`
	// Letter is the statutory category when it does not follow from the data
	// category.
	Letter string `yaml:"letter"`
	// Yields is the kind of identifier that other connectors can use.
	Yields string `yaml:"yields"`
	// Match is how an identity is compared: "lower" ignores case (the default
	// for e-mail addresses), "exact" compares as stored and can use a plain
	// index.
	Match string `yaml:"match"`
	// Hidden leaves the field out of copies.
	Hidden bool `yaml:"hidden"`
}

// Method is what an erasure does to a row or a column.
type Method string

// The methods.
const (
	Delete     Method = "delete"
	Null       Method = "null"
	Mask       Method = "mask"
	Deidentify Method = "deidentify"
	Retain     Method = "retain"
	Wait       Method = "wait"
)

// LoadMap reads and checks the data map in file. The maps of other connectors
// that it refers to, or that refer to it, come from [LoadNeighbour].
func LoadMap(file string, neighbours ...*Map) (*Map, error) {
	data, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, fmt.Errorf("reading data map: %w", err)
	}
	return ParseMap(filepath.Base(file), data, neighbours...)
}

// ParseMap decodes a data map strictly and checks what can be checked without
// a database. Errors carry file, line and field.
func ParseMap(file string, data []byte, neighbours ...*Map) (*Map, error) {
	m, err := readMap(file, data)
	if err != nil {
		return nil, err
	}
	m.neighbours = neighbours
	if _, err := compile(m); err != nil {
		return nil, err
	}
	return m, nil
}

// LoadNeighbour reads the data map of another connector, for [LoadMap]. It may
// be of any kind of store; only its references are looked at.
func LoadNeighbour(file string) (*Map, error) {
	data, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return nil, fmt.Errorf("reading data map: %w", err)
	}
	return readMap(filepath.Base(file), data)
}

// readMap decodes a data map strictly.
func readMap(file string, data []byte) (*Map, error) {
	sum := sha256.Sum256(data)
	m := &Map{File: file, Digest: hex.EncodeToString(sum[:])}
	data, err := declared.Text(file, data)
	if err != nil {
		return nil, err
	}
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(file, err)
	}
	m.tree = tree
	if len(tree.Docs) > 0 && tree.Docs[0].Body != nil {
		body := tree.Docs[0].Body
		ast.Walk(nullMethods{}, body)
		if err := yaml.NodeToValue(body, m, yaml.Strict()); err != nil {
			return nil, yamlError(file, err)
		}
	}
	if len(m.Datasets) == 0 {
		return nil, &MapError{File: file, Text: "no dataset: the file must have a list under the key dataset"}
	}
	return m, nil
}

// nullMethods makes a word of the null in "erase: null" and "otherwise: null", which
// YAML would take for nothing, and nothing for the default: to delete.
type nullMethods struct{}

// Visit implements [ast.Visitor].
func (n nullMethods) Visit(node ast.Node) ast.Visitor {
	entry, ok := node.(*ast.MappingValueNode)
	if ok && (entry.Key.String() == "erase" || entry.Key.String() == "otherwise") && entry.Value.Type() == ast.NullType {
		word := ast.String(entry.Value.GetToken())
		if word.Token.Type == token.ImplicitNullType {
			word.Value = "nothing" // which is no method's name
		}
		entry.Value = word
	}
	return n
}

// yamlError puts the file's name and line before what the decoder says.
func yamlError(file string, err error) error {
	var ye yaml.Error
	if errors.As(err, &ye) && ye.GetToken() != nil {
		return &MapError{File: file, Line: ye.GetToken().Position.Line, Text: ye.GetMessage()}
	}
	return &MapError{File: file, Text: err.Error()}
}

// MapError says what is wrong with a data map, and where.
type MapError struct {
	File string
	Line int // 0 when it concerns the file as a whole
	Text string
}

// Error implements error.
func (e *MapError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Text
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Text)
}

// errorAt makes an error that points at a place in the map. The path is in
// the decoder's notation, such as "$.dataset[0].collections[2].name".
func (m *Map) errorAt(path, format string, args ...any) error {
	e := &MapError{File: m.File, Text: fmt.Sprintf(format, args...)}
	if p, err := yaml.PathString(path); err == nil && m.tree != nil {
		if node, err := p.FilterFile(m.tree); err == nil && node != nil && node.GetToken() != nil {
			e.Line = node.GetToken().Position.Line
		}
	}
	return e
}

func (d *Dataset) meta() DatasetMeta { return either(d.FidesMeta, d.FidesopsMeta) }

func (c *Collection) meta() CollectionMeta { return either(c.FidesMeta, c.FidesopsMeta) }

func (f *Field) meta() FieldMeta { return either(f.FidesMeta, f.FidesopsMeta) }

// either returns the first that is set: fidesops_meta is the older spelling.
func either[T any](a, b *T) T {
	var zero T
	switch {
	case a != nil:
		return *a
	case b != nil:
		return *b
	}
	return zero
}
