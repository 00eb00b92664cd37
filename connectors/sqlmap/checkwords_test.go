package sqlmap

import (
	"strings"
	"testing"
)

func TestWordsThatMeanNothing(t *testing.T) {
	good := `dataset:
  - fides_key: a
    habeas: {tier: identity}
    collections:
      - name: people
        habeas: {letters: [A]}
        fields:
          - name: email
            data_categories: [user.contact.email]
            fides_meta: {identity: email}
            habeas: {letter: B}
`
	if _, err := ParseMap("m.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ old, new, want string }{
		{"tier: identity", "tier: identiy", "m.yaml:3: dataset a: tier must be own, third_party or identity"},
		{"letters: [A]", "letters: [A, Z]", "m.yaml:6: collection people: letters must be A to L"},
		{"letter: B", "letter: AB", "m.yaml:11: field email: letter must be A to L"},
	} {
		_, err := ParseMap("m.yaml", []byte(strings.Replace(good, tc.old, tc.new, 1)))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", tc.new, err, tc.want)
		}
	}
}
