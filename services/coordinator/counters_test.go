package coordinator

import (
	"testing"

	"github.com/habeas-data/habeas/services/internal/metertest"
)

// What somebody is called for when it rises is there from the beginning: of a counter
// that appears at 1 nobody sees that it rose.
func TestCountersBeginAtNothing(t *testing.T) {
	meter := metertest.Global(t)
	var c counters
	if err := c.init(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"habeas.coordinator.published", "habeas.coordinator.resent"} {
		if n, ok := meter.Value(name); !ok || n != 0 {
			t.Errorf("%s begins with %d, %t", name, n, ok)
		}
	}
	for _, why := range refusals {
		if n, ok := meter.Value("habeas.coordinator.rejected", "reason", string(why)); !ok || n != 0 {
			t.Errorf("refused because of %s begins with %d, %t", why, n, ok)
		}
	}
}
