package drop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/habeas-data/habeas/services/request"
)

// Holding is what the company holds of one person, as its own export says it:
// the values that lists can name, and identifiers that connectors understand.
type Holding struct {
	// Key is the person's own in the company, such as a customer number; it tells
	// people apart and is stored as a keyed digest alone.
	Key            string     `json:"key"`
	Emails         []string   `json:"emails,omitempty"`
	Phones         []string   `json:"phones,omitempty"`
	Names          []nameJSON `json:"names,omitempty"`
	Births         []string   `json:"births,omitempty"` // yyyy-mm-dd
	ZIPs           []string   `json:"zips,omitempty"`
	AdvertisingIDs []string   `json:"advertising_ids,omitempty"`
	TelevisionIDs  []string   `json:"television_ids,omitempty"`
	VINs           []string   `json:"vins,omitempty"`
	// Identifiers are further ones to give to connectors.
	Identifiers []identifierJSON `json:"identifiers,omitempty"`
	// Exempt says that every record of this person is exempt from the Act.
	Exempt bool `json:"exempt,omitempty"`
}

type nameJSON struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

type identifierJSON struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// ErrPeople says that the file of people cannot be used.
var ErrPeople = errors.New("not a file of people")

// peopleLine is the longest line of a file of people.
const peopleLine = 1 << 20

// ReadPeople hands the people of a file, one JSON object a line, to take, one
// after the other. The error is [ErrPeople] with the line, what take returned,
// or one of r. It carries nothing of a person.
func ReadPeople(r io.Reader, take func(Holding) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), peopleLine)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var h Holding
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if dec.Decode(&h) != nil || dec.More() || h.Key == "" {
			return fmt.Errorf(`reading people: line %d: want one object such as {"key": "c-1", "emails": ["…"]}: %w`, n, ErrPeople)
		}
		if _, err := h.person(); err != nil {
			return fmt.Errorf("reading people: line %d: births: want yyyy-mm-dd: %w", n, ErrPeople)
		}
		if !h.findable() {
			return fmt.Errorf("reading people: line %d: no identifier that a connector can look for; add identifiers: %w", n, ErrPeople)
		}
		if err := take(h); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("reading people: a line is longer than 1 MiB: %w", ErrPeople)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading people: %w", err)
	}
	return nil
}

// person is what lists can name of h.
func (h Holding) person() (Person, error) {
	p := Person{Emails: h.Emails, Phones: h.Phones, AdvertisingIDs: h.AdvertisingIDs, TelevisionIDs: h.TelevisionIDs, VINs: h.VINs, ZIPs: h.ZIPs}
	for _, n := range h.Names {
		p.Names = append(p.Names, FullName(n))
	}
	for _, b := range h.Births {
		d, err := request.ParseDate(b)
		if err != nil {
			return p, err
		}
		p.Births = append(p.Births, d)
	}
	return p, nil
}

// identifiers are those of h that connectors can be asked for, in canonical
// form and each once. A value that has none stays out: no connector would know
// it.
func (h Holding) identifiers() []request.Identifier {
	var all []request.Identifier
	for id := range h.findings {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// findable reports whether h has an identifier. The first one will do: bringing
// all values of everybody into their form is most of what a comparison would cost.
func (h Holding) findable() bool {
	for range h.findings {
		return true
	}
	return false
}

// findings yields the identifiers of h, as often as they are there.
func (h Holding) findings(yield func(request.Identifier) bool) {
	try := func(kind request.Kind, value string) bool {
		id, err := request.NewIdentifier(kind, value).Normalize()
		return err != nil || kind == request.Name || yield(id)
	}
	for _, id := range h.Identifiers {
		if !try(request.Kind(id.Kind), id.Value) {
			return
		}
	}
	for _, of := range []struct {
		kind   request.Kind
		values []string
	}{{request.Email, h.Emails}, {request.Phone, h.Phones}, {request.DeviceID, h.AdvertisingIDs}} {
		for _, v := range of.values {
			if !try(of.kind, v) {
				return
			}
		}
	}
}
