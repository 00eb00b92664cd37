package delivery

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"filippo.io/age"
)

// maxLine is the most bytes one record may have. It bounds memory.
const maxLine = 64 << 20

// record is one exported record after the content scan.
type record struct {
	category string // statutory letter, or ""
	fields   []field
}

// field is one value, or what stands in its place.
type field struct {
	name string
	// value is JSON; nil when the field is withheld.
	value json.RawMessage
	// withheld is the type of the item that is kept back, or "".
	withheld string
	// scanned says that the content scan withheld it or a part of it, and
	// inside lists the types withheld from inside a nested value.
	scanned bool
	inside  []string
}

type partHeader struct {
	Store    string `json:"store"`
	Category string `json:"category"`
}

type partLine struct {
	Category string      `json:"category"`
	Fields   []partField `json:"fields"`
}

type partField struct {
	Name     *string         `json:"name"`
	Value    json.RawMessage `json:"value"`
	Withheld string          `json:"withheld"`
}

// each opens a part and calls fn for every record, screened. The record is
// good until fn returns. It may be called many times.
func (s *spooled) each(ctx context.Context, identity age.Identity, sc *screen, fn func(*record) error) error {
	var failed error // fn's own error is not the part's fault
	err := s.read(ctx, identity, sc, func(r *record) error {
		failed = fn(r)
		return failed
	})
	if err == nil || failed != nil || ctx.Err() != nil || errors.Is(err, ErrScan) {
		return err
	}
	return &PartError{Connector: s.Connector, Object: s.Object, Err: err}
}

func (s *spooled) read(ctx context.Context, identity age.Identity, sc *screen, fn func(*record) error) error {
	sealed := bufio.NewReaderSize(io.NewSectionReader(s.file, 0, math.MaxInt64), 64<<10)
	plain, err := age.Decrypt(sealed, identity)
	if err != nil {
		return fmt.Errorf("decrypting: %w", err)
	}
	unzipped, err := gzip.NewReader(bufio.NewReaderSize(plain, 64<<10))
	if err != nil {
		return fmt.Errorf("unpacking: %w", err)
	}
	lines := &lineReader{r: bufio.NewReaderSize(unzipped, 256<<10)}
	first, err := lines.next()
	if err != nil {
		return fmt.Errorf("reading the header: %w", noEOF(err))
	}
	var header partHeader
	if err := json.Unmarshal(first, &header); err != nil {
		return errors.New("reading the header: not a JSON object with store and category")
	}
	if header.Store != s.Store {
		return errors.New("the header names another store than the record of the part")
	}
	var n int64
	for ; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return fmt.Errorf("reading records: %w", context.Cause(ctx))
		}
		text, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("reading line %d: %w", n+2, err)
		}
		rec, err := parseRecord(text, header.Category, sc)
		if err != nil {
			return fmt.Errorf("line %d: %w", n+2, err)
		}
		if err := fn(rec); err != nil {
			return err
		}
	}
	if n != s.Records {
		return fmt.Errorf("it has %d records, its record names %d", n, s.Records)
	}
	return nil
}

// parseRecord decodes one line strictly, since a member it does not know could
// be data that the person would not get. Errors do not repeat the line.
func parseRecord(text []byte, category string, sc *screen) (*record, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var line partLine
	if err := dec.Decode(&line); err != nil || dec.InputOffset() != int64(len(text)) {
		return nil, errors.New("not one record of category and fields")
	}
	rec := &record{category: line.Category, fields: make([]field, 0, len(line.Fields))}
	if rec.category == "" {
		rec.category = category
	}
	if err := checkLetters([]string{rec.category}); err != nil {
		return nil, errors.New("category: want one statutory letter")
	}
	for i, f := range line.Fields {
		if f.Name == nil || (f.Value == nil) == (f.Withheld == "") {
			return nil, fmt.Errorf("field %d: want a name and either a value or withheld", i+1)
		}
		screened, err := sc.field(*f.Name, f.Value, f.Withheld)
		if err != nil {
			return nil, fmt.Errorf("field %d: %w", i+1, err)
		}
		rec.fields = append(rec.fields, screened)
	}
	distinctNames(rec.fields)
	return rec, nil
}

// distinctNames numbers fields of one name, so that none is lost where names
// have to be distinct.
func distinctNames(fields []field) {
	seen := make(map[string]bool, len(fields))
	for i := range fields {
		name := fields[i].name
		for n := 2; seen[name]; n++ {
			name = fmt.Sprintf("%s (%d)", fields[i].name, n)
		}
		fields[i].name, seen[name] = name, true
	}
}

// lineReader reads lines of bounded length.
type lineReader struct {
	r   *bufio.Reader
	buf []byte
}

// next returns the next line without its end, good until the following call.
// A last line without an end counts; io.EOF follows it.
func (l *lineReader) next() ([]byte, error) {
	l.buf = l.buf[:0]
	for {
		chunk, err := l.r.ReadSlice('\n')
		if len(l.buf)+len(chunk) > maxLine {
			return nil, fmt.Errorf("a record is over %d MiB", maxLine>>20)
		}
		switch {
		case err == nil && len(l.buf) == 0:
			return chunk[:len(chunk)-1], nil
		case err == nil:
			l.buf = append(l.buf, chunk[:len(chunk)-1]...)
			return l.buf, nil
		case errors.Is(err, bufio.ErrBufferFull):
			l.buf = append(l.buf, chunk...)
		case errors.Is(err, io.EOF) && len(l.buf)+len(chunk) > 0:
			l.buf = append(l.buf, chunk...)
			return l.buf, nil
		default:
			return nil, err
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
