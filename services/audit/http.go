package audit

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// Handler serves the log to everybody (/checkpoint, /tile/…, as C2SP
// tlog-tiles) and, to those who have the token, its envelopes (/v1/…, as
// package auditapi).
func (r *Room) Handler() http.Handler {
	mux := http.NewServeMux()
	public := func(w http.ResponseWriter, req *http.Request) {
		l, err := r.log()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		l.Handler(r.logger).ServeHTTP(w, req)
	}
	mux.HandleFunc("GET /checkpoint", public)
	mux.HandleFunc("GET /tile/", public)
	mux.HandleFunc("GET /checkpoint.cosigned", r.cosigned)
	mux.HandleFunc("GET /v1/records", r.private(r.records))
	mux.HandleFunc("GET /v1/keys", r.private(r.keys))
	mux.HandleFunc("GET /v1/rejected", r.private(r.rejected))
	mux.HandleFunc("GET /v1/population", r.private(r.population))
	mux.HandleFunc("GET /v1/head", r.private(r.newest))
	mux.HandleFunc("GET /v1/witnesses", r.privately(r.standing))
	mux.HandleFunc("GET /v1/period", r.private(r.period))
	mux.HandleFunc("GET /v1/intakes", r.private(r.intakes))
	mux.HandleFunc("GET /v1/sample", r.private(r.sample))
	mux.HandleFunc("GET /v1/consistency", r.private(r.consistency))
	return mux
}

// answer is a stream that is being written.
type answer struct {
	http.ResponseWriter
	enc     *json.Encoder
	started bool
	count   int
}

func (a *answer) line(l auditapi.Line) error {
	if !a.started {
		a.started = true
		a.Header().Set("Content-Type", "application/x-ndjson")
		a.Header().Set("Cache-Control", "no-store")
	}
	if l.Head == nil && l.End == nil && l.Error == "" {
		a.count++
	}
	return a.enc.Encode(l)
}

// problem is an error with its HTTP status.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

// private wraps a stream of the open log.
func (r *Room) private(serve func(context.Context, *ledger.Log, *http.Request, *answer) error) http.HandlerFunc {
	return r.privately(func(req *http.Request, a *answer) error {
		l, err := r.log()
		if err != nil {
			return &problem{http.StatusServiceUnavailable, err.Error()}
		}
		return serve(req.Context(), l, req, a)
	})
}

// privately wraps a stream: who may read it, and how it ends.
func (r *Room) privately(serve func(*http.Request, *answer) error) http.HandlerFunc {
	want := sha256.Sum256([]byte("Bearer " + r.config.Token))
	return func(w http.ResponseWriter, req *http.Request) {
		have := sha256.Sum256([]byte(req.Header.Get("Authorization")))
		if r.config.Token != "" && subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the audit room's token is required", http.StatusUnauthorized)
			return
		}
		a := &answer{ResponseWriter: w, enc: json.NewEncoder(w)}
		err := serve(req, a)
		if err == nil {
			err = a.line(auditapi.Line{End: &auditapi.End{Count: a.count}})
		}
		if err != nil {
			r.fail(req, a, err)
		}
	}
}

// fail tells the reader that the answer is not whole.
func (r *Room) fail(req *http.Request, a *answer, err error) {
	var p *problem
	switch {
	case req.Context().Err() != nil:
		return
	case !a.started && errors.As(err, &p):
		http.Error(a, p.text, p.status)
		return
	}
	r.logger.ErrorContext(req.Context(), "answering a reader of the log", "path", req.URL.Path, "error", err)
	const text = "the log can't be read now"
	if !a.started {
		http.Error(a, text, http.StatusInternalServerError)
		return
	}
	if err := a.line(auditapi.Line{Error: text}); err != nil {
		r.logger.DebugContext(req.Context(), "a reader went away", "error", err)
	}
}

// head signs what is there and begins a stream that proves nothing.
func (r *Room) head(ctx context.Context, l *ledger.Log) (*auditapi.Head, error) {
	signed, err := l.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	r.publish(signed)
	return r.headOf(signed), nil
}

// covering is the head for proofs of so many leaves, when the newest is given.
// With witnesses it is one that a quorum of them cosigned: the newest, for which
// it waits a moment, else an older one that has the leaves. Without such a head
// that of the log alone has to do.
func (r *Room) covering(ctx context.Context, newest ledger.SignedHead, leaves int64) ledger.SignedHead {
	if r.witnesses == nil || newest.Size == 0 {
		return newest
	}
	r.publish(newest)
	if head, ok := r.witnesses.cosigned(ctx, newest.Size, leaves); ok {
		return head
	}
	return newest
}

func (r *Room) headOf(signed ledger.SignedHead) *auditapi.Head {
	head := &auditapi.Head{Origin: r.config.Origin, VerifierKey: r.vkey, Checkpoint: string(signed.Note)}
	if r.witnesses != nil {
		head.Policy = string(r.witnesses.policy.ForLog(r.vkey))
	}
	head.Authorities = append(head.Authorities, wire.PublicDER(r.config.Signer.Public()))
	for _, key := range r.config.Authorities {
		if !key.Equal(r.config.Signer.Public()) {
			head.Authorities = append(head.Authorities, wire.PublicDER(key))
		}
	}
	return head
}

func proven(p *ledger.Prover, leaf ledger.Leaf) (auditapi.Line, error) {
	proof, err := p.Inclusion(leaf.Number)
	if err != nil {
		return auditapi.Line{}, err
	}
	return auditapi.Line{Record: &auditapi.Record{
		Leaf: leaf.Number, Type: leaf.Type, Digest: leaf.Digest[:], Envelope: leaf.Envelope, Proof: string(proof), LoggedAt: leaf.LoggedAt,
	}}, nil
}

// records streams the records of one request, after the key records of the
// keys that signed them and the version records of what was in force when it
// came: the forms, rules and notices that it saw.
func (r *Room) records(ctx context.Context, l *ledger.Log, req *http.Request, a *answer) error {
	id := req.URL.Query().Get("request")
	if id == "" {
		return &problem{http.StatusBadRequest, "request: the id of a request is required"}
	}
	newest, err := l.Checkpoint(ctx)
	if err != nil {
		return err
	}
	leaves, err := collect(ctx, l, ledger.Query{RequestID: id, Below: newest.Size})
	if err != nil {
		return err
	}
	if len(leaves) == 0 {
		return &problem{http.StatusNotFound, "the log has no record of this request"}
	}
	signers := map[string]bool{}
	for _, leaf := range leaves {
		if rec, err := wire.ParseRecord(leaf.Envelope); err == nil {
			signers[rec.KeyID] = true
		}
	}
	keys, err := collect(ctx, l, ledger.Query{Type: string(wire.RecordKey), Below: newest.Size})
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(keys, func(leaf ledger.Leaf) bool {
		rec, err := wire.ParseRecord(leaf.Envelope)
		if err != nil {
			return true
		}
		k, ok := rec.Predicate.(*habeasv1.KeyRecord)
		return !ok || !signers[k.GetFingerprint()]
	})
	versions, err := inForce(ctx, l, leaves, newest.Size)
	if err != nil {
		return err
	}
	return r.send(ctx, l, a, newest, slices.Concat(keys, versions, leaves))
}

// collect reads leaves into memory, so that no query is open while others run.
func collect(ctx context.Context, l *ledger.Log, q ledger.Query) (leaves []ledger.Leaf, err error) {
	err = l.Leaves(ctx, q, func(leaf ledger.Leaf) error {
		leaves = append(leaves, leaf)
		return nil
	})
	return leaves, err
}

// send streams leaves with proofs against one head.
func (r *Room) send(ctx context.Context, l *ledger.Log, a *answer, newest ledger.SignedHead, leaves []ledger.Leaf) error {
	var needed int64
	for _, leaf := range leaves {
		needed = max(needed, leaf.Number+1)
	}
	head := r.covering(ctx, newest, needed)
	if err := a.line(auditapi.Line{Head: r.headOf(head)}); err != nil {
		return err
	}
	prover := l.Prover(ctx, head)
	for _, leaf := range leaves {
		line, err := proven(prover, leaf)
		if err != nil {
			return err
		}
		if err := a.line(line); err != nil {
			return err
		}
	}
	return nil
}

// keys streams every key record.
func (r *Room) keys(ctx context.Context, l *ledger.Log, _ *http.Request, a *answer) error {
	newest, err := l.Checkpoint(ctx)
	if err != nil {
		return err
	}
	leaves, err := collect(ctx, l, ledger.Query{Type: string(wire.RecordKey), Below: newest.Size})
	if err != nil {
		return err
	}
	return r.send(ctx, l, a, newest, leaves)
}

// rejected streams what was refused, without the bytes.
func (r *Room) rejected(ctx context.Context, l *ledger.Log, _ *http.Request, a *answer) error {
	return l.Rejected(ctx, "", func(x ledger.Rejected) error {
		return a.line(auditapi.Line{Rejected: &auditapi.Rejected{
			Digest: x.Digest[:], Subject: x.Subject, Reason: x.Reason, Detail: x.Detail, KeyID: x.KeyID, RejectedAt: x.At,
		}})
	})
}

// population streams one line for each request received in a range of dates.
func (r *Room) population(ctx context.Context, l *ledger.Log, req *http.Request, a *answer) error {
	from, to := req.URL.Query().Get("from"), req.URL.Query().Get("to")
	for _, date := range []string{from, to} {
		if _, err := time.Parse(time.DateOnly, date); err != nil {
			return &problem{http.StatusBadRequest, "from and to: want dates as yyyy-mm-dd"}
		}
	}
	if strings.Compare(from, to) >= 0 {
		return &problem{http.StatusBadRequest, "from: want a date before to"}
	}
	head, err := r.head(ctx, l)
	if err != nil {
		return err
	}
	if err := a.line(auditapi.Line{Head: head}); err != nil {
		return err
	}
	var rows []*auditapi.Request
	err = l.Leaves(ctx, ledger.Query{Type: string(wire.RecordIntake)}, func(leaf ledger.Leaf) error {
		row, err := populationRow(leaf, from, to)
		if row != nil {
			rows = append(rows, row)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := addClosure(ctx, l, row); err != nil {
			return err
		}
		if err := a.line(auditapi.Line{Request: row}); err != nil {
			return err
		}
	}
	return nil
}

// populationRow is the row of an intake, or nil when it is outside the range or
// its envelope was erased.
func populationRow(intake ledger.Leaf, from, to string) (*auditapi.Request, error) {
	if intake.Envelope == nil {
		return nil, nil
	}
	rec, err := wire.ParseRecord(intake.Envelope)
	if err != nil {
		return nil, err
	}
	in, ok := rec.Predicate.(*habeasv1.IntakeRecord)
	if !ok || in.GetReceiveDate() < from || in.GetReceiveDate() >= to {
		return nil, nil
	}
	return &auditapi.Request{
		RequestID: in.GetRequestId(), Regime: in.GetRegime(), Right: in.GetRight(), Channel: in.GetChannel(),
		ReceiveDate: in.GetReceiveDate(), ReceiveTime: in.GetReceiveTime().AsTime(), IntakeLeaf: intake.Number, ClosureLeaf: -1,
	}, nil
}

// addClosure fills in how the request of a row ended.
func addClosure(ctx context.Context, l *ledger.Log, row *auditapi.Request) error {
	return l.Leaves(ctx, ledger.Query{RequestID: row.RequestID}, func(leaf ledger.Leaf) error {
		row.Records++
		if leaf.Type != string(wire.RecordClosure) || leaf.Envelope == nil {
			return nil
		}
		rec, err := wire.ParseRecord(leaf.Envelope)
		if err != nil {
			return err
		}
		if c, ok := rec.Predicate.(*habeasv1.ClosureRecord); ok {
			row.ClosureLeaf, row.Result, row.ReasonCode, row.AnswerTime = leaf.Number, c.GetResult(), c.GetReasonCode(), c.GetAnswerTime().AsTime()
		}
		return nil
	})
}
