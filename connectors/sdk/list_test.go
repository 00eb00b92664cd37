package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// roll is a book that says who is in it: so many people, each with so much text.
type roll struct {
	*book
	people, text int
	off          bool
	err          error
	asked        []int
}

func (r *roll) Lists() bool { return !r.off }

func (r *roll) List(_ context.Context, after []byte, most int) (sdk.Listing, error) {
	r.asked = append(r.asked, most)
	if r.err != nil {
		return sdk.Listing{}, r.err
	}
	from := 0
	if len(after) > 0 {
		from, _ = strconv.Atoi(string(after))
	}
	var l sdk.Listing
	for i := from; i < r.people && len(l.People) < most; i++ {
		l.People = append(l.People, sdk.Held{
			Key: sdk.Secret(fmt.Sprint("c-", i)), Emails: []sdk.Secret{sdk.Secret(fmt.Sprintf("p%d@example.org", i)), "\xff"},
			VINs: []sdk.Secret{sdk.Secret(strings.Repeat("x", r.text))}, Names: []sdk.HeldName{{First: "Ann", Last: "Lee"}},
			Identifiers: []sdk.Identifier{sdk.ID(sdk.CustomerID, fmt.Sprint("c-", i))},
		})
	}
	if next := from + len(l.People); next < r.people {
		l.Next = []byte(strconv.Itoa(next))
	}
	return l, nil
}

// askPeople asks for a page; nil when nobody answers.
func askPeople(t *testing.T, r *rig, asker wire.SealKey, after []byte, most int32) *habeasv1.PeoplePage {
	t.Helper()
	sealed, err := asker.SealPeopleQuestion(&habeasv1.PeopleQuestion{CallId: "p1", After: after, Most: most}, r.keys.Seal.Public())
	if err != nil {
		t.Fatal(err)
	}
	body, err := proto.Marshal(&habeasv1.PeopleCall{CallId: "p1", Connector: "book", SealedQuestion: sealed, SealerKey: asker.Public()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := r.dial(nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers, err := conn.SubscribeSync(wire.PeopledSubject("*", "t1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.PublishRequest(wire.PeopleSubject("book"), wire.PeopledSubject("book", "t1"), body); err != nil {
		t.Fatal(err)
	}
	m, err := answers.NextMsg(time.Minute)
	if errors.Is(err, nats.ErrNoResponders) || m != nil && len(m.Data) == 0 { // nobody listens
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	reply := &habeasv1.PeopleReply{}
	if err := proto.Unmarshal(m.Data, reply); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(m.Data), "example.org") {
		t.Error("the page travels unsealed")
	}
	page, err := asker.OpenPeoplePage(reply.GetSealedPage(), r.keys.Seal.Public(), "p1")
	if err != nil {
		t.Fatal(err)
	}
	return page
}

func listRig(t *testing.T, c sdk.Connector) (*rig, wire.SealKey) {
	t.Helper()
	asker, err := wire.NewSealKey()
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, c, func(cfg *sdk.ServeConfig) { cfg.ListKey = asker.Public() })
	r.start()
	return r, asker
}

func TestList_DR4(t *testing.T) {
	l := &roll{book: newBook(), people: 25, text: 10}
	r, asker := listRig(t, l)
	var keys []string
	for after, pages := []byte(nil), 0; pages == 0 || len(after) > 0; pages++ {
		page := askPeople(t, r, asker, after, 10)
		for _, p := range page.GetPeople() {
			keys = append(keys, p.GetKey())
			if len(p.GetEmails()) != 1 || len(p.GetNames()) != 1 || len(p.GetIdentifiers()) != 1 || len(p.GetVins()) != 1 {
				t.Fatalf("%d addresses, %d names, %d identifiers, %d numbers: want one of each; what is no text is left out",
					len(p.GetEmails()), len(p.GetNames()), len(p.GetIdentifiers()), len(p.GetVins()))
			}
		}
		after = page.GetNext()
	}
	if slices.Sort(keys); len(slices.Compact(keys)) != 25 || len(keys) != 25 {
		t.Errorf("%d people listed, want each of 25 once", len(keys))
	}
	// The manifest tells who can be asked.
	if !r.heard().GetLists() {
		t.Error("the manifest does not say that people can be listed")
	}
}

// A page fits into a message however much is held of each.
func TestListFitsAMessage(t *testing.T) {
	l := &roll{book: newBook(), people: 20, text: 200 << 10}
	r, asker := listRig(t, l)
	page := askPeople(t, r, asker, nil, 20)
	if n := len(page.GetPeople()); n == 0 || n > 3 || len(page.GetNext()) == 0 || page.GetProblem() != "" {
		t.Errorf("%d people of 200 KiB each, next %q, problem %q", n, page.GetNext(), page.GetProblem())
	}
	l.text = wire.MaxPeople
	if page := askPeople(t, r, asker, nil, 20); page.GetProblem() == "" || len(page.GetPeople()) != 0 {
		t.Error("one person who fits into no message is passed over")
	}
}

func TestListRefuses(t *testing.T) {
	l := &roll{book: newBook(), people: 3}
	r, asker := listRig(t, l)
	l.err = errors.New("down, at p1@example.org")
	if page := askPeople(t, r, asker, nil, 10); !page.GetUnavailable() || len(page.GetPeople()) != 0 {
		t.Error("a system that is down is not said to be")
	}
	l.err = sdk.Permanent(errors.New("no such table"))
	if page := askPeople(t, r, asker, nil, 10); page.GetProblem() == "" || page.GetUnavailable() {
		t.Error("what asking again can't heal is not said to be so")
	}
	l.err = nil
	if log := r.log.String(); !strings.Contains(log, "listing people") || strings.Contains(log, "example.org") {
		t.Errorf("the log does not say what is wrong, or of whom: %s", log)
	}
	for _, most := range []int32{-1, 0, 1 << 30} {
		if page := askPeople(t, r, asker, nil, most); len(page.GetPeople()) == 0 {
			t.Errorf("asked for %d at most: nobody", most)
		}
	}
	if most := slices.Max(l.asked); most > 10_000 {
		t.Errorf("the connector was asked for %d people at once", most)
	}
}

// Without a key, or the ability, nobody is told anything; another's key is no
// key.
func TestListOnlyTheOneWhoMay(t *testing.T) {
	r, asker := listRig(t, &roll{book: newBook(), people: 3, off: true})
	if askPeople(t, r, asker, nil, 1) != nil {
		t.Error("a connector that lists nobody answered")
	}
	l := &roll{book: newBook(), people: 3}
	r = newRig(t, l)
	r.start()
	if askPeople(t, r, asker, nil, 1) != nil || len(l.asked) > 0 {
		t.Error("a connector without list_key answered")
	}
}
