package row

// The conditions of queries that both stores share, in words both databases
// know. Job is j, its request r, what is kept k.
const (
	// Undoable are the actions whose effect a restored backup undoes, and Acted
	// the jobs that have had it.
	Undoable = "j.action IN ('erase', 'opt_out', 'limit') AND j.purpose = ''"
	Acted    = "j.state IN ('done', 'no_match', 'retained', 'partial')"
	// InFlight are jobs that may have had their effect and did not say so yet.
	InFlight = "j.attempt > 0 AND j.state IN ('planned', 'sent', 'deferred')"
	// Standing are requests that were not denied or taken back.
	Standing = "r.result IN ('', 'complete', 'complete_with_exceptions', 'partial')"
)
