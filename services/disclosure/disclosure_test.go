package disclosure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

const planted = "maria.planted@example.com"

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func book(t testing.TB) *disclosure.Book {
	t.Helper()
	f, err := tenant.Open(filepath.Join("testdata", "company.yaml"))
	ok(t, err)
	return disclosure.NewBook(&f.Tenant, time.UTC)
}

func ledger(t testing.TB) (l *disclosure.Ledger, dir string) {
	t.Helper()
	s, path := litetest.Open(t)
	dir = filepath.Dir(path)
	v, err := vault.New(t.Context(), filepath.Join(t.TempDir(), "master.key"))
	ok(t, err)
	return &disclosure.Ledger{Book: book(t), Store: s, Keys: &suppression.List{Store: s, Vault: v}}, dir
}

// lines writes entries as "recipient role as letters", by which they are compared.
func lines(entries []disclosure.Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%s %s %s %s", e.Recipient.ID, e.Recipient.Role, e.As, strings.Join(e.Categories, "")))
	}
	return out
}

func canonical(t testing.TB, kind request.Kind, value string) request.Identifier {
	t.Helper()
	id, err := request.NewIdentifier(kind, value).Normalize()
	ok(t, err)
	return id
}

// Who gets data on a promise and has no contract is a third party, and what it
// got was sold.
func TestWithoutContractItIsASale_VN2(t *testing.T) {
	found := []disclosure.Located{{Connector: "crm", Store: "contacts", Letters: []string{"A"}}}
	got := lines(book(t).Flowed(found, now.AddDate(-1, 0, 0), now))
	want := []string{"mailer service_provider business_purpose A", "handshake third_party sold A"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what flowed (-want +got):\n%s", diff)
	}
	l, _ := ledger(t)
	_, err := l.Add(t.Context(), []disclosure.Given{
		{ID: "1", At: now, Recipient: "handshake", Categories: []string{"B"}, As: tenant.ForBusiness, Identifiers: []disclosure.Identifier{{Kind: "email", Value: planted}}},
	}, now)
	ok(t, err)
	entries, err := l.Of(t.Context(), []request.Identifier{canonical(t, request.Email, planted)}, time.Time{}, now)
	ok(t, err)
	if diff := cmp.Diff([]string{"handshake third_party sold B"}, lines(entries)); diff != "" {
		t.Errorf("what the ledger says (-want +got):\n%s", diff)
	}
}

// A flow concerns who was found where it begins, in the categories found, while
// it flowed.
func TestFlowed(t *testing.T) {
	b := book(t)
	ad := func(letters ...string) []disclosure.Located {
		return []disclosure.Located{{Connector: "adtech", Store: "profiles", Letters: letters}}
	}
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	for _, c := range []struct {
		name     string
		located  []disclosure.Located
		from, to time.Time
		want     []string
	}{
		{"in its time", ad("A", "F", "K"), day(2026, 1, 1), day(2026, 2, 1), []string{"adnet third_party shared AF"}},
		{"one category", ad("F"), day(2026, 1, 1), day(2026, 2, 1), []string{"adnet third_party shared F"}},
		{"counted for the whole store", ad(), day(2026, 1, 1), day(2026, 2, 1), []string{"adnet third_party shared AF"}},
		{"another category", ad("K"), day(2026, 1, 1), day(2026, 2, 1), nil},
		{"on its last day", ad("A"), day(2026, 6, 30).Add(23 * time.Hour), day(2026, 8, 1), []string{"adnet third_party shared A"}},
		{"after it ended", ad("A"), day(2026, 7, 1), day(2026, 8, 1), nil},
		{"before it began", ad("A"), day(2022, 1, 1), day(2023, 12, 31), nil},
		{"a store it does not come from", []disclosure.Located{{Connector: "crm", Store: "notes", Letters: []string{"A"}}}, day(2024, 2, 1), day(2024, 3, 1), nil},
		{"nothing found", nil, day(2026, 1, 1), day(2026, 2, 1), nil},
	} {
		if diff := cmp.Diff(c.want, lines(b.Flowed(c.located, c.from, c.to))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func line(id, recipient, value string) string {
	return fmt.Sprintf(`{"id":%q,"at":"2026-11-02T10:00:00Z","recipient":%q,"from":"adtech","categories":["F","A"],"as":"shared","purpose":"advertising","identifiers":[{"kind":"email","value":%q},{"kind":"cookie_id","value":"c-%s"}]}`, id, recipient, value, id)
}

// An import may be done again, finds the person by any identifier and under a
// new key too, and leaves no identifier in the database.
func TestImport(t *testing.T) {
	l, dir := ledger(t)
	file := strings.Join([]string{line("1", "adnet", planted), line("2", "adnet", "other@example.com"), line(planted, "mailer", planted)}, "\n") + "\n"
	for i, want := range []int64{6, 0} {
		read, added, err := l.Import(t.Context(), strings.NewReader(file), now)
		if err != nil || read != 3 || added != want {
			t.Fatalf("import %d: read %d and added %d, want 3 and %d: %v", i+1, read, added, want, err)
		}
	}
	ok(t, l.Keys.Rotate(t.Context(), now))
	both := []request.Identifier{canonical(t, request.Email, " Maria.Planted@example.com "), canonical(t, request.CookieID, "c-1")}
	got, err := l.Given(t.Context(), []disclosure.Located{{Connector: "crm", Store: "contacts"}}, both, now.AddDate(-1, 0, 0), now)
	ok(t, err)
	want := []string{"adnet third_party shared AF", "handshake third_party sold AB", "mailer service_provider business_purpose A", "mailer service_provider shared AF"}
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Errorf("what was given away (-want +got):\n%s", diff)
	}
	if got, err := l.Of(t.Context(), both, now, now.AddDate(1, 0, 0)); err != nil || len(got) > 0 {
		t.Errorf("outside the time asked for: %v, %v", lines(got), err)
	}
	files, err := os.ReadDir(dir)
	ok(t, err)
	if len(files) == 0 {
		t.Error("there is no database to look into")
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		ok(t, err)
		for _, id := range []string{planted, "other@example.com", "c-1"} {
			if bytes.Contains(text, []byte(id)) {
				t.Errorf("%s holds an identifier in clear", f.Name())
			}
		}
	}
}

// What can't be used is named by its line and field, never by its value, and
// nothing of its batch is stored.
func TestImportRefuses(t *testing.T) {
	good := line("1", "adnet", planted)
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":          {good + "\n" + planted, "line 2"},
		"unknown field":    {`{"mail":"` + planted + `"}`, "line 1"},
		"unknown vendor":   {good + "\n" + strings.Replace(good, "adnet", "nobody", 1), "line 2: recipient"},
		"no category":      {strings.Replace(good, `["F","A"]`, `["Z"]`, 1), "line 1: categories"},
		"no sense":         {strings.Replace(good, `"shared"`, `"lent"`, 1), "line 1: as"},
		"in the future":    {strings.Replace(good, "2026-11-02", "2027-11-02", 1), "line 1: at"},
		"a name":           {strings.Replace(good, `"kind":"email"`, `"kind":"name"`, 1), "line 1: identifiers[0]"},
		"no address":       {strings.Replace(good, planted, "maria.planted at home", 1), "line 1: identifiers[0]"},
		"no id":            {strings.Replace(good, `"id":"1"`, `"id":""`, 1), "line 1: id"},
		"a line too long":  {good + "\n" + strings.Repeat("x", 70<<10), "after line 1"},
		"nobody's data":    {strings.Replace(good, `"identifiers":[`, `"identifiers":[],"x":[`, 1), "line 1"},
		"no moment at all": {strings.Replace(good, `"at":"2026-11-02T10:00:00Z",`, "", 1), "line 1: at"},
	} {
		t.Run(name, func(t *testing.T) {
			l, _ := ledger(t)
			_, added, err := l.Import(t.Context(), strings.NewReader(c.text), now)
			if err == nil || !strings.Contains(err.Error(), c.want) || added != 0 {
				t.Fatalf("added %d: %v; want an error with %q", added, err, c.want)
			}
			if strings.Contains(err.Error(), "planted") {
				t.Errorf("the error repeats a value: %v", err)
			}
			left, err := l.Store.Disclosed(t.Context())
			if ok(t, err); len(left) > 0 {
				t.Errorf("%d rows are stored", len(left))
			}
		})
	}
}

// A store that fails leaves nothing half done, and doing it again completes it:
// once it did not happen, once it happened and the answer was lost.
func TestAddAgainAfterAFailure(t *testing.T) {
	for _, happened := range []bool{false, true} {
		l, _ := ledger(t)
		whole := l.Store
		l.Store = failing{whole, happened}
		given := []disclosure.Given{{
			ID: "1", At: now, Recipient: "adnet", Categories: []string{"A"}, As: tenant.Sold, Identifiers: []disclosure.Identifier{{Kind: "email", Value: planted}},
		}}
		if _, err := l.Add(t.Context(), given, now); !errors.Is(err, errLost) {
			t.Fatalf("happened %v: %v", happened, err)
		}
		l.Store = whole
		added, err := l.Add(t.Context(), given, now)
		ok(t, err)
		if again := added == 0; again != happened {
			t.Errorf("happened %v: %d rows added the second time", happened, added)
		}
		entries, err := l.Of(t.Context(), []request.Identifier{canonical(t, request.Email, planted)}, time.Time{}, now)
		if ok(t, err); len(entries) != 1 {
			t.Errorf("happened %v: %d entries, want 1", happened, len(entries))
		}
	}
}

var errLost = errors.New("the connection is gone")

type failing struct {
	store.Disclosures
	happened bool
}

func (f failing) PutDisclosures(ctx context.Context, rows []store.Disclosure) (int64, error) {
	if f.happened {
		if _, err := f.Disclosures.PutDisclosures(ctx, rows); err != nil {
			return 0, err
		}
	}
	return 0, errLost
}
