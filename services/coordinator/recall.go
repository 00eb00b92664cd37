package coordinator

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// recallMost bounds how many waiting messages are looked through for a job that
// was withdrawn.
const recallMost = 10_000

// recallJobs takes back jobs of a request that was stopped, as far as that is
// possible. A job that waits on the bus is removed from it. A connector that has
// one in hand is told, and does nothing more if it has not acted yet. One that
// has acted has acted: its records stay true and go into the log as long as the
// request is not closed, and change nothing about its end.
func (r *Room) recallJobs(ctx context.Context, jobs []store.Job) {
	byConnector := make(map[string][]string)
	for i := range jobs {
		byConnector[jobs[i].Connector] = append(byConnector[jobs[i].Connector], string(jobs[i].ID))
	}
	for connector, ids := range byConnector {
		if err := r.Conn.Publish(wire.WithdrawnSubject(connector), []byte(strings.Join(ids, " "))); err != nil {
			r.Logger.WarnContext(ctx, "telling a connector of withdrawn jobs", slog.String("connector", connector), slog.Any("error", err))
		}
		if err := r.removeJobs(ctx, connector, ids); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "removing withdrawn jobs from the bus; their connector may still do them",
				slog.String("connector", connector), slog.Any("error", err))
		}
	}
}

// recallAgain takes back jobs of requests that were stopped by a coordinator that
// ended before it could. What is closed since was answered for, or is not there.
func (r *Room) recallAgain(ctx context.Context) error {
	filter := store.Filter{State: request.Closing, Limit: sweepBatch}
	for {
		page, err := r.Store.List(ctx, filter)
		if err != nil || len(page) == 0 {
			return err
		}
		ids := make([]request.ID, len(page))
		for i := range page {
			ids[i] = page[i].ID
		}
		jobs, err := r.Store.JobsOf(ctx, ids)
		if err != nil {
			return err
		}
		var withdrawn []store.Job
		for _, of := range jobs {
			for i := range of {
				if of[i].State == request.JobCancelled && of[i].Attempt > 0 {
					withdrawn = append(withdrawn, of[i])
				}
			}
		}
		if len(withdrawn) > 0 {
			r.recallJobs(ctx, withdrawn)
		}
		if len(page) < sweepBatch {
			return nil
		}
		last := &page[len(page)-1]
		filter.Before = store.Cursor{CreatedAt: last.CreatedAt, ID: last.ID}
	}
}

// removeJobs deletes a connector's messages for the given jobs.
func (r *Room) removeJobs(ctx context.Context, connector string, ids []string) error {
	stream, err := r.JS.Stream(ctx, wire.StreamJobs)
	if err != nil {
		return err
	}
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	seq := uint64(1)
	for range recallMost {
		msg, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(wire.JobSubject(connector)))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil
		case err != nil:
			return err
		}
		id, _, _ := strings.Cut(msg.Header.Get(nats.MsgIdHdr), "/")
		if wanted[id] {
			if err := stream.DeleteMsg(ctx, msg.Sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
				return err
			}
		}
		seq = msg.Sequence + 1
	}
	return nil
}
