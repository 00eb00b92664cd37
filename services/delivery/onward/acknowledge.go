package onward

import (
	"context"
	"fmt"
	"slices"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Recipient is who acknowledges for itself.
const Recipient = "recipient"

// Acknowledge takes a recipient's word that it did its part. by is [Recipient],
// or who of the staff was told another way. Saying it again changes nothing.
// Errors are [store.ErrNotFound] and [request.ErrOnwardExcused], or the store's.
func (d *Desk) Acknowledge(ctx context.Context, id request.ID, by string) error {
	return d.acknowledge(ctx, id, by, "")
}

func (d *Desk) acknowledge(ctx context.Context, id request.ID, by, note string) error {
	o, err := d.Store.GetOnward(ctx, id)
	if err != nil {
		return err
	}
	how := "staff"
	if by == Recipient {
		how = Recipient
	}
	err = d.change(ctx, o.RequestID, id, func(s *store.Snapshot, o *store.Onward, now time.Time) (*habeasv1.DecisionRecord, error) {
		switch o.State {
		case request.OnwardAcknowledged:
			return nil, nil //nolint:nilnil // it said so before
		case request.OnwardExcused:
			return nil, request.ErrOnwardExcused
		}
		o.State, o.AcknowledgedAt, o.AcknowledgedBy, o.NextAt, o.Note = request.OnwardAcknowledged, now, by, time.Time{}, note
		if c := s.Request.Case.Onward; c != nil && s.Request.State() == request.Running {
			again := *c
			again.Look = now // the request may be done now; a lost hint costs a moment
			s.Request.Case.Onward, s.Changed = &again, true
		}
		return &habeasv1.DecisionRecord{Decision: "recipient_acknowledged", Facts: map[string]string{"by": how, "channel": o.Channel}}, nil
	})
	if err == nil {
		d.Hint(o.RequestID)
	}
	return err
}

// shown opens whom a notice is about, for the recipient's eyes: the identifiers
// of the kinds it knows people by, until it acknowledges. The first look is on
// record.
//
// Of a correction it is shown what to put right as well: a company that holds the
// data for us with the right values, and the source of them, which may not be owed
// any, by the names of the fields alone.
func (r *Room) shown(ctx context.Context, o *store.Onward) ([]request.Identifier, []request.Correction, error) {
	if !o.State.Open() {
		return nil, nil, nil
	}
	if o.ShownAt.IsZero() {
		err := r.change(ctx, o.RequestID, o.ID, func(_ *store.Snapshot, o *store.Onward, now time.Time) (*habeasv1.DecisionRecord, error) {
			if !o.ShownAt.IsZero() {
				return nil, nil //nolint:nilnil // it looked before
			}
			o.ShownAt = now
			return &habeasv1.DecisionRecord{Decision: "recipient_shown"}, nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	to, known := r.Book.Recipient(o.Recipient)
	req, _, err := r.Store.Get(ctx, o.RequestID)
	if err != nil || !known || len(req.WrappedKey) == 0 || len(req.Sealed) == 0 {
		return nil, nil, err
	}
	key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the identifiers: %w", err)
	}
	ids, err := key.OpenIdentifiers(req.ID, req.Sealed)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the identifiers: %w", err)
	}
	ids = slices.DeleteFunc(ids, func(id request.Identifier) bool { return !slices.Contains(to.Tell.Identifiers, string(id.Kind)) })
	if req.Right() != request.Correct || len(req.Corrections) == 0 {
		return ids, nil, nil
	}
	wrong, err := key.OpenCorrections(req.ID, req.Corrections)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the corrections: %w", err)
	}
	if o.Basis == request.BasisSource {
		for i := range wrong {
			wrong[i].Value = request.NewSecret("")
		}
	}
	return ids, wrong, nil
}
