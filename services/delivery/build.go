package delivery

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/habeas-data/habeas/services/request"
)

const scope = "github.com/habeas-data/habeas/services/delivery"

// Result is a finished package.
type Result struct {
	// Key opens it with [Room.Open].
	Key string
	// SHA256 and Size are those of the zip that the person downloads.
	SHA256 [32]byte
	Size   int64
	// MadeAt is when it was made, ExpiresAt from when it may be swept.
	MadeAt, ExpiresAt time.Time
	// Records is how many records it holds, over all stores.
	Records int64
	// Withheld is what the person does not get by its type, and Files what is
	// in the zip.
	Withheld []Withheld
	Files    []File
	// Texts are the fields that hold texts, when the order asks for them.
	Texts []request.TextField
	// Complete says that no connector is missing.
	Complete bool
}

// build is the state of one Build.
type build struct {
	order  Order
	made   time.Time
	screen *screen
	stores []*storeData
	// statements are the person's, screened like all else.
	statements []statementReport
	report     *report
}

// Build makes the package of an order and stores it. It may be called again
// for the same order: every call makes a package of its own, and one that
// nobody asked for is swept in its time. When the answer of storing is lost,
// Build returns an error and what may be there is removed or swept.
//
// An error that wraps [ErrPart] says that a connector has to export again;
// after others the same Build may succeed later.
func (r *Room) Build(ctx context.Context, o Order) (result Result, err error) {
	ctx, span := otel.Tracer(scope).Start(ctx, "delivery.build")
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}()
	span.SetAttributes(attribute.String("habeas.request_id", o.RequestID), attribute.Int("habeas.parts", len(o.Parts)))
	if err := o.check(); err != nil {
		return Result{}, err
	}
	if _, err := o.recipient(); err != nil {
		return Result{}, err
	}
	if o.Parts, err = distinctParts(o.Parts); err != nil {
		return Result{}, err
	}
	b := &build{order: o, made: r.config.Now().UTC().Truncate(time.Second), screen: newScreen(r.scan, &o)}
	if err := b.screen.selfCheck(); err != nil {
		return Result{}, fmt.Errorf("building a package: %w", err)
	}
	var parts []*spooled
	defer func() {
		for _, p := range parts {
			err = errors.Join(err, p.file.Close())
		}
	}()
	for _, p := range o.Parts {
		s, err := r.spool(ctx, p)
		if err != nil {
			return Result{}, err
		}
		parts = append(parts, s)
	}
	if b.stores, err = survey(ctx, parts, o.Identity, b.screen, o.FindTexts); err != nil {
		return Result{}, err
	}
	if err := b.screenStatements(); err != nil {
		return Result{}, err
	}
	if err := b.makeReport(r.config.Company); err != nil {
		return Result{}, err
	}
	return r.store(ctx, b)
}

// screenStatements takes what may never be disclosed out of the statements too:
// the person wrote them, and whoever opens the package reads them.
func (b *build) screenStatements() error {
	b.screen.own.begin([2]string{}, nil)
	for _, s := range b.order.Statements {
		text, err := marshal(s.Text.Reveal())
		if err != nil {
			return fmt.Errorf("reading a statement: %w", err)
		}
		f, err := b.screen.field("statement", text, "")
		if err != nil {
			return err
		}
		said := statementReport{Field: s.Field, Text: cellText(f.value)}
		if f.withheld != "" {
			said.Text = "[withheld: " + f.withheld + "]"
		}
		b.statements = append(b.statements, said)
	}
	return nil
}

// store writes the package and puts it on the shelf.
func (r *Room) store(ctx context.Context, b *build) (Result, error) {
	recipient, err := b.order.recipient()
	if err != nil {
		return Result{}, err
	}
	key := b.order.RequestID + "/" + strings.ToLower(rand.Text()) + ".zip.age"
	w, err := r.shelf.create(ctx, key)
	if err != nil {
		return Result{}, err
	}
	p, err := newPacker(w, recipient, b.made)
	if err == nil {
		err = b.write(ctx, p)
	}
	if err != nil {
		return Result{}, errors.Join(err, w.abort())
	}
	if err := w.commit(); err != nil {
		// It may be there all the same. Nobody will ask for it; the sweep gets
		// it when this does not.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return Result{}, errors.Join(err, r.shelf.remove(ctx, key))
	}
	res := Result{
		Key: key, SHA256: [32]byte(p.digest.Sum(nil)), Size: p.size, Withheld: b.report.Withheld, Files: p.files,
		MadeAt: b.made, ExpiresAt: b.made.Add(r.config.TTL), Complete: len(b.order.Missing) == 0, Texts: b.texts(),
	}
	for _, s := range b.stores {
		res.Records += s.records
	}
	return res, nil
}

// write writes the files of the package. The manifest is last: it has the
// digests of the others.
func (b *build) write(ctx context.Context, p *packer) error {
	if err := p.add("report.html", "text/html; charset=utf-8", b.report.write); err != nil {
		return err
	}
	if err := p.add("data.json", "application/json", func(w io.Writer) error { return writeData(ctx, w, b) }); err != nil {
		return err
	}
	for _, s := range b.stores {
		if err := p.add(s.csv, "text/csv; charset=utf-8; header=present", func(w io.Writer) error {
			return writeCSV(ctx, w, s, b.order.Identity, b.screen)
		}); err != nil {
			return err
		}
	}
	if err := b.writeDocuments(ctx, p); err != nil {
		return err
	}
	if len(b.report.Statements) > 0 {
		if err := p.add("statements.csv", "text/csv; charset=utf-8; header=present", b.writeStatements); err != nil {
			return err
		}
	}
	if err := p.add("data.schema.json", "application/schema+json", func(w io.Writer) error {
		_, err := w.Write(dataSchema)
		return err
	}); err != nil {
		return err
	}
	if err := p.add("manifest.json", "application/json", func(w io.Writer) error { return writeManifest(w, b, p.files) }); err != nil {
		return err
	}
	return p.close()
}
