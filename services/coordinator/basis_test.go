package coordinator

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// lawful are the real catalogues, with the company's own names.
func lawful(t *testing.T, named ...tenant.Named) *tenant.Bases {
	t.Helper()
	set, err := regimes.Load()
	if err != nil {
		t.Fatal(err)
	}
	return &tenant.Bases{Regimes: set, Named: named}
}

// keptOn is an answer that keeps records of one store, on one basis.
func keptOn(basis string, until time.Time, facts map[string]string) *habeasv1.Outcome {
	k := &habeasv1.Kept{Basis: basis, Count: 2, Facts: facts}
	if !until.IsZero() {
		k.UntilTime = timestamppb.New(until)
	}
	return &habeasv1.Outcome{
		Result: &habeasv1.Outcome_Retained{Retained: &habeasv1.Retained{Basis: basis, UntilTime: k.UntilTime}},
		Stores: []*habeasv1.StoreCount{{
			Store: "invoices", LocatedCount: 3, KeptCount: 2, Basis: basis, UntilTime: k.UntilTime, Kept: []*habeasv1.Kept{k},
		}},
	}
}

// receivedOn lets a simulated request have come on a day, under the regime whose
// catalogue is real.
func (m *sim) receivedOn(day string, scope request.DeleteScope, portions ...string) {
	m.t.Helper()
	d, err := request.ParseDate(day)
	if err != nil {
		m.t.Fatalf("%v", err)
	}
	m.s.Request.Regime = "us-ca-ccpa"
	m.s.Request.Terms.Due.Received, m.s.Request.Terms.DeleteScope, m.s.Request.Case.Portions = d, scope, portions
}

var taxLaw = map[string]string{"legal_ref": "26 U.S.C. 6001"}

// What a connector says it keeps is held against the catalogue of the day the
// request came: only a basis that holds makes "complete with exceptions".
func TestKeptBasisHasToHold_DE6(t *testing.T) {
	end := simStart.AddDate(7, 0, 0)
	tests := map[string]struct {
		basis    string
		until    time.Time
		facts    map[string]string
		day      string
		scope    request.DeleteScope
		portions []string
		named    []tenant.Named
		code     string // "" holds
	}{
		"short name with its facts":        {basis: "ccpa-1798.105(d)(8)", until: end, facts: taxLaw},
		"code of the catalogue":            {basis: "D8", until: end, facts: taxLaw},
		"no statute":                       {basis: "ccpa-1798.105(d)(8)", until: end, code: tenant.BasisFacts},
		"blank statute":                    {basis: "D8", until: end, facts: map[string]string{"legal_ref": "  "}, code: tenant.BasisFacts},
		"no end":                           {basis: "ccpa-1798.105(d)(8)", facts: taxLaw, code: tenant.BasisFacts},
		"an end in words is none":          {basis: "D8", facts: map[string]string{"legal_ref": "x", "until": "some day"}, code: tenant.BasisFacts},
		"made up":                          {basis: "we-like-it", until: end, facts: taxLaw, code: tenant.BasisUnknown},
		"no name":                          {basis: "", until: end, code: tenant.BasisUnknown},
		"ended":                            {basis: "E-b2b", until: end, facts: taxLaw, code: tenant.BasisEnded},
		"stands for several":               {basis: "ccpa-1798.145(a)", until: end, facts: taxLaw, code: tenant.BasisAmbiguous},
		"the company says which":           {basis: "ccpa-1798.145(a)", until: end, named: []tenant.Named{{Name: "ccpa-1798.145(a)", Is: "E-law", Stores: []string{"billing"}, Facts: map[regimes.Need]string{regimes.NeedsLegalRef: "an order"}}}},
		"the company's own name":           {basis: "tax", until: end, named: []tenant.Named{{Name: "tax", Is: "D8", Stores: []string{"billing/invoices"}, Facts: map[regimes.Need]string{regimes.NeedsLegalRef: "26 U.S.C. 6001"}}}},
		"the company's name for elsewhere": {basis: "tax", until: end, named: []tenant.Named{{Name: "tax", Is: "D8", Stores: []string{"crm"}}}, code: tenant.BasisUnknown},
		"shared, without an assessment":    {basis: "shared-record", until: end, code: tenant.BasisFacts},
		"shared, weighed":                  {basis: "shared-record", until: end, facts: map[string]string{"assessment": "kept with the privacy team"}},
		"held for a customer":              {basis: "role-service-provider", until: end},
		"not asked, of portions":           {basis: "not-asked", until: end, portions: []string{"A"}},
		"not asked, of everything":         {basis: "not-asked", until: end, code: tenant.BasisUnknown},
		"bought, in 2026":                  {basis: "not-collected-from-consumer", until: end, scope: request.CollectedFrom},
		"bought, in 2026, reached":         {basis: "not-collected-from-consumer", until: end, scope: request.AboutAny, code: tenant.BasisUnknown},
		"bought, from 2027":                {basis: "not-collected-from-consumer", until: end, day: "2027-01-01", scope: request.AboutAny, code: tenant.BasisEnded},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newSim(t, request.Delete, email, connector("billing", "email"), connector("crm", "email"))
			m.w.bases = lawful(t, c.named...)
			if c.day == "" {
				c.day = "2026-11-22"
			}
			m.receivedOn(c.day, c.scope, c.portions...)
			m.step()
			m.ends("crm", done(1))
			m.ends("billing", keptOn(c.basis, c.until, c.facts))
			j := m.act("billing")
			if c.code == "" {
				m.closes(request.ResultCompleteWithExceptions)
				return
			}
			if j.State != request.JobFailed || j.Code != c.code || m.s.Request.Attention != AttentionBasis || m.s.Request.State() != request.Running {
				t.Fatalf("job is %s %q, request %s with attention %q; want %s", j.State, j.Code, m.s.Request.State(), m.s.Request.Attention, c.code)
			}
			for _, word := range []string{"billing", "invoices", c.basis} {
				if !strings.Contains(j.Message, word) {
					t.Errorf("message %q does not name %q", j.Message, word)
				}
			}
			m.pass(24 * time.Hour) // it does not go away by itself
			if j := m.act("billing"); j.State != request.JobFailed {
				t.Errorf("a day later the job is %s", j.State)
			}
		})
	}
}

// A basis that the manifest declares and that does not hold stops the erasure of
// that connector before it is sent; the others go on, and it goes on by itself
// once the map is right.
func TestDeclaredBasisStopsBeforeTheErasure_DE6(t *testing.T) {
	billing := connector("billing", "email")
	billing.About = []StoreInfo{{Name: "invoices", Retains: []Retention{{Basis: "ccpa-1798.105(d)(8)", Ends: true}}}}
	m := newSim(t, request.Delete, email, billing, connector("crm", "email"))
	m.w.bases = lawful(t)
	m.receivedOn("2026-11-22", request.AboutAny)
	m.step()
	j := m.act("billing")
	if j.State != request.JobFailed || j.Attempt != 0 || j.Code != tenant.BasisFacts || m.s.Request.Attention != AttentionBasis {
		t.Fatalf("job is %s after %d attempts, code %q, attention %q", j.State, j.Attempt, j.Code, m.s.Request.Attention)
	}
	if !strings.Contains(j.Message, "legal_ref") {
		t.Errorf("message %q does not say what is missing", j.Message)
	}
	m.jobState(m.act("crm"), request.JobSent)
	m.ends("crm", done(1))
	for i := range m.w.connectors {
		if m.w.connectors[i].Name == "billing" {
			m.w.connectors[i].About = []StoreInfo{{Name: "invoices", Retains: []Retention{{Basis: "ccpa-1798.105(d)(8)", Ends: true, Facts: taxLaw}}}}
			m.w.connectors[i].Digest = "mended"
		}
	}
	m.step()
	j = m.act("billing")
	if j.State != request.JobSent || j.ManifestDigest != "mended" || m.s.Request.Attention != "" {
		t.Fatalf("mended, the job is %s for manifest %q, attention %q", j.State, j.ManifestDigest, m.s.Request.Attention)
	}
	// What the answer leaves out, the manifest has said.
	m.ends("billing", keptOn("ccpa-1798.105(d)(8)", simStart.AddDate(7, 0, 0), nil))
	m.closes(request.ResultCompleteWithExceptions)
}

// An answer that was refused counts, as it is, once the company's file says what
// was missing: nothing is erased twice for it.
func TestRefusedAnswerCountsOnceItsBasisHolds_DE6(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("billing", "email"))
	m.w.bases = lawful(t)
	m.receivedOn("2026-11-22", request.AboutAny)
	m.step()
	m.ends("billing", keptOn("tax", simStart.AddDate(7, 0, 0), taxLaw))
	m.jobState(m.act("billing"), request.JobFailed)
	m.w.bases = lawful(t, tenant.Named{Name: "tax", Is: "D8"})
	m.step()
	if j := m.act("billing"); j.State != request.JobRetained || j.Attempt != 1 {
		t.Fatalf("job is %s after %d attempts", j.State, j.Attempt)
	}
	m.closes(request.ResultCompleteWithExceptions)
}

// Of several bases in one store each has to hold, and each ends by itself.
func TestEveryBasisOfAStoreHasToHold_DE6_DE8(t *testing.T) {
	soon, end := simStart.AddDate(1, 0, 0), simStart.AddDate(7, 0, 0)
	two := func(second string) *habeasv1.Outcome {
		o := keptOn("D8", end, taxLaw)
		o.Stores[0].Kept = append(o.Stores[0].Kept[:1:1], &habeasv1.Kept{Basis: second, Count: 1, UntilTime: timestamppb.New(soon), Facts: map[string]string{"reference": "claim files"}})
		o.Stores[0].Kept[0].Count = 1
		return o
	}
	for second, code := range map[string]string{"E-claims": "", "E-hr": tenant.BasisEnded} {
		m := newSim(t, request.Delete, email, connector("billing", "email"))
		m.w.bases = lawful(t)
		m.receivedOn("2026-11-22", request.AboutAny)
		m.step()
		m.ends("billing", two(second))
		if code != "" {
			if j := m.act("billing"); j.State != request.JobFailed || j.Code != code {
				t.Errorf("%s: job is %s %q", second, j.State, j.Code)
			}
			continue
		}
		m.closes(request.ResultCompleteWithExceptions)
		if c := m.s.Request.Case.Children; len(c) != 1 || !c[0].At.Equal(soon) {
			t.Errorf("what follows: %+v", c)
		}
	}
}

// A use of kept records may be asked for by the law's code and by the name the
// connector gave.
func TestKeptIsKnownByTheLawsCode_DE6_DE9(t *testing.T) {
	m := newSim(t, request.Delete, email, connector("billing", "email"))
	m.w.bases = lawful(t)
	m.receivedOn("2026-11-22", request.AboutAny)
	got := (&step{w: m.w, s: m.s}).kept("billing", "invoices", &habeasv1.Kept{Basis: "ccpa-1798.105(d)(8)", Count: 1}, []store.Suppressed{{}})
	if len(got) != 2 || got[0].Basis != "D8" || got[1].Basis != "ccpa-1798.105(d)(8)" {
		t.Errorf("kept as %+v", got)
	}
}

// Over a real bus and store: a connector whose map lacks what its basis needs
// erases nothing, the other one does, and a mended map goes on by itself.
func TestBasisFromEndToEnd_DE6(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		end := time.Now().AddDate(7, 0, 0)
		keeps := func(*habeasv1.Job, *habeasv1.Subject) standin.Reply {
			o := keptOn("ccpa-1798.105(d)(8)", end, taxLaw)
			o.Stores[0].Store = "people"
			return standin.Reply{Located: 3, Outcome: o}
		}
		without := &habeasv1.Retention{Basis: "ccpa-1798.105(d)(8)", Ends: true}
		billing := standin.Join(t, r.bus.JS, standin.Script{Name: "billing", Accepts: acceptsEmail, Do: keeps, Retains: []*habeasv1.Retention{without}})
		crm := standin.Join(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
		bases := lawful(t)
		r.start(func(c *Config) { c.Bases = bases })
		r.known("billing", "crm")
		rid := r.one("jane@example.com")
		r.until("the request waits for somebody, with the rest done", func() bool {
			req, _ := r.get(rid)
			return req.Attention == AttentionBasis && len(crm.Acts()) == 1
		})
		if n := len(billing.Acts()); n != 0 {
			t.Fatalf("billing was asked %d times", n)
		}
		billing.Declare("mended", &habeasv1.Retention{Basis: "ccpa-1798.105(d)(8)", Ends: true, Facts: taxLaw})
		r.closed(request.ResultCompleteWithExceptions, rid)
		if n := len(billing.Acts()); n != 1 {
			t.Errorf("billing was asked %d times", n)
		}
		refused := 0
		for _, rec := range r.audit.Records(string(rid), wire.RecordDecision) {
			if d, ok := rec.Predicate.(*habeasv1.DecisionRecord); ok && d.GetDecision() == "basis_refused" {
				refused++
				if d.GetCode() != tenant.BasisFacts || d.GetFacts()["connector"] != "billing" || d.GetFacts()["store"] != "people" {
					t.Errorf("on record: %v", d)
				}
			}
		}
		if refused != 1 {
			t.Errorf("%d refusals on record, want 1", refused)
		}
	})
}

// Deidentifying is asked for only of a company that says it meets the law's test in
// all its parts, and an answer that deidentified for another one is not taken.
func TestDeidentifyingNeedsTheLawsTest_DE14(t *testing.T) {
	whole := tenant.Deletion{Deidentifies: true, CommitmentURL: "https://example.com/deidentified", Measures: "no keys are kept; access is logged", RecipientsBound: "DPA annex 3"}
	for name, change := range map[string]func(*tenant.Deletion){
		"in all parts": func(*tenant.Deletion) {}, "no": func(d *tenant.Deletion) { *d = tenant.Deletion{} },
		"no commitment": func(d *tenant.Deletion) { d.CommitmentURL = "" }, "a commitment nobody can read": func(d *tenant.Deletion) { d.CommitmentURL = "the wiki" },
		"no measures": func(d *tenant.Deletion) { d.Measures = " " }, "recipients are free": func(d *tenant.Deletion) { d.RecipientsBound = "" },
		"not said": func(d *tenant.Deletion) { d.Deidentifies = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stays := connector("stays", "email")
			stays.About = []StoreInfo{{Name: "t", Deidentifies: true}}
			bases := lawful(t)
			bases.Deletion = whole
			change(&bases.Deletion)
			m := newSim(t, request.Delete, email, stays)
			m.w.bases = bases
			m.receivedOn("2026-11-22", request.AboutAny)
			m.step()
			answered := done(2)
			answered.Stores = []*habeasv1.StoreCount{{Store: "t", LocatedCount: 2, DeidentifiedCount: 2}}
			if name == "in all parts" {
				m.ends("stays", answered)
				m.closes(request.ResultComplete)
				return
			}
			j := m.act("stays")
			if j.State != request.JobFailed || j.Attempt != 0 || j.Code != tenant.BasisDeidentify || m.s.Request.Attention != AttentionBasis {
				t.Fatalf("job is %s after %d attempts, code %q, attention %q", j.State, j.Attempt, j.Code, m.s.Request.Attention)
			}
			// A connector that deidentifies without having said so is not believed.
			silent := newSim(t, request.Delete, email, connector("stays", "email"))
			silent.w.bases = bases
			silent.receivedOn("2026-11-22", request.AboutAny)
			silent.step()
			silent.ends("stays", answered)
			if j := silent.act("stays"); j.State != request.JobFailed || j.Code != tenant.BasisDeidentify {
				t.Errorf("answered, the job is %s %q", j.State, j.Code)
			}
		})
	}
}

// Every code that people may give as a reason is one of the law's bases.
func TestEveryCodeIsABasis_DE6(t *testing.T) {
	day, err := request.ParseDate("2026-11-22")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := lawful(t).Regimes.At("us-ca-ccpa", day)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range wire.Bases() {
		if e, outside, err := rules.Basis(request.Delete, b.Code); err != nil || outside || e.Code == "" {
			t.Errorf("%s: %s, %v", b.Code, e.Code, err)
		}
	}
}
