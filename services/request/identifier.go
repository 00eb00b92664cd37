package request

import (
	"fmt"
	"log/slog"
	"unique"
)

// Kind is a kind of identifier, such as "email": lower-case words joined by
// underscores. Connectors compare kinds byte by byte.
type Kind string

// The kinds every deployment knows. A data map may define more.
const (
	Email      Kind = "email"       // trimmed, lower case
	Phone      Kind = "phone"       // E.164
	Name       Kind = "name"        // a full name: never enough to act on alone
	CustomerID Kind = "customer_id" // the company's account or customer number
	UserID     Kind = "user_id"     // the product's internal user identifier
	DeviceID   Kind = "device_id"   // a device or advertising identifier
	CookieID   Kind = "cookie_id"   // a browser's cookie
)

const redacted = "[redacted]"

// Secret is text that is personal data. No way of printing, logging or
// marshalling shows it, not even as an unexported field of a struct that is
// printed whole; [Secret.Reveal] does. Secrets can be compared with ==. The
// zero Secret is the empty text.
type Secret struct{ text unique.Handle[string] }

// NewSecret makes a Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the text itself. Handle it as what it is: never in an error,
// a log, a metric, a subject or a file name.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.text.Value()
}

// IsZero reports whether the text is empty.
func (s Secret) IsZero() bool { return s == Secret{} }

// Equal reports whether both hold the same text.
func (s Secret) Equal(o Secret) bool { return s == o }

// String implements [fmt.Stringer] without showing the text.
func (Secret) String() string { return redacted }

// GoString implements [fmt.GoStringer] without showing the text.
func (Secret) GoString() string { return redacted }

// Format implements [fmt.Formatter] so that no verb shows the text.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue implements [slog.LogValuer] without showing the text.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] without showing the text.
// Whoever means to store or send it says Reveal.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Identifier is one value by which a system may know a person. Its value is
// personal data: an Identifier prints as its kind only.
type Identifier struct {
	Kind  Kind
	Value Secret
}

// NewIdentifier makes an Identifier of a value as given. [Identifier.Normalize]
// brings it into the form that connectors compare.
func NewIdentifier(kind Kind, value string) Identifier {
	return Identifier{Kind: kind, Value: NewSecret(value)}
}

// Reveal returns the value itself; see [Secret.Reveal].
func (id Identifier) Reveal() string { return id.Value.Reveal() }

// String implements [fmt.Stringer]: the kind, never the value.
func (id Identifier) String() string { return string(id.Kind) + "=" + redacted }

// GoString implements [fmt.GoStringer]: the kind, never the value.
func (id Identifier) GoString() string { return id.String() }

// Format implements [fmt.Formatter] so that no verb shows the value.
func (id Identifier) Format(f fmt.State, _ rune) { fmt.Fprint(f, id.String()) }

// LogValue implements [slog.LogValuer]: the kind, never the value.
func (id Identifier) LogValue() slog.Value { return slog.StringValue(id.String()) }

// MarshalText implements [encoding.TextMarshaler]: the kind, never the value.
func (id Identifier) MarshalText() ([]byte, error) { return []byte(id.String()), nil }
