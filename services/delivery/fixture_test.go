package delivery_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/habeas-data/habeas/services/delivery"
)

var (
	received = time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)
	made     = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
)

// fields is one record as a connector writes it: name, value, name, value, …;
// a value of type withheld stands for what was withheld.
type (
	fields   []any
	withheld string
)

func (f fields) line(t testing.TB, category string) string {
	t.Helper()
	var list []map[string]any
	for i := 0; i < len(f); i += 2 {
		member := map[string]any{"name": f[i]}
		if kind, ok := f[i+1].(withheld); ok {
			member["withheld"] = kind
		} else {
			member["value"] = f[i+1]
		}
		list = append(list, member)
	}
	text, err := json.Marshal(map[string]any{"category": category, "fields": list})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func seal(t testing.TB, identity *age.X25519Identity, plain []byte) []byte {
	t.Helper()
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, identity.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	gz := gzip.NewWriter(w)
	if _, err := gz.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

// exports is a Source of parts held in memory.
type exports map[string][]byte

func (e exports) Open(_ context.Context, connector, object string) (io.ReadCloser, error) {
	sealed, ok := e[connector+"/"+object]
	if !ok {
		return nil, fmt.Errorf("%w: it is not there", delivery.ErrPart)
	}
	return io.NopCloser(bytes.NewReader(sealed)), nil
}

// fixture is a room over exports in memory, and an order to fill.
type fixture struct {
	t        testing.TB
	room     *delivery.Room
	dir      string
	exports  exports
	identity *age.X25519Identity
	order    delivery.Order
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, dir: t.TempDir(), exports: exports{}, identity: identity}
	f.room, err = delivery.New(delivery.Config{
		Source: f.exports, Packages: f.dir, SpoolDir: t.TempDir(), Company: "Clientary", TTL: 24 * time.Hour,
		Now: func() time.Time { return made },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.order = delivery.Order{
		RequestID: "req-1", Regime: "us-ca-ccpa", Right: "know_specific", ReceivedAt: received,
		Since: received.AddDate(-1, 0, 0), Identity: identity,
	}
	return f
}

// part adds a part of records in category "A" unless a line says otherwise.
func (f *fixture) part(connector, store string, records ...fields) *delivery.Part {
	lines := make([]string, len(records))
	for i, r := range records {
		lines[i] = r.line(f.t, "A")
	}
	return f.rawPart(connector, store, lines...)
}

func (f *fixture) rawPart(connector, store string, lines ...string) *delivery.Part {
	header, err := json.Marshal(map[string]string{"store": store, "category": ""})
	if err != nil {
		f.t.Fatal(err)
	}
	text := string(header) + "\n"
	if len(lines) > 0 {
		text += strings.Join(lines, "\n") + "\n"
	}
	return f.sealedPart(connector, store, int64(len(lines)), seal(f.t, f.identity, []byte(text)))
}

func (f *fixture) sealedPart(connector, store string, records int64, sealed []byte) *delivery.Part {
	object := fmt.Sprintf("job-%s/%d", connector, len(f.order.Parts)+1)
	f.exports[connector+"/"+object] = sealed
	f.order.Parts = append(f.order.Parts, delivery.Part{
		Connector: connector, Object: object, Store: store, Categories: []string{"A"}, Records: records,
		Size: int64(len(sealed)), SHA256: sha256.Sum256(sealed),
	})
	return &f.order.Parts[len(f.order.Parts)-1]
}

// pack is an opened package.
type pack struct {
	result delivery.Result
	zip    []byte
	files  map[string]string
}

func (f *fixture) build() pack {
	f.t.Helper()
	result, err := f.room.Build(f.t.Context(), f.order)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.open(result)
}

func (f *fixture) open(result delivery.Result) pack {
	f.t.Helper()
	r, size, err := f.room.Open(f.t.Context(), result.Key, f.identity)
	if err != nil {
		f.t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		f.t.Fatal(err)
	}
	if int64(len(content)) != size || size != result.Size || sha256.Sum256(content) != result.SHA256 {
		f.t.Fatalf("opened %d bytes, size %d, result says %d, digests equal: %t", len(content), size, result.Size, sha256.Sum256(content) == result.SHA256)
	}
	return pack{result: result, zip: content, files: unzip(f.t, content)}
}

func unzip(t testing.TB, content []byte) map[string]string {
	t.Helper()
	zr, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, zf := range zr.File {
		r, err := zf.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[zf.Name] = string(text)
	}
	return files
}

// data is data.json.
type data struct {
	Categories []struct {
		Letter, Name string
		Count        int64 `json:"record_count"`
		Sources      []string
	}
	Since  *time.Time
	Stores []struct {
		Connector, Store string
		Count            int64 `json:"record_count"`
		Records          []struct {
			Category string
			Fields   map[string]json.RawMessage
		}
	}
}

func (p pack) data(t testing.TB) data {
	t.Helper()
	var d data
	if err := json.Unmarshal([]byte(p.files["data.json"]), &d); err != nil {
		t.Fatalf("data.json: %v\n%.500s", err, p.files["data.json"])
	}
	return d
}

func (p pack) csv(t testing.TB, name string) [][]string {
	t.Helper()
	text, ok := strings.CutPrefix(p.files[name], "\ufeff")
	if !ok {
		t.Fatalf("%s: no byte order mark; files: %v", name, p.result.Files)
	}
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return rows
}
