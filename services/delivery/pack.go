package delivery

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/flate"
)

// File is one file of a package.
type File struct {
	Name      string `json:"name"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"` // lower-case hex
}

// packer writes a zip, sealed, and keeps count of what is in it.
type packer struct {
	zip    *zip.Writer
	sealed io.WriteCloser
	made   time.Time
	files  []File
	digest hash.Hash // of the zip
	size   int64
}

func newPacker(out io.Writer, recipient age.Recipient, made time.Time) (*packer, error) {
	sealed, err := age.Encrypt(out, recipient)
	if err != nil {
		return nil, fmt.Errorf("sealing the package: %w", err)
	}
	p := &packer{sealed: sealed, made: made.UTC(), digest: sha256.New()}
	p.zip = zip.NewWriter(writerFunc(func(b []byte) (int, error) {
		n, err := sealed.Write(b)
		p.digest.Write(b[:n])
		p.size += int64(n)
		return n, err
	}))
	p.zip.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, 5) })
	return p, nil
}

// add writes one file.
func (p *packer) add(name, mediaType string, fill func(io.Writer) error) error {
	w, err := p.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: p.made})
	if err != nil {
		return fmt.Errorf("adding %s to the package: %w", name, err)
	}
	digest, size := sha256.New(), int64(0)
	if err := fill(writerFunc(func(b []byte) (int, error) {
		n, err := w.Write(b)
		digest.Write(b[:n])
		size += int64(n)
		return n, err
	})); err != nil {
		return err
	}
	p.files = append(p.files, File{Name: name, MediaType: mediaType, Size: size, SHA256: hex.EncodeToString(digest.Sum(nil))})
	return nil
}

func (p *packer) close() error {
	if err := p.zip.Close(); err != nil {
		return fmt.Errorf("finishing the package: %w", err)
	}
	if err := p.sealed.Close(); err != nil {
		return fmt.Errorf("sealing the package: %w", err)
	}
	return nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Open opens a package with the identity it was made for and gives the zip and
// its size in bytes. One whose time is over is [ErrNotFound] whether or not it was
// swept. A read that meets damage returns an error that wraps
// [ErrNotReadable]; what was read before it is genuine.
func (r *Room) Open(ctx context.Context, key string, identity age.Identity) (io.ReadCloser, int64, error) {
	sealed, size, made, err := r.shelf.open(ctx, key)
	if err != nil {
		return nil, 0, err
	}
	if r.config.Now().Sub(made) > r.config.TTL {
		_ = sealed.Close() // nothing was read from it
		return nil, 0, ErrNotFound
	}
	plain, zipSize, err := unseal(sealed, size, identity)
	if err != nil {
		_ = sealed.Close() // only read from; the error at hand says more
		return nil, 0, err
	}
	return &packageReader{plain: plain, sealed: sealed}, zipSize, nil
}

type packageReader struct {
	plain  io.Reader
	sealed io.Closer
}

func (p *packageReader) Read(b []byte) (int, error) {
	n, err := p.plain.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // io.EOF is never wrapped by a reader
		err = fmt.Errorf("%w: %w", ErrNotReadable, err)
	}
	return n, err
}

func (p *packageReader) Close() error { return p.sealed.Close() }
