package clickhouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// server is one ClickHouse server's HTTP interface.
type server struct {
	address  *url.URL // without user
	user     string
	password sdk.Secret
	client   *http.Client
}

// settings go with one query.
type settings map[string]string

// external is the name of the table that carries identifiers with a question:
// the number of a column, and a value to look for in it.
const external = "habeas_sought"

// sought is what a question looks for.
type sought []soughtValue

type soughtValue struct {
	column int
	value  string
}

var tsv = strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\x00", `\0`, "\b", `\b`, "\f", `\f`)

func (s sought) text() string {
	var b strings.Builder
	for _, v := range s {
		fmt.Fprintf(&b, "%d\t%s\n", v.column, tsv.Replace(v.value))
	}
	return b.String()
}

// ask runs a query with identifiers as data beside it and returns the rows,
// JSON objects one a line. The caller closes them.
func (s *server) ask(ctx context.Context, query string, set settings, look sought) (io.ReadCloser, error) {
	set = withSetting(set, "output_format_json_quote_64bit_integers", "0")
	if look == nil {
		return s.send(ctx, "", set, "text/plain", strings.NewReader(query+" FORMAT JSONEachRow"))
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile(external, external)
	if err == nil {
		_, err = io.WriteString(part, look.text())
	}
	if err = errors.Join(err, form.Close()); err != nil {
		return nil, err
	}
	set = withSetting(set, external+"_structure", "c UInt16, value String")
	set[external+"_format"] = "TabSeparated"
	return s.send(ctx, query+" FORMAT JSONEachRow", set, form.FormDataContentType(), &body)
}

// do runs a statement, with data after it if there is any.
func (s *server) do(ctx context.Context, statement string, set settings, data string) error {
	var body io.ReadCloser
	var err error
	if data == "" {
		body, err = s.send(ctx, "", set, "text/plain", strings.NewReader(statement))
	} else {
		body, err = s.send(ctx, statement, set, "text/plain", strings.NewReader(data))
	}
	if err != nil {
		return err
	}
	defer body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(body, 1<<20)); err != nil {
		return unanswered(ctx)
	}
	return nil
}

func withSetting(set settings, name, value string) settings {
	more := settings{name: value}
	maps.Copy(more, set)
	return more
}

func (s *server) send(ctx context.Context, query string, set settings, kind string, body io.Reader) (io.ReadCloser, error) {
	values := url.Values{}
	if query != "" {
		values.Set("query", query)
	}
	for k, v := range set {
		values.Set(k, v)
	}
	u := *s.address
	u.RawQuery = values.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return nil, unanswered(ctx)
	}
	req.Header.Set("Content-Type", kind)
	if s.user != "" {
		req.Header.Set("X-ClickHouse-User", s.user)
		req.Header.Set("X-ClickHouse-Key", s.password.Reveal())
	}
	// Everything sent here may be sent again, as the client does when the server
	// has closed a connection that was idle. (The header itself is not sent.)
	req.Header["Idempotency-Key"] = nil
	res, err := s.client.Do(req)
	if err != nil {
		return nil, unanswered(ctx) // the client's error has the query in it
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return nil, unanswered(ctx)
	}
	return nil, answered(res.StatusCode, string(text))
}

// unanswered is the error of a call that came to nothing.
func unanswered(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return sdk.WithCode(sdk.Unavailable, errors.New("the server does not answer"))
}

// refusal is an answer that is an error. It keeps the server's error code and
// none of its words, which may quote a value.
type refusal struct{ code string }

func (r *refusal) Error() string {
	if r.code == "" {
		return "the server answers with an error of no known form"
	}
	return "the server answers with its error code " + r.code
}

var codeForm = regexp.MustCompile(`Code: (\d{1,6})\b`)

// ClickHouse's error codes that no retry heals.
var (
	deniedCodes = []string{"192", "193", "194", "195", "291", "497", "516"}
	brokenCodes = []string{"10", "16", "36", "41", "43", "44", "46", "47", "48", "53", "57", "60", "62", "81", "115", "164", "344"}
)

// answered makes an error of an answer.
func answered(status int, text string) error {
	r := &refusal{}
	if m := codeForm.FindStringSubmatch(text); m != nil {
		r.code = m[1]
	}
	switch {
	case slices.Contains(deniedCodes, r.code), r.code == "" && (status == http.StatusUnauthorized || status == http.StatusForbidden):
		return sdk.WithCode(sdk.Denied, sdk.Permanent(fmt.Errorf("%w: check the user, the password and its grants", r)))
	case slices.Contains(brokenCodes, r.code):
		return sdk.WithCode(sdk.Configuration, sdk.Permanent(r))
	}
	return sdk.WithCode(sdk.Unavailable, r)
}

// rows reads JSON objects one a line and hands each to visit. A server that
// fails in mid-answer appends its error to the rows, or cuts them off; both end
// as an error here.
func rows(ctx context.Context, body io.Reader, visit func(*json.Decoder) error) error {
	d := json.NewDecoder(body)
	d.UseNumber()
	// An error in the middle may come as a row of its own.
	d.DisallowUnknownFields()
	for {
		// The next row's first byte, or the end.
		if !d.More() {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				return ctx.Err()
			}
			return unanswered(ctx)
		}
		if err := visit(d); err != nil {
			return err
		}
	}
}

// query asks and decodes every row into a T.
func query[T any](ctx context.Context, s *server, text string, set settings, look sought) ([]T, error) {
	body, err := s.ask(ctx, text, set, look)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var all []T
	err = rows(ctx, body, func(d *json.Decoder) error {
		var one T
		if err := d.Decode(&one); err != nil {
			return unanswered(ctx)
		}
		all = append(all, one)
		return nil
	})
	return all, err
}
