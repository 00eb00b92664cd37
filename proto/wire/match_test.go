package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

func TestInForm(t *testing.T) {
	for _, c := range []struct{ form, a, b string }{
		{wire.FormText, " 94110-1234", "941101234"},
		{wire.FormText, "O'Neil  Street", "oneil street"},
		{wire.FormEmail, " Anna@Example.org ", "anna@example.org"},
		{wire.FormPhone, "+1 (415) 555-0123", "4155550123"},
		{wire.FormE164, "(415) 555-0123", "+14155550123"}, {wire.FormE164, "1-415-555-0123", "+14155550123"}, {wire.FormE164, "+1.415.555.0123", "+14155550123"},
		{wire.FormE164, "011 49 30 123456", "+4930123456"}, {wire.FormE164, "0049 30 123456", "+4930123456"}, {wire.FormE164, "+49 30 123456", "+4930123456"},
		{wire.FormDigits, "INV-00 17", "0017"},
		{wire.FormDate, "7/4/1985", "1985-07-04"},
		{wire.FormDate, "1985-07-04T00:00:00Z", "19850704"},
		{wire.FormAmount, "$1,200.5", "1200.50"},
		{wire.FormAmount, "0012", "12.00"},
	} {
		if a, b := wire.InForm(c.form, c.a), wire.InForm(c.form, c.b); a == "" || a != b {
			t.Errorf("%s: %q and %q are %q and %q", c.form, c.a, c.b, a, b)
		}
	}
	for _, c := range []struct{ form, value string }{
		{wire.FormText, " - "}, {wire.FormEmail, "anna"}, {wire.FormPhone, "12345"},
		{wire.FormE164, "555-0123"}, {wire.FormE164, "030 123456"}, {wire.FormE164, "415 555 0123 ext 7"}, {wire.FormE164, "+1 115 555 0123"}, {wire.FormE164, "+44 1 415 555 0123 555"},
		{wire.FormDate, "yesterday"}, {wire.FormAmount, "free"}, {"unknown", "x"},
	} {
		if got := wire.InForm(c.form, c.value); got != "" {
			t.Errorf("%s: %q is %q, want nothing", c.form, c.value, got)
		}
	}
	if bytes.Equal(wire.ClaimDigest([]byte("a"), wire.FormText, "x"), wire.ClaimDigest([]byte("b"), wire.FormText, "x")) || wire.ClaimDigest([]byte("a"), wire.FormText, "") != nil {
		t.Error("a digest does not depend on its key, or nothing has one")
	}
}

func TestSealMatch(t *testing.T) {
	asker, connector, stranger := newKey(t), newKey(t), newKey(t)
	claims := &habeasv1.MatchClaims{MatchId: "m1", Anchor: &habeasv1.Identifier{Kind: "email", Value: "a@b.c"}}
	sealed, err := asker.SealClaims(claims, connector.Public())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("a@b.c")) {
		t.Error("the anchor can be read")
	}
	got, err := connector.OpenClaims(sealed, asker.Public(), "m1")
	if err != nil || !proto.Equal(got, claims) {
		t.Errorf("opened %v, %v", got, err)
	}
	for name, open := range map[string]func() error{
		"another reader":   func() error { _, err := stranger.OpenClaims(sealed, asker.Public(), "m1"); return err },
		"another writer":   func() error { _, err := connector.OpenClaims(sealed, stranger.Public(), "m1"); return err },
		"another question": func() error { _, err := connector.OpenClaims(sealed, asker.Public(), "m2"); return err },
		"a result":         func() error { _, err := connector.OpenResult(sealed, asker.Public(), "m2"); return err },
	} {
		if err := open(); !errors.Is(err, wire.ErrNotForUs) {
			t.Errorf("%s: %v, want %v", name, err, wire.ErrNotForUs)
		}
	}
	result, err := connector.SealResult(&habeasv1.MatchResult{MatchId: "m1", Known: true, Matched: []string{"postal_code"}}, asker.Public())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := asker.OpenResult(result, connector.Public(), "m1"); err != nil || !r.GetKnown() || len(r.GetMatched()) != 1 {
		t.Errorf("opened %v, %v", r, err)
	}
}
