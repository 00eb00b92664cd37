package sdktest

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// mostPages is how many pages a list of a test's few people may have.
const mostPages = 1000

func checkList(t *testing.T, w *world) {
	l, ok := w.connector.(sdk.Lister)
	if !ok || !l.Lists() {
		t.Skip("the connector is no Lister, or not as it is configured")
	}
	if w.her.Held == nil {
		t.Fatal("the connector lists people: Plant must return what it has to say of her, in Held")
	}
	one, many := w.list(t, l, 1), w.list(t, l, 100)
	t.Run("names_each_person_once_and_as_she_is_held", func(t *testing.T) {
		for _, p := range append([]Planted{w.her}, w.others...) {
			wantHeld(t, many, p.Held, 1)
		}
		if len(one) != len(many) {
			t.Errorf("%d people in pages of one, %d in pages of a hundred", len(one), len(many))
		}
		for i := range min(len(one), len(many)) {
			if !sameHeld(one[i], many[i]) {
				t.Fatalf("person %d is another, or another way, in pages of one than in pages of a hundred", i)
			}
		}
	})
	t.Run("goes_on_from_any_place_again", func(t *testing.T) {
		first := w.page(t, l, nil, 1)
		a, b := w.page(t, l, bytes.Clone(first.Next), 1), w.page(t, l, bytes.Clone(first.Next), 1)
		if len(first.Next) == 0 || !slices.EqualFunc(a.People, b.People, sameHeld) || !bytes.Equal(a.Next, b.Next) {
			t.Error("asking for the second page twice gives two pages, or there is none")
		}
	})
	t.Run("changes_nothing", func(t *testing.T) { w.wantUnchanged(t, "List") })
	t.Run("stops_when_it_is_told_to", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.call(ctx, func(ctx context.Context) error { _, err := l.List(ctx, nil, 1); return err }); err == nil {
			t.Error("List with a cancelled context returned no error")
		}
	})
	t.Run("forgets_whom_it_erased", func(t *testing.T) {
		w.erase(t, w.eraser(t), w.her.Person)
		w.until(t, "she is listed after she was erased", func() bool { return countHeld(w.list(t, l, 100), *w.her.Held) == 0 })
		for _, p := range w.others {
			wantHeld(t, w.list(t, l, 100), p.Held, 1)
		}
	})
}

// list reads all pages.
func (w *world) list(t *testing.T, l sdk.Lister, most int) []sdk.Held {
	t.Helper()
	var all []sdk.Held
	var after []byte
	for range mostPages {
		page := w.page(t, l, after, most)
		if all = append(all, page.People...); len(page.Next) == 0 {
			return all
		}
		after = page.Next
	}
	t.Fatalf("the list has no end: %d pages of %d", mostPages, most)
	return nil
}

func (w *world) page(t *testing.T, l sdk.Lister, after []byte, most int) (page sdk.Listing) {
	t.Helper()
	if err := w.do(t.Context(), func(ctx context.Context) (err error) {
		page, err = l.List(ctx, after, most)
		return err
	}); err != nil {
		t.Fatalf("List: %v", err)
	}
	if len(page.People) > most {
		t.Fatalf("List gave %d people where %d were asked for at most", len(page.People), most)
	}
	return page
}

func wantHeld(t *testing.T, all []sdk.Held, want *sdk.Held, times int) {
	t.Helper()
	if want == nil {
		t.Fatal("Plant must return Held of everybody")
	}
	if n := countHeld(all, *want); n != times {
		t.Errorf("a planted person is listed %d times as she is held, want %d; %d people are listed", n, times, len(all))
	}
}

func countHeld(all []sdk.Held, want sdk.Held) (n int) {
	for _, h := range all {
		if sameHeld(h, want) {
			n++
		}
	}
	return n
}

// sameHeld compares without regard to order: lists have none.
func sameHeld(a, b sdk.Held) bool {
	name := func(n sdk.HeldName) string { return n.First.Reveal() + "\x00" + n.Last.Reveal() }
	id := func(id sdk.Identifier) string { return string(id.Kind) + "\x00" + id.Value.Reveal() }
	same := a.Key == b.Key && sameSet(a.Names, b.Names, name) && sameSet(a.Identifiers, b.Identifiers, id)
	for _, of := range []func(sdk.Held) []sdk.Secret{
		func(h sdk.Held) []sdk.Secret { return h.Emails }, func(h sdk.Held) []sdk.Secret { return h.Phones },
		func(h sdk.Held) []sdk.Secret { return h.Births }, func(h sdk.Held) []sdk.Secret { return h.ZIPs },
		func(h sdk.Held) []sdk.Secret { return h.AdvertisingIDs }, func(h sdk.Held) []sdk.Secret { return h.TelevisionIDs },
		func(h sdk.Held) []sdk.Secret { return h.VINs },
	} {
		same = same && sameSet(of(a), of(b), sdk.Secret.Reveal)
	}
	return same
}

func sameSet[T any](a, b []T, text func(T) string) bool {
	sorted := func(all []T) []string {
		out := make([]string, len(all))
		for i, v := range all {
			out[i] = text(v)
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(sorted(a), sorted(b))
}
