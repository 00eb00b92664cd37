package lake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

// visit is a record of the conformance tests' lakes, in every format.
type visit struct {
	User  string `json:"user" parquet:"user"`
	Mail  string `json:"mail" parquet:"mail,dict"`
	At    string `json:"at" parquet:"at"`
	Page  string `json:"page" parquet:"page"`
	Level int64  `json:"level" parquet:"level"`
}

// shape is one way to write visits.
type shape struct {
	ending, yaml string
	encode       func(t testing.TB, all []visit) []byte
	decode       func(t testing.TB, data []byte) []string
}

func asLines(line func(v visit) string, head string) func(testing.TB, []visit) []byte {
	return func(_ testing.TB, all []visit) []byte {
		b := []byte(head)
		for _, v := range all {
			b = append(b, line(v)+"\n"...)
		}
		return b
	}
}

func splitLines(_ testing.TB, data []byte) []string {
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func csvLine(v visit) string {
	return fmt.Sprintf(`%s,"%s",%s,%s,%d`, v.User, v.Mail, v.At, v.Page, v.Level)
}

func jsonLine(v visit) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

var shapes = map[string]shape{
	"jsonl":         {".jsonl", "format: jsonl", asLines(jsonLine, ""), splitLines},
	"csv":           {".csv", "format: csv", asLines(csvLine, "user,mail,at,page,level\n"), splitLines},
	"csv no header": {".csv", "format: csv\n    columns: [user, mail, at, page, level]", asLines(csvLine, ""), splitLines},
	"parquet":       {".parquet", "format: parquet", parquetVisits, func(t testing.TB, data []byte) []string { rows, _ := readParquet(t, data); return rows }},
	"jsonl in gzip": {".jsonl.gz", "format: jsonl", asLines(jsonLine, ""), splitLines},
	"csv in zstd":   {".csv.zst", "format: csv", asLines(csvLine, "user,mail,at,page,level\n"), splitLines},
}

// parquetVisits has row groups of three rows.
func parquetVisits(t testing.TB, all []visit) []byte {
	t.Helper()
	return writeParquet(t, slices.Collect(slices.Chunk(all, 3)), parquet.Compression(&parquet.Snappy), parquet.PageBufferSize(64))
}

func (s shape) pack(t testing.TB, all []visit) []byte {
	t.Helper()
	data := s.encode(t, all)
	var b bytes.Buffer
	var w io.WriteCloser
	switch filepath.Ext(s.ending) {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".zst":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return data
	}
	write(t, w, string(data))
	return b.Bytes()
}

func (s shape) unpack(t testing.TB, data []byte) []string {
	t.Helper()
	var r io.Reader = bytes.NewReader(data)
	var err error
	switch filepath.Ext(s.ending) {
	case ".gz":
		r, err = gzip.NewReader(r)
	case ".zst":
		r, err = zstd.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return s.decode(t, text)
}

// visits is a lake of visits, two files by day, in a folder or a bucket.
type visits struct {
	shape
	dir  string
	pail *pail
	all  map[string][]visit
}

func (s *visits) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	t.Helper()
	m := mustMap(t, `
stores:
  - name: visits
    files: visits/dt=*/*`+s.ending+`
    partition: dt
    `+s.yaml+`
    identifiers: {user_id: user, email: mail}
    categories: {"*": {letter: F, data: user.behavior}}
    time: {field: at}
`)
	o := Options{Folder: s.dir, Map: m, Workers: 2, Logger: slog.Default(), State: t.TempDir()}
	if s.pail != nil {
		o.Folder, o.Bucket = "", s.pail.url()
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	man := m.Manifest()
	man.Name, man.Version = "visits", "test"
	return man, l
}

func (s *visits) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	user, mail := fmt.Sprintf("usr-%d-a", n), fmt.Sprintf("person%d@example.com", n)
	for i := range 5 {
		key := fmt.Sprintf("visits/dt=2026-01-0%d/part%s", 1+i%2, s.ending)
		v := visit{At: fmt.Sprintf("2026-01-0%dT10:00:00Z", 1+i%2), Page: fmt.Sprintf("page-of-%d-%d", n, i), Level: int64(n)}
		if i%2 == 0 || i == 3 {
			v.User = user
		}
		if i > 2 || i == 1 {
			v.Mail = strings.ToUpper(mail[:1]) + mail[1:]
		}
		s.all[key] = append(s.all[key], v)
	}
	for key, all := range s.all {
		s.save(t, key, s.pack(t, all))
	}
	return sdktest.Planted{
		Person: sdk.NewPerson(sdk.ID(sdk.UserID, user), sdk.ID(sdk.Email, mail)),
		Traces: []string{user, mail[1:], fmt.Sprintf("page-of-%d-", n)},
		Stores: map[string]int64{"visits": 5},
	}
}

// save writes a file, and leaves no older version of what was planted before.
func (s *visits) save(t testing.TB, key string, data []byte) {
	t.Helper()
	if s.pail == nil {
		p := filepath.Join(s.dir, key)
		if err := os.MkdirAll(filepath.Dir(p), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	s.pail.put(t, key, data)
	out, err := s.pail.client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &s.pail.name, Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range out.Versions {
		if aws.ToBool(v.IsLatest) {
			continue
		}
		if _, err := s.pail.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &s.pail.name, Key: &key, VersionId: v.VersionId}); err != nil {
			t.Fatal(err)
		}
	}
}

// Dump reads what is on the disk: the folder's files, or all that the server
// keeps, older versions among it.
func (s *visits) Dump(t testing.TB) []string {
	t.Helper()
	files := map[string][]byte{}
	if s.pail != nil {
		files = s.pail.disk(t)
	} else {
		for _, name := range names(t, s.dir) {
			data, err := os.ReadFile(filepath.Join(s.dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files[name] = data
		}
	}
	var dump []string
	for name, data := range files {
		for _, line := range s.unpack(t, data) {
			dump = append(dump, filepath.Dir(name)+" "+line)
		}
	}
	slices.Sort(dump)
	return dump
}

func TestConformance(t *testing.T) {
	for name, s := range shapes {
		t.Run(name+" in a folder", func(t *testing.T) {
			sdktest.Run(t, func(t testing.TB) sdktest.System {
				return &visits{shape: s, dir: t.TempDir(), all: map[string][]visit{}}
			})
		})
		// Which of both kinds of buckets a format is tried on does not matter to
		// the format, so each is tried on one and every kind with several.
		versioned := strings.Contains(name, "csv") || name == "parquet"
		t.Run(fmt.Sprintf("%s on S3, versions %t", name, versioned), func(t *testing.T) {
			sdktest.Run(t, func(t testing.TB) sdktest.System {
				return &visits{shape: s, pail: newPail(t, versioned), all: map[string][]visit{}}
			})
		})
	}
}
