package drop_test

import (
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/alarm"
	"github.com/habeas-data/habeas/services/drop/droptest"
	"github.com/habeas-data/habeas/services/internal/metertest"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

// DR-1: a session that is late, or that fails, is measured; a company that is no
// broker is not told that it is late.
func TestDR_1_SessionsAreMeasured(t *testing.T) {
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	w := lite(t)
	s, ok := w.Ledger.Keys.Store.(*litestore.Store)
	if !ok {
		t.Fatalf("the store is a %T", w.Ledger.Keys.Store)
	}
	meter, broker := metertest.New(t), metertest.New(t)
	now := func() time.Time { return w.now }
	for m, is := range map[*metertest.Reader]bool{meter: false, broker: true} {
		if err := (alarm.Watch{Store: s, Drop: w.Ledger, Regimes: set, Broker: is, Now: now}).Register(m.Meter()); err != nil {
			t.Fatal(err)
		}
	}
	want := func(m *metertest.Reader, name string, wanted int64) {
		t.Helper()
		if n, ok := m.Value(name); !ok || n != wanted {
			t.Errorf("%s is %d, %t, want %d", name, n, ok, wanted)
		}
	}
	if n, ok := meter.Value("habeas.drop.days.left"); ok {
		t.Errorf("who never was a broker has %d days left", n)
	}
	if n, ok := broker.Value("habeas.drop.days.left"); !ok || n <= 0 {
		t.Errorf("who is a broker, and has time yet, has %d days left, %t", n, ok)
	}

	down := true
	w.platform.Fault = func(string) droptest.Fault {
		if down {
			return droptest.Broken
		}
		return droptest.None
	}
	if _, err := w.Session(t.Context()); err == nil {
		t.Fatal("a session without a platform succeeded")
	}
	want(meter, "habeas.drop.failing", 1)
	down = false
	w.whole(t)
	want(meter, "habeas.drop.failing", 0)
	want(meter, "habeas.drop.alarm", 0)
	if n, ok := meter.Value("habeas.drop.days.left"); !ok || n <= 0 {
		t.Errorf("after a session %d days are left, %t", n, ok)
	}
	left, _ := meter.Value("habeas.drop.days.left")
	w.now = w.now.AddDate(0, 0, int(left))
	want(meter, "habeas.drop.days.left", 0)
	want(meter, "habeas.drop.alarm", 1)
	w.now = w.now.AddDate(0, 0, 1)
	want(meter, "habeas.drop.days.left", -1)
	w.whole(t)
	want(meter, "habeas.drop.alarm", 0)
}
