package sdk

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// questions is one kind of question that is put to a connector over the bus, apart
// from its jobs.
type questions struct {
	about   string // for errors and the log, such as "about tasks"
	subject string
	// atOnce bounds the work that they may cause. What is over it gets no answer,
	// and is asked again.
	atOnce int
	answer func(ctx context.Context, question []byte) ([]byte, error)
}

// answering answers questions until the returned function is called. What one
// gets no answer to goes to the log without the words of anybody.
func (w *worker) answering(ctx context.Context, q questions) (stop func(), err error) {
	slots := make(chan struct{}, q.atOnce)
	sub, err := w.Conn.QueueSubscribe(q.subject, w.Manifest.Name, func(m *nats.Msg) {
		select {
		case slots <- struct{}{}:
		default:
			return
		}
		go func() {
			defer func() { <-slots }()
			answer, err := q.answer(ctx, m.Data)
			if err == nil {
				err = m.Respond(answer)
			}
			if err != nil && ctx.Err() == nil {
				w.Logger.Warn("a question was not answered", "asked", q.about, "error", redact(err.Error(), Person{}))
			}
		}()
	})
	if err != nil {
		return nil, fmt.Errorf("subscribing to questions %s: %w", q.about, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil // the connection may be closed already
}
