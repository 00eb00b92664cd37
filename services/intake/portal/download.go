package portal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// ticket is what the browser holds between asking for a code and giving it.
type ticket struct {
	Request request.ID `json:"request"`
	Digest  []byte     `json:"digest"`
	Expires time.Time  `json:"expires"`
	ID      string     `json:"id"`
}

// ErrExpired says that a package was there and its time is over.
var ErrExpired = errors.New("the package's time is over")

const (
	ticketLife = 15 * time.Minute
	// claimLife is after how long a download that never came to an end is
	// believed to be dead.
	claimLife = 30 * time.Minute
	// sendWithin bounds the sending of a code.
	sendWithin = time.Minute
)

// How often a code may be tried: one, and all of a request.
var (
	limitTicket = verify.Limit{What: "download_code", Most: 5, Window: ticketLife}
	limitTries  = verify.Limit{What: "download_try", Most: 30, Window: 24 * time.Hour}
)

// downloadCode sends a code for one download. The page is the same and as
// quick whether the address is known or not: sending goes on behind it.
func (p *Portal) downloadCode(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	if !p.statusOf(&req, v.language).Ready {
		p.showStatus(v, http.StatusConflict, &req, "", "", "download_refused")
		return
	}
	if err := p.Verify.Allow(v.r.Context(), limitSend, "download/"+string(req.ID)); err != nil {
		p.tooMany(v, "limiting codes", err)
		return
	}
	values := v.r.PostForm
	if !onlyKnown(values, []string{"lang", "by", "phone"}) {
		p.fail(v, http.StatusUnprocessableEntity, "error_unexpected")
		return
	}
	byText := p.Verify.Text != nil && values.Get("by") == "text"
	number := ""
	if byText {
		if number, ok = p.number(v, &req); !ok {
			return
		}
	}
	code := verify.NewCode()
	t := ticket{Request: req.ID, Expires: p.Now().UTC().Add(ticketLife), ID: rand.Text()}
	t.Digest = codeDigest(t.ID, code)
	ctx := context.WithoutCancel(v.r.Context())
	go func() {
		send := p.sendDownloadCode
		if byText {
			send = p.textDownloadCode(number)
		}
		if err := send(ctx, &req, t.ID, code, v.language); err != nil {
			p.Logger.ErrorContext(ctx, "sending a code for a download", slog.String("request", string(req.ID)), slog.Any("error", err))
		}
	}()
	note := "download_sent"
	if byText {
		note = "download_texted"
	}
	p.showStatus(v, http.StatusOK, &req, note, p.seal("ticket", t))
}

func codeDigest(id, code string) []byte {
	sum := sha256.Sum256([]byte(id + "\x00" + code))
	return sum[:]
}

// sendDownloadCode sends to the address of the request, if a system holds it.
func (p *Portal) sendDownloadCode(ctx context.Context, req *store.Request, id, code, language string) error {
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	ids, err := p.Intake.Identifiers(ctx, req)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(ids, func(id request.Identifier) bool { return id.Kind == request.Email })
	if i < 0 || p.Verify.Mail == nil {
		return nil
	}
	held, err := p.Matcher.Match(ctx, ids[i], verify.MailClaims(ids[i]))
	if err != nil || !held.HoldsMail(ids[i]) {
		return err
	}
	m := downloadText(language, p.Brand.Company, code)
	m.ID, m.To = id, ids[i].Value
	return p.Verify.Mail.Send(ctx, m)
}

// isHers reports whether who is signed in is whom the request is about.
func (p *Portal) isHers(ctx context.Context, req *store.Request, s session) bool {
	if len(req.WrappedKey) == 0 {
		return false
	}
	ids, err := p.Intake.Identifiers(ctx, req)
	if err != nil {
		p.Logger.ErrorContext(ctx, "reading whom a request is about", slog.Any("error", err))
		return false
	}
	return slices.ContainsFunc(s.identifiers(), func(id request.Identifier) bool { return slices.Contains(ids, id) })
}

// mayDownload reports whether the visitor has just shown who she is.
func (p *Portal) mayDownload(v *visit, req *store.Request) (bool, error) {
	if s, ok := p.session(v.r); ok && p.isHers(v.r.Context(), req, s) {
		return true, nil
	}
	var t ticket
	if p.unseal("ticket", v.r.PostForm.Get("ticket"), &t) != nil || t.Request != req.ID || p.Now().After(t.Expires) {
		return false, nil
	}
	if err := p.Verify.Allow(v.r.Context(), limitTicket, t.ID); err != nil {
		return false, err
	}
	if err := p.Verify.Allow(v.r.Context(), limitTries, string(req.ID)); err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(t.Digest, codeDigest(t.ID, digitsOf(v.r.PostForm.Get("code")))) == 1, nil
}

func digitsOf(s string) string {
	var out []byte
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			out = append(out, s[i])
		}
	}
	return string(out)
}

// download releases the package, once.
func (p *Portal) download(v *visit) {
	req, ok := p.found(v)
	if !ok {
		return
	}
	if err := p.Verify.Allow(v.r.Context(), limitCode, intake.Source(v.r, p.Proxied)); err != nil {
		p.tooMany(v, "limiting codes", err)
		return
	}
	may, err := p.mayDownload(v, &req)
	if err != nil {
		p.tooMany(v, "checking a code", err)
		return
	}
	if !may || !p.statusOf(&req, v.language).Ready {
		p.showStatus(v, http.StatusForbidden, &req, "", v.r.PostForm.Get("ticket"), "download_refused")
		return
	}
	now, claim := p.Now().UTC(), rand.Text()
	won, err := p.Doors.ClaimDownload(v.r.Context(), req.ID, claim, now, now.Add(-claimLife))
	if err != nil {
		p.broken(v, "claiming a download", err)
		return
	}
	if !won {
		p.fail(v, http.StatusGone, "download_taken")
		return
	}
	whole := false
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), 10*time.Second)
		defer cancel()
		if err := p.Doors.EndDownload(ctx, req.ID, claim, whole); err != nil {
			p.Logger.ErrorContext(ctx, "ending a download", slog.String("request", string(req.ID)), slog.Any("error", err))
		}
	}()
	body, size, err := p.Package(v.r.Context(), req.ID)
	if errors.Is(err, ErrExpired) {
		p.fail(v, http.StatusGone, "download_expired")
		return
	}
	if err != nil {
		p.broken(v, "opening a package", err)
		return
	}
	defer body.Close()
	h := v.w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="privacy-package.zip"`)
	if size > 0 {
		h.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	n, err := io.Copy(v.w, body)
	if whole = err == nil && (size <= 0 || n == size); !whole {
		p.Logger.WarnContext(v.r.Context(), "a download broke off; it can be tried again", slog.String("request", string(req.ID)))
	}
}

// downloadText is the message that carries the code for a download.
func downloadText(language, company, code string) mail.Message {
	if language == "es" {
		return mail.Message{Language: "es", Subject: "Su código para la descarga", Text: fmt.Sprintf(`Alguien quiere descargar la copia de su información de %s.

Su código, válido por 15 minutos: %s

Si no fue usted, no haga nada.
`, company, code)}
	}
	return mail.Message{Language: "en", Subject: "Your code for the download", Text: fmt.Sprintf(`Somebody wants to download the copy of your information from %s.

Your code, good for 15 minutes: %s

If it was not you, do nothing.
`, company, code)}
}
