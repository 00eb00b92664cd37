package room

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

const redacted = "[redacted]"

// Secret is a credential in clear. Printing, logging and encoding show
// "[redacted]"; [Secret.Reveal] gives the value.
type Secret string

// Reveal returns the value itself.
func (s Secret) Reveal() string { return string(s) }

// Format implements [fmt.Formatter] so that no verb shows the value.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String implements [fmt.Stringer] without showing the value.
func (Secret) String() string { return redacted }

// LogValue implements [slog.LogValuer] without showing the value.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler] without showing the value.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SecretFile is the path of a file that holds a secret. Settings hold such
// paths, under names that end in "_file", and never the secret itself.
type SecretFile string

const maxSecret = 64 << 10

// Read returns the file's content without the line end at its end. An empty
// path gives an empty Secret.
func (f SecretFile) Read() (Secret, error) {
	if f == "" {
		return "", nil
	}
	file, err := os.Open(string(f))
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read from
	content, err := io.ReadAll(io.LimitReader(file, maxSecret+1))
	if err != nil {
		return "", fmt.Errorf("reading a secret: %w", err)
	}
	content = bytes.TrimRight(content, "\r\n")
	switch {
	case len(content) == 0:
		return "", fmt.Errorf("reading a secret: %s is empty", string(f))
	case len(content) > maxSecret:
		return "", errors.New("reading a secret: " + string(f) + " is over 64 KiB")
	}
	return Secret(content), nil
}
