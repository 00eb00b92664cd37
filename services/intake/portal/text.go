package portal

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// byPhone reports whether a person can ask with a number and no address.
func (p *Portal) byPhone() bool {
	return p.Verify.Text != nil && p.Verify.Policy.PhonePoint() != ""
}

// number is the one that was typed for a code by text message, in E.164; empty
// when none was. It answers when that is no number, or is tried too often,
// whoever it belongs to.
func (p *Portal) number(v *visit, req *store.Request) (number string, ok bool) {
	typed := strings.TrimSpace(v.r.PostForm.Get("phone"))
	if typed == "" {
		return "", true
	}
	id, err := request.NewIdentifier(request.Phone, typed).Normalize()
	if err != nil {
		p.showStatus(v, http.StatusUnprocessableEntity, req, "", "", "required_phone")
		return "", false
	}
	if err := p.Verify.Allow(v.r.Context(), limitPerson, id.Reveal()); err != nil {
		p.tooMany(v, "limiting text messages", err)
		return "", false
	}
	return id.Reveal(), true
}

// text sends a code by text message. The page is the same and as quick whether
// a system holds the number or not: they are asked behind it.
func (p *Portal) text(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	if p.Verify.Text == nil {
		p.fail(v, http.StatusNotFound, "error_not_found")
		return
	}
	if !onlyKnown(v.r.PostForm, []string{"phone", "lang"}) {
		p.fail(v, http.StatusUnprocessableEntity, "error_unexpected")
		return
	}
	if err := p.Verify.Allow(v.r.Context(), limitSend, "text/"+string(req.ID)); err != nil {
		p.tooMany(v, "limiting text messages", err)
		return
	}
	number, ok := p.number(v, &req)
	if !ok {
		return
	}
	err := p.Verify.SendText(v.r.Context(), req.ID, number)
	if errors.Is(err, verify.ErrGone) && p.statusOf(&req, v.language).Waiting {
		if err = p.reopen(v, &req, verify.Claimed{Language: v.language}); err == nil {
			err = p.Verify.SendText(v.r.Context(), req.ID, number)
		}
	}
	if err != nil && !errors.Is(err, verify.ErrGone) {
		p.tooMany(v, "sending a code by text message", err)
		return
	}
	p.said(v, req.ID, "text")
}

// textDownloadCode sends the code for a download to a number, or to that of the
// request, if a system holds it for whom the request is about.
func (p *Portal) textDownloadCode(number string) func(context.Context, *store.Request, string, string, string) error {
	return func(ctx context.Context, req *store.Request, id, code, language string) error {
		ctx, cancel := context.WithTimeout(ctx, sendWithin)
		defer cancel()
		ids, err := p.Intake.Identifiers(ctx, req)
		if err != nil {
			return err
		}
		anchor := slices.IndexFunc(ids, func(id request.Identifier) bool { return id.Kind == request.Email })
		phone := slices.IndexFunc(ids, func(id request.Identifier) bool { return id.Kind == request.Phone })
		if number == "" && phone >= 0 {
			number = ids[phone].Reveal()
		}
		if anchor < 0 {
			anchor = phone
		}
		if anchor < 0 || number == "" {
			return nil
		}
		to := request.NewSecret(number)
		held, err := p.Matcher.Match(ctx, ids[anchor], []verify.Claim{p.Verify.Policy.HeldClaim(to)})
		if err != nil || !held.Holds() {
			return err
		}
		return p.Verify.Text.Send(ctx, sms.Message{ID: id, To: to, Language: language, Text: p.Verify.DownloadText(language, code)})
	}
}
