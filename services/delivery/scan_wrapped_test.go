package delivery_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/delivery"
)

// What may never be disclosed is found however a system has written it: with other
// separators, in JSON that was put into a column of text, or in base64.
func TestScanFindsWhatIsWrapped(t *testing.T) {
	b64 := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, c := range []struct{ field, text, kind string }{
		// Separators.
		{"note", "078 - 05 - 1120", "Social Security number"},
		{"note", "078  05  1120", "Social Security number"},
		{"note", "078/05/1120", "Social Security number"},
		{"note", "078-05 1120", "Social Security number"},
		{"note", "4111 - 1111 - 1111 - 1111", "payment card number"},
		{"note", "4111  1111  1111  1111", "payment card number"},
		{"note", "4111/1111/1111/1111", "payment card number"},
		{"note", "4111-1111 1111-1111", "payment card number"},

		// JSON in a column of text, whose names count.
		{"payload", `{"cvv":"123"}`, "payment card security code"},
		{"payload", ` {"security_answer": "Rex"} `, "security question or answer"},
		{"payload", `{"a":[{"drivers_license":"D1234567"}]}`, "driver's licence number"},
		{"payload", `{"inner":"{\"api_key\":\"k1\"}"}`, "account secret"},
		{"payload", `"{\"cvv\":\"123\"}"`, "payment card security code"},

		// Base64.
		{"blob", b64("SSN: 078-05-1120"), "Social Security number"},
		{"blob", strings.TrimRight(b64("card 4111 1111 1111 1111"), "="), "payment card number"},
		{"blob", base64.URLEncoding.EncodeToString([]byte("ÿÿ?ÿ card 4111 1111 1111 1111")), "payment card number"},
		{"blob", b64(`{"user":"jane","api_key":"k1"}`), "account secret"},

		// Alike, and to be disclosed.
		{"note", "from 10 - 20 - 2024 to 11/12/2024", ""},
		{"note", "078 / 5 / 1120", ""},
		{"note", "4012-55 20240115 33/44/55", ""},
		{"payload", `{"brand":"visa","n":"0042"}`, ""},
		{"payload", `{"cvv":`, ""},
		{"payload", `[not JSON] cvv 123`, ""},
		{"blob", b64("good morning, how are you?"), ""},
		{"blob", b64("\x00\x01\x02 4111 1111 1111 1111 \xff\xfe\xfd"), ""}, // no text
	} {
		value, err := json.Marshal(c.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []struct{ name, value string }{{c.field, string(value)}, {"outer", `{"` + c.field + `":` + string(value) + `}`}} {
			clean, kinds, err := delivery.ScanField(form.name, form.value)
			switch {
			case err != nil:
				t.Errorf("%s = %s: %v", form.name, form.value, err)
			case c.kind == "" && (len(kinds) > 0 || string(clean) != form.value):
				t.Errorf("%s = %s: withheld as %v", form.name, form.value, kinds)
			case c.kind != "" && (len(kinds) == 0 || kinds[0] != c.kind):
				t.Errorf("%s = %s: %v, want %q", form.name, form.value, kinds, c.kind)
			case clean != nil && !json.Valid(clean):
				t.Errorf("%s = %s: left %s", form.name, form.value, clean)
			}
		}
	}
}

// Of JSON in a column of text the rest is disclosed, as text again.
func TestScanLeavesTheRestOfJSONInText(t *testing.T) {
	value, kinds, err := delivery.ScanField("payload", `"{\"brand\":\"visa\",\"cvv\":\"123\"}"`)
	want := `"{\"brand\":\"visa\",\"cvv\":{\"collected\":true,\"withheld\":\"11 CCR 7024(d)\",\"kind\":\"payment card security code\"}}"`
	if err != nil || len(kinds) != 1 || string(value) != want {
		t.Errorf("%s, %v, %v", value, kinds, err)
	}
}

// Text in text in text ends.
func TestScanOfDeepText(t *testing.T) {
	text := `{"cvv":"123"}`
	for range 14 {
		wrapped, err := json.Marshal(map[string]string{"a": text})
		if err != nil {
			t.Fatal(err)
		}
		text = string(wrapped)
	}
	if _, kinds, err := delivery.ScanField("x", text); err != nil || len(kinds) == 0 {
		t.Errorf("what is too deep to look into must not pass: %v, %v", kinds, err)
	}
}
