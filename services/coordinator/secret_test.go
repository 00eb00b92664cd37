package coordinator

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
)

// forms are the ways in which a text may lie in a file without anybody having
// encrypted it.
func forms(text string) []string {
	out := []string{text, strings.ToUpper(text), hex.EncodeToString([]byte(text))}
	for pad := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString(append(make([]byte, pad), text...))
		skip := []int{0, 2, 3}[pad] // what the padding has a share in
		out = append(out, encoded[skip:len(encoded)-2])
	}
	return out
}

func (r *rig) clean(where string, content []byte, planted []string) {
	r.t.Helper()
	for _, p := range planted {
		for _, form := range forms(p) {
			if bytes.Contains(content, []byte(form)) {
				r.t.Errorf("%s holds %q as %q", where, p, form)
			}
		}
	}
}

func (r *rig) cleanDir(where, dir string, planted []string) (files int) {
	r.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the server is at work, and takes its temporary files away
		}
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files++
		r.clean(where+" "+filepath.Base(path), content, planted)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return files
}

// A person's identifiers are nowhere but inside sealed bytes: not in a log, the
// database, the bus or an event, when all goes well and when it does not.
func TestIdentifiersAreNowhereInClear_RE3(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		planted := []string{"planted.jane@example.com", "+14155550177", "planted-device-0815", "planted-malformed\x07device"}
		n := 0
		standin.Join(t, r.bus.JS, standin.Script{
			Name: "crm", Accepts: []string{"email", "phone"}, Yields: []string{"device_id"},
			Do: func(job *habeasv1.Job, _ *habeasv1.Subject) standin.Reply {
				if n++; n < 3 {
					return standin.Reply{Outcome: standin.Failed(false)}
				}
				if job.GetAction() == habeasv1.Action_ACTION_RESOLVE {
					return standin.Reply{Found: []*habeasv1.Identifier{{Kind: "device_id", Value: planted[2]}, {Kind: "device_id", Value: planted[3]}}}
				}
				return standin.Reply{Located: 1}
			},
		})
		ads := standin.Join(t, r.bus.JS, standin.Script{Name: "ads", Accepts: []string{"device_id"}})
		f := &faultyStore{Store: r.store, faults: &faults{}}
		r.start(func(c *Config) { c.Store = f })
		r.known("crm", "ads")
		f.set(sometimes(25, didNot))
		rid := r.submit(r.fresh(request.Delete, id("email", planted[0]), id("phone", planted[1])))[0]
		r.closed(request.ResultComplete, rid)
		if acts := actsOf(ads, rid, habeasv1.Action_ACTION_ERASE); len(acts) == 0 || !slices.Contains(acts[0].Who, "device_id="+planted[2]) {
			t.Fatalf("the planted identifier never got where it belongs: %+v", acts)
		}
		r.clean("the log", []byte(r.logs.String()), planted)
		if files := r.cleanDir("JetStream", r.bus.Server.JetStreamConfig().StoreDir, planted); files == 0 {
			t.Error("JetStream has no files")
		}
		if strings.HasPrefix(r.dsn, "/") {
			if files := r.cleanDir("SQLite", filepath.Dir(r.dsn), planted); files == 0 {
				t.Error("SQLite has no files")
			}
			return
		}
		r.clean("PostgreSQL", r.dump(), planted)
	})
}

// dump reads every row of every table.
func (r *rig) dump() []byte {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), r.dsn)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(r.t.Context()); err != nil {
			r.t.Error(err)
		}
	}()
	var out bytes.Buffer
	for _, table := range []string{"request", "job", "record", "idempotency", "connector", "evidence_key"} {
		rows, err := conn.Query(r.t.Context(), "SELECT t::text FROM "+table+" AS t")
		if err != nil {
			r.t.Fatal(err)
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			r.t.Fatal(err)
		}
		for _, l := range lines {
			out.WriteString(l + "\n")
		}
	}
	if !bytes.Contains(out.Bytes(), []byte("crm")) {
		r.t.Fatal("the dump is empty")
	}
	return out.Bytes()
}
