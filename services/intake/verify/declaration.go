package verify

import (
	"errors"
	"strings"
	"time"
)

// Sentences that a declaration must hold. It may be signed outside California,
// and then it has no force without naming California's law (Code of Civil
// Procedure 2015.5).
var sentences = map[string]string{
	"en": "I declare under penalty of perjury under the laws of the State of California that the foregoing is true and correct.",
	"es": "Declaro bajo pena de perjurio conforme a las leyes del Estado de California que lo anterior es verdadero y correcto.",
}

// Sentence is the one a person signs, in her language.
func Sentence(language string) string {
	if s, ok := sentences[language]; ok {
		return s
	}
	return sentences["en"]
}

// Statement is what comes before the sentence.
func Statement(language string) string {
	if language == "es" {
		return "Soy el consumidor cuya información personal es objeto de esta solicitud."
	}
	return "I am the consumer whose personal information is the subject of this request."
}

// Declaration is a signed declaration under penalty of perjury.
type Declaration struct {
	Text     string    `json:"text"`
	Signed   string    `json:"signed"` // the name, typed as signature (Civ. Code 1633.7)
	SignedAt time.Time `json:"signed_at"`
}

// Declare makes a declaration of what a person signed.
func Declare(language, name string, at time.Time) *Declaration {
	return &Declaration{Text: Statement(language) + " " + Sentence(language), Signed: strings.TrimSpace(name), SignedAt: at}
}

// ErrDeclaration says that a declaration has no force.
var ErrDeclaration = errors.New("the declaration needs a date, a signature and the sentence that names the laws of the State of California")

// Check reports whether a declaration can have force.
func (d *Declaration) Check() error {
	if d == nil || d.SignedAt.IsZero() || len([]rune(d.Signed)) < 3 {
		return ErrDeclaration
	}
	for _, s := range sentences {
		if strings.Contains(d.Text, s) {
			return nil
		}
	}
	return ErrDeclaration
}
