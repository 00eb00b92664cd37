package lake

import (
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds what decompressing one file may need.
const maxWindow = 128 << 20

func (f *textFormat) codec(key string) string {
	switch {
	case f.compression != "" && f.compression != "auto":
		return f.compression
	case strings.HasSuffix(key, ".gz"):
		return "gzip"
	case strings.HasSuffix(key, ".zst"):
		return "zstd"
	}
	return "none"
}

func (f *textFormat) decompress(key string, r io.Reader) (io.ReadCloser, error) {
	switch f.codec(key) {
	case "gzip":
		return gzip.NewReader(r)
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return d.IOReadCloser(), nil
	}
	return io.NopCloser(r), nil
}

// compress makes a writer whose Close completes the compressed stream. One that
// is not closed holds nothing that needs freeing.
func (f *textFormat) compress(key string, w io.Writer, src source) (io.WriteCloser, error) {
	switch f.codec(key) {
	case "gzip":
		z := gzip.NewWriter(w)
		old, err := gzip.NewReader(io.NewSectionReader(src, 0, src.Size()))
		if err != nil {
			return nil, misfit("%s is not compressed as its name or the map says: %w", key, err)
		}
		z.Header = old.Header
		return z, old.Close()
	case "zstd":
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, err
		}
		return z, nil
	}
	return plain{w}, nil
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }
