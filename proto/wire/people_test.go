package wire_test

import (
	"bytes"
	"errors"
	"testing"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// A question about people and its page are for one reader, from one writer, and
// of one call.
func TestSealPeople(t *testing.T) {
	asker, connector, other := newKey(t), newKey(t), newKey(t)
	q, err := asker.SealPeopleQuestion(&habeasv1.PeopleQuestion{CallId: "c1", After: []byte("c-77"), Most: 5}, connector.Public())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(q, []byte("c-77")) {
		t.Error("the place, which may name somebody, is readable")
	}
	if got, err := connector.OpenPeopleQuestion(q, asker.Public(), "c1"); err != nil || got.GetMost() != 5 || string(got.GetAfter()) != "c-77" {
		t.Errorf("the question: %v, %v", got, err)
	}
	page, err := connector.SealPeoplePage(&habeasv1.PeoplePage{CallId: "c1", People: []*habeasv1.HeldPerson{{Key: "c-78"}}}, asker.Public())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := asker.OpenPeoplePage(page, connector.Public(), "c1"); err != nil || len(got.GetPeople()) != 1 {
		t.Errorf("the page: %d people, %v", len(got.GetPeople()), err)
	}
	for name, try := range map[string]func() error{
		"a question of another call":   func() error { _, err := connector.OpenPeopleQuestion(q, asker.Public(), "c2"); return err },
		"a question of no call":        func() error { _, err := connector.OpenPeopleQuestion(q, asker.Public(), ""); return err },
		"a question of another writer": func() error { _, err := connector.OpenPeopleQuestion(q, other.Public(), "c1"); return err },
		"a page of another call":       func() error { _, err := asker.OpenPeoplePage(page, connector.Public(), "c2"); return err },
		"a page of another writer":     func() error { _, err := asker.OpenPeoplePage(page, other.Public(), "c1"); return err },
		"a page for another reader":    func() error { _, err := other.OpenPeoplePage(page, connector.Public(), "c1"); return err },
	} {
		if err := try(); !errors.Is(err, wire.ErrNotForUs) {
			t.Errorf("%s: %v, want ErrNotForUs", name, err)
		}
	}
	if _, err := asker.SealPeopleQuestion(&habeasv1.PeopleQuestion{}, connector.Public()); err == nil {
		t.Error("a question of no call was sealed")
	}
	for name, body := range map[string][]byte{"nothing": nil, "another message": []byte("\xff\xff")} {
		if c, err := wire.ParsePeopleCall(body, "billing"); err == nil {
			t.Errorf("%s was taken for a call: %v", name, c)
		}
	}
}
