// Package suppression keeps erased people erased and opted-out people opted
// out.
//
// It owes its callers this: the list holds keyed digests, one for each
// identifier, and neither it nor a dump of its tables gives an identifier away
// without the master key; what was put on it under an older key still matches;
// and it answers one question, whether somebody is on it, and serves nothing
// else (Civ. Code 1798.105(c)(2), 11 CCR 7022(e)).
package suppression

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// List is the suppression list.
type List struct {
	Store store.Suppressions
	Vault *vault.Vault
	// Noticed is called when a program says that it was about to import people
	// who are to stay erased: by its name, with their number. It may be nil.
	Noticed func(ctx context.Context, source string, n int64) error
}

// notice tells of a program that was about to import people who are to stay
// erased.
func (l *List) notice(ctx context.Context, source string, answers []Answer) error {
	var n int64
	for _, a := range answers {
		if a == Deleted {
			n++
		}
	}
	if n == 0 || source == "" || l.Noticed == nil {
		return nil
	}
	return l.Noticed(ctx, source, n)
}

// pepper is a key of digests. Its id is a digest of it, so that lists of two
// companies that become one don't clash.
type pepper struct {
	id  string
	key []byte
}

func pepperID(key []byte) string {
	sum := sha256.Sum256(append([]byte("habeas suppression pepper v1\x00"), key...))
	return hex.EncodeToString(sum[:8])
}

// digest is HMAC-SHA-256 over the kind and the canonical value, each ended by a
// zero byte.
func (p pepper) digest(id request.Identifier) []byte {
	mac := hmac.New(sha256.New, p.key)
	for _, part := range []string{"habeas suppression v1", string(id.Kind), id.Reveal()} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return mac.Sum(nil)
}

// Peppers are the keys of the list, opened; the last one is in force.
type Peppers struct{ all []pepper }

// Peppers opens the keys, and makes the first one when there is none.
func (l *List) Peppers(ctx context.Context) (Peppers, error) {
	stored, err := l.Store.Peppers(ctx)
	if err != nil {
		return Peppers{}, err
	}
	if len(stored) == 0 {
		if err := l.Rotate(ctx, time.Now().UTC()); err != nil {
			return Peppers{}, err
		}
		if stored, err = l.Store.Peppers(ctx); err != nil {
			return Peppers{}, err
		}
	}
	var out Peppers
	for _, s := range stored {
		of, err := l.Vault.Unwrap(ctx, s.WrappedKey)
		if err != nil {
			return Peppers{}, fmt.Errorf("opening key %s of the suppression list: %w", s.ID, err)
		}
		key, err := of.Open(s.Sealed, pepperPlace(s.ID))
		if err != nil {
			return Peppers{}, fmt.Errorf("opening key %s of the suppression list: %w", s.ID, err)
		}
		out.all = append(out.all, pepper{s.ID, key})
	}
	return out, nil
}

func pepperPlace(id string) []byte { return []byte("suppression_pepper/" + id) }

// Rotate makes a new key for what is put on the list from now on. Older ones
// stay: what was digested with them can't be digested anew.
func (l *List) Rotate(ctx context.Context, now time.Time) error {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	sealed, err := l.seal(ctx, key, now)
	if err != nil {
		return err
	}
	return l.Store.PutPeppers(ctx, []store.Pepper{sealed})
}

func (l *List) seal(ctx context.Context, key []byte, at time.Time) (store.Pepper, error) {
	under, wrapped, err := l.Vault.NewDataKey(ctx)
	if err != nil {
		return store.Pepper{}, err
	}
	id := pepperID(key)
	return store.Pepper{ID: id, WrappedKey: wrapped, Sealed: under.Seal(key, pepperPlace(id)), CreatedAt: at}, nil
}

// Usable reports whether an identifier can be on the list. A name can't: people
// share names.
func Usable(id request.Identifier) bool { return id.Kind != request.Name }

// Entries are what puts a person on the list, under the key in force. The
// identifiers are in canonical form.
func (p Peppers) Entries(ids []request.Identifier, why store.Why, since time.Time) []store.Suppressed {
	last := p.all[len(p.all)-1]
	var out []store.Suppressed
	for _, id := range ids {
		if Usable(id) {
			out = append(out, store.Suppressed{Digest: last.digest(id), Why: why, Pepper: last.id, Since: since})
		}
	}
	return out
}

// Every are the entries that a person may have, under any key.
func (p Peppers) Every(ids []request.Identifier, why store.Why) []store.Suppressed {
	var out []store.Suppressed
	for _, id := range ids {
		for _, d := range p.digests(id) {
			out = append(out, store.Suppressed{Digest: d, Why: why})
		}
	}
	return out
}

// Keyed is a digest of something that may name somebody and is no identifier,
// for one purpose, under the key in force, and that key's id.
func (p Peppers) Keyed(purpose string, parts ...string) (digest []byte, pepper string) {
	last := p.all[len(p.all)-1]
	mac := hmac.New(sha256.New, last.key)
	for _, part := range append([]string{"habeas suppression v1 keyed", purpose}, parts...) {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return mac.Sum(nil), last.id
}

// KeyedEvery are the digests of [Peppers.Keyed] under all keys, the oldest first
// and the one in force last.
func (p Peppers) KeyedEvery(purpose string, parts ...string) [][]byte {
	out := make([][]byte, len(p.all))
	for i := range p.all {
		out[i], _ = Peppers{all: p.all[i : i+1]}.Keyed(purpose, parts...)
	}
	return out
}

func (p Peppers) digests(id request.Identifier) [][]byte {
	if !Usable(id) {
		return nil
	}
	out := make([][]byte, len(p.all))
	for i, one := range p.all {
		out[i] = one.digest(id)
	}
	return out
}

// Answer is what the list says of an identifier.
type Answer string

// The answers. Who is both is deleted.
const (
	None     Answer = "none"
	Deleted  Answer = "deleted"
	OptedOut Answer = "opted_out"
)

// Check answers for each identifier, in order, with one question to the store.
// The work is the same whether or not somebody is on the list. The identifiers
// are in canonical form.
func (l *List) Check(ctx context.Context, ids []request.Identifier) ([]Answer, error) {
	peppers, err := l.Peppers(ctx)
	if err != nil {
		return nil, err
	}
	digests, owner := make([][]byte, 0, len(ids)*len(peppers.all)), make(map[string][]int, len(ids)*len(peppers.all))
	out := make([]Answer, len(ids))
	for i, id := range ids {
		out[i] = None
		for _, d := range peppers.digests(id) {
			digests = append(digests, d)
			owner[string(d)] = append(owner[string(d)], i)
		}
	}
	found, err := l.Store.Suppressed(ctx, digests)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		for _, i := range owner[string(f.Digest)] {
			switch {
			case f.Why == store.WhyDeleted:
				out[i] = Deleted
			case f.Why == store.WhyOptedOut && out[i] == None:
				out[i] = OptedOut
			}
		}
	}
	return out, nil
}

// Has reports for each person, given by their identifiers in canonical form,
// whether any of them is on the list for a reason, with one question to the store.
// Somebody whose identifiers can't be on the list counts as on it.
func (l *List) Has(ctx context.Context, people [][]request.Identifier, why store.Why) ([]bool, error) {
	listed, usable, err := l.count(ctx, people, why)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(people))
	for i := range people {
		out[i] = listed[i] > 0 || usable[i] == 0
	}
	return out, nil
}

// Whole is [List.Has] for people all of whose identifiers are on the list. Whoever
// was put there with several and came back is let go by one of them: the company
// knows them by that again, and the others still lead to them.
func (l *List) Whole(ctx context.Context, people [][]request.Identifier, why store.Why) ([]bool, error) {
	listed, usable, err := l.count(ctx, people, why)
	if err != nil {
		return nil, err
	}
	out := make([]bool, len(people))
	for i := range people {
		out[i] = listed[i] == usable[i]
	}
	return out, nil
}

// count says how many identifiers each person has that can be on the list, and how
// many of them are, under whatever key.
func (l *List) count(ctx context.Context, people [][]request.Identifier, why store.Why) (listed, usable []int, err error) {
	peppers, err := l.Peppers(ctx)
	if err != nil {
		return nil, nil, err
	}
	type place struct{ person, identifier int }
	var digests [][]byte
	owner := make(map[string][]place)
	listed, usable = make([]int, len(people)), make([]int, len(people))
	for i, ids := range people {
		for k, id := range ids {
			if Usable(id) {
				usable[i]++
			}
			for _, d := range peppers.digests(id) {
				digests = append(digests, d)
				owner[string(d)] = append(owner[string(d)], place{i, k})
			}
		}
	}
	found, err := l.Store.Suppressed(ctx, digests)
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[place]bool)
	for _, f := range found {
		if f.Why != why {
			continue
		}
		for _, p := range owner[string(f.Digest)] {
			if !seen[p] { // once, under however many keys
				seen[p] = true
				listed[p.person]++
			}
		}
	}
	return listed, usable, nil
}

// Release takes a person off the list of the erased: they have come back, and
// what is held of them from now on is theirs to be held.
func (l *List) Release(ctx context.Context, ids []request.Identifier) error {
	peppers, err := l.Peppers(ctx)
	if err != nil {
		return err
	}
	return l.Store.Unsuppress(ctx, peppers.Every(ids, store.WhyDeleted))
}

// eachPage calls fn with all entries, a page at a time.
func (l *List) eachPage(ctx context.Context, fn func([]store.Suppressed) error) error {
	const size = 5000
	var last store.Suppressed
	for {
		page, err := l.Store.SuppressedAfter(ctx, last, size)
		if err != nil {
			return err
		}
		if err := fn(page); err != nil {
			return err
		}
		if len(page) < size {
			return nil
		}
		last = page[len(page)-1]
	}
}
