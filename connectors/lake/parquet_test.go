package lake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	schema "github.com/parquet-go/parquet-go/format"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const parquetMap = `
stores:
  - name: events
    files: events/*.parquet
    format: parquet
    identifiers:
      user_id: user.id
      device_id: devices.id
    type: type
    categories:
      view: {letter: F, data: user.behavior}
      "*": {letter: K, data: user.derived}
    time: {field: at}
    withhold:
      - {field: user.licence, as: driver's licence number}
`

// event is a row with what Parquet can hold: groups, lists, maps, nulls, and
// kinds of values.
type event struct {
	Type string `parquet:"type,dict"`
	User struct {
		ID      *string `parquet:"id,optional"`
		Licence string  `parquet:"licence,delta"`
	} `parquet:"user"`
	Devices []device          `parquet:"devices,list"`
	Labels  map[string]string `parquet:"labels"`
	At      time.Time         `parquet:"at,timestamp(microsecond)"`
	Amount  int64             `parquet:"amount,decimal(2:12)"`
	Score   float64           `parquet:"score"`
	Raw     []byte            `parquet:"raw,optional"`
	Flag    bool              `parquet:"flag"`
	Session [16]byte          `parquet:"session,uuid"`
}

type device struct {
	ID   string `parquet:"id"`
	Seat *int32 `parquet:"seat,optional"`
}

// eventOf makes row n of somebody; who may be empty.
func eventOf(n int, who string) event {
	e := event{
		Type: []string{"view", "guess"}[n%2], At: time.Date(2026, 1, 1+n%28, 10, 0, 0, n*1000, time.UTC),
		Amount: int64(n)*7 - 50, Score: float64(n) / 3, Flag: n%3 == 0, Labels: map[string]string{"k": fmt.Sprint(n)},
	}
	if who != "" {
		e.User.ID, e.User.Licence = new("usr_"+who), "D-"+who
	}
	for i := range n % 4 {
		d := device{ID: fmt.Sprintf("dev-other-%d", n)}
		if i == 1 {
			d.Seat = new(int32(n))
		}
		e.Devices = append(e.Devices, d)
	}
	if n%5 > 0 {
		e.Raw = bytes.Repeat([]byte{byte(n), 0, 0xff}, n%7)
	}
	e.Session[0] = byte(n)
	return e
}

// writeParquet writes row groups as a file, with options.
func writeParquet[T any](t failer, groups [][]T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	for _, rows := range groups {
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func readParquet(t failer, data []byte) (rows []string, file *parquet.File) {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range file.RowGroups() {
		r := g.Rows()
		buf := make([]parquet.Row, 16)
		for {
			n, err := r.ReadRows(buf)
			for _, row := range buf[:n] {
				rows = append(rows, fmt.Sprintf("%+v", row))
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return rows, file
}

func parquetLake(t testing.TB, files map[string][]byte) (*Lake, string) {
	t.Helper()
	dir := t.TempDir()
	for key, data := range files {
		p := filepath.Join(dir, key)
		if err := os.MkdirAll(filepath.Dir(p), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Open(Options{Folder: dir, Map: mustMap(t, parquetMap), Workers: 2, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

func TestParquetErase(t *testing.T) {
	groups := [][]event{{}, {}, {}, {}}
	for n := range 400 {
		who := []string{"ada", "bob", "", "carl"}[n%4]
		if n >= 100 && n < 200 && who == "ada" {
			who = "bob" // the second group has nothing of hers
		}
		if n >= 300 {
			who = "ada" // the last has nothing else
		}
		groups[n/100] = append(groups[n/100], eventOf(n, who))
	}
	for name, codec := range map[string]compress.Codec{"snappy": &parquet.Snappy, "gzip": &parquet.Gzip, "zstd": &parquet.Zstd, "none": &parquet.Uncompressed} {
		for _, version := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s v%d", name, version), func(t *testing.T) {
				before := writeParquet(t, groups, parquet.Compression(codec), parquet.DataPageVersion(version), parquet.CreatedBy("etl", "7", "abc"),
					parquet.KeyValueMetadata("writer.model", "x"), parquet.BloomFilters(parquet.SplitBlockFilter(10, "user", "id")), parquet.PageBufferSize(512))
				l, dir := parquetLake(t, map[string][]byte{"events/a.parquet": before})
				ada := sdk.NewPerson(sdk.ID(sdk.UserID, "usr_ada"))
				found, err := l.Locate(t.Context(), ada)
				if err != nil {
					t.Fatal(err)
				}
				var total int64
				for _, f := range found {
					total += f.Count
				}
				if want := int64(25 + 25 + 100); total != want {
					t.Fatalf("found %v, want %d in all", found, want)
				}
				if err := l.Erase(t.Context(), ada); err != nil {
					t.Fatal(err)
				}
				after, err := os.ReadFile(filepath.Join(dir, "events/a.parquet"))
				if err != nil {
					t.Fatal(err)
				}
				wantParquetWithout(t, before, after, "usr_ada")
				_, old := readParquet(t, before)
				_, now := readParquet(t, after)
				if got := len(now.RowGroups()); got != 3 {
					t.Errorf("%d row groups, want those three that hold something", got)
				}
				a, b := old.Metadata().RowGroups[1], now.Metadata().RowGroups[1]
				if !bytes.Equal(groupBytes(before, a), groupBytes(after, b)) {
					t.Error("a row group without her was not copied byte for byte")
				}
				for i, g := range now.Metadata().RowGroups {
					for _, c := range g.Columns {
						if c.MetaData.BloomFilterOffset == 0 && strings.Join(c.MetaData.PathInSchema, ".") == "user.id" {
							t.Errorf("group %d lost its Bloom filter", i)
						}
						if c.OffsetIndexOffset == 0 || c.ColumnIndexOffset == 0 {
							t.Errorf("group %d lost a page index", i)
						}
					}
				}
				if bytes.Contains(after, []byte("usr_ada")) && codec == &parquet.Uncompressed {
					t.Error("she is in the bytes of the file")
				}
				if found, err := l.Locate(t.Context(), ada); err != nil || found != nil {
					t.Errorf("found %v, %v", found, err)
				}
			})
		}
	}
}

func groupBytes(data []byte, g schema.RowGroup) []byte {
	c := g.Columns
	last := c[len(c)-1].MetaData
	return data[chunkStart(&c[0].MetaData) : chunkStart(&last)+last.TotalCompressedSize]
}

// wantParquetWithout compares two versions value by value, and all that
// describes them but sizes and offsets.
func wantParquetWithout(t failer, before, after []byte, id string) {
	t.Helper()
	all, old := readParquet(t, before)
	got, now := readParquet(t, after)
	var want []string
	for _, row := range all {
		if !strings.Contains(row, " V:"+id+" ") {
			want = append(want, row)
		}
	}
	if len(want) == len(all) {
		t.Errorf("the test sees nobody in the file")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("rows (-want +got):\n%.2000s", d)
	}
	a, b := old.Metadata(), now.Metadata()
	if d := cmp.Diff(a.Schema, b.Schema, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("the schema changed:\n%s", d)
	}
	if a.CreatedBy != b.CreatedBy || !cmp.Equal(a.KeyValueMetadata, b.KeyValueMetadata) || !cmp.Equal(a.ColumnOrders, b.ColumnOrders) {
		t.Errorf("the description changed: %q %v", b.CreatedBy, b.KeyValueMetadata)
	}
	for i := range b.RowGroups {
		for j, c := range b.RowGroups[i].Columns {
			if c.MetaData.Codec != a.RowGroups[0].Columns[j].MetaData.Codec {
				t.Errorf("group %d column %d has another codec", i, j)
			}
		}
	}
}

// TestParquetProperty draws files of any shape that these rows can have, of
// pages smaller than a row, and takes one person out by a value within a list.
func TestParquetProperty(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var groups [][]event
		n := 0
		for range rapid.IntRange(1, 4).Draw(rt, "groups") {
			var group []event
			for range rapid.IntRange(1, 60).Draw(rt, "rows") {
				e := eventOf(n, rapid.SampledFrom([]string{"", "bob", "carl"}).Draw(rt, "who"))
				e.Devices = nil
				for range rapid.IntRange(0, 4).Draw(rt, "devices") {
					e.Devices = append(e.Devices, device{ID: rapid.SampledFrom([]string{"dev-ada", "dev-bob", strings.Repeat("x", 300)}).Draw(rt, "device")})
				}
				group = append(group, e)
				n++
			}
			groups = append(groups, group)
		}
		groups[0][0].Devices = append(groups[0][0].Devices, device{ID: "dev-ada"})
		before := writeParquet(rt, groups, parquet.PageBufferSize(rapid.SampledFrom([]int{64, 1000, 1 << 20}).Draw(rt, "page")),
			parquet.DataPageVersion(rapid.IntRange(1, 2).Draw(rt, "version")), parquet.Compression(&parquet.Snappy))
		l, dir := parquetLake(t, map[string][]byte{"events/a.parquet": before})
		ada := sdk.NewPerson(sdk.ID(sdk.DeviceID, "dev-ada"))
		if err := l.Erase(t.Context(), ada); err != nil {
			rt.Fatal(err)
		}
		after, err := os.ReadFile(filepath.Join(dir, "events/a.parquet"))
		if err != nil {
			rt.Fatal(err)
		}
		wantParquetWithout(rt, before, after, "dev-ada")
	})
}

func TestParquetExport(t *testing.T) {
	e := eventOf(6, "ada")
	l, _ := parquetLake(t, map[string][]byte{"events/a.parquet": writeParquet(t, [][]event{{eventOf(1, "bob"), e}, {eventOf(3, "bob")}})})
	var out collector
	if err := l.Export(t.Context(), sdk.NewPerson(sdk.ID(sdk.UserID, "usr_ada")), &out); err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 || out[0].Category != "F" {
		t.Fatalf("records %v", out)
	}
	got := map[string]string{}
	for _, f := range out[0].Fields {
		v := f.Value
		if raw, ok := v.(json.RawMessage); ok {
			v = string(raw)
		}
		got[f.Name] = fmt.Sprintf("%T %v", f.Value, v)
	}
	want := map[string]string{
		"type": "string view", "user.id": "string usr_ada", "user.licence": "sdk.Withheld driver's licence number",
		"devices.list.element.id": `json.RawMessage ["dev-other-6","dev-other-6"]`, "devices.list.element.seat": "json.RawMessage [6]",
		"labels.key_value.key": `json.RawMessage ["k"]`, "labels.key_value.value": `json.RawMessage ["6"]`,
		"at": "string 2026-01-07T10:00:00.000006Z", "amount": "string -0.08", "score": "float64 2",
		"raw": "string 0600ff0600ff0600ff0600ff0600ff0600ff", "flag": "bool true", "session": "string 06000000-0000-0000-0000-000000000000",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("fields (-want +got):\n%s", d)
	}
}

// TestParquetSince: a column of times dates the rows.
func TestParquetSince(t *testing.T) {
	l, _ := parquetLake(t, map[string][]byte{"events/a.parquet": writeParquet(t, [][]event{{eventOf(0, "ada"), eventOf(20, "ada")}})})
	p := sdk.NewPerson(sdk.ID(sdk.UserID, "usr_ada")).WithSince(time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC))
	found, err := l.Locate(t.Context(), p)
	if err != nil || len(found) != 1 || found[0].Count != 1 {
		t.Errorf("found %v, %v; want the later row", found, err)
	}
}

// TestParquetFailsClosed: what can't be read whole, or is not what the map
// says, stops the pass.
func TestParquetFailsClosed(t *testing.T) {
	whole := writeParquet(t, [][]event{{eventOf(0, "ada")}}, parquet.Compression(&parquet.Uncompressed))
	type other struct {
		Type string `parquet:"type"`
		User string `parquet:"user"`
	}
	type noDevices struct {
		Type string `parquet:"type"`
		User struct {
			ID string `parquet:"id"`
		} `parquet:"user"`
	}
	data := bytes.Clone(whole)
	i := bytes.Index(data, []byte("usr_ada")) - 12
	copy(data[i:], bytes.Repeat([]byte{0xff}, 12))
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"a file cut off":      {whole[:len(whole)-9], "not a whole Parquet file"},
		"a text file":         {[]byte("{}"), "not a whole Parquet file"},
		"a broken page":       {data, "broken.parquet"},
		"a value for a group": {writeParquet(t, [][]other{{{User: "usr_ada"}}}), "user is a value"},
		"a column not there":  {writeParquet(t, [][]noDevices{{{}}}), "no column devices.id"},
	} {
		t.Run(name, func(t *testing.T) {
			l, dir := parquetLake(t, map[string][]byte{"events/a.parquet": whole, "events/broken.parquet": test.data})
			before := state(t, dir)
			err := l.Erase(t.Context(), sdk.NewPerson(sdk.ID(sdk.UserID, "usr_ada")))
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "usr_ada") {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if d := cmp.Diff(before, state(t, dir)); d != "" {
				t.Errorf("something was rewritten:\n%s", d)
			}
		})
	}
}
