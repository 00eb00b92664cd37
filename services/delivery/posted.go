package delivery

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// CodeMailed is the code of the ending of a request whose answer was mailed.
const CodeMailed = "mailed"

// ErrNotForMail says that a request has no package that waits to be mailed.
var ErrNotForMail = request.ErrNotForMail

// byMail reports whether the answer to a request goes by mail.
func byMail(r *store.Request) bool { return r.Case.Answer == request.AnswerByMail }

// Posted ends a request whose answer was mailed, without a day today. Saying it
// again changes nothing. The error is [ErrNotForMail] where nothing waits to be
// mailed, and [request.FieldErrors] for what can't be.
func (q *Queue) Posted(ctx context.Context, id request.ID, m request.Mailed) error {
	today := request.DateOf(q.now(), time.UTC)
	if m.On.IsZero() {
		m.On = today
	}
	m.Tracking = strings.TrimSpace(m.Tracking)
	found, ended := false, false
	_, err := q.config.Store.Advance(ctx, store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		found, ended = len(snaps) == 1, false
		if !found {
			return nil
		}
		s := snaps[0]
		if e := s.Request.Ending; e != nil && e.Code == CodeMailed {
			return nil // said before
		}
		if !s.Request.WaitsForMail() {
			return ErrNotForMail
		}
		if err := m.Check(request.DateOf(s.Request.Terms.Received, time.UTC), today); err != nil {
			return err
		}
		ending, err := s.Concluded()
		if err != nil {
			return err
		}
		ended = true
		s.Request.Case.Mailed = &m
		s.Request.Attention, s.Request.UpdatedAt, s.Changed = "", q.now().UTC(), true
		return s.Request.Close(request.Ending{Result: ending, Code: CodeMailed, Reason: "the answer was sent by mail on " + m.On.String()})
	})
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("request %s: %w", id, store.ErrNotFound)
	case !ended:
		return nil
	}
	return q.hint(id)
}
