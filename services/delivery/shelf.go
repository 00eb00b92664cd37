package delivery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/gcerrors"
)

// shelf is where finished packages are.
type shelf interface {
	// create begins a package. Nothing is there until commit.
	create(ctx context.Context, key string) (shelfWriter, error)
	open(ctx context.Context, key string) (r io.ReadCloser, size int64, made time.Time, err error)
	// remove removes a package; one that is not there is no error.
	remove(ctx context.Context, key string) error
	list(ctx context.Context, fn func(key string, made time.Time) error) error
	// check reports whether packages can be reached.
	check(ctx context.Context) error
}

// shelfWriter writes one package.
type shelfWriter interface {
	io.Writer
	// commit makes the package visible, whole and durable. After an error it
	// may be there or not.
	commit() error
	// abort drops what was written.
	abort() error
}

// openShelf opens a folder, which it makes, or a bucket by a URL of
// gocloud.dev/blob whose driver the program links.
func openShelf(ctx context.Context, where string) (*bucketShelf, error) {
	if strings.Contains(where, "://") {
		b, err := blob.OpenBucket(ctx, where)
		if err != nil {
			return nil, fmt.Errorf("opening the bucket for packages: %w", err)
		}
		return &bucketShelf{bucket: b, where: where}, nil
	}
	b, err := fileblob.OpenBucket(where, &fileblob.Options{
		CreateDir: true, DirFileMode: 0o700, NoTempDir: true, Metadata: fileblob.MetadataDontWrite,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the folder for packages: %w", err)
	}
	return &bucketShelf{bucket: b, where: where, folder: true}, nil
}

type bucketShelf struct {
	bucket *blob.Bucket
	where  string
	folder bool
}

func (s *bucketShelf) create(ctx context.Context, key string) (shelfWriter, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &bucketWriter{cancel: cancel, where: s.where}
	var err error
	w.w, err = s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: "application/octet-stream", // also: no sniffing, no buffering before the file
		BeforeWrite: func(as func(any) bool) error {
			var f *os.File
			if as(&f) {
				w.file = f
			}
			return nil
		},
	})
	if err != nil {
		cancel()
		return nil, writeError("beginning a package", s.where, err)
	}
	return w, nil
}

type bucketWriter struct {
	w      *blob.Writer
	cancel context.CancelFunc
	where  string
	file   *os.File // of a folder's bucket
}

func (w *bucketWriter) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	return n, writeError("writing the package", w.where, err)
}

// commit renames a folder's file only after its bytes are on disk, and returns
// only after the name is.
func (w *bucketWriter) commit() error {
	if w.file != nil {
		if err := w.file.Sync(); err != nil {
			return errors.Join(writeError("writing the package", w.where, err), w.abort())
		}
	}
	defer w.cancel()
	if err := w.w.Close(); err != nil {
		return writeError("storing the package", w.where, err)
	}
	if w.file == nil {
		return nil
	}
	dir, err := os.Open(filepath.Dir(w.file.Name()))
	if err != nil {
		return fmt.Errorf("storing the package: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("storing the package: %w", err)
	}
	return nil
}

func (w *bucketWriter) abort() error {
	w.cancel() // makes Close drop everything
	if err := w.w.Close(); err != nil && !errors.Is(err, context.Canceled) && gcerrors.Code(err) != gcerrors.Canceled {
		return fmt.Errorf("dropping an unfinished package: %w", err)
	}
	return nil
}

func (s *bucketShelf) open(ctx context.Context, key string) (io.ReadCloser, int64, time.Time, error) {
	r, err := s.bucket.NewReader(ctx, key, nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, 0, time.Time{}, ErrNotFound
	}
	if err != nil {
		return nil, 0, time.Time{}, fmt.Errorf("opening a package: %w", err)
	}
	return r, r.Size(), r.ModTime(), nil
}

func (s *bucketShelf) remove(ctx context.Context, key string) error {
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("removing a package: %w", err)
	}
	return nil
}

func (s *bucketShelf) check(ctx context.Context) error {
	if s.folder { // a folder's bucket calls itself accessible when it is gone
		if _, err := os.Stat(s.where); err != nil {
			return fmt.Errorf("reaching the packages: %w", err)
		}
	}
	ok, err := s.bucket.IsAccessible(ctx)
	if err == nil && !ok {
		err = errors.New("it is not there")
	}
	if err != nil {
		return fmt.Errorf("reaching the packages: %w", err)
	}
	return nil
}

func (s *bucketShelf) list(ctx context.Context, fn func(string, time.Time) error) error {
	it := s.bucket.List(nil)
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("listing packages: %w", err)
		}
		if err := fn(o.Key, o.ModTime); err != nil {
			return err
		}
	}
}
