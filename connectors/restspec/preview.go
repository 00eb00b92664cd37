package restspec

import (
	"context"
	"fmt"
	"slices"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Preview is what an erasure would do, and did not.
type Preview struct {
	// Found is what Locate reports.
	Found []sdk.Found
	// Calls are the requests in the order of the specification's steps, as it
	// writes them, without what is put into them.
	Calls []CallPreview
}

// CallPreview is one kind of request.
type CallPreview struct {
	// Step is the step's name.
	Step string
	// Call is the method and the path as the specification writes them.
	Call string
	// Writes is set for a request that would change something, and was not sent.
	Writes bool
	// Times is how often it would be sent; further pages and looks at slow work
	// are not counted.
	Times int
	// Follows is set when the system does the work later and is asked about it.
	Follows bool
}

// Preview finds out what erasing a person would do. The steps that read are
// run; the requests of the others are counted and not sent.
func (e *engine) Preview(ctx context.Context, person sdk.Person) (*Preview, error) {
	p := &Preview{}
	var err error
	if p.Found, err = e.Locate(ctx, person); err != nil {
		return nil, err
	}
	tm := e.newTeam(ctx, []sdk.Person{person})
	r := tm.runs[0]
	r.acting = true
	for _, s := range e.prog.ops["erase"] {
		n := len(r.targets(s))
		if s.batch != nil {
			n = min(1, n) // one request for everybody
		}
		if s.call != nil && n > 0 {
			p.note(CallPreview{Step: s.name, Call: s.call.label, Writes: !s.reads(), Times: n, Follows: s.async != nil})
		}
		if !s.reads() {
			continue
		}
		tm.read(ctx, s)
		if tm.errs[0] != nil {
			return nil, fmt.Errorf("previewing: %w", tm.errs[0])
		}
	}
	return p, nil
}

// note adds up calls of one step.
func (p *Preview) note(c CallPreview) {
	i := slices.IndexFunc(p.Calls, func(k CallPreview) bool { return k.Step == c.Step && k.Call == c.Call })
	if i < 0 {
		p.Calls = append(p.Calls, c)
		return
	}
	p.Calls[i].Times += c.Times
}
