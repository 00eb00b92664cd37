package row

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Person is a row of table person: one digest of one request's person.
type Person struct {
	Digest    []byte
	RequestID string
}

// Persons are the columns of table person.
var Persons = []Column[Person]{
	{"digest", Bytes, false, func(p *Person) any { return &p.Digest }},
	{"request_id", Text, false, func(p *Person) any { return &p.RequestID }},
}

// PersonsOf makes the rows of a new request, each digest once.
func PersonsOf(n *store.New) []*Person {
	var out []*Person
	seen := make(map[string]bool, len(n.People))
	for _, d := range n.People {
		if !seen[string(d)] {
			seen[string(d)] = true
			out = append(out, &Person{Digest: d, RequestID: string(n.Request.ID)})
		}
	}
	return out
}

// Notice is a row of table notice.
type Notice struct {
	RequestID, Kind, Key string
	CreatedAt            time.Time
	Told                 int64
}

// Notices are the columns of table notice.
var Notices = []Column[Notice]{
	{"request_id", Text, false, func(n *Notice) any { return &n.RequestID }},
	{"kind", Text, false, func(n *Notice) any { return &n.Kind }},
	{"key", Text, false, func(n *Notice) any { return &n.Key }},
	{"created_at", Time, false, func(n *Notice) any { return &n.CreatedAt }},
	{"told", Int, false, func(n *Notice) any { return &n.Told }},
}

// NoticesOf makes the rows of notices.
func NoticesOf(notices []store.Notice) []*Notice {
	out := make([]*Notice, len(notices))
	for i, n := range notices {
		out[i] = &Notice{RequestID: string(n.RequestID), Kind: string(n.Kind), Key: n.Key, CreatedAt: n.CreatedAt}
	}
	return out
}

// Domain makes the notice of a row.
func (n *Notice) Domain() store.Notice {
	return store.Notice{RequestID: request.ID(n.RequestID), Kind: store.NoticeKind(n.Kind), Key: n.Key, CreatedAt: n.CreatedAt}
}

// Related is what is read of another request of the same person.
type Related struct {
	Digest                                  []byte
	ID, Right, Channel, State, Result, Code string
	Terms, Case                             []byte
}

// RelatedColumns are the columns of a look at related requests, p being table person
// and r table request.
var RelatedColumns = []Column[Related]{
	{"p.digest", Bytes, false, func(r *Related) any { return &r.Digest }},
	{"r.id", Text, false, func(r *Related) any { return &r.ID }},
	{"r.consumer_right", Text, false, func(r *Related) any { return &r.Right }},
	{"r.channel", Text, false, func(r *Related) any { return &r.Channel }},
	{"r.state", Text, false, func(r *Related) any { return &r.State }},
	{"r.result", Text, false, func(r *Related) any { return &r.Result }},
	{"r.reason_code", Text, false, func(r *Related) any { return &r.Code }},
	{"r.terms", JSON, false, func(r *Related) any { return &r.Terms }},
	{"r.details", JSON, false, func(r *Related) any { return &r.Case }},
}

// Domain makes what the domain wants of a row.
func (r *Related) Domain() (store.Related, error) {
	out := store.Related{Digest: r.Digest, Past: request.Past{
		ID: request.ID(r.ID), Right: request.Right(r.Right), Channel: request.Channel(r.Channel), State: request.State(r.State), Result: request.Result(r.Result), Code: r.Code,
	}}
	var terms request.Terms
	if err := json.Unmarshal(r.Terms, &terms); err != nil {
		return out, fmt.Errorf("decoding request %s: %w", r.ID, err)
	}
	out.Received, out.Day, out.Due = terms.Received, terms.Due.Received, terms.Due
	if r.Case != nil {
		if err := json.Unmarshal(r.Case, &out.Case); err != nil {
			return out, fmt.Errorf("decoding request %s: %w", r.ID, err)
		}
	}
	return out, nil
}
