package draft

import (
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// Draft is a proposed data map.
type Draft struct {
	// Key names the dataset of the default schema; other schemas are
	// "key_schema".
	Key    string
	tables []*table
}

// table is one table and what is proposed for it.
type table struct {
	*sqlmap.SurveyTable
	guesses  []Guess
	identity []sdk.Kind // by column; empty for none
	refs     [][]reference
	notes    []string
	personal bool
	// reached is how many rounds it took until an identity led here, or 0.
	reached int
	// up is set when a row of the person's points here, rather than rows here
	// belonging to the person's.
	up bool
}

// reference is a proposed reference of one column.
type reference struct {
	parent    *table
	column    string
	direction string
	// declared is set when the database has the foreign key.
	declared bool
	self     bool
}

// New drafts a map for a database. The same survey gives the same draft.
func New(key string, s *sqlmap.Survey) *Draft {
	d := &Draft{Key: key}
	for i := range s.Tables {
		d.tables = append(d.tables, newTable(&s.Tables[i]))
	}
	for _, t := range d.tables {
		d.refer(t)
	}
	d.reach()
	for _, t := range d.tables {
		d.direct(t)
	}
	return d
}

func newTable(st *sqlmap.SurveyTable) *table {
	t := &table{SurveyTable: st}
	for i := range st.Columns {
		c := &st.Columns[i]
		g := GuessColumn(st.Name, c)
		kind := identityOf(g)
		if kind != "" && c.Kind != "text" && c.Kind != "uuid" && kind != sdk.Phone {
			kind = ""
		}
		t.guesses, t.identity = append(t.guesses, g), append(t.identity, kind)
		t.personal = t.personal || g.Personal()
	}
	t.refs = make([][]reference, len(st.Columns))
	return t
}

// sureIdentity is the confidence from which a column is proposed to find
// people by.
const sureIdentity = .8

// identityOf is the kind of identifier that a column of this guess holds.
func identityOf(g Guess) sdk.Kind {
	if g.Confidence < sureIdentity {
		return ""
	}
	switch g.Category {
	case "user.contact.email":
		return sdk.Email
	case "user.contact.phone_number":
		return sdk.Phone
	case "user.device.device_id":
		return sdk.DeviceID
	case "user.device.cookie_id":
		return sdk.CookieID
	}
	return ""
}

// refer collects the references of a table: its foreign keys, and columns
// named after a table that the database does not tie to it.
func (d *Draft) refer(t *table) {
	for _, k := range t.Refers {
		parent := d.table(k.ParentSchema, k.Parent)
		switch {
		case parent == nil:
		case len(k.Columns) != 1 || len(k.ParentColumns) != 1:
			t.notes = append(t.notes, "its foreign key ("+strings.Join(k.Columns, ", ")+") to "+k.Parent+" has several columns: add the one reference that tells the rows apart")
		default:
			if i := t.index(k.Columns[0]); i >= 0 {
				t.refs[i] = append(t.refs[i], reference{parent: parent, column: k.ParentColumns[0], declared: true, self: parent == t})
			}
		}
	}
	for i := range t.Columns {
		if len(t.refs[i]) > 0 || slices.Contains(t.Key, t.Columns[i].Name) && len(t.Key) == 1 {
			continue
		}
		if parent := d.named(t, &t.Columns[i]); parent != nil {
			t.refs[i] = append(t.refs[i], reference{parent: parent, column: parent.Key[0], self: parent == t})
		}
	}
}

// named returns the table that a column such as customer_id is named after.
func (d *Draft) named(t *table, c *sqlmap.SurveyColumn) *table {
	w := words(c.Name)
	if len(w) < 2 || w[len(w)-1] != "id" && w[len(w)-1] != "uuid" {
		return nil
	}
	stem := strings.Join(w[:len(w)-1], "_")
	for _, parent := range d.tables {
		name := strings.Join(words(parent.Name), "_")
		if name != stem && name != stem+"s" && name != stem+"es" && name != strings.TrimSuffix(stem, "y")+"ies" {
			continue
		}
		if len(parent.Key) == 1 && parent.Schema == t.Schema && parent.Column(parent.Key[0]).Kind == c.Kind {
			return parent
		}
	}
	return nil
}

// reach finds out which tables an identity leads to: down to the rows that
// belong to a row of the person's, then up to personal rows those point to.
func (d *Draft) reach() {
	round := 1
	for _, t := range d.tables {
		if slices.ContainsFunc(t.identity, func(k sdk.Kind) bool { return k != "" }) {
			t.reached = round
		}
	}
	for {
		round++
		if d.step(round, false) {
			continue
		}
		if !d.step(round, true) {
			return
		}
	}
}

// step follows all references once, and reports whether that led anywhere new.
func (d *Draft) step(round int, up bool) (moved bool) {
	for _, t := range d.tables {
		for _, refs := range t.refs {
			for _, r := range refs {
				switch {
				case !up && t.reached == 0 && r.parent.reached > 0 && r.parent.reached < round:
					t.reached, moved = round, true
				case up && r.parent.reached == 0 && t.reached > 0 && t.reached < round && r.parent.personal:
					r.parent.reached, r.parent.up, moved = round, true, true
				}
			}
		}
	}
	return moved
}

// direct gives the references of a table their direction, and drops those
// that lead nowhere a person is.
func (d *Draft) direct(t *table) {
	parents := map[*table]int{}
	for i := range t.refs {
		kept := t.refs[i][:0]
		for _, r := range t.refs[i] {
			if t.reached == 0 || r.parent.reached == 0 {
				continue
			}
			r.direction = "from"
			if r.parent.up && t.reached < r.parent.reached {
				r.direction = "to"
			} else if !r.self {
				parents[r.parent]++
			}
			kept = append(kept, r)
		}
		t.refs[i] = kept
	}
	for _, p := range d.tables {
		if parents[p] > 1 {
			t.notes = append(t.notes, "several columns lead to "+p.Name+": say under habeas: {owner: [...]} whose row it is; until then rows of two people are kept for both")
		}
	}
}

func (d *Draft) table(schema, name string) *table {
	for _, t := range d.tables {
		if t.Schema == schema && t.Name == name {
			return t
		}
	}
	return nil
}

func (t *table) index(column string) int {
	return slices.IndexFunc(t.Columns, func(c sqlmap.SurveyColumn) bool { return c.Name == column })
}

// Skipped lists the tables with personal columns that nothing leads to.
func (d *Draft) Skipped() []string {
	var names []string
	for _, t := range d.tables {
		if t.personal && t.reached == 0 {
			names = append(names, t.Name)
		}
	}
	return names
}

// Reached reports how many tables the draft can find people in.
func (d *Draft) Reached() (n int) {
	for _, t := range d.tables {
		if t.reached > 0 {
			n++
		}
	}
	return n
}
