package wire_test

import (
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
)

// Streams that are there are left alone, and changed where the options are others.
func TestStreamsAreBroughtUpToDate(t *testing.T) {
	bus := wiretest.New(t)
	ages := func() (evidence, parts time.Duration, made time.Time) {
		t.Helper()
		s, err := bus.JS.Stream(t.Context(), wire.StreamEvidence)
		if err != nil {
			t.Fatal(err)
		}
		b, err := bus.JS.Stream(t.Context(), "OBJ_"+wire.ExportBucket("crm"))
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().Config.MaxAge, b.CachedInfo().Config.MaxAge, s.CachedInfo().Created
	}
	ensure := func(rooms int, o wire.StreamOptions) {
		var all sync.WaitGroup
		for range rooms {
			all.Go(func() {
				if err := wire.EnsureStreams(t.Context(), bus.JS, o); err != nil {
					t.Error(err)
				}
				if err := wire.EnsureConnector(t.Context(), bus.JS, "crm", o); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	ensure(1, wire.StreamOptions{})
	_, _, made := ages()
	ensure(4, wire.StreamOptions{}) // rooms ask at once
	ensure(1, wire.StreamOptions{EvidenceAge: time.Hour, ExportTTL: 2 * time.Hour})
	if evidence, parts, still := ages(); evidence != time.Hour || parts != 2*time.Hour || !still.Equal(made) {
		t.Errorf("records stay %v and parts %v; made %v, then %v", evidence, parts, made, still)
	}
}
