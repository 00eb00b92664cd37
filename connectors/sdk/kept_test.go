package sdk_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/proto/wire"
)

// forgetful keeps what the law wants kept and takes the address off it, so that
// it is not found by the address again.
type forgetful struct{ *book }

func (f forgetful) Erase(ctx context.Context, p sdk.Person) error {
	if err := f.book.Erase(ctx, p); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, email := range p.Values(sdk.Email) {
		f.records["kept under "+email] = f.records[email]
		delete(f.records, email)
	}
	return nil
}

// Records that are kept and can't be found again are reported as kept, with
// their basis, and not as erased.
func TestKeptAndNotFoundAgain(t *testing.T) {
	b := newBook().put("ann@example.com", "contacts", 2).put("ann@example.com", "invoices", 3)
	b.kept["invoices"] = true
	r := newRig(t, forgetful{b})
	r.start()
	o := r.do(r.erase("strip", "ann@example.com"))
	if o.GetRetained().GetBasis() != "ccpa-1798.105(d)(8)" || o.GetRetained().GetUntilTime().AsTime().Year() != 2033 {
		t.Errorf("outcome is %v, want retained with its basis and end", o.GetResult())
	}
	for _, s := range o.GetStores() {
		wantLocated, wantKept := int64(2), int64(0)
		if s.GetStore() == "invoices" {
			wantLocated, wantKept = 3, 3
		}
		if s.GetLocatedCount() != wantLocated || s.GetKeptCount() != wantKept || s.GetRemainingCount() != 0 {
			t.Errorf("%s: located %d, kept %d, remaining %d", s.GetStore(), s.GetLocatedCount(), s.GetKeptCount(), s.GetRemainingCount())
		}
	}
}

// mixed keeps records of one store on several bases.
type mixed struct{ *book }

func (m mixed) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	found, err := m.book.Locate(ctx, p)
	var out []sdk.Found
	for _, f := range found {
		if f.Store != "invoices" {
			out = append(out, f)
			continue
		}
		end := time.Date(2033, 1, 1, 0, 0, 0, 0, time.UTC)
		out = append(out,
			sdk.Found{Store: f.Store, Count: 2, Keep: &sdk.Keep{Basis: "D8", Until: end, Facts: sdk.Facts{LegalRef: "26 U.S.C. 6001"}}},
			sdk.Found{Store: f.Store, Count: 1, Keep: &sdk.Keep{Basis: "E-claims", Until: end.AddDate(-3, 0, 0), Facts: sdk.Facts{Reference: "claim files"}}},
		)
	}
	return out, err
}

// Each basis on which records of a store are kept is reported, with its own end
// and what it needs, and the manifest declares them.
func TestEveryBasisIsReported_DE6_DE7(t *testing.T) {
	b := newBook().put("ann@example.com", "contacts", 2).put("ann@example.com", "invoices", 3)
	b.kept["invoices"] = true
	r := newRig(t, mixed{b})
	r.start()
	o := r.do(r.erase("mixed", "ann@example.com"))
	for _, s := range o.GetStores() {
		if s.GetStore() != "invoices" {
			continue
		}
		if s.GetKeptCount() != 3 || s.GetBasis() != "D8" || len(s.GetKept()) != 2 {
			t.Fatalf("kept %d on %s, in rows %v", s.GetKeptCount(), s.GetBasis(), s.GetKept())
		}
		tax, claims := s.GetKept()[0], s.GetKept()[1]
		if tax.GetCount() != 2 || tax.GetFacts()["legal_ref"] != "26 U.S.C. 6001" || tax.GetUntilTime().AsTime().Year() != 2033 {
			t.Errorf("by tax law: %v", tax)
		}
		if claims.GetBasis() != "E-claims" || claims.GetCount() != 1 || claims.GetFacts()["reference"] != "claim files" || claims.GetUntilTime().AsTime().Year() != 2030 {
			t.Errorf("for a claim: %v", claims)
		}
	}
}

func TestRetentionWithoutABasisIsRefused_DE6(t *testing.T) {
	m := sdk.Manifest{Name: "billing", Version: "1", Accepts: []sdk.Kind{sdk.Email}, Stores: []sdk.Store{{Name: "invoices", Retains: []sdk.Retention{{}}}}}
	if err := m.Validate(); err == nil || !strings.Contains(err.Error(), "invoices") {
		t.Errorf("refused with %v", err)
	}
}

// Records that stay as nobody's are reported as deidentified, and those of other
// stores as before.
func TestDeidentifiedIsReported_DE14(t *testing.T) {
	b := newBook().put("ann@example.com", "contacts", 2).put("ann@example.com", "invoices", 3)
	r := newRig(t, b)
	for i := range r.cfg.Manifest.Stores {
		r.cfg.Manifest.Stores[i].Deidentifies = r.cfg.Manifest.Stores[i].Name == "invoices"
	}
	r.start()
	o := r.do(r.erase("deidentify", "ann@example.com"))
	if o.GetDone() == nil {
		t.Fatalf("outcome is %v", o.GetResult())
	}
	for _, s := range o.GetStores() {
		want := int64(0)
		if s.GetStore() == "invoices" {
			want = 3
		}
		if s.GetDeidentifiedCount() != want || s.GetRemainingCount() != 0 {
			t.Errorf("%s: %d deidentified, %d remain", s.GetStore(), s.GetDeidentifiedCount(), s.GetRemainingCount())
		}
	}
}

// sometimes removes some of what its manifest says stays, and tells.
type sometimes struct {
	*book
	removes map[string]int64
}

func (s sometimes) Erase(ctx context.Context, p sdk.Person) error {
	if err := s.book.Erase(ctx, p); err != nil {
		return err
	}
	for store, n := range s.removes {
		p.Removed(store, n)
	}
	return nil
}

// Records that are emptied or masked are said apart from those that are gone, and
// what a connector removed of them all the same counts as gone, never as more than
// there was.
func TestEmptiedAndMaskedAreReported_DE14(t *testing.T) {
	b := newBook().put("ann@example.com", "contacts", 5).put("ann@example.com", "invoices", 3)
	r := newRig(t, b)
	r.cfg.Connector = sometimes{b, map[string]int64{"contacts": 2, "invoices": 9}}
	for i := range r.cfg.Manifest.Stores {
		r.cfg.Manifest.Stores[i].Empties = r.cfg.Manifest.Stores[i].Name == "contacts"
		r.cfg.Manifest.Stores[i].Masks = r.cfg.Manifest.Stores[i].Name == "invoices"
	}
	r.start()
	o := r.do(r.erase("empty", "ann@example.com"))
	if o.GetDone() == nil {
		t.Fatalf("outcome is %v", o.GetResult())
	}
	for _, s := range o.GetStores() {
		emptied, gone := int64(3), int64(2)
		if s.GetStore() == "invoices" {
			emptied, gone = 0, 3
		}
		if s.GetEmptiedCount() != emptied || s.GetMaskedCount() != 0 || s.GetDeidentifiedCount() != 0 || wire.Removed(s) != gone {
			t.Errorf("%s: %v", s.GetStore(), s)
		}
	}
}

// A store can be treated in one way only.
func TestOneTreatment_DE14(t *testing.T) {
	m := sdk.Manifest{Name: "billing", Version: "1", Accepts: []sdk.Kind{sdk.Email}, Stores: []sdk.Store{{Name: "invoices", Empties: true, Masks: true}}}
	if err := m.Validate(); err == nil || !strings.Contains(err.Error(), "invoices") {
		t.Errorf("got %v", err)
	}
}
