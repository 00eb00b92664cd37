package delivery

import (
	"bufio"
	"context"
	"io"
	"strings"

	"filippo.io/age"
)

// categoryColumn is the first column of every CSV.
const categoryColumn = "ccpa category"

// writeCSV writes one store as RFC 4180: a header line, CRLF line ends, UTF-8.
// A byte order mark makes spreadsheets read it as UTF-8. Cells that a
// spreadsheet would run as a formula get an apostrophe before them.
func writeCSV(ctx context.Context, out io.Writer, s *storeData, identity age.Identity, sc *screen) error {
	w := &csvWriter{w: bufio.NewWriterSize(out, 64<<10)}
	w.text("\ufeff")
	w.cell(categoryColumn, false)
	for _, name := range s.columns {
		if name == categoryColumn || s.more && name == moreFields {
			name += " (field)"
		}
		w.cell(name, true)
	}
	if s.more {
		w.cell(moreFields, true)
	}
	w.end()
	row, filled := make([]string, len(s.columns)), make([]int, 0, 64)
	for _, p := range s.parts {
		err := p.each(ctx, identity, sc, func(r *record) error {
			for _, i := range filled {
				row[i] = ""
			}
			filled = filled[:0]
			var rest []field
			for _, f := range r.fields {
				i, ok := s.columnIndex[f.name]
				if !ok {
					rest = append(rest, f)
					continue
				}
				row[i] = csvText(f)
				filled = append(filled, i)
			}
			w.cell(r.category, false)
			for _, text := range row {
				w.text(",")
				w.quoted(text)
			}
			if s.more {
				more := ""
				if len(rest) > 0 {
					more = string(appendFields(nil, rest))
				}
				w.cell(more, true)
			}
			w.end()
			return w.err
		})
		if err != nil {
			return err
		}
	}
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}

// writeStatements writes the person's statements as one table.
func (b *build) writeStatements(out io.Writer) error {
	w := &csvWriter{w: bufio.NewWriter(out)}
	w.text("\ufeff")
	for _, row := range append([][2]string{{"field", "statement"}}, statementRows(b.report.Statements)...) {
		w.cell(row[0], false)
		w.cell(row[1], true)
		w.end()
	}
	if w.err != nil {
		return w.err
	}
	return w.w.Flush()
}

func statementRows(statements []statementReport) [][2]string {
	rows := make([][2]string, len(statements))
	for i, s := range statements {
		rows[i] = [2]string{s.Field, s.Text}
	}
	return rows
}

// csvText is a field as it stands in a cell.
func csvText(f field) string {
	if f.withheld != "" {
		return "[withheld: " + f.withheld + "]"
	}
	text := cellText(f.value)
	if len(f.value) > 0 && f.value[0] != '"' {
		return text // a number, true or false, or JSON: nothing a spreadsheet runs
	}
	return harmless(text)
}

// harmless puts an apostrophe before text that a spreadsheet would take for a
// formula. The spaces before it don't matter to some of them. A NUL, which
// ends the text for many readers, becomes its picture; data.json has it as it is.
func harmless(text string) string {
	text = strings.ReplaceAll(text, "\x00", "\u2400")
	if text == "" {
		return text
	}
	if c := text[0]; c == '\t' || c == '\r' || c == '\n' {
		return "'" + text
	}
	for _, r := range text {
		switch r {
		case ' ', '\u00a0', '\ufeff', '\u200b', '"':
			continue
		case '=', '+', '-', '@', '|', '%', '\uff1d', '\uff0b', '\uff0d', '\uff20':
			return "'" + text
		}
		break
	}
	return text
}

// csvWriter writes cells. Unlike encoding/csv it keeps line ends inside a cell
// as they are.
type csvWriter struct {
	w   *bufio.Writer
	err error
}

// cell writes a cell, after a comma unless it is the first of its line.
func (w *csvWriter) cell(text string, comma bool) {
	if comma {
		w.text(",")
	}
	w.quoted(harmless(text))
}

func (w *csvWriter) quoted(text string) {
	if !strings.ContainsAny(text, "\",\r\n;\t'") && !strings.HasPrefix(text, " ") && !strings.HasSuffix(text, " ") {
		w.text(text)
		return
	}
	w.text(`"`)
	w.text(strings.ReplaceAll(text, `"`, `""`))
	w.text(`"`)
}

func (w *csvWriter) text(s string) {
	if w.err == nil {
		_, w.err = w.w.WriteString(s)
	}
}

func (w *csvWriter) end() { w.text("\r\n") }
