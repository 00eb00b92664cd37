package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// newest streams the newest head and nothing else.
func (r *Room) newest(ctx context.Context, l *ledger.Log, _ *http.Request, a *answer) error {
	head, err := r.head(ctx, l)
	if err != nil {
		return err
	}
	return a.line(auditapi.Line{Head: head})
}

// days reads the days of a period. The second is not part of it.
func days(q url.Values) (from, to time.Time, err error) {
	from, fromErr := time.Parse(time.DateOnly, q.Get("from"))
	to, toErr := time.Parse(time.DateOnly, q.Get("to"))
	switch {
	case fromErr != nil || toErr != nil:
		return from, to, &problem{http.StatusBadRequest, "from and to: want dates as yyyy-mm-dd"}
	case !from.Before(to):
		return from, to, &problem{http.StatusBadRequest, "from: want a date before to"}
	}
	return from, to, nil
}

// openPeriod finds a period's heads and says how each leads to the newest, or,
// when proofs are to follow, to one that witnesses cosigned.
func (r *Room) openPeriod(ctx context.Context, l *ledger.Log, q url.Values, proofs bool) (ledger.Period, *auditapi.Head, error) {
	from, to, err := days(q)
	if err != nil {
		return ledger.Period{}, nil, err
	}
	p, err := l.Period(ctx, from, to)
	if errors.Is(err, ledger.ErrNoPeriod) {
		return p, nil, &problem{http.StatusNotFound, "the log has nothing from before the end of that period"}
	}
	if err != nil {
		return p, nil, err
	}
	if proofs {
		p.End = r.covering(ctx, p.End, p.Close.Size)
	}
	head := r.headOf(p.End)
	prover := l.Prover(ctx, p.End)
	start, err := prover.Consistency(p.Start)
	if err != nil {
		return p, nil, err
	}
	closed, err := prover.Consistency(p.Close)
	if err != nil {
		return p, nil, err
	}
	head.Start, head.Consistency = string(p.Start.Note), hashes(start)
	head.Period = &auditapi.Period{
		From: q.Get("from"), To: q.Get("to"), Close: string(p.Close.Note), CloseConsistency: hashes(closed),
		StartSize: p.Start.Size, CloseSize: p.Close.Size, EndSize: p.End.Size, CloseRoot: hex.EncodeToString(p.Close.Root[:]),
	}
	return p, head, nil
}

func hashes(proof tlog.TreeProof) [][]byte {
	out := make([][]byte, len(proof))
	for i, h := range proof {
		out[i] = h[:]
	}
	return out
}

// proverLife is for how many leaves one prover works, which remembers the tiles
// it read.
const proverLife = 1 << 16

// period streams every leaf of a period and what is needed to judge them.
func (r *Room) period(ctx context.Context, l *ledger.Log, req *http.Request, a *answer) error {
	p, head, err := r.openPeriod(ctx, l, req.URL.Query(), true)
	if err != nil {
		return err
	}
	if err := a.line(auditapi.Line{Head: head}); err != nil {
		return err
	}
	var prover *ledger.Prover
	sent := 0
	return l.PeriodLeaves(ctx, p, func(leaf ledger.Leaf) error {
		if sent%proverLife == 0 {
			prover = l.Prover(ctx, p.End)
		}
		sent++
		line, err := proven(prover, leaf)
		if err != nil {
			return err
		}
		return a.line(line)
	})
}

// maxPage is the most requests one answer lists.
const maxPage = 1000

// number reads a number of the query; def when it is left out.
func number(q url.Values, name string, def, most int64) (int64, error) {
	text := q.Get(name)
	if text == "" {
		return def, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, &problem{http.StatusBadRequest, name + ": want a number from 0 to " + strconv.FormatInt(most, 10)}
	}
	return n, nil
}

// intakes streams the requests of a period, page by page, in the log's order.
func (r *Room) intakes(ctx context.Context, l *ledger.Log, req *http.Request, a *answer) error {
	q := req.URL.Query()
	after, err := number(q, "after", -1, 1<<62)
	if err != nil {
		return err
	}
	limit, err := number(q, "limit", maxPage, maxPage)
	if err != nil {
		return err
	}
	p, head, err := r.openPeriod(ctx, l, q, false)
	if err != nil {
		return err
	}
	if head.Period.Types, head.Period.Erased, err = l.Tally(ctx, p); err != nil {
		return err
	}
	leaves, err := collect(ctx, l, ledger.Query{Type: string(wire.RecordIntake), First: max(after+1, p.Start.Size), Below: max(p.Close.Size, 1), Limit: limit})
	if err != nil {
		return err
	}
	return rows(ctx, l, a, head, leaves)
}

// sample streams requests of a period that nobody chose.
func (r *Room) sample(ctx context.Context, l *ledger.Log, req *http.Request, a *answer) error {
	q := req.URL.Query()
	n, err := number(q, "n", 25, maxPage)
	if err != nil {
		return err
	}
	p, head, err := r.openPeriod(ctx, l, q, false)
	if err != nil {
		return err
	}
	if head.Period.Types, head.Period.Erased, err = l.Tally(ctx, p); err != nil {
		return err
	}
	numbers, err := l.Intakes(ctx, p)
	if err != nil {
		return err
	}
	leaves, err := l.At(ctx, auditapi.Sample(head.Period.CloseRoot, strings.TrimSpace(q.Get("word")), numbers, int(n)))
	if err != nil {
		return err
	}
	return rows(ctx, l, a, head, leaves)
}

// rows sends a head and a row for each of the intakes.
func rows(ctx context.Context, l *ledger.Log, a *answer, head *auditapi.Head, intakes []ledger.Leaf) error {
	if err := a.line(auditapi.Line{Head: head}); err != nil {
		return err
	}
	ids := make([]string, len(intakes))
	for i := range intakes {
		ids[i] = intakes[i].RequestID
	}
	rests, err := l.Rests(ctx, ids)
	if err != nil {
		return err
	}
	for _, leaf := range intakes {
		row, err := rowOf(leaf, rests[leaf.RequestID])
		if err != nil {
			return err
		}
		if err := a.line(auditapi.Line{Request: row}); err != nil {
			return err
		}
	}
	return nil
}

// rowOf is the row of an intake. Of one whose record was erased there is its
// place and nothing else.
func rowOf(intake ledger.Leaf, rest ledger.Rest) (*auditapi.Request, error) {
	row := &auditapi.Request{RequestID: intake.RequestID, IntakeLeaf: intake.Number, ClosureLeaf: rest.ClosureLeaf, Records: rest.Records}
	if intake.Envelope == nil {
		return row, nil
	}
	rec, err := wire.ParseRecord(intake.Envelope)
	if err != nil {
		return nil, err
	}
	if in, ok := rec.Predicate.(*habeasv1.IntakeRecord); ok {
		row.Regime, row.Right, row.Channel = in.GetRegime(), in.GetRight(), in.GetChannel()
		row.ReceiveDate, row.ReceiveTime = in.GetReceiveDate(), in.GetReceiveTime().AsTime()
	}
	if rest.Closure == nil {
		return row, nil
	}
	if rec, err = wire.ParseRecord(rest.Closure); err != nil {
		return nil, err
	}
	if c, ok := rec.Predicate.(*habeasv1.ClosureRecord); ok {
		row.Result, row.ReasonCode, row.AnswerTime = c.GetResult(), c.GetReasonCode(), c.GetAnswerTime().AsTime()
	}
	return row, nil
}

// consistency proves that a head, the newest unless another is given, begins
// with the leaves of an older one. Both are signed notes of this log.
func (r *Room) consistency(ctx context.Context, l *ledger.Log, req *http.Request, a *answer) error {
	q := req.URL.Query()
	newest, err := l.Checkpoint(ctx)
	if err != nil {
		return err
	}
	read := func(name string) (ledger.SignedHead, error) {
		head, err := l.ParseHead([]byte(q.Get(name)))
		if err != nil {
			return head, &problem{http.StatusBadRequest, name + ": " + auditapi.ErrNoHead.Error()}
		}
		return head, nil
	}
	old, err := read("old")
	if err != nil {
		return err
	}
	head := newest
	if q.Get("new") != "" {
		if head, err = read("new"); err != nil {
			return err
		}
	}
	if old.Size > head.Size {
		old, head = head, old
	}
	if head.Size > newest.Size {
		return &problem{http.StatusConflict, "the log signed a head of " + strconv.FormatInt(head.Size, 10) + " leaves and has only " + strconv.FormatInt(newest.Size, 10) + " now: leaves were removed"}
	}
	proof, err := l.Prover(ctx, head).Consistency(old)
	if err == nil && old.Size > 0 {
		err = tlog.CheckTree(proof, head.Size, head.Root, old.Size, old.Root)
	}
	if err != nil && ctx.Err() == nil {
		return &problem{http.StatusConflict, "the newer head does not begin with the leaves of the older one: the log was rewritten between them"}
	}
	answer := r.headOf(head)
	answer.Start, answer.Consistency = string(old.Note), hashes(proof)
	return a.line(auditapi.Line{Head: answer})
}
