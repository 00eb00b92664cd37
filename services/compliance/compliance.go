// Package compliance is the table of what the law asks and how the product
// answers: one row for each requirement, with its citation, how sure that is,
// where it lives in the code, and the tests that show it.
//
// It promises readers of docs/compliance.md that the page is no brochure: a row
// that claims to be built names tests that exist and carry the row's ID, and a
// row that is not says why.
package compliance

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// Row is one requirement.
type Row struct {
	ID          string   `yaml:"id"`          // such as CL-2; never changes
	Requirement string   `yaml:"requirement"` // what the law asks, in our words
	Citation    string   `yaml:"citation"`
	Sure        string   `yaml:"sure"` // marks of [Marks], with what they apply to
	Status      Status   `yaml:"status"`
	Why         string   `yaml:"why"`   // why it is not built, or what is missing
	Where       []string `yaml:"where"` // files and folders from the repository's root
	Tests       []string `yaml:"tests"` // "folder: TestName" or "folder: TestName/subtest"
}

// Status says how far a requirement is kept.
type Status string

// The states.
const (
	Built    Status = "built"
	Partly   Status = "partly"
	NotBuilt Status = "not_built"
)

// Words returns the status for readers.
func (s Status) Words() string { return strings.ReplaceAll(string(s), "_", " ") }

// Marks are the ways of being sure of a statement, surest first.
var Marks = []struct{ Mark, Meaning string }{
	{"A", "checked against the text in force, or a full copy of it"},
	{"Aq", "a source quotes the text in force"},
	{"A23", "checked against the text of 2023; amended since 1 January 2026, and the rule is believed to be unchanged"},
	{"B", "known from the text and not checked again"},
	{"C", "secondary sources only: read the text before relying on it"},
	{"I", "our own inference or choice, and no law"},
}

var groups = []struct{ prefix, title string }{
	{"IN", "Taking requests in"},
	{"CL", "Clocks"},
	{"VE", "Verification and agents"},
	{"KN", "Answers to requests to know"},
	{"DE", "Deletion"},
	{"OO", "Opt-out"},
	{"CO", "Correction"},
	{"ND", "Non-discrimination"},
	{"RE", "Records and evidence"},
	{"VN", "Vendors"},
	{"DR", "The state's deletion platform"},
	{"RG", "Other laws"},
}

//go:embed rows.yaml
var rowsFile []byte

var (
	idShape   = regexp.MustCompile(`^([A-Z]{2})-[1-9][0-9]*$`)
	markShape = regexp.MustCompile(`\b(A23|Aq|A|B|C|I)\b`)
	testShape = regexp.MustCompile(`^((?:proto|connectors|services)(?:/[a-zA-Z0-9_.-]+)*): ((?:Test|Fuzz)\w*)(?:/(.+))?$`)
)

// Rows returns all requirements in the order of the file. The error names the
// row and what is wrong with it.
func Rows() ([]Row, error) { return parse(rowsFile) }

func parse(text []byte) ([]Row, error) {
	var rows []Row
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&rows); err != nil {
		return nil, fmt.Errorf("reading rows.yaml: %w", err)
	}
	var errs []error
	seen := make(map[string]bool)
	for i, r := range rows {
		if err := r.check(); err != nil {
			errs = append(errs, fmt.Errorf("rows.yaml: row %d %s: %w", i+1, r.ID, err))
		}
		if seen[r.ID] {
			errs = append(errs, fmt.Errorf("rows.yaml: %s is there twice", r.ID))
		}
		seen[r.ID] = true
	}
	return rows, errors.Join(errs...)
}

// check reports what is wrong with a row as such; see [Verify] for what it
// claims of the code.
func (r Row) check() error {
	switch {
	case !idShape.MatchString(r.ID) || title(r.ID) == "":
		return errors.New("id: want two letters of a known group and a number, such as CL-2")
	case r.Requirement == "" || r.Citation == "":
		return errors.New("requirement and citation are required")
	case !markShape.MatchString(r.Sure):
		return errors.New("sure: want one or more of A, Aq, A23, B, C, I")
	}
	switch r.Status {
	case Built:
		if r.Why != "" {
			return errors.New("why: a row that is built needs no excuse; make it partly, or take why away")
		}
		if len(r.Tests) == 0 || len(r.Where) == 0 {
			return errors.New("status built: name where it is and the tests that show it")
		}
	case Partly, NotBuilt:
		if r.Why == "" {
			return fmt.Errorf("status %s: say why, or what is missing", r.Status)
		}
	default:
		return fmt.Errorf("status: want %s, %s or %s", Built, Partly, NotBuilt)
	}
	for _, t := range r.Tests {
		if !testShape.MatchString(t) {
			return fmt.Errorf(`tests: %q: want "folder: TestName" or "folder: TestName/subtest"`, t)
		}
		if !r.named(t) {
			return fmt.Errorf("tests: %q does not carry %s in its name", t, r.ID)
		}
	}
	return nil
}

// named reports whether a test's name carries the row's ID: CL2, CL_2, CL-2, or
// in the name of a script cl-2.
func (r Row) named(test string) bool {
	group, number, _ := strings.Cut(r.ID, "-")
	upper := regexp.MustCompile(group + `[-_]?` + number + `(?:[^0-9]|$)`)
	lower := regexp.MustCompile(`/(?:.*[^a-z])?` + strings.ToLower(group) + `-?` + number + `(?:[^0-9]|$)`)
	_, name, _ := strings.Cut(test, ": ")
	return upper.MatchString(name) || lower.MatchString(name)
}

func title(id string) string {
	prefix, _, _ := strings.Cut(id, "-")
	for _, g := range groups {
		if g.prefix == prefix {
			return g.title
		}
	}
	return ""
}
