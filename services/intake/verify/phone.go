package verify

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/sms"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// phone is the number a code may go to. That somebody gave it says nothing: a
// code goes there when a system said that a record of the person holds it.
type phone struct {
	Number string `json:"number"` // E.164
	Held   bool   `json:"held,omitempty"`
	// Sends counts the tries at sending codes to all numbers of the case.
	Sends     int        `json:"sends,omitempty"`
	Challenge *challenge `json:"challenge,omitempty"`
}

// pointText is the data point that a code from a phone is.
const pointText = "phone_code"

// claimHeld is the name of the claim by which systems are asked for a number.
const claimHeld = "number a code may go to"

// phoneFields are what fields with numbers are called where the policy does not
// say.
var phoneFields = []string{"phone", "phone_number", "mobile", "telephone"}

// HeldClaim asks whether a record holds a number. The whole number has to
// agree, with its country: another one that ends alike may be anybody's.
func (p Policy) HeldClaim(number request.Secret) Claim {
	var fields []string
	for _, pt := range p.Points {
		if pt.Form == wire.FormPhone {
			fields = append(fields, pt.Fields...)
		}
	}
	if len(fields) == 0 {
		fields = phoneFields
	}
	return Claim{Point: Point{Name: claimHeld, Form: wire.FormE164, Fields: fields}, Value: number}
}

// Holds reports whether a system holds the number of [Policy.HeldClaim].
func (a Answer) Holds() bool { return a.Known && slices.Contains(a.Matched, claimHeld) }

// disputesPhone reports whether a correction is about the number: then it
// proves nothing (11 CCR 7060(h)).
func (p Policy) disputesPhone(disputed []string) bool {
	return slices.ContainsFunc(p.Points, func(pt Point) bool { return pt.Form == wire.FormPhone && slices.Contains(disputed, pt.Name) })
}

// PhonePoint is the name of the data point that is a phone number; "" when
// nobody is asked for one.
func (p Policy) PhonePoint() string {
	for _, pt := range p.Points {
		if pt.Form == wire.FormPhone {
			return pt.Name
		}
	}
	return ""
}

// SendText asks for a code by text message: to number or, without one, to the
// number that was asked for or given before. What comes of it depends on what
// the systems hold, and nothing of it is said here.
func (r *Room) SendText(ctx context.Context, id request.ID, number string) error {
	if number != "" {
		n, err := request.NewIdentifier(request.Phone, number).Normalize()
		if err != nil {
			return request.FieldErrors{{Field: "phone", Problem: "is no phone number", Fix: "enter it with its area code, such as 415 555 0123"}}
		}
		number = n.Reveal()
	}
	err := r.change(ctx, id, func(c *store.Case, f *file) error {
		if f.Asks >= maxAsks {
			return ErrTooMany
		}
		to := number
		if to == "" {
			to = f.number(r.Policy)
		}
		if to == "" {
			return nil
		}
		next := &phone{Number: to}
		if f.Phone != nil {
			next.Sends = f.Phone.Sends
			if f.Phone.Number == to && f.Phone.Challenge != nil && f.Phone.Challenge.Passed {
				return nil
			}
		}
		f.Phone, f.Asked, c.NextAt = next, false, r.Now().UTC()
		return nil
	})
	if err == nil {
		r.kick()
	}
	return err
}

// number is the one that was asked for or given before.
func (f *file) number(p Policy) string {
	if f.Phone != nil {
		return f.Phone.Number
	}
	n, err := request.NewIdentifier(request.Phone, f.Points[p.PhonePoint()]).Normalize()
	if err != nil {
		return ""
	}
	return n.Reveal()
}

// asks are the claims that the systems are asked about. Where somebody lives is
// asked with others and not alone: it would make systems read all they hold.
func (f *file) asks(p Policy, regime string) []Claim {
	claims := append(f.claims(p.Points), MailClaims(f.anchor())...)
	if f.Phone != nil {
		claims = append(claims, p.HeldClaim(request.NewSecret(f.Phone.Number)))
	}
	if len(claims) > 0 {
		claims = append(claims, residence(regime)...)
	}
	return claims
}

// ours reports whether a claim is none of the person's: it counts for nothing.
func ours(name string) bool {
	return name == claimHeld || name == claimMail || strings.HasPrefix(name, claimLives) || strings.HasPrefix(name, claimSame)
}

// sameAsks reports whether g asks the systems nothing that f did not ask.
func (f *file) sameAsks(g *file) bool {
	number := func(x *file) string {
		if x.Phone == nil {
			return ""
		}
		return x.Phone.Number
	}
	return maps.Equal(f.Points, g.Points) && number(f) == number(g)
}

// matched are the data points that agree with what is held and prove something.
// The number by which the person was found, or on which a code arrived, is one
// thing and counts once.
func (f *file) matched() []string {
	counted := ""
	switch {
	case f.Phone != nil && f.Phone.Challenge != nil && f.Phone.Challenge.Passed:
		counted = f.Phone.Number
	case f.Anchor[0] == string(request.Phone):
		counted = f.Anchor[1]
	}
	if counted = wire.InForm(wire.FormPhone, counted); counted == "" {
		return f.Matched
	}
	var out []string
	for _, m := range f.Matched {
		if wire.InForm(wire.FormPhone, f.Points[m]) != counted {
			out = append(out, m)
		}
	}
	return out
}

// via is a way by which a code goes to the person.
type via int

const (
	viaMail via = iota
	viaText
)

var ways = []via{viaMail, viaText}

// challenge is the code that went a way; nil when none did.
func (f *file) challenge(v via) *challenge {
	switch {
	case v == viaMail:
		return f.Challenge
	case f.Phone != nil:
		return f.Phone.Challenge
	default:
		return nil
	}
}

// passed reports whether a code came back that went this way.
func (f *file) passed(v via) bool {
	ch := f.challenge(v)
	return ch != nil && ch.Passed
}

// reaches reports whether a way leads to who a system knows.
func (r *Room) reaches(v via, f *file) bool {
	if v == viaMail {
		return r.Mail != nil && f.Known && f.Anchor[0] == string(request.Email) && (f.MailHeld || len(MailClaims(f.anchor())) == 0)
	}
	return r.Text != nil && f.Phone != nil && f.Phone.Held && !r.Policy.disputesPhone(f.Disputed)
}

// due reports whether a code has to go out this way.
func (r *Room) due(v via, f *file) bool {
	ch := f.challenge(v)
	return r.reaches(v, f) && f.sends(v) < maxSends && (ch == nil || !ch.Sent && !ch.Passed)
}

// sends is how often sending by a way was tried.
func (f *file) sends(v via) int {
	switch {
	case v == viaText && f.Phone != nil:
		return f.Phone.Sends
	case v == viaMail && f.Challenge != nil:
		return f.Challenge.Sends
	default:
		return 0
	}
}

// begin counts a try at sending, and makes the code at the first.
func (r *Room) begin(v via, f *file) *challenge {
	fresh := func() *challenge {
		return &challenge{ID: newID(), Code: NewCode(), Expires: r.Now().UTC().Add(r.Policy.CodeLife)}
	}
	if v == viaMail {
		if f.Challenge == nil {
			f.Challenge = fresh()
		}
		f.Challenge.Sends++
		return f.Challenge
	}
	if f.Phone.Challenge == nil {
		f.Phone.Challenge = fresh()
	}
	f.Phone.Sends++
	f.Phone.Challenge.Sends++
	return f.Phone.Challenge
}

// limitText is how many codes one number is sent, over all requests: somebody
// else may be asking.
var limitText = Limit{What: "text", Most: 10, Window: 24 * time.Hour}

// spare reports whether a number was sent as many codes as is fair. A code that
// is tried again is none more.
func (r *Room) spare(ctx context.Context, v via, f *file) (bool, error) {
	if v != viaText || f.Phone.Challenge != nil {
		return false, nil
	}
	err := r.Allow(ctx, limitText, f.Phone.Number)
	if errors.Is(err, ErrTooMany) {
		return true, nil
	}
	return false, err
}

// deliver sends a code that is stored.
func (r *Room) deliver(ctx context.Context, v via, f *file) error {
	ch := f.challenge(v)
	if v == viaText {
		return r.Text.Send(ctx, sms.Message{
			ID: ch.ID, To: request.NewSecret(f.Phone.Number), Language: f.Language, Again: ch.Sends > 1,
			Text: textCode(f.Language, r.Company, ch.Code, r.Host, f.Confirm),
		})
	}
	text := codeText
	if f.Confirm {
		text = confirmText
	}
	m := text(f.Language, r.Company, ch.Code)
	m.ID, m.To = ch.ID, f.anchor().Value
	return r.Mail.Send(ctx, m)
}

var errNotDue = errors.New("no code is due")
