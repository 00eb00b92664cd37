package restspec

import "github.com/habeas-data/habeas/connectors/sdk"

// FormatVersion is the version of the specification format this engine reads.
const FormatVersion = 1

// Spec is one system's specification, as written. [Load] reads one and checks
// it; README.md describes each field to the people who write them.
type Spec struct {
	Format      int               `yaml:"restspec"`
	System      string            `yaml:"system"`
	Description string            `yaml:"description"`
	Facts       Facts             `yaml:"facts"`
	Version     string            `yaml:"version"`
	Base        string            `yaml:"base"`
	Hosts       []string          `yaml:"hosts"`
	Settings    map[string]string `yaml:"settings"`
	Auth        Auth              `yaml:"auth"`
	Headers     map[string]string `yaml:"headers"`
	Timeout     Duration          `yaml:"timeout"`
	Patience    Duration          `yaml:"patience"`
	MaxResponse Size              `yaml:"max_response"`
	MaxRecord   Size              `yaml:"max_record"`
	MaxItems    int               `yaml:"max_items"`
	Limits      []Limit           `yaml:"limits"`
	Responses   []Rule            `yaml:"responses"`
	Manifest    ManifestSpec      `yaml:"manifest"`
	Stores      []Store           `yaml:"stores"`
	// NeverDisclose adds to the data categories that an export withholds: the
	// category and the words put in the value's place.
	NeverDisclose map[string]string `yaml:"never_disclose"`

	Locate   []Step `yaml:"locate"`
	Export   []Step `yaml:"export"`
	Erase    []Step `yaml:"erase"`
	OptOut   []Step `yaml:"opt_out"`
	OptedOut []Step `yaml:"opted_out"`
	Resolve  []Step `yaml:"resolve"`
}

// Facts says where a specification's knowledge of its system comes from.
type Facts struct {
	// Source is "primary" (the vendor's own documents or a run against the
	// system) or "secondary".
	Source string `yaml:"source"`
	// Checked is the day they were last checked, yyyy-mm-dd.
	Checked string `yaml:"checked"`
	// Pitfalls are what an operator should know before trusting an erasure.
	Pitfalls []string `yaml:"pitfalls"`
}

// ManifestSpec is the part of the manifest that is a property of the system
// rather than of a deployment.
type ManifestSpec struct {
	Tier         string   `yaml:"tier"` // "own" (default), "third_party" or "identity"
	After        []string `yaml:"after"`
	Settle       Duration `yaml:"settle"`
	Cap          int64    `yaml:"cap"`
	BackupExpiry Duration `yaml:"backup_expiry"`
	Contract     string   `yaml:"contract"`
}

// Store declares one collection of records.
type Store struct {
	Name       string     `yaml:"name"`
	Role       sdk.Role   `yaml:"role"`
	Categories []Category `yaml:"categories"`
	// Fields gives single fields, by path, a data category; that decides
	// whether an export may show them.
	Fields map[string]string `yaml:"fields"`
}

// Category is a statutory letter with the data category it stands for.
type Category struct {
	Letter string `yaml:"letter"`
	Data   string `yaml:"data"`
}

// Auth says how requests prove whose they are. Secrets are named, never
// written; the values come from the caller of [Open].
type Auth struct {
	Type string `yaml:"type"` // "none", "api_key", "basic", "bearer", "oauth2"
	// Header or Query carries an API key; Prefix goes before it in a header.
	Header string `yaml:"header"`
	Query  string `yaml:"query"`
	Prefix string `yaml:"prefix"`
	// Secret names the API key, the bearer token, or the password of basic.
	Secret string `yaml:"secret"`
	// User and UserSecret give the user name of basic, in clear or by name.
	User       string `yaml:"user"`
	UserSecret string `yaml:"user_secret"`

	// For oauth2: where tokens come from, and with which grant
	// ("client_credentials", "refresh_token" or "password").
	TokenURL     string            `yaml:"token_url"`
	Grant        string            `yaml:"grant"`
	ClientID     string            `yaml:"client_id"`
	ClientSecret string            `yaml:"client_secret"`
	RefreshToken string            `yaml:"refresh_token"`
	Scopes       []string          `yaml:"scopes"`
	Params       map[string]string `yaml:"params"`
	// ClientAuth is "basic" (default, RFC 6749 2.3.1) or "body".
	ClientAuth string `yaml:"client_auth"`
	// Login is a JSON request that trades secrets for a token, for systems
	// with a sign-in of their own.
	Login *Login `yaml:"login"`
}

// Login is a sign-in that answers with a token, for auth of type "login".
type Login struct {
	Post string `yaml:"post"`
	// JSON is the body; values may be "{{ .secret.NAME }}".
	JSON map[string]string `yaml:"json"`
	// Token is the path of the token in the answer.
	Token string `yaml:"token"`
	// TTL is how long a token is used.
	TTL Duration `yaml:"ttl"`
}

// Limit is one token bucket.
type Limit struct {
	// Name selects the limit in a step's "limit"; the limits without a name
	// apply to every request.
	Name     string   `yaml:"name"`
	Requests int      `yaml:"requests"`
	Per      Duration `yaml:"per"`
	Burst    int      `yaml:"burst"`
}

// Rule says what an answer means.
type Rule struct {
	// Status are codes ("404"), classes ("5xx") or nothing for all.
	Status Strings `yaml:"status"`
	// Field and In narrow the rule to bodies whose field has one of the values.
	Field string  `yaml:"field"`
	In    Strings `yaml:"in"`
	// Means is "done", "missing", "accepted", "not_yet", "never" or "retry".
	Means string `yaml:"means"`
	// After is when to ask again, for not_yet.
	After Duration `yaml:"after"`
	// Code is the failure code of never and retry.
	Code sdk.FailureCode `yaml:"code"`
	// Say is the sentence an operator reads. It is fixed text.
	Say string `yaml:"say"`
}

// Call is one HTTP request. Exactly one of the methods is set, to a path under
// the base or, for Get, to an absolute URL on an allowed host.
type Call struct {
	Get    string `yaml:"get"`
	Post   string `yaml:"post"`
	Put    string `yaml:"put"`
	Patch  string `yaml:"patch"`
	Delete string `yaml:"delete"`

	Query   map[string]string `yaml:"query"`
	Headers map[string]string `yaml:"headers"`
	JSON    any               `yaml:"json"`
	Form    map[string]string `yaml:"form"`

	Limit       Strings `yaml:"limit"`
	Idempotency string  `yaml:"idempotency"` // header that carries the effect key
	Responses   []Rule  `yaml:"responses"`
}

// Listing says how to read records out of an answer.
type Listing struct {
	// Items is the path of the list; "." is an answer that is itself a list,
	// and empty an answer that is one record.
	Items string `yaml:"items"`
	// ID is the path of a record's identity within the system.
	ID string `yaml:"id"`
	// Where keeps the records whose fields have one of the values.
	Where map[string]Strings `yaml:"where"`
	Page  *Page              `yaml:"page"`
}

// Step is one step of an operation.
type Step struct {
	Name string `yaml:"name"`
	// Use runs the steps of locate, all ("locate") or one with those it needs
	// ("locate.contacts").
	Use string `yaml:"use"`
	// For runs the step for each identifier of these kinds.
	For Strings `yaml:"for"`
	// Each runs the step for each record an earlier step collected.
	Each string `yaml:"each"`
	// Only narrows Each: "free" (default when erasing), "kept" or "all".
	Only string `yaml:"only"`
	// WhenFound runs the step only if that collection has a record that is not
	// kept.
	WhenFound string `yaml:"when_found"`

	Call    `yaml:",inline"`
	Listing `yaml:",inline"`

	// Match are the fields of which one must equal the identifier searched for.
	Match Strings `yaml:"match"`
	// Exact says in words why the system's search needs no Match.
	Exact string `yaml:"exact"`
	// SamePerson guards against an identifier that several people share.
	SamePerson *SamePerson `yaml:"same_person"`
	// Store is the store the records belong to.
	Store string `yaml:"store"`
	// Time is the field with a record's age, for the look-back window.
	Time   string  `yaml:"time"`
	Keep   *Keep   `yaml:"keep"`
	Yields []Yield `yaml:"yields"`
	Async  *Async  `yaml:"async"`
	Expect *Expect `yaml:"expect"`
}

// SamePerson drops records found by a shared identifier that belong to
// somebody else: Field must be empty or one of the person's identifiers of
// Kind. When the person has none of that kind, all records must agree.
type SamePerson struct {
	Field string   `yaml:"field"`
	Kind  sdk.Kind `yaml:"kind"`
}

// Keep says which records the law wants kept.
type Keep struct {
	// Field and In select them; a list in Field matches by any element.
	Field string  `yaml:"field"`
	In    Strings `yaml:"in"`
	// Basis is the code of the exception.
	Basis string `yaml:"basis"`
	// Until is the field with the day the basis ends. A day in the past keeps
	// nothing.
	Until string `yaml:"until"`
	// With keeps a record while any record found under it in these collections
	// is kept, on the same basis and as long.
	With Strings `yaml:"with"`
}

// Yield is an identifier a record holds.
type Yield struct {
	Kind  sdk.Kind `yaml:"kind"`
	Field string   `yaml:"field"`
	// Alone asks who else has the value; an identifier that anybody else has
	// is left out.
	Alone *Lookup `yaml:"alone"`
}

// Lookup is a request that lists records.
type Lookup struct {
	Call    `yaml:",inline"`
	Listing `yaml:",inline"`
}

// Async says how to follow work that a system does after answering.
type Async struct {
	// Handle names the values of the first answer that later requests need.
	Handle map[string]string `yaml:"handle"`
	// Find looks for work started earlier; Handle then reads its record.
	Find *Lookup `yaml:"find"`
	// Poll asks how the work stands; State is where the answer says it.
	Poll    *Call   `yaml:"poll"`
	State   string  `yaml:"state"`
	Done    Strings `yaml:"done"`
	Failed  Strings `yaml:"failed"`
	Pending Strings `yaml:"pending"`
	// Lost says what it means when the work is no longer known: "done" or
	// "restart" (default).
	Lost string `yaml:"lost"`
	// Wait is the system's own waiting period before it is first asked.
	Wait Duration `yaml:"wait"`
	// Every is how long after one look to take the next.
	Every Duration `yaml:"every"`
	// Hold is how long an attempt stays and asks instead of coming back later.
	Hold Duration `yaml:"hold"`
	// Assume counts work as done after this time, for systems that never say.
	Assume Duration `yaml:"assume"`
}

// Expect is a condition on the answer.
type Expect struct {
	Field string  `yaml:"field"`
	In    Strings `yaml:"in"`
}

// Page says how a list is continued. One of Cursor, Offset, Number, Next,
// After and Link is set.
type Page struct {
	Cursor *CursorPage `yaml:"cursor"`
	Offset *OffsetPage `yaml:"offset"`
	Number *NumberPage `yaml:"number"`
	After  *AfterPage  `yaml:"after"`
	// Next is the path of the next page's URL in the answer.
	Next string `yaml:"next"`
	// Link follows the Link header's rel="next" (RFC 8288).
	Link bool `yaml:"link"`
	// More is the path of a flag that says whether there is more.
	More string `yaml:"more"`
	// Max is the most pages one list may have; more is an error.
	Max int `yaml:"max"`
}

// CursorPage continues with a value from the last answer.
type CursorPage struct {
	Next  string `yaml:"next"`
	Param string `yaml:"param"`
	In    string `yaml:"in"` // "query" (default) or "json"
}

// OffsetPage continues after the number of records seen.
type OffsetPage struct {
	Param      string `yaml:"param"`
	LimitParam string `yaml:"limit_param"`
	Size       int    `yaml:"size"`
	Total      string `yaml:"total"`
}

// NumberPage counts pages.
type NumberPage struct {
	Param     string `yaml:"param"`
	First     *int   `yaml:"first"` // 1 when unset
	SizeParam string `yaml:"size_param"`
	Size      int    `yaml:"size"`
	Pages     string `yaml:"pages"` // path of the number of pages
}

// AfterPage continues after the last record's own field.
type AfterPage struct {
	Field string `yaml:"field"`
	Param string `yaml:"param"`
}
