package lake

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// maxRecord is the most bytes one record may have. It bounds the memory of a
// pass; a longer one is more likely a file that is not text.
const maxRecord = 64 << 20

// textFormat is a format of records one after the other, plain or compressed
// as a whole.
type textFormat struct {
	compression string
	dialect     func() dialect
}

// A dialect tells where records end and what is in them. One is made for each
// reading of a file.
type dialect interface {
	// more is told every piece of the text in order, line ends apart, and
	// reports whether the record goes on after it on the next line.
	more(piece []byte) bool
	// parse picks out of rec.raw what the map mentions: nothing, for a blank
	// line or a header.
	parse(rec *record, l *lookup) error
	// cut returns rec.raw without the given elements, in buf.
	cut(buf []byte, rec *record, elems []int) []byte
	// fields are the fields of a parsed record.
	fields(rec *record, l *lookup) ([]sdk.Field, error)
}

func (f *textFormat) scan(ctx context.Context, key string, src source, l *lookup, visit func(*record) error) error {
	return f.read(ctx, key, src, l, func(rec *record, _ []byte) error {
		if len(rec.hits) == 0 {
			return nil
		}
		return visit(rec)
	})
}

func (f *textFormat) rewrite(ctx context.Context, key string, src source, dst io.Writer, l *lookup, decide func(*record) (fate, error)) error {
	// Buffered on both sides of the compressor: few large writes go in, and few
	// large writes come out.
	out := bufio.NewWriterSize(dst, bufferSize)
	zw, err := f.compress(key, out, src)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(zw, bufferSize)
	d := f.dialect()
	var buf []byte
	err = f.read(ctx, key, src, l, func(rec *record, end []byte) error {
		raw := rec.raw
		if len(rec.hits) > 0 {
			what, err := decide(rec)
			if err != nil {
				return err
			}
			if what.drop {
				return nil
			}
			if len(what.cut) > 0 {
				buf = d.cut(buf[:0], rec, what.cut)
				raw = buf
			}
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
		_, err := w.Write(end)
		return err
	})
	if err != nil {
		return err
	}
	for _, finish := range []func() error{w.Flush, zw.Close, out.Flush} {
		if err := finish(); err != nil {
			return err
		}
	}
	return nil
}

// bufferSize is the size of the buffers between files and records.
const bufferSize = 256 << 10

// read calls each for every record in src, blank lines and headers among them,
// with its line end apart.
func (f *textFormat) read(ctx context.Context, key string, src source, l *lookup, each func(rec *record, end []byte) error) (err error) {
	if src.Size() == 0 {
		return nil // not even a compressed stream has begun
	}
	r, err := f.decompress(key, src)
	if err != nil {
		return misfit("%s is not compressed as its name or the map says: %w", key, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	lines := &lineReader{r: bufio.NewReaderSize(r, bufferSize)}
	d := f.dialect()
	var rec record
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		raw, end, number, err := lines.next(d)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w", key, number, err)
		}
		rec.reset(raw, number)
		rec.dialect = d
		if err := d.parse(&rec, l); err != nil {
			if len(end) == 0 {
				// The next attempt will see the whole of it, or the same again.
				return fmt.Errorf("%s, line %d, the last: %w: a writer may be at work", key, number, err)
			}
			return misfit("%s, line %d: %w", key, number, err)
		}
		if err := each(&rec, end); err != nil {
			return err
		}
	}
}

func (*textFormat) fields(rec *record, l *lookup) ([]sdk.Field, error) {
	return rec.dialect.fields(rec, l)
}

// lineReader splits text into records. It copies only those that are longer
// than its buffer or span lines.
type lineReader struct {
	r    *bufio.Reader
	line int64 // lines read so far
	buf  []byte
}

// next returns the next record, without its line end, the line end, and the
// number of the record's first line. They are valid until the next call.
func (l *lineReader) next(d dialect) (raw, end []byte, number int64, err error) {
	number = l.line + 1
	l.buf = l.buf[:0]
	for {
		piece, err := l.r.ReadSlice('\n')
		atEnd := errors.Is(err, io.EOF)
		if err != nil && !atEnd && !errors.Is(err, bufio.ErrBufferFull) {
			return nil, nil, number, err
		}
		text, end := piece, piece[len(piece):]
		if err == nil {
			l.line++
			text, end = piece[:len(piece)-1], piece[len(piece)-1:]
		}
		more := d.more(text)
		if len(l.buf)+len(piece) > maxRecord {
			return nil, nil, number, misfit("a record is longer than %d MiB", maxRecord>>20)
		}
		switch whole := err == nil && !more || atEnd; {
		case whole && len(l.buf) == 0:
			if atEnd && len(text) == 0 {
				return nil, nil, number, io.EOF
			}
			return text, end, number, nil
		case whole:
			l.buf = append(l.buf, text...)
			return l.buf, end, number, nil
		}
		l.buf = append(l.buf, piece...)
	}
}
