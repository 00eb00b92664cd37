package sdktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

// row is one record of the reference system.
type row struct {
	Store  string
	Fields map[string]string
	At     time.Time
	Keep   bool
}

// memory is the reference system: three stores and a list of opt-outs in
// memory. A mutant may put another connector in front of it.
type memory struct {
	mu     sync.Mutex
	rows   []row
	optOut map[string]bool
	broken bool
	mutate func(*memory) sdk.Connector
}

var keepUntil = time.Now().AddDate(7, 0, 0)

func (m *memory) Open(testing.TB) (sdk.Manifest, sdk.Connector) {
	categories := []sdk.Category{{Letter: "A", Data: "user.contact.email"}}
	manifest := sdk.Manifest{
		Name: "memory", Version: "1",
		Accepts: []sdk.Kind{sdk.Email, sdk.CustomerID}, Yields: []sdk.Kind{sdk.CustomerID, sdk.DeviceID},
		Stores: []sdk.Store{{Name: "contacts", Categories: categories}, {Name: "visits", Categories: categories}, {Name: "invoices", Categories: categories}},
	}
	return manifest, m.mutate(m)
}

func (m *memory) Plant(_ testing.TB, n int) sdktest.Planted {
	m.mu.Lock()
	defer m.mu.Unlock()
	email, customer := fmt.Sprintf("person%d@example.com", n), fmt.Sprintf("cus-%05d", n)
	name, note, device := fmt.Sprintf("Kim Number%dson", n), fmt.Sprintf("rang about parcel %d-77", n), fmt.Sprintf("device-%06d", n)
	day := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	add := func(store string, keep bool, at time.Time, kv ...string) {
		fields := map[string]string{"email": email, "customer": customer}
		for i := 0; i < len(kv); i += 2 {
			fields[kv[i]] = kv[i+1]
		}
		m.rows = append(m.rows, row{Store: store, Fields: fields, At: at, Keep: keep})
	}
	add("contacts", false, day, "name", name, "note", note, "licence", fmt.Sprintf("DL-%05d-X", n))
	for i := range 3 {
		add("visits", false, day.AddDate(0, i, 0), "page", fmt.Sprintf("/p/%d", i), "device", device, "household_device", "device-shared-by-all")
	}
	add("invoices", true, day, "name", name, "amount", "12.00")
	add("invoices", false, day.AddDate(-9, 0, 0), "name", name, "amount", "13.00")
	return sdktest.Planted{
		Person:      sdk.NewPerson(sdk.ID(sdk.Email, email), sdk.ID(sdk.Name, name)),
		Traces:      []string{email, customer, name, note, device, fmt.Sprintf("DL-%05d-X", n)},
		Stores:      map[string]int64{"contacts": 1, "visits": 3, "invoices": 2},
		Kept:        map[string]int64{"invoices": 1},
		KeptTraces:  []string{customer, email},
		Yields:      []sdk.Identifier{sdk.ID(sdk.CustomerID, customer), sdk.ID(sdk.DeviceID, device)},
		Corrections: []sdk.Correction{{Field: "name", Value: sdk.Secret(fmt.Sprintf("Kym Righted%d", n))}},
		Held:        heldIn(customer, email, name),
	}
}

func (m *memory) Dump(testing.TB) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []string
	for _, r := range m.rows {
		line, err := json.Marshal(r)
		if err != nil {
			panic(err) // strings and times can always be marshalled
		}
		lines = append(lines, string(line))
	}
	for key := range m.optOut {
		lines = append(lines, "opt-out "+key)
	}
	return lines
}

func (m *memory) Break(testing.TB) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = true
}

// reference is the connector that keeps every promise.
type reference struct{ *memory }

var (
	_ sdk.Exporter    = reference{}
	_ sdk.Corrector   = reference{}
	_ sdk.Resumer     = reference{}
	_ sdk.LimitLifter = reference{}
	_ sdk.Resolver    = reference{}
	_ sdk.BatchEraser = reference{}
	_ sdk.Lister      = reference{}
)

// enter locks the system for one call, unless that can't go on.
func (m *memory) enter(ctx context.Context) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	if m.broken {
		m.mu.Unlock()
		return nil, errors.New("dialling the system: connection refused")
	}
	return m.mu.Unlock, nil
}

func (m *memory) owns(p sdk.Person, r row) bool {
	if !p.Since().IsZero() && r.At.Before(p.Since()) {
		return false
	}
	return slices.Contains(p.Values(sdk.Email), r.Fields["email"]) || slices.Contains(p.Values(sdk.CustomerID), r.Fields["customer"])
}

func (c reference) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []sdk.Found
	for _, r := range c.rows {
		if !c.owns(p, r) {
			continue
		}
		f := sdk.Found{Store: r.Store, Count: 1}
		if r.Keep {
			f.Keep = &sdk.Keep{Basis: "ccpa-1798.105(d)(8)", Until: keepUntil}
		}
		found = append(found, f)
	}
	return found, nil
}

func (c reference) Erase(ctx context.Context, p sdk.Person) error {
	leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	c.rows = slices.DeleteFunc(c.rows, func(r row) bool { return !r.Keep && c.owns(p, r) })
	for _, r := range c.rows {
		if c.owns(p, r) {
			delete(r.Fields, "name")
		}
	}
	return nil
}

func (c reference) Export(ctx context.Context, p sdk.Person, w sdk.RecordWriter) error {
	leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	rows := slices.Clone(c.rows)
	leave()
	for _, r := range rows {
		if !c.owns(p, r) {
			continue
		}
		record := sdk.Record{Store: r.Store}
		for name, value := range r.Fields {
			f := sdk.Field{Name: name, Value: value}
			if name == "licence" {
				f.Value = sdk.Withheld("driver's licence number")
			}
			record.Fields = append(record.Fields, f)
		}
		if err := w.Write(ctx, record); err != nil {
			return err
		}
	}
	return nil
}

func (c reference) Correct(ctx context.Context, p sdk.Person, corrections []sdk.Correction) error {
	leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for _, r := range c.rows {
		for _, correction := range corrections {
			if _, has := r.Fields[correction.Field]; has && c.owns(p, r) {
				r.Fields[correction.Field] = correction.Value.Reveal()
			}
		}
	}
	return nil
}

// optOutKey stands for a keyed hash: it shows nothing of the address.
func optOutKey(p sdk.Person) string {
	return strings.Map(func(r rune) rune { return r*7 + 5 }, strings.Join(p.Values(sdk.Email), " "))
}

func (c reference) OptOut(ctx context.Context, p sdk.Person) error {
	return c.choose(ctx, "out "+optOutKey(p), true)
}

func (c reference) OptedOut(ctx context.Context, p sdk.Person) (bool, error) {
	return c.chosen(ctx, "out "+optOutKey(p))
}

func (c reference) OptOutStanding(ctx context.Context, p sdk.Person) ([]sdk.Standing, error) {
	found, err := c.Locate(ctx, p)
	if err != nil {
		return nil, err
	}
	out, err := c.OptedOut(ctx, p)
	if err != nil {
		return nil, err
	}
	var stores []sdk.Standing
	for _, f := range found {
		s := sdk.Standing{Store: f.Store, Open: f.Count}
		if out {
			s.InForce, s.Open = f.Count, 0
		}
		stores = append(stores, s)
	}
	return stores, nil
}

func (c reference) OptIn(ctx context.Context, p sdk.Person) error {
	return c.choose(ctx, "out "+optOutKey(p), false)
}

func (c reference) LimitSPI(ctx context.Context, p sdk.Person) error {
	return c.choose(ctx, "limit "+optOutKey(p), true)
}

func (c reference) LimitedSPI(ctx context.Context, p sdk.Person) (bool, error) {
	return c.chosen(ctx, "limit "+optOutKey(p))
}

func (c reference) LiftLimit(ctx context.Context, p sdk.Person) error {
	return c.choose(ctx, "limit "+optOutKey(p), false)
}

func (c reference) choose(ctx context.Context, key string, yes bool) error {
	leave, err := c.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if c.optOut == nil {
		c.optOut = map[string]bool{}
	}
	c.optOut[key] = yes
	return nil
}

func (c reference) chosen(ctx context.Context, key string) (bool, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	return c.optOut[key], nil
}

func (c reference) Resolve(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var ids []sdk.Identifier
	for _, r := range c.rows {
		if !c.owns(p, r) {
			continue
		}
		ids = append(ids, sdk.ID(sdk.CustomerID, r.Fields["customer"]))
		if device := r.Fields["device"]; device != "" {
			ids = append(ids, sdk.ID(sdk.DeviceID, device))
		}
	}
	return ids, nil
}

func (c reference) LocateBatch(ctx context.Context, people []sdk.Person) ([][]sdk.Found, error) {
	results := make([][]sdk.Found, len(people))
	for i, p := range people {
		var err error
		if results[i], err = c.Locate(ctx, p); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (c reference) EraseBatch(ctx context.Context, people []sdk.Person) []error {
	errs := make([]error, len(people))
	for i, p := range people {
		errs[i] = c.Erase(ctx, p)
	}
	return errs
}

func heldIn(customer, email, name string) *sdk.Held {
	first, last, _ := strings.Cut(name, " ")
	return &sdk.Held{
		Key: sdk.Secret(customer), Emails: []sdk.Secret{sdk.Secret(email)}, Names: []sdk.HeldName{{First: sdk.Secret(first), Last: sdk.Secret(last)}},
		Identifiers: []sdk.Identifier{sdk.ID(sdk.CustomerID, customer)},
	}
}

func (reference) Lists() bool { return true }

// List names people by their row in contacts, in the order of their numbers.
func (c reference) List(ctx context.Context, after []byte, most int) (sdk.Listing, error) {
	leave, err := c.enter(ctx)
	if err != nil {
		return sdk.Listing{}, err
	}
	defer leave()
	var l sdk.Listing
	rows := slices.Clone(c.rows)
	slices.SortStableFunc(rows, func(a, b row) int { return strings.Compare(a.Fields["customer"], b.Fields["customer"]) })
	for _, r := range rows {
		if r.Store != "contacts" || r.Fields["customer"] <= string(after) {
			continue
		}
		if len(l.People) == most {
			l.Next = []byte(l.People[most-1].Key.Reveal())
			break
		}
		l.People = append(l.People, *heldIn(r.Fields["customer"], r.Fields["email"], r.Fields["name"]))
	}
	return l, nil
}
