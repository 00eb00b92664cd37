package wire

import "testing"

// What is said twice, or has something behind it, is refused; other spellings
// of one thing are not.
func TestParseRecordSaidOnce(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a":1,"b":{"a":[{"c":1},{"c":2}]}}`: true,
		`{"a":1,"a":1}`:                       false,
		`{"a":1,"A":1}`:                       false,
		`{"keyid":1,"ſ":1,"s":2}`:             false, // one letter to readers that ignore case
		`{"b":[{"a":1,"a":1}]}`:               false,
		`{"closed":{"a":1,"a":1}}`:            true,
		`{"a":1}{}`:                           false,
		`{"a":1} `:                            true,
		`{"a":`:                               false,
	} {
		if err := saidOnce([]byte(text), "closed"); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
