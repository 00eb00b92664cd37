package restspec

import "github.com/habeas-data/habeas/connectors/sdk"

// Step is one step of an operation. It is a request, made once for each of what
// it runs over; a step that has Items, ID, Store or Yields reads records, any
// other acts. A step is finished for every record before the next begins.
//
// Templates in it see {{ .email }} (or .value), the identifier it runs for or
// the record was found by; {{ .contacts.id }}, a field of the record it runs for
// or of one above it; .settings.NAME, .today, .now and .effect. A value is
// escaped by where it stands, so it is never more than a value; inside another
// language's quotes it ends with a filter (see README.md).
type Step struct {
	// Name names the step and the records it reads. Steps that share a name
	// fill one collection together.
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
	// Assumed stands instead of a request in a system that cannot be searched,
	// and says why. In locate the system is taken to have one record for each
	// identifier, {{ .NAME.value }}, until an erasure that was asked for since
	// the request came in has ended; in opted_out and limited_spi the choice is in force once
	// the system took it. What was done is remembered in the state directory
	// as keyed digests.
	Assumed string `yaml:"assumed"`

	Call    `yaml:",inline"`
	Listing `yaml:",inline"`

	// Batch makes one request for many targets, of all people of a batch.
	Batch *Batch `yaml:"batch"`
	// Match are the fields of which one must equal the identifier searched for;
	// of a text with several e-mail addresses, one of them. Required with For.
	Match Strings `yaml:"match"`
	// Exact says in words why the system's search needs no Match.
	Exact string `yaml:"exact"`
	// SamePerson guards against an identifier that several people share.
	SamePerson *SamePerson `yaml:"same_person"`
	// Store is the store the records are counted and exported as.
	Store string `yaml:"store"`
	// Time is the field with a record's age, for the look-back window.
	Time string `yaml:"time"`
	// Keep says which records the law wants kept.
	Keep *Keep `yaml:"keep"`
	// Yields are identifiers the records hold, for resolve.
	Yields []Yield `yaml:"yields"`
	// Corrects names the fields, or data categories, that an acting step of
	// correct puts right with {{ .correction }}. A step that changes what the
	// person is found by comes last: after it, a retry finds nobody.
	Corrects Strings `yaml:"corrects"`
	// Shows is the field of the record (of Each) that has the value after it was
	// put right: the correction is read back there. Unless written it is the
	// place of {{ .correction }} in the body.
	Shows string `yaml:"shows"`
	// Async follows work that the system does after answering.
	Async *Async `yaml:"async"`
	// Expect is the condition of an opted_out or limited_spi step.
	Expect *Expect `yaml:"expect"`
}

// Call is one HTTP request. Exactly one of the methods is set, to a path under
// the base or an absolute address on an allowed host.
type Call struct {
	Get    string `yaml:"get"`
	Post   string `yaml:"post"`
	Put    string `yaml:"put"`
	Patch  string `yaml:"patch"`
	Delete string `yaml:"delete"`

	// Query are parameters of the address.
	Query map[string]string `yaml:"query"`
	// Headers are headers of this request.
	Headers map[string]string `yaml:"headers"`
	// JSON is the body, any YAML with templates at its texts. A text that is
	// one place and nothing else keeps the value's type.
	JSON any `yaml:"json"`
	// Form is the body as form parameters.
	Form map[string]string `yaml:"form"`

	// Limit names limits that apply besides those without a name.
	Limit Strings `yaml:"limit"`
	// Idempotency is the header that carries the effect's key: the same for
	// every try of a job, different for every effect. It makes a POST safe to
	// send again.
	Idempotency string `yaml:"idempotency"`
	// Responses say what the answers mean.
	Responses []Rule `yaml:"responses"`
}

// Listing says how to read records out of an answer.
type Listing struct {
	// Items is the path of the list; "." is an answer that is itself a list,
	// and empty an answer that is one record.
	Items string `yaml:"items"`
	// ID is the path of a record's identity within the system; a record met
	// twice counts once.
	ID string `yaml:"id"`
	// Where keeps the records whose fields have one of the values, which may be
	// templates.
	Where map[string]Strings `yaml:"where"`
	// Page says how the list goes on.
	Page *Page `yaml:"page"`
}

// Batch makes one request for many. When the system refuses the whole for good
// (code rejected), the halves are sent apart until the one it refuses is found.
type Batch struct {
	// Size is the most a request may have.
	Size int `yaml:"size"`
	// Item is what stands for one target; the identifier unless written. It may
	// be any YAML with templates.
	//
	// "{{ .batch }}" as a whole JSON text is the list of items, and in a query
	// or form the items with commas between them.
	Item any `yaml:"item"`
}

// SamePerson drops records found by a shared identifier that belong to
// somebody else: Field must be empty or one of the person's identifiers of
// Kind. When the person has none of that kind, all records must agree, or the
// job fails as ambiguous.
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
	// From and For are the same end as a field with a time and how long after
	// it.
	From string   `yaml:"from"`
	For  Duration `yaml:"for"`
	// With keeps a record while any record found under it in these collections
	// is kept, on the same basis and as long.
	With Strings `yaml:"with"`
	// Facts are what the law asks for with the basis: legal_ref, reference,
	// assessment or facts.
	Facts sdk.Facts `yaml:"facts"`
}

// Yield is an identifier a record holds.
type Yield struct {
	// Kind and Field say which.
	Kind  sdk.Kind `yaml:"kind"`
	Field string   `yaml:"field"`
	// Alone asks who else has the value ({{ .value }}); an identifier that
	// anybody else has is left out.
	Alone *Lookup `yaml:"alone"`
}

// Lookup is a request that lists records.
type Lookup struct {
	Call    `yaml:",inline"`
	Listing `yaml:",inline"`
}

// Async says how to follow work that a system does after answering. The handle
// is kept in the state directory before anything else happens, so the next
// attempt, after a restart too, looks at the same work. While it lasts the job
// is deferred.
type Async struct {
	// Handle names the values of the first answer that later requests need, as
	// {{ .handle.NAME }}: a path, or several with "|" between them. Handles name work, not people. "started" is there
	// without being named: the day the work began, yyyy-mm-dd.
	Handle map[string]string `yaml:"handle"`
	// Find looks for work started earlier whose answer was lost; Handle then
	// reads its record.
	Find *Lookup `yaml:"find"`
	// Poll asks how the work stands; State is where the answer says it, or,
	// when Poll has items, where the record does.
	Poll  *Lookup `yaml:"poll"`
	State string  `yaml:"state"`
	// Callback takes the system's own word for it.
	Callback *Callback `yaml:"callback"`
	// Done, Failed and Pending are the states; with Pending given any other is
	// an error.
	Done    Strings `yaml:"done"`
	Failed  Strings `yaml:"failed"`
	Pending Strings `yaml:"pending"`
	// Next are requests that move the work on when it is in a state.
	Next []Next `yaml:"next"`
	// Lost says what it means when the work is no longer known: "done" or
	// "restart" (default).
	Lost string `yaml:"lost"`
	// Wait is the system's own waiting period before it is first asked.
	Wait Duration `yaml:"wait"`
	// Every is how long after one look to take the next; 5s, and 10m when there
	// are only callbacks.
	Every Duration `yaml:"every"`
	// Hold is how long an attempt stays and asks instead of coming back later.
	Hold Duration `yaml:"hold"`
	// Assume counts work as done after this time, for systems that never say.
	Assume Duration `yaml:"assume"`
}

// Next is a request that a state calls for, such as to run what was validated.
type Next struct {
	States Strings `yaml:"states"`
	Call   `yaml:",inline"`
}

// Callback is a call of the system's to us, on the address that the
// configuration gives under "listen".
type Callback struct {
	// Path is where it posts JSON, such as "/callbacks/acme".
	Path string `yaml:"path"`
	// ID is the path of the work's name in the body; it equals the value of the
	// handle that Handle names.
	ID     string `yaml:"id"`
	Handle string `yaml:"handle"`
	// State is the path of the state in the body.
	State string `yaml:"state"`
	// Signature proves who calls. An unsigned callback could end a deletion
	// that never happened, so there is none.
	Signature Signature `yaml:"signature"`
}

// Expect is a condition on the answer.
type Expect struct {
	Field string  `yaml:"field"`
	In    Strings `yaml:"in"`
}

// Page says how a list is continued. One of Cursor, Offset, Number, Next,
// After and Link is set. A short page is not taken for the last: without a
// total or a flag, an empty one is. Pages in a circle are an error.
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
	// Max is the most pages one list may have, 10000; more is an error.
	Max int `yaml:"max"`
}

// CursorPage continues with a value from the last answer.
type CursorPage struct {
	// Next is the path of the value in the answer.
	Next string `yaml:"next"`
	// Param is where it goes: a parameter's name, or a dotted path of the JSON
	// body.
	Param string `yaml:"param"`
	In    string `yaml:"in"` // "query" (default) or "json"
}

// OffsetPage continues after the number of records seen.
type OffsetPage struct {
	Param      string `yaml:"param"`
	LimitParam string `yaml:"limit_param"`
	Size       int    `yaml:"size"`
	// Total is the path of the number of all records.
	Total string `yaml:"total"`
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
