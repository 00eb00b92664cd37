package verify_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// connectors are those the store knows.
type connectors []store.Connector

func (c connectors) Connectors(context.Context) ([]store.Connector, error) { return c, nil }

// connector plays one that knows the planted person by some points.
func connector(t *testing.T, bus *wiretest.Bus, asker, name string, accepts []string, answer func(*habeasv1.MatchClaims) *habeasv1.MatchResult) (store.Connector, *[]*habeasv1.MatchClaims) {
	t.Helper()
	key, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	var heard []*habeasv1.MatchClaims
	_, err = bus.Conn.Subscribe(wire.MatchSubject(name), func(m *nats.Msg) {
		q := &habeasv1.MatchQuestion{}
		if err := proto.Unmarshal(m.Data, q); err != nil {
			t.Error(err)
			return
		}
		claims, err := key.OpenClaims(q.GetSealedClaims(), asker, q.GetMatchId())
		if err != nil {
			t.Error(err)
			return
		}
		heard = append(heard, claims)
		r := answer(claims)
		if r == nil {
			return
		}
		r.MatchId = q.GetMatchId()
		sealed, err := key.SealResult(r, asker)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := proto.Marshal(&habeasv1.MatchAnswer{MatchId: q.GetMatchId(), Connector: name, SealedResult: sealed})
		if err == nil {
			err = m.Respond(body)
		}
		if err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := proto.Marshal(&habeasv1.Manifest{Name: name, SealKey: key.Public(), Accepts: accepts})
	if err != nil {
		t.Fatal(err)
	}
	return store.Connector{Name: name, Manifest: manifest}, &heard
}

// The answers of several systems are put together; one that is silent, or says
// it can't look, is named; one that can't find anybody by the anchor is not
// asked, and none learns a value.
func TestBus(t *testing.T) {
	bus := wiretest.New(t)
	asker, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	says := func(r *habeasv1.MatchResult) func(*habeasv1.MatchClaims) *habeasv1.MatchResult {
		return func(*habeasv1.MatchClaims) *habeasv1.MatchResult { return r }
	}
	email := []string{"email"}
	crm, asked := connector(t, bus, asker.Public(), "crm", email, func(c *habeasv1.MatchClaims) *habeasv1.MatchResult {
		r := &habeasv1.MatchResult{Known: true, Matched: []string{"what nobody said"}}
		for _, claim := range c.GetClaims() {
			if slices.Equal(claim.GetDigest(), wire.ClaimDigest(c.GetKey(), claim.GetForm(), "(415) 555-0123")) {
				r.Matched = append(r.Matched, claim.GetName())
			}
		}
		return r
	})
	billing, _ := connector(t, bus, asker.Public(), "billing", email, says(&habeasv1.MatchResult{Known: true, Matched: []string{"postal_code"}}))
	mute, _ := connector(t, bus, asker.Public(), "mute", email, says(nil))
	down, _ := connector(t, bus, asker.Public(), "down", email, says(&habeasv1.MatchResult{Unavailable: true}))
	unknowing, _ := connector(t, bus, asker.Public(), "unknowing", email, says(&habeasv1.MatchResult{Matched: []string{"full_name"}}))
	other, otherAsked := connector(t, bus, asker.Public(), "analytics", []string{"user_id"}, says(&habeasv1.MatchResult{Known: true}))

	m := &verify.Bus{Conn: bus.Conn, Key: asker, Store: connectors{crm, billing, mute, down, unknowing, other}, Patience: 500 * time.Millisecond}
	policy := verify.DefaultPolicy()
	var claims []verify.Claim
	for _, p := range policy.Points {
		value := "something else"
		if p.Name == "phone" {
			value = "4155550123"
		}
		claims = append(claims, verify.Claim{Point: p, Value: request.NewSecret(value)})
	}
	got, err := m.Match(t.Context(), request.NewIdentifier(request.Email, planted), claims)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Known || !slices.Equal(got.Matched, []string{"phone", "postal_code"}) || !slices.Equal(got.Silent, []string{"down", "mute"}) {
		t.Errorf("the systems say %+v", got)
	}
	if len(*otherAsked) != 0 {
		t.Error("a system that can't find anybody by an address was asked")
	}
	for _, c := range *asked {
		text, err := proto.Marshal(&habeasv1.MatchClaims{Claims: c.GetClaims()})
		if err != nil || bytes.Contains(text, []byte("4155550123")) || len(c.GetClaims()) != len(policy.Points) {
			t.Errorf("a system was told %q, %v", text, err)
		}
	}
}
