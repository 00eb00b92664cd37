package manual

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ledongthuc/pdf"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/proto/wire"
)

// What a file for a copy may be.
const (
	typeJSON = "application/json"
	typeCSV  = "text/csv"
	typeText = "text/plain"
	typePDF  = "application/pdf"
)

// readable proves that a file can be read, and gives what can be read in a PDF
// and how many records a table has: 0 where that can't be counted.
func readable(mediaType string, content []byte) (text []byte, records int64, err error) {
	if mediaType == typePDF {
		text, err = pdfText(content)
		return text, 0, err
	}
	switch {
	case !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0:
		return nil, 0, invalid("the file is not text in UTF-8; save it with that encoding")
	case len(bytes.TrimSpace(withoutBOM(content))) == 0:
		return nil, 0, invalid("the file is empty")
	case mediaType == typeText:
		return nil, 0, nil
	}
	err = eachRecord(mediaType, content, nil, 0, func([]sdk.Field) error {
		if records++; records > wire.MaxCopyRecords {
			return invalid("the file has more than %d records; split it", wire.MaxCopyRecords)
		}
		return nil
	})
	if err == nil && records == 0 {
		err = invalid("the file has no records")
	}
	return nil, records, err
}

// eachRecord calls do for each record of a file: the rows of a CSV, the objects of
// a JSON, and for a document that holds n records one that has it and n-1 that
// refer to it. Its refusals name places and no values.
func eachRecord(mediaType string, content, text []byte, n int64, do func([]sdk.Field) error) error {
	switch mediaType {
	case typeCSV:
		return eachRow(withoutBOM(content), do)
	case typeJSON:
		return eachObject(withoutBOM(content), do)
	}
	if mediaType == typeText {
		content = withoutBOM(content)
	}
	for i := int64(1); i <= n; i++ {
		fields := []sdk.Field{{Name: "document", Value: sdk.Document{MediaType: mediaType, Content: content, Text: string(text)}}}
		if i > 1 {
			fields[0].Value = "the document of record 1"
		}
		if n > 1 {
			fields = append([]sdk.Field{{Name: "record", Value: fmt.Sprintf("%d of %d", i, n)}}, fields...)
		}
		if err := do(fields); err != nil {
			return err
		}
	}
	return nil
}

// eachRow reads a CSV with a header. Spreadsheets put semicolons or tabs between
// cells where the comma is for decimals.
func eachRow(content []byte, do func([]sdk.Field) error) error {
	r := csv.NewReader(bytes.NewReader(content))
	first, _, _ := bytes.Cut(content, []byte("\n"))
	for _, comma := range []rune{';', '\t'} {
		if bytes.Count(first, []byte(string(comma))) > bytes.Count(first, []byte(string(r.Comma))) {
			r.Comma = comma
		}
	}
	header, err := r.Read()
	if err != nil {
		return csvRefusal(err)
	}
	for i, name := range header {
		if header[i] = strings.TrimSpace(name); header[i] == "" {
			return invalid("CSV: column %d has no name in the first line", i+1)
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return csvRefusal(err)
		}
		fields := make([]sdk.Field, len(row))
		for i, cell := range row {
			fields[i] = sdk.Field{Name: header[i], Value: cell}
		}
		if err := do(fields); err != nil {
			return err
		}
	}
}

func csvRefusal(err error) error {
	if at, ok := errors.AsType[*csv.ParseError](err); ok {
		return invalid("CSV: line %d: %s", at.Line, at.Err) // a closed set of sentences
	}
	return invalid("CSV: it has no first line with the names of its columns")
}

// eachObject reads a JSON array of objects, or one object.
func eachObject(content []byte, do func([]sdk.Field) error) error {
	if !json.Valid(content) {
		return invalid("JSON: the file is not valid JSON")
	}
	if trimmed := bytes.TrimSpace(content); trimmed[0] == '{' {
		return oneObject(trimmed, 1, do)
	}
	dec := json.NewDecoder(bytes.NewReader(content))
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return invalid("JSON: want an array of objects, or one object")
	}
	for n := 1; dec.More(); n++ {
		var object json.RawMessage
		if err := dec.Decode(&object); err != nil {
			return invalid("JSON: record %d can't be read", n)
		}
		if err := oneObject(object, n, do); err != nil {
			return err
		}
	}
	return nil
}

func oneObject(object []byte, n int, do func([]sdk.Field) error) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return invalid("JSON: record %d is no object", n)
	}
	var fields []sdk.Field
	for dec.More() {
		name, err := dec.Token()
		key, _ := name.(string)
		var value json.RawMessage
		if err == nil {
			err = dec.Decode(&value)
		}
		if err != nil || key == "" {
			return invalid("JSON: record %d has a member without a name, or one that can't be read", n)
		}
		fields = append(fields, sdk.Field{Name: key, Value: value})
	}
	if len(fields) == 0 {
		return invalid("JSON: record %d is empty", n)
	}
	return do(fields)
}

// Bounds of reading a PDF. One that takes longer is refused, and what reads it
// can't be stopped: it goes on until it ends, and there are at most pdfReaders.
const (
	pdfPatience = 10 * time.Second
	pdfPages    = 2000
	pdfLetters  = 8 << 20
	pdfReaders  = 2
)

// reading has a token for each PDF that is being read in this process.
var reading = make(chan struct{}, pdfReaders)

// pdfText is what can be read in a PDF, so that it can be searched for what may
// never be disclosed. A PDF of pictures has none.
func pdfText(content []byte) ([]byte, error) {
	if !bytes.HasPrefix(content, []byte("%PDF-")) {
		return nil, invalid("the file is no PDF, whatever its name says")
	}
	type result struct {
		text []byte
		err  error
	}
	patience := time.NewTimer(pdfPatience)
	defer patience.Stop()
	select {
	case reading <- struct{}{}:
	case <-patience.C:
		return nil, errPDF
	}
	read := make(chan result, 1)
	go func() {
		defer func() { <-reading }()
		defer func() {
			if v := recover(); v != nil {
				read <- result{err: errPDF}
			}
		}()
		text, err := readPDF(content)
		read <- result{text, err}
	}()
	select {
	case r := <-read:
		return r.text, r.err
	case <-patience.C:
		return nil, errPDF
	}
}

var errPDF = invalid("the PDF can't be read: it is damaged, protected or too large; print it into a new PDF, or attach its text")

func readPDF(content []byte) ([]byte, error) {
	r, err := pdf.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil || r.NumPage() == 0 || r.NumPage() > pdfPages {
		return nil, errPDF
	}
	var text bytes.Buffer
	for n := 1; n <= r.NumPage(); n++ {
		page := r.Page(n)
		if page.V.IsNull() {
			continue
		}
		words, err := page.GetPlainText(nil)
		if err != nil || text.Len()+len(words) > pdfLetters {
			return nil, errPDF
		}
		text.WriteString(strings.ToValidUTF8(words, "\ufffd"))
		text.WriteByte('\n')
	}
	return text.Bytes(), nil
}
