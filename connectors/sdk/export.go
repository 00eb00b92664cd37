package sdk

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// exportStore is the connector's export bucket, opened when it is first used.
type exportStore struct {
	mu    sync.Mutex
	store jetstream.ObjectStore
	// within is how long the bus may take to answer; 0 means 10 seconds.
	within time.Duration
}

func (s *exportStore) open(ctx context.Context, js jetstream.JetStream, connector string) (jetstream.ObjectStore, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		// The call's own deadline is minutes away, and an answer that was lost
		// with the bus would hold every export until then.
		ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.within, 10*time.Second))
		defer cancel()
		store, err := js.ObjectStore(ctx, wire.ExportBucket(connector))
		if err != nil {
			return nil, fmt.Errorf("opening the export bucket: %w", err)
		}
		s.store = store
	}
	return s.store, nil
}

// forget has the bucket opened anew: it may have been made anew, or changed.
func (s *exportStore) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store = nil
}

// doExport copies records out and checks that the copy holds what was located.
// A record that comes or goes meanwhile is allowed for by looking before and
// after.
func (w *worker) doExport(ctx context.Context, t *task, e Exporter) (*habeasv1.Outcome, error) {
	recipient, err := age.ParseX25519Recipient(t.job.GetExportRecipient())
	if err != nil {
		return failedOutcome(codeMalformed, true, "job: field export_recipient is not an age recipient"), nil
	}
	before, err := w.locate(ctx, t)
	if err != nil {
		return nil, err
	}
	if before.all == 0 {
		return noMatchOutcome(before.counts(nil)), nil
	}
	t.seen = before.counts(nil)
	var parts []*exportPart
	var after census
	// A job may be delivered again after its outcome was believed. It must not
	// write over the objects that outcome names.
	prefix := t.job.GetJobId() + "/" + nuid.Next() + "/"
	err = w.try(ctx, func(ctx context.Context) error {
		if parts, err = w.export(ctx, t, e, recipient, prefix); err != nil {
			return err
		}
		if after, err = w.locate(ctx, t); err != nil {
			return err
		}
		return compareExport(before, after, parts)
	})
	if err != nil {
		return nil, err
	}
	o := doneOutcome(after.counts(&habeasv1.LocatedRecord{Stores: before.located()}))
	for _, p := range parts {
		o.Parts = append(o.Parts, p.message())
		for _, count := range o.GetStores() {
			if count.GetStore() == p.store && count.GetCategory() == p.category {
				count.ExportedCount = p.records
			}
		}
	}
	return o, nil
}

// compareExport returns an error unless each store's copy holds as many
// records as were there before or after it, or between.
func compareExport(before, after census, parts []*exportPart) error {
	exported := map[string]int64{}
	for _, p := range parts {
		exported[p.store] += p.records
	}
	was, is := before.byStore(), after.byStore()
	for _, have := range []map[string]int64{was, is, exported} {
		for store := range have {
			low, high := min(was[store], is[store]), max(was[store], is[store])
			if n := exported[store]; n < low || n > high {
				return WithCode(Internal, fmt.Errorf("store %s: %d records exported, %d located before and %d after", store, n, was[store], is[store]))
			}
		}
	}
	return nil
}

func (w *worker) export(ctx context.Context, t *task, e Exporter, recipient age.Recipient, prefix string) ([]*exportPart, error) {
	ctx, end := w.telemetry.span(ctx, "act")
	defer end()
	bucket, err := w.exports.open(ctx, w.js, w.Manifest.Name)
	if err != nil {
		return nil, err
	}
	out := &exportWriter{w: w, bucket: bucket, recipient: recipient, prefix: prefix}
	err = w.call(ctx, func(ctx context.Context) error {
		defer out.abandon()
		out.ctx = ctx
		if err := e.Export(ctx, t.person, out); err != nil {
			return err
		}
		return out.finish()
	})
	if err != nil {
		w.exports.forget()
	}
	return out.parts, err
}

// exportWriter is the [RecordWriter] of an export: one sealed object for each
// store and category, written as it comes, in memory that does not grow.
type exportWriter struct {
	w         *worker
	ctx       context.Context //nolint:containedctx // of the one call this writer lives in
	bucket    jetstream.ObjectStore
	recipient age.Recipient
	prefix    string

	mu    sync.Mutex
	parts []*exportPart
	done  bool
}

var errExportOver = errors.New("writing to an export that is over")

// Write implements [RecordWriter].
func (e *exportWriter) Write(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	line, withheld, err := exportLine(r)
	if err != nil {
		return WithCode(Configuration, Permanent(fmt.Errorf("exporting from store %s: %w", r.Store, err)))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.done {
		return errExportOver
	}
	p, err := e.part(r)
	if err != nil {
		return err
	}
	for _, kind := range withheld {
		if !slices.Contains(p.withheld, kind) {
			p.withheld = append(p.withheld, kind)
		}
	}
	p.records++
	return p.write(line)
}

// part returns the part a record goes to, and starts it when it is the first.
func (e *exportWriter) part(r Record) (*exportPart, error) {
	for _, p := range e.parts {
		if p.store == r.Store && p.category == r.Category {
			return p, nil
		}
	}
	if !slices.ContainsFunc(e.w.Manifest.Stores, func(s Store) bool { return s.Name == r.Store }) {
		return nil, WithCode(Configuration, Permanent(fmt.Errorf("exporting: store %s is not in the manifest", r.Store)))
	}
	p, err := startPart(e.ctx, e.bucket, e.recipient, e.prefix+strconv.Itoa(len(e.parts)), r)
	if err != nil {
		return nil, err
	}
	e.parts = append(e.parts, p)
	return p, nil
}

// finish completes every part.
func (e *exportWriter) finish() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = true
	for _, p := range e.parts {
		if err := p.finish(); err != nil {
			return fmt.Errorf("storing the export of store %s: %w", p.store, err)
		}
	}
	return nil
}

// abandon gives up what is not finished.
func (e *exportWriter) abandon() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done = true
	for _, p := range e.parts {
		p.abandon()
	}
}

// exportPart is one object being written: JSON Lines, gzipped, encrypted.
type exportPart struct {
	object, store, category string
	records                 int64
	withheld                []string

	zip    *gzip.Writer
	box    io.WriteCloser
	pipe   *io.PipeWriter
	sealed *sealedReader
	stored chan error
}

func startPart(ctx context.Context, bucket jetstream.ObjectStore, to age.Recipient, object string, r Record) (*exportPart, error) {
	read, write := io.Pipe()
	p := &exportPart{object: object, store: r.Store, category: r.Category, pipe: write, stored: make(chan error, 1)}
	p.sealed = &sealedReader{from: read, hash: sha256.New()}
	// Without a deadline every question to the bus has one of its own. With the
	// call's, minutes away, an answer lost with the bus would hold the part, and
	// the cohort of its job, until then.
	put, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	go func() {
		defer cancel()
		defer stop()
		_, err := bucket.Put(put, jetstream.ObjectMeta{Name: object}, p.sealed)
		// Whoever is writing must not wait for a reader that is gone.
		read.CloseWithError(err)
		p.stored <- err
	}()
	var err error
	if p.box, err = age.Encrypt(write, to); err != nil {
		p.abandon()
		return nil, fmt.Errorf("encrypting an export: %w", err)
	}
	if p.zip, err = gzip.NewWriterLevel(p.box, gzip.BestSpeed); err != nil {
		p.abandon()
		return nil, err
	}
	head, err := json.Marshal(struct {
		Store    string `json:"store"`
		Category string `json:"category"`
	}{r.Store, r.Category})
	if err == nil {
		err = p.write(head)
	}
	if err != nil {
		p.abandon()
		return nil, err
	}
	return p, nil
}

func (p *exportPart) write(line []byte) error {
	if _, err := p.zip.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("storing an export: %w", err)
	}
	return nil
}

func (p *exportPart) finish() error {
	err := errors.Join(p.zip.Close(), p.box.Close())
	p.pipe.CloseWithError(err) // nil is the end of the object
	stored := <-p.stored
	p.stored <- stored // for abandon
	return errors.Join(err, stored)
}

// message is what to say of a finished part.
func (p *exportPart) message() *habeasv1.ExportPart {
	slices.Sort(p.withheld)
	return &habeasv1.ExportPart{
		Object: p.object, Store: p.store, RecordCount: p.records, Size: p.sealed.size, Sha256: p.sealed.hash.Sum(nil), Withheld: p.withheld,
	}
}

// abandon stops the part unless it is finished, and waits until it has stopped.
func (p *exportPart) abandon() {
	p.pipe.CloseWithError(errExportOver)
	stored := <-p.stored
	p.stored <- stored
}

// sealedReader hands the sealed bytes on in whole chunks, because each Read
// becomes a message, and measures them.
type sealedReader struct {
	from io.Reader
	hash hash.Hash
	size int64
}

// Read implements [io.Reader].
func (s *sealedReader) Read(p []byte) (int, error) {
	n, err := io.ReadFull(s.from, p)
	s.hash.Write(p[:n])
	s.size += int64(n)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// exportField is one field of a line; one of Value, File and Withheld is there.
type exportField struct {
	Name     string          `json:"name"`
	Value    json.RawMessage `json:"value,omitempty"`
	File     *exportFile     `json:"file,omitempty"`
	Withheld string          `json:"withheld,omitempty"`
}

// exportFile is a document on its way into the package.
type exportFile struct {
	MediaType string `json:"media_type"`
	Content   []byte `json:"content"`
	Text      string `json:"text,omitempty"`
}

// exportLine is a record as a line, and the types of what it withholds.
func exportLine(r Record) (line []byte, withheld []string, err error) {
	fields := make([]exportField, 0, len(r.Fields))
	for _, f := range r.Fields {
		out := exportField{Name: f.Name}
		switch v := f.Value.(type) {
		case Withheld:
			out.Withheld = string(v)
			withheld = append(withheld, string(v))
		case Document:
			if len(v.Content) > wire.MaxCopyFile || v.MediaType != "text/plain" && v.MediaType != "application/pdf" {
				return nil, nil, fmt.Errorf("field %s: want a document of text/plain or application/pdf of at most %d bytes", f.Name, wire.MaxCopyFile)
			}
			out.File = &exportFile{MediaType: v.MediaType, Content: v.Content, Text: v.Text}
		case nil, string, bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64, time.Time, json.RawMessage:
			if out.Value, err = json.Marshal(v); err != nil {
				// The value could be in the error's text.
				return nil, nil, fmt.Errorf("field %s: a value JSON can't hold", f.Name)
			}
		default:
			return nil, nil, fmt.Errorf("field %s: a value of type %T", f.Name, v)
		}
		fields = append(fields, out)
	}
	line, err = json.Marshal(struct {
		Category string        `json:"category"`
		Fields   []exportField `json:"fields"`
	}{r.Category, fields})
	return line, withheld, err
}
