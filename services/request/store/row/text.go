package row

import (
	"bytes"
	"strings"
)

// CleanText is s as every store can keep it: valid UTF-8 without NUL, which
// PostgreSQL refuses. What a connector says may hold anything and must not stop
// the batch it came in.
func CleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
}

// CleanJSON is text as every store can keep it: without the escape of NUL.
func CleanJSON(text []byte) []byte {
	const nul, instead = `\u0000`, `\ufffd`
	if !bytes.Contains(text, []byte(nul)) {
		return text
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		n := 1
		if text[0] == '\\' && len(text) > 1 {
			n = 2 // an escaped backslash starts no other escape
		}
		if bytes.HasPrefix(text, []byte(nul)) {
			out = append(out, instead...)
			text = text[len(nul):]
			continue
		}
		out = append(out, text[:n]...)
		text = text[n:]
	}
	return out
}
