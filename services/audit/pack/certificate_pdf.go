package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/habeas-data/habeas/services/internal/pdf"
)

// Inspect reads the records of one request and checks them as a reader of its
// pack would, believing the keys that the source names. The report is there for
// records that do not add up too, with an error that wraps [ErrIncomplete].
func Inspect(ctx context.Context, source Source, requestID string) (*Report, error) {
	files, err := gather(ctx, source, requestID)
	if err != nil {
		return nil, fmt.Errorf("reading the evidence of request %s: %w", requestID, err)
	}
	return verifyFiles(files, Trust{})
}

// WriteCertificate writes what the records of a request say as a PDF for people,
// with where they are in the log and how to check them. problem is what did not
// add up, or nil. It names nobody.
func WriteCertificate(w io.Writer, report *Report, problem error) error {
	if len(report.Requests) != 1 {
		return errors.New("writing a certificate: it is about one request")
	}
	a := &report.Requests[0]
	d := pdf.New("Evidence of request "+a.RequestID, "Request "+a.RequestID)
	d.Title("Certificate of verifiable evidence")
	d.Text("This page is for reading. The evidence is the signed records and proofs in the evidence pack of the request; each figure below was asserted and signed by the system named with it, and nobody has changed or removed the assertion since. It is no statement about copies in systems that are not listed here.")
	if problem != nil {
		d.Heading("This evidence does not add up")
		d.Text(problem.Error())
	}
	writeAsked(d, a)
	for i := range a.Lines {
		writeLine(d, &a.Lines[i])
	}
	if len(a.Omitted) > 0 {
		d.Heading("Left out of the plan")
		for _, o := range a.Omitted {
			d.Field(o.Connector, words(o.Reason))
		}
	}
	writePlace(d, report, a)
	if _, err := d.WriteTo(w); err != nil {
		return fmt.Errorf("writing a certificate: %w", err)
	}
	return nil
}

func words(code string) string { return strings.ReplaceAll(code, "_", " ") }

func writeAsked(d *pdf.Document, a *Account) {
	d.Heading("The request")
	d.Field("Request", a.RequestID)
	d.Field("Asked for", words(a.Right)+" ("+a.Regime+")")
	d.Field("Received", a.ReceiveDate+", by "+words(a.Channel)+" ("+moment(a.ReceiveTime)+"; the day is counted where the law applies)")
	if !a.Closed {
		d.Field("Answer", "the request is still open")
		return
	}
	d.Field("Answered", moment(a.AnswerTime))
	answer := words(a.Result)
	if a.ReasonCode != "" {
		answer += " (" + a.ReasonCode + ")"
	}
	d.Field("Answer", answer)
}

func writeLine(d *pdf.Document, l *Line) {
	outcome := words(l.Outcome)
	if outcome == "" {
		outcome = "no answer yet"
	}
	d.Heading(l.Connector + " " + l.Version + ": " + words(l.Action) + ", " + outcome)
	if l.Detail != "" {
		d.Text(l.Detail)
	}
	if len(l.Stores) > 0 {
		columns := []pdf.Column{
			{Heading: "Store", Share: 26}, {Heading: "Located", Share: 10, Right: true}, {Heading: "Erased", Share: 10, Right: true},
			{Heading: "Kept", Share: 8, Right: true}, {Heading: "Remaining", Share: 12, Right: true}, {Heading: "Copied out", Share: 12, Right: true}, {Heading: "Kept because", Share: 26},
		}
		var rows [][]string
		for _, s := range l.Stores {
			rows = append(rows, storeCells(s, s.Name+category(s), keptBecause(s)))
		}
		if len(l.Stores) > 1 {
			rows = append(rows, storeCells(sumLine(*l), "Together", ""))
		}
		d.Table(columns, rows)
	}
	if l.Digest != "" {
		text := "Said " + moment(l.Time) + ", leaf " + strconv.FormatInt(l.Leaf, 10) + " of the log."
		if end := day(l.BackupExpiry); end != "" {
			text += " Backups of this system will have forgotten by " + end + "."
		}
		d.Text(text)
		d.Code("sha256 " + l.Digest)
	}
}

func category(s Store) string {
	if s.Category == "" {
		return ""
	}
	return " (category " + s.Category + ")"
}

// keptBecause says what became of records that were not removed.
func keptBecause(s Store) string {
	var parts []string
	for _, c := range []struct {
		n    int64
		what string
	}{
		{s.Deidentified, "deidentified, not erased"}, {s.Emptied, "emptied, not removed"}, {s.Masked, "masked, not removed"},
		{s.Standing, "with the choice in force before"}, {s.Anew, "with the choice put in force anew"},
	} {
		if c.n > 0 {
			parts = append(parts, strconv.FormatInt(c.n, 10)+" "+c.what)
		}
	}
	if why := keptBasis(s); why != "" {
		parts = append(parts, why)
	}
	return strings.Join(parts, "; ")
}

func keptBasis(s Store) string {
	if s.Kept == 0 {
		return ""
	}
	if end := day(s.Until); end != "" {
		return s.Basis + ", until " + end
	}
	return s.Basis
}

func storeCells(s Store, name, because string) []string {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	return []string{name, n(s.Located), n(s.Erased), n(s.Kept), n(s.Remaining), n(s.Exported), because}
}

func writePlace(d *pdf.Document, report *Report, a *Account) {
	d.Heading("In the log")
	d.Field("Log", report.Origin)
	d.Field("Records", strconv.Itoa(a.Records))
	d.Field("First and last", leafText(a.IntakeLeaf)+" (intake), "+leafText(a.ClosureLeaf)+" (closure)")
	d.Field("Head", strconv.FormatInt(report.Size, 10)+" leaves, with the root")
	d.Code(report.Root)
	d.Heading("How to check it")
	d.Text("Get the evidence pack of this request: habeas evidence export --request " + a.RequestID + " --out pack, or from the console. Get the public keys of the company by another way and keep them. Then, with Python 3.9 and openssl 3 and nothing of ours:")
	d.Code("python3 pack/verify.py pack --key company-keys.txt")
	d.Text("It says that everything holds, or what does not. The file of each record has the SHA-256 that is printed above; README.md in the pack says how to check each by hand. Keep checkpoints/end: a log that is rewritten later can't be shown to begin with it.")
}

func leafText(leaf int64) string {
	if leaf < 0 {
		return "none"
	}
	return "leaf " + strconv.FormatInt(leaf, 10)
}
