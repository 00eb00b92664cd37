package restspec

import (
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

const soundSpec = `restspec: 1
system: acme
version: "1"
base: https://api.acme.example
auth: {type: none}
stores:
  - name: users
    categories: [{letter: A, data: user.contact.email}]
locate:
  - name: users
    for: email
    get: /users
    query: {email: "{{ .email }}"}
    items: users
    id: id
    match: email
    store: users
erase:
  - use: locate
  - name: drop
    each: users
    delete: /users/{{ .users.id }}
`

func TestParse(t *testing.T) {
	p, err := Parse("acme.yaml", []byte(soundSpec))
	if err != nil {
		t.Fatal(err)
	}
	m, c, err := p.Open(Options{Name: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
	_, eraser := c.(sdk.Eraser)
	_, exporter := c.(sdk.Exporter)
	_, optOuter := c.(sdk.OptOuter)
	_, resolver := c.(sdk.Resolver)
	if !eraser || exporter || optOuter || resolver {
		t.Errorf("abilities: eraser %t, exporter %t, opt-outer %t, resolver %t; only erase is specified", eraser, exporter, optOuter, resolver)
	}
}

// TestFaultsNameTheirPlace breaks the sound specification in one place each and
// wants the file, the line and the field.
func TestFaultsNameTheirPlace(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"unknown field", "base:", "bsae:", `acme.yaml:4: unknown field "bsae"`},
		{"wrong format", "restspec: 1", "restspec: 2", "acme.yaml:1: restspec: this program reads format 1"},
		{"wrong type", "restspec: 1", "restspec: x", "acme.yaml:1: "},
		{"not YAML", "auth: {type: none}", "auth: {type: none", "acme.yaml:"},
		{"unknown auth", "type: none", "type: magic", `acme.yaml:5: auth.type: want "none"`},
		{"no secret", "type: none", "type: bearer", "acme.yaml:5: auth.secret: auth of type bearer needs it"},
		{"bad letter", "letter: A", "letter: Z", "acme.yaml:8: stores[0].categories[0]: want a letter from A to L"},
		{"unknown value", "{{ .email }}", "{{ .phone }}", "acme.yaml:13: locate[0].query.email: {{ .phone }} is not known here; known are effect, email"},
		{"unknown filter", "{{ .email }}", "{{ .email | rot13 }}", `acme.yaml:13: locate[0].query.email: {{ .email | rot13 }} has an unknown filter "rot13"`},
		{"unquoted", "{{ .email }}", "email='{{ .email }}'", "acme.yaml:13: locate[0].query.email: the value email stands inside another language"},
		{"no match", "    match: email\n", "", "acme.yaml:10: locate[0].match: name the field"},
		{"unknown store", "store: users", "store: people", `acme.yaml:17: locate[0].store: no store is named "people"`},
		{"unknown collection", "each: users", "each: people", `acme.yaml:21: erase[1].each: no earlier step reads records named "people"`},
		{"two methods", "    get: /users", "    post: /users\n    get: /users", "locate[0]: a request has one method, not GET and POST"},
		{"value in host", "get: /users", "get: https://{{ .email }}.example/users", "acme.yaml:12: locate[0].get: an absolute address needs its whole host"},
		{"query in path", "get: /users", "get: /users?all=1", "acme.yaml:12: locate[0].get: write parameters under query"},
		{"act in locate", "    items: users\n    id: id\n", "", ""},
		{"delete in locate", "get: /users", "delete: /users", "locate[0]: locate changes nothing"},
		{"bad rule", "    store: users\n", "    store: users\n    responses: [{status: 9xx, means: done}]\n", `acme.yaml:18: locate[0].responses[0].status: "9xx" is not a status`},
		{"bad duration", "auth:", "timeout: soon\nauth:", "acme.yaml:5: "},
		{"no pages without a list", "    items: users\n", "    page: {link: true}\n", "locate[0].page: an answer that is one record has no pages"},
		{"assumed and asked", "    get: /users\n", "    assumed: no search\n    get: /users\n", "acme.yaml:12: locate[0].assumed: what is assumed is not asked for"},
		{"assumed copy", "erase:", "export: [{name: x, for: email, assumed: no search, store: users}]\nerase:", "export[0].assumed: there is nothing to read of what is assumed"},
		{"assumed and never asked for", "erase:", "opt_out: [{name: o, for: phone, put: /o}]\nopted_out: [{name: o, for: [phone, email], assumed: no list}]\nerase:", "opted_out[0].assumed: no step of opt_out asks for what is assumed of email"},
		{"assumed and never erased", "erase:", "  - {name: phones, for: phone, assumed: no search, store: users}\nerase:", "acme.yaml:18: locate[1].assumed: no step of erase asks for what is assumed of phone"},
		{"batch without an item", "    delete: /users/{{ .users.id }}", "    delete: /users\n    query: {ids: \"{{ .batch }}\"}\n    batch: {size: 5}", "erase[1].batch.item: say what stands for one record"},
		{"batch of nobody", "    delete: /users/{{ .users.id }}", "    delete: /users\n    batch: {item: \"{{ .users.id }}\"}", "erase[1].batch.size: say how many a request may have"},
		{"one record in a batch request", "    delete: /users/{{ .users.id }}", "    delete: /users/{{ .users.id }}\n    batch: {size: 5, item: \"{{ .users.id }}\"}", "erase[1].delete: {{ .users.id }} is not known here; known are batch"},
		{"correcting without a field", "erase:", "correct: [{use: locate}, {name: c, each: users, put: /x}]\nerase:", "correct[1].corrects: name the fields"},
		{"correction nobody can see", "erase:", "correct: [{use: locate}, {name: c, each: users, corrects: x, put: /x}]\nerase:", "correct[1].shows: say with each and shows"},
		{"correction elsewhere", "each: users\n", "each: users\n    corrects: phone\n", "erase[1].corrects: only acting steps of correct"},
		{"unsigned callback", "    delete: /users/{{ .users.id }}", "    delete: /users/{{ .users.id }}\n    async: {handle: {j: id}, callback: {path: /c, id: i, handle: j, state: s}, done: [d]}", "erase[1].async.callback.signature: a signature needs header, secret and over"},
		{"callback without its handle", "    delete: /users/{{ .users.id }}", "    delete: /users/{{ .users.id }}\n    async: {callback: {path: /c, id: i, handle: j, state: s, signature: {header: H, secret: S, over: \"{{ .body }}\"}}, done: [d]}", "erase[1].async.callback: a callback needs id, state, and the handle that id equals"},
		{"poll without an end", "    delete: /users/{{ .users.id }}", "    delete: /users/{{ .users.id }}\n    async: {poll: {get: /j}, state: s}", "erase[1].async.done: say which states mean that it is done"},
		{"next without a poll", "    delete: /users/{{ .users.id }}", "    delete: /users/{{ .users.id }}\n    async: {assume: 1h, next: [{states: x, post: /run}]}", "erase[1].async.next[0].states: say in which states of a poll"},
		{"signing without what", "type: none", "type: signed, sign: {header: H, secret: S}", "acme.yaml:5: auth.sign: a signature needs header, secret and over"},
		{"signing unknown parts", "type: none", "type: signed, sign: {header: H, secret: S, over: \"{{ .email }}\"}", "acme.yaml:5: auth.sign.over: {{ .email }} is not known here"},
		{"counting nothing", "auth:", "limits: [{requests: 1, per: 1s, count: cows}]\nauth:", "acme.yaml:5: limits[0].count: want \"requests\" or \"people\""},
		{"keeping without an end", "    store: users\n", "    store: users\n    keep: {basis: b, from: created}\n", "locate[0].keep: keeping needs a basis and an end"},
		{"limit unseen", "erase:", "limit_spi: [{name: o, for: email, put: /limits}]\nerase:", "limit_spi: limit_spi and limited_spi come together"},
		{"opt-out unseen", "erase:", "opt_out: [{name: o, for: email, put: /optouts}]\nerase:", "opt_out: opt_out and opted_out come together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(soundSpec, tt.old, tt.new, 1)
			if text == soundSpec {
				t.Fatal("nothing was broken")
			}
			_, err := Parse("acme.yaml", []byte(text))
			if tt.want == "" {
				if err != nil {
					t.Errorf("an answer that is one record is fine: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestOpenFaults(t *testing.T) {
	for _, tt := range []struct {
		name, old, new string
		o              Options
		want           string
	}{
		{"base not https", "https://api", "http://api", Options{}, "base: only https"},
		{"base with key", "", "", Options{Base: "https://u:p@api.acme.example"}, "base: an address has no user"},
		{"unknown setting", "", "", Options{Settings: map[string]string{"x": "y"}}, "settings.x: the specification has no such setting"},
		{"setting without value", "auth:", "settings: {region: \"\"}\nauth:", Options{}, "settings.region: the specification needs a value"},
		{"no secret", "{type: none}", "{type: bearer, secret: KEY}", Options{}, "auth: there is no source for the secret KEY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Parse("acme.yaml", []byte(strings.Replace(soundSpec, tt.old, tt.new, 1)))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := p.Open(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(soundSpec)
	f.Add("restspec: 1\nlocate: [{use: locate}]")
	f.Add("{}")
	f.Fuzz(func(_ *testing.T, s string) {
		if p, err := Parse("f.yaml", []byte(s)); err == nil {
			_, _, _ = p.Open(Options{Name: "f"}) // must not panic; an error is an answer
		}
	})
}
