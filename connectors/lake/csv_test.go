package lake

import (
	stdcsv "encoding/csv"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const csvMap = `
stores:
  - name: visits
    files: visits/**/*
    format: csv
    identifiers: {email: e.mail, user_id: user}
    categories: {"*": {letter: F, data: user.behavior}}
    time: {field: day, layout: date}
    withhold: [{field: ssn, as: social security number}]
`

func openCSV(t *testing.T, text string) (*Lake, string) {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "visits/2026/a.csv.gz", text)
	l, err := Open(Options{Folder: dir, Map: mustMap(t, csvMap)})
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

func TestCSV(t *testing.T) {
	head := "\xef\xbb\xbfuser,\"e.mail\",day,ssn,note\r\n"
	mine := "u1,,2026-01-01,123-45-6789,\"two\nlines, \"\"quoted\"\"\"\r\n"
	mail := "u2,Ada@Example.com,2026-01-02,,\"\"\n"
	rest := "u2,bob@example.com,2026-01-02,9,\"ada@example.com\nis mentioned\"\n\nu3,,,,"
	l, dir := openCSV(t, head+mine+mail+rest)
	p := sdk.NewPerson(sdk.ID(sdk.UserID, "u1"), sdk.ID(sdk.Email, "ada@example.com"))
	var out collector
	if err := l.Export(t.Context(), p, &out); err != nil {
		t.Fatal(err)
	}
	want := []sdk.Field{
		{Name: "user", Value: "u1"}, {Name: "e.mail", Value: ""}, {Name: "day", Value: "2026-01-01"},
		{Name: "ssn", Value: sdk.Withheld("social security number")}, {Name: "note", Value: "two\nlines, \"quoted\""},
	}
	if len(out) != 2 {
		t.Fatalf("exported %d records, want 2", len(out))
	}
	if d := cmp.Diff(want, out[0].Fields); d != "" {
		t.Errorf("fields (-want +got):\n%s", d)
	}
	if err := l.Erase(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(head+rest, get(t, dir, "visits/2026/a.csv.gz")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestCSVWithoutHeader: the first record is a person's like any other.
func TestCSVWithoutHeader(t *testing.T) {
	dir := t.TempDir()
	mine, rest := "\xef\xbb\xbfu1,a@example.com,123\r\n", "\"u2\",b@example.com,456\n\nu3,,\n"
	put(t, dir, "visits/a.csv", mine+rest+"u2,A@example.com,\n")
	l, err := Open(Options{Folder: dir, Map: mustMap(t, `
stores:
  - name: visits
    files: visits/*.csv
    format: csv
    columns: [user, mail, ssn]
    identifiers: {email: mail, user_id: user}
    categories: {"*": {letter: F, data: user.behavior}}
    withhold: [{field: ssn, as: social security number}]
`)})
	if err != nil {
		t.Fatal(err)
	}
	p := sdk.NewPerson(sdk.ID(sdk.UserID, "u1"), sdk.ID(sdk.Email, "a@example.com"))
	var out collector
	if err := l.Export(t.Context(), p, &out); err != nil {
		t.Fatal(err)
	}
	want := []sdk.Field{{Name: "user", Value: "u1"}, {Name: "mail", Value: "a@example.com"}, {Name: "ssn", Value: sdk.Withheld("social security number")}}
	if len(out) != 2 {
		t.Fatalf("exported %d records, want 2", len(out))
	}
	if d := cmp.Diff(want, out[0].Fields); d != "" {
		t.Errorf("fields (-want +got):\n%s", d)
	}
	if err := l.Erase(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got := get(t, dir, "visits/a.csv"); got != rest {
		t.Errorf("%q is left, want %q", got, rest)
	}
}

func TestCSVFailsClosed(t *testing.T) {
	p := sdk.NewPerson(sdk.ID(sdk.UserID, "u1"))
	for text, want := range map[string]string{
		"user,mail\nu1,\n":                     `line 1: the first record names no column "e.mail"`,
		"user,e.mail\nu1,a,b\n":                "line 2: not as many fields",
		"user,e.mail\nu1\n":                    "line 2: not as many fields",
		"user,e.mail\nu\"1,a\n\"\n":            "line 2: not valid CSV",
		"user,e.mail\n\"u1\"x,a\n":             "line 2: not valid CSV",
		"user,e.mail\nu2,\"open\nu1,a\n":       "line 2, the last: not valid CSV",
		"user,e.mail\nu2,\"a\nb\"\nu1,a,3,4\n": "line 4: not as many fields",
	} {
		l, _ := openCSV(t, text)
		if _, err := l.Locate(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// FuzzCSV holds the reader against encoding/csv: what it accepts has the same
// fields there, and every byte is in one record or a line end.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{"user,e.mail\nu1,a\n", "user,e.mail\n\"a\"\"b\",\"c\nd\"\r\n\r\nx,y", "user,e.mail\n\"", "user,e.mail\n\"a\",b\"", ",\n"} {
		f.Add(s)
	}
	stores, err := mustMap(f, csvMap).compile()
	if err != nil {
		f.Fatal(err)
	}
	l := newSought([]sdk.Person{ada}, stores).in(stores[0])
	f.Fuzz(func(t *testing.T, text string) {
		var got [][]string
		var all strings.Builder
		tf := stores[0].format.(*textFormat)
		err := tf.read(t.Context(), "f.csv", memory{strings.NewReader(text)}, l, func(rec *record, end []byte) error {
			all.Write(rec.raw)
			all.Write(end)
			c := rec.dialect.(*csv)
			if len(strings.TrimSpace(string(rec.raw))) == 0 || len(got) == 0 && rec.number == 1 {
				return nil
			}
			var fields []string
			err := c.split(rec.raw, func(value []byte, _, _ int) error {
				fields = append(fields, string(value))
				return nil
			})
			got = append(got, fields)
			return err
		})
		if err != nil {
			return
		}
		if all.String() != text {
			t.Fatalf("%q came out as %q", text, all.String())
		}
		if strings.ContainsAny(text, "\r\v\f\u0085\u00a0") || strings.Contains(text, "\n ") || strings.HasPrefix(text, "\n") || strings.HasPrefix(text, "\xef") {
			return // the library reads these line ends and blanks differently
		}
		want, err := stdcsv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatalf("accepted %q: %v", text, err)
		}
		if len(want) > 0 {
			want = want[1:]
		}
		if fmt.Sprintf("%q", want) != fmt.Sprintf("%q", got) {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
	})
}

// memory is a source in memory.
type memory struct{ *strings.Reader }

func (memory) Close() error { return nil }
