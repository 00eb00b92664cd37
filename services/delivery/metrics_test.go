package delivery_test

import (
	"testing"

	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/internal/metertest"
)

// Packages that fail are counted from nothing: of a counter that appears at 1 nobody
// sees that it rose.
func TestCountersBeginAtNothing(t *testing.T) {
	meter := metertest.Global(t)
	if _, err := delivery.New(delivery.Config{Source: folder(t.TempDir()), Packages: t.TempDir(), SpoolDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	for _, result := range []string{"made", "failed"} {
		if n, ok := meter.Value("habeas.delivery.packages", "result", result); !ok || n != 0 {
			t.Errorf("packages that were %s begin with %d, %t", result, n, ok)
		}
	}
}
