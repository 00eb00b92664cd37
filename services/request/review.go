package request

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Review is how a copy stands that a person looks at before it is handed over, for what
// its texts may say of others (Civ. Code 1798.145(k)). A request has one from when
// its copy waited for the first time.
type Review struct {
	// Texts are the fields of the copy that hold texts, and Until is when the copy's time
	// is over: it can't be handed over any more, and has to be made again.
	Texts []TextField `json:"texts,omitempty"`
	Until time.Time   `json:"until,omitzero"`
	// Approved is when somebody let it be handed over, and By is who.
	Approved time.Time `json:"approved,omitzero"`
	By       string    `json:"by,omitempty"`
	// LeftOut are fields that are left out, and Masked words that are masked wherever
	// they stand, a JSON list sealed under the request's key; Words is how many.
	LeftOut []FieldPlace `json:"left_out,omitempty"`
	Masked  []byte       `json:"masked,omitempty"`
	Words   int          `json:"words,omitempty"`
	// Round counts how often somebody had the copy made again. One that was made for an
	// earlier round counts no more.
	Round int `json:"round,omitempty"`
}

// FieldPlace is a field of a store.
type FieldPlace struct {
	Connector string `json:"connector"`
	Store     string `json:"store"`
	Field     string `json:"field"`
}

// String is connector/store/field, as it is typed.
func (p FieldPlace) String() string { return p.Connector + "/" + p.Store + "/" + p.Field }

// TextField is a field in which Count records have a text.
type TextField struct {
	FieldPlace
	Count int64 `json:"count"`
}

// CopyChanges is what is to be different in a copy that is made again: words that are
// masked wherever they stand, and fields that are left out, beside those of before.
type CopyChanges struct {
	Mask    []string
	LeftOut []FieldPlace
}

var (
	// ErrNotForReview says that a request has no copy that waits for a look.
	ErrNotForReview = errors.New("this request has no copy that waits for a look")
	// ErrReview says that a copy is not handed over before somebody has looked at it.
	ErrReview = errors.New("the copy waits until somebody has looked at it")
	// ErrCopyOver says that a copy waited too long to be handed over.
	ErrCopyOver = errors.New("the copy waited so long that its time is over: have it made again, and look again")
)

// How much may be masked in one copy, and how long one word of it may be.
const (
	MostMasked    = 200
	mostMaskedLen = 100
)

// CheckMasked returns [FieldErrors] for words that can't be masked: too many, too short
// to say whom they mean, or of no letter at all. It gives them as they are to be used.
func CheckMasked(words []string) ([]string, error) {
	var out []string
	for i, w := range words {
		w = strings.Join(strings.Fields(w), " ")
		if w == "" {
			continue
		}
		n := utf8.RuneCountInString(w)
		if !utf8.ValidString(w) || n < 2 || n > mostMaskedLen || !strings.ContainsFunc(w, unicode.IsLetter) || strings.ContainsFunc(w, func(r rune) bool { return !unicode.IsPrint(r) }) {
			// It may be somebody's name: the error has its place alone.
			return nil, FieldErrors{{Field: "mask[" + strconv.Itoa(i) + "]", Problem: "is no name or word", Fix: "give 2 to " + strconv.Itoa(mostMaskedLen) + " characters as they stand in the copy, one name a line"}}
		}
		out = append(out, w)
	}
	if len(out) > MostMasked {
		return nil, FieldErrors{{Field: "mask", Problem: "has too many words", Fix: "give at most " + strconv.Itoa(MostMasked) + ", or leave the field out"}}
	}
	return out, nil
}
