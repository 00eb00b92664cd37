package sdktest_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// A mutant breaks one promise; failing is the subtest that must notice.
type mutant struct {
	name    string
	failing string
	make    func(*memory) sdk.Connector
}

// broken is the reference with single methods replaced.
type broken struct {
	reference
	locate      func(context.Context, sdk.Person) ([]sdk.Found, error)
	erase       func(context.Context, sdk.Person) error
	export      func(context.Context, sdk.Person, sdk.RecordWriter) error
	correct     func(context.Context, sdk.Person, []sdk.Correction) error
	optOut      func(context.Context, sdk.Person) error
	optIn       func(context.Context, sdk.Person) error
	standing    func(context.Context, sdk.Person) ([]sdk.Standing, error)
	limit       func(context.Context, sdk.Person) error
	liftLimit   func(context.Context, sdk.Person) error
	resolve     func(context.Context, sdk.Person) ([]sdk.Identifier, error)
	locateBatch func(context.Context, []sdk.Person) ([][]sdk.Found, error)
	eraseBatch  func(context.Context, []sdk.Person) []error
	list        func(context.Context, []byte, int) (sdk.Listing, error)
}

func (b *broken) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	if b.locate != nil {
		return b.locate(ctx, p)
	}
	return b.reference.Locate(ctx, p)
}

func (b *broken) Erase(ctx context.Context, p sdk.Person) error {
	if b.erase != nil {
		return b.erase(ctx, p)
	}
	return b.reference.Erase(ctx, p)
}

func (b *broken) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	if b.export != nil {
		return b.export(ctx, p, w)
	}
	return b.reference.Export(ctx, p, w)
}

func (b *broken) Correct(ctx context.Context, p sdk.Person, c []sdk.Correction) error {
	if b.correct != nil {
		return b.correct(ctx, p, c)
	}
	return b.reference.Correct(ctx, p, c)
}

func (b *broken) OptOut(ctx context.Context, p sdk.Person) error {
	if b.optOut != nil {
		return b.optOut(ctx, p)
	}
	return b.reference.OptOut(ctx, p)
}

func (b *broken) OptOutStanding(ctx context.Context, p sdk.Person) ([]sdk.Standing, error) {
	if b.standing != nil {
		return b.standing(ctx, p)
	}
	return b.reference.OptOutStanding(ctx, p)
}

func (b *broken) OptIn(ctx context.Context, p sdk.Person) error {
	if b.optIn != nil {
		return b.optIn(ctx, p)
	}
	return b.reference.OptIn(ctx, p)
}

func (b *broken) LimitSPI(ctx context.Context, p sdk.Person) error {
	if b.limit != nil {
		return b.limit(ctx, p)
	}
	return b.reference.LimitSPI(ctx, p)
}

func (b *broken) LiftLimit(ctx context.Context, p sdk.Person) error {
	if b.liftLimit != nil {
		return b.liftLimit(ctx, p)
	}
	return b.reference.LiftLimit(ctx, p)
}

func (b *broken) Resolve(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
	if b.resolve != nil {
		return b.resolve(ctx, p)
	}
	return b.reference.Resolve(ctx, p)
}

func (b *broken) LocateBatch(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
	if b.locateBatch != nil {
		return b.locateBatch(ctx, people)
	}
	return b.reference.LocateBatch(ctx, people)
}

func (b *broken) EraseBatch(ctx context.Context, people []sdk.Person) []error {
	if b.eraseBatch != nil {
		return b.eraseBatch(ctx, people)
	}
	return b.reference.EraseBatch(ctx, people)
}

func (b *broken) List(ctx context.Context, after []byte, most int) (sdk.Listing, error) {
	if b.list != nil {
		return b.list(ctx, after, most)
	}
	return b.reference.List(ctx, after, most)
}

// listing changes what List says.
func listing(change func(r reference, after []byte, l *sdk.Listing)) func(*memory) sdk.Connector {
	return with(func(r reference, b *broken) {
		b.list = func(ctx context.Context, after []byte, most int) (sdk.Listing, error) {
			l, err := r.List(ctx, after, most)
			if err == nil {
				change(r, after, &l)
			}
			return l, err
		}
	})
}

// with makes a mutant of the reference by a change.
func with(change func(r reference, b *broken)) func(*memory) sdk.Connector {
	return func(m *memory) sdk.Connector {
		b := &broken{reference: reference{m}}
		change(b.reference, b)
		return b
	}
}

// erasing replaces Erase by a change to the rows; it honours the context.
func erasing(change func(r reference, p sdk.Person)) func(*memory) sdk.Connector {
	return with(func(r reference, b *broken) {
		b.erase = func(ctx context.Context, p sdk.Person) error {
			leave, err := r.enter(ctx)
			if err != nil {
				return err
			}
			defer leave()
			change(r, p)
			return nil
		}
	})
}

// finding changes what Locate says.
func finding(change func(r reference, p sdk.Person, found []sdk.Found) []sdk.Found) func(*memory) sdk.Connector {
	return with(func(r reference, b *broken) {
		b.locate = func(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
			found, err := r.Locate(ctx, p)
			if err != nil {
				return nil, err
			}
			return change(r, p, found), nil
		}
	})
}

// afterErase erases and then leaves one more row.
func afterErase(leave func(name string) row) func(*memory) sdk.Connector {
	return with(func(r reference, b *broken) {
		b.erase = func(ctx context.Context, p sdk.Person) error {
			found, err := r.Locate(ctx, p)
			if err != nil {
				return err
			}
			if err := r.Erase(ctx, p); err != nil || len(found) == 0 {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.rows = append(r.rows, leave(p.Values(sdk.Name)[0]))
			return nil
		}
	})
}

func (c reference) remove(gone func(row) bool) { c.rows = slices.DeleteFunc(c.rows, gone) }

var mutants = []mutant{
	{"erases everyone", "erase/touches_nobody_else", erasing(func(r reference, _ sdk.Person) { r.rows = nil })},
	{"erases everyone for nobody", "a_person_without_identifiers_is_nobody", erasing(func(r reference, p sdk.Person) {
		r.remove(func(row row) bool { return !row.Keep && (r.owns(p, row) || len(p.Values(sdk.Email)) == 0) })
	})},
	{"erases one row only", "erase/removes_all_of_hers", erasing(func(r reference, p sdk.Person) {
		if i := slices.IndexFunc(r.rows, func(row row) bool { return !row.Keep && r.owns(p, row) }); i >= 0 {
			r.rows = slices.Delete(r.rows, i, i+1)
		}
	})},
	{"erases one store only", "erase/removes_all_of_hers", erasing(func(r reference, p sdk.Person) {
		r.remove(func(row row) bool { return row.Store == "contacts" && r.owns(p, row) })
	})},
	{"erases nothing", "erase/removes_all_of_hers", erasing(func(reference, sdk.Person) {})},
	{"unlinks only", "erase/leaves_no_trace", erasing(func(r reference, p sdk.Person) {
		for _, row := range r.rows {
			if r.owns(p, row) && !row.Keep {
				delete(row.Fields, "email")
				delete(row.Fields, "customer")
			}
		}
	})},
	{"erases the neighbour's note", "erase/touches_nobody_else", with(func(r reference, b *broken) {
		b.erase = func(ctx context.Context, p sdk.Person) error {
			if err := r.Erase(ctx, p); err != nil {
				return err
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, row := range r.rows {
				delete(row.Fields, "note")
			}
			return nil
		}
	})},
	{"leaves an unkeyed digest", "erase/leaves_no_trace", afterErase(func(name string) row {
		sum := sha256.Sum256([]byte(strings.ToLower(name)))
		return row{Store: "erased", Fields: map[string]string{"who": hex.EncodeToString(sum[:])}}
	})},
	{"leaves base64", "erase/leaves_no_trace", afterErase(func(name string) row {
		return row{Store: "erased", Fields: map[string]string{"blob": base64.StdEncoding.EncodeToString([]byte("x: " + name + " was here"))}}
	})},
	{"leaves another case", "erase/leaves_no_trace", afterErase(func(name string) row {
		return row{Store: "log", Fields: map[string]string{"line": "deleted name " + strings.ToUpper(name)}}
	})},
	{"erases the kept too", "erase/keeps_what_must_be_kept", erasing(func(r reference, p sdk.Person) { r.remove(func(row row) bool { return r.owns(p, row) }) })},
	{"keeps more of the kept than is needed", "erase/leaves_no_trace", erasing(func(r reference, p sdk.Person) {
		r.remove(func(row row) bool { return !row.Keep && r.owns(p, row) })
	})},
	{"counts low", "locate_counts_what_was_planted", finding(func(_ reference, _ sdk.Person, found []sdk.Found) []sdk.Found {
		return found[:len(found)/2]
	})},
	{"counts high", "locate_counts_what_was_planted", finding(func(_ reference, _ sdk.Person, found []sdk.Found) []sdk.Found {
		return append(found, found...)
	})},
	{"counts everyone", "locate_counts_what_was_planted", finding(func(r reference, _ sdk.Person, found []sdk.Found) []sdk.Found {
		if len(found) == 0 {
			return nil
		}
		return []sdk.Found{{Store: "contacts", Count: int64(len(r.rows))}}
	})},
	{"counts everyone for a stranger", "a_stranger_is_not_found", finding(func(r reference, _ sdk.Person, found []sdk.Found) []sdk.Found {
		if len(found) == 0 {
			return []sdk.Found{{Store: "contacts", Count: int64(len(r.rows))}}
		}
		return found
	})},
	{"keeps without a basis", "locate_counts_what_was_planted", finding(func(_ reference, _ sdk.Person, found []sdk.Found) []sdk.Found {
		for i := range found {
			if found[i].Keep != nil {
				found[i].Keep = &sdk.Keep{Until: keepUntil}
			}
		}
		return found
	})},
	{"keeps until yesterday", "locate_counts_what_was_planted", finding(func(_ reference, _ sdk.Person, found []sdk.Found) []sdk.Found {
		for i := range found {
			if found[i].Keep != nil {
				found[i].Keep = &sdk.Keep{Basis: "x", Until: time.Now().AddDate(0, 0, -1)}
			}
		}
		return found
	})},
	{"counts a store it does not declare", "locate_counts_what_was_planted", finding(func(_ reference, _ sdk.Person, found []sdk.Found) []sdk.Found {
		if len(found) == 0 {
			return nil
		}
		return append(found, sdk.Found{Store: "elsewhere", Count: 1})
	})},
	{"calls a stranger an error", "a_stranger_is_not_found", with(func(r reference, b *broken) {
		b.locate = func(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
			found, err := r.Locate(ctx, p)
			if err == nil && len(found) == 0 {
				return nil, sdk.Permanent(errors.New("no such customer"))
			}
			return found, err
		}
	})},
	{"finds by part of a value", "identifiers_are_values_and_not_patterns", with(func(r reference, b *broken) {
		b.locate = func(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
			q := p
			for _, v := range p.Values(sdk.Email) {
				r.mu.Lock()
				for _, row := range r.rows {
					if e := row.Fields["email"]; e != "" && (strings.Contains(v, e) || v == "%") {
						q = q.With(sdk.ID(sdk.Email, e))
					}
				}
				r.mu.Unlock()
			}
			return r.Locate(ctx, q)
		}
	})},
	{"locates by writing", "locate_changes_nothing", with(func(r reference, b *broken) {
		b.locate = func(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
			r.mu.Lock()
			for _, row := range r.rows {
				if r.owns(p, row) {
					row.Fields["last_seen"] = "now"
				}
			}
			r.mu.Unlock()
			return r.Locate(ctx, p)
		}
	})},
	{"leaves old records out without being asked", "locate_honours_since", finding(func(_ reference, p sdk.Person, found []sdk.Found) []sdk.Found {
		if !p.Since().IsZero() {
			return nil
		}
		return found
	})},
	{"erases once only", "erase_twice_is_fine", with(func(r reference, b *broken) {
		b.erase = func(ctx context.Context, p sdk.Person) error {
			found, err := r.Locate(ctx, p)
			if err == nil && !slices.ContainsFunc(found, func(f sdk.Found) bool { return f.Keep == nil }) && len(found) > 0 {
				return sdk.Permanent(errors.New("already gone"))
			}
			return r.Erase(ctx, p)
		}
	})},
	{"can't erase at once", "erase_four_at_once_is_fine", with(func(r reference, b *broken) {
		var busy atomic.Bool
		b.erase = func(ctx context.Context, p sdk.Person) error {
			if !busy.CompareAndSwap(false, true) {
				return sdk.Permanent(errors.New("another erasure is running"))
			}
			defer busy.Store(false)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(20 * time.Millisecond):
			}
			return r.Erase(ctx, p)
		}
	})},
	{"takes an intention for the deed", "erase_cut_off_can_be_finished", with(func(r reference, b *broken) {
		var begun atomic.Bool
		b.erase = func(ctx context.Context, p sdk.Person) error {
			if begun.Swap(true) {
				return nil
			}
			return r.Erase(ctx, p)
		}
	})},
	{"tells the identifier in an error", "no_identifier_in_errors_or_logs", with(func(r reference, b *broken) {
		b.locate = func(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
			found, err := r.Locate(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("looking for %s: %w", p.Values(sdk.Email), err)
			}
			return found, nil
		}
	})},
	{"tells the address of its question in an outage", "no_identifier_in_errors_or_logs", with(func(r reference, b *broken) {
		b.locate = func(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
			found, err := r.Locate(ctx, p)
			if err != nil && ctx.Err() == nil {
				return nil, fmt.Errorf("GET /contacts?email=%s: %w", url.QueryEscape(p.Values(sdk.Email)[0]), err)
			}
			return found, err
		}
	})},
	{"logs the identifier", "no_identifier_in_errors_or_logs", with(func(r reference, b *broken) {
		b.erase = func(ctx context.Context, p sdk.Person) error {
			for _, id := range p.Identifiers() {
				slog.Debug("erasing", "who", id.Value.Reveal()) //nolint:sloglint // a connector may well do that
			}
			return r.Erase(ctx, p)
		}
	})},
	{"lists all but one", "list/names_each_person_once_and_as_she_is_held", listing(func(_ reference, after []byte, l *sdk.Listing) {
		if len(after) == 0 && len(l.People) > 1 {
			l.People = l.People[1:]
		}
	})},
	{"lists somebody twice", "list/names_each_person_once_and_as_she_is_held", listing(func(_ reference, _ []byte, l *sdk.Listing) {
		if n := len(l.People); n > 0 && n < 3 || n > 10 {
			return
		}
		l.People = append(l.People, l.People[0])
	})},
	{"passes over people between pages", "list/names_each_person_once_and_as_she_is_held", with(func(r reference, b *broken) {
		b.list = func(ctx context.Context, after []byte, most int) (sdk.Listing, error) {
			l, err := r.List(ctx, after, most+1)
			if len(l.People) > most {
				l.People = l.People[:most]
			}
			return l, err
		}
	})},
	{"lists people without their addresses", "list/names_each_person_once_and_as_she_is_held", listing(func(_ reference, _ []byte, l *sdk.Listing) {
		for i := range l.People {
			l.People[i].Emails = nil
		}
	})},
	{"keeps the place in its memory", "list/goes_on_from_any_place_again", with(func(r reference, b *broken) {
		var place atomic.Value
		b.list = func(ctx context.Context, after []byte, most int) (sdk.Listing, error) {
			if at, ok := place.Load().([]byte); ok && len(after) > 0 {
				after = at
			}
			l, err := r.List(ctx, after, most)
			place.Store(l.Next)
			return l, err
		}
	})},
	{"lists by writing", "list/changes_nothing", listing(func(r reference, _ []byte, _ *sdk.Listing) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, row := range r.rows {
			row.Fields["listed"] = "now"
		}
	})},
	{"lists on when it is told to stop", "list/stops_when_it_is_told_to", with(func(r reference, b *broken) {
		b.list = func(_ context.Context, after []byte, most int) (sdk.Listing, error) {
			return r.List(context.Background(), after, most)
		}
	})},
	{"lists the erased", "list/forgets_whom_it_erased", with(func(r reference, b *broken) {
		var known sync.Map
		b.list = func(ctx context.Context, after []byte, most int) (sdk.Listing, error) {
			l, err := r.List(ctx, after, most)
			for _, h := range l.People {
				known.Store(h.Key, h)
			}
			if err == nil && len(l.Next) == 0 && most > 1 {
				known.Range(func(key, h any) bool {
					if !slices.ContainsFunc(l.People, func(p sdk.Held) bool { return p.Key == key }) {
						l.People = append(l.People, h.(sdk.Held))
					}
					return true
				})
			}
			return l, err
		}
	})},
	{"ignores the context", "cancelled_contexts_stop", with(func(r reference, b *broken) {
		b.locate = func(_ context.Context, p sdk.Person) ([]sdk.Found, error) { return r.Locate(context.Background(), p) }
	})},
	{"takes cancellation for an answer", "cancelled_contexts_stop", with(func(r reference, b *broken) {
		b.locate = func(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
			found, err := r.Locate(ctx, p)
			if errors.Is(err, context.Canceled) {
				return nil, nil
			}
			return found, err
		}
	})},
	{"exports somebody else's row", "export/shows_her_data_and_nobody_elses", with(func(r reference, b *broken) {
		b.export = func(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
			i := 0
			return r.Export(ctx, p, writerFunc(func(ctx context.Context, rec sdk.Record) error {
				if i++; i == 1 {
					rec.Fields = append(rec.Fields, sdk.Field{Name: "email", Value: "person2@example.com"})
				}
				return w.Write(ctx, rec)
			}))
		}
	})},
	{"exports one row less", "export/holds_exactly_what_was_located", with(func(r reference, b *broken) {
		b.export = func(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
			i := 0
			return r.Export(ctx, p, writerFunc(func(ctx context.Context, rec sdk.Record) error {
				if i++; i == 2 {
					return nil
				}
				return w.Write(ctx, rec)
			}))
		}
	})},
	{"exports what is withheld", "export/shows_her_data_and_nobody_elses", with(func(r reference, b *broken) {
		b.export = func(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
			return r.Export(ctx, p, writerFunc(func(ctx context.Context, rec sdk.Record) error {
				for i := range rec.Fields {
					if _, ok := rec.Fields[i].Value.(sdk.Withheld); ok {
						rec.Fields[i].Value = sdk.Withheld("DL-00001-X")
					}
				}
				return w.Write(ctx, rec)
			}))
		}
	})},
	{"exports on when the writer is full", "export/stops_when_the_writer_can_take_no_more", with(func(r reference, b *broken) {
		b.export = func(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
			return r.Export(ctx, p, writerFunc(func(ctx context.Context, rec sdk.Record) error {
				if err := w.Write(ctx, rec); err != nil {
					return ctx.Err()
				}
				return nil
			}))
		}
	})},
	{"resolves what is shared", "resolve/yields_exactly_her_identifiers", with(func(r reference, b *broken) {
		b.resolve = func(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
			ids, err := r.Resolve(ctx, p)
			if len(ids) > 0 {
				ids = append(ids, sdk.ID(sdk.DeviceID, "device-shared-by-all"))
			}
			return ids, err
		}
	})},
	{"resolves nothing", "resolve/yields_exactly_her_identifiers", with(func(r reference, b *broken) {
		b.resolve = func(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
			_, err := r.Resolve(ctx, p)
			return nil, err
		}
	})},
	{"opts nobody out", "opt_out/takes_effect_for_her_alone", with(func(_ reference, b *broken) {
		b.optOut = func(ctx context.Context, _ sdk.Person) error { return ctx.Err() }
	})},
	{"opts the others out", "opt_out/takes_effect_for_her_alone", with(func(r reference, b *broken) {
		b.optOut = func(ctx context.Context, p sdk.Person) error {
			if err := r.OptOut(ctx, sdk.NewPerson(sdk.ID(sdk.Email, "person2@example.com"))); err != nil {
				return err
			}
			return r.OptOut(ctx, p)
		}
	})},
	{"forgets the opt-out of a stranger", "opt_out/is_remembered_for_a_stranger", with(func(r reference, b *broken) {
		b.optOut = func(ctx context.Context, p sdk.Person) error {
			if found, err := r.Locate(ctx, p); err != nil || len(found) == 0 {
				return err
			}
			return r.OptOut(ctx, p)
		}
	})},
	{"erases who opts out", "opt_out/is_no_erasure", with(func(r reference, b *broken) {
		b.optOut = func(ctx context.Context, p sdk.Person) error {
			if err := r.OptOut(ctx, p); err != nil {
				return err
			}
			return r.Erase(ctx, p)
		}
	})},
	{"says that an opt-out stood before", "opt_out/stands_nowhere_before", with(func(_ reference, b *broken) {
		b.standing = func(context.Context, sdk.Person) ([]sdk.Standing, error) {
			return []sdk.Standing{{Store: "contacts", InForce: 1}}, nil
		}
	})},
	{"never says that an opt-out stands", "opt_out/stands_everywhere_after", with(func(r reference, b *broken) {
		b.standing = func(ctx context.Context, p sdk.Person) ([]sdk.Standing, error) {
			found, err := r.Locate(ctx, p)
			var stores []sdk.Standing
			for _, f := range found {
				stores = append(stores, sdk.Standing{Store: f.Store, Open: f.Count})
			}
			return stores, err
		}
	})},
	{"opts nobody in", "opt_in/lifts_hers_alone", with(func(_ reference, b *broken) {
		b.optIn = func(ctx context.Context, _ sdk.Person) error { return ctx.Err() }
	})},
	{"opts everybody in", "opt_in/lifts_hers_alone", with(func(r reference, b *broken) {
		b.optIn = func(ctx context.Context, _ sdk.Person) error {
			leave, err := r.enter(ctx)
			if err != nil {
				return err
			}
			defer leave()
			clear(r.optOut)
			return nil
		}
	})},
	{"does not opt in whom it does not hold", "opt_in/of_a_stranger_is_forgotten_too", with(func(r reference, b *broken) {
		b.optIn = func(ctx context.Context, p sdk.Person) error {
			if found, err := r.Locate(ctx, p); err != nil || len(found) == 0 {
				return err
			}
			return r.OptIn(ctx, p)
		}
	})},
	{"fails for who never opted out", "opt_in/of_one_who_never_opted_out_succeeds", with(func(r reference, b *broken) {
		b.optIn = func(ctx context.Context, p sdk.Person) error {
			if out, err := r.OptedOut(ctx, p); err != nil || !out {
				return errors.Join(err, sdk.Permanent(errors.New("there is no opt-out")))
			}
			return r.OptIn(ctx, p)
		}
	})},
	{"erases who opts in", "opt_in/changes_no_record", with(func(r reference, b *broken) {
		b.optIn = func(ctx context.Context, p sdk.Person) error {
			if err := r.OptIn(ctx, p); err != nil {
				return err
			}
			return r.Erase(ctx, p)
		}
	})},
	{"limits nobody", "limit/takes_effect_for_her_alone", with(func(_ reference, b *broken) {
		b.limit = func(ctx context.Context, _ sdk.Person) error { return ctx.Err() }
	})},
	{"limits the others", "limit/takes_effect_for_her_alone", with(func(r reference, b *broken) {
		b.limit = func(ctx context.Context, p sdk.Person) error {
			if err := r.LimitSPI(ctx, sdk.NewPerson(sdk.ID(sdk.Email, "person2@example.com"))); err != nil {
				return err
			}
			return r.LimitSPI(ctx, p)
		}
	})},
	{"forgets the limit of a stranger", "limit/is_remembered_for_a_stranger", with(func(r reference, b *broken) {
		b.limit = func(ctx context.Context, p sdk.Person) error {
			if found, err := r.Locate(ctx, p); err != nil || len(found) == 0 {
				return err
			}
			return r.LimitSPI(ctx, p)
		}
	})},
	{"erases instead of limiting", "limit/is_no_erasure", with(func(r reference, b *broken) {
		b.limit = func(ctx context.Context, p sdk.Person) error {
			if err := r.LimitSPI(ctx, p); err != nil {
				return err
			}
			return r.Erase(ctx, p)
		}
	})},
	{"lifts no limit", "lift_limit/lifts_hers_alone", with(func(_ reference, b *broken) {
		b.liftLimit = func(ctx context.Context, _ sdk.Person) error { return ctx.Err() }
	})},
	{"lifts everybody's limit", "lift_limit/lifts_hers_alone", with(func(r reference, b *broken) {
		b.liftLimit = func(ctx context.Context, _ sdk.Person) error {
			leave, err := r.enter(ctx)
			if err != nil {
				return err
			}
			defer leave()
			clear(r.optOut)
			return nil
		}
	})},
	{"keeps the limit of a stranger", "lift_limit/of_a_stranger_is_forgotten_too", with(func(r reference, b *broken) {
		b.liftLimit = func(ctx context.Context, p sdk.Person) error {
			if found, err := r.Locate(ctx, p); err != nil || len(found) == 0 {
				return err
			}
			return r.LiftLimit(ctx, p)
		}
	})},
	{"fails where there is no limit", "lift_limit/of_one_who_never_limited_succeeds", with(func(r reference, b *broken) {
		b.liftLimit = func(ctx context.Context, p sdk.Person) error {
			if in, err := r.LimitedSPI(ctx, p); err != nil || !in {
				return errors.Join(err, sdk.Permanent(errors.New("there is no limit")))
			}
			return r.LiftLimit(ctx, p)
		}
	})},
	{"corrects everyone", "correct", with(func(r reference, b *broken) {
		b.correct = func(ctx context.Context, p sdk.Person, c []sdk.Correction) error {
			return r.Correct(ctx, p.With(sdk.ID(sdk.Email, "person2@example.com")), c)
		}
	})},
	{"answers a batch in another order", "batches_agree_with_single_calls/locate", with(func(r reference, b *broken) {
		b.locateBatch = func(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
			results, err := r.LocateBatch(ctx, people)
			slices.Reverse(results[:min(2, len(results))])
			return results, err
		}
	})},
	{"erases the first of a batch only", "batches_agree_with_single_calls/erase", with(func(r reference, b *broken) {
		b.eraseBatch = func(ctx context.Context, people []sdk.Person) []error {
			errs := r.EraseBatch(ctx, people[:1])
			return append(errs, make([]error, len(people)-1)...)
		}
	})},
}

type writerFunc func(context.Context, sdk.Record) error

func (f writerFunc) Write(ctx context.Context, r sdk.Record) error { return f(ctx, r) }
