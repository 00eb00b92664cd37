package coordinator

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Two coordinators destroy what closed requests were about once their time is
// over, not before, and each with one record in the log.
func TestShredAtTheEndOfTheNeed_RE3(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: []string{"email"}})
		var later atomic.Int64
		clock := func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) } }
		r.start(clock)
		r.start(clock)
		r.known("crm")
		var ids []request.ID
		for range 5 {
			ids = append(ids, r.one("jane@example.com"))
		}
		r.closed(request.ResultComplete, ids...)
		for _, id := range ids {
			if err := r.store.Noticed(t.Context(), []store.Notice{{RequestID: id, Kind: store.NoticeAnswer}}); err != nil {
				t.Fatal(err)
			}
		}
		later.Store(int64(99 * 24 * time.Hour))
		swept := r.room(clock) // a third one, of which we know when it has looked
		if err := swept.shred(t.Context(), swept.Now().UTC()); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if req, _ := r.get(id); len(req.Sealed) == 0 || len(req.WrappedKey) == 0 {
				t.Fatalf("request %s was destroyed after 99 days", id)
			}
		}
		later.Store(int64(101 * 24 * time.Hour))
		for _, id := range ids {
			var req store.Request
			r.until("the identifiers are gone", func() bool {
				req, _ = r.get(id)
				return len(req.Sealed) == 0
			})
			if len(req.WrappedKey) != 0 {
				t.Errorf("the key of request %s is left", id)
			}
			if _, err := r.vault.Unwrap(t.Context(), req.WrappedKey); err == nil {
				t.Errorf("the key of request %s can be used", id)
			}
			says := func(rec *wire.Record) bool {
				return strings.HasSuffix(rec.Predicate.(*habeasv1.RetentionRecord).GetRule(), string(id))
			}
			r.until("it is on record", func() bool { return slices.ContainsFunc(r.audit.Records("", wire.RecordRetention), says) })
			records := r.audit.Records("", wire.RecordRetention)
			if n := len(records) - len(slices.DeleteFunc(records, says)); n != 1 {
				t.Errorf("request %s has %d records of it", id, n)
			}
		}
	})
}
