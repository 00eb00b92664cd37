package records_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"testing/fstest"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/records"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

// Two requests around a change of a form: what each person saw can be shown,
// and each change is one signed record with the digest of the text.
func TestRE_8_WhatEachRequestSaw(t *testing.T) {
	s := open(t)
	seed := sha256.Sum256([]byte("intake"))
	signer, err := wire.NewSigner(ed25519.NewKeyFromSeed(seed[:]), "intake", "test", "1", "")
	if err != nil {
		t.Fatal(err)
	}
	declare := func(at time.Time, text string) int {
		t.Helper()
		texts, err := records.Files("form", fstest.MapFS{"delete.html": {Data: []byte(text)}, "words/en.yaml": {Data: []byte("version: \"7\"\nask: Ask\n")}})
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := records.History{Store: s, Signer: signer, By: "release 2", Now: func() time.Time { return at }}.Declare(t.Context(), texts)
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	if n := declare(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "old form"); n != 2 {
		t.Errorf("%d are new, want both", n)
	}
	if n := declare(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "old form"); n != 0 {
		t.Errorf("a restart made %d new", n)
	}
	before := asked(t, s, request.Delete, "2026-02-01", -1, done)
	if n := declare(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), "new form"); n != 1 {
		t.Errorf("%d are new, want the form", n)
	}
	after := asked(t, s, request.Delete, "2026-04-01", -1, done)
	for id, want := range map[request.ID]string{before: "old form", after: "new form"} {
		r, _, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		saw, err := s.VersionsAt(t.Context(), r.CreatedAt)
		if err != nil {
			t.Fatal(err)
		}
		if len(saw) != 2 || string(saw[0].Content) != want || saw[1].Name != "words/en.yaml" || saw[1].Version != "7" {
			t.Errorf("it saw %+v, want %q", saw, want)
		}
	}
	list, err := s.Unlogged(t.Context(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), 100)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d records, want 3: %v", len(list), err)
	}
	for _, r := range list {
		rec, err := wire.ParseRecord(r.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		v, ok := rec.Predicate.(*habeasv1.VersionRecord)
		if !ok || len(v.GetTextSha256()) != 32 || v.GetKind() != "form" || v.GetEffectTime() == nil {
			t.Errorf("record %v", rec.Predicate)
		}
	}
}

// Everything the law is computed from is among what is declared.
func TestRE_8_RulesAreTexts(t *testing.T) {
	texts, err := records.Files("regime", regimes.Files())
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]string)
	for _, x := range texts {
		have[x.Name] = x.Version
	}
	if have["us-ca-ccpa.yaml"] == "" || have["calendars/us-ca-conservative.yaml"] == "" || len(have) < 30 {
		t.Errorf("texts: %v", have)
	}
}
