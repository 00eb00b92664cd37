package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Claim is a data point as a person gave it.
type Claim struct {
	Point
	Value request.Secret
}

// Answer is what the systems say.
type Answer struct {
	// Known says that some system knows a person by the anchor.
	Known bool
	// Matched are the names of the claims that agree with her records.
	Matched []string
	// Silent are the connectors that could not be asked.
	Silent []string
}

// Matcher asks the systems. The anchor is one identifier: claims that agree
// with records of different people prove nothing.
type Matcher interface {
	Match(ctx context.Context, anchor request.Identifier, claims []Claim) (Answer, error)
}

// Bus asks the connectors over the bus. The question and the answers are
// sealed; nothing of them is kept.
type Bus struct {
	Conn  *nats.Conn
	Key   wire.SealKey
	Store interface {
		Connectors(ctx context.Context) ([]store.Connector, error)
	}
	// Patience is how long answers are waited for; 0 means 25 seconds.
	Patience time.Duration
}

var _ Matcher = (*Bus)(nil)

// Match implements [Matcher].
func (b *Bus) Match(ctx context.Context, anchor request.Identifier, claims []Claim) (Answer, error) {
	known, err := b.Store.Connectors(ctx)
	if err != nil {
		return Answer{}, err
	}
	patience := b.Patience
	if patience == 0 {
		patience = 25 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var all Answer
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, k := range known {
		m := &habeasv1.Manifest{}
		if err := proto.Unmarshal(k.Manifest, m); err != nil {
			return Answer{}, fmt.Errorf("reading the manifest of %s: %w", k.Name, err)
		}
		if !slices.Contains(m.GetAccepts(), string(anchor.Kind)) {
			continue
		}
		asked.Go(func() {
			r, err := b.ask(ctx, k.Name, m.GetSealKey(), anchor, claims)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || r.GetUnavailable() {
				all.Silent = append(all.Silent, k.Name)
				return
			}
			all.Known = all.Known || r.GetKnown()
			for _, name := range r.GetMatched() {
				if r.GetKnown() && !slices.Contains(all.Matched, name) && slices.ContainsFunc(claims, func(c Claim) bool { return c.Name == name }) {
					all.Matched = append(all.Matched, name)
				}
			}
		})
	}
	asked.Wait()
	slices.Sort(all.Matched)
	slices.Sort(all.Silent)
	return all, nil
}

// ask asks one connector.
func (b *Bus) ask(ctx context.Context, connector, sealKey string, anchor request.Identifier, claims []Claim) (*habeasv1.MatchResult, error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	body := &habeasv1.MatchClaims{MatchId: rand.Text(), Key: key, Anchor: &habeasv1.Identifier{Kind: string(anchor.Kind), Value: anchor.Reveal()}}
	for _, c := range claims {
		if d := wire.ClaimDigest(key, c.Form, c.Value.Reveal()); d != nil {
			body.Claims = append(body.Claims, &habeasv1.Claim{Name: c.Name, Form: c.Form, Fields: c.Fields, Digest: d})
		}
	}
	sealed, err := b.Key.SealClaims(body, sealKey)
	if err != nil {
		return nil, err
	}
	question, err := proto.Marshal(&habeasv1.MatchQuestion{MatchId: body.MatchId, Connector: connector, SealedClaims: sealed, SealerKey: b.Key.Public()})
	if err != nil {
		return nil, errors.New("asking a connector: the question can't be encoded")
	}
	reply := wire.MatchedSubject(connector, rand.Text())
	answers, err := b.Conn.SubscribeSync(reply)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", connector, err)
	}
	defer func() { _ = answers.Unsubscribe() }() // the connection may be closed already
	if err := b.Conn.PublishRequest(wire.MatchSubject(connector), reply, question); err != nil {
		return nil, fmt.Errorf("asking %s: %w", connector, err)
	}
	msg, err := answers.NextMsgWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", connector, err)
	}
	a := &habeasv1.MatchAnswer{}
	if err := proto.Unmarshal(msg.Data, a); err != nil || a.GetMatchId() != body.GetMatchId() {
		return nil, fmt.Errorf("asking %s: what came back is no answer", connector)
	}
	return b.Key.OpenResult(a.GetSealedResult(), sealKey, body.GetMatchId())
}
