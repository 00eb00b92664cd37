package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// A replacement goes through two hidden names beside the file:
//
//	.NAME.RANDOM.habeas-draft                    the new version, being written
//	.NAME.INODE-SIZE-MTIME-NEWINODE.habeas-swap  the new version, complete; after
//	                                             the exchange, the old version
//
// The exchange is one system call, so NAME always has a whole version. Its
// outcome is looked at afterwards and undone if what came out is not the
// version that was read. A crash leaves at most one of the hidden names, and
// the swap name says enough to finish or undo.
const (
	draftSuffix = ".habeas-draft"
	swapSuffix  = ".habeas-swap"
)

func (f *folder) replace(ctx context.Context, key string, write func(src source, dst io.Writer) error) (_ replaced, err error) {
	src, err := f.openFile(key)
	if err != nil {
		return replaced{}, err
	}
	// Closing also ends the lock and the lease.
	defer func() { err = errors.Join(err, src.Close()) }()
	if err := lock(src.file); err != nil {
		return replaced{}, err
	}
	lease, err := takeLease(src.file)
	if err != nil {
		return replaced{}, err
	}
	if err := f.unchanged(key, src, lease); err != nil {
		return replaced{}, err
	}

	draft, err := f.writeDraft(ctx, key, src, func(s source, dst io.Writer) error {
		return write(s, politeWriter{dst: dst, lease: lease})
	})
	if err != nil {
		return replaced{}, err
	}
	// The lock on the draft lasts until the hidden names are gone.
	defer func() { err = errors.Join(err, draft.file.Close()) }()
	if err := f.unchanged(key, src, lease); err != nil {
		return replaced{}, errors.Join(err, f.remove(draft.key))
	}
	if err := ctx.Err(); err != nil {
		return replaced{}, errors.Join(err, f.remove(draft.key))
	}
	if err := f.swap(key, src, draft, lease); err != nil {
		return replaced{}, err
	}
	return replaced{otherNames: src.version.links - 1}, nil
}

// politeWriter stops a rewriting as soon as somebody waits to write to the file.
type politeWriter struct {
	dst   io.Writer
	lease lease
}

func (w politeWriter) Write(p []byte) (int, error) {
	if w.lease.broken() {
		return 0, errConflict
	}
	return w.dst.Write(p)
}

// unchanged returns errConflict unless key still names the version src has.
func (f *folder) unchanged(key string, src *folderFile, l lease) error {
	now, err := versionOf(src.file)
	if err != nil {
		return err
	}
	named, err := f.at(key)
	if err != nil {
		return err
	}
	if !now.same(src.version) || !named.same(src.version) || l.broken() {
		return errConflict
	}
	return nil
}

// draftFile is a complete, durable new version under its draft name, locked.
type draftFile struct {
	key   string
	file  *os.File
	inode uint64
}

func (f *folder) writeDraft(ctx context.Context, key string, src *folderFile, write func(source, io.Writer) error) (_ *draftFile, err error) {
	info, err := src.file.Stat()
	if err != nil {
		return nil, reason(err)
	}
	dir, base := path.Split(key)
	file, err := os.CreateTemp(f.path(dir), "."+base+".*"+draftSuffix)
	if err != nil {
		return nil, reason(err)
	}
	d := &draftFile{key: dir + path.Base(file.Name()), file: file}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), f.remove(d.key))
		}
	}()
	if err := lock(file); err != nil {
		return nil, err
	}
	if err := write(src, file); err != nil {
		return nil, reason(err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := sameAccess(file, info); err != nil {
		return nil, err
	}
	if err := file.Sync(); err != nil {
		return nil, reason(err)
	}
	v, err := versionOf(file)
	if err != nil {
		return nil, err
	}
	d.inode = v.inode
	return d, nil
}

// swap exchanges the draft and the file and removes the old version. When the
// old version turns out not to be the one that was read, it goes back to its
// place and the draft is removed.
func (f *folder) swap(key string, src *folderFile, draft *draftFile, l lease) error {
	swapKey := path.Join(path.Dir(key), swapName{base: path.Base(key), old: src.version, inode: draft.inode}.String())
	if err := os.Rename(f.path(draft.key), f.path(swapKey)); err != nil {
		return errors.Join(reason(err), f.remove(draft.key))
	}
	if err := exchange(f.path(swapKey), f.path(key)); err != nil {
		return errors.Join(err, f.remove(swapKey))
	}
	now, err := f.at(swapKey)
	if err == nil && now.same(src.version) && !l.broken() {
		// The exchange is durable before the old version goes.
		return errors.Join(f.syncDir(key), f.remove(swapKey), f.syncDir(key))
	}
	if err := exchange(f.path(swapKey), f.path(key)); err != nil {
		return fmt.Errorf("putting back a file that changed meanwhile: %w", err)
	}
	back, err := f.at(swapKey)
	if err != nil {
		return err
	}
	if back.inode != draft.inode {
		// Replaced once more between the two exchanges: what came out is the
		// newest version, and belongs at the name.
		if err := exchange(f.path(swapKey), f.path(key)); err != nil {
			return fmt.Errorf("putting back a file that changed meanwhile: %w", err)
		}
	}
	return errors.Join(errConflict, f.remove(swapKey), f.syncDir(key))
}

func (f *folder) remove(key string) error {
	if err := os.Remove(f.path(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return reason(err)
	}
	return nil
}

// recover looks at every hidden name that no replacement holds locked.
func (f *folder) recover(ctx context.Context, prefix string) error {
	var left []string
	err := f.walk(ctx, prefix, func(key string) error {
		if name := path.Base(key); isDraft(name) || isSwap(name) {
			left = append(left, key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range left {
		if err := f.recoverOne(key); err != nil {
			return fmt.Errorf("cleaning up %s: %w", key, err)
		}
	}
	return nil
}

func (f *folder) recoverOne(key string) error {
	src, err := f.openFile(key)
	if errors.Is(err, errVanished) {
		return nil
	}
	if err != nil {
		return err
	}
	err = func() error {
		switch err := lock(src.file); {
		case errors.Is(err, errBusy):
			return nil // a replacement under way
		case err != nil:
			return err
		}
		name := path.Base(key)
		if isDraft(name) {
			return f.remove(key)
		}
		s, err := parseSwap(name)
		if err != nil {
			return err
		}
		if src.version.inode == s.inode || src.version.same(s.old) {
			// The new version before the exchange, or the old one after it.
			return errors.Join(f.remove(key), f.syncDir(key))
		}
		// The exchange took out a version that nobody had read: it goes back.
		base := path.Join(path.Dir(key), s.base)
		switch now, err := f.at(base); {
		case err != nil:
			return err
		case now.inode != s.inode:
			return fmt.Errorf("it holds a version of %s that was saved from being lost, and that file has changed or gone since: compare the two and remove one", base)
		}
		if err := exchange(f.path(key), f.path(base)); err != nil {
			return err
		}
		return errors.Join(f.remove(key), f.syncDir(key))
	}()
	return errors.Join(err, src.Close())
}

// isLeft reports whether no replacement under way holds key.
func (f *folder) isLeft(key string) (bool, error) {
	src, err := f.openFile(key)
	if errors.Is(err, errVanished) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = lock(src.file)
	left := err == nil
	if errors.Is(err, errBusy) {
		err = nil
	}
	return left, errors.Join(err, src.Close())
}

// swapName is what the swap name of a file says.
type swapName struct {
	base  string  // the file's own name
	old   version // the version that was read
	inode uint64  // the new version
}

func (s swapName) String() string {
	return fmt.Sprintf(".%s.%d-%d-%d-%d%s", s.base, s.old.inode, s.old.size, s.old.mtime, s.inode, swapSuffix)
}

func parseSwap(name string) (swapName, error) {
	bad := errors.New("its name is not one this program gives: rename or remove it")
	rest := strings.TrimSuffix(strings.TrimPrefix(name, "."), swapSuffix)
	dot := strings.LastIndexByte(rest, '.')
	if dot <= 0 {
		return swapName{}, bad
	}
	parts := strings.Split(rest[dot+1:], "-")
	if len(parts) != 4 {
		return swapName{}, bad
	}
	inode, err1 := strconv.ParseUint(parts[0], 10, 64)
	size, err2 := strconv.ParseInt(parts[1], 10, 64)
	mtime, err3 := strconv.ParseInt(parts[2], 10, 64)
	draft, err4 := strconv.ParseUint(parts[3], 10, 64)
	if errors.Join(err1, err2, err3, err4) != nil {
		return swapName{}, bad
	}
	return swapName{base: rest[:dot], old: version{inode: inode, size: size, mtime: mtime}, inode: draft}, nil
}
