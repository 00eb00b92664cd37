package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// store is a StoreMap bound to the live table.
type store struct {
	spec       *StoreMap
	columns    []column // that hold identifiers
	names      []string // of all columns that a copy shows
	withhold   map[string]sdk.Withheld
	replicated bool
	date       bool // the time column is a Date
}

// column is one that holds an identifier.
type column struct {
	name string
	kind sdk.Kind
	// match is the column in the form that is compared with a value's.
	match string
	// text is the same as text, for a table of texts.
	text string
	// cast makes of the text of a value what match is compared with; "%s"
	// stands for the value.
	cast string
	// fits tells which values the column's type can hold.
	fits func(value string) bool
	// fold says that values go in lower case whatever the kind.
	fold bool
}

var (
	uuidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	intType  = regexp.MustCompile(`^U?Int(8|16|32|64)$`)
	timeType = regexp.MustCompile(`^(Date|Date32|DateTime|DateTime64)(\(.*\))?$`)
)

// columnOf says how a column of a type is compared; false when it can't be.
func columnOf(name, typ string, kind sdk.Kind, lower bool) (column, bool) {
	c := column{name: name, kind: kind, cast: "%s", fits: func(string) bool { return true }}
	for _, wrap := range []string{"LowCardinality(", "Nullable("} {
		if inner, ok := strings.CutPrefix(typ, wrap); ok {
			typ = strings.TrimSuffix(inner, ")")
			if wrap == "Nullable(" {
				c.text = "ifNull(toString(" + name + "), '')"
			}
		}
	}
	nullable := c.text != ""
	switch {
	case typ == "String":
		c.match = name
		if nullable {
			c.match = "ifNull(" + name + ", '')"
		}
		if lower {
			c.match = "lowerUTF8(" + c.match + ")"
		}
		c.text = c.match
		return c, true
	case typ == "UUID":
		c.fits, c.fold = uuidForm.MatchString, true
		c.cast = "toUUID(%s)"
	case intType.MatchString(typ):
		c.fits, c.cast = signed, "toInt64(%s)"
		if strings.HasPrefix(typ, "U") {
			c.fits, c.cast = unsigned, "toUInt64(%s)"
		}
	default:
		return c, false
	}
	c.match = name
	if c.text == "" {
		c.text = "toString(" + name + ")"
	}
	if nullable || typ != "UUID" && typ != "UInt64" && typ != "Int64" {
		// Compared as text: there is no value to stand for NULL, and sets of
		// another width don't fit.
		c.match, c.cast = c.text, "%s"
	}
	return c, true
}

// signed and unsigned tell the numbers as a server writes them, which it would
// cut to size if they were wider.
func signed(value string) bool {
	n, err := strconv.ParseInt(value, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == value
}

func unsigned(value string) bool {
	n, err := strconv.ParseUint(value, 10, 64)
	return err == nil && strconv.FormatUint(n, 10) == value
}

// live is what is known of the server: asked once, and again after an error of
// configuration.
type live struct {
	stores   []*store
	settings map[string]bool // names the server knows, of those we use
	reasons  bool            // system.mutations tells why a mutation fails
}

type nameRow struct {
	Name string `json:"name"`
}

// Settings that newer servers have, and we use where they are.
const (
	maskSetting   = "apply_deleted_mask"
	setsSetting   = "allow_nondeterministic_mutations"
	quorumSetting = "insert_quorum"
)

// look compares the map with the live tables.
func (c *Connector) look(ctx context.Context) (*live, error) {
	first := c.servers[0]
	l := &live{settings: map[string]bool{}}
	names, err := query[nameRow](ctx, first, "SELECT name FROM system.settings WHERE name IN ('"+maskSetting+"', '"+setsSetting+"', '"+quorumSetting+"')", nil, nil)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		l.settings[n.Name] = true
	}
	names, err = query[nameRow](ctx, first, "SELECT name FROM system.columns WHERE database = 'system' AND table = 'mutations' AND name = 'latest_fail_reason'", nil, nil)
	if err != nil {
		return nil, err
	}
	l.reasons = len(names) > 0
	for i := range c.m.Stores {
		s, err := c.bind(ctx, first, i)
		if err != nil {
			return nil, err
		}
		l.stores = append(l.stores, s)
	}
	return l, nil
}

// misfit is an error that says how the map and the table differ.
func (c *Connector) misfit(store int, field, format string, args ...any) error {
	return sdk.WithCode(sdk.Configuration, sdk.Permanent(c.m.fault(store, field, format, args...)))
}

type columnRow struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Kind string `json:"default_kind"`
}

func (c *Connector) bind(ctx context.Context, first *server, i int) (*store, error) {
	spec := &c.m.Stores[i]
	database, table, _ := strings.Cut(spec.Table, ".")
	where := fmt.Sprintf("database = '%s' AND %%s = '%s'", database, table)
	engines, err := query[struct {
		Engine string `json:"engine"`
	}](ctx, first, "SELECT engine FROM system.tables WHERE "+fmt.Sprintf(where, "name"), nil, nil)
	if err != nil {
		return nil, err
	}
	if len(engines) == 0 {
		return nil, c.misfit(i, "table", "there is no table %s, or the user may not see it", spec.Table)
	}
	engine := engines[0].Engine
	if !strings.HasSuffix(engine, "MergeTree") {
		return nil, c.misfit(i, "table", "%s is a %s, whose rows can't be rewritten: name the MergeTree table that holds them", spec.Table, engine)
	}
	s := &store{spec: spec, replicated: strings.HasPrefix(engine, "Replicated"), withhold: map[string]sdk.Withheld{}}
	have, err := query[columnRow](ctx, first, "SELECT name, type, default_kind FROM system.columns WHERE "+fmt.Sprintf(where, "table"), nil, nil)
	if err != nil {
		return nil, err
	}
	types := map[string]string{}
	for _, h := range have {
		types[h.Name] = h.Type
		if h.Kind != "ALIAS" && h.Kind != "EPHEMERAL" {
			s.names = append(s.names, h.Name)
		}
	}
	for _, w := range spec.Withhold {
		if types[w.Column] == "" {
			return nil, c.misfit(i, "withhold", "table %s has no column %s", spec.Table, w.Column)
		}
		s.withhold[w.Column] = sdk.Withheld(w.As)
	}
	if err := c.bindColumns(i, s, types); err != nil {
		return nil, err
	}
	if s.replicated {
		return s, c.checkReplicas(ctx, i, database, table)
	}
	return s, nil
}

func (c *Connector) bindColumns(i int, s *store, types map[string]string) error {
	spec := s.spec
	for _, kind := range slices.Sorted(maps.Keys(spec.Identifiers)) {
		for _, name := range spec.Identifiers[kind] {
			if types[name] == "" {
				return c.misfit(i, "identifiers", "%s: table %s has no column %s", kind, spec.Table, name)
			}
			col, ok := columnOf(name, types[name], sdk.Kind(kind), c.m.Normalise.Lower(sdk.Kind(kind)))
			if !ok {
				return c.misfit(i, "identifiers", "%s: column %s is a %s: want String, an integer or UUID, Nullable or LowCardinality as may be", kind, name, types[name])
			}
			s.columns = append(s.columns, col)
		}
	}
	if spec.Type != "" && types[spec.Type] == "" {
		return c.misfit(i, "type", "table %s has no column %s", spec.Table, spec.Type)
	}
	if spec.Time == "" {
		return nil
	}
	typ := strings.TrimSuffix(strings.TrimPrefix(types[spec.Time], "Nullable("), ")")
	if !timeType.MatchString(typ) && !strings.HasPrefix(typ, "DateTime64") {
		return c.misfit(i, "time", "column %s is %q: want a Date or DateTime", spec.Time, types[spec.Time])
	}
	s.date = typ == "Date" || typ == "Date32"
	return nil
}

// checkReplicas makes sure that all replicas are known here: the end of a
// mutation on one that is not could not be seen.
func (c *Connector) checkReplicas(ctx context.Context, i int, database, table string) error {
	counts, err := query[struct {
		Total int `json:"total_replicas"`
	}](ctx, c.servers[0], fmt.Sprintf("SELECT total_replicas FROM system.replicas WHERE database = '%s' AND table = '%s'", database, table), nil, nil)
	if err != nil {
		return err
	}
	if len(counts) == 1 && counts[0].Total != len(c.servers) {
		return c.misfit(i, "table", "%s.%s has %d replicas, and the configuration names %d servers: name every one under address and replicas", database, table, counts[0].Total, len(c.servers))
	}
	return nil
}
