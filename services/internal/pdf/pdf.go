// Package pdf writes small documents of text and tables as PDF 1.7, on A4.
//
// It owes its callers pages that every reader shows alike and every text tool
// reads in order: the three standard fonts that need not be embedded, one column,
// nothing that moves. The same calls give the same bytes. Characters that those
// fonts lack are shown as question marks.
package pdf

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Sizes in points of 1/72 inch.
const (
	pageWidth  = 595.28
	pageHeight = 841.89
	margin     = 56.0
	width      = pageWidth - 2*margin
	bottom     = margin + 18 // the page's number is below
	leading    = 1.35        // height of a line, in sizes
)

// Font is one of the fonts there are.
type Font int

// Fonts.
const (
	Plain Font = iota
	Bold
	Fixed
)

var fontNames = [...]string{Plain: "Helvetica", Bold: "Helvetica-Bold", Fixed: "Courier"}

// Document is a PDF in the making. Make one with [New].
type Document struct {
	title string
	pages []*bytes.Buffer
	y     float64
	foot  string
}

// New begins a document. foot is at the bottom of each page, beside its number.
func New(title, foot string) *Document {
	d := &Document{title: title, foot: foot}
	d.newPage()
	return d
}

func (d *Document) newPage() {
	d.pages = append(d.pages, &bytes.Buffer{})
	d.y = pageHeight - margin
}

// room begins a new page when there is less height left than wanted.
func (d *Document) room(height float64) {
	if d.y-height < bottom {
		d.newPage()
	}
}

// Space leaves some height free.
func (d *Document) Space(height float64) { d.y -= height }

// Title writes the heading of the document.
func (d *Document) Title(text string) { d.block(text, Bold, 18, 0, width); d.Space(6) }

// Heading writes a heading and keeps it with what follows.
func (d *Document) Heading(text string) {
	d.room(70)
	d.Space(10)
	d.block(text, Bold, 12, 0, width)
	d.Space(2)
}

// Text writes a paragraph.
func (d *Document) Text(text string) { d.block(text, Plain, 10, 0, width); d.Space(3) }

// Code writes a paragraph to be copied, such as a digest.
func (d *Document) Code(text string) { d.block(text, Fixed, 8.5, 0, width); d.Space(3) }

// Field writes a label and what it is, side by side.
func (d *Document) Field(label, text string) {
	const labels = 110.0
	lines := wrap(text, Plain, 10, width-labels)
	d.room(float64(len(lines)) * 10 * leading)
	top := d.y
	d.lines([]string{label}, Bold, 10, 0)
	d.y = top
	d.lines(lines, Plain, 10, labels)
	d.Space(1)
}

// Column is one of a table: its heading, its share of the width, and whether it
// has numbers.
type Column struct {
	Heading string
	Share   float64
	Right   bool
}

// Table writes rows under headings, which are said again on each page.
func (d *Document) Table(columns []Column, rows [][]string) {
	total := 0.0
	for _, c := range columns {
		total += c.Share
	}
	heads := make([]string, len(columns))
	for i, c := range columns {
		heads[i] = c.Heading
	}
	d.room(60)
	d.row(columns, total, heads, Bold)
	d.rule()
	for _, r := range rows {
		if page := len(d.pages); d.rowHeight(columns, total, r) > d.y-bottom {
			d.newPage()
			if len(d.pages) > page {
				d.row(columns, total, heads, Bold)
				d.rule()
			}
		}
		d.row(columns, total, r, Plain)
	}
	d.Space(6)
}

const cellSize = 9.0

func (d *Document) rowHeight(columns []Column, total float64, cells []string) float64 {
	most := 1
	for i, c := range columns {
		most = max(most, len(wrap(cells[i], Bold, cellSize, width*c.Share/total-6)))
	}
	return float64(most)*cellSize*leading + 3
}

func (d *Document) row(columns []Column, total float64, cells []string, font Font) {
	height := d.rowHeight(columns, total, cells)
	top, x := d.y, 0.0
	for i, c := range columns {
		wide := width * c.Share / total
		d.y = top
		for _, line := range wrap(cells[i], font, cellSize, wide-6) {
			d.y -= cellSize * leading
			at := x
			if c.Right {
				at = x + wide - 6 - measure(line, font, cellSize)
			}
			d.draw(line, font, cellSize, at)
		}
		x += wide
	}
	d.y = top - height
}

func (d *Document) rule() {
	fmt.Fprintf(d.page(), "0.6 w 0.75 G %.2f %.2f m %.2f %.2f l S\n", margin, d.y, margin+width, d.y)
	d.Space(2)
}

func (d *Document) page() *bytes.Buffer { return d.pages[len(d.pages)-1] }

// block writes a paragraph, over as many pages as it takes.
func (d *Document) block(text string, font Font, size, x, wide float64) {
	for paragraph := range strings.SplitSeq(text, "\n") {
		d.lines(wrap(paragraph, font, size, wide), font, size, x)
	}
}

func (d *Document) lines(lines []string, font Font, size, x float64) {
	for _, line := range lines {
		d.room(size * leading)
		d.y -= size * leading
		d.draw(line, font, size, x)
	}
}

// draw writes a line at the present height.
func (d *Document) draw(line string, font Font, size, x float64) {
	fmt.Fprintf(d.page(), "BT /F%d %.1f Tf %.2f %.2f Td (%s) Tj ET\n", font, size, margin+x, d.y, escape(encode(line)))
}

// encode writes text in the fonts' encoding.
func encode(text string) string {
	var b strings.Builder
	for _, r := range text {
		c, ok := charmap.Windows1252.EncodeRune(r)
		if !ok || c < ' ' {
			c = '?'
		}
		b.WriteByte(c)
	}
	return b.String()
}

var escape = strings.NewReplacer(`\`, `\\`, `(`, `\(`, `)`, `\)`).Replace

// wrap breaks text into lines of at most a width. A word that is too long, such
// as a digest, is broken where the line ends.
func wrap(text string, font Font, size, wide float64) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for {
			with := strings.TrimPrefix(line+" "+word, " ")
			if measure(with, font, size) <= wide {
				line = with
				break
			}
			if line != "" {
				lines, line = append(lines, line), ""
				continue
			}
			cut := fitting(word, font, size, wide)
			lines, word = append(lines, word[:cut]), word[cut:]
		}
	}
	return append(lines, line)
}

// fitting is how many bytes of a word fit; one character at least.
func fitting(word string, font Font, size, wide float64) int {
	fits := 0
	for i, r := range word {
		end := i + utf8.RuneLen(r)
		if r == utf8.RuneError {
			end = i + 1
		}
		if i > 0 && measure(word[:end], font, size) > wide {
			return fits
		}
		fits = end
	}
	return fits
}

// WriteTo writes the document.
func (d *Document) WriteTo(w io.Writer) (int64, error) {
	var out bytes.Buffer
	var places []int
	object := func(body string) {
		places = append(places, out.Len())
		fmt.Fprintf(&out, "%d 0 obj\n%s\nendobj\n", len(places), body)
	}
	out.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	const first = 7 // objects before the pages: catalog, pages, information, three fonts
	kids := make([]string, len(d.pages))
	for i := range d.pages {
		kids[i] = fmt.Sprintf("%d 0 R", first+2*i)
	}
	object("<< /Type /Catalog /Pages 2 0 R /Lang (en) /ViewerPreferences << /DisplayDocTitle true >> >>")
	object(fmt.Sprintf("<< /Type /Pages /Count %d /Kids [%s] >>", len(kids), strings.Join(kids, " ")))
	object("<< /Title (" + escape(encode(d.title)) + ") /Producer (Habeas) >>")
	for _, name := range fontNames {
		object("<< /Type /Font /Subtype /Type1 /BaseFont /" + name + " /Encoding /WinAnsiEncoding >>")
	}
	for i, content := range d.pages {
		number := fmt.Sprintf("%d / %d", i+1, len(d.pages))
		fmt.Fprintf(content, "BT /F0 8.0 Tf %.2f %.2f Td (%s) Tj ET\n", margin, margin-10, escape(encode(d.foot)))
		fmt.Fprintf(content, "BT /F0 8.0 Tf %.2f %.2f Td (%s) Tj ET\n", margin+width-measure(number, Plain, 8), margin-10, number)
		object(fmt.Sprintf("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %.2f %.2f] /Contents %d 0 R /Resources << /Font << /F0 4 0 R /F1 5 0 R /F2 6 0 R >> >> >>", pageWidth, pageHeight, first+2*i+1))
		object(fmt.Sprintf("<< /Length %d >>\nstream\n%sendstream", content.Len(), content.String()))
	}
	table := out.Len()
	fmt.Fprintf(&out, "xref\n0 %d\n0000000000 65535 f \n", len(places)+1)
	for _, at := range places {
		fmt.Fprintf(&out, "%010d 00000 n \n", at)
	}
	fmt.Fprintf(&out, "trailer\n<< /Size %d /Root 1 0 R /Info 3 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(places)+1, table)
	return out.WriteTo(w)
}
