package effect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// Results of a test and of its visits, as EffectRecord has them.
const (
	Effective = "effective"
	NoEffect  = "no_effect"
	NotTested = "not_tested"
)

const (
	wayNone = "none"
	wayGPC  = "gpc"
)

// Tester visits pages.
type Tester struct {
	// Browser is the Chromium to visit with; "" looks for one. Unsandboxed runs
	// it without its sandbox, where the machine gives it none.
	Browser     string
	Unsandboxed bool
	// Dial opens the connections the browser asks for; nil is the machine's own
	// way.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	Now  func() time.Time // nil is the machine's
}

// Test visits the pages in every way and says what it saw. An error means that
// nothing could be seen at all, such as [ErrNoBrowser]; pages that do not open
// are part of what is said.
func (t Tester) Test(ctx context.Context, s Settings) (*habeasv1.EffectRecord, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	now := t.Now
	if now == nil {
		now = time.Now
	}
	b, err := start(ctx, t.Browser, !t.Unsandboxed)
	if err != nil {
		return nil, err
	}
	defer b.stop()
	rec := &habeasv1.EffectRecord{Name: s.Name, Browser: b.version, SettingsSha256: s.digest, StartTime: timestamppb.New(now().UTC())}
	ways := append([]OptOut{{Name: wayNone}, {Name: wayGPC}}, s.OptOuts...)
	for _, way := range ways {
		visit, err := b.visit(&s, t.Dial, way)
		if err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		rec.Visits = append(rec.Visits, visit)
	}
	rec.EndTime = timestamppb.New(now().UTC())
	rec.Result = overall(rec.GetVisits())
	return rec, nil
}

// visit is one visitor's way through the pages. An error means that the browser
// does not work.
func (c *chromium) visit(s *Settings, d dial, way OptOut) (*habeasv1.EffectVisit, error) {
	v, err := c.visitor(s, d, way.Name == wayGPC)
	if err != nil {
		return nil, err
	}
	defer v.stop()
	out := &habeasv1.EffectVisit{Way: way.Name}
	var problems []error
	if way.URL != "" {
		if err := v.optOut(way); err != nil {
			problems = append(problems, err)
		}
		v.post.take() // what was contacted before the choice was made
	}
	if len(problems) == 0 {
		for _, address := range s.Pages {
			p := &habeasv1.EffectPage{Url: shown(address)}
			if p.Status, err = v.open(address); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", p.GetUrl(), err))
			}
			p.Hosts, p.Excused = s.sort(v.post.take())
			out.Pages = append(out.Pages, p)
		}
		if way.Name == wayNone {
			problems = append(problems, s.unseen(out)...)
		}
	}
	if err := errors.Join(problems...); err != nil {
		out.Problem = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	switch {
	case way.Name != wayNone && slices.ContainsFunc(out.GetPages(), func(p *habeasv1.EffectPage) bool { return len(p.GetHosts()) > 0 }):
		out.Result = NoEffect
	case len(problems) > 0:
		out.Result = NotTested
	default:
		out.Result = Effective
	}
	return out, nil
}

// sort tells other companies' hosts from service providers' and leaves out the
// company's own.
func (s *Settings) sort(contacted []string) (hosts, excused []string) {
	for _, h := range contacted {
		switch {
		case s.own(h):
		case s.provides(h):
			excused = append(excused, h)
		default:
			hosts = append(hosts, h)
		}
	}
	return hosts, excused
}

// unseen says which hosts a visitor who did not opt out should have contacted.
func (s *Settings) unseen(v *habeasv1.EffectVisit) (problems []error) {
	for _, want := range s.Expect {
		if !slices.ContainsFunc(v.GetPages(), func(p *habeasv1.EffectPage) bool {
			return slices.ContainsFunc(p.GetHosts(), func(h string) bool { return matches(want, h) })
		}) {
			problems = append(problems, fmt.Errorf("%s is not contacted by who did not opt out either, so the test shows nothing", want))
		}
	}
	return problems
}

// overall is the worst of the visits.
func overall(visits []*habeasv1.EffectVisit) string {
	for _, result := range []string{NoEffect, NotTested} {
		if slices.ContainsFunc(visits, func(v *habeasv1.EffectVisit) bool { return v.GetResult() == result }) {
			return result
		}
	}
	return Effective
}

// shown is an address without what may be somebody's in it.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
