package restspec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

var (
	errTooBig   = errors.New("the answer is larger than max_response allows")
	errBigItem  = errors.New("a record is larger than max_record allows")
	errCut      = errors.New("the answer was cut short")
	errNotJSON  = errors.New("the answer is not JSON")
	errNoList   = errors.New("the answer has no list where items says")
	errTrailing = errors.New("the answer has something after its end")
)

// budget bounds what is read of an answer: in all, and between two records.
type budget struct {
	r       io.Reader
	left    int64 // of the whole answer
	perItem int64
	item    int64 // since the last record
	err     error
}

func (b *budget) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	room := min(b.left, b.item)
	// With no room left, one byte more tells an end from an excess.
	n, err := b.r.Read(p[:min(int64(len(p)), max(room, 1))])
	if n > 0 && room <= 0 {
		b.err = errBigItem
		if b.left <= 0 {
			b.err = errTooBig
		}
		return 0, b.err
	}
	b.left -= int64(n)
	b.item -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = errCut // the transport's error may quote what was read
		return n, b.err
	}
	return n, err
}

// page reads one answer as it arrives: each element of the list at items goes
// to emit, and the scalars at the wanted paths are kept. Nothing else is held
// in memory.
type page struct {
	dec    *json.Decoder
	src    *budget
	items  string
	wanted []string
	emit   func(json.RawMessage) error
	got    any // the wanted values, as nested objects
	listed bool
	count  int
}

// readPage reads body to its end. An emit error is returned as it is.
func readPage(body io.Reader, maxResponse, maxRecord int64, items string, wanted []string, emit func(json.RawMessage) error) (*page, error) {
	src := &budget{r: body, left: maxResponse, perItem: maxRecord, item: maxRecord}
	p := &page{dec: json.NewDecoder(src), src: src, items: items, wanted: wanted, emit: emit, got: map[string]any{}}
	p.dec.UseNumber()
	if items == "" {
		return p, p.single()
	}
	if err := p.value(""); err != nil {
		return p, p.explain(err)
	}
	if !p.listed {
		return p, sdk.Permanent(sdk.WithCode(sdk.Configuration, errNoList))
	}
	return p, p.end()
}

// single reads an answer that is one record.
func (p *page) single() error {
	var raw json.RawMessage
	if err := p.dec.Decode(&raw); err != nil {
		return p.explain(err)
	}
	if err := p.end(); err != nil {
		return err
	}
	v, err := decodeValue(raw)
	if err != nil {
		return sdk.WithCode(sdk.Unavailable, errNotJSON)
	}
	p.got = v
	if _, object := v.(map[string]any); !object {
		return sdk.Permanent(sdk.WithCode(sdk.Configuration, errors.New("the answer is not one record")))
	}
	p.count = 1
	return p.emit(raw)
}

// end demands that the answer stops where its value does.
func (p *page) end() error {
	p.src.item = p.src.perItem
	switch _, err := p.dec.Token(); {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return sdk.WithCode(sdk.Unavailable, errTrailing)
	default:
		return p.explain(err)
	}
}

// emitted marks an error that came from the receiver of the records.
type emitted struct{ error }

func (e emitted) Unwrap() error { return e.error }

// explain gives a reading error its code, without the text it came from.
func (p *page) explain(err error) error {
	var e emitted
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &e):
		return e.error
	case p.src.err != nil && !errors.Is(p.src.err, errCut):
		return sdk.Permanent(sdk.WithCode(sdk.Configuration, p.src.err))
	case p.src.err != nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return sdk.WithCode(sdk.Unavailable, errCut)
	case errors.As(err, &syntax):
		return sdk.WithCode(sdk.Unavailable, fmt.Errorf("%w (at byte %d)", errNotJSON, syntax.Offset))
	default:
		return sdk.WithCode(sdk.Unavailable, errNotJSON)
	}
}

// value reads the next value, which stands at path.
func (p *page) value(path string) error {
	if path == p.items || path == "" && p.items == "." {
		return p.list()
	}
	tok, err := p.dec.Token()
	if err != nil {
		return err
	}
	delim, nested := tok.(json.Delim)
	if !nested {
		if slices.Contains(p.wanted, path) {
			p.keep(path, tok)
		}
		return nil
	}
	if delim == '{' && p.leads(path) {
		for p.dec.More() {
			key, err := p.dec.Token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			if path != "" {
				name = path + "." + name
			}
			if err := p.value(name); err != nil {
				return err
			}
		}
		_, err := p.dec.Token()
		return err
	}
	return p.skip()
}

// leads reports whether something wanted lies under path.
func (p *page) leads(path string) bool {
	if path == "" {
		return true
	}
	under := func(s string) bool { return strings.HasPrefix(s, path+".") }
	return under(p.items) || slices.ContainsFunc(p.wanted, under)
}

// keep puts a scalar into got at its path.
func (p *page) keep(path string, v any) {
	setAt(p.got.(map[string]any), path, v) // always an object when items is set
}

// list reads the records: a list, a lone object, or null for none.
func (p *page) list() error {
	p.listed = true
	tok, err := p.dec.Token()
	if err != nil {
		return err
	}
	switch tok {
	case nil:
		return nil
	case json.Delim('['):
	default:
		return emitted{sdk.Permanent(sdk.WithCode(sdk.Configuration, errNoList))}
	}
	for p.dec.More() {
		p.src.item = p.src.perItem
		var raw json.RawMessage
		if err := p.dec.Decode(&raw); err != nil {
			return err
		}
		p.count++
		if err := p.emit(raw); err != nil {
			return emitted{err}
		}
	}
	p.src.item = p.src.perItem
	_, err = p.dec.Token()
	return err
}

// skip reads to the end of the object or list that was just opened.
func (p *page) skip() error {
	for depth := 1; depth > 0; {
		tok, err := p.dec.Token()
		if err != nil {
			return err
		}
		if d, ok := tok.(json.Delim); ok {
			if d == '{' || d == '[' {
				depth++
			} else {
				depth--
			}
		}
	}
	return nil
}
