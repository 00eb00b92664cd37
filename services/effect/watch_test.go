package effect_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/effect"
	"github.com/habeas-data/habeas/services/request/store"
)

// said hands on what is logged, line by line.
type said chan string

func (s said) Write(line []byte) (int, error) {
	s <- string(line)
	return len(line), nil
}

// OO-8: a tag that somebody adds to a page is found in the next round and said
// aloud, and every round is on record.
func TestRogueTagIsFoundWithinOneRound_OO8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		filed, said := make(chan string, 8), make(said, 8)
		var rogue atomic.Bool
		w := effect.Watch{
			Settings: func() (effect.Settings, error) { return effect.Settings{Name: "shop"}, nil },
			Test: func(context.Context, effect.Settings) (*habeasv1.EffectRecord, error) {
				rec := &habeasv1.EffectRecord{Result: effect.Effective, Visits: []*habeasv1.EffectVisit{{Way: "gpc", Result: effect.Effective}}}
				if rogue.Load() {
					rec.Result, rec.Visits[0].Result = effect.NoEffect, effect.NoEffect
				}
				return rec, nil
			},
			File: func(_ context.Context, rec *habeasv1.EffectRecord) error {
				filed <- rec.GetResult()
				return nil
			},
			Every: 24 * time.Hour, Logger: slog.New(slog.NewTextHandler(said, nil)),
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		if got := <-filed; got != effect.Effective {
			t.Errorf("at the start: filed %s", got)
		}
		began := time.Now()
		rogue.Store(true)
		if got := <-filed; got != effect.NoEffect {
			t.Errorf("with the tag: filed %s", got)
		}
		if line := <-said; !strings.Contains(line, "gpc: NO EFFECT") {
			t.Errorf("with the tag, what is said first is %q", line)
		}
		if waited := time.Since(began); waited > w.Every {
			t.Errorf("found after %s", waited)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// OO-8: what can't be tested, read or filed is not passed over.
func TestOnceSaysWhatFails_OO8(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	good := effect.Watch{
		Settings: func() (effect.Settings, error) { return effect.Settings{}, nil },
		Test: func(context.Context, effect.Settings) (*habeasv1.EffectRecord, error) {
			return &habeasv1.EffectRecord{Result: effect.Effective}, nil
		},
		File: func(context.Context, *habeasv1.EffectRecord) error { return nil },
	}
	if err := good.Once(t.Context()); err != nil {
		t.Error(err)
	}
	for name, breaks := range map[string]func(*effect.Watch){
		"settings": func(w *effect.Watch) {
			w.Settings = func() (effect.Settings, error) { return effect.Settings{}, broken }
		},
		"test": func(w *effect.Watch) {
			w.Test = func(context.Context, effect.Settings) (*habeasv1.EffectRecord, error) { return nil, broken }
		},
		"file": func(w *effect.Watch) { w.File = func(context.Context, *habeasv1.EffectRecord) error { return broken } },
	} {
		w := good
		breaks(&w)
		if err := w.Once(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type keeper struct{ records []store.Record }

func (k *keeper) PutRecords(_ context.Context, records []store.Record) error {
	k.records = append(k.records, records...)
	return nil
}

// OO-8: what is filed is a signed record that says what was seen.
func TestFile_OO8(t *testing.T) {
	t.Parallel()
	seed := sha256.Sum256([]byte("intake"))
	signer, err := wire.NewSigner(ed25519.NewKeyFromSeed(seed[:]), "intake", "test", "1", "")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	seen := &habeasv1.EffectRecord{Name: "shop", Result: effect.NoEffect, EndTime: timestamppb.New(at), Visits: []*habeasv1.EffectVisit{
		{Way: "gpc", Result: effect.NoEffect, Pages: []*habeasv1.EffectPage{{Url: "https://shop.example/", Status: 200, Hosts: []string{"ads.example"}}}},
	}}
	var k keeper
	if err := effect.File(t.Context(), &k, signer, seen); err != nil {
		t.Fatal(err)
	}
	rec, err := wire.ParseRecord(k.records[0].Envelope)
	if err != nil {
		t.Fatal(err)
	}
	if err := rec.Verify(signer.Public()); err != nil {
		t.Error(err)
	}
	if got, ok := rec.Predicate.(*habeasv1.EffectRecord); !ok || !proto.Equal(got, seen) || !k.records[0].CreatedAt.Equal(at) {
		t.Errorf("filed %v", rec.Predicate)
	}
}
