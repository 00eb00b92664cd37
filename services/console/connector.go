package console

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// connectorDetail is a connector on its own page.
type connectorDetail struct {
	Name, Version, Digest, KeyID string
	State                        word
	Seen, Started                moment
	Desk                         bool
	Abilities, Accepts, Yields   []string
	After                        []string
	Order, Cap, Batch, Settle    string
	Backup, Contract, Facts      string
	Notes                        []string
	Stores                       []storeRow
	// Unfounded says on which bases it would keep records that don't hold today.
	Unfounded []string

	Queue           queueView
	Activity        *activityView
	Quotas          []quotaView
	Stuck, Dead     []stuckRow
	Drift           driftView
	Conformance     conformanceView
	Pause           *pauseView
	Past            []pauseView
	Waiting, Letter string // links
	// Trouble says why it answers nothing now, and what to do; a pause says so
	// itself.
	Trouble string
}

// storeRow is what the manifest says of one store.
type storeRow struct{ Name, Holds, Role, Source, NotSearched string }

// queueView is a connector's jobs on the bus.
type queueView struct {
	Known                         bool
	Waiting, InHand, Again, Out   string
	Held                          bool
	Oldest                        moment
	Delivered                     moment
	StoreKnown, BusKnown, Nothing bool
}

type countRow struct{ Label, Count string }

type activityView struct {
	Window, Rate, InHand string
	Outcomes, Failures   []countRow
}

// quotaView is a limit of the system.
type quotaView struct {
	Name, Used, Limit, Per, LeftText string
	Left                             float64 // 0 to 1
	Percent                          int     // used
	Paused                           moment
}

type driftView struct {
	Known    bool
	State    word
	At       moment
	Examples []string
	More     string
}

type conformanceView struct {
	Known                 bool
	State                 word
	At                    moment
	Kept, Broken, Skipped string
	// Other says that it was another version that was tested.
	Other string
}

type pauseView struct {
	Since, Until        moment
	By, Reason, EndedBy string
}

func pauseViewOf(p *store.Pause) pauseView {
	return pauseView{Since: momentOf(p.Since), Until: momentOf(p.Until), By: p.By, Reason: p.Reason, EndedBy: p.EndedBy}
}

func connectorDetailOf(m *member, now time.Time, f *fleet) connectorDetail {
	p := m.Manifest
	d := connectorDetail{
		Name: m.Name, Version: p.GetVersion(), Digest: p.GetDigest(), State: m.state(now, f.BusDown), Desk: p.GetDesk(),
		Accepts: p.GetAccepts(), Yields: p.GetYields(), After: p.GetAfter(), Order: orderWords[p.GetTier()],
		Contract: p.GetContract(), Facts: factsWords[p.GetFacts()], Notes: p.GetNotes(),
		Queue: queueOf(m, f), Quotas: quotasOf(p, now), Drift: driftOf(p), Conformance: conformanceOf(p),
		Letter: "/letters?connector=" + m.Name, Waiting: "/?connector=" + m.Name,
	}
	if t := p.GetBeatTime(); t.IsValid() {
		d.Seen = momentOf(t.AsTime())
	}
	if t := p.GetStartTime(); t.IsValid() {
		d.Started = momentOf(t.AsTime())
	}
	for _, a := range p.GetAbilities() {
		d.Abilities = append(d.Abilities, label(actionLabels, request.Action(strings.ToLower(strings.TrimPrefix(a.String(), "ACTION_")))))
	}
	if n := p.GetCap(); n > 0 {
		d.Cap = number(n) + " records for one person"
	}
	if n := p.GetBatchSize(); n > 1 {
		d.Batch = number(int64(n)) + " people at once, gathered for " + spell(p.GetBatchWindow().AsDuration())
	}
	if s := p.GetSettle().AsDuration(); s > 0 {
		d.Settle = spell(s)
	}
	if b := p.GetBackupExpiry().AsDuration(); b > 0 {
		d.Backup = spell(b)
	}
	for _, s := range p.GetStores() {
		d.Stores = append(d.Stores, storeRowOf(s))
	}
	if a := p.GetActivity(); a != nil && !f.BusDown {
		d.Activity = activityOf(a)
	}
	for _, s := range m.Stuck {
		d.Stuck = append(d.Stuck, stuckRowOf(s))
	}
	if m.Pause != nil {
		v := pauseViewOf(m.Pause)
		d.Pause = &v
	} else if what, then := troubled(m, now, f.BusDown); what != "" {
		d.Trouble = "It " + what + ". " + then
	}
	return d
}

var orderWords = map[habeasv1.Tier]string{
	habeasv1.Tier_TIER_THIRD_PARTY: "First, with third parties", habeasv1.Tier_TIER_IDENTITY_STORE: "Last, with the stores of identity",
	habeasv1.Tier_TIER_OWN_STORE: "After third parties", habeasv1.Tier_TIER_UNSPECIFIED: "After third parties",
}

var factsWords = map[string]string{
	"primary": "The system's own documents, or a run against it", "secondary": "Somebody else's word: watch the first deletions",
}

func storeRowOf(s *habeasv1.Store) storeRow {
	row := storeRow{Name: s.GetName(), Role: "Ours", Source: "The person"}
	if s.GetRole() == habeasv1.Role_ROLE_SERVICE_PROVIDER {
		row.Role = "A customer's"
	}
	if s.GetSource() == habeasv1.Source_SOURCE_ACQUIRED {
		row.Source = "Others"
	}
	var holds []string
	for _, c := range s.GetCategories() {
		holds = append(holds, strings.TrimSpace(c.GetLetter()+" "+c.GetData()))
	}
	row.Holds = strings.Join(holds, ", ")
	row.NotSearched = s.GetNotSearched().GetDescribed()
	return row
}

func queueOf(m *member, f *fleet) queueView {
	v := queueView{Waiting: unknown, InHand: unknown, Again: unknown, Out: unknown, BusKnown: !f.BusDown, StoreKnown: !f.StoreDown}
	if q := m.Queue; q != nil {
		v.Known, v.Held = true, q.Paused
		v.Waiting, v.InHand, v.Again = number(int64(q.NumPending)), number(int64(q.NumAckPending)), number(int64(q.NumRedelivered)) //nolint:gosec // far below 2^63
		if q.Delivered.Last != nil {
			v.Delivered = momentOf(*q.Delivered.Last)
		}
	}
	if v.StoreKnown {
		v.Out, v.Oldest = number(m.Sent), momentOf(m.Oldest)
	}
	return v
}

func failuresIn(a *habeasv1.Activity) (n int64) {
	for _, f := range a.GetFailures() {
		n += f
	}
	return n
}

// rateOf is how many answers there were in an hour.
func rateOf(a *habeasv1.Activity) string {
	window := a.GetWindow().AsDuration()
	var n int64
	for _, o := range a.GetOutcomes() {
		n += o
	}
	if window <= 0 {
		return unknown
	}
	return number(int64(float64(n)*float64(time.Hour)/float64(max(window, time.Minute)) + 0.5))
}

func activityOf(a *habeasv1.Activity) *activityView {
	return &activityView{
		Window: spell(a.GetWindow().AsDuration()), Rate: rateOf(a), InHand: number(a.GetInHand()),
		Outcomes: countRows(a.GetOutcomes(), func(code string) string { return inWords(jobWords, request.JobState(code)).Label }),
		Failures: countRows(a.GetFailures(), func(code string) string { return label(failureWords, code) }),
	}
}

// countRows lists the largest first.
func countRows(counts map[string]int64, words func(string) string) []countRow {
	var out []countRow
	codes := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	for _, c := range codes {
		out = append(out, countRow{words(c), number(counts[c])})
	}
	return out
}

func quotasOf(p *habeasv1.Manifest, now time.Time) []quotaView {
	var out []quotaView
	for _, q := range p.GetQuotas() {
		limit := max(q.GetLimit(), 1)
		used := min(max(q.GetUsed(), 0), limit)
		v := quotaView{
			Name: cmp.Or(q.GetName(), "all calls"), Used: number(used), Limit: number(q.GetLimit()) + " " + cmp.Or(q.GetCounts(), "requests"),
			Per: spell(q.GetPer().AsDuration()), Left: float64(limit-used) / float64(limit), Percent: int(used * 100 / limit),
		}
		v.LeftText = strconv.Itoa(100-v.Percent) + " % left"
		if t := q.GetPausedUntil(); t.IsValid() && t.AsTime().After(now) {
			v.Paused = momentOf(t.AsTime())
			v.LeftText = "pauses"
			v.Left = 0
		}
		out = append(out, v)
	}
	return out
}

func driftOf(p *habeasv1.Manifest) driftView {
	d := p.GetDrift()
	if d == nil {
		return driftView{}
	}
	v := driftView{Known: true, At: momentOf(d.GetCheckTime().AsTime()), Examples: d.GetExamples(), State: word{Label: "Its map fits the system", Tone: good}}
	switch {
	case d.GetFailed() != "":
		v.State, v.Examples = word{Label: "Could not be compared", Tone: warn}, []string{d.GetFailed()}
	case d.GetFindings() > 0:
		v.State = word{Label: number(int64(d.GetFindings())) + " to settle", Tone: warn}
		if more := int(d.GetFindings()) - len(v.Examples); more > 0 && len(v.Examples) > 0 {
			v.More = "and " + strconv.Itoa(more) + " more"
		}
	}
	return v
}

func conformanceOf(p *habeasv1.Manifest) conformanceView {
	c := p.GetConformance()
	if c == nil {
		return conformanceView{}
	}
	v := conformanceView{
		Known: true, At: momentOf(c.GetTime().AsTime()), State: word{Label: "All promises kept", Tone: good},
		Kept: number(int64(c.GetKept())), Broken: number(int64(c.GetBroken())), Skipped: number(int64(c.GetSkipped())),
	}
	if c.GetManifestDigest() != p.GetDigest() {
		v.Other, v.State = cmp.Or(c.GetVersion(), "another"), word{Label: "Of another version", Tone: warn}
	}
	if c.GetBroken() > 0 {
		v.State = word{Label: v.Broken + " broken", Tone: bad}
	}
	return v
}

// checkOf is the worse of what the last test and the last comparison say.
func checkOf(p *habeasv1.Manifest) word {
	c, d := conformanceOf(p), driftOf(p)
	switch {
	case c.Known && c.State.Tone == bad:
		return word{Label: "Test: " + c.State.Label, Tone: bad}
	case d.Known && d.State.Tone == warn:
		return word{Label: "Drift: " + strings.ToLower(d.State.Label), Tone: warn}
	case c.Known && c.State.Tone == warn:
		return word{Label: "Test: " + strings.ToLower(c.State.Label), Tone: warn}
	case c.Known:
		return word{Label: "Tested", Tone: good}
	case d.Known:
		return word{Label: "Fits", Tone: good}
	default:
		return word{}
	}
}

// spell writes a length of time in its largest whole unit.
func spell(d time.Duration) string {
	units := []struct {
		size time.Duration
		one  string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}}
	for _, u := range units {
		if n := int64(d / u.size); n > 0 && (d%u.size == 0 || n >= 3) {
			if n == 1 {
				return "1 " + u.one
			}
			return number(n) + " " + u.one + "s"
		}
	}
	return d.Round(time.Millisecond).String()
}
