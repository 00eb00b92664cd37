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
	"slices"
	"unicode/utf8"

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
	// basis is the rule, when it is another than that of the type; it is set
	// by an exception.
	basis string
	// scanned says that the content scan withheld it or a part of it, and
	// inside lists the types withheld from inside a nested value.
	scanned bool
	inside  []string
	// file is the document whose name in the package is the value, or nil.
	file *document
}

var errNotRecord = errors.New("not one record of category and fields")

type partHeader struct {
	Store    string `json:"store"`
	Category string `json:"category"`
}

// each opens a part and calls fn for every record, screened. The record is
// good until fn returns. It may be called many times.
func (s *spooled) each(ctx context.Context, identity age.Identity, sc *screen, fn func(*record) error) error {
	excepted := sc.withholdingsAt(s.Connector, s.Store)
	sc.at = [2]string{s.Connector, s.Store}
	if s.clean {
		passing := *sc
		passing.off = true
		sc = &passing
	}
	var failed error // fn's own error is not the part's fault
	err := s.read(ctx, identity, sc, func(r *record) error {
		r.withhold(excepted)
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
// be data that the person would not get. Values keep their bytes and share
// them with text. Errors do not repeat the line.
func parseRecord(text []byte, category string, sc *screen) (*record, error) {
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\ufffd"))
	}
	if !json.Valid(text) {
		return nil, errNotRecord
	}
	rec := &record{category: category}
	c := &cursor{text: text}
	var fields []byte
	ok := c.object(func(name string, value []byte) bool {
		switch name {
		case "category":
			letter, isText := textOf(value)
			if letter != "" {
				rec.category = letter
			}
			return isText
		case "fields":
			again := fields != nil
			fields = value
			return !again
		}
		return false
	})
	if !ok || fields == nil {
		return nil, errNotRecord
	}
	if err := checkLetters([]string{rec.category}); err != nil {
		return nil, errors.New("category: want one statutory letter")
	}
	sc.own.begin(sc.at, fields)
	var err error
	n := 0
	ok = (&cursor{text: fields}).array(func(element []byte) bool {
		n++
		var f field
		if f, err = parseField(element, sc); err != nil {
			return false
		}
		rec.fields = append(rec.fields, f)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("field %d: %w", n, err)
	}
	if !ok {
		return nil, errNotRecord
	}
	distinctNames(rec.fields)
	if sc.off {
		return rec, nil
	}
	if err := sc.own.finish(rec); err != nil {
		return nil, err
	}
	for i := range rec.fields {
		if f := &rec.fields[i]; f.file != nil && cellText(f.value) != f.file.name {
			f.file = nil // its field names others
		}
	}
	return rec, nil
}

// withheldUnnamed is what a connector withholds without saying what it is.
const withheldUnnamed = "item of a type that is never disclosed"

// parseField decodes and screens one field. One with neither a value nor a
// type is withheld by a connector that did not name the type.
func parseField(text []byte, sc *screen) (field, error) {
	var name, withheld string
	var value, file []byte
	var named bool
	ok := (&cursor{text: text}).object(func(member string, v []byte) (isText bool) {
		switch member {
		case "name":
			again := named
			name, named = sc.nameOf(v)
			return named && !again
		case "value":
			again := value != nil
			value = v
			return !again
		case "file":
			again := file != nil
			file = v
			return !again
		case "withheld":
			withheld, isText = textOf(v)
			return isText
		}
		return false
	})
	if !ok || !named || value != nil && withheld != "" || file != nil && (value != nil || withheld != "") {
		return field{}, errors.New("want a name and one of value, file and withheld")
	}
	if file != nil {
		return sc.document(name, file)
	}
	if value == nil && withheld == "" {
		withheld = withheldUnnamed
	}
	return sc.field(name, value, withheld)
}

// distinctNames numbers fields of one name, so that none is lost where names
// have to be distinct.
func distinctNames(fields []field) {
	if len(fields) <= 16 && !slices.ContainsFunc(fields, func(f field) bool { return repeated(fields, f.name) }) {
		return
	}
	seen := make(map[string]bool, len(fields))
	for i := range fields {
		name := fields[i].name
		for n := 2; seen[name]; n++ {
			name = fmt.Sprintf("%s (%d)", fields[i].name, n)
		}
		fields[i].name, seen[name] = name, true
	}
}

func repeated(fields []field, name string) bool {
	n := 0
	for i := range fields {
		if fields[i].name == name {
			n++
		}
	}
	return n > 1
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
