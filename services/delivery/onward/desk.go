package onward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Desk is where staff step in for a recipient. It sends nothing itself: a [Room]
// does, maybe in another process. It is safe for concurrent use.
type Desk struct{ Config }

// NewDesk makes a desk, which needs a Store and a Signer.
func NewDesk(c Config) (*Desk, error) {
	if c.Store == nil || c.Signer == nil {
		return nil, errors.New("stepping in for recipients: Store and Signer are required")
	}
	if c.Publish == nil {
		c.Publish = func(*nats.Msg) error { return nil }
	}
	if c.Hint == nil {
		c.Hint = func(request.ID) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Desk{Config: c}, nil
}

// MostNote is how many characters a note may have.
const MostNote = 500

// Note takes a recipient's word that reached by another way, with what staff
// wrote about it. The note stays with the notice and is not in the evidence.
// Errors are those of [Desk.Acknowledge], or [request.FieldErrors].
func (d *Desk) Note(ctx context.Context, id request.ID, by, note string) error {
	note = strings.TrimSpace(note)
	if n := utf8.RuneCountInString(note); n == 0 || n > MostNote {
		return request.FieldErrors{{Field: "note", Problem: "is empty or too long", Fix: fmt.Sprintf("say in up to %d characters how and by whom it was said", MostNote)}}
	}
	if by == "" || by == Recipient {
		return request.FieldErrors{{Field: "by", Problem: "names nobody of the staff", Fix: "say who was told"}}
	}
	return d.acknowledge(ctx, id, by, note)
}

// Again has a notice or a reminder sent at once, however often that was tried
// before. Errors are [store.ErrNotFound], [request.ErrOnwardExcused],
// [request.ErrOnwardAcknowledged] and [request.ErrOnwardConnector], or the store's.
func (d *Desk) Again(ctx context.Context, id request.ID) error {
	o, err := d.Store.GetOnward(ctx, id)
	if err != nil {
		return err
	}
	return d.change(ctx, o.RequestID, id, func(_ *store.Snapshot, o *store.Onward, now time.Time) (*habeasv1.DecisionRecord, error) {
		switch {
		case o.State == request.OnwardAcknowledged:
			return nil, request.ErrOnwardAcknowledged
		case o.State == request.OnwardExcused:
			return nil, request.ErrOnwardExcused
		case o.Channel == "connector":
			return nil, request.ErrOnwardConnector
		case !o.NextAt.IsZero() && !o.NextAt.After(now):
			return nil, nil //nolint:nilnil // it is about to be sent
		}
		o.NextAt, o.Tries, o.Failed = now, 0, ""
		return &habeasv1.DecisionRecord{Decision: "recipient_sent_again", Facts: map[string]string{"by": "staff", "channel": o.Channel}}, nil
	})
}

// change applies fn to one recipient's row while nobody else can change its
// request, and puts what fn returns on record with it.
func (d *Desk) change(ctx context.Context, of, id request.ID, fn func(*store.Snapshot, *store.Onward, time.Time) (*habeasv1.DecisionRecord, error)) error {
	var records []store.Record
	found := false
	_, err := d.Store.Advance(ctx, store.Selector{IDs: []request.ID{of}}, true, func(snaps []*store.Snapshot) error {
		records, found = nil, false
		for _, s := range snaps {
			for i := range s.Onward {
				if s.Onward[i].ID != id {
					continue
				}
				found = true
				p, err := fn(s, &s.Onward[i], d.Now().UTC())
				if err != nil || p == nil {
					return err
				}
				s.TouchOnward(i)
				if records, err = d.record(s, &s.Onward[i], p); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("recipient notice %s: %w", id, store.ErrNotFound)
	}
	for i := range records {
		if err := d.Publish(wire.RecordEnvelopeMessage(records[i].Issuer, records[i].Envelope, records[i].Digest)); err != nil {
			d.Logger.WarnContext(ctx, "publishing a record; the sweeper will", slog.String("request", string(of)), slog.Any("error", err))
		}
	}
	return nil
}

// record signs what happened to a recipient. What happens after the closure was
// made is logged all the same, and not named by it.
func (d *Desk) record(s *store.Snapshot, o *store.Onward, p *habeasv1.DecisionRecord) ([]store.Record, error) {
	req := &s.Request
	p.RequestId, p.Code = string(req.ID), o.Recipient
	rec, err := d.Signer.Sign(p, string(req.ID), req.Commitment)
	if err != nil {
		return nil, fmt.Errorf("recording for request %s: %w", req.ID, err)
	}
	if len(req.ClosureDigest) == 0 {
		req.RecordDigests = append(req.RecordDigests, rec.Digest[:]...)
		req.UpdatedAt, s.Changed = d.Now().UTC(), true
	}
	s.Records = append(s.Records, store.Record{
		Digest: rec.Digest[:], RequestID: req.ID, Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: d.Now().UTC(),
	})
	return s.Records[len(s.Records)-1:], nil
}
