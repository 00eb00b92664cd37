package sqlmap

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// An address is found however the case of its letters was stored, whatever letters the
// database itself can put in lower case; and nobody else's is.
func TestCaseOfAnyLetter(t *testing.T) {
	databases(t, func(t *testing.T, db *testDB) {
		db.exec(t, `
CREATE TABLE people (id INTEGER PRIMARY KEY, email VARCHAR(60));
INSERT INTO people VALUES (1, 'ÉVA@Example.com'), (2, 'éva@example.com'), (3, 'Éva@EXAMPLE.com'), (4, 'eva@example.com'), (5, 'évá@example.com'), (6, 'ÖZGE.ÇELİK.ŞAHİN@example.com')`)
		const text = `
dataset:
  - fides_key: s
    collections:
      - name: people
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email], fides_meta: {identity: email}}
`
		c := db.connect(t, text)
		want(t, "located", located(t, c, email("éva@example.com")), []string{"people 3"})
		want(t, "located without the accent", located(t, c, email("eva@example.com")), []string{"people 1"})
		erase(t, c, email("éva@example.com"))
		want(t, "left", db.dump(t, "people"), []string{"people[4 eva@example.com]", "people[5 évá@example.com]", "people[6 ÖZGE.ÇELİK.ŞAHİN@example.com]"})
	})
}

// Of whatever letters an address is: what a database that knows ASCII alone makes of it
// in lower, upper or mixed case is among its spellings.
func TestSpellings(t *testing.T) {
	if got := spellings("Ann.O'Neil+1@Example.com"); !slices.Equal(got, []string{"ann.o'neil+1@example.com"}) {
		t.Errorf("an address of ASCII alone is looked for as %q", got)
	}
	if n := len(spellings(strings.Repeat("é", 40) + "@example.com")); n > mostSpellings {
		t.Errorf("%d spellings", n)
	}
	letters := rapid.SampledFrom([]rune("abzéüñçøåжщαβőžÿ.1-"))
	rapid.Check(t, func(t *rapid.T) {
		lower := string(rapid.SliceOfN(letters, 1, 40).Draw(t, "local")) + "@example.com"
		all := spellings(lower)
		stored := []string{lower, strings.ToUpper(lower), titled(lower)}
		if n := len(all); n > 4 { // few enough for all cases
			mixed := []rune(lower)
			for i := range mixed {
				if rapid.Bool().Draw(t, "upper") {
					mixed[i] = upper(mixed[i])
				}
			}
			stored = append(stored, string(mixed))
		}
		for _, s := range stored {
			if !slices.Contains(all, asciiLower(s)) && strings.ToLower(s) == lower {
				t.Fatalf("%q, stored as %q, is not among %d spellings", lower, s, len(all))
			}
		}
	})
}
