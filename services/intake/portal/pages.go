package portal

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/signal"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
)

// Limits on what one source or one person may try. Opting out has none but a
// generous one: a shared address must not keep anybody from it.
var (
	limitSubmit = verify.Limit{What: "submit", Most: 30, Window: time.Hour}
	limitPerson = verify.Limit{What: "person", Most: 10, Window: 24 * time.Hour}
	limitOptOut = verify.Limit{What: "opt_out", Most: 300, Window: time.Hour}
	limitCode   = verify.Limit{What: "code", Most: 30, Window: time.Hour}
	// Past this many requests from one source somebody may be trying people
	// out: they are taken, and a login alone does not verify them.
	limitUsual = verify.Limit{What: "usual", Most: 10, Window: time.Hour}
	limitSend  = verify.Limit{What: "send", Most: 5, Window: time.Hour}
)

func heardGPC(r *http.Request) bool { return signal.GPC(r.Header) }

func (p *Portal) home(v *visit) {
	data := p.newPage(v, "title")
	for _, f := range p.forms(v.language) {
		if f.Right.OptsIn() {
			data.Back = append(data.Back, f)
			continue
		}
		data.Choices = append(data.Choices, f)
	}
	p.show(v, http.StatusOK, "home", data)
}

// ask shows a form.
func (p *Portal) ask(v *visit, path string) { p.showForm(v, http.StatusOK, path) }

func (p *Portal) showForm(v *visit, status int, path string, problems ...string) {
	f := p.form(v.language, path)
	if f.IdempotencyKey = v.r.PostForm.Get("key"); f.IdempotencyKey == "" || len(problems) > 0 {
		f.IdempotencyKey = rand.Text()
	}
	data := p.newPage(v, "home_"+f.Key)
	for _, problem := range problems {
		data.Problems = append(data.Problems, p.word(v, problem))
	}
	_, data.SignedIn = p.session(v.r)
	if data.SignedIn {
		f.Fields = nil
	}
	for _, list := range [][]field{f.Fields, f.Points} { // nobody types twice what was right
		for i := range list {
			list[i].Value = v.r.PostForm.Get(list[i].Name)
		}
	}
	data.Form = f
	name := "choice"
	if f.Right.Verifiable() {
		name = "form"
		data.States = p.states(v)
	}
	p.show(v, status, name, data)
}

// states are what a person may say about where she lives.
func (p *Portal) states(v *visit) []state {
	out := []state{{"CA", p.word(v, "state_CA")}}
	for code := range p.Residence {
		if code != "CA" {
			out = append(out, state{code, code})
		}
	}
	slices.SortFunc(out[1:], func(a, b state) int { return strings.Compare(a.Code, b.Code) })
	return append(out, state{"other", p.word(v, "state_other")})
}

// submit takes a form in.
func (p *Portal) submit(v *visit, path string) {
	f := p.form(v.language, path)
	values := v.r.PostForm
	if !onlyKnown(values, f.names()) {
		p.fail(v, http.StatusUnprocessableEntity, "error_unexpected")
		return
	}
	signedIn, loggedIn := p.session(v.r)
	phone := ""
	if f.Right.Verifiable() && p.byPhone() {
		phone = values.Get("point_" + p.Verify.Policy.PhonePoint())
	}
	ids, problem := p.whom(values.Get("email"), phone, signedIn, loggedIn)
	if problem != "" {
		p.showForm(v, http.StatusUnprocessableEntity, path, problem)
		return
	}
	var declaration *verify.Declaration
	if name := strings.TrimSpace(values.Get("declaration")); f.Declaration && name != "" && !loggedIn {
		declaration = verify.Declare(v.language, name, p.Now().UTC())
		if declaration.Check() != nil {
			p.showForm(v, http.StatusUnprocessableEntity, path, "error_declaration")
			return
		}
	}
	if err := p.limit(v, f, ids[0], loggedIn); err != nil {
		p.tooMany(v, "limiting submissions", err)
		return
	}
	entry, problem := p.entry(v, f, ids)
	if problem != "" {
		p.showForm(v, http.StatusUnprocessableEntity, path, problem)
		return
	}
	taken, err := p.Intake.Take(v.r.Context(), []intake.Entry{entry}, "portal")
	if err == nil {
		err = taken[0].Err
	}
	if err != nil {
		if fields := (request.FieldErrors)(nil); errors.As(err, &fields) {
			p.showForm(v, http.StatusUnprocessableEntity, path, "required_email")
			return
		}
		p.broken(v, "taking a request from the portal", err)
		return
	}
	id := taken[0].ID
	if f.Right.Verifiable() {
		suspicious, err := p.suspicious(v)
		if err != nil {
			p.broken(v, "counting requests", err)
			return
		}
		claimed := verify.Claimed{Suspicion: suspicious, Language: v.language, Anchor: ids[0], Points: pointValues(values, p.Verify.Policy.Points), Disputed: disputed(values), Declaration: declaration}
		if err := p.verify(v, id, claimed, signedIn, loggedIn); err != nil {
			p.broken(v, "beginning to verify a request", err)
			return
		}
		http.Redirect(v.w, v.r, p.link(id)+"?lang="+v.language, http.StatusSeeOther)
		return
	}
	if f.Right.OptsIn() && (loggedIn || p.Verify.Mail == nil) {
		http.Redirect(v.w, v.r, p.link(id)+"?lang="+v.language, http.StatusSeeOther)
		return
	}
	if f.Right == request.OptOutSaleShare {
		p.mark(v)
	}
	data := p.newPage(v, "done_"+f.Key)
	data.Form = f
	if !f.Right.OptsIn() {
		data.Link = p.link(id)
	} // else it goes to the address alone: nobody takes back what somebody else chose
	p.show(v, http.StatusOK, "done", data)
}

// mark leaves the mark that the script on the company's pages knows an opt-out
// by (signal.js). It says nothing else, and holds for two years.
func (p *Portal) mark(v *visit) {
	//nolint:gosec // G124: Secure follows the setting, and the script has to read it
	http.SetCookie(v.w, &http.Cookie{Name: "habeas_optout", Value: "1", Path: "/", Domain: p.Domain, MaxAge: 2 * 365 * 24 * 3600, Secure: p.Secure, SameSite: http.SameSiteLaxMode})
}

// unmark takes the mark of [Portal.mark] back.
func (p *Portal) unmark(v *visit) {
	//nolint:gosec // G124: as the mark itself
	http.SetCookie(v.w, &http.Cookie{Name: "habeas_optout", Path: "/", Domain: p.Domain, MaxAge: -1, Secure: p.Secure, SameSite: http.SameSiteLaxMode})
}

// verify begins to verify; who is signed in has shown who she is.
func (p *Portal) verify(v *visit, id request.ID, c verify.Claimed, s session, loggedIn bool) error {
	if err := p.Verify.Open(v.r.Context(), id, c); err != nil {
		return err
	}
	if !loggedIn {
		return nil
	}
	err := p.Verify.LoggedIn(v.r.Context(), id, s.At, s.identifiers()...)
	if errors.Is(err, verify.ErrGone) { // decided already: the form was sent twice
		return nil
	}
	return err
}

// whom says whom a form is about: the account that is signed in, or the address
// given or, without one, the number.
func (p *Portal) whom(email, phone string, s session, loggedIn bool) (ids []request.Identifier, problem string) {
	if loggedIn {
		return s.identifiers(), ""
	}
	who := request.NewIdentifier(request.Email, email)
	if strings.TrimSpace(email) == "" && strings.TrimSpace(phone) != "" {
		who = request.NewIdentifier(request.Phone, phone)
	}
	id, err := who.Normalize()
	switch {
	case err == nil:
		return []request.Identifier{id}, ""
	case who.Kind == request.Phone:
		return nil, "required_phone"
	case p.Login != nil:
		return nil, "required_login"
	case p.byPhone():
		return nil, "required_either"
	default:
		return nil, "required_email"
	}
}

// limit counts a submission by where it comes from and whom it is about. Who has
// just signed in is not counted with whoever types her address in.
func (p *Portal) limit(v *visit, f form, who request.Identifier, loggedIn bool) error {
	ctx, source := v.r.Context(), intake.Source(v.r, p.Proxied)
	if !f.Right.Verifiable() && !f.Right.OptsIn() {
		return p.Verify.Allow(ctx, limitOptOut, source)
	}
	if err := p.Verify.Allow(ctx, limitSubmit, source); err != nil {
		return err
	}
	if loggedIn {
		return p.Verify.Allow(ctx, limitPerson, "signed in\x00"+who.Reveal())
	}
	return p.Verify.Allow(ctx, limitPerson, who.Reveal())
}

// suspicious reports whether one source asks for unusually many people.
func (p *Portal) suspicious(v *visit) (bool, error) {
	err := p.Verify.Allow(v.r.Context(), limitUsual, intake.Source(v.r, p.Proxied))
	if errors.Is(err, verify.ErrTooMany) {
		return true, nil
	}
	return false, err
}

// tooMany answers a limit that refuses, or can't be asked.
func (p *Portal) tooMany(v *visit, doing string, err error) {
	if errors.Is(err, verify.ErrTooMany) {
		v.w.Header().Set("Retry-After", "3600")
		p.fail(v, http.StatusTooManyRequests, "error_too_many")
		return
	}
	p.broken(v, doing, err)
}

// entry makes what intake takes of a form.
func (p *Portal) entry(v *visit, f form, ids []request.Identifier) (e intake.Entry, problem string) {
	values := v.r.PostForm
	e = intake.Entry{Submission: request.Submission{
		Right: f.Right, Channel: request.ChannelWeb, Identifiers: ids, Regime: p.regime(values.Get("state")), Language: v.language,
	}}
	if key := values.Get("key"); key != "" && len(key) <= 100 {
		e.IdempotencyKey = "portal/" + key
	}
	if e.Probe = p.probes(v.r, e); !e.Probe && strings.HasPrefix(e.IdempotencyKey, probeKeys) {
		// Else whoever takes a day's key first would raise the alarm on that day.
		e.IdempotencyKey = "portal/visitor/" + values.Get("key")
	}
	if values.Get("scope") == "some" {
		if e.Submission.Portions = values["portion"]; len(e.Submission.Portions) == 0 {
			return e, "required_choice"
		}
	}
	if f.Range {
		e.Submission.Answer = request.Answer(values.Get("answer"))
	}
	if values.Get("range") == "all" {
		e.Submission.Range.Kind = request.RangeAll
	}
	if f.Correction {
		text := strings.Join(strings.Fields(values.Get("correction")), " ")
		if text == "" {
			return e, "required_choice"
		}
		category := "as_described"
		for _, c := range correctable {
			if c.name == values.Get("correct_field") {
				category = c.category
			}
		}
		e.Submission.Corrections = []request.Correction{{Field: category, Value: request.NewSecret(text)}}
	}
	return e, ""
}

// disputed are the data points that a correction is about: they prove nothing
// (11 CCR 7060(h)).
func disputed(values url.Values) []string {
	for _, c := range correctable {
		if c.name == values.Get("correct_field") && c.point != "" {
			return []string{c.point}
		}
	}
	return nil
}

// regime is the law for where a person says she lives. She is believed, and no
// paper is asked for; a law that is not in force here leaves the widest right.
func (p *Portal) regime(state string) string {
	name := p.Residence[state]
	if name == "" {
		return ""
	}
	if _, err := p.Intake.Regimes.Terms(name, p.Now().UTC(), request.Delete, request.Range{}); err != nil {
		return ""
	}
	return name
}
