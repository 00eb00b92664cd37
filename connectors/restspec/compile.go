package restspec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// store is a declared store, ready for use.
type store struct {
	Store
	withhold []hidden
}

// hidden is a field an export names and does not show.
type hidden struct {
	path []string
	kind string
}

// step is a Step, checked and compiled for one operation.
type step struct {
	name    string
	kinds   []sdk.Kind
	each    string
	only    string
	found   string
	call    *call
	list    *listing // nil for a step that acts
	match   []string
	same    *SamePerson
	store   string
	time    string
	keep    *Keep
	yields  []yield
	async   *async
	expect  *Expect
	batch   *batch
	assumed string
	// corrects are the fields an acting step of correct puts right.
	corrects []string
	shows    string
	// blind is set when the step goes through assumed records: the system
	// never shows whether it was done.
	blind   bool
	collect bool     // a later step goes through its records
	fields  []string // which fields of the records later requests need
}

// reads reports whether the step reads records.
func (s *step) reads() bool { return s.list != nil || s.assumed != "" }

type call struct {
	method  string
	label   string // method and path as written: fit for an error
	path    *template
	query   []pair
	headers []pair
	form    []pair
	json    *body
	limits  []string
	idem    string
	rules   []rule
}

type pair struct {
	name  string
	value *template
}

type rule struct {
	lo, hi []int
	Rule
}

type listing struct {
	Listing
	where []pair // Where, with templates
}

type batch struct {
	Batch
	item *body
}

type yield struct {
	Yield
	alone *lookup
}

type lookup struct {
	call *call
	list *listing
}

type async struct {
	Async
	find     *lookup
	poll     *lookup
	callback *Callback
	next     []next
}

type next struct {
	Next
	call *call
}

// neverDisclose are the items that no answer to a request to know may hold
// (11 CCR 7024(d)), by data category, with the words that stand in their place.
var neverDisclose = map[string]string{
	"user.government_id":                               "government identification number",
	"user.financial.account_number":                    "financial account number",
	"user.financial.credit_card":                       "payment card number",
	"user.payment.card_number":                         "payment card number",
	"user.health_and_medical.insurance_beneficiary_id": "health insurance number",
	"user.health_and_medical.record_id":                "medical identification number",
	"user.authorization.password":                      "account password",
	"user.authorization.credentials":                   "account credentials",
	"user.authorization.security_question":             "security question and answer",
	"user.biometric":                                   "unique biometric data",
	"user.authorization.biometric":                     "unique biometric data",
}

var (
	namePattern     = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)
	kindPattern     = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	categoryPattern = regexp.MustCompile(`^[a-z0-9_]+(\.[a-z0-9_]+)*$`)
)

func (c *checker) program() {
	s, p := c.prog.spec, c.prog
	if s.Format != FormatVersion {
		c.fault(place{"restspec"}, "this program reads format %d", FormatVersion)
	}
	if !namePattern.MatchString(s.System) {
		c.fault(place{"system"}, "want a name of lower-case letters, digits and hyphens")
	}
	if s.Facts.Source != "" && s.Facts.Source != "primary" && s.Facts.Source != "secondary" {
		c.fault(place{"facts", "source"}, `want "primary" or "secondary"`)
	}
	if s.Facts.Checked != "" {
		if _, err := time.Parse(time.DateOnly, s.Facts.Checked); err != nil {
			c.fault(place{"facts", "checked"}, "want a day as yyyy-mm-dd")
		}
	}
	if _, err := tierOf(s.Manifest.Tier); err != nil {
		c.fault(place{"manifest", "tier"}, "%v", err)
	}
	c.auth()
	p.headers = c.pairs(place{"headers"}, s.Headers, names{"settings": true}, false)
	p.rules = c.rules(place{"responses"}, s.Responses)
	limits := map[string]bool{}
	for i, l := range s.Limits {
		if l.Requests <= 0 || l.Per <= 0 {
			c.fault(place{"limits", i}, "requests and per have to be more than nothing")
		}
		switch l.Count {
		case "", "requests", "people":
		default:
			c.fault(place{"limits", i, "count"}, `want "requests" or "people"`)
		}
		limits[l.Name] = true
	}
	c.stores()
	if len(s.Locate) == 0 {
		c.fault(place{"locate"}, "a system nothing can be located in is no system")
	}
	p.ops = map[string][]*step{}
	for _, op := range operations {
		steps := op.steps(s)
		if len(steps) > 0 {
			p.ops[op.name] = c.operation(op.name, steps, limits)
		}
	}
	c.actsOnAssumed("erase", "locate")
	c.actsOnAssumed("opt_out", "opted_out")
	if len(s.OptOut) > 0 != (len(s.OptedOut) > 0) {
		c.fault(place{"opt_out"}, "opt_out and opted_out come together: what was set has to be seen")
	}
	c.actsOnAssumed("limit_spi", "limited_spi")
	if len(s.LimitSPI) > 0 != (len(s.LimitedSPI) > 0) {
		c.fault(place{"limit_spi"}, "limit_spi and limited_spi come together: what was set has to be seen")
	}
	c.takesBack("opt_in", s.OptIn, "opt_out", s.OptOut, "opted_out", s.OptedOut)
	c.takesBack("lift_limit", s.LiftLimit, "limit_spi", s.LimitSPI, "limited_spi", s.LimitedSPI)
}

// takesBack checks that what op takes back can be set, and seen to be lifted.
func (c *checker) takesBack(op string, steps []Step, of string, sets []Step, seen string, shows []Step) {
	switch {
	case len(steps) == 0:
	case len(sets) == 0:
		c.fault(place{op}, "%s takes %s back: write that too", op, of)
	case slices.ContainsFunc(shows, func(s Step) bool { return s.Assumed != "" }):
		c.fault(place{op}, "what is assumed in %s can't be seen to be lifted; leave %s out", seen, op)
	}
}

// operations are the operations in the order they are checked.
var operations = []struct {
	name  string
	steps func(*Spec) []Step
}{
	{"locate", func(s *Spec) []Step { return s.Locate }},
	{"export", func(s *Spec) []Step { return s.Export }},
	{"erase", func(s *Spec) []Step { return s.Erase }},
	{"correct", func(s *Spec) []Step { return s.Correct }},
	{"opt_out", func(s *Spec) []Step { return s.OptOut }},
	{"opted_out", func(s *Spec) []Step { return s.OptedOut }},
	{"opt_in", func(s *Spec) []Step { return s.OptIn }},
	{"limit_spi", func(s *Spec) []Step { return s.LimitSPI }},
	{"limited_spi", func(s *Spec) []Step { return s.LimitedSPI }},
	{"lift_limit", func(s *Spec) []Step { return s.LiftLimit }},
	{"resolve", func(s *Spec) []Step { return s.Resolve }},
}

func tierOf(name string) (sdk.Tier, error) {
	switch name {
	case "", "own":
		return sdk.OwnStore, nil
	case "third_party":
		return sdk.ThirdParty, nil
	case "identity":
		return sdk.IdentityStore, nil
	}
	return 0, fmt.Errorf(`want "own", "third_party" or "identity"`)
}

func (c *checker) auth() {
	a, at := c.prog.spec.Auth, place{"auth"}
	need := func(field, value string) {
		if value == "" {
			c.fault(at.with(field), "auth of type %s needs it", a.Type)
		}
	}
	switch a.Type {
	case "none":
	case "api_key":
		need("secret", a.Secret)
		if (a.Header == "") == (a.Query == "") {
			c.fault(at.with("header"), "an API key goes into a header or a query parameter, one of them")
		}
	case "bearer":
		need("secret", a.Secret)
	case "basic":
		if a.User == "" && a.UserSecret == "" {
			c.fault(at.with("user"), "basic needs user or user_secret")
		}
	case "oauth2":
		need("token_url", a.TokenURL)
		switch a.Grant {
		case "client_credentials":
			need("client_id", a.ClientID)
			need("client_secret", a.ClientSecret)
		case "refresh_token":
			need("refresh_token", a.RefreshToken)
		default:
			c.fault(at.with("grant"), `want "client_credentials" or "refresh_token"`)
		}
		if a.ClientAuth != "" && a.ClientAuth != "basic" && a.ClientAuth != "body" {
			c.fault(at.with("client_auth"), `want "basic" or "body"`)
		}
	case "signed":
		if a.Sign == nil {
			c.fault(at.with("sign"), "auth of type signed needs it")
			return
		}
		c.signature(at.with("sign"), *a.Sign)
		for name, text := range a.Sign.Headers {
			c.template(at.with("sign", "headers", name), text, signNames.with("secret"))
		}
	case "login":
		if a.Login == nil || a.Login.Post == "" || a.Login.Token == "" {
			c.fault(at.with("login"), "login needs post and token")
			return
		}
		c.pairs(at.with("login", "json"), a.Login.JSON, names{"secret": true}, false)
	default:
		c.fault(at.with("type"), `want "none", "api_key", "basic", "bearer", "oauth2", "login" or "signed"`)
	}
}

// signature checks how a request is signed.
func (c *checker) signature(at place, g Signature) {
	if g.Header == "" || g.Secret == "" || g.Over == "" {
		c.fault(at, "a signature needs header, secret and over")
	}
	if hmacs[g.Algorithm] == nil {
		c.fault(at.with("algorithm"), `want "hmac-sha256", "hmac-sha1" or "hmac-sha512"`)
	}
	if encodings[g.Encoding] == nil {
		c.fault(at.with("encoding"), `want "hex", "base64" or "base64url"`)
	}
	c.template(at.with("over"), g.Over, signNames)
}

func (c *checker) stores() {
	s, p := c.prog.spec, c.prog
	p.hide = maps.Clone(neverDisclose)
	for category, words := range s.NeverDisclose {
		if !categoryPattern.MatchString(category) || words == "" {
			c.fault(place{"never_disclose", category}, "want a data category and the words to show instead")
		}
		p.hide[category] = words
	}
	p.stores = map[string]*store{}
	for i, st := range s.Stores {
		at := place{"stores", i}
		if !namePattern.MatchString(st.Name) || p.stores[st.Name] != nil {
			c.fault(at.with("name"), "want a name that no other store has")
		}
		if len(st.Categories) == 0 {
			c.fault(at.with("categories"), "name at least one category: what is not declared cannot be told to a consumer")
		}
		for j, cat := range st.Categories {
			if len(cat.Letter) != 1 || cat.Letter < "A" || cat.Letter > "L" || !categoryPattern.MatchString(cat.Data) {
				c.fault(at.with("categories", j), "want a letter from A to L and a data category")
			}
		}
		switch st.Role {
		case "", sdk.Business, sdk.ServiceProvider:
		default:
			c.fault(at.with("role"), `want "business" or "service_provider"`)
		}
		compiled := &store{Store: st}
		for _, field := range slices.Sorted(maps.Keys(st.Fields)) {
			if !categoryPattern.MatchString(st.Fields[field]) {
				c.fault(at.with("fields", field), "want a data category")
			}
			if words, ok := p.hidden(st.Fields[field]); ok {
				compiled.withhold = append(compiled.withhold, hidden{strings.Split(field, "."), words})
			}
		}
		p.stores[st.Name] = compiled
	}
}

// hidden reports whether a data category, or one it is part of, is never
// disclosed.
func (p *Program) hidden(category string) (string, bool) {
	for c := category; c != ""; {
		if words, ok := p.hide[c]; ok {
			return words, true
		}
		i := strings.LastIndexByte(c, '.')
		if i < 0 {
			break
		}
		c = c[:i]
	}
	return "", false
}

// names are the roots a template may use where it stands.
type names map[string]bool

func (n names) with(more ...string) names {
	m := maps.Clone(n)
	for _, name := range more {
		m[name] = true
	}
	return m
}

func (c *checker) template(at place, text string, known names) *template {
	t, err := parseTemplate(text)
	if err != nil {
		c.fault(at, "%v", err)
		return &template{}
	}
	for _, path := range t.places() {
		if !known[path[0]] {
			c.fault(at, "{{ .%s }} is not known here; known are %s", strings.Join(path, "."),
				strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return t
}

func (c *checker) pairs(at place, m map[string]string, known names, quoting bool) []pair {
	var all []pair
	for _, name := range slices.Sorted(maps.Keys(m)) {
		t := c.template(at.with(name), m[name], known)
		if quoting {
			if err := t.checkQuoting(); err != nil {
				c.fault(at.with(name), "%v", err)
			}
		}
		all = append(all, pair{name, t})
	}
	return all
}
