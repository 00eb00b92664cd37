package sdk

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// A Lister is a Connector whose system can say whom it holds. It is for lists of
// people that are kept elsewhere as hashes and have to be held against everybody
// (11 CCR 7613): nothing but a list of one's own finds who is on them.
type Lister interface {
	Connector
	// Lists reports whether the system, as it is configured, can.
	Lists() bool
	// List returns the people after a place, at most so many, in an order in which
	// nobody who stays in the system is passed over however often it is asked. The
	// zero place is the beginning. It changes nothing and keeps nothing: the same
	// place may be asked for again, also of another process. Records held for
	// customers ([ServiceProvider]) are left out.
	List(ctx context.Context, after []byte, most int) (Listing, error)
}

// Listing is a page of people.
type Listing struct {
	People []Held
	// Next is the place after which the next page begins; empty at the end. A
	// page may have nobody and a next one.
	Next []byte
}

// Held is what a system holds of one person that lists can name her by, as it is
// stored. Several of one Key are one person.
type Held struct {
	// Key is the company's own number for her, the same in every system that
	// lists her.
	Key                                                       Secret
	Emails, Phones, AdvertisingIDs, TelevisionIDs, VINs, ZIPs []Secret
	Names                                                     []HeldName
	Births                                                    []Secret // yyyy-mm-dd
	// Identifiers are further ones that connectors can be asked for.
	Identifiers []Identifier
}

// HeldName is a name in two parts.
type HeldName struct{ First, Last Secret }

// Bounds on the work that one question about people may cause.
const (
	listsAtOnce = 2
	listMost    = 2000
)

// lists reports whether c can say whom its system holds.
func lists(c Connector) bool {
	l, ok := c.(Lister)
	return ok && l.Lists()
}

// answerLists answers who asks for whom the system holds, until the returned
// function is called. Only the key the connector was told of may ask; without
// one, nobody may.
func (w *worker) answerLists(ctx context.Context) (stop func(), err error) {
	if w.ListKey == "" || !lists(w.Connector) {
		return func() {}, nil
	}
	return w.answering(ctx, questions{"about people", wire.PeopleSubject(w.Manifest.Name), listsAtOnce, w.askedForPeople})
}

// askedForPeople answers one question.
func (w *worker) askedForPeople(ctx context.Context, body []byte) ([]byte, error) {
	c, err := wire.ParsePeopleCall(body, w.Manifest.Name)
	if err != nil {
		return nil, err
	}
	if c.GetSealerKey() != w.ListKey {
		return nil, errors.New("call about people: from a key that may not ask")
	}
	q, err := w.Keys.Seal.OpenPeopleQuestion(c.GetSealedQuestion(), c.GetSealerKey(), c.GetCallId())
	if err != nil {
		return nil, err
	}
	page, err := w.page(ctx, q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		w.Logger.Warn("listing people", "error", redact(err.Error(), Person{}))
		page = &habeasv1.PeoplePage{Unavailable: true}
		if IsPermanent(err) {
			page = &habeasv1.PeoplePage{Problem: "the system can't be listed as it is configured: see the connector's log"}
		}
	}
	page.CallId = c.GetCallId()
	sealed, err := w.Keys.Seal.SealPeoplePage(page, c.GetSealerKey())
	if err != nil {
		return nil, err
	}
	return proto.Marshal(&habeasv1.PeopleReply{CallId: c.GetCallId(), Connector: w.Manifest.Name, SealedPage: sealed})
}

// page asks the connector for a page that fits into a message: of a system whose
// people have much to them, it asks for fewer.
func (w *worker) page(ctx context.Context, q *habeasv1.PeopleQuestion) (*habeasv1.PeoplePage, error) {
	lister, ok := w.Connector.(Lister)
	if !ok {
		return nil, Permanent(errors.New("this connector lists nobody"))
	}
	for most := min(max(1, int(q.GetMost())), listMost); ; most /= 2 {
		var l Listing
		if err := w.call(ctx, func(ctx context.Context) (err error) {
			l, err = lister.List(ctx, q.GetAfter(), most)
			return err
		}); err != nil {
			return nil, err
		}
		if len(l.People) > most {
			return nil, Permanent(errors.New("the connector lists more people than it was asked for"))
		}
		page := &habeasv1.PeoplePage{Next: l.Next}
		for i := range l.People {
			page.People = append(page.People, heldMessage(&l.People[i]))
		}
		if proto.Size(page) <= wire.MaxPeople {
			return page, nil
		}
		if most == 1 {
			return nil, Permanent(fmt.Errorf("what is held of one person is more than %d bytes", wire.MaxPeople))
		}
	}
}

func heldMessage(h *Held) *habeasv1.HeldPerson {
	m := &habeasv1.HeldPerson{
		Key: readable(h.Key), Emails: revealed(h.Emails), Phones: revealed(h.Phones), Births: revealed(h.Births), Zips: revealed(h.ZIPs),
		AdvertisingIds: revealed(h.AdvertisingIDs), TelevisionIds: revealed(h.TelevisionIDs), Vins: revealed(h.VINs),
	}
	for _, n := range h.Names {
		m.Names = append(m.Names, &habeasv1.HeldName{First: readable(n.First), Last: readable(n.Last)})
	}
	for _, id := range h.Identifiers {
		if utf8.ValidString(id.Value.Reveal()) {
			m.Identifiers = append(m.Identifiers, &habeasv1.Identifier{Kind: string(id.Kind), Value: id.Value.Reveal()})
		}
	}
	return m
}

// revealed are the values themselves. What is no text names nobody: a message
// can't hold it, and no list has it.
func revealed(values []Secret) []string {
	var out []string
	for _, v := range values {
		if s := readable(v); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func readable(s Secret) string {
	if !utf8.ValidString(s.Reveal()) {
		return ""
	}
	return s.Reveal()
}
