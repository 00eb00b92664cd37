package delivery_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/delivery"
)

// never are items that may never be disclosed, as they turn up in fields of
// their own and in free text: where, what, and the type the person is told.
var never = []struct{ field, value, item, kind string }{
	{"ssn", "078-05-1120", "078-05-1120", "Social Security number"},
	{"note_1", "she gave 219-09-9999 on the phone", "219-09-9999", "Social Security number"},
	{"note_2", "card 4111 1111 1111 1111 exp 12/29", "4111 1111 1111 1111", "payment card number"},
	{"note_3", "driver's license no. D1234567 seen", "D1234567", "driver's licence number"},
	{"note_4", "passport X12345678", "X12345678", "passport number"},
	{"note_5", "IBAN DE89 3704 0044 0532 0130 00", "3704 0044 0532", "financial account number"},
	{"note_6", "hash $2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "R9h/cIPz0gi.URNNX3kh2O", "account password"},
	{"note_7", "her password is hunter2!x", "hunter2!x", "account password"},
	{"note_8", "template Rk1SACAyMAAAAADkAAABPAFiAMUAxQEAAAAoIw== from the kiosk", "Rk1SACAyMAAAAADk", "unique biometric data"},
	{"note_9", "fingerprint of the right thumb: " + strings.Repeat("QmlvbWV0cmlj", 10), "QmlvbWV0cmljQmlvbWV0cmlj", "unique biometric data"},
	{"faceprint", "0.12,0.98,0.33", "0.12,0.98,0.33", "unique biometric data"},
	{"security_answer", "Rex the dog", "Rex the dog", "security question or answer"},
	{"health_insurance_no", "HX99812-44", "HX99812-44", "health insurance or medical identification number"},
}

// oneOrder hands out one order and keeps what became of it.
type oneOrder struct {
	mu     sync.Mutex
	order  *delivery.Order
	result delivery.Result
	err    error
	over   context.CancelFunc
}

func (o *oneOrder) Next(ctx context.Context) (delivery.Order, error) {
	o.mu.Lock()
	next := o.order
	o.order = nil
	o.mu.Unlock()
	if next != nil {
		return *next, nil
	}
	<-ctx.Done()
	return delivery.Order{}, ctx.Err()
}

func (o *oneOrder) Done(_ context.Context, _ string, r delivery.Result) error {
	o.result = r
	o.over()
	return nil
}

func (o *oneOrder) Fail(_ context.Context, _ string, err error) error {
	o.err = err
	o.over()
	return nil
}

// KN-5: the types are named, and no value is in any file of the package, in what
// is told of it, or in a log.
func TestNeverDisclosed_KN5(t *testing.T) {
	var logs bytes.Buffer
	f := newFixture(t)
	room, err := delivery.New(delivery.Config{
		Source: f.exports, Packages: f.dir, SpoolDir: t.TempDir(), Company: "Clientary", Workers: 1, Logger: slog.New(slog.NewJSONHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.room = room
	record, nested := fields{"name", "Jane"}, map[string]any{}
	for _, n := range never {
		record = append(record, n.field, n.value)
		nested[n.field] = []string{"before", n.value}
	}
	f.part("crm", "contacts", record, fields{"all", nested})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	orders := &oneOrder{order: &f.order, over: cancel}
	if err := room.Run(ctx, orders); err != nil {
		t.Fatal(err)
	}
	if orders.err != nil || orders.result.Key == "" {
		t.Fatalf("the package was not made: %v", orders.err)
	}
	p := f.open(orders.result)
	for _, n := range never {
		if !slices.ContainsFunc(orders.result.Withheld, func(w delivery.Withheld) bool {
			return w.Field == n.field && w.Kind == n.kind && w.Count == 1 && w.Basis == "11 CCR 7024(d)"
		}) {
			t.Errorf("that %s held a %s is not told", n.field, n.kind)
		}
		told, err := json.Marshal(orders.result)
		if err != nil {
			t.Fatal(err)
		}
		for where, text := range p.files {
			if strings.Contains(text, n.item) {
				t.Errorf("the %s of %s is in %s", n.kind, n.field, where)
			}
		}
		if strings.Contains(string(told), n.item) || strings.Contains(logs.String(), n.item) || strings.Contains(fmt.Sprint(orders.result), n.item) {
			t.Errorf("the %s of %s is in the log or in what is told of the package", n.kind, n.field)
		}
	}
	if logs.Len() == 0 || !strings.Contains(p.files["report.html"], "Jane") {
		t.Error("nothing was logged, or the rest of the record is missing")
	}
}
