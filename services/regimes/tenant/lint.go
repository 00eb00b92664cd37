package tenant

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
)

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the file asks for more or gives less than the law lets it
	Warning Severity = "warning" // it will, or somebody should look
)

// Finding is one place where a file departs from the law.
type Finding struct {
	File     string
	Line     int    // of the file
	Path     string // such as agents.otherwise.consumer
	Policy   int    // line of the published policy; 0 for none
	Severity Severity
	Row      string // the requirement's ID
	Problem  string
	Citation string
	Fix      string
}

// String is the finding in one line.
func (f Finding) String() string {
	var policy string
	if f.Policy > 0 {
		policy = fmt.Sprintf(" [policy line %d]", f.Policy)
	}
	return fmt.Sprintf("%s:%d: %s: %s %s: %s (%s). %s.%s", f.File, f.Line, f.Severity, f.Row, f.Path, f.Problem, f.Citation, f.Fix, policy)
}

// linter collects findings about one file under the rules of one day.
type linter struct {
	*File
	set   *regimes.Set
	on    request.Date
	rules regimes.Rules // of California, which every check but those of the laws themselves is about
	found []Finding
}

const california = "us-ca-ccpa"

// Lint holds the file against the law for requests received on a day. The
// findings come in the order of the file's lines. The error is one of
// [regimes.Set.At] for the CCPA: without its rules nothing can be said.
func (f *File) Lint(set *regimes.Set, on request.Date) ([]Finding, error) {
	rules, err := set.At(california, on)
	if err != nil {
		return nil, fmt.Errorf("linting %s for %s: %w", f.Name, on, err)
	}
	l := &linter{File: f, set: set, on: on, rules: rules}
	l.regimes()
	if slices.Contains(f.Regimes, california) {
		for _, check := range []func(){
			l.rights, l.exclusions, l.channels, l.lookBack, l.deletion, l.forms, l.methods, l.agents, l.optOut, l.vendors, l.records,
			l.practices, l.withheld, l.namesOthers, l.bases,
		} {
			check()
		}
	}
	slices.SortStableFunc(l.found, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return l.found, nil
}

// place is where a finding points.
type place struct {
	path   string
	policy int
}

func (l *linter) error(at place, row, citation, problem, fix string) {
	l.add(Error, at, row, citation, problem, fix)
}

func (l *linter) warn(at place, row, citation, problem, fix string) {
	l.add(Warning, at, row, citation, problem, fix)
}

func (l *linter) add(s Severity, at place, row, citation, problem, fix string) {
	l.found = append(l.found, Finding{
		File: l.Name, Line: l.line(at.path), Path: at.path, Policy: at.policy,
		Severity: s, Row: row, Citation: citation, Problem: problem, Fix: fix,
	})
}

func item(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// regimes looks at the laws the file names.
func (l *linter) regimes() {
	if len(l.Regimes) == 0 {
		l.error(place{path: "regimes"}, "RG-3", "no rule says so", "no law is named, so no request has rules", "Name at least "+california)
	}
	for i, id := range l.Regimes {
		at := place{path: item("regimes", i)}
		why, err := l.set.Unconfirmed(id)
		switch {
		case err != nil:
			l.error(at, "RG-3", "no rule says so", fmt.Sprintf("no file describes %q", id), "Name a regime that has a file")
			continue
		case why != "" && !l.confirmed(id):
			l.error(at, "RG-3", "no rule says so", "the file of "+id+" is unconfirmed: "+strings.TrimSuffix(strings.TrimSpace(why), "."), "Look it up, and add who did and when to confirmations")
			continue
		}
		if _, err := l.set.At(id, l.on); errors.Is(err, regimes.ErrNotInForce) {
			l.error(at, "RG-3", "no rule says so", id+" is not in force on "+l.on.String(), "Take it out, or install rules for that day")
		}
	}
}

func (l *linter) confirmed(id string) bool {
	return slices.ContainsFunc(l.Confirmations, func(c Confirmation) bool {
		return c.Regime == id && c.By != "" && !c.On.IsZero()
	})
}

// rights looks for rights the law gives and the policy does not mention.
func (l *linter) rights() {
	citations := map[request.Right]string{
		request.KnowCategories: "Civ. Code 1798.110", request.KnowSpecific: "Civ. Code 1798.110", request.Delete: "Civ. Code 1798.105",
		request.Correct: "Civ. Code 1798.106", request.OptOutSaleShare: "Civ. Code 1798.120", request.LimitSPI: "Civ. Code 1798.121",
	}
	for _, right := range l.rules.Rights() {
		offered := slices.ContainsFunc(l.Rights, func(o Offered) bool { return o.Right == right })
		switch {
		case offered,
			right == request.OptOutSaleShare && !l.SellsOrShares,
			right == request.LimitSPI && !l.SensitiveBeyond:
		default:
			l.error(place{path: "rights"}, rowOf(right), citations[right], fmt.Sprintf("people are not told of the right %s", right), "Offer it, and say so in the policy")
		}
	}
}

func rowOf(right request.Right) string {
	switch right {
	case request.Correct:
		return "CO-1"
	case request.Delete:
		return "DE-1"
	case request.OptOutSaleShare, request.LimitSPI:
		return "CL-5"
	default:
		return "KN-1"
	}
}

// exclusions looks for exemptions that ended, and for whole requests refused
// where one record may be kept.
func (l *linter) exclusions() {
	for i, e := range l.Exclusions {
		at := place{item("exclusions", i), e.Line}
		if e.Code == "service_provider" {
			if e.Use == RefuseRequest {
				l.error(at, "DE-13", "11 CCR 7050", "requests about data held for customers are turned away", `Use "record": tell the person so, and do what the customer says`)
			}
			continue
		}
		exception, err := l.rules.Exception(request.Delete, e.Code)
		switch {
		case errors.Is(err, regimes.ErrNotInForce):
			if e.Use != RouteElsewhere {
				l.error(at, "DE-6", citationOf(err), "the exemption "+e.Code+" has expired: these people have every right", `Answer them; "route" may send them to another team, on the same clocks`)
			} else if e.To == "" {
				l.error(at, "DE-6", citationOf(err), "nobody is named to answer", "Name the queue in to")
			}
		case err != nil:
			l.error(at, "DE-6", "Civ. Code 1798.105(d), 1798.145", fmt.Sprintf("no exception is called %q", e.Code), "Use a code of the regime's exceptions")
		case e.Use == RefuseRequest:
			l.error(at, "DE-6", exception.Citation, "a whole request is refused where single records may be kept", `Use "record"`)
		}
	}
}

// citationOf is the statute in the text of a [regimes.Rules.Exception] error.
func citationOf(err error) string {
	_, rest, _ := strings.Cut(err.Error(), "(")
	if end := strings.LastIndex(rest, "):"); end > 0 {
		return rest[:end]
	}
	return "Civ. Code 1798.145"
}
