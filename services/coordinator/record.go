package coordinator

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// planDocument is the plan as it is kept with the request: what was decided
// and the rules and versions it was decided under.
type planDocument struct {
	Regime      string                  `json:"regime"`
	RuleVersion string                  `json:"rule_version"`
	Calendar    string                  `json:"calendar,omitempty"`
	DeleteScope request.DeleteScope     `json:"delete_scope,omitempty"`
	Made        time.Time               `json:"made"`
	Count       int32                   `json:"count"`
	Omissions   []planOmission          `json:"omissions,omitempty"`
	Connectors  map[string]planSnapshot `json:"connectors"`
}

type planOmission struct {
	Connector string   `json:"connector"`
	Reason    string   `json:"reason"`
	Kinds     []string `json:"kinds,omitempty"`
	// Described are what stores that are not searched may hold, as the consumer
	// is told (11 CCR 7024(c)).
	Described []string `json:"described,omitempty"`
}

type planSnapshot struct {
	Version string   `json:"version"`
	Digest  string   `json:"digest"`
	Accepts []string `json:"accepts"`
	Yields  []string `json:"yields,omitempty"`
	Stores  []string `json:"stores"`
}

// recordPlan signs the plan as it stands and binds the jobs about to be sent
// to it.
func (st *step) recordPlan(signer *wire.Signer) error {
	r := &st.s.Request
	var previous planDocument
	if len(r.Plan) > 0 {
		if err := json.Unmarshal(r.Plan, &previous); err != nil {
			return fmt.Errorf("reading the plan of request %s: %w", r.ID, err)
		}
	}
	doc := planDocument{
		Regime: r.Regime, RuleVersion: r.Terms.Due.RuleVersion, Calendar: r.Terms.Due.Calendar.String(),
		DeleteScope: r.Terms.DeleteScope, Made: st.w.now, Count: previous.Count + 1, Connectors: map[string]planSnapshot{},
	}
	p := &habeasv1.PlanRecord{RequestId: string(r.ID), Round: doc.Count}
	for i := range st.s.Jobs {
		j := &st.s.Jobs[i]
		c, _ := st.w.connector(j.Connector)
		p.Lines = append(p.Lines, &habeasv1.PlanLine{
			JobId: string(j.ID), Connector: j.Connector, ConnectorVersion: j.ConnectorVersion, ManifestDigest: j.ManifestDigest,
			Action: wireAction(j.Action), Kinds: j.Kinds, Stores: c.Stores, Stage: stage(j, c), KeyId: j.KeyID, Excluded: st.exclusions(j, c),
		})
		doc.Connectors[j.Connector] = planSnapshot{Version: j.ConnectorVersion, Digest: j.ManifestDigest, Accepts: c.Accepts, Yields: c.Yields, Stores: c.Stores}
	}
	for _, c := range st.w.connectors {
		unsearched, described := st.notSearched(c)
		if st.last(c.Name, false) >= 0 && unsearched == "" {
			continue
		}
		o := planOmission{Connector: c.Name, Reason: "needs_identifier", Kinds: c.Accepts}
		_, none, why := st.reach(c)
		switch {
		case unsearched != "":
			o = planOmission{Connector: c.Name, Reason: unsearched, Described: described}
		case len(r.Case.Only) > 0 && !slices.Contains(r.Case.Only, c.Name):
			o = planOmission{Connector: c.Name, Reason: notAsked}
		case none && !c.Scopes:
			o = planOmission{Connector: c.Name, Reason: why}
		case st.action(c) == "":
			o = planOmission{Connector: c.Name, Reason: "not_supported"}
		}
		doc.Omissions = append(doc.Omissions, o)
		p.Omissions = append(p.Omissions, &habeasv1.PlanOmission{Connector: o.Connector, Reason: o.Reason, Kinds: o.Kinds})
	}
	digest := wire.PlanDigest(p)
	p.PlanDigest = digest[:]
	text, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("writing the plan of request %s: %w", r.ID, err)
	}
	r.Plan, r.PlanDigest, st.s.Changed = text, digest[:], true
	for _, i := range st.send {
		st.s.Jobs[i].PlanDigest = digest[:]
	}
	for i := range st.s.Jobs {
		if len(st.s.Jobs[i].PlanDigest) == 0 {
			st.s.Jobs[i].PlanDigest = digest[:]
		}
	}
	return st.sign(signer, p)
}

// exclusions are the stores a job leaves alone, as "store=basis".
func (st *step) exclusions(j *store.Job, c Connector) []string {
	if j.Action != request.ActionErase || !c.Scopes {
		return nil
	}
	var out []string
	for _, x := range st.excluded(c) {
		out = append(out, x.GetStore()+"="+x.GetBasis())
	}
	return out
}

// stage is the place of a job in the order, for readers of the plan.
func stage(j *store.Job, c Connector) int32 {
	if j.Action == request.ActionResolve {
		return 0
	}
	return int32(max(c.Tier, 1)) //nolint:gosec // a tier is 1 to 3
}

// recordClosure signs how the request ended, over all of its records.
func (st *step) recordClosure(signer *wire.Signer) error {
	r := &st.s.Request
	p := &habeasv1.ClosureRecord{
		RequestId: string(r.ID), Result: string(r.Ending.Result), ReasonCode: r.Ending.Code, Reason: r.Ending.Reason,
		PlanDigest: r.PlanDigest, AnswerTime: timestamppb.New(st.w.now), PackageSha256: r.Package.SHA256,
	}
	for d := range slices.Chunk(r.RecordDigests, 32) {
		p.RecordDigests = append(p.RecordDigests, d)
	}
	if err := st.sign(signer, p); err != nil {
		return err
	}
	r.ClosureDigest = st.s.Records[len(st.s.Records)-1].Digest
	r.UpdatedAt, st.s.Changed = st.w.now, true
	return nil
}

func (st *step) sign(signer *wire.Signer, p wire.Predicate) error {
	rec, err := signer.Sign(p, string(st.s.Request.ID), st.s.Request.Commitment)
	if err != nil {
		return fmt.Errorf("recording for request %s: %w", st.s.Request.ID, err)
	}
	st.note(rec)
	return nil
}
