package records

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
)

// Compliance is the purpose the log is kept for, and the only one it may be
// used for (11 CCR 7101(d)).
const Compliance = "compliance"

// Readers are the roles that may read the log.
var Readers = []string{"auditor", "operator", "privacy"}

// ErrPurpose says that the log may not be read by this role or for this
// purpose.
var ErrPurpose = errors.New("the log of requests is for compliance alone (11 CCR 7101(d))")

// ErrNobody says that who reads the log did not say who they are.
var ErrNobody = errors.New("each look at the log of requests goes on record: say who looks")

// Reader is who reads the log, and what for.
type Reader struct{ Who, Role, Purpose string }

func (r Reader) allowed() bool {
	return r.Who != "" && r.Purpose == Compliance && slices.Contains(Readers, r.Role)
}

// Log is the log of requests behind its lock.
type Log struct {
	Store store.Records
	Now   func() time.Time // nil is the machine's
}

// enter records a look at the log, before anything is shown, and refuses what
// is not for compliance. The error is [ErrPurpose], [ErrNobody], or that of the store: a look
// that cannot be recorded is not allowed.
func (l Log) enter(ctx context.Context, r Reader) error {
	now := time.Now
	if l.Now != nil {
		now = l.Now
	}
	who := r.Who
	if who == "" {
		who = "unnamed"
	}
	err := l.Store.PutAccess(ctx, store.Access{At: now().UTC(), Who: who, Role: r.Role, Purpose: r.Purpose, Allowed: r.allowed()})
	if err != nil {
		return err
	}
	if r.Who == "" {
		return ErrNobody
	}
	if !r.allowed() {
		return fmt.Errorf("role %q, purpose %q: %w", r.Role, r.Purpose, ErrPurpose)
	}
	return nil
}

// Read hands the log to take, line by line, in the order of arrival. It keeps
// one page in memory. Errors are [ErrPurpose], those of the store, and take's.
func (l Log) Read(ctx context.Context, r Reader, q store.LogQuery, take func(store.LogEntry) error) error {
	if err := l.enter(ctx, r); err != nil {
		return err
	}
	var after store.Cursor
	for {
		page, err := l.Store.Log(ctx, q, after, 500)
		if err != nil {
			return err
		}
		for _, e := range page {
			if err := take(e); err != nil {
				return err
			}
			after = store.Cursor{CreatedAt: e.CreatedAt, ID: e.ID}
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// Metrics returns the numbers of a calendar year. Errors are those of
// [Log.Read].
func (l Log) Metrics(ctx context.Context, r Reader, year int, tenant, regime string) (Metrics, error) {
	if err := l.enter(ctx, r); err != nil {
		return Metrics{}, err
	}
	tallies, err := l.Store.Tally(ctx, Year(year, tenant, regime))
	if err != nil {
		return Metrics{}, err
	}
	return Measure(year, tallies), nil
}
