package row

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type thing struct {
	text     string
	n        int64
	at       time.Time
	raw, doc []byte
}

var things = []Column[thing]{
	{"text", Text, false, func(t *thing) any { return &t.text }},
	{"n", Int, false, func(t *thing) any { return &t.n }},
	{"at", Time, false, func(t *thing) any { return &t.at }},
	{"raw", Bytes, false, func(t *thing) any { return &t.raw }},
	{"doc", JSON, false, func(t *thing) any { return &t.doc }},
}

func TestValue(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for name, c := range map[string]struct {
		row  thing
		want []any
	}{
		"nothing": {thing{}, []any{"", int64(0), nil, nil, nil}},
		"empty":   {thing{raw: []byte{}, doc: []byte{}}, []any{"", int64(0), nil, []byte{}, nil}},
		"full":    {thing{"a", 1, at, []byte{0}, []byte("{}")}, []any{"a", int64(1), at.UnixMicro(), []byte{0}, "{}"}},
		"unkempt": {thing{text: "a\x00b", doc: []byte(`"\u0000"`)}, []any{"a\ufffdb", int64(0), nil, nil, `"\ufffd"`}},
	} {
		var got []any
		for _, column := range things {
			got = append(got, Value(column, &c.row, func(t time.Time) any { return t.UnixMicro() }))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// cursor gives rows that are one time each, then an error.
type cursor struct {
	times []any
	err   error
	at    int
}

func (c *cursor) Next() bool { c.at++; return c.at <= len(c.times) }
func (c *cursor) Err() error { return c.err }
func (c *cursor) Scan(into ...any) error {
	return into[0].(interface{ Scan(any) error }).Scan(c.times[c.at-1])
}

func TestScan(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	rows, err := Scan(&cursor{times: []any{at.UnixMicro(), nil, at.In(time.FixedZone("", 3600))}}, things[2:3])
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Time
	for _, r := range rows {
		got = append(got, r.at)
	}
	if diff := cmp.Diff([]time.Time{at, {}, at}, got); diff != "" {
		t.Error(diff)
	}
	if rows[2].at.Location() != time.UTC {
		t.Errorf("a time is told in %s", rows[2].at.Location())
	}
	if _, err := Scan(&cursor{times: []any{"yesterday"}}, things[2:3]); err == nil {
		t.Error("a text was read as a time")
	}
	broken := errors.New("the connection is gone")
	if _, err := Scan(&cursor{times: []any{nil}, err: broken}, things[2:3]); !errors.Is(err, broken) {
		t.Errorf("rows that broke off: %v", err)
	}
}
