package delivery_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/delivery"
)

func TestBuildFromJetStream(t *testing.T) {
	bus := wiretest.New(t)
	f := newFixture(t)
	room, err := delivery.New(delivery.Config{Source: delivery.JetStream(bus.JS), Packages: f.dir, SpoolDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f.room = room
	f.part("billing", "customers", fields{"email", "jane@example.com", "name", "Jane"})
	f.part("crm", "contacts", fields{"phone", "+15550100", "vip", true}, fields{"phone", nil, "score", 1.5, "tags", []string{"a", "b"}})
	f.part("billing", "customers", fields{"email", "j@example.com", "plan", "pro"}) // a second job's
	f.order.Parts = append(f.order.Parts, f.order.Parts[0])                         // an outcome delivered twice
	for name, sealed := range f.exports {
		connector, object, _ := strings.Cut(name, "/")
		if err := wire.EnsureConnector(t.Context(), bus.JS, connector, wire.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
		store, err := bus.JS.ObjectStore(t.Context(), wire.ExportBucket(connector))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.Put(t.Context(), jetstream.ObjectMeta{Name: object}, bytes.NewReader(sealed)); err != nil {
			t.Fatal(err)
		}
	}
	p := f.build()
	if p.result.Records != 4 || !p.result.Complete {
		t.Errorf("result %+v", p.result)
	}
	if d := cmp.Diff([][]string{
		{"ccpa category", "email", "name", "plan"},
		{"A", "jane@example.com", "Jane", ""},
		{"A", "j@example.com", "", "pro"},
	}, p.csv(t, "csv/billing-customers.csv")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([][]string{
		{"ccpa category", "phone", "vip", "score", "tags"},
		{"A", "'+15550100", "true", "", ""},
		{"A", "", "", "1.5", `["a","b"]`},
	}, p.csv(t, "csv/crm-contacts.csv")); d != "" {
		t.Error(d)
	}
	stores := p.data(t).Stores
	if len(stores) != 2 || stores[0].Store != "customers" || len(stores[0].Records) != 2 || string(stores[1].Records[1].Fields["phone"]) != "null" {
		t.Errorf("data.json: %s", p.files["data.json"])
	}

	f.order.Parts[0].Object = "job-billing/404"
	if _, err := room.Build(t.Context(), f.order); !errors.Is(err, delivery.ErrPart) || !strings.Contains(err.Error(), "job-billing/404 of connector billing") {
		t.Errorf("a part that expired: %v", err)
	}
	f.order.Parts = f.order.Parts[:1]
	f.order.Parts[0].Connector = "nobody"
	if _, err := room.Build(t.Context(), f.order); !errors.Is(err, delivery.ErrPart) {
		t.Errorf("no bucket: %v", err)
	}
}

// manifestFile is manifest.json.
type manifestFile struct {
	Schema   string `json:"schema_version"`
	Request  string `json:"request_id"`
	Complete bool
	LookBack struct{ Since, Until *time.Time } `json:"look_back"`
	Files    []delivery.File
	Withheld []delivery.Withheld
	Notes    []struct{ Kind, Reason, Basis string }
	Missing  []struct{ Connector, State string }
	Stores   []struct {
		Store, File string
		Count       int64 `json:"record_count"`
	}
}

func TestManifest_KN4(t *testing.T) {
	f := newFixture(t)
	f.part("billing", "cards", fields{"card", "4111 1111 1111 1111", "licence", withheld("driver's licence number")}).Withheld = []string{"driver's licence number", "passport number"}
	f.order.Notes = []delivery.Note{{Kind: delivery.NoteNotSearched, Connector: "archive", Reason: "Kept for legal purposes only.", Basis: "11 CCR 7024(c)"}}
	f.order.Missing = []delivery.Missing{{Connector: "crm", State: "failed", Reason: "The system did not answer."}}
	p := f.build()
	var m manifestFile
	if err := json.Unmarshal([]byte(p.files["manifest.json"]), &m); err != nil {
		t.Fatal(err)
	}
	if m.Complete || p.result.Complete || m.Request != "req-1" || m.Schema != delivery.SchemaVersion || len(m.Missing) != 1 || len(m.Notes) != 1 {
		t.Errorf("manifest: %s", p.files["manifest.json"])
	}
	if m.LookBack.Since == nil || !m.LookBack.Since.Equal(f.order.Since) || !m.LookBack.Until.Equal(made) {
		t.Errorf("look-back: %+v", m.LookBack)
	}
	if len(m.Files) != len(p.files)-1 {
		t.Errorf("%d files listed, want all %d but the manifest", len(m.Files), len(p.files))
	}
	for _, file := range m.Files {
		sum := sha256.Sum256([]byte(p.files[file.Name]))
		if file.SHA256 != hex.EncodeToString(sum[:]) || file.Size != int64(len(p.files[file.Name])) || file.MediaType == "" {
			t.Errorf("%+v is not what is in the zip", file)
		}
	}
	want := []delivery.Withheld{
		{Connector: "billing", Store: "cards", Kind: "passport number", Basis: "11 CCR 7024(d)", FoundBy: "connector"},
		{Connector: "billing", Store: "cards", Field: "card", Kind: "payment card number", Count: 1, Basis: "11 CCR 7024(d)", FoundBy: "content scan"},
		{Connector: "billing", Store: "cards", Field: "licence", Kind: "driver's licence number", Count: 1, Basis: "11 CCR 7024(d)", FoundBy: "connector"},
	}
	if d := cmp.Diff(want, m.Withheld); d != "" {
		t.Error(d)
	}
	if got := string(p.data(t).Stores[0].Records[0].Fields["card"]); got != `{"collected":true,"withheld":"11 CCR 7024(d)","kind":"payment card number"}` {
		t.Errorf("card in data.json: %s", got)
	}
	if row := p.csv(t, "csv/billing-cards.csv")[1]; row[1] != "[withheld: payment card number]" || row[2] != "[withheld: driver's licence number]" {
		t.Errorf("row %v", row)
	}
	for name, text := range p.files {
		if strings.Contains(text, "1111 1111") {
			t.Errorf("the card number is in %s", name)
		}
	}
	for _, want := range []string{"not complete", "crm", "The system did not answer.", "Kept for legal purposes only.", "payment card number"} {
		if !strings.Contains(p.files["report.html"], want) {
			t.Errorf("report.html does not say %q", want)
		}
	}
}

// TestRecordsInAreRecordsOut is the promise of a copy, as a property.
func TestRecordsInAreRecordsOut(t *testing.T) {
	name := rapid.StringMatching(`[a-z][a-z_]{0,8}|[ -~]{1,6}|\PC{1,4}`)
	value := rapid.OneOf(
		rapid.Just[any](nil), rapid.Map(rapid.Bool(), toAny), rapid.Map(rapid.Int32Range(-9999, 9999), toAny),
		rapid.Map(rapid.Float32Range(-10, 10), toAny), rapid.Map(rapid.String(), toAny),
		rapid.Map(rapid.SliceOfN(rapid.StringMatching(`[a-z"\\<]{0,5}`), 0, 3), toAny),
		rapid.Map(rapid.MapOfN(rapid.StringMatching(`[a-z]{1,3}`), rapid.Int8(), 0, 3), toAny),
	)
	f := newFixture(t)
	rapid.Check(t, func(rt *rapid.T) {
		f.order.Parts = nil
		clear(f.exports)
		var want []map[string]string
		for range rapid.IntRange(1, 3).Draw(rt, "parts") {
			var records []fields
			for range rapid.IntRange(0, 6).Draw(rt, "records") {
				var r fields
				out := map[string]string{}
				for _, n := range rapid.SliceOfNDistinct(name, 0, 5, rapid.ID).Draw(rt, "names") {
					v := value.Draw(rt, "value")
					text, err := json.Marshal(v)
					if err != nil {
						rt.Fatal(err)
					}
					if clean, kinds, err := delivery.ScanField(n, string(text)); err != nil || clean == nil || len(kinds) > 0 {
						continue // rightly withheld; that is another test's matter
					}
					r = append(r, n, v)
					out[n] = string(text)
				}
				records, want = append(records, r), append(want, out)
			}
			f.part("crm", "contacts", records...)
		}
		p := f.build()
		var have []map[string]string
		for _, s := range p.data(t).Stores {
			for _, r := range s.Records {
				out := map[string]string{}
				for n, v := range r.Fields {
					out[n] = string(v)
				}
				have = append(have, out)
			}
		}
		if d := cmp.Diff(want, have); d != "" {
			rt.Fatalf("data.json: %s", d)
		}
		if len(want) == 0 {
			return
		}
		rows := p.csv(t, "csv/crm-contacts.csv")
		if len(rows) != len(want)+1 {
			rt.Fatalf("%d CSV rows for %d records", len(rows), len(want))
		}
		for i, record := range want {
			for n, v := range record {
				var text string
				if json.Unmarshal([]byte(v), &text) != nil {
					text = strings.TrimPrefix(v, "null")
				} else {
					text = delivery.Harmless(text)
				}
				col := slices.Index(rows[0], delivery.Harmless(n))
				// The reader of the test makes one line end of two characters.
				if col < 0 || strings.ReplaceAll(rows[i+1][col], "\r\n", "\n") != strings.ReplaceAll(text, "\r\n", "\n") {
					rt.Fatalf("row %d column %q: %q, want %q", i, n, rows[i+1], text)
				}
			}
		}
	})
}

func toAny[T any](v T) any { return v }

// TestBoundedNames has names that would each be a column as long as a page.
func TestBoundedNames(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("n", 10_000)
	f.part("crm", "contacts", fields{long, "x", "a", 1, long + "2", withheld("passport number")})
	p := f.build()
	if rows := p.csv(t, "csv/crm-contacts.csv"); len(rows[0]) != 3 || rows[0][2] != "more fields" || !strings.Contains(rows[1][2], long) {
		t.Errorf("header %.200v", rows[0])
	}
	if p.result.Withheld[0].Field != "more fields" {
		t.Errorf("withheld %.200v", p.result.Withheld)
	}
}

func TestRepeatedNamesAndManyColumns(t *testing.T) {
	f := newFixture(t)
	wide := fields{"x", "1", "x", "2"}
	for i := range 2100 {
		wide = append(wide, fmt.Sprintf("c%d", i), i)
	}
	f.part("crm", "Wide Table/ä", wide, fields{"x", "3"})
	p := f.build()
	rows := p.csv(t, "csv/crm-Wide_Table_.csv")
	if len(rows) != 3 || len(rows[0]) != 2002 || rows[0][2] != "x (2)" || rows[1][2] != "2" || rows[0][2001] != "more fields" || !strings.Contains(rows[1][2001], `"c2099":2099`) {
		t.Errorf("%d columns, %v … %v", len(rows[0]), rows[0][:3], rows[1][2001])
	}
	if got := len(p.data(t).Stores[0].Records[0].Fields); got != 2102 {
		t.Errorf("%d fields in data.json", got)
	}
}

func TestBadParts(t *testing.T) {
	good := fields{"email", "jane@example.com"}.line(t, "A")
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		spoil      func(f *fixture) *delivery.Part
	}{
		{"altered byte", "digest", func(f *fixture) *delivery.Part {
			p := f.rawPart("crm", "contacts", good)
			f.exports["crm/"+p.Object][100] ^= 1
			return p
		}},
		{"cut", "bytes of the", func(f *fixture) *delivery.Part {
			p := f.rawPart("crm", "contacts", good)
			f.exports["crm/"+p.Object] = f.exports["crm/"+p.Object][:80]
			return p
		}},
		{"longer", "longer", func(f *fixture) *delivery.Part {
			p := f.rawPart("crm", "contacts", good)
			f.exports["crm/"+p.Object] = append(f.exports["crm/"+p.Object], 0)
			return p
		}},
		{"sealed and cut", "", func(f *fixture) *delivery.Part {
			p := f.rawPart("crm", "contacts", good)
			sealed := f.exports["crm/"+p.Object]
			return f.sealedPart("crm", "contacts", 1, sealed[:len(sealed)-20])
		}},
		{"for somebody else", "decrypting", func(f *fixture) *delivery.Part {
			return f.sealedPart("crm", "contacts", 1, seal(t, other, []byte("{}\n")))
		}},
		{"another store", "another store", func(f *fixture) *delivery.Part {
			p := f.rawPart("crm", "contacts", good)
			p.Store = "deals"
			return p
		}},
		{"fewer records", "1 records", func(f *fixture) *delivery.Part {
			p := f.rawPart("crm", "contacts", good)
			p.Records = 2
			return p
		}},
		{"no header", "header", func(f *fixture) *delivery.Part {
			return f.sealedPart("crm", "contacts", 0, seal(t, f.identity, nil))
		}},
		{"not JSON", "line 2", func(f *fixture) *delivery.Part { return f.rawPart("crm", "contacts", "jane@example.com") }},
		{"unknown member", "line 3", func(f *fixture) *delivery.Part {
			return f.rawPart("crm", "contacts", good, `{"category":"A","fields":[],"jane@example.com":1}`)
		}},
		{"two records in a line", "line 2", func(f *fixture) *delivery.Part { return f.rawPart("crm", "contacts", good+good) }},
		{"no name", "field 1", func(f *fixture) *delivery.Part {
			return f.rawPart("crm", "contacts", `{"category":"A","fields":[{"value":"jane@example.com"}]}`)
		}},
		{"both value and withheld", "field 1", func(f *fixture) *delivery.Part {
			return f.rawPart("crm", "contacts", `{"category":"A","fields":[{"name":"jane@example.com","value":1,"withheld":"x"}]}`)
		}},
		{"fields twice", "line 2", func(f *fixture) *delivery.Part {
			return f.rawPart("crm", "contacts", `{"category":"A","fields":[],"fields":[{"name":"jane@example.com","value":1}]}`)
		}},
		{"category of many letters", "category", func(f *fixture) *delivery.Part {
			return f.rawPart("crm", "contacts", `{"category":"jane@example.com","fields":[]}`)
		}},
		{"two under one name", "twice", func(f *fixture) *delivery.Part {
			p := *f.rawPart("crm", "contacts", good)
			p.SHA256[0] ^= 1
			f.order.Parts = append(f.order.Parts, p)
			return &p
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			f.part("billing", "customers", fields{"email", "jane@example.com"})
			p := c.spoil(f)
			_, err := f.room.Build(t.Context(), f.order)
			var pe *delivery.PartError
			if !errors.As(err, &pe) || !errors.Is(err, delivery.ErrPart) || pe.Connector != "crm" || pe.Object != p.Object {
				t.Fatalf("error = %v", err)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), p.Object) || strings.Contains(err.Error(), "jane") {
				t.Errorf("error = %v, want %q in it", err, c.want)
			}
			f.nothingStored()
		})
	}
}

func (f *fixture) nothingStored() {
	f.t.Helper()
	keys, err := f.room.Stored(f.t.Context())
	if err != nil || len(keys) != 0 {
		f.t.Errorf("on the shelf: %v, %v", keys, err)
	}
}

func TestBadOrders(t *testing.T) {
	for name, spoil := range map[string]func(*delivery.Order){
		"RequestID":  func(o *delivery.Order) { o.RequestID = "../../etc" },
		"ReceivedAt": func(o *delivery.Order) { o.ReceivedAt = time.Time{} },
		"Identity":   func(o *delivery.Order) { o.Identity = nil },
		"Connector":  func(o *delivery.Order) { o.Parts[0].Connector = "a.>" },
		"Categories": func(o *delivery.Order) { o.Parts[0].Categories = []string{"jane"} },
		"Located":    func(o *delivery.Order) { o.Located = []delivery.Located{{Store: "x"}} },
		"Parts":      func(o *delivery.Order) { o.CategoriesOnly = true },
	} {
		f := newFixture(t)
		f.part("crm", "contacts", fields{"a", 1})
		spoil(&f.order)
		if _, err := f.room.Build(t.Context(), f.order); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		f.nothingStored()
	}
}

func TestScanThatCannotRun_KN5(t *testing.T) {
	boom := errors.New("boom")
	for name, scan := range map[string]func(string) error{
		"always":      func(string) error { return boom },
		"on one text": func(v string) error { return map[bool]error{true: boom}[strings.Contains(v, "jane")] },
		"panics": func(v string) error {
			if strings.Contains(v, "jane") {
				panic(v)
			}
			return nil
		},
	} {
		f := newFixture(t)
		f.part("crm", "contacts", fields{"email", "jane@example.com"})
		f.room.BreakScan(scan)
		_, err := f.room.Build(t.Context(), f.order)
		if !errors.Is(err, delivery.ErrScan) || strings.Contains(err.Error(), "jane") {
			t.Errorf("%s: %v", name, err)
		}
		f.nothingStored()
	}
}

// TestFaultsInPairs breaks every write of a package twice: it did not happen,
// and it happened but the answer was lost. Then the build is done again.
func TestFaultsInPairs(t *testing.T) {
	lost := errors.New("connection lost")
	for name, fault := range map[string]delivery.Fault{
		"create":                        {Create: lost},
		"write":                         {Write: lost},
		"commit, not done":              {Commit: lost},
		"commit, done":                  {Commit: lost, Happened: true},
		"commit, done, removal refused": {Commit: lost, Happened: true, Remove: lost},
		"disk full":                     {Write: &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			var records []fields
			for i := range 200 {
				records = append(records, fields{"email", fmt.Sprintf("%x@example.com", sha256.Sum256([]byte{byte(i)}))})
			}
			f.part("crm", "contacts", records...)
			f.room.FaultyShelf(fault)
			result, err := f.room.Build(t.Context(), f.order)
			if err == nil || result.Key != "" {
				t.Fatalf("first build: %+v, %v", result, err)
			}
			if strings.HasSuffix(name, "refused") {
				keys, err := f.room.Stored(t.Context())
				if err != nil || len(keys) != 1 {
					t.Errorf("on the shelf: %v, %v", keys, err)
				}
			} else {
				f.nothingStored()
			}
			if p := f.build(); p.result.Records != 200 || len(p.csv(t, "csv/crm-contacts.csv")) != 201 {
				t.Errorf("second build: %+v", p.result)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	f := newFixture(t)
	f.part("crm", "contacts", fields{"email", "jane@example.com"})
	f.room.FaultySpool(100, full)
	_, err := f.room.Build(t.Context(), f.order)
	if err == nil || !strings.Contains(err.Error(), "the disk is full") || errors.Is(err, delivery.ErrPart) {
		t.Errorf("spool: %v", err)
	}
	f.nothingStored()
}

func TestOpen_KN8(t *testing.T) {
	f := newFixture(t)
	f.part("crm", "contacts", fields{"notes", strings.Repeat("x", 300_000)})
	p := f.build()
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.room.Open(t.Context(), p.result.Key, other); !errors.Is(err, delivery.ErrNotReadable) {
		t.Errorf("another identity: %v", err)
	}
	if _, _, err := f.room.Open(t.Context(), "req-1/nothing.zip.age", f.identity); !errors.Is(err, delivery.ErrNotFound) {
		t.Errorf("no package: %v", err)
	}
	path := f.dir + "/" + p.result.Key
	sealed, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("PK\x03\x04")) || strings.Contains(path, "jane") {
		t.Error("the package lies open")
	}
	if err := os.WriteFile(path, sealed[:len(sealed)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	r, _, err := f.room.Open(t.Context(), p.result.Key, f.identity)
	if err == nil {
		_, err = new(bytes.Buffer).ReadFrom(r)
		_ = r.Close()
	}
	if !errors.Is(err, delivery.ErrNotReadable) {
		t.Errorf("a package cut short: %v", err)
	}
	if err := f.room.Remove(t.Context(), p.result.Key); err != nil {
		t.Error(err)
	}
	if err := f.room.Remove(t.Context(), p.result.Key); err != nil {
		t.Errorf("again: %v", err)
	}
	f.nothingStored()
}
