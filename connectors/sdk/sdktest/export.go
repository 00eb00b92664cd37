package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

var (
	errBatchLength = errors.New("EraseBatch must return one error for each person, or nil")
	errFull        = errors.New("the export can't go on")
)

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// basket collects an export.
type basket struct {
	records []sdk.Record
	// full makes Write fail from that record on; 0 means never.
	full int
	// then is called with each record; it may be nil.
	then func()
}

// Write implements [sdk.RecordWriter].
func (b *basket) Write(ctx context.Context, r sdk.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.then != nil {
		b.then()
	}
	if b.full > 0 && len(b.records)+1 >= b.full {
		return errFull
	}
	// The connector may use one Record for all.
	r.Fields = slices.Clone(r.Fields)
	b.records = append(b.records, r)
	return nil
}

func (b *basket) counts() map[string]int64 {
	n := map[string]int64{}
	for _, r := range b.records {
		n[r.Store]++
	}
	return n
}

func checkExport(t *testing.T, w *world) {
	e, ok := w.connector.(sdk.Exporter)
	if !ok {
		t.Skip("the connector is no Exporter")
	}
	export := func(t *testing.T, p sdk.Person) *basket {
		t.Helper()
		var b *basket
		err := w.do(t.Context(), func(ctx context.Context) error {
			b = &basket{}
			return e.Export(ctx, p, b)
		})
		if err != nil {
			t.Fatalf("Export: %v", err)
		}
		return b
	}
	t.Run("holds_exactly_what_was_located", func(t *testing.T) {
		b := export(t, w.her.Person)
		if !sameCounts(b.counts(), w.her.Stores) {
			t.Errorf("exported %v, located %v", b.counts(), nonzero(w.her.Stores))
		}
		if again := export(t, w.her.Person); !sameCounts(again.counts(), b.counts()) {
			t.Errorf("the second export has %v, the first %v", again.counts(), b.counts())
		}
	})
	t.Run("shows_her_data_and_nobody_elses", func(t *testing.T) {
		text := newHaystack(w.shown(t, export(t, w.her.Person))...)
		if !text.holdsAny(newNeedles(w.her.Traces)) {
			t.Error("the export shows nothing of what was planted")
		}
		for i, p := range w.others {
			for j, trace := range newNeedles(p.Traces) {
				if text.holds(trace) {
					t.Errorf("the export of one person shows trace %d of person %d", j, i+2)
				}
			}
		}
	})
	t.Run("of_a_stranger_is_empty", func(t *testing.T) {
		if n := len(export(t, w.stranger).records); n != 0 {
			t.Errorf("%d records for somebody the system does not know", n)
		}
		if n := len(export(t, sdk.NewPerson()).records); n != 0 {
			t.Errorf("%d records for a person without identifiers", n)
		}
	})
	t.Run("stops_when_the_writer_can_take_no_more", func(t *testing.T) {
		err := w.call(t.Context(), func(ctx context.Context) error { return e.Export(ctx, w.her.Person, &basket{full: 1}) })
		if !errors.Is(err, errFull) {
			t.Errorf("Export returned %v and not the writer's error", err)
		}
	})
	t.Run("changes_nothing", func(t *testing.T) {
		export(t, w.her.Person)
		w.wantUnchanged(t, "Export")
	})
}

// shown checks the records' form and returns their text.
func (w *world) shown(t *testing.T, b *basket) []string {
	t.Helper()
	hers := newNeedles(w.her.Traces)
	var text []string
	for _, r := range b.records {
		if len(r.Fields) == 0 {
			t.Errorf("store %s: a record without fields", r.Store)
		}
		if !slices.Contains(w.stores(), r.Store) {
			t.Errorf("store %s is not in the manifest", r.Store)
		}
		for _, f := range r.Fields {
			if f.Name == "" {
				t.Errorf("store %s: a field without a name", r.Store)
			}
			value, err := fieldText(f.Value)
			if err != nil {
				t.Errorf("store %s, field %s: %v", r.Store, f.Name, err)
			}
			if kind, ok := f.Value.(sdk.Withheld); ok {
				if kind == "" {
					t.Errorf("store %s, field %s: withheld without saying what", r.Store, f.Name)
				}
				if newHaystack(string(kind)).holdsAny(hers) {
					t.Errorf("store %s, field %s: what is withheld is shown all the same", r.Store, f.Name)
				}
			}
			text = append(text, f.Name+"="+value)
		}
	}
	return text
}

// fieldText is the value as text, or an error when its type is none of those
// [sdk.Field] allows.
func fieldText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case sdk.Withheld:
		return string(v), nil
	case sdk.Document:
		return string(v.Content) + v.Text, nil
	case json.RawMessage:
		if !json.Valid(v) {
			return "", errors.New("not valid JSON")
		}
		return string(v), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", errors.New("not a number that JSON can hold")
		}
		return fmt.Sprint(v), nil
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32:
		return fmt.Sprint(v), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	}
	return "", fmt.Errorf("a value of type %T, which sdk.Field does not allow", v)
}
