package lake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Options are the settings of a [Lake]. Map is required, and one of Folder and
// Bucket.
type Options struct {
	// Folder is the local folder that the map's paths start from.
	Folder string
	// Bucket is the address of an S3 bucket, as gocloud.dev/blob/s3blob reads
	// it: s3://NAME?region=REGION, and for servers other than Amazon's
	// &endpoint=https://HOST&use_path_style=true. Credentials are found as
	// Amazon's programs find them.
	Bucket string
	// OldVersions is "erase" (the default) or "expire": whether the older
	// versions that a bucket keeps are searched, copied and removed like files,
	// or left to the bucket's lifecycle rules.
	OldVersions string
	// State is a folder that outlives the process, in which unfinished uploads
	// are noted; empty notes none.
	State string
	// Map says what the files hold.
	Map *Map
	// Workers is how many files are read or written at once, over all calls;
	// zero means one for each processor.
	Workers int
	// Logger takes what an operator should know and no error says; nil means
	// slog.Default.
	Logger *slog.Logger
}

// Lake finds, copies and erases people in the files of one place. It is safe
// for concurrent use.
type Lake struct {
	stores []*store
	ignore []pattern
	roots  []string // the folders the stores' files lie in
	slots  chan struct{}
	logger *slog.Logger

	// connect opens the place the files are in.
	connect func(ctx context.Context) (bucket, error)
	opening sync.Mutex
	bucket  bucket // nil until the first call

	mu    sync.Mutex
	files map[string]*fileLock // by key, while somebody rewrites the file
}

var (
	_ sdk.Exporter    = (*Lake)(nil)
	_ sdk.BatchEraser = (*Lake)(nil)
)

// Open makes a Lake. It touches no file: the folder is opened when it is first
// needed, and may come up later.
func Open(o Options) (*Lake, error) {
	if o.Map == nil {
		return nil, errors.New("opening the lake: give a map")
	}
	l := &Lake{logger: o.Logger, files: make(map[string]*fileLock)}
	var err error
	if l.connect, err = o.place(); err != nil {
		return nil, fmt.Errorf("opening the lake: %w", err)
	}
	if l.stores, err = o.Map.compile(); err != nil {
		return nil, fmt.Errorf("opening the lake: %w", err)
	}
	for _, s := range o.Map.Ignore {
		p, err := parsePattern(s)
		if err != nil {
			return nil, fmt.Errorf("opening the lake: %w", err)
		}
		l.ignore = append(l.ignore, p)
	}
	l.roots = roots(l.stores)
	if l.logger == nil {
		l.logger = slog.Default()
	}
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	l.slots = make(chan struct{}, workers)
	return l, nil
}

// place says how to open the place the files are in.
func (o Options) place() (func(ctx context.Context) (bucket, error), error) {
	switch o.OldVersions {
	case "", "erase", "expire":
	default:
		return nil, fmt.Errorf("old versions: %q is neither erase nor expire", o.OldVersions)
	}
	switch {
	case o.Folder != "" && o.Bucket != "":
		return nil, errors.New("give a folder or a bucket, not both")
	case o.Bucket == "" && o.OldVersions != "":
		return nil, errors.New("old versions: only a bucket keeps them")
	case o.Bucket == "":
		return func(context.Context) (bucket, error) { return openFolder(o.Folder) }, nil
	}
	uploads := openUploadLog(o.State)
	return func(ctx context.Context) (bucket, error) {
		return openRemote(ctx, o.Bucket, o.OldVersions != "expire", uploads)
	}, nil
}

// ready opens the bucket, and finishes or undoes what a crash of an earlier
// process cut short, so that what is counted is what is there.
func (l *Lake) ready(ctx context.Context) error {
	l.opening.Lock()
	defer l.opening.Unlock()
	if l.bucket != nil {
		return nil
	}
	b, err := l.connect(ctx)
	if err != nil {
		return fmt.Errorf("opening the lake: %w", err)
	}
	if err := l.recover(ctx, b); err != nil {
		return fmt.Errorf("cleaning up after a crash: %w", err)
	}
	l.bucket = b
	return nil
}

// roots are the folders to list, none within another.
func roots(stores []*store) []string {
	var all []string
	for _, s := range stores {
		all = append(all, s.files.prefix())
	}
	slices.Sort(all)
	var out []string
	for _, prefix := range all {
		if len(out) == 0 || !strings.HasPrefix(prefix, out[len(out)-1]) {
			out = append(out, prefix)
		}
	}
	return out
}

func (l *Lake) recover(ctx context.Context, b bucket) error {
	for _, root := range l.roots {
		if err := b.recover(ctx, root); err != nil {
			return err
		}
	}
	return nil
}

// file is one file of a store.
type file struct {
	object
	store int // in Lake.stores
	day   time.Time
}

// list returns the files of every store. A file that no store claims is an
// error: it could hold the person.
func (l *Lake) list(ctx context.Context) ([]file, error) {
	if err := l.ready(ctx); err != nil {
		return nil, err
	}
	var files []file
	for _, root := range l.roots {
		objects, err := l.bucket.list(ctx, root)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			f, ok, err := l.claim(o)
			if err != nil {
				return nil, fmt.Errorf("listing %s: %w", o.key, err)
			}
			if ok {
				files = append(files, f)
			}
		}
	}
	return files, nil
}

// claim finds the store a file belongs to; false means it is ignored.
func (l *Lake) claim(o object) (file, bool, error) {
	name := path.Base(o.base)
	if strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") ||
		slices.ContainsFunc(l.ignore, func(p pattern) bool { return p.match(o.base) }) {
		return file{}, false, nil
	}
	found := -1
	for i, s := range l.stores {
		switch {
		case !s.files.match(o.base):
		case found >= 0:
			return file{}, false, misfit("it is claimed by both stores %s and %s: narrow the files of one in the map", l.stores[found].name, s.name)
		default:
			found = i
		}
	}
	if found < 0 {
		return file{}, false, misfit("no store of the map claims it: add it to a store's files, or to ignore if it holds no personal data")
	}
	day, err := l.stores[found].day(o.base)
	return file{object: o, store: found, day: day}, true, err
}

// fileLock keeps those who rewrite one file apart within this process.
type fileLock struct {
	mu    sync.Mutex
	users int
}

// hold locks a file by its key and returns the function that unlocks it.
func (l *Lake) hold(key string) (release func()) {
	l.mu.Lock()
	f := l.files[key]
	if f == nil {
		f = &fileLock{}
		l.files[key] = f
	}
	f.users++
	l.mu.Unlock()
	f.mu.Lock()
	return func() {
		f.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if f.users--; f.users == 0 {
			delete(l.files, key)
		}
	}
}

// each calls do for every one of n files, no more at once than there are
// workers, and returns one error for each. A file whose turn comes after ctx
// ended gets that error.
func (l *Lake) each(ctx context.Context, n int, do func(ctx context.Context, i int) error) []error {
	errs := make([]error, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(n, cap(l.slots)) {
		workers.Go(func() {
			for i := range next {
				errs[i] = l.one(ctx, i, do)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	return errs
}

func (l *Lake) one(ctx context.Context, i int, do func(ctx context.Context, i int) error) error {
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return do(ctx, i)
}
