package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/ledger"
	"github.com/habeas-data/habeas/services/audit/pack"
	"github.com/habeas-data/habeas/services/console"
	"github.com/habeas-data/habeas/services/request"
)

// logPages is the log as the console shows it. It asks the audit room, and
// checks what can be checked before it shows it.
type logPages struct{ source *auditapi.Client }

var _ console.Evidence = logPages{}

// Head implements [console.Evidence].
func (l logPages) Head(ctx context.Context) (console.LogHead, error) {
	head, err := l.source.Head(ctx)
	if err != nil {
		return console.LogHead{}, err
	}
	return headOf(head.VerifierKey, head.Checkpoint)
}

// headOf reads a head and checks that the log signed it.
func headOf(vkey, text string) (console.LogHead, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return console.LogHead{}, fmt.Errorf("reading the log's key: %w", err)
	}
	signed, err := ledger.ParseHead([]byte(text), verifier)
	if err != nil {
		return console.LogHead{}, fmt.Errorf("reading a head: %w", err)
	}
	return console.LogHead{Origin: verifier.Name(), VerifierKey: vkey, Size: signed.Size, Root: hex.EncodeToString(signed.Root[:]), Note: text}, nil
}

// Witnesses implements [console.Evidence].
func (l logPages) Witnesses(ctx context.Context) (console.LogWitnesses, error) {
	found, err := l.source.Witnesses(ctx)
	if err != nil {
		return console.LogWitnesses{}, forConsole(err)
	}
	out := console.LogWitnesses{Size: found.Size, QuorumSize: found.QuorumSize, Note: found.Checkpoint, Policy: found.Policy, Incident: found.Incident}
	if !found.QuorumTime.IsZero() {
		out.QuorumTime = found.QuorumTime.UTC().Format(minuteLayout)
	}
	for _, w := range found.Witnesses {
		row := console.LogWitness{Name: w.Name, KeyName: w.KeyName, KeyID: w.KeyID, Size: w.Size, Lag: max(found.Size-max(w.Size, 0), 0), Trouble: w.Trouble}
		if !w.Time.IsZero() {
			row.Time = w.Time.UTC().Format(minuteLayout)
		}
		out.Witnesses = append(out.Witnesses, row)
	}
	return out, nil
}

const minuteLayout = "2 Jan 2006, 15:04 UTC"

// Population implements [console.Evidence].
func (l logPages) Population(ctx context.Context, from, to string, after int64, limit int) (console.Population, error) {
	return populationOf(func(fn func(auditapi.Line) error) error { return l.source.Intakes(ctx, from, to, after, limit, fn) })
}

// Sample implements [console.Evidence].
func (l logPages) Sample(ctx context.Context, from, to string, n int, word string) (console.Population, error) {
	return populationOf(func(fn func(auditapi.Line) error) error { return l.source.Sample(ctx, from, to, n, word, fn) })
}

func populationOf(read func(func(auditapi.Line) error) error) (console.Population, error) {
	var p console.Population
	err := read(func(line auditapi.Line) error {
		switch {
		case line.Head != nil && line.Head.Period != nil:
			h := line.Head.Period
			p = console.Population{From: h.From, To: h.To, Start: h.StartSize, Close: h.CloseSize, End: h.EndSize, Root: h.CloseRoot, Types: h.Types, Erased: h.Erased}
		case line.Request != nil:
			r := line.Request
			p.Rows = append(p.Rows, console.PopulationRow{
				ID: r.RequestID, Right: r.Right, Regime: r.Regime, Channel: r.Channel, Received: r.ReceiveDate, Answered: dayOf(r.AnswerTime),
				Result: r.Result, ReasonCode: r.ReasonCode, IntakeLeaf: r.IntakeLeaf, ClosureLeaf: r.ClosureLeaf, Records: r.Records,
			})
		}
		return nil
	})
	return p, forConsole(err)
}

func dayOf(t time.Time) string {
	if t.IsZero() || t.Unix() == 0 {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// forConsole gives errors the names that the console branches on.
func forConsole(err error) error {
	switch {
	case errors.Is(err, auditapi.ErrNotFound):
		return fmt.Errorf("%w: %w", console.ErrNoEvidence, err)
	case errors.Is(err, auditapi.ErrNoHead):
		return fmt.Errorf("%w: %w", console.ErrNoHead, err)
	case errors.Is(err, auditapi.ErrInconsistent):
		return fmt.Errorf("%w: %w", console.ErrInconsistent, err)
	default:
		return err
	}
}

// Growth implements [console.Evidence]. It checks the proof itself.
func (l logPages) Growth(ctx context.Context, older, newer string) (console.Growth, error) {
	var head *auditapi.Head
	if err := l.source.Consistency(ctx, older, newer, func(line auditapi.Line) error { head = line.Head; return nil }); err != nil {
		return console.Growth{}, forConsole(err)
	}
	if head == nil {
		return console.Growth{}, errors.New("the audit room sent no head")
	}
	g := console.Growth{}
	var err error
	if g.Older, err = headOf(head.VerifierKey, head.Start); err != nil {
		return console.Growth{}, err
	}
	if g.Newer, err = headOf(head.VerifierKey, head.Checkpoint); err != nil {
		return console.Growth{}, err
	}
	path := make(tlog.TreeProof, len(head.Consistency))
	for i, h := range head.Consistency {
		if len(h) != tlog.HashSize {
			return console.Growth{}, errors.New("the audit room sent a proof with a hash of another size")
		}
		path[i] = tlog.Hash(h)
		g.Proof = append(g.Proof, base64.StdEncoding.EncodeToString(h))
	}
	if g.Older.Size > 0 {
		if err := tlog.CheckTree(path, g.Newer.Size, rootOf(g.Newer), g.Older.Size, rootOf(g.Older)); err != nil {
			return console.Growth{}, fmt.Errorf("%w: %w", console.ErrInconsistent, err)
		}
	}
	return g, nil
}

func rootOf(h console.LogHead) (root tlog.Hash) {
	raw, err := hex.DecodeString(h.Root)
	if err == nil {
		copy(root[:], raw)
	}
	return root
}

// Account implements [console.Evidence].
func (l logPages) Account(ctx context.Context, id request.ID) (console.Account, error) {
	report, err := pack.Inspect(ctx, l.source, string(id))
	if report == nil || len(report.Requests) != 1 {
		return console.Account{}, forConsole(err)
	}
	a := &report.Requests[0]
	out := console.Account{
		ID: a.RequestID, Right: a.Right, Regime: a.Regime, Channel: a.Channel, Received: a.ReceiveDate, Answered: dayOf(a.AnswerTime), Result: a.Result, ReasonCode: a.ReasonCode,
		Closed: a.Closed, IntakeLeaf: a.IntakeLeaf, ClosureLeaf: a.ClosureLeaf, Records: a.Records, Origin: report.Origin, Root: report.Root, Size: report.Size,
	}
	if err != nil {
		out.Problems = strings.Split(err.Error(), "\n")
	}
	for i := range a.Lines {
		out.Lines = append(out.Lines, accountLine(&a.Lines[i]))
	}
	for _, o := range a.Omitted {
		out.Omitted = append(out.Omitted, o.Connector+": "+strings.ReplaceAll(o.Reason, "_", " "))
	}
	return out, nil
}

func accountLine(l *pack.Line) console.AccountLine {
	out := console.AccountLine{
		Connector: l.Connector, Version: l.Version, Action: l.Action, Outcome: strings.ReplaceAll(l.Outcome, "_", " "), Detail: l.Detail, Digest: l.Digest, Leaf: l.Leaf,
		BackupExpiry: dayOf(l.BackupExpiry),
	}
	if !l.Time.IsZero() {
		out.Said = l.Time.UTC().Format("2 Jan 2006, 15:04 UTC")
	}
	for _, s := range l.Stores {
		out.Stores = append(out.Stores, console.AccountStore{
			Name: s.Name, Category: s.Category, Basis: s.Basis, Until: dayOf(s.Until), Located: s.Located, Erased: s.Erased, Kept: s.Kept, Remaining: s.Remaining, CopiedOut: s.Exported,
		})
	}
	return out
}

// RequestPack implements [console.Evidence].
func (l logPages) RequestPack(ctx context.Context, id request.ID, w io.Writer) error {
	return forConsole(requestPack(ctx, l.source, string(id), w))
}

// PeriodPack implements [console.Evidence].
func (l logPages) PeriodPack(ctx context.Context, from, to string, w io.Writer) error {
	return forConsole(periodPack(ctx, l.source, from, to, w))
}

// Certificate implements [console.Evidence].
func (l logPages) Certificate(ctx context.Context, id request.ID, w io.Writer) error {
	report, problem := pack.Inspect(ctx, l.source, string(id))
	if report == nil {
		return forConsole(problem)
	}
	var out bytes.Buffer // a page or two, whole or not at all
	if err := pack.WriteCertificate(&out, report, problem); err != nil {
		return err
	}
	_, err := out.WriteTo(w)
	return err
}
