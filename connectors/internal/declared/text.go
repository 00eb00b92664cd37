package declared

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// How large a file may be, and how many brackets may stand open in it at once: the
// parser needs far more memory than the file has bytes, and its stack grows with them.
const (
	maxFile  = 8 << 20
	maxDepth = 500
)

// Text gives the content of a file as the YAML parser can take it, without the mark
// that some editors begin UTF-8 with, or says what is wrong with it.
func Text(name string, data []byte) ([]byte, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: %d bytes are too large for a declaration; at most %d MiB", name, len(data), maxFile>>20)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) || bytes.IndexByte(data, 0) >= 0 {
		return nil, fmt.Errorf("%s: this is UTF-16 or no text at all; save it as UTF-8", name)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("%s:%d: a letter is not of UTF-8; save the file as UTF-8", name, lineOfBad(data))
	}
	if line := tooDeep(data); line > 0 {
		return nil, fmt.Errorf("%s:%d: more than %d brackets are open here; close them", name, line, maxDepth)
	}
	return data, nil
}

func lineOfBad(data []byte) int {
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[size:]
	}
	return line
}

// tooDeep returns the line on which too many brackets are open, or 0. Brackets in texts
// and comments may count, too: nobody has as many of them unclosed.
func tooDeep(data []byte) int {
	line, depth := 1, 0
	for _, b := range data {
		switch b {
		case '\n':
			line++
		case '[', '{':
			if depth++; depth > maxDepth {
				return line
			}
		case ']', '}':
			depth = max(0, depth-1)
		}
	}
	return 0
}
