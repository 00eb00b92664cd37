package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// file is the content of a case: everything that is known about who asks. It is
// verification data, and exists only sealed and in memory.
type file struct {
	Language string            `json:"language"`
	Anchor   [2]string         `json:"anchor"` // kind and value
	Points   map[string]string `json:"points,omitempty"`
	Disputed []string          `json:"disputed,omitempty"`

	Declaration *Declaration `json:"declaration,omitempty"`
	LoggedIn    time.Time    `json:"logged_in,omitzero"`
	// Confirm is set for an agent's request: the code confirms the agent's
	// permission, and proves nothing else.
	Confirm   bool `json:"confirm,omitempty"`
	Confirmed bool `json:"confirmed,omitempty"`
	Suspicion bool `json:"suspicion,omitempty"`

	Asked   bool     `json:"asked,omitempty"`
	Asks    int      `json:"asks,omitempty"`
	Known   bool     `json:"known,omitempty"`
	Matched []string `json:"matched,omitempty"`
	// MailHeld says that a system holds the anchor, an address, letter by letter.
	MailHeld bool `json:"mail_held,omitempty"`
	// Tied are further identifiers, kind and value, that systems hold for the
	// person of the anchor, and Login those of the account that signed in.
	Tied  [][2]string `json:"tied,omitempty"`
	Login [][2]string `json:"login,omitempty"`

	// Challenge is the code that went by e-mail.
	Challenge *challenge `json:"challenge,omitempty"`
	Phone     *phone     `json:"phone,omitempty"`
}

// challenge is a code that was sent.
type challenge struct {
	ID      string    `json:"id"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
	Tries   int       `json:"tries"`
	Sent    bool      `json:"sent"`
	Passed  bool      `json:"passed"`
	// Sends counts the tries at sending it.
	Sends int `json:"sends"`
}

func (f *file) anchor() request.Identifier {
	return request.NewIdentifier(request.Kind(f.Anchor[0]), f.Anchor[1])
}

func (f *file) facts() Facts {
	return Facts{
		LoggedIn: f.LoggedIn, Suspicion: f.Suspicion, Possession: f.passed(viaMail) && !f.Confirm, Phone: f.passed(viaText) && !f.Confirm,
		Matched: f.matched(), Disputed: f.Disputed, Declared: f.Declaration.Check() == nil,
	}
}

// pointCode is the data point that a code from a mailbox is.
const pointCode = "email_code"

// counted are the names of the data points that a method counted.
func (f *file) counted(method string) []string {
	if method != MethodPoints && method != MethodDeclared {
		return nil
	}
	var out []string
	for _, m := range f.matched() {
		if !slices.Contains(f.Disputed, m) {
			out = append(out, m)
		}
	}
	if f.facts().Possession {
		out = append(out, pointCode)
	}
	if f.facts().Phone {
		out = append(out, pointText)
	}
	return out
}

// claims are the data points given that the company may ask for.
func (f *file) claims(points []Point) []Claim {
	var out []Claim
	for _, p := range points {
		if v := f.Points[p.Name]; v != "" {
			out = append(out, Claim{Point: p, Value: request.NewSecret(v)})
		}
	}
	return out
}

func caseAAD(id request.ID) []byte { return []byte("verification_case.sealed/" + string(id)) }

// ErrGone says that a case was decided and its data destroyed, or never was.
var ErrGone = errors.New("nothing is being verified for this request")

// load opens a case.
func (r *Room) load(ctx context.Context, id request.ID) (store.Case, *file, error) {
	c, err := r.Doors.GetCase(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Case{}, nil, ErrGone
	case err != nil:
		return store.Case{}, nil, err
	case !c.PurgedAt.IsZero():
		return c, nil, ErrGone
	}
	key, err := r.Vault.Unwrap(ctx, c.WrappedKey)
	if err != nil {
		return c, nil, fmt.Errorf("case of request %s: %w", id, err)
	}
	plain, err := key.Open(c.Sealed, caseAAD(id))
	if err != nil {
		return c, nil, fmt.Errorf("case of request %s: %w", id, err)
	}
	defer clear(plain)
	f := &file{}
	if err := json.Unmarshal(plain, f); err != nil {
		return c, nil, fmt.Errorf("case of request %s: not readable", id)
	}
	return c, f, nil
}

// seal puts a file into a case, under the case's key or, for a new case, one
// of its own.
func (r *Room) seal(ctx context.Context, c *store.Case, f *file) error {
	plain, err := json.Marshal(f)
	if err != nil {
		panic(err) // strings and times can always be encoded
	}
	defer clear(plain)
	if len(c.WrappedKey) == 0 {
		key, wrapped, err := r.Vault.NewDataKey(ctx)
		if err != nil {
			return err
		}
		c.WrappedKey, c.Sealed = wrapped, key.Seal(plain, caseAAD(c.RequestID))
		return nil
	}
	key, err := r.Vault.Unwrap(ctx, c.WrappedKey)
	if err != nil {
		return err
	}
	c.Sealed = key.Seal(plain, caseAAD(c.RequestID))
	return nil
}

// change applies fn to a case, again when somebody else changed it meanwhile.
func (r *Room) change(ctx context.Context, id request.ID, fn func(*store.Case, *file) error) error {
	for range 10 {
		c, f, err := r.load(ctx, id)
		if err != nil {
			return err
		}
		if err := fn(&c, f); err != nil {
			return err
		}
		if err := r.seal(ctx, &c, f); err != nil {
			return err
		}
		c.UpdatedAt = r.Now().UTC()
		if err := r.Doors.SaveCase(ctx, c); !errors.Is(err, store.ErrStale) {
			return err
		}
	}
	return fmt.Errorf("case of request %s: %w", id, store.ErrStale)
}
