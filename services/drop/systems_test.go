package drop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
	"github.com/habeas-data/habeas/services/drop"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

type announced []store.Connector

func (a announced) Connectors(context.Context) ([]store.Connector, error) { return a, nil }

// lister plays a connector that says whom its system holds.
type lister struct {
	name   string
	people []*habeasv1.HeldPerson
	// fault, when set, answers in the page's place, or not at all with nil; it
	// counts the questions from 1.
	fault func(asked int, page *habeasv1.PeoplePage) *habeasv1.PeoplePage

	mu    sync.Mutex
	asked int
}

func (l *lister) serve(t *testing.T, bus *wiretest.Bus, asker wire.SealKey, lists bool) store.Connector {
	t.Helper()
	key, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = bus.Conn.Subscribe(wire.PeopleSubject(l.name), func(m *nats.Msg) {
		c, err := wire.ParsePeopleCall(m.Data, l.name)
		if err != nil {
			t.Error(err)
			return
		}
		q, err := key.OpenPeopleQuestion(c.GetSealedQuestion(), asker.Public(), c.GetCallId())
		if err != nil {
			t.Error(err)
			return
		}
		page := l.page(q)
		if page == nil {
			return
		}
		page.CallId = c.GetCallId()
		sealed, err := key.SealPeoplePage(page, asker.Public())
		if err != nil {
			t.Error(err)
			return
		}
		body, err := proto.Marshal(&habeasv1.PeopleReply{CallId: c.GetCallId(), Connector: l.name, SealedPage: sealed})
		if err == nil {
			err = m.Respond(body)
		}
		if err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	manifest, err := proto.Marshal(&habeasv1.Manifest{Name: l.name, SealKey: key.Public(), Lists: lists})
	if err != nil {
		t.Fatal(err)
	}
	return store.Connector{Name: l.name, Manifest: manifest}
}

func (l *lister) page(q *habeasv1.PeopleQuestion) *habeasv1.PeoplePage {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	from, _ := strconv.Atoi(string(q.GetAfter()))
	to := min(from+int(q.GetMost()), len(l.people))
	page := &habeasv1.PeoplePage{People: l.people[from:to]}
	if to < len(l.people) {
		page.Next = []byte(strconv.Itoa(to))
	}
	if l.fault != nil {
		return l.fault(l.asked, page)
	}
	return page
}

func heldPerson(key, email string) *habeasv1.HeldPerson {
	return &habeasv1.HeldPerson{Key: key, Emails: []string{email}, Births: []string{"1985-07-04", "unknown"}, Identifiers: []*habeasv1.Identifier{{Kind: "customer_id", Value: key}}}
}

func systems(t *testing.T, listers ...*lister) *drop.Systems {
	t.Helper()
	bus := wiretest.New(t)
	key, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	s := &drop.Systems{Conn: bus.Conn, Key: key, Page: 3, Patience: 300 * time.Millisecond, Tries: 3}
	var known announced
	for _, l := range listers {
		known = append(known, l.serve(t, bus, key, true))
		s.Names = append(s.Names, l.name)
	}
	s.Store = append(known, (&lister{name: "crm"}).serve(t, bus, key, false))
	return s
}

func open(ctx context.Context, s *drop.Systems) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return s.Open(ctx) }
}

// Whoever is in a system and in no file is found on the lists all the same, and
// is asked for by what all systems know of them. Somebody whom two systems hold
// under one number is one person.
func TestDR_4_SystemsSayWhomTheyHold(t *testing.T) {
	for name, world := range map[string]func(testing.TB) *world{"sqlite": lite, "postgres": postgres} {
		t.Run(name, func(t *testing.T) {
			w := world(t)
			w.people = []drop.Holding{holder("c-1", mail(1))}
			billing, shop := &lister{name: "billing"}, &lister{name: "shop"}
			for n := range 8 {
				billing.people = append(billing.people, heldPerson(fmt.Sprint("c-", n), mail(n)))
			}
			shop.people = []*habeasv1.HeldPerson{heldPerson("c-2", mail(2)), heldPerson("c-2", mail(22)), heldPerson("c-90", mail(7))}
			w.People = drop.Together(w.People, open(t.Context(), systems(t, billing, shop)))
			w.platform.Give(first, []drop.Item{mailItem(1, mail(1)), mailItem(2, mail(2)), mailItem(3, mail(7)), mailItem(4, mail(99)), mailItem(5, mail(22))}, nil)
			w.whole(t)
			answers(t, w, map[string]drop.Status{id(1): drop.Deleted, id(2): drop.Deleted, id(3): drop.OptedOut, id(4): drop.NotFound, id(5): drop.Deleted})
			known := 0
			for _, ids := range w.who {
				for _, want := range []request.Identifier{request.NewIdentifier(request.Email, mail(2)), request.NewIdentifier(request.Email, mail(22)), request.NewIdentifier(request.CustomerID, "c-2")} {
					if slices.Contains(ids, want) {
						known++
					}
				}
			}
			if known != 3 {
				t.Errorf("the one in two systems was asked for by %d of three identifiers", known)
			}
			if billing.asked < 3 {
				t.Errorf("billing was asked %d times: not in pages of three", billing.asked)
			}
		})
	}
}

// A lost answer is asked for again; a system that does not answer, or whose list
// ends early, leaves nobody out: nothing is answered then.
func TestDR_4_ASystemThatDoesNotSay(t *testing.T) {
	people := func() (all []*habeasv1.HeldPerson) {
		for n := range 8 {
			all = append(all, heldPerson(fmt.Sprint("c-", n), mail(n)))
		}
		return all
	}
	for name, c := range map[string]struct {
		fault func(int, *habeasv1.PeoplePage) *habeasv1.PeoplePage
		ok    bool
	}{
		"the second question is lost": {func(n int, p *habeasv1.PeoplePage) *habeasv1.PeoplePage {
			if n == 2 {
				return nil
			}
			return p
		}, true},
		"it is down for a moment": {func(n int, p *habeasv1.PeoplePage) *habeasv1.PeoplePage {
			if n == 2 {
				return &habeasv1.PeoplePage{Unavailable: true}
			}
			return p
		}, true},
		"it goes down": {func(n int, p *habeasv1.PeoplePage) *habeasv1.PeoplePage {
			if n >= 2 {
				return &habeasv1.PeoplePage{Unavailable: true}
			}
			return p
		}, false},
		"it falls silent": {func(n int, p *habeasv1.PeoplePage) *habeasv1.PeoplePage {
			if n >= 3 {
				return nil
			}
			return p
		}, false},
		"it can't": {func(int, *habeasv1.PeoplePage) *habeasv1.PeoplePage {
			return &habeasv1.PeoplePage{Problem: "no such table"}
		}, false},
		"somebody can't be asked for": {func(_ int, p *habeasv1.PeoplePage) *habeasv1.PeoplePage {
			return &habeasv1.PeoplePage{People: []*habeasv1.HeldPerson{{Key: "c-1", Vins: []string{"x"}}}, Next: p.GetNext()}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lister{name: "billing", people: people(), fault: c.fault}
			w := lite(t)
			w.People = drop.Together(open(t.Context(), systems(t, l)))
			w.platform.Give(first, []drop.Item{mailItem(1, mail(7)), mailItem(2, mail(50))}, nil)
			if c.ok {
				w.whole(t)
				answers(t, w, map[string]drop.Status{id(1): drop.Deleted, id(2): drop.NotFound})
				return
			}
			_, err := w.Session(t.Context())
			if !errors.Is(err, drop.ErrSystems) || strings.Contains(err.Error(), "example.") {
				t.Errorf("the session: %v", err)
			}
			if got := w.platform.Given(id(2)); len(got) != 0 {
				t.Errorf("an item was answered %v though not everybody was held against it", got)
			}
		})
	}
}

func TestDR_4_SystemsThatCanNotBeAsked(t *testing.T) {
	s := systems(t, &lister{name: "billing"})
	for _, c := range [][2]string{{"crm", "can't list people"}, {"nobody", "no connector nobody"}} {
		s.Names = []string{"billing", c[0]}
		if r, err := s.Open(t.Context()); !errors.Is(err, drop.ErrSystems) || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v, %v", c[0], r, err)
		}
	}
}
