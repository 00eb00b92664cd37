package demo

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

func (p *Partner) submit(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		p.refuse(w, http.StatusBadRequest, "the request is too large")
		return
	}
	fault := p.fault()
	switch fault {
	case RefuseRequest:
		p.refuse(w, http.StatusServiceUnavailable, "down for maintenance")
		return
	case TooMany:
		w.Header().Set("Retry-After", "7")
		p.refuse(w, http.StatusTooManyRequests, "slow down")
		return
	case BusyWithHer:
		p.refuse(w, http.StatusConflict, "a request with the same identities is in progress")
		return
	case NoSuchIdentity:
		p.refuse(w, http.StatusBadRequest, "subject_identities not understood: "+string(body))
		return
	}
	var req partnerRequest
	if err := json.Unmarshal(body, &req); err != nil || req.ID == "" {
		p.refuse(w, http.StatusBadRequest, "subject_request_id field is required")
		return
	}
	if req.Type != "erasure" && req.Type != "suppress" {
		p.refuse(w, http.StatusBadRequest, "subject_request_type is not supported")
		return
	}
	received, due, err := p.accept(r.Context(), req, body)
	if errors.Is(err, errOtherBody) {
		p.refuse(w, http.StatusBadRequest, "subject_request_id is a duplicate of another request")
		return
	}
	if err != nil {
		p.refuse(w, http.StatusInternalServerError, "recording the request")
		return
	}
	if fault == LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	p.answer(w, http.StatusCreated, map[string]any{
		"controller_id": "demo", "subject_request_id": req.ID, "encoded_request": body,
		"received_time": received.Format(time.RFC3339), "expected_completion_time": due.Format(time.RFC3339),
	}, fault == WrongSignature)
}

var errOtherBody = errors.New("the id is taken by another request")

// accept records a request once: the same bytes again are the same request.
func (p *Partner) accept(ctx context.Context, req partnerRequest, body []byte) (received, due time.Time, err error) {
	sum := sha256.Sum256(body)
	digest := hex.EncodeToString(sum[:])
	keys, err := json.Marshal(req.keys())
	if err != nil {
		return received, due, err
	}
	callbacks, err := json.Marshal(req.Callbacks)
	if err != nil {
		return received, due, err
	}
	received = p.now().UTC()
	due = received.Add(p.delay)
	if _, err := p.db.ExecContext(ctx, `INSERT INTO requests (id, type, digest, keys, callbacks, status, received_at, due_at)
		VALUES (?, ?, ?, ?, ?, 'pending', ?, ?) ON CONFLICT (id) DO NOTHING`,
		req.ID, req.Type, digest, string(keys), string(callbacks), received.UnixNano(), due.UnixNano()); err != nil {
		return received, due, err
	}
	var first string
	var receivedAt, dueAt int64
	if err := p.db.QueryRowContext(ctx, `SELECT digest, received_at, due_at FROM requests WHERE id = ?`, req.ID).
		Scan(&first, &receivedAt, &dueAt); err != nil {
		return received, due, err
	}
	if first != digest {
		return received, due, errOtherBody
	}
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return time.Unix(0, receivedAt).UTC(), time.Unix(0, dueAt).UTC(), nil
}

func (p *Partner) status(w http.ResponseWriter, r *http.Request) {
	if err := p.advance(r.Context()); err != nil {
		p.refuse(w, http.StatusInternalServerError, "carrying out requests")
		return
	}
	id := r.PathValue("id")
	var status string
	var due int64
	err := p.db.QueryRowContext(r.Context(), `SELECT status, due_at FROM requests WHERE id = ?`, id).Scan(&status, &due)
	if errors.Is(err, sql.ErrNoRows) {
		p.refuse(w, http.StatusNotFound, "no such request")
		return
	}
	if err != nil {
		p.refuse(w, http.StatusInternalServerError, "reading the request")
		return
	}
	p.answer(w, http.StatusOK, progress(id, status, due, ""), false)
}

func progress(id, status string, due int64, callback string) map[string]any {
	m := map[string]any{
		"controller_id": "demo", "subject_request_id": id, "request_status": status, "api_version": "2.0",
		"expected_completion_time": time.Unix(0, due).UTC().Format(time.RFC3339), "results_url": nil,
	}
	if status == "cancelled" {
		m["expected_completion_time"] = nil
	}
	if callback != "" {
		m["status_callback_url"] = callback
	}
	return m
}

func (p *Partner) cancel(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	res, err := p.db.ExecContext(r.Context(), `UPDATE requests SET status = 'cancelled', keys = '[]' WHERE id = ? AND status = 'pending'`, id)
	if err != nil {
		p.refuse(w, http.StatusInternalServerError, "cancelling the request")
		return
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		p.refuse(w, http.StatusBadRequest, "subject_request_id is not pending")
		return
	}
	p.answer(w, http.StatusAccepted, map[string]any{
		"controller_id": "demo", "subject_request_id": id, "received_time": p.now().UTC().Format(time.RFC3339),
	}, false)
}

// advance carries out what is due and queues the callbacks of each change.
func (p *Partner) advance(ctx context.Context) error {
	tx, err := p.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	work, err := dueWork(ctx, tx, p.now())
	if err != nil {
		return err
	}
	for _, d := range work {
		change := `DELETE FROM people WHERE key = ?`
		if d.kind == "suppress" {
			change = `INSERT INTO people (key, segment, suppressed) VALUES (?, '', 1) ON CONFLICT (key) DO UPDATE SET suppressed = 1, segment = ''`
		}
		for _, key := range d.keys {
			if _, err := tx.ExecContext(ctx, change, key); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE requests SET status = 'completed', keys = '[]' WHERE id = ?`, d.id); err != nil {
			return err
		}
		for _, url := range d.callbacks {
			for _, status := range []string{"in_progress", "completed"} {
				body, err := json.Marshal(progress(d.id, status, d.at, url))
				if err != nil {
					return err
				}
				if _, err := tx.ExecContext(ctx, `INSERT INTO callbacks (url, body, attempts, next_at) VALUES (?, ?, 0, 0)`, url, string(body)); err != nil {
					return err
				}
			}
		}
	}
	return tx.Commit()
}

// partnerWork is a request whose time has come.
type partnerWork struct {
	id, kind        string
	keys, callbacks []string
	at              int64
}

func dueWork(ctx context.Context, tx *sql.Tx, now time.Time) (work []partnerWork, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, type, keys, callbacks, due_at FROM requests WHERE status = 'pending' AND due_at <= ?`, now.UnixNano())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var d partnerWork
		var keys, callbacks string
		if err := rows.Scan(&d.id, &d.kind, &keys, &callbacks, &d.at); err != nil {
			return nil, err
		}
		if err := errors.Join(json.Unmarshal([]byte(keys), &d.keys), json.Unmarshal([]byte(callbacks), &d.callbacks)); err != nil {
			return nil, err
		}
		work = append(work, d)
	}
	return work, rows.Err()
}

// Requests returns how many requests the partner has recorded, by type.
func (p *Partner) Requests(ctx context.Context) (counts map[string]int, err error) {
	rows, err := p.db.QueryContext(ctx, `SELECT type, COUNT(*) FROM requests GROUP BY type`)
	if err != nil {
		return nil, fmt.Errorf("counting the partner's requests: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	counts = map[string]int{}
	for rows.Next() {
		var kind string
		var n int
		if err := rows.Scan(&kind, &n); err != nil {
			return nil, fmt.Errorf("counting the partner's requests: %w", err)
		}
		counts[kind] = n
	}
	return counts, rows.Err()
}
