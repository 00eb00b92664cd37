package restspec

import "github.com/habeas-data/habeas/connectors/sdk"

// FormatVersion is the version of the specification format this engine reads.
const FormatVersion = 1

// Spec is one system's specification, as written. [Load] reads one and checks
// it. The comments of this type and of those it is made of are the format's
// reference; README.md beside this file says how to go about writing one.
//
// Unknown fields are errors, and every fault is reported with file, line and
// field. Durations are written "30s", "2h" or "10d", sizes "512KiB" or "8MiB".
type Spec struct {
	// Format is the version of the format: 1.
	Format int `yaml:"restspec"`
	// System names the system: lower-case letters, digits and hyphens.
	System string `yaml:"system"`
	// Description says in a line what the system holds, for people.
	Description string `yaml:"description"`
	// Facts says where the knowledge in this file comes from.
	Facts Facts `yaml:"facts"`
	// Version is the specification's own version; it goes into every proof
	// unless the configuration has one.
	Version string `yaml:"version"`
	// Base is the system's address; paths start there. "https" unless the
	// configuration gives another. It may have settings in it.
	Base string `yaml:"base"`
	// Hosts are further hosts that links, redirects and absolute addresses may
	// lead to: public addresses on port 443. Credentials are never sent there.
	Hosts []string `yaml:"hosts"`
	// Settings are names with defaults that a deployment may change; "" means
	// that it has to. Templates use them as {{ .settings.NAME }}.
	Settings map[string]string `yaml:"settings"`
	// Auth says how requests prove whose they are.
	Auth Auth `yaml:"auth"`
	// Headers go with every request.
	Headers map[string]string `yaml:"headers"`
	// Timeout is the longest silence, before and within an answer; 60s.
	Timeout Duration `yaml:"timeout"`
	// Patience is the longest wait for a quota or a Retry-After inside an
	// attempt; 20s. A longer one hands the job back until then.
	Patience Duration `yaml:"patience"`
	// MaxResponse bounds one answer; 256MiB.
	MaxResponse Size `yaml:"max_response"`
	// MaxRecord bounds about one record; 4MiB.
	MaxRecord Size `yaml:"max_record"`
	// MaxItems bounds the records of one person that a later step goes
	// through; 100000.
	MaxItems int `yaml:"max_items"`
	// Limits are the system's quotas, shared by all instances.
	Limits []Limit `yaml:"limits"`
	// Responses say what answers mean, for every request that has no rule of
	// its own that fits.
	Responses []Rule `yaml:"responses"`
	// Manifest is what the connector declares besides what follows from the
	// operations.
	Manifest ManifestSpec `yaml:"manifest"`
	// Stores are the collections of records, with what they hold.
	Stores []Store `yaml:"stores"`
	// NeverDisclose adds to the data categories that an export withholds: the
	// category and the words put in the value's place.
	NeverDisclose map[string]string `yaml:"never_disclose"`

	// Locate finds the person's records. Required.
	Locate []Step `yaml:"locate"`
	// Export copies them; usually "use: locate".
	Export []Step `yaml:"export"`
	// Erase erases what Locate finds.
	Erase []Step `yaml:"erase"`
	// Correct puts fields right; its acting steps say which under "corrects".
	Correct []Step `yaml:"correct"`
	// OptOut stops sale and sharing, and OptedOut tells whether it is stopped.
	// They come together.
	OptOut   []Step `yaml:"opt_out"`
	OptedOut []Step `yaml:"opted_out"`
	// OptIn takes an opt-out back; OptedOut must then say that there is none.
	OptIn []Step `yaml:"opt_in"`
	// LimitSPI limits the use of sensitive personal information, and LimitedSPI
	// tells whether it is limited. They come together.
	LimitSPI   []Step `yaml:"limit_spi"`
	LimitedSPI []Step `yaml:"limited_spi"`
	// LiftLimit takes a limit back; LimitedSPI must then say that there is none.
	LiftLimit []Step `yaml:"lift_limit"`
	// Resolve finds further identifiers of the person, as its steps "yield".
	Resolve []Step `yaml:"resolve"`
}

// Facts says where a specification's knowledge of its system comes from.
type Facts struct {
	// Source is "primary" (the vendor's own documents or a run against the
	// system) or "secondary" (anything else). The manifest passes it on, and
	// "habeas connector list" shows it.
	Source string `yaml:"source"`
	// Checked is the day they were last checked, yyyy-mm-dd.
	Checked string `yaml:"checked"`
	// Sources are the titles of the documents, with their versions or dates.
	Sources []string `yaml:"sources"`
	// Pitfalls are what an operator should know before trusting an erasure:
	// what the system keeps, what it costs, what cannot be seen.
	Pitfalls []string `yaml:"pitfalls"`
}

// ManifestSpec is the part of the manifest that is a property of the system
// rather than of a deployment. The configuration can override each field.
type ManifestSpec struct {
	// Tier is the place in the order of a deletion: "third_party" first, "own"
	// (default), "identity" last.
	Tier string `yaml:"tier"`
	// After names connectors whose erasure comes first.
	After []string `yaml:"after"`
	// Settle is how long after an act the system may still show the old state.
	Settle Duration `yaml:"settle"`
	// Cap is the most records one person may plausibly have.
	Cap int64 `yaml:"cap"`
	// BackupExpiry is how long the system keeps erased data in backups or a bin.
	BackupExpiry Duration `yaml:"backup_expiry"`
	// Contract refers to the agreement with a third party.
	Contract string `yaml:"contract"`
	// BatchSize and BatchWindow say how many people are gathered and how long
	// the first of them waits. With a step that has "batch" they are its size
	// and 10s unless written.
	BatchSize   int      `yaml:"batch_size"`
	BatchWindow Duration `yaml:"batch_window"`
}

// Store declares one collection of records.
type Store struct {
	// Name is the store's name in reports.
	Name string `yaml:"name"`
	// Role is "business" (default) or "service_provider".
	Role sdk.Role `yaml:"role"`
	// Categories are what it holds; at least one.
	Categories []Category `yaml:"categories"`
	// Fields gives single fields, by path, a data category; that decides
	// whether an export may show them.
	Fields map[string]string `yaml:"fields"`
}

// Category is a statutory letter with the data category it stands for.
type Category struct {
	// Letter is "A" to "L" (Civ. Code 1798.140(v)(1)).
	Letter string `yaml:"letter"`
	// Data is a dotted category such as "user.contact.email".
	Data string `yaml:"data"`
}

// Limit is one quota. No window of length Per ever sees more than Requests,
// over all instances that share a state directory.
type Limit struct {
	// Name selects the limit in a step's "limit"; the limits without a name
	// apply to every request.
	Name string `yaml:"name"`
	// Requests is how many.
	Requests int `yaml:"requests"`
	// Per is the window, from a second to 30 days and more.
	Per Duration `yaml:"per"`
	// Burst is how many may go at once; 1 for windows of up to a minute, half
	// of Requests for longer ones. The rest is spread over the window.
	Burst int `yaml:"burst"`
	// Count is what is counted: "requests" (default), or "people", for which a
	// batch counts each person in it.
	Count string `yaml:"count"`
}

// Rule says what an answer means. Rules are tried from the request's own to the
// specification's; the first that fits decides.
type Rule struct {
	// Status are codes ("404"), classes ("5xx") or nothing for all.
	Status Strings `yaml:"status"`
	// Field and In narrow the rule to bodies whose field has one of the values.
	Field string  `yaml:"field"`
	In    Strings `yaml:"in"`
	// Means is "done", "missing" (there is no such record), "accepted" (see
	// Async), "not_yet" (ask again after After or the answer's Retry-After),
	// "retry" (may pass) or "never" (a person has to look).
	//
	// Without a rule 2xx is done; 404 and 410 are missing for a delete and an
	// error anywhere else, because a wrong path must not pass for "nobody
	// here"; 429 waits; 408, 425 and 5xx are retried; the rest is never.
	Means string `yaml:"means"`
	// After is when to ask again, for not_yet.
	After Duration `yaml:"after"`
	// Code is the failure code of never and retry.
	Code sdk.FailureCode `yaml:"code"`
	// Say is the sentence an operator reads. It is fixed text.
	Say string `yaml:"say"`
}
