package delivery_test

import (
	"errors"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/delivery"
)

// A package's time is over when it is over, not when somebody has swept it: the
// sweep comes once an hour, or not at all while the bucket does not answer.
func TestNoPackageAfterItsTime(t *testing.T) {
	f := newFixture(t)
	now := time.Now()
	room, err := delivery.New(delivery.Config{Source: f.exports, Packages: f.dir, TTL: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	f.part("crm", "contacts", fields{"email", "jane@example.com"})
	made, err := room.Build(t.Context(), f.order)
	if err != nil {
		t.Fatal(err)
	}
	now = made.ExpiresAt.Add(-time.Minute)
	r, _, err := room.Open(t.Context(), made.Key, f.identity)
	if err != nil {
		t.Fatalf("a minute before its end: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	now = made.ExpiresAt.Add(time.Minute)
	if _, _, err := room.Open(t.Context(), made.Key, f.identity); !errors.Is(err, delivery.ErrNotFound) {
		t.Errorf("a minute after its end: %v", err)
	}
}
