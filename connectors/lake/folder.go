package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// folder is a bucket on a local file system.
//
// It does not go through a portable blob library, because erasing needs three
// things such libraries leave out: a directory that can't be read must be an
// error, a replacement must be undone when somebody else wrote meanwhile, and
// both the file and its directory must be on disk before success is reported.
type folder struct {
	dir string
}

// openFolder makes a folder of an existing directory.
func openFolder(dir string) (*folder, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding the folder: %w", err)
	}
	place, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, fmt.Errorf("finding the folder: %w", err)
	}
	info, err := os.Stat(place)
	if err != nil {
		return nil, fmt.Errorf("looking at the folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", dir)
	}
	return &folder{dir: place}, nil
}

func (f *folder) path(key string) string { return filepath.Join(f.dir, filepath.FromSlash(key)) }

func (f *folder) list(ctx context.Context, prefix string) ([]object, error) {
	var objects []object
	err := f.walk(ctx, prefix, func(key string) error {
		name := path.Base(key)
		switch {
		case isDraft(name):
			// Somebody's unfinished replacement: the file itself is in its place.
		case isSwap(name):
			s, err := parseSwap(name)
			if err != nil {
				return fmt.Errorf("listing %s: %w", key, err)
			}
			// One that is locked belongs to a replacement under way, whose
			// result is in place or will be undone.
			left, err := f.isLeft(key)
			if err != nil {
				return fmt.Errorf("listing %s: %w", key, err)
			}
			if left {
				objects = append(objects, object{key: key, base: path.Join(path.Dir(key), s.base)})
			}
		default:
			objects = append(objects, object{key: key, base: key})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(objects, func(a, b object) int { return cmp.Compare(a.key, b.key) })
	return objects, nil
}

// walk calls visit for every regular file below prefix.
func (f *folder) walk(ctx context.Context, prefix string, visit func(key string) error) error {
	root := f.path(prefix)
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		// More likely a volume that is not mounted than a store without files.
		return fmt.Errorf("listing: the folder %s is not there: mount or make it, or correct the map", filepath.Join(filepath.Base(f.dir), prefix))
	}
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		rel, relErr := filepath.Rel(f.dir, p)
		if relErr != nil {
			return fmt.Errorf("listing: %w", relErr)
		}
		key := filepath.ToSlash(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // removed since its directory was read
		case err != nil:
			return fmt.Errorf("listing %s: %w", key, reason(err))
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("listing: %s is not a regular file (%s): move it out or ignore it by name", key, d.Type().Type())
		}
		return visit(key)
	})
}

func (f *folder) open(_ context.Context, o object) (source, error) {
	return f.openFile(o.key)
}

// older returns nothing: a folder keeps no versions.
func (*folder) older(context.Context, string) ([]object, error) { return nil, nil }

func (*folder) discard(context.Context, object) error {
	return errors.New("a folder keeps no older versions")
}

func (f *folder) openFile(key string) (*folderFile, error) {
	file, err := os.Open(f.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errVanished
	}
	if err != nil {
		return nil, reason(err)
	}
	v, err := versionOf(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &folderFile{file: file, version: v, SectionReader: io.NewSectionReader(file, 0, v.size)}, nil
}

// folderFile is one open file of a folder.
type folderFile struct {
	*io.SectionReader
	file    *os.File
	version version
}

func (f *folderFile) Close() error { return f.file.Close() }

// version tells one state of a file from another.
type version struct {
	inode uint64
	size  int64
	mtime int64 // nanoseconds since 1970
	links int   // names the file has
}

// same reports whether two versions are the same bytes of the same file.
func (v version) same(w version) bool {
	return v.inode == w.inode && v.size == w.size && v.mtime == w.mtime
}

func versionOf(file *os.File) (version, error) {
	info, err := file.Stat()
	if err != nil {
		return version{}, reason(err)
	}
	return versionFrom(info), nil
}

// at is the version that has a name now; the zero version when none has.
func (f *folder) at(key string) (version, error) {
	info, err := os.Lstat(f.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return version{}, nil
	}
	if err != nil {
		return version{}, reason(err)
	}
	return versionFrom(info), nil
}

// reason strips the absolute path off an error of package os; callers name the
// file by its key.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", pe.Op, pe.Err)
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return fmt.Errorf("%s: %w", le.Op, le.Err)
	}
	return err
}

// syncDir makes the names in the directory of key durable.
func (f *folder) syncDir(key string) error {
	d, err := os.Open(filepath.Dir(f.path(key)))
	if err != nil {
		return reason(err)
	}
	return errors.Join(d.Sync(), d.Close())
}

func isDraft(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, draftSuffix)
}

func isSwap(name string) bool {
	return strings.HasPrefix(name, ".") && strings.HasSuffix(name, swapSuffix)
}
