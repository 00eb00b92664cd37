package intake

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// planted stands for somebody's address: it may go in and must never come out.
const planted = "planted.jane"

// Whatever is sent is taken or refused with a 4xx; what is refused leaves
// nothing behind, and no answer and no log line repeats a value.
func TestHostileBodies(t *testing.T) {
	ids := func(n int) string {
		return `[` + strings.TrimSuffix(strings.Repeat(`{"kind":"email","value":"`+planted+`@example.com"},`, n), ",") + `]`
	}
	body := func(ids string) string { return `{"right":"delete","identifiers":` + ids + `}` }
	one := func(kind, value string) string {
		return body(fmt.Sprintf(`[{"kind":"%s","value":"%s"}]`, kind, value))
	}
	with := func(more string) string { return strings.TrimSuffix(body(ids(1)), "}") + "," + more + "}" }
	for name, c := range map[string]struct {
		body  string
		field string // "" for what is no JSON object at all
	}{
		"nothing":                {"", ""},
		"no JSON":                {planted, ""},
		"half":                   {body(ids(1))[:40], ""},
		"two":                    {body(ids(1)) + body(ids(1)), ""},
		"a list":                 {ids(1), ""},
		"null":                   {"null", ""},
		"text":                   {`"` + planted + `"`, ""},
		"empty":                  {"{}", "body"},
		"huge":                   {with(`"channel":"` + strings.Repeat("x", 2<<20) + `"`), ""},
		"deep":                   {with(`"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)), ""},
		"deep in a field":        {body(strings.Repeat("[", 5_000) + strings.Repeat("]", 5_000)), "body.identifiers"},
		"10k identifiers":        {body(ids(10_000)), "body.identifiers"},
		"33 identifiers":         {body(ids(33)), "body.identifiers"},
		"no identifiers":         {body("[]"), "body.identifiers"},
		"null identifiers":       {body("null"), "body.identifiers"},
		"only a name":            {one("name", planted), "body.identifiers"},
		"an unknown field":       {with(`"favourite":"` + planted + `"`), "body"},
		"a value for a field":    {with(`"` + planted + `@example.com":1`), "body"},
		"unknown field within":   {body(`[{"kind":"email","value":"x@example.com","` + planted + `@example.com":"x"}]`), "body.identifiers[0]"},
		"number for text":        {`{"right":7,"identifiers":` + ids(1) + `}`, "body.right"},
		"text for a list":        {body(`"` + planted + `"`), "body.identifiers"},
		"text for an object":     {body(`["` + planted + `"]`), "body.identifiers[0]"},
		"object for text":        {body(`[{"kind":"email","value":{"` + planted + `":1}}]`), "body.identifiers[0]"},
		"number for a value":     {body(`[{"kind":"phone","value":14155550177}]`), "body.identifiers[0]"},
		"unknown right":          {`{"right":"` + planted + `","identifiers":` + ids(1) + `}`, "body.right"},
		"unknown regime":         {with(`"regime":"` + planted + `@example.com"`), "body.regime"},
		"channel that is none":   {with(`"channel":"` + planted + `@example.com"`), "body.channel"},
		"kind that is none":      {one(planted+"@example.com", "x"), "body.identifiers[0]"},
		"no address":             {one("email", planted), "body.identifiers[0]"},
		"no phone number":        {one("phone", planted), "body.identifiers[0]"},
		"an empty value":         {one("email", ""), "body.identifiers[0]"},
		"a long value":           {one("user_id", planted+strings.Repeat("x", 600)), "body.identifiers[0]"},
		"invalid UTF-8":          {one("email", planted+"\xff@example.com"), "body.identifiers[0]"},
		"a lone surrogate":       {one("email", planted+`\ud800@example.com`), "body.identifiers[0]"},
		"NUL":                    {one("email", planted+`\u0000@example.com`), "body.identifiers[0]"},
		"a control character":    {one("user_id", planted+`\u001b[31m`), "body.identifiers[0]"},
		"an invisible one":       {one("user_id", planted+`\u202e`), "body.identifiers[0]"},
		"no time":                {with(`"received_at":"` + planted + `"`), "body.received_at"},
		"no time but a number":   {with(`"received_at":20260302`), "body.received_at"},
		"verified how":           {with(`"verification":{"method":"` + planted + `@example.com","level":"reasonably_high"}`), "body.verification"},
		"verified how sure":      {with(`"verification":{"method":"account_login","level":"` + planted + `"}`), "body.verification.level"},
		"verified by text":       {with(`"verification":"` + planted + `"`), "body.verification"},
		"all of it for deleting": {with(`"everything":true`), "body.range"},
		"everything is text":     {with(`"everything":"` + planted + `"`), "body.everything"},
		"correcting nothing":     {strings.Replace(body(ids(1)), "delete", "correct", 1), "body.corrections"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for path, content := range map[string]string{"/v1/requests": c.body, "/v1/requests:bulk": `{"requests":[` + c.body + `]}`} {
				a := r.post(path, content)
				taken := path == "/v1/requests:bulk" && a.status == http.StatusOK && strings.Contains(string(a.body), `"errors"`)
				if !taken && (a.status < 400 || a.status > 499) {
					t.Errorf("%s: status %d: %.300s", path, a.status, a.body)
				}
				if path == "/v1/requests" && a.status >= 400 {
					p := a.problem(a.status)
					if c.field != "" {
						p.names(t, c.field)
					}
					if len(a.body) > 16<<10 {
						t.Errorf("%s: an answer of %d bytes", path, len(a.body))
					}
				}
				for where, text := range map[string]string{"the answer": string(a.body), "a log line": r.logs.String()} {
					if strings.Contains(text, planted) || strings.Contains(text, "14155550177") {
						t.Errorf("%s: %s holds a value: %.600s", path, where, text)
					}
				}
			}
			if n := r.stored(); n != 0 {
				t.Errorf("%d requests are stored", n)
			}
		})
	}
}

func TestWrongContentType(t *testing.T) {
	r := newRig(t)
	for _, typ := range []string{"text/plain", "application/x-www-form-urlencoded", "application/xml"} {
		a := r.post("/v1/requests", deletion, "Content-Type", typ)
		if a.status < 400 || a.status > 499 {
			t.Errorf("%s: status %d", typ, a.status)
		}
	}
	if n := r.stored(); n != 0 {
		t.Errorf("%d requests are stored", n)
	}
}

// What goes well leaves no value in an answer or a log line, either.
func TestValuesNeverComeOut(t *testing.T) {
	r := newRig(t)
	id := r.submit(`{"right":"delete","identifiers":[{"kind":"email","value":"` + planted + `@example.com"},{"kind":"user_id","value":"` + planted + `"}]}`)
	for _, a := range []answer{
		r.call(http.MethodGet, "/v1/requests/"+string(id), ""), r.call(http.MethodGet, "/v1/requests", ""),
		r.post("/v1/requests/"+string(id)+"/verification", `{"method":"account_login","level":"reasonable"}`),
		r.call(http.MethodGet, "/v1/connectors", ""), r.call(http.MethodGet, "/v1/openapi.json", ""),
	} {
		a.want(http.StatusOK)
		if strings.Contains(string(a.body), planted) {
			t.Errorf("an answer holds a value: %s", a.body)
		}
	}
	if strings.Contains(r.logs.String(), planted) {
		t.Errorf("the log holds a value: %s", r.logs.String())
	}
}
