package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/disclosure"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Ledger says what of a person's was given away; [disclosure.Ledger] is one.
type Ledger interface {
	Given(ctx context.Context, located []disclosure.Located, ids []request.Identifier, from, to time.Time) ([]disclosure.Entry, error)
}

// storeFacts is what manifests say of one store.
type storeFacts struct {
	letters []string // statutory categories
	// finer are the data categories of each letter.
	finer map[string][]string
	// customer says that the records are held for a customer (11 CCR 7050).
	customer bool
}

// gathering is an order on its way, with what it is made from.
type gathering struct {
	*Queue
	o      Order
	req    *store.Request
	words  *words
	stores map[[2]string]storeFacts
	// located is what was found anywhere, of which the disclosures follow.
	located []disclosure.Located
	// others counts what is held for customers, by connector and store.
	others map[[2]string]int64
}

// order gathers what a package is made of from the outcomes of the request.
func (q *Queue) order(ctx context.Context, id request.ID, identity *age.X25519Identity) (o Order, err error) {
	defer func() {
		if err != nil {
			q.release(id, q.now().Add(retryAfter))
		}
	}()
	req, jobs, err := q.config.Store.Get(ctx, id)
	if err != nil {
		return Order{}, err
	}
	g := gathering{Queue: q, req: &req, others: map[[2]string]int64{}, o: Order{
		RequestID: string(id), Regime: req.Regime, Right: string(req.Right()), ReceivedAt: req.Terms.Received,
		CategoriesOnly: req.Right() == request.KnowCategories, Language: req.Case.Language, Identity: q.config.Identity, Recipient: identity.Recipient(),
	}}
	if g.words, err = wordsOf(req.Case.Language); err != nil {
		return Order{}, err
	}
	if since := req.Since(); !since.IsZero() {
		loc, err := time.LoadLocation(req.Terms.Due.Zone)
		if err != nil {
			return Order{}, fmt.Errorf("time zone of request %s: %w", id, err)
		}
		g.o.Since = since.Start(loc)
	}
	if g.stores, err = q.manifests(ctx); err != nil {
		return Order{}, err
	}
	g.o.Finer = map[Place][]string{}
	for at, facts := range g.stores {
		for letter, data := range facts.finer {
			g.o.Finer[Place{at[0], at[1], letter}] = data
		}
	}
	for i := range jobs {
		if store.LaterJob(jobs, i) {
			continue
		}
		if err := g.addJob(&jobs[i]); err != nil {
			return Order{}, err
		}
	}
	for _, note := range []func() error{g.noteOmissions, g.noteCustomers, g.noteOlder} {
		if err := note(); err != nil {
			return Order{}, err
		}
	}
	if err := g.addPerson(ctx); err != nil {
		return Order{}, err
	}
	if err := g.addReview(ctx); err != nil {
		return Order{}, err
	}
	g.addCompany()
	return g.o, nil
}

// manifests gives what is declared of every store.
func (q *Queue) manifests(ctx context.Context) (map[[2]string]storeFacts, error) {
	connectors, err := q.config.Store.Connectors(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[[2]string]storeFacts)
	for _, c := range connectors {
		m := &habeasv1.Manifest{}
		if err := proto.Unmarshal(c.Manifest, m); err != nil {
			return nil, fmt.Errorf("stored manifest of %s: %w", c.Name, err)
		}
		for _, s := range m.GetStores() {
			f := storeFacts{finer: map[string][]string{}, customer: s.GetRole() == habeasv1.Role_ROLE_SERVICE_PROVIDER}
			for _, cat := range s.GetCategories() {
				if l := cat.GetLetter(); l != "" {
					f.letters = join(f.letters, l)
					if cat.GetData() != "" {
						f.finer[l] = join(f.finer[l], cat.GetData())
					}
				}
			}
			out[[2]string{c.Name, s.GetName()}] = f
		}
	}
	return out, nil
}

func (g *gathering) addJob(j *store.Job) error {
	if j.Action == request.ActionResolve {
		return nil
	}
	if !j.State.Success() {
		name := "missing_partly"
		if j.State == request.JobNotSupported {
			name = "missing_uncopied"
		}
		reason, err := g.words.say(name)
		if err != nil {
			return err
		}
		g.o.Missing = append(g.o.Missing, Missing{Connector: j.Connector, State: string(j.State), Reason: reason})
	}
	if len(j.Outcome) == 0 {
		return nil
	}
	said := &habeasv1.Outcome{}
	if err := protojson.Unmarshal(j.Outcome, said); err != nil {
		return fmt.Errorf("stored outcome of job %s: %w", j.ID, err)
	}
	for _, p := range said.GetParts() {
		if err := g.addPart(j, p); err != nil {
			return err
		}
	}
	for _, s := range said.GetStores() {
		g.addLocated(j, s)
	}
	return nil
}

func (g *gathering) addPart(j *store.Job, p *habeasv1.ExportPart) error {
	at := [2]string{j.Connector, p.GetStore()}
	facts := g.stores[at]
	if facts.customer {
		g.others[at] += p.GetRecordCount()
		return nil
	}
	part := Part{
		Connector: j.Connector, Object: p.GetObject(), Store: p.GetStore(), Categories: facts.letters,
		Records: p.GetRecordCount(), Size: p.GetSize(), Withheld: p.GetWithheld(),
	}
	if copy(part.SHA256[:], p.GetSha256()) != len(part.SHA256) {
		return fmt.Errorf("stored outcome of job %s: a part's digest is no SHA-256", j.ID)
	}
	g.o.Parts = append(g.o.Parts, part)
	return nil
}

func (g *gathering) addLocated(j *store.Job, s *habeasv1.StoreCount) {
	at := [2]string{j.Connector, s.GetStore()}
	facts := g.stores[at]
	categories := facts.letters
	if s.GetCategory() != "" {
		categories = []string{s.GetCategory()}
	}
	switch {
	case s.GetLocatedCount() == 0:
	case facts.customer && j.Action == request.ActionLocate:
		g.others[at] += s.GetLocatedCount()
	case facts.customer:
	default:
		g.located = append(g.located, disclosure.Located{Connector: j.Connector, Store: s.GetStore(), Letters: categories})
	}
	if j.Action == request.ActionLocate && !facts.customer {
		g.o.Located = append(g.o.Located, Located{Connector: j.Connector, Store: s.GetStore(), Categories: categories, Count: s.GetLocatedCount()})
	}
}

// noteOmissions says what was not searched, from the plan: systems in which
// nothing given identifies the person, and stores on the four conditions of
// 11 CCR 7024(c), which their connectors declare.
func (g *gathering) noteOmissions() error {
	var doc struct {
		Omissions []struct {
			Connector, Reason string
			Described         []string
		}
	}
	if err := json.Unmarshal(g.req.Plan, &doc); err != nil {
		return nil //nolint:nilerr // a request without a plan has nothing to say here
	}
	for _, om := range doc.Omissions {
		stores, unsearched := strings.CutPrefix(om.Reason, "not_searched:")
		switch {
		case om.Reason == "needs_identifier":
			reason, err := g.words.say("note_needs_identifier")
			if err != nil {
				return err
			}
			g.o.Notes = append(g.o.Notes, Note{Kind: NoteNotSearched, Connector: om.Connector, Reason: reason})
		case unsearched:
			for i, name := range strings.Split(stores, "+") {
				described := ""
				if i < len(om.Described) {
					described = om.Described[i]
				}
				reason, err := g.words.say("note_not_searched", described)
				if err != nil {
					return err
				}
				g.o.Notes = append(g.o.Notes, Note{
					Kind: NoteNotSearched, Connector: om.Connector, Store: name, Categories: g.stores[[2]string{om.Connector, name}].letters,
					Reason: reason, Basis: "11 CCR 7024(c)",
				})
			}
		}
	}
	return nil
}

// noteCustomers says what is held for customers and so is theirs to answer for.
func (g *gathering) noteCustomers() error {
	places := make([][2]string, 0, len(g.others))
	for at, n := range g.others {
		if n > 0 {
			places = append(places, at)
		}
	}
	slices.SortFunc(places, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	for _, at := range places {
		reason, err := g.words.say("note_customer")
		if err != nil {
			return err
		}
		g.o.Notes = append(g.o.Notes, Note{
			Kind: NoteKept, Connector: at[0], Store: at[1], Categories: g.stores[at].letters, Count: g.others[at], Reason: reason, Basis: "11 CCR 7050",
		})
	}
	return nil
}

// noteOlder says that older data is held back, and the facts it was refused with.
func (g *gathering) noteOlder() error {
	n := g.req.Case.Narrowed
	if n == nil || n.Since != g.req.Since() {
		return nil
	}
	reason, err := g.words.say("note_older", n.Facts["explanation"])
	if err != nil {
		return err
	}
	g.o.Notes = append(g.o.Notes, Note{Kind: NoteOutOfRange, Reason: reason, Basis: "11 CCR 7024(h)"})
	return nil
}
