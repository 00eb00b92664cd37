package coordinator

import (
	"context"
	"log/slog"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// ruleShredded is the rule in the record that what a request was about is gone.
const ruleShredded = "identifiers and corrections of a closed request destroyed at the end of their need, with their key unless statements of the consumer are kept under it (11 CCR 7101(e), 7023(f)(3))"

// shred destroys what closed requests were about once their time is over, each
// with a record of it that is stored in the same transaction. The record names
// the request, and nothing leads from it to the person any more: what commits
// to them was made with the key that is destroyed.
func (r *Room) shred(ctx context.Context, now time.Time) error {
	if r.Rules.ShredAfter < 0 {
		return nil
	}
	q := r.shreddable(now)
	for {
		var records []store.Record
		gone, err := r.Store.Shred(ctx, q, func(ids []request.ID) (_ []store.Record, err error) {
			records, err = r.shreddedRecords(ids, now)
			return records, err
		})
		if err != nil {
			return err
		}
		for _, g := range gone {
			r.Vault.Forget(g.WrappedKey)
		}
		r.publishRecords(ctx, records[:len(gone)])
		if len(gone) > 0 {
			r.Logger.InfoContext(ctx, "what closed requests were about is destroyed", slog.Int("requests", len(gone)))
		}
		if len(gone) < q.Limit {
			return nil
		}
	}
}

// shreddable are the requests whose time is over.
func (r *Room) shreddable(now time.Time) store.Shreddable {
	closed := now.Add(-r.Rules.ShredAfter)
	q := store.Shreddable{Now: now, ClosedBefore: closed, NoticedSince: closed.Add(-r.Rules.ShredAfter), Limit: sweepBatch, Backups: make(map[string]time.Duration)}
	for _, c := range r.connectors.all() {
		if c.Backups > 0 {
			q.Backups[c.Name] = c.Backups
		}
	}
	return q
}

func (r *Room) shreddedRecords(ids []request.ID, now time.Time) ([]store.Record, error) {
	out := make([]store.Record, len(ids))
	for i, id := range ids {
		rec, err := r.Signer.Sign(&habeasv1.RetentionRecord{Rule: ruleShredded + ", request " + string(id), EnvelopeCount: 1}, "", nil)
		if err != nil {
			return nil, err
		}
		out[i] = store.Record{Digest: rec.Digest[:], Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: now}
	}
	return out, nil
}
