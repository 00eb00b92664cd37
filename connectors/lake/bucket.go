package lake

import (
	"context"
	"errors"
	"io"
	"time"
)

var (
	// errConflict says that a file changed while it was rewritten. Nothing was
	// replaced; the rewriting can start again.
	errConflict = errors.New("the file was changed by another program meanwhile")
	// errBusy says that another program has the file open for writing.
	errBusy = errors.New("another program has the file open for writing")
	// errVanished says that a listed file is no longer there. Its records may
	// have moved to a file that was not listed.
	errVanished = errors.New("the file was removed or renamed after it was listed")
	// errSame is what a rewriting returns to say that there was nothing to take
	// out, so that the file stays as it is.
	errSame = errors.New("nothing to rewrite")
	// errNotHere says that this system lacks what a folder's safe rewriting needs.
	errNotHere = errors.New("erasing from a local folder needs Linux: run the connector there, or point it at a bucket")
)

// A bucket is where the files are. An implementation replaces a file only if
// it is still the version that was opened.
type bucket interface {
	// list returns every file below a prefix, which is empty or ends in "/",
	// in the order of their keys. A place that can't be looked into is an
	// error, not an empty place.
	list(ctx context.Context, prefix string) ([]object, error)
	// open returns one version of a file for reading. It fails with
	// errVanished when the file is gone. The source ends with ctx.
	open(ctx context.Context, o object) (source, error)
	// replace puts what write produces in the place of the file key, provided
	// that it is the file current describes once replace has it for itself:
	// write is given that version to read, and its error means that nothing is
	// replaced. It returns errConflict or errBusy, and has replaced nothing, when
	// another writer is or was at work.
	replace(ctx context.Context, key string, write func(src source, dst io.Writer) error) (replaced, error)
	// older lists the older versions of a file that the place keeps.
	older(ctx context.Context, key string) ([]object, error)
	// discard removes an older version. Doing it again is no error.
	discard(ctx context.Context, o object) error
	// recover finishes or undoes replacements that a crash cut short, below a
	// prefix as in list.
	recover(ctx context.Context, prefix string) error
}

// object is one listed file.
type object struct {
	// key is the file's path below the bucket's root, with slashes.
	key string
	// base is the key of the file this one is an older version of, when a
	// crash left it behind; otherwise it is key.
	base string
	// version names an older version that the place keeps; it is empty for the
	// file as it is now.
	version string
	// written is when an older version was written.
	written time.Time
}

// source is one version of a file. Reading and ReadAt end at the size the file
// had when it was opened.
type source interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Size() int64
}

// replaced tells what a replacement left behind.
type replaced struct {
	// otherNames is how many other ways lead to the old version: hard links in
	// a folder, versions that a bucket's lifecycle rules are left to remove.
	otherNames int
}
