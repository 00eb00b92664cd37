package sdk

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// doOptOut puts an opt-out in force, and says whether it was before.
func (w *worker) doOptOut(ctx context.Context, t *task, o OptOuter) (*habeasv1.Outcome, error) {
	before, err := w.stood(ctx, t, o)
	if err != nil {
		return nil, err
	}
	done, err := w.choose(ctx, t, o.OptOut, o.OptedOut, "the opt-out succeeded and is not in force")
	if done.GetDone() != nil {
		done.Standing, done.Stores = before.GetStanding(), before.GetStores()
	}
	return done, err
}

// stood finds out whether the choice is in force before it is made again, once for a
// job: what was seen first is durable before the act, so that a job that is done
// twice says the same. Where nothing of that is left, or the system can't be asked,
// it says that it can't be told: the choice does not wait for it.
func (w *worker) stood(ctx context.Context, t *task, o OptOuter) (*habeasv1.Outcome, error) {
	before := &habeasv1.Outcome{}
	body, err := w.journal.lookup(entryStood, t.job.GetJobId(), t.again)
	if err != nil {
		return nil, WithCode(Internal, err)
	}
	if body != nil {
		if err := unmarshalStood(body, before); err != nil {
			return nil, WithCode(Internal, err)
		}
		return before, nil
	}
	if _, desk := w.Connector.(Desked); desk || t.again {
		return before, nil // people would be asked for it; or it is in force by now
	}
	err = w.call(ctx, func(ctx context.Context) (err error) {
		before, err = w.standing(ctx, t.person, o)
		return err
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		w.Logger.Warn("asking whether an opt-out is in force already; making it all the same", "job", t.job.GetJobId(), "error", redact(err.Error(), t.private()))
		return &habeasv1.Outcome{}, nil
	}
	if body, err = marshalStood(before); err == nil {
		err = w.journal.write(entryStood, t.job.GetJobId(), body)
	}
	if err != nil {
		return nil, WithCode(Internal, err)
	}
	return before, nil
}

// standing asks the system.
func (w *worker) standing(ctx context.Context, p Person, o OptOuter) (*habeasv1.Outcome, error) {
	out, err := o.OptedOut(ctx, p)
	if err != nil {
		return nil, err
	}
	before := &habeasv1.Outcome{Standing: habeasv1.Standing_STANDING_ANEW}
	if out {
		before.Standing = habeasv1.Standing_STANDING_ALREADY
	}
	teller, ok := o.(StandingTeller)
	if !ok {
		return before, nil
	}
	stores, err := teller.OptOutStanding(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, s := range stores {
		if !slices.ContainsFunc(w.Manifest.Stores, func(of Store) bool { return of.Name == s.Store }) || s.InForce < 0 || s.Open < 0 {
			return nil, fmt.Errorf("standing of store %s: it is not in the manifest, or a count is negative", s.Store)
		}
		before.Stores = append(before.Stores, &habeasv1.StoreCount{
			Store: s.Store, LocatedCount: s.InForce + s.Open, StandingCount: s.InForce, AnewCount: s.Open,
		})
	}
	return before, nil
}

// An entry of the journal is a line: the text of it has none.
func marshalStood(o *habeasv1.Outcome) ([]byte, error) {
	raw, err := proto.Marshal(o)
	return hex.AppendEncode(nil, raw), err
}

func unmarshalStood(body []byte, o *habeasv1.Outcome) error {
	raw, err := hex.AppendDecode(nil, body)
	if err != nil {
		return fmt.Errorf("reading what a choice was before: %w", err)
	}
	return proto.Unmarshal(raw, o)
}
