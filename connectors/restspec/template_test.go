package restspec

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

type mapScope map[string]any

func (m mapScope) lookup(path []string) (any, bool) {
	v, ok := m[strings.Join(path, ".")]
	return v, ok
}

func mustTemplate(t testing.TB, text string) *template {
	t.Helper()
	tm, err := parseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

// nasty draws values that mean something to URLs, JSON or query languages.
var nasty = rapid.OneOf(
	rapid.String(),
	rapid.StringOf(rapid.SampledFrom([]rune(`./\%2eEfF?#&=;:@'"{}[]<>()|*$ `+"`\r\n\t\x00é💥+"))),
	rapid.SampledFrom([]string{".", "..", "%2e%2e", "%252e%252e", "a/../../b", `..\..`, "x?y=z", "a#b", `' OR '1'='1`, `","role":"admin`, "a\r\nX-Evil: 1", "{{ .email }}", "@evil.example"}),
)

// checkPath wants a value to stay inside its segment, however it is decoded.
func checkPath(t interface {
	Fatalf(format string, args ...any)
}, tm *template, value string,
) {
	path, err := tm.urlPath(mapScope{"email": value})
	if err != nil {
		return // refused
	}
	u, err := url.Parse("https://api.example.com" + path)
	if err != nil {
		t.Fatalf("not a URL: %v", err)
	}
	if u.Host != "api.example.com" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		t.Fatalf("the value left the path")
	}
	segments := strings.Split(u.EscapedPath(), "/")
	if len(segments) != 4 || segments[1] != "v1" || segments[3] != "notes" {
		t.Fatalf("the value left its segment: %q", u.EscapedPath())
	}
	if back, err := url.PathUnescape(segments[2]); err != nil || back != value {
		t.Fatalf("the segment reads %q", back)
	}
	for range 3 {
		for _, s := range strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' || r == '\\' }) {
			if s == ".." || s == "." {
				t.Fatalf("a server that unescapes first would climb: %q", u.Path)
			}
		}
		if u.Path, err = url.PathUnescape(u.Path); err != nil {
			break
		}
	}
}

func TestPathValuesStayInTheirSegment(t *testing.T) {
	tm := mustTemplate(t, "/v1/{{ .email }}/notes")
	rapid.Check(t, func(rt *rapid.T) { checkPath(rt, tm, nasty.Draw(rt, "value")) })
}

func FuzzPathValue(f *testing.F) {
	tm := mustTemplate(f, "/v1/{{ .email }}/notes")
	for _, s := range []string{"ada@example.com", "..", "a/b", "%2e%2e", "%252e", "?", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkPath(t, tm, s) })
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "{{ .a }}", "{{ .a | md5 }}x{{.b.c}}", "}}", "{{", "{{ .a | nope }}", "{{{{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tm, err := parseTemplate(s)
		if err != nil {
			return
		}
		if len(tm.places()) == 0 {
			if out, err := tm.plain(mapScope{}); err != nil || out != s {
				t.Errorf("a text without places became %q, %v", out, err)
			}
		}
	})
}

// TestQueryAndBodyValuesAreValues compares what a server decodes with what was
// put in.
func TestQueryAndBodyValuesAreValues(t *testing.T) {
	query := mustTemplate(t, "{{ .email }}")
	body, err := parseBody(map[string]any{"filter": []any{map[string]any{"value": "{{ .email }}", "op": "EQ"}}, "id": "{{ .n }}"})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		value := nasty.Draw(rt, "value")
		s := mapScope{"email": value, "n": json.Number("9007199254740993")}
		q, err := query.plain(s)
		if err != nil {
			return
		}
		back, err := url.ParseQuery(url.Values{"email": {q}, "limit": {"1"}}.Encode())
		if err != nil || len(back) != 2 || back.Get("email") != value {
			rt.Fatalf("the query reads %q, %v", back, err)
		}
		filled, err := body.fill(s)
		if err != nil {
			rt.Fatal(err)
		}
		raw, err := json.Marshal(filled)
		if err != nil {
			rt.Fatal(err)
		}
		var decoded struct {
			Filter []map[string]string
			ID     json.Number
		}
		if err := json.Unmarshal(raw, &decoded); err != nil || len(decoded.Filter) != 1 || decoded.Filter[0]["value"] != value || decoded.ID != "9007199254740993" {
			rt.Fatalf("the body reads %s, %v", raw, err)
		}
		if h, err := query.header(s); err == nil {
			r := http.Header{"X": {h}}
			var b strings.Builder
			if err := r.Write(&b); err != nil || strings.Count(b.String(), "\r\n") != 1 {
				rt.Fatalf("the header has more than one line")
			}
		}
	})
}

// TestQuotingFilters walks a quoted string as its language does and wants its
// end to be the template's own quote.
func TestQuotingFilters(t *testing.T) {
	for _, tt := range []struct {
		filter string
		end    func(quoted string, quote byte) int // index of the quote that closes
	}{
		{"backslash", func(s string, q byte) int {
			for i := 0; i < len(s); i++ {
				switch s[i] {
				case '\\':
					i++
				case q:
					return i
				}
			}
			return -1
		}},
		{"double", func(s string, q byte) int {
			for i := 0; i < len(s); i++ {
				if s[i] == q {
					if i+1 == len(s) || s[i+1] != q {
						return i
					}
					i++
				}
			}
			return -1
		}},
		{"plain", func(s string, q byte) int { return strings.IndexByte(s, q) }},
	} {
		for _, quote := range []string{`'`, `"`} {
			tm := mustTemplate(t, "field="+quote+"{{ .email | "+tt.filter+" }}"+quote)
			if err := tm.checkQuoting(); err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(rt *rapid.T) {
				out, err := tm.plain(mapScope{"email": nasty.Draw(rt, "value")})
				if err != nil {
					return
				}
				inside := strings.TrimPrefix(out, "field="+quote)
				if at := tt.end(inside, quote[0]); at != len(inside)-1 {
					rt.Fatalf("%s: the string ends at %d of %d", tt.filter, at, len(inside))
				}
			})
		}
	}
}

func TestUnquotedPlacesAreRefused(t *testing.T) {
	for _, text := range []string{`email='{{ .email }}'`, `equals(email,"{{ .email }}")`, `email={{ .email | lower }}`, `{"q":"{{ .email }}"}`} {
		if mustTemplate(t, text).checkQuoting() == nil {
			t.Errorf("%s passes without a filter", text)
		}
	}
	for _, text := range []string{`{{ .email }}`, `email:{{ .email }}`, `{{ .first }} {{ .last }}`, `email='{{ .email | lower | backslash }}'`} {
		if err := mustTemplate(t, text).checkQuoting(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestEmptyValuesAreRefused: a request without its value would be about
// everybody.
func TestEmptyValuesAreRefused(t *testing.T) {
	for _, v := range []any{"", "  ", nil} {
		s := mapScope{"id": v}
		if out, err := mustTemplate(t, "/contacts/{{ .id }}").urlPath(s); err == nil {
			t.Errorf("%v made the path %s", v, out)
		}
		if _, err := mustTemplate(t, "{{ .id }}").plain(s); err == nil {
			t.Errorf("%v passes", v)
		}
	}
	if _, err := mustTemplate(t, "{{ .id | digits }}").plain(mapScope{"id": "abc"}); err == nil {
		t.Error("what a filter leaves empty passes")
	}
}
