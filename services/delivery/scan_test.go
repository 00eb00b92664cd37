package delivery_test

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/services/delivery"
)

// TestScan has, for every type of 11 CCR 7024(d), values that must not pass
// and values that look alike and must.
func TestScan(t *testing.T) {
	for _, c := range []struct{ field, value, kind string }{
		// Payment cards: Luhn, network prefixes and lengths, any usual writing.
		{"note", `"4111111111111111"`, "payment card number"},
		{"note", `4111111111111111`, "payment card number"},
		{"note", `"my card: 5555-5555-5555-4444, exp 12/29"`, "payment card number"},
		{"note", `"3782 822463 10005"`, "payment card number"},
		{"note", `"4111.1111.1111.1111"`, "payment card number"},
		{"note", `"4111\u00a01111\u00a01111\u00a01111"`, "payment card number"},
		{"note", `"４１１１１１１１１１１１１１１１"`, "payment card number"},
		{"note", `"٤١١١١١١١١١١١١١١١"`, "payment card number"},
		{"note", `"4111\u200b1111\u200b1111\u200b1111"`, "payment card number"},
		{"note", `"2024-01-15 4111 1111 1111 1111"`, "payment card number"},
		{"note", `"CARD4111111111111111"`, "payment card number"},
		{"note", `"\u0034111111111111111"`, "payment card number"},
		{"note", `4.111111111111111e15`, "payment card number"},
		{"card_number", `"4111111111111112"`, "payment card number"},
		{"cardLast4", `"4242"`, "payment card number"},
		{"cvv", `"123"`, "payment card security code"},
		{"note", `"4111111111111112"`, ""},                              // check digit
		{"note", `"1234567890123456"`, ""},                              // no network
		{"at", `1700000000000000`, ""},                                  // microseconds
		{"lat", `37.42199983456712`, ""},                                // a decimal point
		{"lat", `"37.421999834567 -122.0840575"`, ""},                   // two of them
		{"id", `"550e8400-e29b-41d4-a716-446655440000"`, ""},            // UUID
		{"sha", `"9f4111111111111111ab3c"`, ""},                         // inside a hash
		{"phone", `"+1 415 555 0100"`, ""},                              // telephone
		{"ip", `"192.168.100.100"`, ""},                                 // address
		{"card_brand", `"visa"`, ""},                                    // no number
		{"card_expires", `"2029-12-01"`, ""},                            // date
		{"user_agent", `"Mozilla/5.0 (X11; Linux) Gecko/20100101"`, ""}, // versions

		// Social Security and taxpayer numbers.
		{"note", `"SSN 078-05-1120"`, "Social Security number"},
		{"note", `"078 05 1120"`, "Social Security number"},
		{"note", `"078–05–1120"`, "Social Security number"},
		{"ssn", `"078051120"`, "Social Security number"},
		{"socialSecurityNumber", `78051120`, "Social Security number"},
		{"ssn_last4", `"1120"`, "Social Security number"},
		{"note", `"my social security number is 078051120"`, "Social Security number"},
		{"note", `"912-70-1234"`, "taxpayer identification number"},
		{"itin", `"912701234"`, "taxpayer identification number"},
		{"note", `"000-12-3456 666-12-3456 123-00-4567 123-45-0000"`, ""}, // never issued
		{"customer_id", `"123456789"`, ""},
		{"zip", `"94103-1234"`, ""},
		{"date", `"2026-11-02"`, ""},

		// Government documents.
		{"drivers_license", `"D1234567"`, "driver's licence number"},
		{"driverLicenceNo", `"D1234567"`, "driver's licence number"},
		{"note", `"driver's license number: D1234567"`, "driver's licence number"},
		{"passport_number", `"X1234567"`, "passport number"},
		{"doc.passport", `{"number":"X1234567"}`, "passport number"},
		{"note", `"Passport No. X1234567"`, "passport number"},
		{"national_id", `"12345678Z"`, "government-issued identification number"},
		{"passport_expires", `"2031-04-05"`, ""},
		{"has_passport", `true`, ""},
		{"passport_country", `"US"`, ""},
		{"note", `"bring your passport at 10:30"`, ""},
		{"software_license", `"ABCD-1234-5678"`, ""},

		// Accounts, health, passwords, questions, biometrics.
		{"note", `"IBAN DE89 3704 0044 0532 0130 00 please"`, "financial account number"},
		{"note", `"gb82west12345698765432"`, "financial account number"},
		{"bank_account", `"000123456789"`, "financial account number"},
		{"note", `"DE89370400440532013001"`, ""},
		{"visitor", `"de89370400440532013000a1b2c3d4e5"`, ""}, // longer than an IBAN
		{"medicare_number", `"1EG4-TE5-MK73"`, "health insurance or medical identification number"},
		{"password", `"hunter"`, "account password"},
		{"PasswordHash", `"abc"`, "account password"},
		{"note", `"$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234"`, "account password"},
		{"note", `"$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA"`, "account password"},
		{"note", `"password: hunter2"`, "account password"},
		{"password_changed_at", `"2026-01-02T03:04:05Z"`, ""},
		{"password_set", `true`, ""},
		{"note", `"I forgot my password, please help"`, ""},
		{"api_key", `"k"`, "account secret"},
		{"note", `"-----BEGIN RSA PRIVATE KEY-----\nMII"`, "account secret"},
		{"security_question", `"First pet?"`, "security question or answer"},
		{"security_answer", `"Rex"`, "security question or answer"},
		{"faceprint", `[0.1,0.2]`, "unique biometric data"},
		{"fingerprint_template", `"AAEC"`, "unique biometric data"},
		{"device_fingerprint", `"a81bc81b"`, ""},

		// Nested values: names of what is around count.
		{"payment", `{"card":{"number":"1234 5678 9012 3456","brand":"visa"}}`, "payment card number"},
		{"payload", `{"a":[{"b":"text 4111111111111111"}]}`, "payment card number"},
		{"payload", `{"4111111111111111":1}`, "payment card number"},
		{"4111111111111111", `1`, "payment card number"},
	} {
		value, kinds, err := delivery.ScanField(c.field, c.value)
		if err != nil {
			t.Errorf("%s = %s: %v", c.field, c.value, err)
			continue
		}
		if c.kind == "" && (len(kinds) > 0 || string(value) != c.value) {
			t.Errorf("%s = %s: withheld as %v", c.field, c.value, kinds)
		}
		if c.kind != "" && (len(kinds) == 0 || kinds[0] != c.kind) {
			t.Errorf("%s = %s: %v, want %q", c.field, c.value, kinds, c.kind)
		}
		if c.kind != "" && value != nil && !json.Valid(value) {
			t.Errorf("%s = %s: left %s", c.field, c.value, value)
		}
	}
}

func TestScanLeavesTheRestOfNestedValues(t *testing.T) {
	value, kinds, err := delivery.ScanField("payment", `{"name":"<Jané>","cards":[{"n":"4111111111111111","m":12.50},null,true],"x":{}}`)
	want := `{"name":"<Jané>","cards":[{"n":{"collected":true,"withheld":"11 CCR 7024(d)","kind":"payment card number"},"m":12.50},null,true],"x":{}}`
	if err != nil || len(kinds) != 1 || string(value) != want {
		t.Errorf("%s, %v, %v", value, kinds, err)
	}
	if _, _, err := delivery.ScanField("x", `{"a":`); err == nil {
		t.Error("half a value was screened")
	}
}

// TestScanFindsCardsAnywhere plants a valid number in any text.
func TestScanFindsCardsAnywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := []byte("4" + rapid.StringMatching(`[0-9]{14}`).Draw(t, "digits") + "0")
		for !luhn(digits) {
			digits[15]++
		}
		sep := rapid.SampledFrom([]string{"", " ", "-", ".", "\u00a0", "\u2011"}).Draw(t, "separator")
		number := strings.Join([]string{string(digits[:4]), string(digits[4:8]), string(digits[8:12]), string(digits[12:])}, sep)
		around := rapid.StringMatching(`([a-z,;:!?() ]{0,10}[,;:!?()])?`)
		text, err := json.Marshal(around.Draw(t, "before") + number + reverse(around.Draw(t, "after")))
		if err != nil {
			t.Fatal(err)
		}
		value, kinds, err := delivery.ScanField("note", string(text))
		if err != nil || value != nil || len(kinds) != 1 {
			t.Fatalf("%s passed: %v, %v", text, kinds, err)
		}
	})
}

func reverse(s string) string {
	var b strings.Builder
	for i := len(s) - 1; i >= 0; i-- {
		b.WriteByte(s[i])
	}
	return b.String()
}

func luhn(d []byte) bool {
	sum := 0
	for i, c := range d {
		v := int(c - '0')
		if (len(d)-i)%2 == 0 {
			v = v*2/10 + v*2%10
		}
		sum += v
	}
	return sum%10 == 0
}

func FuzzScan(f *testing.F) {
	f.Add("note", `"4111 1111 1111 1111"`)
	f.Add("a.b", `{"x":[1,{"y":"DE89 3704 0044 0532 0130 00"}]}`)
	f.Fuzz(func(t *testing.T, name, value string) {
		if !json.Valid([]byte(value)) || strings.TrimSpace(value) != value {
			return
		}
		clean, kinds, err := delivery.ScanField(name, value)
		if err != nil {
			t.Fatalf("%q = %q: %v", name, value, err)
		}
		if clean == nil && len(kinds) == 0 {
			t.Fatalf("%q = %q vanished", name, value)
		}
		if clean != nil && !json.Valid(clean) {
			t.Fatalf("%q = %q became %q", name, value, clean)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	values := []string{`"jane.doe@example.com"`, `"550e8400-e29b-41d4-a716-446655440000"`, `"2026-11-02T09:30:00Z"`, `1700000000000`, `"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36"`, `null`}
	for b.Loop() {
		for _, v := range values {
			if _, _, err := delivery.ScanField("field", v); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestScanOfHostileShapes must end soon: its values would take minutes where
// work grows with the square of their size.
func TestScanOfHostileShapes(t *testing.T) {
	for name, value := range map[string]string{
		"nine digits, many times": `"` + strings.Repeat("123456789,", 200_000) + `"`,
		"single digits":           `"` + strings.Repeat("4 ", 1_000_000) + `"`,
		"letters and digits":      `"` + strings.Repeat(strings.Repeat("a", 1000)+"1", 2000) + `"`,
		"deep":                    strings.Repeat(`{"password":[`, 4000) + "1" + strings.Repeat("]}", 4000),
		"long names":              `{"` + strings.Repeat("a.", 1_000_000) + `":{"b":1}}`,
		"half an IBAN":            `"` + strings.Repeat("DE89 ", 400_000) + `"`,
		"half an address":         `"` + strings.Repeat("a@", 200_000) + `"`,
		"many names":              `{"to":"` + strings.Repeat("a ", 200_000) + `@"}`,
		"irises":                  `"` + strings.Repeat("iris ", 200_000) + `"`,
	} {
		if _, kinds, err := delivery.ScanField("note", value); err != nil || len(kinds) > 0 {
			t.Errorf("%s: %v, %v", name, kinds, err)
		}
	}
}
