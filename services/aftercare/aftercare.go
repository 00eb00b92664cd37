// Package aftercare answers for what comes after an answer: replays of what a
// restored system has forgotten, and incidents that later looks have opened.
//
// It owes its callers this: starting a replay that is under way gives that
// replay; what can't be done again is counted and never left out in silence; and
// nothing it answers names anybody.
package aftercare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Store is the part of the rooms' memory this needs.
type Store interface {
	store.Aftercare
	Connectors(ctx context.Context) ([]store.Connector, error)
}

// Service answers questions about what comes after an answer.
type Service struct {
	Store Store
	// Now is the clock; nil is the machine's.
	Now func() time.Time
	// Tell lets integrations know of an incident; it may be lost, and may be nil.
	Tell func(store.Incident)
}

func (s *Service) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC()
	}
	return s.Now().UTC()
}

// Replay is a replay and how far it has come.
type Replay struct {
	ID        string    `json:"id"`
	Connector string    `json:"connector"`
	Since     time.Time `json:"since"`
	By        string    `json:"by,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	// Jobs are how many were found to be done again so far. Lost are those of
	// them whose identifiers are destroyed, Released those of people who are not
	// to stay erased or opted out any more.
	Jobs     int64 `json:"jobs"`
	Lost     int64 `json:"lost"`
	Released int64 `json:"released"`
	// Requests were made of them; Closed are done with. Of these Again found what
	// the restore brought back and did it again, Clean found nothing, and Failed
	// could not be carried out in full. Attention are open and need a person.
	Requests  int64 `json:"requests"`
	Closed    int64 `json:"closed"`
	Again     int64 `json:"again"`
	Clean     int64 `json:"clean"`
	Failed    int64 `json:"failed"`
	Attention int64 `json:"attention"`
	// Planned says that all jobs are found, and Done that besides every request
	// is closed.
	Planned bool `json:"planned"`
	Done    bool `json:"done"`
}

// Preview is what a replay would do.
type Preview struct {
	Connector string    `json:"connector"`
	Since     time.Time `json:"since"`
	// Erasures, OptOuts and Limits are jobs that would be done again, for people
	// who are still to stay erased or opted out. Lost are jobs whose identifiers
	// are destroyed.
	Erasures int64 `json:"erasures"`
	OptOuts  int64 `json:"opt_outs"`
	Limits   int64 `json:"limits"`
	Lost     int64 `json:"lost"`
}

// ErrInput is wrapped by errors of what was asked.
var ErrInput = errors.New("that can't be done")

// check says what is wrong with a replay that somebody wants.
func (s *Service) check(ctx context.Context, connector string, since time.Time) error {
	known, err := s.Store.Connectors(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(known))
	for i := range known {
		names[i] = known[i].Name
	}
	switch {
	case !slices.Contains(names, connector):
		return fmt.Errorf("connector %.60q is not known, of those that are: %s: %w", connector, strings.Join(names, ", "), ErrInput)
	case since.IsZero():
		return fmt.Errorf("since: say what time the system was restored to: %w", ErrInput)
	case since.After(s.now()):
		return fmt.Errorf("since: %s is in the future: %w", since.Format(time.RFC3339), ErrInput)
	}
	return nil
}

// Preview counts what a replay would do and does nothing. Errors wrap [ErrInput]
// when the question is at fault.
func (s *Service) Preview(ctx context.Context, connector string, since time.Time) (Preview, error) {
	p := Preview{Connector: connector, Since: since.UTC()}
	if err := s.check(ctx, connector, since); err != nil {
		return p, err
	}
	const page = 500
	for after := request.ID(""); ; {
		jobs, err := s.Store.Forgotten(ctx, connector, since, after, page)
		if err != nil {
			return p, err
		}
		for i := range jobs {
			p.count(&jobs[i])
		}
		if len(jobs) < page {
			return p, nil
		}
		after = jobs[page-1].JobID
	}
}

func (p *Preview) count(f *store.Forgotten) {
	switch {
	case f.Kept == nil && len(f.Request.Sealed) == 0:
		p.Lost++
	case f.Action == request.ActionErase:
		p.Erasures++
	case f.Action == request.ActionOptOut:
		p.OptOuts++
	default:
		p.Limits++
	}
}

// Start begins a replay, or gives the one of that connector and time that is
// under way. Coordinators carry it out. Errors wrap [ErrInput] when the wish is
// at fault.
func (s *Service) Start(ctx context.Context, connector string, since time.Time, by string) (Replay, error) {
	since = since.UTC().Truncate(time.Microsecond) // as fine as a store keeps it
	if err := s.check(ctx, connector, since); err != nil {
		return Replay{}, err
	}
	recent, err := s.Store.Replays(ctx, 500)
	if err != nil {
		return Replay{}, err
	}
	for i := range recent {
		if r := &recent[i]; r.Connector == connector && r.Since.Equal(since) {
			view, err := s.view(ctx, *r)
			if err != nil || !view.Done {
				return view, err
			}
			break // the newest has ended
		}
	}
	started, err := s.Store.StartReplay(ctx, store.Replay{ID: string(request.NewID()), Connector: connector, Since: since, By: by, CreatedAt: s.now()})
	if err != nil {
		return Replay{}, err
	}
	return s.view(ctx, started)
}

// Replay shows a replay; errors wrap [store.ErrNotFound] when there is none.
func (s *Service) Replay(ctx context.Context, id string) (Replay, error) {
	r, err := s.Store.Replay(ctx, id)
	if err != nil {
		return Replay{}, err
	}
	return s.view(ctx, r)
}

// Replays shows the newest replays.
func (s *Service) Replays(ctx context.Context) ([]Replay, error) {
	recent, err := s.Store.Replays(ctx, 20)
	if err != nil {
		return nil, err
	}
	out := make([]Replay, len(recent))
	for i := range recent {
		if out[i], err = s.view(ctx, recent[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Service) view(ctx context.Context, r store.Replay) (Replay, error) {
	p, err := s.Store.ReplayProgress(ctx, r.ID)
	if err != nil {
		return Replay{}, err
	}
	return Replay{
		ID: r.ID, Connector: r.Connector, Since: r.Since, By: r.By, CreatedAt: r.CreatedAt, Jobs: r.Planned, Lost: r.Lost, Released: r.Released,
		Requests: p.Requests, Closed: p.Closed, Again: p.Again, Clean: p.Clean, Failed: p.Failed, Attention: p.Attention,
		Planned: !r.PlannedAt.IsZero(), Done: !r.PlannedAt.IsZero() && p.Closed == p.Requests,
	}, nil
}

// Incident is one incident.
type Incident struct {
	ID   string             `json:"id"`
	Kind store.IncidentKind `json:"kind"`
	// Connector and Store are the source.
	Connector string     `json:"connector"`
	Store     string     `json:"store,omitempty"`
	Request   string     `json:"request,omitempty"`
	After     string     `json:"after,omitempty"` // the request that was looked after
	Records   int64      `json:"records"`
	OpenedAt  time.Time  `json:"opened_at"`
	ClosedAt  *time.Time `json:"closed_at,omitempty"`
	By        string     `json:"by,omitempty"`
	Note      string     `json:"note,omitempty"`
}

// Incidents shows the newest incidents, at most limit, and with open those alone
// that nobody has closed.
func (s *Service) Incidents(ctx context.Context, open bool, limit int) ([]Incident, error) {
	found, err := s.Store.Incidents(ctx, open, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Incident, len(found))
	for i, f := range found {
		out[i] = Incident{
			ID: f.ID, Kind: f.Kind, Connector: f.Connector, Store: f.Store, Request: string(f.RequestID), After: string(f.ParentID),
			Records: f.Records, OpenedAt: f.OpenedAt, By: f.By, Note: f.Note,
		}
		if !f.ClosedAt.IsZero() {
			out[i].ClosedAt = &found[i].ClosedAt
		}
	}
	return out, nil
}

// Noticed opens an incident: a program was about to import n people who are to
// stay erased.
func (s *Service) Noticed(ctx context.Context, program string, n int64) error {
	i := store.Incident{ID: string(request.NewID()), Kind: store.Reimported, Connector: program, Records: n, OpenedAt: s.now()}
	if err := s.Store.PutIncidents(ctx, []store.Incident{i}); err != nil {
		return err
	}
	if s.Tell != nil {
		s.Tell(i)
	}
	return nil
}

// Close closes an incident: by has looked at it. Errors wrap [ErrInput] when
// nobody is named, and [store.ErrNotFound].
func (s *Service) Close(ctx context.Context, id, by, note string) error {
	if strings.TrimSpace(by) == "" || len(by) > 200 || len(note) > 2000 {
		return fmt.Errorf("by: say who closes it, in at most 200 characters, and note what it was in at most 2000: %w", ErrInput)
	}
	return s.Store.CloseIncident(ctx, id, by, note, s.now())
}
