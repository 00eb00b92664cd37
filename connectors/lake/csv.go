package lake

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/habeas-data/habeas/connectors/sdk"
)

var (
	errQuotes  = errors.New("not valid CSV: a quote stands where none may")
	errColumns = errors.New("not as many fields as there are columns")
)

// csv is RFC 4180: records whose quoted fields may span lines, the first of
// which names the columns unless the map does.
type csv struct {
	delimiter byte
	given     []string // the columns' names, for files that don't name them
	quoted    bool     // the text read so far ends within quotes
	named     bool     // the first record has been read
	names     []string
	columns   []*node // nil for those the map doesn't mention
	buf       []byte
}

func (c *csv) more(piece []byte) bool {
	if bytes.Count(piece, []byte{'"'})%2 == 1 {
		c.quoted = !c.quoted
	}
	return c.quoted
}

func (c *csv) parse(rec *record, l *lookup) error {
	raw := csvText(rec)
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	if !c.named {
		c.named = true
		if len(c.given) == 0 {
			return c.header(raw, l)
		}
		for _, name := range c.given {
			c.names, c.columns = append(c.names, name), append(c.columns, l.fields.child([]byte(name)))
		}
	}
	column := 0
	err := c.split(raw, func(value []byte, start, end int) error {
		if column >= len(c.columns) {
			return errColumns
		}
		if n := c.columns[column]; n != nil {
			l.take(rec, n, value, -1)
			if n.withheld >= 0 && len(value) > 0 {
				rec.hidden = append(rec.hidden, hidden{start: start, end: end, item: n.withheld})
			}
		}
		column++
		return nil
	})
	if err == nil && column != len(c.columns) {
		err = errColumns
	}
	return err
}

// csvText is a record without the mark that may begin a file of UTF-8. Where
// things stand in a record is counted from here.
func csvText(rec *record) []byte {
	if rec.number > 1 {
		return rec.raw
	}
	return bytes.TrimPrefix(rec.raw, []byte("\xef\xbb\xbf"))
}

// header reads the names of the columns. An identifier whose column is missing
// may have another name here, so nobody could be told to be absent.
func (c *csv) header(raw []byte, l *lookup) error {
	found := make(map[*node]bool)
	err := c.split(raw, func(value []byte, _, _ int) error {
		n := l.fields.child(value)
		c.names, c.columns = append(c.names, string(value)), append(c.columns, n)
		found[n] = true
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range l.fields.children {
		if n.kind >= 0 && !found[n] {
			return fmt.Errorf("the first record names no column %q, which the map says holds an identifier", n.path)
		}
	}
	return nil
}

// split calls each for every field of a record with its value, which is valid
// until the next, and where it stands.
func (c *csv) split(raw []byte, each func(value []byte, start, end int) error) error {
	raw = bytes.TrimSuffix(raw, []byte{'\r'})
	for at := 0; ; at++ {
		start := at
		var value []byte
		if at < len(raw) && raw[at] == '"' {
			var err error
			if value, at, err = c.unquote(raw, at); err != nil {
				return err
			}
		} else {
			for at < len(raw) && raw[at] != c.delimiter {
				if raw[at] == '"' {
					return errQuotes
				}
				at++
			}
			value = raw[start:at]
		}
		if err := each(value, start, at); err != nil {
			return err
		}
		if at >= len(raw) {
			return nil
		}
	}
}

// unquote reads the quoted field that begins at a position and returns where
// it ends.
func (c *csv) unquote(raw []byte, at int) ([]byte, int, error) {
	c.buf = c.buf[:0]
	for at++; at < len(raw); at++ {
		if raw[at] != '"' {
			c.buf = append(c.buf, raw[at])
			continue
		}
		at++
		switch {
		case at == len(raw) || raw[at] == c.delimiter:
			return c.buf, at, nil
		case raw[at] != '"':
			return nil, 0, errQuotes
		}
		c.buf = append(c.buf, '"')
	}
	return nil, 0, errQuotes
}

// cut changes nothing: CSV has no shared elements.
func (*csv) cut(buf []byte, rec *record, _ []int) []byte { return append(buf, rec.raw...) }

func (c *csv) fields(rec *record, l *lookup) ([]sdk.Field, error) {
	var fields []sdk.Field
	err := c.split(csvText(rec), func(value []byte, start, _ int) error {
		f := sdk.Field{Name: c.names[len(fields)], Value: string(value)}
		for _, h := range rec.hidden {
			if h.start == start {
				f.Value = sdk.Withheld(l.withheldAs[h.item])
			}
		}
		fields = append(fields, f)
		return nil
	})
	return fields, err
}
