package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// shelf is a book whose records have fields.
type shelf struct {
	*book
	fields map[string][]sdk.Field
	err    error
	wrote  int
}

func (s *shelf) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	if s.err != nil {
		return s.err
	}
	for _, email := range p.Values(sdk.Email) {
		for range 3 {
			s.wrote++
			if err := w.Write(ctx, sdk.Record{Store: "people", Fields: s.fields[email]}); err != nil {
				return err
			}
		}
	}
	return nil
}

func newShelf() *shelf {
	return &shelf{book: newBook().put("anna@example.org", "people", 3).put("bert@example.org", "people", 3), fields: map[string][]sdk.Field{
		"anna@example.org": {
			{Name: "address.zip", Value: "94110"}, {Name: "last_total", Value: 12.5}, {Name: "licence", Value: sdk.Withheld("licence")},
			{Name: "born", Value: time.Date(1985, 7, 4, 0, 0, 0, 0, time.UTC)}, {Name: "contact", Value: json.RawMessage(`{"phone": "(415) 555-0123"}`)},
		},
		"bert@example.org": {{Name: "zip", Value: "10001"}},
	}}
}

// ask asks the connector as intake does; nil when nobody answers.
func ask(t *testing.T, r *rig, asker wire.SealKey, anchor string, claims ...*habeasv1.Claim) *habeasv1.MatchResult {
	t.Helper()
	key := []byte("the key of this question")
	for _, c := range claims {
		c.Digest = wire.ClaimDigest(key, c.GetForm(), string(c.GetDigest()))
	}
	sealed, err := asker.SealClaims(&habeasv1.MatchClaims{
		MatchId: "m1", Anchor: &habeasv1.Identifier{Kind: "email", Value: anchor}, Key: key, Claims: claims,
	}, r.keys.Seal.Public())
	if err != nil {
		t.Fatal(err)
	}
	body, err := proto.Marshal(&habeasv1.MatchQuestion{MatchId: "m1", Connector: "book", SealedClaims: sealed, SealerKey: asker.Public()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := r.dial(nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers, err := conn.SubscribeSync(wire.MatchedSubject("*", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.PublishRequest(wire.MatchSubject("book"), wire.MatchedSubject("book", "t1"), body); err != nil {
		t.Fatal(err)
	}
	m, err := answers.NextMsg(2 * time.Second)
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) || m != nil && len(m.Data) == 0 { // nobody listens
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	a := &habeasv1.MatchAnswer{}
	if err := proto.Unmarshal(m.Data, a); err != nil {
		t.Fatal(err)
	}
	result, err := asker.OpenResult(a.GetSealedResult(), r.keys.Seal.Public(), "m1")
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func claim(name, form, value string, fields ...string) *habeasv1.Claim {
	return &habeasv1.Claim{Name: name, Form: form, Fields: fields, Digest: []byte(value)}
}

func matchRig(t *testing.T, c sdk.Connector) (*rig, wire.SealKey) {
	t.Helper()
	asker, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, c, func(cfg *sdk.ServeConfig) { cfg.MatchKey = asker.Public() })
	r.start()
	return r, asker
}

func TestMatch(t *testing.T) {
	s := newShelf()
	r, asker := matchRig(t, s)
	got := ask(t, r, asker, "anna@example.org",
		claim("postal_code", wire.FormText, "94110", "zip", "postal_code"), claim("phone", wire.FormPhone, "+1 415 555 0123", "phone"), claim("number", wire.FormE164, "+14155550123", "phone"),
		claim("amount", wire.FormAmount, "$12.50", "last_total"), claim("birth", wire.FormDate, "7/4/1985", "born"))
	slices.Sort(got.Matched)
	if want := []string{"amount", "birth", "number", "phone", "postal_code"}; !got.GetKnown() || !cmp.Equal(got.GetMatched(), want) {
		t.Errorf("matched %v, known %v; want %v", got.GetMatched(), got.GetKnown(), want)
	}
	if s.wrote != 1 {
		t.Errorf("%d records were read to see what the first one showed", s.wrote)
	}
	for name, c := range map[string]*habeasv1.Claim{
		"another person's value":     claim("postal_code", wire.FormText, "10001", "zip"),
		"a value of another field":   claim("postal_code", wire.FormText, "94110", "phone"),
		"what may never be told":     claim("licence", wire.FormText, "licence", "licence"),
		"a number abroad":            claim("number", wire.FormE164, "+494155550123", "phone"),
		"nothing":                    claim("postal_code", wire.FormText, "", "zip"),
		"a value without its digest": {Name: "postal_code", Form: wire.FormText, Fields: []string{"zip"}},
	} {
		if got := ask(t, r, asker, "anna@example.org", c); !got.GetKnown() || len(got.GetMatched()) != 0 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := ask(t, r, asker, "stranger@example.org", claim("postal_code", wire.FormText, "94110", "zip")); got.GetKnown() || len(got.GetMatched()) != 0 || got.GetUnavailable() {
		t.Errorf("a stranger: %v", got)
	}
}

func TestMatchUnavailable(t *testing.T) {
	s := newShelf()
	s.err = errors.New("down, asked for anna@example.org")
	r, asker := matchRig(t, s)
	if got := ask(t, r, asker, "anna@example.org", claim("zip", wire.FormText, "94110", "zip")); !got.GetUnavailable() || got.GetKnown() {
		t.Errorf("a system that is down: %v", got)
	}
	if log := r.log.String(); !strings.Contains(log, "comparing what a person says") || strings.Contains(log, "anna@") {
		t.Errorf("the log does not say what is wrong, or of whom: %s", log)
	}
}

func TestMatchAnswersOneKeyAlone(t *testing.T) {
	r, _ := matchRig(t, newShelf())
	stranger, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	if got := ask(t, r, stranger, "anna@example.org"); got != nil {
		t.Errorf("a stranger was answered: %v", got)
	}
	silent := newRig(t, newShelf())
	silent.start()
	if got := ask(t, silent, stranger, "anna@example.org"); got != nil {
		t.Errorf("a connector that was told of no key answers: %v", got)
	}
}
