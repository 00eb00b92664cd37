package restspec

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const defaultMaxPages = 10_000

// list sends c, reads its records and goes on page by page until the system
// says that there are no more. Nothing is remembered of a page but how to go
// on from it.
func (e *engine) list(ctx context.Context, c *call, l *listing, s scope, emit func(json.RawMessage, any) error) error {
	turn := newTurner(l.Page)
	where, err := l.filled(s)
	if err != nil {
		return sdk.Permanent(sdk.WithCode(sdk.Rejected, fmt.Errorf("%s: %w", c.label, err)))
	}
	for {
		ch, err := turn.change()
		if err != nil {
			return err
		}
		a, err := e.client.send(ctx, c, s, ch, "")
		if err != nil {
			return err
		}
		if a.means == "missing" {
			a.close()
			return nil
		}
		if a.body == nil {
			return sdk.Permanent(sdk.WithCode(sdk.Configuration, fmt.Errorf("%s: a list cannot be answered by status %d", c.label, a.status)))
		}
		last := ""
		p, err := readPage(a.body, e.maxResponse, e.maxRecord, l.Items, append(turn.wanted(), e.client.bodyFields(c)...), func(raw json.RawMessage) error {
			v, err := decodeValue(raw)
			if err != nil {
				return sdk.WithCode(sdk.Unavailable, errNotJSON)
			}
			if l.Page != nil && l.Page.After != nil {
				last, _ = scalarText(at(v, l.Page.After.Field))
			}
			for field, in := range where {
				if !slices.ContainsFunc(all(v, field), func(s string) bool { return slices.Contains(in, s) }) {
					return nil
				}
			}
			return emit(raw, v)
		})
		a.close()
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return fmt.Errorf("%s: %w", c.label, err)
		}
		if err := e.client.bodyRules(c, a, p.got); err != nil {
			return err
		}
		more, err := turn.next(p, a, last, e.client.resolve)
		if err != nil {
			return fmt.Errorf("%s: %w", c.label, err)
		}
		if !more {
			return nil
		}
	}
}

// filled are the values that records are filtered by.
func (l *listing) filled(s scope) (map[string][]string, error) {
	where := map[string][]string{}
	for _, w := range l.where {
		v, err := w.value.plain(s)
		if err != nil {
			return nil, err
		}
		where[w.name] = append(where[w.name], v)
	}
	return where, nil
}

// turner knows how to ask for the next page.
type turner struct {
	page  *Page
	pages int
	seen  int // records so far
	mark  string
	url   *url.URL
	past  map[string]bool
}

func newTurner(p *Page) *turner {
	if p == nil {
		p = &Page{}
	}
	return &turner{page: p, past: map[string]bool{}}
}

// change is what the next request adds.
func (t *turner) change() (change, error) {
	p, ch := t.page, change{query: map[string]string{}}
	limit := p.Max
	if limit == 0 {
		limit = defaultMaxPages
	}
	if t.pages >= limit {
		return ch, sdk.Permanent(sdk.WithCode(sdk.Configuration, fmt.Errorf("a list has more than %d pages", limit)))
	}
	switch {
	case p.Offset != nil:
		ch.query[p.Offset.Param] = strconv.Itoa(t.seen)
		if p.Offset.LimitParam != "" && p.Offset.Size > 0 {
			ch.query[p.Offset.LimitParam] = strconv.Itoa(p.Offset.Size)
		}
	case p.Number != nil:
		first := 1
		if p.Number.First != nil {
			first = *p.Number.First
		}
		ch.query[p.Number.Param] = strconv.Itoa(first + t.pages)
		if p.Number.SizeParam != "" && p.Number.Size > 0 {
			ch.query[p.Number.SizeParam] = strconv.Itoa(p.Number.Size)
		}
	case t.pages == 0:
	case p.Cursor != nil && p.Cursor.In == "json":
		ch.json = map[string]any{p.Cursor.Param: t.mark}
	case p.Cursor != nil:
		ch.query[p.Cursor.Param] = t.mark
	case p.After != nil:
		ch.query[p.After.Param] = t.mark
	default:
		ch.url = t.url
	}
	return ch, nil
}

// wanted are the values of an answer that the turner goes by.
func (t *turner) wanted() []string {
	p := t.page
	paths := []string{p.More, p.Next}
	if p.Cursor != nil {
		paths = append(paths, p.Cursor.Next)
	}
	if p.Offset != nil {
		paths = append(paths, p.Offset.Total)
	}
	if p.Number != nil {
		paths = append(paths, p.Number.Pages)
	}
	return slices.DeleteFunc(paths, func(s string) bool { return s == "" })
}

// next reports whether there is another page. A page that is short is not
// taken for the last: only an empty one is, or the system's own word.
func (t *turner) next(p *page, a *answer, last string, resolve func(*url.URL, string) (*url.URL, error)) (bool, error) {
	pg := t.page
	t.pages++
	t.seen += p.count
	if pg.More != "" {
		if more, ok := scalarText(at(p.got, pg.More)); ok && more != "true" && more != "1" {
			return false, nil
		}
	}
	text := func(path string) string { s, _ := scalarText(at(p.got, path)); return s }
	switch {
	case pg.Cursor != nil:
		return t.moved(text(pg.Cursor.Next))
	case pg.After != nil:
		return t.moved(last)
	case pg.Offset != nil:
		if total, err := strconv.Atoi(text(pg.Offset.Total)); err == nil && pg.Offset.Total != "" {
			return t.seen < total && p.count > 0, nil
		}
		return p.count > 0, nil
	case pg.Number != nil:
		if pages, err := strconv.Atoi(text(pg.Number.Pages)); err == nil && pg.Number.Pages != "" {
			return t.pages < pages, nil
		}
		return p.count > 0, nil
	case pg.Next != "":
		return t.follow(text(pg.Next), a.url, resolve)
	case pg.Link:
		return t.follow(linkNext(a.header), a.url, resolve)
	}
	return false, nil
}

// moved takes the mark of the next page and refuses one that was there before:
// a list that goes in a circle has no end.
func (t *turner) moved(mark string) (bool, error) {
	if mark == "" {
		return false, nil
	}
	if t.past[mark] {
		return false, sdk.WithCode(sdk.Unavailable, errors.New("the system's pages go in a circle"))
	}
	t.past[mark] = true
	t.mark = mark
	return true, nil
}

func (t *turner) follow(ref string, from *url.URL, resolve func(*url.URL, string) (*url.URL, error)) (bool, error) {
	more, err := t.moved(ref)
	if !more || err != nil {
		return false, err
	}
	if t.url, err = resolve(from, ref); err != nil {
		return false, sdk.Permanent(sdk.WithCode(sdk.Configuration, err))
	}
	return true, nil
}

// linkNext finds the target of rel="next" among the Link headers (RFC 8288). Some
// systems, Sentry for one, give the last page a next link too and say by
// results="false" that nothing is behind it.
func linkNext(h http.Header) string {
	for _, line := range h.Values("Link") {
		for line != "" {
			open := strings.IndexByte(line, '<')
			if open < 0 {
				break
			}
			line = line[open+1:]
			end := strings.IndexByte(line, '>')
			if end < 0 {
				break
			}
			target, rest := line[:end], line[end+1:]
			params, _, _ := strings.Cut(rest, "<")
			line = rest
			if leadsOn(params) {
				return target
			}
		}
	}
	return ""
}

// leadsOn reports whether the parameters of a link are those of a next page.
func leadsOn(params string) (next bool) {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimRight(strings.TrimSpace(param), ", "), "=")
		words := strings.Fields(strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`)))
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "rel":
			next = next || slices.Contains(words, "next")
		case "results":
			if slices.Equal(words, []string{"false"}) {
				return false
			}
		}
	}
	return next
}
