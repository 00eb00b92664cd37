package coordinator

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// How long a recipient has to acknowledge when the company's file does not say,
// and how long before its answer is due a request stops waiting for that.
const (
	acknowledgeDays = 10
	answerMargin    = 24 * time.Hour
)

// askAgain is how long a request waits for what the ledger says of its person
// before it asks again.
const askAgain = 2 * time.Second

// onward finds who has to be told of a deletion or an opt-out that has been
// carried out in the company's own systems, and says how the request ends. It
// reports whether that has to wait: for what the ledger says of the person, or
// for recipients to acknowledge. What is told to whom is a row before anything
// is sent. A look of our own tells nobody again.
func (st *step) onward(result request.Result) (end request.Ending, wait bool) {
	r := &st.s.Request
	end = request.Ending{Result: result}
	if r.Case.Origin.Ours() || !toldOnward(r.Right()) || len(st.w.book.Recipients()) == 0 && r.Case.Onward == nil {
		return end, false
	}
	if o := r.Case.Onward; o == nil || o.Round < r.Round {
		if st.given == nil {
			st.askSoon(o)
			return end, true
		}
		st.name(st.received())
		st.nameSources()
		r.Case.Onward, st.s.Changed = &request.Onward{Round: r.Round}, true
	}
	return st.acknowledged(end)
}

// toldOnward reports whether others are told of a request for the right: of a
// deletion, of an opt-out, and of a correction (11 CCR 7023(c), (i)).
func toldOnward(right request.Right) bool {
	return right == request.Delete || right == request.OptOutSaleShare || right == request.Correct
}

// askSoon has the ledger asked, now and again when the answer is lost.
func (st *step) askSoon(o *request.Onward) {
	st.ask = true
	look, round := st.w.now.Add(askAgain), -1
	if o != nil {
		round = o.Round
		if o.Look.After(st.w.now) && !o.Look.After(look) {
			return
		}
	}
	st.s.Request.Case.Onward, st.s.Changed = &request.Onward{Round: round, Look: look}, true
}

// acknowledged sums up how the recipients stand.
func (st *step) acknowledged(end request.Ending) (request.Ending, bool) {
	o := st.s.Request.Case.Onward
	var next time.Time
	late, all := 0, 0
	for i := range st.s.Onward {
		n := &st.s.Onward[i]
		if n.Basis != request.BasisSource {
			all++
		}
		switch {
		case n.Basis == request.BasisSource:
			// It is told, and the person learns its name: what it does then is its
			// own answer to give (11 CCR 7023(i)).
		case n.State == request.OnwardExcused && end.Result == request.ResultComplete:
			end.Result = request.ResultCompleteWithExceptions
		case n.Overdue(st.w.now):
			late++
		case n.State.Open() && (next.IsZero() || n.Deadline.Before(next)):
			next = n.Deadline
		}
	}
	if !o.Look.Equal(next) {
		o.Look, st.s.Changed = next, true
	}
	if !next.IsZero() {
		return end, true
	}
	if late > 0 {
		end = request.Ending{
			Result: request.ResultPartial, Code: request.EndUnacknowledged,
			Reason: fmt.Sprintf("%d of the %d companies that received the data have not confirmed yet that they did their part", late, all),
		}
		st.decided(decision{kind: "recipients_overdue", code: request.EndUnacknowledged, reason: end.Reason})
	}
	return end, false
}

// received is what was given away of the person and has to be told of. A
// deletion concerns everything that service providers and contractors ever got,
// and what was sold to or shared with third parties (11 CCR 7022(b)(2)-(3)); an
// opt-out what third parties bought or were shared between the request and now
// (11 CCR 7026(f)(2)); a correction what service providers and contractors ever got
// (11 CCR 7023(c)). Nobody made up was given to anybody.
func (st *step) received() []disclosure.Entry {
	r := &st.s.Request
	if r.Channel == request.ChannelProbe {
		return nil
	}
	deleting, correcting := r.Right() == request.Delete, r.Right() == request.Correct
	var from time.Time
	if !deleting && !correcting {
		from = r.Terms.Received
	}
	all := st.w.book.Flowed(st.reached(), from, st.w.now)
	for _, e := range *st.given {
		if !e.From.Before(from) {
			all = append(all, e)
		}
	}
	return slices.DeleteFunc(all, func(e disclosure.Entry) bool {
		bought := e.As == tenant.Sold || e.As == tenant.Shared
		if e.Recipient.Role == tenant.ThirdParty {
			return correcting || !bought || !deleting && e.Standing && !st.knownTo(e.Recipient)
		}
		return !deleting && !correcting
	})
}

// knownTo reports whether anything in hand is of a kind by which a recipient
// knows people.
func (st *step) knownTo(r disclosure.Recipient) bool {
	return len(r.Tell.Identifiers) == 0 || slices.ContainsFunc(st.s.Request.Kinds, func(k store.Kind) bool { return slices.Contains(r.Tell.Identifiers, k.Name) })
}

// reached is where the request found the person, as far as that was not kept: a
// recipient may keep what its company has to keep. An opt-out counts nothing:
// it reaches whatever the system did it for.
func (st *step) reached() []disclosure.Located {
	var out []disclosure.Located
	for i := range st.s.Jobs {
		j := &st.s.Jobs[i]
		o := &habeasv1.Outcome{}
		if j.Purpose != "" || len(j.Outcome) == 0 || protojson.Unmarshal(j.Outcome, o) != nil {
			continue
		}
		correcting := j.Action == request.ActionCorrect
		if correcting && j.State != request.JobDone {
			continue // nothing of it was wrong there
		}
		if j.Action == request.ActionOptOut && j.State == request.JobDone {
			out = append(out, disclosure.Located{Connector: j.Connector})
		}
		for _, s := range o.GetStores() {
			if !correcting && s.GetLocatedCount() <= s.GetKeptCount() || s.GetLocatedCount() == 0 {
				continue
			}
			l := disclosure.Located{Connector: j.Connector, Store: s.GetStore()}
			if s.GetCategory() != "" {
				l.Letters = []string{s.GetCategory()}
			}
			out = append(out, l)
		}
	}
	return out
}

// name adds the recipients that are not among those to be told yet, and what
// the others got besides.
func (st *step) name(entries []disclosure.Entry) {
	byRecipient := make(map[string][]disclosure.Entry)
	for _, e := range entries {
		byRecipient[e.Recipient.ID] = append(byRecipient[e.Recipient.ID], e)
	}
	for _, id := range slices.Sorted(maps.Keys(byRecipient)) {
		if slices.ContainsFunc(st.s.Onward, func(o store.Onward) bool { return o.Recipient == id }) {
			continue
		}
		o := st.recipient(byRecipient[id])
		st.s.Onward = append(st.s.Onward, o)
		kind := map[request.OnwardState]string{
			request.OnwardExcused: "recipient_excused", request.OnwardAcknowledged: "recipient_acknowledged", request.OnwardWaiting: "recipient_to_tell",
		}[o.State]
		facts := map[string]string{"role": o.Role, "categories": o.Letters, "known_from": o.Basis}
		for name, value := range map[string]string{"contract": o.Contract, "channel": o.Channel, "impediment": o.Code} {
			if value != "" {
				facts[name] = value
			}
		}
		st.decided(decision{kind: kind, code: o.Recipient, reason: o.Explanation, until: o.Deadline, facts: facts})
	}
}

// nameSources adds those from whom the company has what was wrong, unless they are
// told as recipients already (11 CCR 7023(i)). Nobody made up came from anybody.
func (st *step) nameSources() {
	r := &st.s.Request
	if r.Right() != request.Correct || r.Channel == request.ChannelProbe {
		return
	}
	for _, s := range st.w.book.Sources(st.reached(), r.Case.Disputed, st.w.now) {
		if slices.ContainsFunc(st.s.Onward, func(o store.Onward) bool { return o.Recipient == s.Recipient.ID }) {
			continue
		}
		o := st.recipient([]disclosure.Entry{{Recipient: s.Recipient, Categories: s.Categories}})
		o.Basis, o.Deadline = request.BasisSource, st.w.now.AddDate(0, 0, cmp.Or(s.Recipient.Tell.AcknowledgeDays, acknowledgeDays))
		kind := "source_to_tell"
		switch {
		case o.State == request.OnwardAcknowledged:
			kind = "source_acknowledged"
		case o.Channel == "":
			// Nobody can tell it: the person is told its name alone.
			o.State, o.Code, o.NextAt, kind = request.OnwardExcused, request.SourceNamed, time.Time{}, "source_named"
		}
		st.s.Onward = append(st.s.Onward, o)
		facts := map[string]string{"categories": o.Letters}
		if o.Channel != "" {
			facts["channel"] = o.Channel
		}
		st.decided(decision{kind: kind, code: o.Recipient, until: o.Deadline, facts: facts})
	}
}

// recipient decides how one recipient is told.
func (st *step) recipient(got []disclosure.Entry) store.Onward {
	to := got[0].Recipient
	o := store.Onward{
		ID: request.NewID(), RequestID: st.s.Request.ID, Recipient: to.ID, Role: string(to.Role), Contract: to.Contract, Basis: "ledger",
		State: request.OnwardWaiting, DecidedAt: st.w.now, Deadline: st.deadline(to), NextAt: st.w.now,
	}
	var letters []string
	for _, e := range got {
		letters = append(letters, e.Categories...)
		if e.Standing {
			o.Basis = "flow"
		}
	}
	slices.Sort(letters)
	o.Letters = strings.Join(slices.Compact(letters), "")
	switch t := to.Tell; {
	case t.Cannot != nil && to.Role == tenant.ThirdParty && st.s.Request.Right() == request.Delete:
		o.State, o.Code, o.Explanation, o.NextAt = request.OnwardExcused, string(t.Cannot.Why), strings.TrimSpace(t.Cannot.Explanation), time.Time{}
	case t.Connector != "" && st.told(t.Connector):
		o.State, o.Channel, o.AcknowledgedBy, o.NextAt = request.OnwardAcknowledged, "connector", t.Connector, time.Time{}
		o.ToldAt, o.AcknowledgedAt = st.w.now, st.w.now
	case t.Webhook != "":
		o.Channel = "webhook"
	case t.Email != "":
		o.Channel = "email"
	}
	return o
}

// told reports whether a connector did what the request asks: one that stands
// between us and a recipient tells it as a part of its work.
func (st *step) told(connector string) bool {
	i := st.last(connector, false)
	return i >= 0 && st.s.Jobs[i].State.Success() && st.s.Jobs[i].Action == st.s.Request.Right().Action()
}

// deadline is when a recipient should have acknowledged: in the days it has, and
// in time for the answer.
func (st *step) deadline(to disclosure.Recipient) time.Time {
	by := st.w.now.AddDate(0, 0, cmp.Or(to.Tell.AcknowledgeDays, acknowledgeDays))
	if last := st.s.Request.RespondByLatest(); !last.IsZero() && by.After(last.Add(-answerMargin)) {
		by = last.Add(-answerMargin)
	}
	return later(by, st.w.now)
}

// askLedger reads what the ledger says of the people of committed steps that ask
// for it, all at once, and decides again. What fails here is asked again after
// [askAgain].
func (r *Room) askLedger(ctx context.Context, steps []*step) {
	var ids []request.ID
	var people [][]request.Identifier
	for _, st := range steps {
		if !st.ask {
			continue
		}
		who, err := r.identifiers(ctx, &st.s.Request)
		if err != nil {
			r.Logger.ErrorContext(ctx, "looking for who received the data; later again", slog.String("request", string(st.s.Request.ID)), slog.Any("error", err))
			continue
		}
		ids, people = append(ids, st.s.Request.ID), append(people, who)
	}
	if len(ids) == 0 {
		return
	}
	given, err := make([][]disclosure.Entry, len(people)), error(nil)
	if r.Ledger != nil {
		given, err = r.Ledger.Each(ctx, people)
	}
	if err == nil {
		byID := make(map[request.ID]*[]disclosure.Entry, len(ids))
		for i, id := range ids {
			byID[id] = &given[i]
		}
		_, err = r.advance(ctx, store.Selector{IDs: ids}, func(st *step) error {
			st.given = byID[st.s.Request.ID]
			return nil
		})
	}
	if err != nil {
		r.Logger.WarnContext(ctx, "looking for who received the data; later again", slog.Int("requests", len(ids)), slog.Any("error", err))
	}
}

// identifiers opens those of a request; none when they were destroyed.
func (r *Room) identifiers(ctx context.Context, req *store.Request) ([]request.Identifier, error) {
	if len(req.WrappedKey) == 0 || len(req.Sealed) == 0 {
		return nil, nil
	}
	key, err := r.Vault.Unwrap(ctx, req.WrappedKey)
	if err != nil {
		return nil, err
	}
	return key.OpenIdentifiers(req.ID, req.Sealed)
}
