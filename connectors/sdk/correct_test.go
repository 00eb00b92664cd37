package sdk_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// desk is a system of cards with fields: it corrects, and is read back by an
// export.
type desk struct {
	mu    sync.Mutex
	cards []map[string]string
	// lies makes Correct succeed and change nothing.
	lies bool
	// fault is asked after each correction that took place.
	fault   func() error
	limited map[string]bool
}

func (d *desk) owned(p sdk.Person) []map[string]string {
	return slices.DeleteFunc(slices.Clone(d.cards), func(c map[string]string) bool { return !slices.Contains(p.Values(sdk.Email), c["email"]) })
}

func (d *desk) Locate(_ context.Context, p sdk.Person) ([]sdk.Found, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.owned(p)); n > 0 {
		return []sdk.Found{{Store: "contacts", Count: int64(n)}}, nil
	}
	return nil, nil
}

func (d *desk) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.owned(p) {
		r := sdk.Record{Store: "contacts"}
		for _, name := range slices.Sorted(maps.Keys(c)) {
			r.Fields = append(r.Fields, sdk.Field{Name: name, Value: c[name]})
		}
		if err := w.Write(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (d *desk) Correct(_ context.Context, p sdk.Person, corrections []sdk.Correction) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, card := range d.owned(p) {
		for _, c := range corrections {
			if _, has := card[c.Field]; has && !d.lies {
				card[c.Field] = c.Value.Reveal()
			}
		}
	}
	if d.fault != nil {
		return d.fault()
	}
	return nil
}

func (d *desk) LimitSPI(_ context.Context, p sdk.Person) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limited == nil {
		d.limited = map[string]bool{}
	}
	d.limited[p.Values(sdk.Email)[0]] = !d.lies
	return nil
}

func (d *desk) LimitedSPI(_ context.Context, p sdk.Person) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.limited[p.Values(sdk.Email)[0]], nil
}

func (d *desk) field(i int, name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cards[i][name]
}

const (
	oldStreet = "1 Planted Lane"
	newStreet = "2 Righted Road"
)

func newDesk() *desk {
	return &desk{cards: []map[string]string{
		{"email": ann, "street": oldStreet}, {"email": ann, "note": "n"}, {"email": "other@example.com", "street": oldStreet},
	}}
}

func (r *rig) correct(id string, corrections ...*habeasv1.Correction) *habeasv1.Job {
	r.t.Helper()
	j := r.job(id, habeasv1.Action_ACTION_CORRECT, sdk.ID(sdk.Email, ann))
	sealed, err := r.coordinator.SealSubject(&habeasv1.Subject{
		JobId: id, Identifiers: []*habeasv1.Identifier{{Kind: "email", Value: ann}}, Corrections: corrections,
	}, r.keys.Seal.Public())
	if err != nil {
		r.t.Fatal(err)
	}
	j.SealedSubject, j.Right = sealed, "correct"
	return j
}

func TestCorrect_CO1(t *testing.T) {
	d := newDesk()
	r := newRig(t, d)
	r.start()
	o := r.do(r.correct("job-1", &habeasv1.Correction{Field: "street", Value: newStreet}))
	if o.GetDone() == nil || len(o.GetStores()) == 0 || o.GetStores()[0].GetLocatedCount() != 2 {
		t.Fatalf("outcome %v", o)
	}
	if got := []string{d.field(0, "street"), d.field(2, "street")}; !slices.Equal(got, []string{newStreet, oldStreet}) {
		t.Errorf("streets are %v: hers has the right value and nobody else's changes", got)
	}
	if o := r.do(r.correct("job-2", &habeasv1.Correction{Field: "fax", Value: "5"})); o.GetNoMatch() == nil {
		t.Errorf("a field the system does not hold: %v", o)
	}
	if o := r.do(r.correct("job-3")); o.GetFailed().GetCode() != "malformed" {
		t.Errorf("no corrections: %v", o)
	}
	r.wantNoTrace(newStreet, oldStreet, ann)
}

func TestCorrectionIsReadBack_DE2(t *testing.T) {
	d := newDesk()
	d.lies = true
	r := newRig(t, d)
	r.start()
	o := r.do(r.correct("job-1", &habeasv1.Correction{Field: "street", Value: newStreet}))
	if o.GetFailed().GetCode() != string(sdk.StillThere) || o.GetFailed().GetPermanent() {
		t.Fatalf("a system that did not change anything: %v", o)
	}
}

// The disputed field may be the one she is found by: after the correction the
// old value finds nothing, and the answer that was lost must still be given.
func TestCorrectedIdentifierAndLostAnswer_CO1(t *testing.T) {
	const right = "ann.right@example.com"
	d := newDesk()
	d.fault = func() error {
		d.fault = nil
		return sdk.Permanent(errors.New("the answer was lost"))
	}
	r := newRig(t, d)
	r.start()
	correction := &habeasv1.Correction{Field: "email", Value: right}
	if o := r.do(r.correct("job-1", correction)); o.GetFailed() == nil {
		t.Fatalf("the lost answer: %v", o)
	}
	again := r.correct("job-1", correction)
	again.Attempt = 2
	r.send(again)
	o := r.outcomes("job-1", 2)[1].GetOutcome()
	if o.GetDone() == nil || o.GetStores()[0].GetLocatedCount() != 2 {
		t.Fatalf("the second attempt: %v", o)
	}
	if d.field(0, "email") != right {
		t.Error("it is not corrected")
	}
	r.wantNoTrace(right, ann)
}

func TestErrorsNeverCarryACorrection_RE3(t *testing.T) {
	d := newDesk()
	d.fault = func() error { return sdk.Permanent(errors.New("rejected value " + newStreet)) }
	r := newRig(t, d)
	r.start()
	if o := r.do(r.correct("job-1", &habeasv1.Correction{Field: "street", Value: newStreet})); o.GetFailed().GetMessage() != "rejected value [redacted]" {
		t.Errorf("outcome %v", o)
	}
	r.wantNoTrace(newStreet)
}

func TestLimit_CL5(t *testing.T) {
	d := newDesk()
	r := newRig(t, d)
	r.start()
	if o := r.do(r.job("job-1", habeasv1.Action_ACTION_LIMIT, sdk.ID(sdk.Email, ann))); o.GetDone() == nil {
		t.Fatalf("outcome %v", o)
	}
	d.mu.Lock()
	d.lies = true
	d.mu.Unlock()
	if o := r.do(r.job("job-2", habeasv1.Action_ACTION_LIMIT, sdk.ID(sdk.Email, ann))); o.GetFailed().GetCode() != string(sdk.StillThere) {
		t.Errorf("a limit that is not in force: %v", o)
	}
	// Who can't limit is not made to opt out instead.
	other := newRig(t, newBook().put(ann, "contacts", 1))
	other.start()
	if o := other.do(other.job("job-1", habeasv1.Action_ACTION_LIMIT, sdk.ID(sdk.Email, ann))); o.GetNotSupported() == nil {
		t.Errorf("no limiter: %v", o)
	}
}

// scopedBook is a book that leaves excluded stores alone.
type scopedBook struct{ *book }

func (scopedBook) Scopes() bool { return true }

func (b scopedBook) Erase(ctx context.Context, p sdk.Person) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, email := range p.Values(sdk.Email) {
		for store := range b.records[email] {
			if p.Covers(store) {
				delete(b.records[email], store)
			}
		}
	}
	return ctx.Err()
}

func TestExcludedStoresStay_DE13_DE16_IN6(t *testing.T) {
	excluded := []*habeasv1.StoreExclusion{{Store: "invoices", Basis: "not-collected-from-consumer"}}
	b := scopedBook{newBook().put(ann, "contacts", 2).put(ann, "invoices", 3)}
	r := newRig(t, b)
	r.start()
	j := r.erase("job-1", ann)
	j.Excluded = excluded
	o := r.do(j)
	if o.GetRetained().GetBasis() != "not-collected-from-consumer" {
		t.Fatalf("outcome %v", o)
	}
	kept := map[string]int64{}
	for _, s := range o.GetStores() {
		kept[s.GetStore()] = s.GetKeptCount()
	}
	if kept["invoices"] != 3 || kept["contacts"] != 0 || b.total(ann) != 3 {
		t.Errorf("kept %v, %d records are there", kept, b.total(ann))
	}
	// Once the law reaches them, they go.
	if o := r.do(r.erase("job-2", ann)); o.GetDone() == nil || b.total(ann) != 0 {
		t.Errorf("without the exclusion: %v", o)
	}

	plain := newBook().put(ann, "contacts", 2).put(ann, "invoices", 3)
	r = newRig(t, plain)
	r.start()
	j = r.erase("job-1", ann)
	j.Excluded = excluded
	if o := r.do(j); o.GetNotSupported() == nil || plain.total(ann) != 5 {
		t.Errorf("one that can't leave a store alone: %v, %d records", o, plain.total(ann))
	}
}

func TestNotSearchedNeedsFourFlags_KN7(t *testing.T) {
	m := bookManifest()
	all := sdk.NotSearched{NotSearchable: true, LegalPurposeOnly: true, NoCommercialUse: true, Described: "old paper files with names"}
	m.Stores[1].NotSearched = &all
	if err := m.Validate(); err != nil {
		t.Fatalf("all four: %v", err)
	}
	for name, drop := range map[string]func(*sdk.NotSearched){
		"searchable": func(n *sdk.NotSearched) { n.NotSearchable = false }, "other purpose": func(n *sdk.NotSearched) { n.LegalPurposeOnly = false },
		"commercial": func(n *sdk.NotSearched) { n.NoCommercialUse = false }, "not described": func(n *sdk.NotSearched) { n.Described = "" },
	} {
		three := all
		drop(&three)
		m.Stores[1].NotSearched = &three
		if err := m.Validate(); err == nil || !strings.Contains(err.Error(), "7024(c)") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// lifting is a desk that takes limits back.
type lifting struct{ *desk }

func (l lifting) LiftLimit(_ context.Context, p sdk.Person) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.lies {
		delete(l.limited, p.Values(sdk.Email)[0])
	}
	return nil
}

// A limit that was taken back is read back, and one that was never set is no fault.
func TestLiftLimitIsReadBack_OO6(t *testing.T) {
	d := lifting{newDesk()}
	r := newRig(t, d)
	r.start()
	ask := func(job string, action habeasv1.Action) *habeasv1.Outcome {
		return r.do(r.job(job, action, sdk.ID(sdk.Email, ann)))
	}
	if o := ask("job-1", habeasv1.Action_ACTION_LIFT_LIMIT); o.GetDone() == nil {
		t.Errorf("lifting what was never set: %v", o)
	}
	if o := ask("job-2", habeasv1.Action_ACTION_LIMIT); o.GetDone() == nil {
		t.Fatalf("outcome %v", o)
	}
	if o := ask("job-3", habeasv1.Action_ACTION_LIFT_LIMIT); o.GetDone() == nil {
		t.Errorf("outcome %v", o)
	}
	if in, err := d.LimitedSPI(t.Context(), sdk.NewPerson(sdk.ID(sdk.Email, ann))); err != nil || in {
		t.Errorf("limited %v, %v", in, err)
	}
	if o := ask("job-4", habeasv1.Action_ACTION_LIMIT); o.GetDone() == nil {
		t.Fatalf("limiting again: %v", o)
	}
	d.mu.Lock()
	d.lies = true
	d.mu.Unlock()
	if o := ask("job-5", habeasv1.Action_ACTION_LIFT_LIMIT); o.GetFailed().GetCode() != string(sdk.StillThere) {
		t.Errorf("a limit that is still in force: %v", o)
	}
	other := newRig(t, newDesk())
	other.start()
	if o := other.do(other.job("job-1", habeasv1.Action_ACTION_LIFT_LIMIT, sdk.ID(sdk.Email, ann))); o.GetNotSupported() == nil {
		t.Errorf("one that can only limit: %v", o)
	}
}
