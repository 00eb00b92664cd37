package delivery

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
)

// Source is where sealed parts are.
type Source interface {
	// Open opens a part for reading. An error that wraps [ErrPart] says that
	// it is gone for good.
	Open(ctx context.Context, connector, object string) (io.ReadCloser, error)
}

// JetStream reads parts from the connectors' export buckets.
func JetStream(js jetstream.JetStream) Source { return bus{js, openTimeout} }

type bus struct {
	js          jetstream.JetStream
	openTimeout time.Duration
}

const (
	// maxRead bounds reading one part; the client would bound it to seconds when
	// the context had no deadline.
	maxRead = 6 * time.Hour
	// openTimeout is how long the bus may take to say where a part is. The
	// deadline above holds for its answers too, and an answer that was lost with
	// its server never comes.
	openTimeout = 15 * time.Second
)

func (b bus) Open(ctx context.Context, connector, object string) (io.ReadCloser, error) {
	store, err := b.js.ObjectStore(ctx, wire.ExportBucket(connector))
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, fmt.Errorf("%w: the connector has no export bucket", ErrPart)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the export bucket: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, maxRead)
	late := time.AfterFunc(b.openTimeout, cancel)
	r, err := store.Get(ctx, object)
	if !late.Stop() && err == nil { // it came at the very end, and can't be read any more
		err = errors.Join(context.Canceled, r.Close())
	}
	switch {
	case err == nil:
		return &cancelReader{ReadCloser: r, cancel: cancel}, nil
	case errors.Is(err, jetstream.ErrObjectNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		err = fmt.Errorf("%w: it is not there, or no longer", ErrPart)
	default:
		err = fmt.Errorf("opening the object: %w", err)
	}
	cancel()
	return nil, err
}

type cancelReader struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (r *cancelReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if errors.Is(err, jetstream.ErrDigestMismatch) {
		err = fmt.Errorf("%w: %w", ErrPart, err)
	}
	return n, err
}

func (r *cancelReader) Close() error {
	defer r.cancel()
	return r.ReadCloser.Close()
}

// spooled is a part on disk, as it came and verified.
type spooled struct {
	Part
	file *os.File
	// clean says that the survey screened all of it and found nothing. The
	// file cannot change any more, so that once is enough.
	clean bool
}

// spool copies a part into a file that has no name any more, so that a crash
// leaves nothing behind, and compares it with what its connector signed.
func (r *Room) spool(ctx context.Context, p Part) (s *spooled, err error) {
	file, err := os.CreateTemp(r.config.SpoolDir, "part-*")
	if err != nil {
		return nil, writeError("making a spool file", r.config.SpoolDir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	if err := os.Remove(file.Name()); err != nil {
		return nil, fmt.Errorf("unlinking a spool file: %w", err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	src, err := r.config.Source.Open(ctx, p.Connector, p.Object)
	if err != nil {
		return nil, partError(p, err)
	}
	defer src.Close()                                          // only read from; what matters is the digest
	defer context.AfterFunc(ctx, func() { _ = src.Close() })() // wakes a read that does not look at its context
	stall := time.AfterFunc(r.config.StallTimeout, func() { cancel(fmt.Errorf("no data for %v", r.config.StallTimeout)) })
	defer stall.Stop()

	digest := sha256.New()
	in := &watchedReader{src: io.LimitReader(src, p.Size+1), progress: func() { stall.Reset(r.config.StallTimeout) }}
	out := &spoolWriter{w: r.spoolTo(file)}
	size, err := io.Copy(io.MultiWriter(out, digest), in)
	switch {
	case out.err != nil:
		return nil, writeError(fmt.Sprintf("spooling a part of %s", p.Connector), r.config.SpoolDir, out.err)
	case ctx.Err() != nil:
		return nil, partError(p, context.Cause(ctx))
	case size > p.Size:
		return nil, partError(p, fmt.Errorf("%w: it is longer than the %d bytes its record names", ErrPart, p.Size))
	case err != nil && size == p.Size: // all of it came; the digest decides
	case err != nil:
		return nil, partError(p, fmt.Errorf("after %d of %d bytes: %w", size, p.Size, err))
	case size < p.Size:
		return nil, partError(p, fmt.Errorf("%w: it has %d bytes of the %d its record names", ErrPart, size, p.Size))
	}
	if subtle.ConstantTimeCompare(digest.Sum(nil), p.SHA256[:]) != 1 {
		return nil, partError(p, fmt.Errorf("%w: its digest is not the one its record names", ErrPart))
	}
	return &spooled{Part: p, file: file}, nil
}

// partError makes a PartError of what is the part's fault, and leaves what may
// pass, such as a bus that does not answer, as it is.
func partError(p Part, err error) error {
	if errors.Is(err, ErrPart) {
		return &PartError{Connector: p.Connector, Object: p.Object, Err: err}
	}
	return fmt.Errorf("reading export part %s of connector %s: %w", p.Object, p.Connector, err)
}

// watchedReader tells of progress.
type watchedReader struct {
	src      io.Reader
	progress func()
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if n > 0 {
		r.progress()
	}
	return n, err
}

// spoolWriter remembers that it was the writing that went wrong.
type spoolWriter struct {
	w   io.Writer
	err error
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}
