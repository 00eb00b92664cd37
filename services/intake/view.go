package intake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/kept"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// View is a request as it is shown. It holds no identifier.
type View struct {
	ID         request.ID        `json:"id"`
	Regime     string            `json:"regime"`
	Right      request.Right     `json:"right"`
	State      request.State     `json:"state"`
	Result     request.Result    `json:"result,omitempty"`
	ReasonCode string            `json:"reason_code,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Channel    string            `json:"channel"`
	ReceivedAt time.Time         `json:"received_at"`
	Due        map[string]string `json:"due" doc:"Dates by clock"`
	AnswerBy   string            `json:"answer_by" doc:"The last day to finish"`
	Verified   *VerifiedView     `json:"verified,omitempty"`
	Kinds      []string          `json:"kinds" doc:"Kinds of identifiers in hand"`
	Attention  string            `json:"attention,omitempty" doc:"Why a person must look"`
	Waiting    []string          `json:"waiting,omitempty" doc:"Connectors that are waited for; recipients for those who got the data and have not confirmed"`
	Package    *PackageView      `json:"package,omitempty"`
	Jobs       []JobView         `json:"jobs"`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
	ClosedAt   *time.Time        `json:"closed_at,omitempty"`
	Version    int64             `json:"version"`
	CaseView
}

// VerifiedView says who vouched for the requester.
type VerifiedView struct {
	Method string        `json:"method"`
	Level  request.Level `json:"level"`
	At     time.Time     `json:"at"`
}

// PackageView describes the package of a copy request.
type PackageView struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// JobView is a job as it is shown.
type JobView struct {
	ID        request.ID       `json:"id"`
	Connector string           `json:"connector"`
	Version   string           `json:"connector_version,omitempty"`
	Action    request.Action   `json:"action"`
	State     request.JobState `json:"state"`
	Attempt   int              `json:"attempt"`
	Code      string           `json:"code,omitempty"`
	Message   string           `json:"message,omitempty"`
	Kinds     []string         `json:"kinds,omitempty"`
	Stores    []StoreView      `json:"stores,omitempty"`
	SentAt    *time.Time       `json:"sent_at,omitempty"`
	NextAt    *time.Time       `json:"next_at,omitempty"`
	UpdatedAt time.Time        `json:"updated_at"`
}

// StoreView is what was seen in one store.
type StoreView struct {
	Store     string `json:"store"`
	Category  string `json:"category,omitempty"`
	Located   int64  `json:"located"`
	Remaining int64  `json:"remaining"`
	Kept      int64  `json:"kept"`
	Exported  int64  `json:"exported,omitempty"`
	Basis     string `json:"basis,omitempty"`
	Until     string `json:"until,omitempty"`
	// Deidentified are records that stay as nobody's; they were not erased.
	Deidentified int64 `json:"deidentified,omitempty"`
	// Emptied and Masked are records that stay without what was in them about the
	// person; they were not erased.
	Emptied int64 `json:"emptied,omitempty"`
	Masked  int64 `json:"masked,omitempty"`
	// Standing and Anew are, for a choice of the person, the records in which it was
	// in force before it was made again, and those in which it was not.
	Standing int64 `json:"standing,omitempty"`
	Anew     int64 `json:"anew,omitempty"`
}

// ViewOf shows a request.
func ViewOf(r *store.Request, jobs []store.Job) View {
	v := View{
		ID: r.ID, Regime: r.Regime, Right: r.Right(), State: r.State(), Channel: string(r.Channel),
		ReceivedAt: r.Terms.Received, Due: r.Terms.Due.Dates(), AnswerBy: r.AnswerBy().String(),
		Attention: r.Attention, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ClosedAt: timeOrNil(r.ClosedAt), Version: r.Version,
		Kinds: []string{}, Jobs: []JobView{},
	}
	v.CaseView = caseView(r)
	if e := r.Ending; e != nil {
		v.Result, v.ReasonCode, v.Reason = e.Result, e.Code, e.Reason
	}
	if got, _ := r.Verification(); got != nil {
		if done, ok := got.(request.Verified); ok {
			v.Verified = &VerifiedView{Method: done.Method, Level: done.Level, At: done.At}
		}
	}
	for _, k := range r.Kinds {
		if !slices.Contains(v.Kinds, k.Name) {
			v.Kinds = append(v.Kinds, k.Name)
		}
	}
	if r.HandsOver() {
		v.Package = &PackageView{Size: r.Package.Size, SHA256: fmt.Sprintf("%x", r.Package.SHA256)}
	}
	for i := range jobs {
		v.Jobs = append(v.Jobs, jobView(&jobs[i]))
		if !jobs[i].State.Terminal() && !slices.Contains(v.Waiting, jobs[i].Connector) {
			v.Waiting = append(v.Waiting, jobs[i].Connector)
		}
	}
	if len(v.Waiting) == 0 && r.State() == request.Running && r.Case.Onward != nil {
		v.Waiting = []string{waitingRecipients}
	}
	return v
}

// waitingRecipients stands among those that are waited for, for recipients of the
// data who have not confirmed.
const waitingRecipients = "recipients"

func jobView(j *store.Job) JobView {
	v := JobView{
		ID: j.ID, Connector: j.Connector, Version: j.ConnectorVersion, Action: j.Action, State: j.State, Attempt: j.Attempt,
		Code: j.Code, Message: j.Message, Kinds: j.Kinds, SentAt: timeOrNil(j.SentAt), NextAt: timeOrNil(j.NextAt), UpdatedAt: j.UpdatedAt,
	}
	said := j.Outcome
	if len(said) == 0 {
		said = j.Located
	}
	o := &habeasv1.Outcome{}
	if len(said) == 0 || protojson.Unmarshal(said, o) != nil {
		return v
	}
	for _, s := range o.GetStores() {
		view := StoreView{
			Store: s.GetStore(), Category: s.GetCategory(), Located: s.GetLocatedCount(), Remaining: s.GetRemainingCount(),
			Kept: s.GetKeptCount(), Exported: s.GetExportedCount(), Basis: s.GetBasis(), Deidentified: s.GetDeidentifiedCount(),
			Emptied: s.GetEmptiedCount(), Masked: s.GetMaskedCount(), Standing: s.GetStandingCount(), Anew: s.GetAnewCount(),
		}
		if t := s.GetUntilTime(); t != nil {
			view.Until = t.AsTime().Format(time.DateOnly)
		}
		v.Stores = append(v.Stores, view)
	}
	return v
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ConnectorView is a connector as it is shown.
type ConnectorView struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Digest    string   `json:"digest"`
	Up        bool     `json:"up" doc:"Gave a sign of life in the last 30 seconds"`
	Ready     bool     `json:"ready" doc:"Its system answers"`
	Abilities []string `json:"abilities"`
	Accepts   []string `json:"accepts"`
	Yields    []string `json:"yields"`
	Stores    []string `json:"stores"`
	KeyID     string   `json:"key_id"`
	SeenAt    string   `json:"seen_at"`
	Facts     string   `json:"facts" doc:"Where the knowledge of its system comes from: primary, secondary or not said"`
	Notes     []string `json:"notes" doc:"What to know before trusting what it reports"`
	// Unfounded are the bases its manifest declares that do not hold today.
	Unfounded []string `json:"unfounded,omitempty" doc:"Bases on which it would keep records and which do not hold today; an erasure stops before it is sent"`
	// Paused is set while staff keep it from getting jobs.
	Paused *PauseView `json:"paused,omitempty" doc:"Set while it gets no jobs because staff said so"`
}

// Connectors lists the connectors, with their last sign of life from the bus.
func (r *Room) Connectors(ctx context.Context) ([]ConnectorView, error) {
	known, err := r.Store.Connectors(ctx)
	if err != nil {
		return nil, err
	}
	pauses, err := r.Store.Pauses(ctx)
	if err != nil {
		return nil, err
	}
	paused := make(map[string]*PauseView, len(pauses))
	for _, p := range pauses {
		paused[p.Connector] = &PauseView{Since: p.Since, By: p.By, Reason: p.Reason}
	}
	views := make([]ConnectorView, 0, len(known))
	for _, k := range known {
		m := &habeasv1.Manifest{}
		if err := proto.Unmarshal(k.Manifest, m); err != nil {
			return nil, fmt.Errorf("stored manifest of %s: %w", k.Name, err)
		}
		live, err := r.liveManifest(ctx, k.Name)
		if err == nil {
			m = live
		}
		view := connectorView(k, m, r.Now())
		view.Paused = paused[k.Name]
		if day, err := r.Regimes.ReceiptDate(r.Regime, r.Now()); err == nil {
			for _, no := range kept.Unfounded(r.Bases, m, r.Regime, day) {
				view.Unfounded = append(view.Unfounded, no.Error())
			}
		}
		views = append(views, view)
	}
	return views, nil
}

func connectorView(k store.Connector, m *habeasv1.Manifest, now time.Time) ConnectorView {
	v := ConnectorView{
		Name: k.Name, Version: m.GetVersion(), Digest: m.GetDigest(), KeyID: k.KeyID, Ready: m.GetReady(),
		Abilities: []string{}, Accepts: nonNil(m.GetAccepts()), Yields: nonNil(m.GetYields()), Stores: []string{},
		SeenAt: m.GetBeatTime().AsTime().Format(time.RFC3339), Up: now.Sub(m.GetBeatTime().AsTime()) < 30*time.Second,
		Facts: m.GetFacts(), Notes: nonNil(m.GetNotes()),
	}
	for _, a := range m.GetAbilities() {
		v.Abilities = append(v.Abilities, abilityName(a))
	}
	for _, s := range m.GetStores() {
		v.Stores = append(v.Stores, s.GetName())
	}
	return v
}

func nonNil(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func abilityName(a habeasv1.Action) string {
	return strings.ToLower(strings.TrimPrefix(a.String(), "ACTION_"))
}

// liveManifest reads a connector's last sign of life off the bus.
func (r *Room) liveManifest(ctx context.Context, name string) (*habeasv1.Manifest, error) {
	kv, err := r.JS.KeyValue(ctx, wire.BucketConnectors)
	if err != nil {
		return nil, fmt.Errorf("opening the bucket of connectors: %w", err)
	}
	entry, err := kv.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of %s: %w", name, err)
	}
	m := &habeasv1.Manifest{}
	if err := proto.Unmarshal(entry.Value(), m); err != nil {
		return nil, fmt.Errorf("reading the manifest of %s: %w", name, err)
	}
	return m, nil
}
