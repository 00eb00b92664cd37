package audit

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// toLedger is a record in the form the log keeps.
func toLedger(rec *wire.Record) ledger.Record {
	return ledger.Record{
		Digest: rec.Digest, Envelope: rec.Envelope,
		RequestID: rec.RequestID(), Type: string(rec.Type), Issuer: rec.Issuer(),
	}
}

// ownKey makes the record that puts the room's own evidence key on record.
func (r *Room) ownKey() (*wire.Record, error) {
	s := r.config.Signer
	return s.Sign(&habeasv1.KeyRecord{
		Owner: s.Issuer(), PublicKey: wire.PublicDER(s.Public()), Fingerprint: s.KeyID(),
		NotBeforeTime: timestamppb.New(time.Now().UTC()),
	}, "", nil)
}

// retention returns the maker of the record that says what was destroyed.
func (r *Room) retention(first, last int64, rule string) func(int64) (ledger.Record, error) {
	return func(count int64) (ledger.Record, error) {
		rec, err := r.config.Signer.Sign(&habeasv1.RetentionRecord{
			FirstLeaf: first, LastLeaf: last, Rule: rule, EnvelopeCount: count,
		}, "", nil)
		if err != nil {
			return ledger.Record{}, err
		}
		return toLedger(rec), nil
	}
}
