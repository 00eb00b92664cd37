package drop

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// ErrArchive says that a downloaded file is not one of the platform's: it is
// damaged, holds something else than lists, or unpacks to more than lists can.
var ErrArchive = errors.New("not a download of the platform")

// What an archive may hold. Hashes look random and hardly compress: what unpacks
// to many times its size is no list.
const (
	archiveFiles = 64
	archiveBytes = 64 << 30
	archiveRatio = 20
	ratioFrom    = 1 << 20
	lineBytes    = 256
)

var fileName = regexp.MustCompile(`^([0-9]{8}_[0-9]{4})_(NDZ|Email|Phone|MAID|NameVIN|CTVID|Removed)\.csv$`)

// ReadArchive hands every item of a downloaded archive to take, the withdrawn
// ones last, and returns the name the lists have in common, such as
// "20260312_4821". It holds one line at a time. The error is [ErrArchive],
// [ErrList] or what take returned; it names a file of the archive by its place.
func ReadArchive(path string, take func(batch string, list List, item Item) error) (batch string, err error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", fmt.Errorf("opening the archive: %w: %w", ErrArchive, err)
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	files := make(map[List]*zip.File)
	if len(archive.File) > archiveFiles {
		return "", fmt.Errorf("reading the archive: %d files: %w", len(archive.File), ErrArchive)
	}
	var total uint64
	for i, f := range archive.File {
		part := fileName.FindStringSubmatch(f.Name)
		if part == nil || !f.Mode().IsRegular() {
			return "", fmt.Errorf("reading the archive: file %d has no name of a list: %w", i+1, ErrArchive)
		}
		list := List(part[2])
		total += f.UncompressedSize64
		switch {
		case batch != "" && batch != part[1]:
			return "", fmt.Errorf("reading the archive: file %d is of another download: %w", i+1, ErrArchive)
		case files[list] != nil:
			return "", fmt.Errorf("reading the archive: %s is there twice: %w", list, ErrArchive)
		case f.UncompressedSize64 > archiveBytes || total > archiveBytes,
			f.UncompressedSize64 > ratioFrom && f.UncompressedSize64/archiveRatio > f.CompressedSize64:
			return "", fmt.Errorf("reading the archive: %s unpacks to more than a list can be: %w", list, ErrArchive)
		}
		batch, files[list] = part[1], f
	}
	if batch == "" {
		return "", fmt.Errorf("reading the archive: it is empty: %w", ErrArchive)
	}
	for _, list := range append(Lists(), ListRemoved) {
		if files[list] == nil {
			continue
		}
		if err := readFile(files[list], list, func(item Item) error { return take(batch, list, item) }); err != nil {
			return "", err
		}
	}
	return batch, nil
}

func readFile(f *zip.File, list List, take func(Item) error) (err error) {
	in, err := f.Open()
	if err != nil {
		return fmt.Errorf("reading the archive: %s: %w: %w", list, ErrArchive, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	// One byte more than declared, so that a longer file is seen to be one.
	whole := &counted{r: io.LimitReader(in, int64(min(f.UncompressedSize64, archiveBytes))+1)}
	err = Read(list, whole, take)
	switch {
	case errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrFormat), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %w", ErrArchive, err)
	case err == nil && whole.n != f.UncompressedSize64:
		return fmt.Errorf("reading the archive: %s is not as long as it says: %w", list, ErrArchive)
	}
	return err
}

type counted struct {
	r io.Reader
	n uint64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += uint64(n) //nolint:gosec // never negative
	return n, err
}

// narrow refuses lines longer than a list's can be, and quotes, which would let
// one field go on over lines.
type narrow struct {
	r    io.Reader
	line int
}

func (n *narrow) Read(p []byte) (int, error) {
	got, err := n.r.Read(p)
	for _, b := range p[:got] {
		n.line++
		if b == '\n' {
			n.line = 0
		}
		if n.line > lineBytes || b == '"' {
			return 0, fmt.Errorf("a line is longer than %d bytes, or has a quote: %w", lineBytes, ErrList)
		}
	}
	return got, err
}
