package audit

import (
	"testing"

	"github.com/habeas-data/habeas/services/audit/keyring"
	"github.com/habeas-data/habeas/services/internal/metertest"
)

// What somebody is called for when it rises is there from the beginning: of a counter
// that appears at 1 nobody sees that it rose.
func TestCountersBeginAtNothing(t *testing.T) {
	meter := metertest.Global(t)
	if _, err := newMetrics(); err != nil {
		t.Fatal(err)
	}
	for _, reason := range append(keyring.Reasons(), incomplete) {
		if n, ok := meter.Value("habeas.audit.rejected", "reason", reason); !ok || n != 0 {
			t.Errorf("refused because of %s begins with %d, %t", reason, n, ok)
		}
	}
}
