package request

import (
	"strings"
	"testing"
)

// What stands for nobody in one system stands for thousands in another, and is
// never somebody to act on.
func TestNobodysIdentifiers(t *testing.T) {
	for _, id := range []Identifier{
		NewIdentifier(CustomerID, "null"), NewIdentifier(CustomerID, "NULL"), NewIdentifier(CustomerID, " (null) "), NewIdentifier(CustomerID, "0"),
		NewIdentifier(CustomerID, "000000"), NewIdentifier(CustomerID, "-1"), NewIdentifier(CustomerID, "-"), NewIdentifier(CustomerID, `\N`+"ull"),
		NewIdentifier(UserID, "undefined"), NewIdentifier(UserID, "Unknown"), NewIdentifier(UserID, "N/A"), NewIdentifier(UserID, "[none]"), NewIdentifier(UserID, "NaN"),
		NewIdentifier(DeviceID, "00000000-0000-0000-0000-000000000000"), NewIdentifier(DeviceID, "00:00:00:00:00:00"), NewIdentifier(CookieID, "anonymous"),
		NewIdentifier(Email, "null@null.null"), NewIdentifier(Email, "Unknown@unknown.com"), NewIdentifier(Email, "none@none"), NewIdentifier(Email, "test@test.com"), NewIdentifier(Email, "no@email.com"),
		NewIdentifier(Phone, "+10000000000"), NewIdentifier(Phone, "+19999999999"), NewIdentifier("loyalty_no", "<blank>"),
	} {
		_, err := id.Normalize()
		if err == nil {
			t.Errorf("%s %q is taken for somebody", id.Kind, id.Reveal())
		} else if strings.Contains(err.Error(), "0000") || strings.Contains(err.Error(), "unknown.com") {
			t.Errorf("the error has the value: %v", err)
		}
	}
	for _, id := range []Identifier{
		NewIdentifier(CustomerID, "10"), NewIdentifier(CustomerID, "1"), NewIdentifier(CustomerID, "C-1"), NewIdentifier(UserID, "nullius"), NewIdentifier(UserID, "u-0"), NewIdentifier(UserID, "guest"),
		NewIdentifier(DeviceID, "00000000-0000-0000-0000-000000000001"), NewIdentifier(Email, "test@example.com"), NewIdentifier(Email, "nil@nilsson.se"),
		NewIdentifier(Email, "0@qq.com"), NewIdentifier(Phone, "+14155550123"), NewIdentifier(Name, "Null"), NewIdentifier(CustomerID, "0.5"),
	} {
		if _, err := id.Normalize(); err != nil {
			t.Errorf("%s %q is refused: %v", id.Kind, id.Reveal(), err)
		}
	}
}
