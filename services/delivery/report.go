package delivery

import (
	"cmp"
	"embed"
	"fmt"
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

//go:embed *.html.tmpl
var pageFiles embed.FS

// report is what report.html shows, and what data.json and manifest.json say
// of stores and categories.
type report struct {
	Order       Order
	Company     string
	Law         string
	Made        time.Time
	Records     int64
	Categories  []categoryReport
	Information information
	Stores      []storeReport
	Statements  []statementReport
	Withheld    []Withheld

	words *words
}

// categoryReport is one category of personal information.
type categoryReport struct {
	Letter       string   `json:"letter"`
	Name         string   `json:"name"`
	Count        int64    `json:"record_count"`
	Sources      []string `json:"sources,omitempty"`
	Purposes     []string `json:"purposes,omitempty"`
	SalePurposes []string `json:"sale_purposes,omitempty"`
	// Data are the finer categories of what is held where it was found.
	Data []string `json:"data_categories,omitempty"`

	Systems []string `json:"-"`
}

// storeReport is one store, with or without its records.
type storeReport struct {
	Connector, Store string
	Count            int64
	Columns          []string        // of a table
	Rows             [][]sampleField // of a table
	Lists            [][]sampleField // instead of a table
	Shown            int
	// Statements are about a column of the store.
	Statements []statementReport

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

// count is how many records of a category the store holds. One that is not
// marked counts for each category of the store.
func (s storeReport) count(letter string, located []Located) int64 {
	if s.data == nil {
		return s.locatedIn(letter, located)
	}
	n := s.data.counts[letter]
	if letter != "" {
		n += s.data.counts[""]
	}
	return n
}

// Documents reports whether there are documents among the records.
func (r *report) Documents() bool {
	return slices.ContainsFunc(r.Stores, func(s storeReport) bool { return s.data != nil && s.data.documents })
}

// Explained reports whether the page says where the categories come from and go
// to: always when that was asked, and else when anybody wrote it down.
func (r *report) Explained() bool {
	return r.Order.CategoriesOnly || r.Order.Recorded || r.Order.Practices != nil
}

func (b *build) makeReport(company string) error {
	w, err := wordsOf(b.order.Language)
	if err != nil {
		return err
	}
	r := &report{Order: b.order, Company: cmp.Or(company, "the company"), Law: w.law(b.order.Regime), Made: b.made, words: w}
	have := map[[2]string]bool{}
	for _, s := range b.stores {
		have[[2]string{s.connector, s.name}] = true
		r.Stores = append(r.Stores, s.report())
		r.Withheld = append(r.Withheld, s.withheldList()...)
		r.Records += s.records
	}
	r.explainWithheld()
	r.addLocated(b.order.Located, have)
	r.addCategories()
	r.addInformation()
	r.addStatements(b.statements)
	b.report = r
	return nil
}

// explainWithheld adds why to what an exception keeps back (11 CCR 7024(e)).
func (r *report) explainWithheld() {
	for i := range r.Withheld {
		item := &r.Withheld[i]
		for _, w := range r.Order.Withholdings {
			if item.FoundBy == byException && item.Basis == w.Basis && item.Kind == shown(w.What, 120) {
				item.Reason = w.Reason
			}
		}
	}
}

// Things names the finer categories to a person, where there are words for them.
func (r *report) Things(data []string) []string {
	var out []string
	for _, d := range data {
		if name := r.words.thing(d); name != "" {
			out = join(out, name)
		}
	}
	return out
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

// addCategories sums up by category, with what the company says of it where
// it was found.
func (r *report) addCategories() {
	r.Categories = []categoryReport{}
	for _, s := range r.Stores {
		for _, letter := range orUnclassified(s.letters) {
			n := s.count(letter, r.Order.Located)
			if n == 0 {
				continue
			}
			c := r.category(letter)
			c.Count += n
			c.Systems = join(c.Systems, s.Connector+": "+s.Store)
			c.Data = join(c.Data, r.Order.Finer[Place{s.Connector, s.Store, letter}]...)
			if r.Order.Practices == nil {
				continue
			}
			for _, p := range r.Order.Practices.At(letter, s.Connector, s.Store) {
				c.Sources, c.Purposes, c.SalePurposes = join(c.Sources, p.Sources...), join(c.Purposes, p.Purposes...), join(c.SalePurposes, p.SalePurposes...)
			}
		}
	}
	slices.SortFunc(r.Categories, func(a, b categoryReport) int { return strings.Compare(a.Letter, b.Letter) })
}

// category returns the entry of a letter. It is good until the next call.
func (r *report) category(letter string) *categoryReport {
	i := slices.IndexFunc(r.Categories, func(c categoryReport) bool { return c.Letter == letter })
	if i < 0 {
		i = len(r.Categories)
		r.Categories = append(r.Categories, categoryReport{Letter: letter, Name: r.words.categoryName(letter)})
	}
	return &r.Categories[i]
}

// join adds what is not there yet.
func join(list []string, more ...string) []string {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
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
		row := make([]sampleField, len(sr.Columns))
		for _, f := range fields {
			if i := slices.Index(sr.Columns, f.Name); i >= 0 {
				row[i] = f
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
			Count: n, Basis: item.basis, FoundBy: item.foundBy,
		})
	}
	slices.SortFunc(list, func(a, b Withheld) int {
		return cmp.Or(strings.Compare(a.Field, b.Field), strings.Compare(a.Kind, b.Kind), strings.Compare(a.FoundBy, b.FoundBy))
	})
	return list
}

func (r *report) write(w io.Writer) error {
	if err := r.words.page.Execute(w, r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
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
		Made: b.made, Since: timeOrNil(o.Since), Language: b.report.words.language, CategoriesOnly: o.CategoriesOnly, Categories: b.report.Categories,
		Information: b.report.Information, Statements: b.report.Statements,
	}
}
