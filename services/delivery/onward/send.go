package onward

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Base is where the pages are mounted.
const Base = "/recipients"

func linkKey(secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	_, _ = io.WriteString(mac, "habeas recipient links v1") // a hash never fails
	return mac.Sum(nil)
}

// token is what makes a link to a notice: it can't be guessed and is not stored.
func (r *Room) token(id request.ID) string {
	mac := hmac.New(sha256.New, r.link)
	_, _ = io.WriteString(mac, string(id)) // a hash never fails
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)[:20])
}

// Link is the address of a notice's page. Who has it can see whom the notice is
// about: it is for the recipient alone.
func (r *Room) Link(id request.ID) string {
	return r.URL + Base + "/" + string(id) + "/" + r.token(id)
}

// send returns why a notice could not be sent, as a code, or "".
func (r *Room) send(ctx context.Context, o *store.Onward) (code string, err error) {
	to, known := r.Book.Recipient(o.Recipient)
	if !known {
		return CodeUnknown, nil
	}
	req, _, err := r.Store.Get(ctx, o.RequestID)
	if err != nil {
		return CodeUnavailable, err
	}
	switch {
	case to.Tell.Webhook != "":
		return r.call(ctx, to, o, req.Right())
	case to.Tell.Email != "" && r.Mail != nil:
		return r.write(ctx, to, o, req.Right())
	default:
		return CodeNoChannel, nil
	}
}

// number is which message about it this is: 0 for the notice, then the reminders.
func number(o *store.Onward) int {
	if o.State == request.OnwardWaiting {
		return 0
	}
	return o.Reminders + 1
}

// key is the same for every try of one notice or reminder.
func key(o *store.Onward) string { return string(o.ID) + "." + strconv.Itoa(number(o)) }

func (r *Room) write(ctx context.Context, to disclosure.Recipient, o *store.Onward, right request.Right) (string, error) {
	l := r.letter(to, o, right)
	err := r.Mail.Send(ctx, mail.Message{
		ID: key(o), To: request.NewIdentifier(request.Email, to.Tell.Email).Value, Subject: l.subject, Text: l.text, Language: "en",
	})
	switch {
	case err == nil:
		return "", nil
	case errors.Is(err, mail.ErrRefused):
		return CodeRefused, err
	default:
		return CodeUnavailable, err
	}
}

// Notice is what a webhook gets. It names nobody.
type Notice struct {
	Reference  string `json:"reference"`
	Asked      string `json:"asked"` // "delete", "opt_out", "correct" or "correct_at_source"
	Categories string `json:"categories"`
	AnswerBy   string `json:"answer_by"` // yyyy-mm-dd, UTC
	Reminder   int    `json:"reminder"`  // 0 for the first notice
	// URL is the notice's page: POST URL/show answers whom it is about, POST
	// URL/acknowledge takes the word that it is done. Ask for application/json.
	URL string `json:"url"`
}

func (r *Room) call(ctx context.Context, to disclosure.Recipient, o *store.Onward, right request.Right) (string, error) {
	body, err := json.Marshal(Notice{
		Reference: string(o.ID), Asked: asked(o, right), Categories: o.Letters, AnswerBy: day(o.Deadline), Reminder: number(o), URL: r.Link(o.ID),
	})
	if err != nil {
		return CodeUnavailable, fmt.Errorf("calling a webhook: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.Tell.Webhook, bytes.NewReader(body))
	if err != nil {
		return CodeRefused, errors.New("calling a webhook: its address is none")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key(o))
	resp, err := r.Client.Do(req)
	if err != nil {
		return CodeUnavailable, errors.New("calling a webhook: no answer") // the error may quote the address
	}
	defer resp.Body.Close()
	switch s := resp.StatusCode; {
	case s/100 == 2:
		return "", nil
	case s >= 500, s == http.StatusTooManyRequests, s == http.StatusRequestTimeout:
		return CodeUnavailable, fmt.Errorf("calling a webhook: status %d", s)
	default:
		return CodeRefused, fmt.Errorf("calling a webhook: status %d", s)
	}
}

func asked(o *store.Onward, right request.Right) string {
	switch {
	case o.Basis == request.BasisSource:
		return "correct_at_source"
	case right == request.Correct:
		return "correct"
	case right == request.Delete:
		return "delete"
	default:
		return "opt_out"
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// letter is a notice in words.
type letter struct{ subject, text string }

// What a recipient is asked, by its role and the right (11 CCR 7022(b)-(c),
// 7026(f), 7050(g)-(h), 7053).
const (
	askProvider = "A consumer has used the right to have personal information deleted. You hold it for us under %s. Please delete it from your systems, or enable us to, and pass this on to your own service providers and contractors that hold it. If the law makes you keep something, keep only that and tell us what and why."
	askBuyer    = "A consumer has used the right to have personal information deleted. You received it from us. Please delete it, unless the law lets you keep it, and tell those to whom you gave it."
	askOptOut   = "A consumer has opted out of the sale and sharing of personal information. You received it from us after they had said so and before we could stop. Please stop selling and sharing it, and tell those to whom you gave it since to do the same."
	// 11 CCR 7023(c) and (i).
	askCorrect = "A consumer has used the right to have inaccurate personal information corrected. You hold it for us under %s. Please correct it in your systems, and pass this on to your own service providers and contractors that hold it."
	askSource  = "A consumer has shown us that personal information which we have from you is inaccurate, and we have corrected it. Please correct it in your systems, and don't give us or anybody else the wrong value again."
)

func (r *Room) request(to disclosure.Recipient, o *store.Onward, right request.Right) string {
	switch {
	case o.Basis == request.BasisSource:
		return askSource
	case right == request.Correct:
		return fmt.Sprintf(askCorrect, o.Contract)
	case right != request.Delete:
		return askOptOut
	case to.Role == tenant.ThirdParty:
		return askBuyer
	default:
		return fmt.Sprintf(askProvider, o.Contract)
	}
}

func (r *Room) letter(to disclosure.Recipient, o *store.Onward, right request.Right) letter {
	what := "Personal information to delete"
	switch {
	case o.Basis == request.BasisSource:
		what = "Inaccurate personal information from you"
	case right == request.Correct:
		what = "Personal information to correct"
	case right != request.Delete:
		what = "Opt-out of sale and sharing"
	}
	if number(o) > 0 {
		what = "Reminder: " + strings.ToLower(what[:1]) + what[1:]
	}
	parts := []string{
		to.Name + ",",
		r.request(to, o, right),
		fmt.Sprintf("Whom this is about, and where to confirm that you did it:\n%s", r.Link(o.ID)),
		"The page is for you alone: please don't pass the link on outside the people who carry this out. It shows identifiers only until you confirm.",
		fmt.Sprintf("Please confirm by %s. Reference: %s.", day(o.Deadline), o.ID),
	}
	if r.Contact != "" {
		parts = append(parts, "Questions: "+r.Contact)
	}
	return letter{subject: fmt.Sprintf("%s (%s), by %s", what, r.Company, day(o.Deadline)), text: strings.Join(append(parts, r.Company), "\n\n") + "\n"}
}
