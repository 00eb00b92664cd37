package sdk

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// Bounds on the work that one question may cause. Somebody who has not proved
// anything yet is behind it.
const (
	matchesAtOnce = 4
	matchTimeout  = 20 * time.Second
	matchRecords  = 20_000
)

// answerMatches answers questions about what a person says of herself, until
// the returned function is called. Only the key the connector was told of may
// ask; without one, nobody may. An author has nothing to do for it: what an
// export would hold is what is compared, and it goes nowhere.
func (w *worker) answerMatches(ctx context.Context) (stop func(), err error) {
	if w.MatchKey == "" {
		return func() {}, nil
	}
	return w.answering(ctx, questions{"about what a person says", wire.MatchSubject(w.Manifest.Name), matchesAtOnce, w.match})
}

// match answers one question.
func (w *worker) match(ctx context.Context, body []byte) ([]byte, error) {
	q := &habeasv1.MatchQuestion{}
	if err := proto.Unmarshal(body, q); err != nil {
		return nil, errors.New("reading a question: not a MatchQuestion message")
	}
	if q.GetConnector() != w.Manifest.Name || q.GetSealerKey() != w.MatchKey {
		return nil, errors.New("reading a question: it is for another connector, or from a key that may not ask")
	}
	claims, err := w.Keys.Seal.OpenClaims(q.GetSealedClaims(), q.GetSealerKey(), q.GetMatchId())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, matchTimeout)
	defer cancel()
	result := &habeasv1.MatchResult{MatchId: q.GetMatchId()}
	anchor := NewPerson(ID(Kind(claims.GetAnchor().GetKind()), claims.GetAnchor().GetValue())).Only(w.Manifest.Accepts...)
	if kinds := anchor.Kinds(); len(kinds) == 1 && kinds[0] != Name {
		if err := w.compare(ctx, anchor, claims, result); err != nil {
			w.Logger.Warn("comparing what a person says", "error", redact(err.Error(), anchor))
			result = &habeasv1.MatchResult{MatchId: q.GetMatchId(), Unavailable: true}
		}
	}
	sealed, err := w.Keys.Seal.SealResult(result, q.GetSealerKey())
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&habeasv1.MatchAnswer{MatchId: q.GetMatchId(), Connector: w.Manifest.Name, SealedResult: sealed})
}

// compare looks the person up and holds the claims against her records.
func (w *worker) compare(ctx context.Context, p Person, claims *habeasv1.MatchClaims, result *habeasv1.MatchResult) error {
	return w.call(ctx, func(ctx context.Context) error {
		found, err := w.Connector.Locate(ctx, p)
		if err != nil {
			return err
		}
		for _, f := range found {
			result.Known = result.Known || f.Count > 0
		}
		exporter, can := w.Connector.(Exporter)
		if !result.GetKnown() || !can || len(claims.GetClaims()) == 0 {
			return nil
		}
		c := &comparer{key: claims.GetKey(), open: claims.GetClaims()}
		if err := exporter.Export(ctx, p, c); err != nil && !errors.Is(err, errCompared) {
			return err
		}
		result.Matched = c.matched
		return nil
	})
}

// errCompared ends an export that has told enough.
var errCompared = errors.New("every claim is compared")

// comparer is a RecordWriter that keeps nothing.
type comparer struct {
	key     []byte
	open    []*habeasv1.Claim
	matched []string
	records int
}

// Write implements [RecordWriter].
func (c *comparer) Write(_ context.Context, r Record) error {
	if c.records++; c.records > matchRecords {
		return errCompared
	}
	for _, f := range r.Fields {
		c.see(f.Name, f.Value)
	}
	if len(c.open) == 0 {
		return errCompared
	}
	return nil
}

func (c *comparer) see(name string, value any) {
	if raw, ok := value.(json.RawMessage); ok {
		var nested map[string]any
		if json.Unmarshal(raw, &nested) == nil { // a list names no fields
			for k, v := range nested {
				c.see(k, v)
			}
		}
		return
	}
	text := fieldText(value)
	if text == "" {
		return
	}
	name = strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
	c.open = slices.DeleteFunc(c.open, func(claim *habeasv1.Claim) bool {
		if !slices.Contains(claim.GetFields(), name) || !hmac.Equal(wire.ClaimDigest(c.key, claim.GetForm(), text), claim.GetDigest()) {
			return false
		}
		c.matched = append(c.matched, claim.GetName())
		return true
	})
}

// fieldText is a value as a person would write it; "" for what can't be
// compared, items that may never be disclosed among them.
func fieldText(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case time.Time:
		return v.Format(time.DateOnly)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return fmt.Sprint(v)
	default:
		return ""
	}
}
