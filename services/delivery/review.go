package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// ReviewMode says which copies a person looks at before they are handed over, because
// texts may speak of others and no program finds all of them (Civ. Code 1798.145(k)).
type ReviewMode string

// The modes. "" is ReviewNever.
const (
	ReviewNever  ReviewMode = "never"
	ReviewTexts  ReviewMode = "texts" // those with texts that somebody wrote, or documents
	ReviewAlways ReviewMode = "always"
)

// Valid reports whether m is one of the modes.
func (m ReviewMode) Valid() bool {
	return m == "" || m == ReviewNever || m == ReviewTexts || m == ReviewAlways
}

// wants reports whether somebody looks at the copy. A report of categories holds no
// text of anybody's.
func (m ReviewMode) wants(r *Result) bool {
	switch m {
	case ReviewAlways:
		return r.Records > 0
	case ReviewTexts:
		return len(r.Texts) > 0
	default:
		return false
	}
}

// reviewOf is what waits for a look once a copy is made, again or for the first time.
func reviewOf(before *request.Review, r *Result) *request.Review {
	var now request.Review
	if before != nil {
		now = *before
	}
	now.Texts, now.Until = r.Texts, r.ExpiresAt
	return &now
}

// whatOfOthers is how the package calls what a person left out of it.
const whatOfOthers = "something that is about another person"

// addReview makes the order for what somebody found in an earlier copy.
func (g *gathering) addReview(ctx context.Context) error {
	g.o.FindTexts = g.config.Review != "" && g.config.Review != ReviewNever
	review := g.req.Case.Review
	if review == nil {
		return nil
	}
	g.o.FindTexts = true
	g.begun(g.req.ID, review.Round)
	why, err := g.words.say("withheld_others")
	if err != nil {
		return err
	}
	for _, at := range review.LeftOut {
		g.o.Withholdings = append(g.o.Withholdings, Withholding{
			Connector: at.Connector, Store: at.Store, Field: at.Field, What: g.words.kind(whatOfOthers), Reason: why, Basis: othersBasis,
		})
	}
	if len(review.Masked) == 0 {
		return nil
	}
	key, err := g.config.Vault.Unwrap(ctx, g.req.WrappedKey)
	if err != nil {
		return err
	}
	defer key.Destroy()
	plain, err := key.Open(review.Masked, store.ReviewAAD(g.req.ID))
	if err != nil {
		return fmt.Errorf("reading what is masked in the copy: %w", err)
	}
	if json.Unmarshal(plain, &g.o.Masked) != nil {
		return fmt.Errorf("request %s: what is masked in its copy can't be read", g.req.ID)
	}
	return nil
}

// begun notes the round that a package is made for.
func (q *Queue) begun(id request.ID, round int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m, ok := q.making[id]; ok {
		m.round = round
		q.making[id] = m
	}
}

// masker masks words wherever they stand by themselves, however their letters are
// written. A nil masker masks nothing.
type masker struct{ words *regexp.Regexp }

func newMasker(words []string) *masker {
	if len(words) == 0 {
		return nil
	}
	// The longest first: "Ana María Ruiz" before "Ana".
	words = slices.Clone(words)
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	shapes := make([]string, len(words))
	for i, w := range words {
		parts := strings.Fields(norm.NFC.String(w))
		for k := range parts {
			parts[k] = regexp.QuoteMeta(parts[k])
		}
		shapes[i] = strings.Join(parts, `[\s\x{00a0}]+`)
	}
	return &masker{regexp.MustCompile(`(?i)(?:` + strings.Join(shapes, "|") + `)`)}
}

// apply masks in every field of a record. A document can't be changed: one whose name
// has such a word loses its name, and has to be left out by its field.
func (m *masker) apply(rec *record) error {
	if m == nil {
		return nil
	}
	for i := range rec.fields {
		f := &rec.fields[i]
		if f.withheld != "" {
			continue
		}
		masked, found, err := m.value(f.value)
		if err != nil {
			return err
		}
		if found {
			f.value = masked
			f.note(kindOtherName)
		}
	}
	return nil
}

// value masks in every string of a JSON value, names of members included.
func (m *masker) value(value json.RawMessage) (masked json.RawMessage, found bool, err error) {
	var out []byte
	done := 0
	for at := 0; at < len(value); {
		if value[at] != '"' {
			at++
			continue
		}
		c := cursor{text: value, at: at}
		c.skipString()
		text, ok := textOf(value[at:c.at])
		if !ok {
			return nil, false, errNotRecord
		}
		if with, changed := m.text(text); changed {
			quoted, err := marshal(with)
			if err != nil {
				return nil, false, err
			}
			out, found = append(append(out, value[done:at]...), quoted...), true
			done = c.at
		}
		at = c.at
	}
	if !found {
		return value, false, nil
	}
	return append(out, value[done:]...), true, nil
}

func (m *masker) text(text string) (masked string, found bool) {
	if !norm.NFC.IsNormalString(text) {
		text = norm.NFC.String(text)
	}
	var b strings.Builder
	done := 0
	for _, at := range m.words.FindAllStringIndex(text, -1) {
		before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
		after, _ := utf8.DecodeRuneInString(text[at[1]:])
		if inWord(before) || inWord(after) {
			continue
		}
		b.WriteString(text[done:at[0]])
		b.WriteString("[" + kindOtherName + "]")
		done, found = at[1], true
	}
	return b.String() + text[done:], found
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// addText counts a field that holds a text.
func (s *storeData) addText(f field) {
	if s.texts == nil || f.withheld != "" || f.file == nil && !isText(f.value) {
		return
	}
	s.texts[f.name]++
}

// proseWords is how many words make a text: fewer are a name, a title or a state.
const proseWords = 3

// isText reports whether a JSON value holds a text that somebody may have written:
// three words, or nine letters of a script that has no spaces. An address is taken
// for one, too.
func isText(value json.RawMessage) bool {
	for at := 0; at < len(value); {
		if value[at] != '"' {
			at++
			continue
		}
		c := cursor{text: value, at: at}
		c.skipString()
		if text, ok := textOf(value[at:c.at]); ok && isProse(text) {
			return true
		}
		at = c.at
	}
	return false
}

func isProse(text string) bool {
	words := 0
	for word := range strings.FieldsSeq(text) {
		letters, others, unspaced := 0, 0, 0
		for _, r := range word {
			switch {
			case unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Khmer, unicode.Lao, unicode.Myanmar):
				unspaced++
			case unicode.IsLetter(r) || unicode.IsMark(r):
				letters++
			case unicode.IsDigit(r):
				others++
			}
		}
		if words += unspaced / 3; letters > others {
			words++
		}
	}
	return words >= proseWords
}

// fieldName is how a field is named to be shown outside of the package: names come
// from the systems, and one that could be somebody's is not shown.
var fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z_. -]{0,63}[0-9]{0,3}(?: \([0-9]{1,4}\))?$`)

// unnamed stands for fields whose names are not shown; they can't be left out one by one.
const unnamed = "…"

// maxTexts bounds the list of fields that hold texts.
const maxTexts = 500

// texts are the fields that hold texts, by place.
func (b *build) texts() []request.TextField {
	var own []string
	for _, id := range b.order.Own {
		if v := strings.ToLower(id.Reveal()); len(v) >= 3 {
			own = append(own, v)
		}
	}
	counts := map[request.FieldPlace]int64{}
	for _, s := range b.stores {
		for name, n := range s.texts {
			lower := strings.ToLower(name)
			if !fieldName.MatchString(name) || slices.ContainsFunc(own, func(v string) bool { return strings.Contains(lower, v) }) {
				name = unnamed
			}
			counts[request.FieldPlace{Connector: s.connector, Store: s.name, Field: name}] += n
		}
	}
	out := make([]request.TextField, 0, len(counts))
	for at, n := range counts {
		out = append(out, request.TextField{FieldPlace: at, Count: n})
	}
	slices.SortFunc(out, func(a, b request.TextField) int { return strings.Compare(a.String(), b.String()) })
	return out[:min(len(out), maxTexts)]
}
