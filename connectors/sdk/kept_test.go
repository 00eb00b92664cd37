package sdk_test

import (
	"context"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
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
