package delivery

import (
	"cmp"
	_ "embed" // the template
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// tableColumns is how many columns a sample may have to be shown as a table;
// wider ones are lists, which fit a page.
const tableColumns = 7

//go:embed report.html.tmpl
var reportText string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"day": func(t time.Time) string { return t.UTC().Format("January 2, 2006") },
	"category": func(letter string) string {
		if letter == "" {
			return categoryName(letter)
		}
		return categoryName(letter) + " (" + letter + ")"
	},
	"join": strings.Join,
	"plural": func(n int64, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", n, many)
	},
}).Parse(reportText))

// report is what report.html shows, and what data.json and manifest.json say
// of stores and categories.
type report struct {
	Order      Order
	Company    string
	Law        string
	Made       time.Time
	Records    int64
	Categories []categoryReport
	Stores     []storeReport
	Withheld   []Withheld
	// AnySold says whether a practice names somebody to whom data was sold or
	// with whom it was shared; 11 CCR 7024(k) wants a plain no otherwise.
	AnySold, AnyDisclosed bool
}

// categoryReport is one category of personal information.
type categoryReport struct {
	Letter      string   `json:"letter"`
	Name        string   `json:"name"`
	Count       int64    `json:"record_count"`
	Sources     []string `json:"sources,omitempty"`
	Purposes    []string `json:"purposes,omitempty"`
	SoldTo      []string `json:"sold_or_shared_to,omitempty"`
	DisclosedTo []string `json:"disclosed_to,omitempty"`

	Text    string   `json:"-"`
	Systems []string `json:"-"`
}

// storeReport is one store, with or without its records.
type storeReport struct {
	Connector, Store string
	Count            int64
	Columns          []string        // of a table
	Rows             [][]string      // of a table
	Lists            [][]sampleField // instead of a table
	Shown            int

	letters []string
	data    *storeData // nil when the package has no records of it
}

// Letters are the store's categories.
func (s storeReport) Letters() []string { return s.letters }

// CSV is the file with all records, or "".
func (s storeReport) CSV() string {
	if s.data == nil {
		return ""
	}
	return s.data.csv
}

func (b *build) makeReport(company string) *report {
	r := &report{Order: b.order, Company: cmp.Or(company, "the company"), Law: lawName(b.order.Regime), Made: b.made}
	have := map[[2]string]bool{}
	for _, s := range b.stores {
		have[[2]string{s.connector, s.name}] = true
		r.Stores = append(r.Stores, s.report())
		r.Withheld = append(r.Withheld, s.withheldList()...)
		r.Records += s.records
	}
	r.addLocated(b.order.Located, have)
	r.addCategories(b.order.Practices)
	return r
}

// addLocated adds stores of which only counts are known.
func (r *report) addLocated(located []Located, have map[[2]string]bool) {
	index := map[[2]string]int{}
	for _, l := range located {
		k := [2]string{l.Connector, l.Store}
		if have[k] || l.Count == 0 {
			continue
		}
		i, ok := index[k]
		if !ok {
			i = len(r.Stores)
			index[k] = i
			r.Stores = append(r.Stores, storeReport{Connector: l.Connector, Store: l.Store, letters: []string{}})
		}
		s := &r.Stores[i]
		s.Count += l.Count
		r.Records += l.Count
		for _, letter := range l.Categories {
			if letter != "" && !slices.Contains(s.letters, letter) {
				s.letters = append(s.letters, letter)
			}
		}
		slices.Sort(s.letters)
	}
	slices.SortStableFunc(r.Stores, func(a, b storeReport) int {
		return cmp.Or(strings.Compare(a.Connector, b.Connector), strings.Compare(a.Store, b.Store))
	})
}

// addCategories sums up by category. Records that are not marked with one
// count for each category of their store.
func (r *report) addCategories(practices []Practice) {
	byLetter := map[string]*categoryReport{}
	count := func(letter, system string, n int64) {
		c := byLetter[letter]
		if c == nil {
			c = &categoryReport{Letter: letter, Name: categoryName(letter), Text: categoryText(letter)}
			byLetter[letter] = c
		}
		c.Count += n
		if !slices.Contains(c.Systems, system) {
			c.Systems = append(c.Systems, system)
		}
	}
	for _, s := range r.Stores {
		system := s.Connector + ": " + s.Store
		if s.data == nil {
			for _, letter := range orUnclassified(s.letters) {
				count(letter, system, s.locatedIn(letter, r.Order.Located))
			}
			continue
		}
		for _, letter := range s.letters {
			n := s.data.counts[letter]
			if n > 0 {
				count(letter, system, n)
			}
		}
		if n := s.data.counts[""]; n > 0 {
			for _, letter := range orUnclassified(s.letters) {
				count(letter, system, n)
			}
		}
	}
	for _, p := range practices {
		r.AnySold, r.AnyDisclosed = r.AnySold || len(p.SoldTo) > 0, r.AnyDisclosed || len(p.DisclosedTo) > 0
		if c := byLetter[p.Category]; c != nil {
			c.Sources, c.Purposes, c.SoldTo, c.DisclosedTo = p.Sources, p.Purposes, p.SoldTo, p.DisclosedTo
		}
	}
	r.Categories = []categoryReport{}
	for _, c := range byLetter {
		r.Categories = append(r.Categories, *c)
	}
	slices.SortFunc(r.Categories, func(a, b categoryReport) int { return strings.Compare(a.Letter, b.Letter) })
}

// locatedIn is how many records were located in the store under a letter.
func (s storeReport) locatedIn(letter string, located []Located) (n int64) {
	for _, l := range located {
		if l.Connector == s.Connector && l.Store == s.Store && slices.Contains(orUnclassified(l.Categories), letter) {
			n += l.Count
		}
	}
	return n
}

func orUnclassified(letters []string) []string {
	if len(letters) == 0 {
		return []string{""}
	}
	return letters
}

func (s *storeData) report() storeReport {
	sr := storeReport{Connector: s.connector, Store: s.name, Count: s.records, data: s, letters: s.categories(), Shown: len(s.samples)}
	if len(s.columns) > tableColumns {
		sr.Lists = s.samples
		return sr
	}
	for _, name := range s.columns {
		sr.Columns = append(sr.Columns, shown(name, 80))
	}
	for _, fields := range s.samples {
		row := make([]string, len(sr.Columns))
		for _, f := range fields {
			if i := slices.Index(sr.Columns, f.Name); i >= 0 {
				row[i] = f.Value
			}
		}
		sr.Rows = append(sr.Rows, row)
	}
	return sr
}

func (s *storeData) withheldList() []Withheld {
	var list []Withheld
	for item, n := range s.withheld {
		list = append(list, Withheld{
			Connector: s.connector, Store: s.name, Field: shown(item.field, 80), Kind: shown(item.kind, 120),
			Count: n, Basis: withheldBasis, FoundBy: item.foundBy,
		})
	}
	slices.SortFunc(list, func(a, b Withheld) int {
		return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Kind, b.Kind), strings.Compare(a.FoundBy, b.FoundBy))
	})
	return list
}

func (r *report) write(w io.Writer) error {
	if err := reportTemplate.Execute(w, r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// lawName names a regime to the person.
func lawName(regime string) string {
	if regime == "us-ca-ccpa" {
		return "the California Consumer Privacy Act (CCPA)"
	}
	return regime
}

// shown is text as a page may show it: at most n characters, and what would be
// invisible or turn the text around made visible.
func shown(text string, n int) string {
	var b strings.Builder
	for _, r := range text {
		if n--; n < 0 {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) && r != 0x200c && r != 0x200d:
			fmt.Fprintf(&b, "\u27e8U+%04X\u27e9", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (b *build) head() dataHead {
	o := b.order
	return dataHead{
		SchemaVersion: SchemaVersion, RequestID: o.RequestID, Regime: o.Regime, Right: o.Right, Received: o.ReceivedAt.UTC(),
		Made: b.made, Since: timeOrNil(o.Since), CategoriesOnly: o.CategoriesOnly, Categories: b.report.Categories,
	}
}
