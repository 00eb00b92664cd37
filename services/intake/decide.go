package intake

import (
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// decide applies fn to one request and puts the decision it returns, if any, on
// record with it.
func (r *Room) decide(ctx context.Context, id request.ID, fn func(*store.Snapshot) (*habeasv1.DecisionRecord, error)) error {
	if err := r.trained(ctx); err != nil {
		return err
	}
	return r.personsOwn(ctx, id, fn)
}

// personsOwn is decide for what takes no training: what the person themselves
// does, and what keeps work moving.
func (r *Room) personsOwn(ctx context.Context, id request.ID, fn func(*store.Snapshot) (*habeasv1.DecisionRecord, error)) error {
	var records []store.Record
	err := r.change(ctx, id, func(s *store.Snapshot) error {
		records = nil
		p, err := fn(s)
		if err != nil || p == nil {
			return err
		}
		p.RequestId = string(id)
		rec, err := r.record(&s.Request, p, r.Now().UTC())
		if err != nil {
			return err
		}
		records = []store.Record{rec}
		s.Records, s.Changed = append(s.Records, rec), true
		return nil
	})
	if err == nil {
		r.announce(ctx, id, records)
	}
	return err
}

// notice queues something the person has to be told.
func (r *Room) notice(s *store.Snapshot, kind store.NoticeKind) {
	s.Notices = append(s.Notices, store.Notice{RequestID: s.Request.ID, Kind: kind, CreatedAt: r.Now().UTC()})
}

// Extend prolongs the time to answer, once, with a reason that the person is
// told (11 CCR 7021(b)).
func (r *Room) Extend(ctx context.Context, id request.ID, reason string) error {
	return r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) { return r.extend(s, reason) })
}

func (r *Room) extend(s *store.Snapshot, reason string) (*habeasv1.DecisionRecord, error) {
	today, err := r.Regimes.ReceiptDate(s.Request.Regime, r.Now())
	if err != nil {
		return nil, err
	}
	if err := s.Request.Extend(today, reason); err != nil {
		return nil, err
	}
	if s.Request.RespondBy, err = s.Request.Terms.Due.Instant(s.Request.AnswerBy()); err != nil {
		return nil, err
	}
	r.notice(s, store.NoticeExtension)
	return &habeasv1.DecisionRecord{Decision: "extended", Reason: reason, UntilTime: timestamppb.New(s.Request.RespondBy)}, nil
}

// Confirm takes the second step of a two-step request, and lets it go on.
func (r *Room) Confirm(ctx context.Context, id request.ID) error {
	return r.personsOwn(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		req := s.Request.Request
		if !req.Case.Unconfirmed {
			return nil, nil
		}
		if err := req.Confirm(); err != nil {
			return nil, err
		}
		if req.Right().Desk() {
			if req.Right().OptsIn() {
				req.Spawn(req.Right(), request.FromConsent, r.Now().UTC(), "")
			}
			return &habeasv1.DecisionRecord{Decision: "confirmed"}, req.Close(request.Ending{Result: request.ResultComplete})
		}
		if err := req.Move(request.AwaitingVerification); err != nil {
			return nil, err
		}
		v, _ := req.Verification()
		if _, verified := v.(request.Verified); verified {
			if err := req.Move(request.Accepted); err != nil {
				return nil, err
			}
		}
		return &habeasv1.DecisionRecord{Decision: "confirmed"}, nil
	})
}

// FailVerification ends a request whose requester could not be verified, with
// the fallback the law wants; reached is the highest level shown.
func (r *Room) FailVerification(ctx context.Context, id request.ID, reached request.Level) error {
	return r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if err := s.Request.FailVerification(reached, r.Now().UTC()); err != nil {
			return nil, err
		}
		return &habeasv1.DecisionRecord{Decision: "verification_failed", Code: s.Request.Ending.Code}, nil
	})
}

// Hold puts a hold on a request. A suspicion also drops the verification in
// hand (11 CCR 7061(b)).
func (r *Room) Hold(ctx context.Context, id request.ID, h request.Hold) (request.ID, error) {
	h.ID, h.By, h.Since = request.NewID(), request.ActorOf(ctx), r.Now().UTC()
	err := r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if h.Kind == request.CoolingHold || h.Kind == request.OrderHold || h.Kind == request.ApprovalHold {
			return nil, fmt.Errorf("%w: use legal, police or suspicion", request.ErrHold)
		}
		if err := s.Request.Hold(h); err != nil {
			return nil, err
		}
		if h.Kind == request.SuspicionHold {
			if err := s.Request.Doubt(); err != nil {
				return nil, err
			}
			r.notice(s, store.NoticeVerifyAgain)
		}
		held := s.Request.Case.Holds[len(s.Request.Case.Holds)-1]
		p := &habeasv1.DecisionRecord{Decision: "held", Code: string(held.Kind)}
		if !held.Until.IsZero() {
			p.UntilTime = timestamppb.New(held.Until)
		}
		return p, nil
	})
	return h.ID, err
}

// EndHold ends a hold, and RenewHold prolongs a direction of the police.
func (r *Room) EndHold(ctx context.Context, id, hold request.ID) error {
	return r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if err := s.Request.EndHold(hold, request.ActorOf(ctx), r.Now().UTC()); err != nil {
			return nil, err
		}
		return &habeasv1.DecisionRecord{Decision: "hold_ended"}, nil
	})
}

// RenewHold prolongs a direction of the police not to delete, once.
func (r *Room) RenewHold(ctx context.Context, id, hold request.ID) error {
	return r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if err := s.Request.RenewHold(hold, r.Now().UTC()); err != nil {
			return nil, err
		}
		return &habeasv1.DecisionRecord{Decision: "hold_renewed", Code: string(request.PoliceHold)}, nil
	})
}

// Narrow refuses to look back further than usual, with facts (11 CCR 7024(h)).
func (r *Room) Narrow(ctx context.Context, id request.ID, facts map[string]string) error {
	return r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if err := s.Request.Narrow(facts); err != nil {
			return nil, err
		}
		return &habeasv1.DecisionRecord{Decision: "range_narrowed", Code: "beyond_range", Facts: facts}, nil
	})
}

// Denial is a refusal as it is asked for.
type Denial = request.Refusal

// Denials returns how a request can be refused now: the codes that its law has
// for its right, none when the law lists none. Those that need no evidence and
// no second person come first as the law lists them.
func (r *Room) Denials(req *store.Request) ([]request.RefusalCode, error) {
	if !req.Terms.Ruled() || req.Right().Desk() {
		return nil, nil
	}
	rules, err := r.Regimes.At(req.Regime, req.Terms.Due.Received)
	if err != nil {
		return nil, err
	}
	var out []request.RefusalCode
	for _, d := range rules.Denials(req.Right()) {
		c := request.RefusalCode{Code: d.Code, Citation: d.Citation, Text: d.Text["en"]}
		for _, n := range d.Needs {
			if n == regimes.NeedsApprover {
				c.TwoPeople = true
				continue
			}
			c.Needs = append(c.Needs, string(n))
		}
		out = append(out, c)
	}
	return out, nil
}

// Deny refuses a request with a code that the regime has for its right, a
// reason, and what the code needs (11 CCR 7022(f), 7024(e), 7101(b)). Where it
// takes two people the first is noted, and the error is [request.ErrSecond].
func (r *Room) Deny(ctx context.Context, id request.ID, d Denial) error {
	past, err := r.pasts(ctx, id)
	if err != nil {
		return err
	}
	second := false
	err = r.decide(ctx, id, func(s *store.Snapshot) (rec *habeasv1.DecisionRecord, err error) {
		rec, second, err = r.deny(ctx, s, d, past)
		return rec, err
	})
	if err == nil && second {
		return request.ErrSecond
	}
	return err
}

// deny refuses one request and reports whether somebody else has yet to agree; see
// [Room.Deny]. Saying again what was decided changes nothing.
func (r *Room) deny(ctx context.Context, s *store.Snapshot, d Denial, past []request.Past) (rec *habeasv1.DecisionRecord, second bool, err error) {
	if e := s.Request.Ending; e != nil && e.Result == request.ResultDenied && e.Code == d.Code && e.Reason == d.Reason {
		return nil, false, nil
	}
	needs, err := r.mayDeny(s.Request.Request, d, past)
	if err != nil {
		return nil, false, err
	}
	req := s.Request.Request
	ending := request.Ending{Result: request.ResultDenied, Code: d.Code, Reason: d.Reason}
	approvals := int32(1)
	if slices.Contains(needs, string(regimes.NeedsApprover)) {
		if !request.CanClose(req.Right(), req.State(), request.ResultDenied) {
			return nil, false, req.Close(ending)
		}
		enough, err := req.Approve("deny/"+d.Code, request.ActorOf(ctx), r.Now())
		if err != nil {
			return nil, false, err
		}
		if !enough {
			return &habeasv1.DecisionRecord{Decision: "denial_asked", Code: d.Code, Reason: d.Reason, Approvals: 1}, true, nil
		}
		approvals = 2
	}
	if err := req.Close(ending); err != nil {
		return nil, false, err
	}
	req.Case.Decision = &request.Decision{Code: request.DenialCode(d.Code), Evidence: d.Evidence, By: request.ActorOf(ctx), At: r.Now().UTC()}
	return &habeasv1.DecisionRecord{Decision: "denied", Code: d.Code, Reason: d.Reason, Facts: d.Evidence, Approvals: approvals}, false, nil
}

// looksBack reports whether a denial depends on the person's other requests.
func looksBack(code string) bool {
	return code == string(request.DenyKnowLimit) || code == string(request.DenyRepeated)
}

// mayDeny reports what a denial needs, or why it is not allowed.
func (r *Room) mayDeny(req *request.Request, d Denial, past []request.Past) (needs []string, err error) {
	if d.Reason == "" || d.Code == "" {
		return nil, request.ErrNoReason
	}
	if !req.Terms.Ruled() {
		return nil, nil // the law is not known: a person decides, with code and reason
	}
	if req.Right().Desk() {
		if want := map[request.Right]request.DenialCode{request.Appeal: request.DenyUpheld, request.OptInSaleShare: request.DenyUnconfirmed, request.OptInSPI: request.DenyUnconfirmed}[req.Right()]; d.Code != string(want) {
			return nil, fmt.Errorf("%w: use %s", request.ErrCode, want)
		}
		return nil, nil
	}
	rules, err := r.Regimes.At(req.Regime, req.Terms.Due.Received)
	if err != nil {
		return nil, err
	}
	codes := rules.Denials(req.Right())
	if len(codes) == 0 {
		return nil, nil // the regime's file lists none
	}
	i := slices.IndexFunc(codes, func(c regimes.Denial) bool { return c.Code == d.Code })
	if i < 0 {
		names := make([]string, len(codes))
		for k, c := range codes {
			names[k] = c.Code
		}
		return nil, fmt.Errorf("%w: use one of %v", request.ErrCode, names)
	}
	var evidence []string
	for _, n := range codes[i].Needs {
		needs = append(needs, string(n))
		if n != regimes.NeedsApprover {
			evidence = append(evidence, string(n))
		}
	}
	if err := request.CheckEvidence(evidence, d.Evidence); err != nil {
		return nil, err
	}
	switch request.DenialCode(d.Code) {
	case request.DenyNotResident:
		if req.Case.Resident {
			return nil, fmt.Errorf("%w: a system holds an address of this person in the state of this law (Civ. Code 1798.140(i))", request.ErrNotYet)
		}
	case request.DenyKnowLimit:
		if !rules.MayDeclineKnow(req.AnsweredKnow(past)) {
			return nil, fmt.Errorf("%w: too few requests to know were answered in the twelve months before (Civ. Code 1798.130(b))", request.ErrNotYet)
		}
	case request.DenyRepeated:
		if !req.Repeats(past, rules.CorrectionBarred) {
			return nil, fmt.Errorf("%w: the same field was not refused shortly before, or new papers came (11 CCR 7023(g))", request.ErrNotYet)
		}
	}
	return needs, nil
}

// Grant decides an appeal in the consumer's favour: what was refused is done
// after all, as a request that follows from it.
func (r *Room) Grant(ctx context.Context, id request.ID) error {
	appeal, err := r.Lookup(ctx, id)
	if err != nil {
		return err
	}
	if appeal.Right() != request.Appeal {
		return fmt.Errorf("granting %s: %w", appeal.Right(), request.ErrTransition)
	}
	refused, err := r.Lookup(ctx, appeal.Case.Parent)
	if err != nil {
		return err
	}
	return r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if err := s.Request.Close(request.Ending{Result: request.ResultComplete}); err != nil {
			return nil, err
		}
		child := s.Request.Spawn(refused.Right(), request.FromAppeal, r.Now().UTC(), refused.Level())
		return &habeasv1.DecisionRecord{Decision: "child", Code: string(request.FromAppeal), OtherRequestId: string(child)}, nil
	})
}
