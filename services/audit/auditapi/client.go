package auditapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// ErrNotFound is wrapped by the error of asking for what the log does not have.
var ErrNotFound = errors.New("the log has no such record")

// Errors of [Client.Consistency].
var (
	ErrInconsistent = errors.New("the log can't prove that one head begins with the other")
	ErrNoHead       = errors.New("this is no head that the log signed")
)

// Client reads from an audit room.
type Client struct {
	// URL is where the room serves, such as "http://127.0.0.1:8085".
	URL string
	// Token is the bearer token of the room, when it wants one.
	Token string
	// HTTP is the client used; nil means http.DefaultClient.
	HTTP *http.Client
}

// Records calls fn with each line of the stream of a request's records, the
// head first; the end is checked and not passed on.
func (c *Client) Records(ctx context.Context, requestID string, fn func(Line) error) error {
	return c.stream(ctx, "/v1/records?"+url.Values{"request": {requestID}}.Encode(), fn)
}

// Keys does the same for all key records.
func (c *Client) Keys(ctx context.Context, fn func(Line) error) error {
	return c.stream(ctx, "/v1/keys", fn)
}

// Rejected does the same for the records that were refused.
func (c *Client) Rejected(ctx context.Context, fn func(Line) error) error {
	return c.stream(ctx, "/v1/rejected", fn)
}

// Population does the same for the requests received on the dates from up to
// and without to, both yyyy-mm-dd.
func (c *Client) Population(ctx context.Context, from, to string, fn func(Line) error) error {
	return c.stream(ctx, "/v1/population?"+url.Values{"from": {from}, "to": {to}}.Encode(), fn)
}

// Head returns the newest head.
func (c *Client) Head(ctx context.Context) (*Head, error) {
	var head *Head
	if err := c.stream(ctx, "/v1/head", func(l Line) error { head = l.Head; return nil }); err != nil {
		return nil, err
	}
	if head == nil {
		return nil, errors.New("the audit room sent no head")
	}
	return head, nil
}

// Witnesses says how the log's witnesses stand, also while the log does not go on.
func (c *Client) Witnesses(ctx context.Context) (*Witnesses, error) {
	var found *Witnesses
	if err := c.stream(ctx, "/v1/witnesses", func(l Line) error { found = l.Witnesses; return nil }); err != nil {
		return nil, err
	}
	if found == nil {
		return nil, errors.New("the audit room said nothing of witnesses")
	}
	return found, nil
}

// Period streams every record of a period, and for those that are
// needed to judge them, by leaf number. The days are yyyy-mm-dd, to not included.
func (c *Client) Period(ctx context.Context, from, to string, fn func(Line) error) error {
	return c.stream(ctx, "/v1/period?"+url.Values{"from": {from}, "to": {to}}.Encode(), fn)
}

// Intakes does the same for the requests of a period that the log has after a
// leaf, -1 for the first, at most limit.
func (c *Client) Intakes(ctx context.Context, from, to string, after int64, limit int, fn func(Line) error) error {
	q := url.Values{"from": {from}, "to": {to}, "limit": {strconv.Itoa(limit)}}
	if after >= 0 {
		q.Set("after", strconv.FormatInt(after, 10))
	}
	return c.stream(ctx, "/v1/intakes?"+q.Encode(), fn)
}

// Sample does the same for n requests of a period, chosen as [Sample] does.
func (c *Client) Sample(ctx context.Context, from, to string, n int, word string, fn func(Line) error) error {
	return c.stream(ctx, "/v1/sample?"+url.Values{"from": {from}, "to": {to}, "n": {strconv.Itoa(n)}, "word": {word}}.Encode(), fn)
}

// Consistency asks for the proof that one signed head begins with another, in
// whatever order they are given; newer may be empty for the newest. The log that
// can't prove it says so in an error that wraps [ErrInconsistent], and a text
// that is no head of this log gives [ErrNoHead].
func (c *Client) Consistency(ctx context.Context, older, newer string, fn func(Line) error) error {
	return c.stream(ctx, "/v1/consistency?"+url.Values{"old": {older}, "new": {newer}}.Encode(), fn)
}

func (c *Client) stream(ctx context.Context, path string, fn func(Line) error) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.URL, "/")+path, nil)
	if err != nil {
		return fmt.Errorf("asking the audit room: %w", err)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the audit room: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return answerError(resp)
	}
	return readLines(resp.Body, fn)
}

// answered is an answer that is none, in the room's own words, and what it means to
// who asked.
type answered struct {
	text  string
	means error
}

func (a *answered) Error() string { return a.text }

func (a *answered) Unwrap() error { return a.means }

func answerError(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("asking the audit room: %s", resp.Status)
	}
	said := strings.TrimSpace(string(text))
	out := &answered{text: "asking the audit room: " + resp.Status + ": " + said}
	switch {
	case resp.StatusCode == http.StatusNotFound:
		out.means = ErrNotFound
	case resp.StatusCode == http.StatusConflict:
		out.means = ErrInconsistent
	case resp.StatusCode == http.StatusBadRequest && strings.HasSuffix(said, ErrNoHead.Error()):
		out.means = ErrNoHead
	}
	return out
}

func readLines(body io.Reader, fn func(Line) error) error {
	dec := json.NewDecoder(bufio.NewReaderSize(body, 64<<10))
	for count := 0; ; {
		var line Line
		if err := dec.Decode(&line); err != nil {
			return fmt.Errorf("the audit room's answer was cut off: %w", err)
		}
		switch {
		case line.Error != "":
			return fmt.Errorf("the audit room stopped in mid-answer: %s", line.Error)
		case line.End != nil && line.End.Count != count:
			return fmt.Errorf("the audit room's answer has %d of %d lines", count, line.End.Count)
		case line.End != nil:
			return nil
		case line.Head == nil:
			count++
		}
		if err := fn(line); err != nil {
			return err
		}
	}
}
