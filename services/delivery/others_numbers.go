package delivery

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"
)

const (
	// fewestDigits is the least a telephone number has that can be told from
	// other numbers, and mostGroups bounds the groups that are looked at together.
	fewestDigits, mostGroups = 7, 64
	// labelReach is how far before a number, in bytes, a word counts that says
	// what the number is.
	labelReach = 32
)

// label is what a word before a number says of it.
type label int

const (
	noLabel label = iota
	telephoneLabel
	otherLabel  // another kind of number of the same shape
	bareLabel   // a number of some kind
	suffixLabel // says nothing without the word before
)

var labels = func() map[string]label {
	all := map[string]label{}
	for l, words := range map[label]string{
		telephoneLabel: "tel telephone telefono teléfono phone phones mobile movil móvil celular cell call calls fax whatsapp sms dial reach text texted ring",
		otherLabel: "order orders invoice invoices ticket tickets case ref reference tracking account acct confirmation serial sku isbn item items " +
			"part model policy claim parcel shipment booking reservation po version id ids",
		bareLabel:   "no nr",
		suffixLabel: "number num is was",
	} {
		for w := range strings.FieldsSeq(words) {
			all[w] = l
		}
	}
	return all
}()

// labelBefore is what the words in front of position at say of the number
// there: the nearest has to lead to it, and "phone" may be a few words away, as in
// "call me at".
func labelBefore(text string, at int) label {
	found := noLabel
	from := max(0, at-labelReach)
	for words := range 4 {
		end := at
		for end > from && strings.IndexByte(" .:=_\"'(-#", text[end-1]) >= 0 {
			end--
		}
		start := end
		for start > from && (isLetter(text[start-1]) || text[start-1] >= utf8.RuneSelf) {
			start--
		}
		if start == end {
			return found
		}
		switch l := labelled(text[start:end]); {
		case l == telephoneLabel:
			return l
		case l == otherLabel && (words == 0 || found == suffixLabel || found == bareLabel):
			return l
		case words == 0 || found == suffixLabel:
			found = max(found, l)
		}
		at = start
	}
	return found
}

func labelled(word string) label {
	var lower [16]byte
	if len(word) > len(lower) {
		return noLabel
	}
	for i := range len(word) {
		c := word[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	return labels[string(lower[:len(word)])]
}

var (
	extension = regexp.MustCompile(`(?i)^[ ,;]{0,2}(?:ext(?:ension|n)?\.?|x|#)[ :]?[0-9]{1,6}\b`)
	dateShape = regexp.MustCompile(`^(?:(?:19|20)[0-9]{2}[-. ]?[0-9]{2}[-. ]?[0-9]{2}|[0-9]{1,2}[-. ][0-9]{1,2}[-. ](?:19|20)?[0-9]{2})$`)
	tollFree  = []string{"800", "833", "844", "855", "866", "877", "888", "900"}
)

// number is a telephone number in a text.
type number struct {
	start, end int    // with its extension
	digits     string // as they are written, without the extension
}

// numbersIn finds telephone numbers in free text: after a plus; in the
// groups that North America writes (3-3-4); in national groups that begin with
// a zero; and of other shapes only after a word such as "phone". Numbers of
// orders, dates and amounts are left. labelled says that the name of the field
// is such a word. It does nothing that grows faster than the text.
func numbersIn(text string, labelled bool) (found []number) {
	if !manyDigits(text) {
		return nil
	}
	var groups []span
	for i := 0; i < len(text); {
		if !isDigit(text[i]) {
			i++
			continue
		}
		r := runAt(text, i, groups[:0])
		groups = r.groups
		last := r.groups[len(r.groups)-1].end
		if n := r.totalDigits(); n >= fewestDigits {
			found = append(found, r.numbers(labelled)...)
		}
		i = max(last, i+1)
	}
	return found
}

// manyDigits is a quick look whether a text can have a number at all.
func manyDigits(text string) bool {
	n := 0
	for i := 0; i < len(text) && n < fewestDigits; i++ {
		if isDigit(text[i]) {
			n++
		}
	}
	return n >= fewestDigits
}

// span is one group of digits, and the separator that led to it.
type span struct {
	start, end int
	sep        string
}

func (s span) size() int { return s.end - s.start }

// run is groups of digits with nothing but the separators of telephone numbers
// between them.
type run struct {
	text   string
	groups []span
}

func (r run) totalDigits() (n int) {
	for _, g := range r.groups {
		n += g.size()
	}
	return n
}

// runAt reads the run whose first digit is at i into groups.
func runAt(text string, i int, groups []span) run {
	r := run{text: text, groups: groups}
	sep := ""
	for {
		g := span{start: i, sep: sep}
		for i < len(text) && isDigit(text[i]) {
			i++
		}
		g.end = i
		r.groups = append(r.groups, g)
		next := separator(text[i:])
		if next == 0 || len(r.groups) == mostGroups || i+next >= len(text) || !isDigit(text[i+next]) {
			return r
		}
		sep = text[i : i+next]
		i += next
	}
}

// separator is how many bytes at the start of a text may stand between two
// groups of one number.
func separator(text string) int {
	n := 0
	for marks := 0; marks < 3 && n < len(text); marks++ {
		size := 0
		switch {
		case strings.IndexByte(" -.()", text[n]) >= 0:
			size = 1
		case strings.HasPrefix(text[n:], "\u00a0"):
			size = len("\u00a0")
		case strings.HasPrefix(text[n:], "\u2011"), strings.HasPrefix(text[n:], "\u2013"), strings.HasPrefix(text[n:], "\u202f"):
			size = len("\u2011")
		}
		if size == 0 {
			break
		}
		n += size
	}
	return n
}

// numbers are those in the run.
func (r run) numbers(labelled bool) (found []number) {
	if !r.begins(0) {
		return nil
	}
	for i := 0; i < len(r.groups); {
		n, groups := r.numberAt(i, labelled && i == 0)
		if groups == 0 {
			i++
			continue
		}
		found = append(found, n)
		i += groups
	}
	return found
}

// begins reports whether a number may begin with group i.
func (r run) begins(i int) bool {
	at := r.groups[i].start
	before := strings.TrimRight(r.text[max(0, at-2):at], "(+")
	if before == "" {
		return at <= 2 || !isWord(r.text[at-3])
	}
	c := before[len(before)-1]
	twice := len(before) > 1 && isWord(before[0])
	switch {
	case isWord(c), strings.IndexByte("#$@\\%*&~^", c) >= 0:
		return false
	case c == '/': // two numbers, or a path
		return len(before) > 1 && isDigit(before[0])
	case c == '-' || c == '.' || c == ',' || c == '\'':
		return !twice && (len(before) > 1 || at < 3)
	case c == ':':
		return len(before) < 2 || !isDigit(before[0])
	}
	return !strings.HasSuffix(r.text[:at], "€") && !strings.HasSuffix(r.text[:at], "£")
}

// ends reports whether a number may end with group i.
func (r run) ends(i int) bool {
	end := r.groups[i].end
	if end == len(r.text) {
		return true
	}
	rest := r.text[end:]
	if extension.MatchString(rest) {
		return true
	}
	if isWord(rest[0]) || strings.IndexByte("%@$#\\=&", rest[0]) >= 0 {
		return false
	}
	return len(rest) < 2 || !isWord(rest[1]) || strings.IndexByte("-.,:'", rest[0]) < 0 && (rest[0] != '/' || isDigit(rest[1]))
}

func isWord(c byte) bool { return isDigit(c) || isLetter(c) || c == '_' }

// digits are those of n groups from i on.
func (r run) digits(i, n int) string {
	var b strings.Builder
	for _, g := range r.groups[i : i+n] {
		b.WriteString(r.text[g.start:g.end])
	}
	return b.String()
}

// numberAt returns the number that begins with group i, and of how many groups
// it is; none is no number.
func (r run) numberAt(i int, labelled bool) (number, int) {
	near := 0
	for _, g := range r.groups[i:min(i+8, len(r.groups))] {
		near += g.size()
	}
	if near < fewestDigits {
		return number{}, 0
	}
	start := r.groups[i].start
	if start > 0 && r.text[start-1] == '(' {
		start--
	}
	if start > 0 && r.text[start-1] == '+' {
		if n := r.international(i, 0); n > 0 {
			return r.number(start-1, i, n), n
		}
		return number{}, 0
	}
	if i > 0 && start > 0 && (r.text[start-1] == '-' || r.text[start-1] == '.') {
		return number{}, 0
	}
	says := labelBefore(r.text, start)
	labelled = labelled || says == telephoneLabel
	if says != otherLabel && (labelled || says != bareLabel) {
		for _, groups := range []func(int, bool) int{r.american, r.dialled, r.national} {
			if n := groups(i, labelled); n > 0 {
				return r.number(start, i, n), n
			}
		}
	}
	return number{}, 0
}

func (r run) number(start, i, n int) number {
	end := r.groups[i+n-1].end
	end += len(extension.FindString(r.text[end:]))
	return number{start, end, r.digits(i, n)}
}

// international is how many groups make a number with its country's code, of
// which the first skip digits are dialled before it. The longest that is
// valid counts, or else the longest that is possible; after digits that are
// dialled before it that is said of North America alone.
func (r run) international(i, skip int) int {
	possible, tried := 0, 0
	for n := min(len(r.groups)-i, 8); n > 0 && tried < 4; n-- {
		digits := r.digits(i, n)[skip:]
		if len(digits) < 8 || len(digits) > 15 || !r.ends(i+n-1) {
			continue
		}
		tried++
		parsed, err := phonenumbers.Parse("+"+r.significant(i, n)[skip:], "")
		switch {
		case err != nil:
		case phonenumbers.IsValidNumber(parsed):
			return n
		case possible == 0 && (skip == 0 || digits[0] == '1' && planned(digits[1:])) && phonenumbers.IsPossibleNumber(parsed):
			possible = n
		}
	}
	return possible
}

// significant are the digits without a trunk's zero in brackets, as in
// +44 (0)20.
func (r run) significant(i, n int) string {
	var b strings.Builder
	for k, g := range r.groups[i : i+n] {
		if k > 0 && r.text[g.start:g.end] == "0" && strings.HasSuffix(g.sep, "(") {
			continue
		}
		b.WriteString(r.text[g.start:g.end])
	}
	return b.String()
}

// dialled is a number after 00 or 011, by which calls leave a country.
func (r run) dialled(i int, labelled bool) int {
	first := r.text[r.groups[i].start:r.groups[i].end]
	for _, prefix := range []string{"011", "00"} {
		if !strings.HasPrefix(first, prefix) || strings.HasPrefix(first, prefix+"0") {
			continue
		}
		if n := r.international(i, len(prefix)); n > 1 || n == 1 && labelled {
			return n
		}
	}
	return 0
}

// american is a number of the North American Numbering Plan: 3-3-4 digits with
// or without the leading 1, and all in one only with a label. In a row of
// groups between spaces it is anything.
func (r run) american(i int, labelled bool) int {
	g := r.groups[i:]
	lead := 0
	if len(g) > 1 && g[0].size() == 1 && r.text[g[0].start] == '1' {
		lead = 1
	}
	var n int
	switch g = g[lead:]; {
	case len(g) >= 3 && g[0].size() == 3 && g[1].size() == 3 && g[2].size() == 4:
		n = 3
	case len(g) >= 2 && g[0].size() == 3 && g[1].size() == 7 && (labelled || strings.HasPrefix(g[1].sep, ")")):
		n = 2
	case labelled && lead == 0 && (g[0].size() == 10 || g[0].size() == 11 && r.text[g[0].start] == '1'):
		n = 1
	default:
		return 0
	}
	n += lead
	if !planned(strings.TrimPrefix(r.digits(i, n), "1")) || !r.ends(i+n-1) {
		return 0
	}
	if !labelled && r.amongGroups(i, n) {
		return 0
	}
	return n
}

// amongGroups reports whether n groups from i on stand between spaces in a row
// of further groups of digits, of which they are no more than a part. A date
// beside a number is none.
func (r run) amongGroups(i, n int) bool {
	for k := i + 1; k < i+n; k++ {
		if !blank(r.groups[k].sep) {
			return false
		}
	}
	bare := func(k, inner int) bool { return inner < 0 || inner >= len(r.groups) || blank(r.groups[k].sep) }
	return i > 0 && bare(i-1, i-2) || i+n < len(r.groups) && (i+n+1 >= len(r.groups) || blank(r.groups[i+n+1].sep))
}

func blank(sep string) bool { return sep == " " || sep == "\u00a0" || sep == "\u202f" || sep == "" }

// planned reports whether ten digits fit the plan: area and exchange begin with
// 2 to 9, and neither ends in 11.
func planned(d string) bool {
	return len(d) == 10 && d[0] >= '2' && d[3] >= '2' && d[1:3] != "11" && d[1] != '9' && d[4:6] != "11"
}

// national is a number as it is written inside a country: with a leading zero
// and in groups, or in any way after a label.
func (r run) national(i int, labelled bool) int {
	for n := min(len(r.groups)-i, 6); n > 0; n-- {
		digits := r.digits(i, n)
		last := r.groups[i+n-1].end
		switch {
		case len(digits) < fewestDigits || len(digits) > 15 || !r.ends(i+n-1), dateShape.MatchString(r.text[r.groups[i].start:last]):
		case labelled && n <= 5:
			return n
		case digits[0] == '0' && digits[1] != '0' && n >= 3 && len(digits) >= 10 && len(digits) <= 11 && i == 0 && i+n == len(r.groups):
			return n
		}
	}
	return 0
}

// owned are the digits of a person's own numbers.
type owned []string

func digitsOf(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return r
		}
		return -1
	}, text)
}

// has reports whether a number as it is written is one of them: whole, or
// without what is dialled before it.
func (o owned) has(digits string) bool {
	bare := strings.TrimPrefix(strings.TrimPrefix(digits, "011"), "00")
	bare = strings.TrimLeft(bare, "0")
	if len(bare) < fewestDigits {
		return false
	}
	return slices.ContainsFunc(o, func(own string) bool {
		own = strings.TrimLeft(own, "0")
		return strings.HasSuffix(own, bare) || len(own) >= 10 && strings.HasSuffix(bare, own) || trunkless(bare, own)
	})
}

// trunkless compares a number that has its trunk's zero after the country's
// code, as in +44 (0)20, with one that has not.
func trunkless(written, own string) bool {
	if len(written) != len(own)+1 || len(own) < fewestDigits {
		return false
	}
	for k := 1; k <= 3; k++ {
		if written[k] == '0' && written[:k] == own[:k] && written[k+1:] == own[k:] {
			return true
		}
	}
	return false
}

// nobodys reports whether a number belongs to no person: toll-free ones are
// companies'.
func nobodys(digits string) bool {
	d := strings.TrimPrefix(digits, "1")
	return len(d) == 10 && len(digits) >= 10 && slices.Contains(tollFree, d[:3])
}
