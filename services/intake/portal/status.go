package portal

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// status is how a request stands, for the person. It holds no identifier.
type status struct {
	ID                        request.ID
	Right                     request.Right
	State, Received, AnswerBy string
	Reason                    string
	Waiting, Open, Ready      bool
	// Unconfirmed says that the second step of two is to come.
	Unconfirmed bool
}

var spanishMonths = []string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"}

// dateIn is a day as people write it.
func dateIn(language string, d request.Date) string {
	if language == "es" {
		return fmt.Sprintf("%d de %s de %d", d.Day, spanishMonths[d.Month-1], d.Year)
	}
	return fmt.Sprintf("%s %d, %d", d.Month, d.Day, d.Year)
}

func (p *Portal) statusOf(r *store.Request, language string) status {
	s := status{
		ID: r.ID, Right: r.Right(), Received: dateIn(language, r.Terms.Due.Received), Open: !ended(r),
		Waiting:     r.State() == request.AwaitingVerification || r.State() == request.Received && r.Right().Verifiable(),
		Unconfirmed: r.Case.Unconfirmed && !ended(r),
		Ready:       r.HandsOver() && len(r.WrappedKey) > 0 && (r.State() == request.Closing || r.State() == request.Closed),
	}
	if s.Open {
		s.AnswerBy = dateIn(language, r.AnswerBy())
	}
	switch {
	case s.Unconfirmed:
		s.State = "state_unconfirmed"
	case s.Waiting:
		s.State = "state_waiting"
	case r.State() == request.Packaging:
		s.State = "state_packaging"
	case !ended(r):
		s.State = "state_working"
	default:
		s.State = map[request.Result]string{
			request.ResultComplete: "state_done", request.ResultCompleteWithExceptions: "state_done_exceptions", request.ResultPartial: "state_partial",
			request.ResultDenied: "state_denied", request.ResultCancelled: "state_cancelled",
		}[r.Ending.Result]
		if !r.Ending.Result.Answered() {
			s.Reason = r.Ending.Reason
		}
	}
	return s
}

func ended(r *store.Request) bool {
	return r.State() == request.Closing || r.State() == request.Closed
}

// found reads the request of a link, or answers that there is none.
func (p *Portal) found(v *visit) (store.Request, bool) {
	id, ok := p.fromLink(v.r.PathValue("id"), v.r.PathValue("token"))
	if !ok {
		p.fail(v, http.StatusNotFound, "error_not_found")
		return store.Request{}, false
	}
	req, err := p.Intake.Lookup(v.r.Context(), id)
	if errors.Is(err, store.ErrNotFound) {
		p.fail(v, http.StatusNotFound, "error_not_found")
		return store.Request{}, false
	}
	if err != nil {
		p.broken(v, "reading a request", err)
		return store.Request{}, false
	}
	return req, true
}

func (p *Portal) status(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	note := ""
	switch v.r.URL.Query().Get("said") {
	case "code":
		note = "code_taken"
	case "more":
		note = "more_taken"
	case "resent":
		note = "code_resent"
	case "text":
		note = "text_sent"
	case "confirmed":
		note = "confirmed"
	case "other":
		note = "login_other"
	}
	p.showStatus(v, http.StatusOK, &req, note, "")
}

func (p *Portal) showStatus(v *visit, code int, req *store.Request, note, ticket string, problems ...string) {
	data := p.newPage(v, "status_title")
	data.Status, data.Link, data.Token, data.Ticket = p.statusOf(req, v.language), p.link(req.ID), p.token(req.ID), ticket
	data.Code = field{Name: "code", Type: "text", Autocomplete: "one-time-code", Mode: "numeric", Label: p.word(v, "code"), Necessity: p.word(v, "code_necessity"), Required: true}
	if p.Verify.Text != nil {
		data.Code.Label, data.Code.Necessity = p.word(v, "code_either"), p.word(v, "code_either_necessity")
		data.Phone = field{Name: "phone", Type: "tel", Autocomplete: "tel", Label: p.word(v, "text_phone"), Necessity: p.word(v, "text_phone_necessity")}
	}
	for _, f := range p.forms(v.language) {
		if f.Right == req.Right() {
			data.Form = f
		}
	}
	if note != "" {
		data.Note = p.word(v, note)
	}
	for _, problem := range problems {
		data.Problems = append(data.Problems, p.word(v, problem))
	}
	if s, ok := p.session(v.r); ok && data.Status.Ready {
		data.SignedIn = p.isHers(v.r.Context(), req, s)
	}
	p.show(v, code, "status", data)
}

func (p *Portal) said(v *visit, id request.ID, what string) {
	http.Redirect(v.w, v.r, p.link(id)+"?said="+what+"&lang="+v.language, http.StatusSeeOther)
}

// code takes the code that was sent.
func (p *Portal) code(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	if !onlyKnown(v.r.PostForm, []string{"code", "lang"}) {
		p.fail(v, http.StatusUnprocessableEntity, "error_unexpected")
		return
	}
	if err := p.Verify.Allow(v.r.Context(), limitCode, intake.Source(v.r, p.Proxied)); err != nil {
		p.tooMany(v, "limiting codes", err)
		return
	}
	err := p.Verify.Answer(v.r.Context(), req.ID, v.r.PostForm.Get("code"))
	switch {
	case errors.Is(err, verify.ErrCode):
		p.showStatus(v, http.StatusUnprocessableEntity, &req, "", "", "code_wrong")
	case err != nil:
		p.broken(v, "taking a code", err)
	default:
		p.said(v, req.ID, "code")
	}
}

func (p *Portal) resend(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	if err := p.Verify.Allow(v.r.Context(), limitSend, string(req.ID)); err != nil {
		p.tooMany(v, "limiting codes", err)
		return
	}
	if err := p.Verify.Resend(v.r.Context(), req.ID); err != nil {
		p.broken(v, "sending a new code", err)
		return
	}
	p.said(v, req.ID, "resent")
}

// points takes further data points.
func (p *Portal) points(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	f := form{Right: req.Right()}
	for _, other := range p.forms(v.language) {
		if other.Right == req.Right() {
			f = other
		}
	}
	values := v.r.PostForm
	if !onlyKnown(values, f.names()) {
		p.fail(v, http.StatusUnprocessableEntity, "error_unexpected")
		return
	}
	if err := p.Verify.Allow(v.r.Context(), limitSend, "points/"+string(req.ID)); err != nil {
		p.tooMany(v, "limiting data points", err)
		return
	}
	var declaration *verify.Declaration
	if name := values.Get("declaration"); name != "" {
		if declaration = verify.Declare(v.language, name, p.Now().UTC()); declaration.Check() != nil {
			p.showStatus(v, http.StatusUnprocessableEntity, &req, "", "", "error_declaration")
			return
		}
	}
	given := pointValues(values, p.Verify.Policy.Points)
	err := p.Verify.Add(v.r.Context(), req.ID, given, declaration)
	if errors.Is(err, verify.ErrGone) && p.statusOf(&req, v.language).Waiting {
		err = p.reopen(v, &req, verify.Claimed{Language: v.language, Points: given, Declaration: declaration})
	}
	if err != nil && !errors.Is(err, verify.ErrGone) {
		p.tooMany(v, "taking data points", err)
		return
	}
	p.said(v, req.ID, "more")
}

// reopen begins to verify a request that waits and has no case: it came by the
// API, or something broke between storing it and this.
func (p *Portal) reopen(v *visit, req *store.Request, c verify.Claimed) error {
	ids, err := p.Intake.Identifiers(v.r.Context(), req)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if c.Anchor.Kind == "" && id.Kind != request.Name || id.Kind == request.Email {
			c.Anchor = id
		}
	}
	return p.Verify.Open(v.r.Context(), req.ID, c)
}

// confirm takes the second step of a request that has two. Taking it twice changes
// nothing.
func (p *Portal) confirm(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	if !onlyKnown(v.r.PostForm, []string{"lang"}) {
		p.fail(v, http.StatusUnprocessableEntity, "error_unexpected")
		return
	}
	if ended(&req) && req.Ending.Result != request.ResultComplete {
		p.said(v, req.ID, "") // withdrawn, or never confirmed in time: its page says so
		return
	}
	if err := p.Intake.Confirm(v.r.Context(), req.ID); err != nil {
		p.broken(v, "confirming a request", err)
		return
	}
	if req.Right() == request.OptInSaleShare {
		p.unmark(v)
	}
	p.said(v, req.ID, "confirmed")
}

func (p *Portal) withdraw(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	err := p.Intake.Stop(v.r.Context(), req.ID, request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: p.word(v, "state_cancelled")})
	if err != nil && !errors.Is(err, request.ErrTransition) {
		p.broken(v, "withdrawing a request", err)
		return
	}
	p.said(v, req.ID, "")
}

// fresh is how old a login may be for a release.
func (p *Portal) fresh(at time.Time) bool { return p.Verify.Policy.IsFresh(at, p.Now()) }
