package lake

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Preview is what an erasure would do, and did not.
type Preview struct {
	// Found is what [Lake.Locate] reports.
	Found []sdk.Found
	// Files are the files that would be rewritten, in the order of their names.
	Files []FilePreview
	// Searched is how many files were read.
	Searched int
}

// FilePreview is one file that would be rewritten.
type FilePreview struct {
	// Key is the file's path.
	Key string
	// Store is the store it belongs to.
	Store string
	// Records is how many records in it are the person's.
	Records int64
}

// Preview finds out what erasing a person would do. It writes nothing: not even
// what a crash left behind is tidied up, as every other call does first.
func (l *Lake) Preview(ctx context.Context, person sdk.Person) (*Preview, error) {
	reader := &Lake{
		stores: l.stores, ignore: l.ignore, roots: l.roots, slots: l.slots, logger: l.logger, files: make(map[string]*fileLock),
		connect: func(ctx context.Context) (bucket, error) {
			b, err := l.connect(ctx)
			return readOnly{b}, err
		},
	}
	q := newSought([]sdk.Person{person}, l.stores)
	if !q.any {
		return &Preview{}, ctx.Err()
	}
	finds, err := reader.find(ctx, q)
	if err != nil {
		return nil, err
	}
	p := &Preview{Searched: len(finds)}
	for _, f := range finds {
		var n int64
		for _, count := range f.counts {
			n += count
		}
		if s := l.stores[f.store]; n > 0 && !s.provider {
			p.Files = append(p.Files, FilePreview{Key: f.key, Store: s.name, Records: n})
		}
	}
	slices.SortFunc(p.Files, func(a, b FilePreview) int { return strings.Compare(a.Key, b.Key) })
	p.Found, err = reader.Locate(ctx, person)
	return p, err
}

// readOnly is a bucket in which nothing changes.
type readOnly struct{ bucket }

var errReadOnly = errors.New("a preview does not write")

func (readOnly) replace(context.Context, string, func(source, io.Writer) error) (replaced, error) {
	return replaced{}, errReadOnly
}

func (readOnly) discard(context.Context, object) error { return errReadOnly }

func (readOnly) recover(context.Context, string) error { return nil }
