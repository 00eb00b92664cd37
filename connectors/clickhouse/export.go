package clickhouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Export implements [sdk.Exporter]. The server streams the rows, and none is
// kept in memory.
func (c *Connector) Export(ctx context.Context, p sdk.Person, out sdk.RecordWriter) error {
	l, err := c.bound(ctx)
	if err != nil {
		return err
	}
	for _, s := range l.stores {
		if err := c.exportStore(ctx, l, s, p, out); err != nil {
			return c.outgrown(err)
		}
	}
	return ctx.Err()
}

func (c *Connector) exportStore(ctx context.Context, l *live, s *store, p sdk.Person, out sdk.RecordWriter) error {
	look, _ := c.seek(s, []sdk.Person{p})
	if len(look) == 0 {
		return nil
	}
	text := "SELECT " + strings.Join(s.names, ", ") + " FROM " + s.spec.Table + " WHERE " + s.condition() + s.since(p.Since())
	body, err := c.servers[0].ask(ctx, text, l.masked(), look)
	if err != nil {
		return err
	}
	defer body.Close()
	return rows(ctx, body, func(d *json.Decoder) error {
		var row json.RawMessage
		if err := d.Decode(&row); err != nil {
			return unanswered(ctx)
		}
		record, err := c.record(s, row)
		if err != nil {
			return err
		}
		return out.Write(ctx, record)
	})
}

var errRow = sdk.WithCode(sdk.Unavailable, errors.New("the server's answer broke off in the middle of a row"))

// record reads one row, its columns in their order.
func (c *Connector) record(s *store, row json.RawMessage) (sdk.Record, error) {
	d := json.NewDecoder(bytes.NewReader(row))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return sdk.Record{}, errRow
	}
	r := sdk.Record{Store: s.spec.Name}
	typ := ""
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || !slices.Contains(s.names, name) {
			return sdk.Record{}, errRow // an error in the shape of a row
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return sdk.Record{}, errRow
		}
		value, text, err := valueOf(v)
		if err != nil {
			return sdk.Record{}, err
		}
		if name == s.spec.Type {
			typ = text
		}
		if as, hidden := s.withhold[name]; hidden {
			value = as
		}
		r.Fields = append(r.Fields, sdk.Field{Name: name, Value: value})
	}
	if len(r.Fields) != len(s.names) {
		return sdk.Record{}, errRow
	}
	var err error
	r.Category, err = c.letter(s, typ)
	return r, err
}

// valueOf is a column's value as an export has it, and as text.
func valueOf(raw json.RawMessage) (value any, text string, err error) {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, "", errRow
	}
	switch v := v.(type) {
	case string:
		return v, v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, v.String(), nil
		}
		return raw, v.String(), nil // wider than 64 bits, or a fraction as it was written
	case nil, bool:
		return v, string(raw), nil
	}
	return raw, string(raw), nil
}
