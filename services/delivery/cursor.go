package delivery

import (
	"bytes"
	"encoding/json"
)

// cursor walks the members of JSON that is known to be valid, without decoding
// or copying their values. Most of the time that a package takes is spent here.
type cursor struct {
	text []byte
	at   int
}

// object calls fn for each member until it returns false. It is false when the
// text is no object, has something after it, or fn said so.
func (c *cursor) object(fn func(name string, value []byte) bool) bool {
	return c.members('{', '}', func() bool {
		name, ok := textOf(c.value())
		if !ok || c.peek() != ':' {
			return false
		}
		c.at++
		return fn(name, c.value())
	})
}

// array calls fn for each element; null has none.
func (c *cursor) array(fn func(element []byte) bool) bool {
	if c.peek() == 'n' {
		return true
	}
	return c.members('[', ']', func() bool { return fn(c.value()) })
}

func (c *cursor) members(open, end byte, each func() bool) bool {
	if c.peek() != open {
		return false
	}
	c.at++
	if c.peek() == end {
		c.at++
		return c.peek() == 0
	}
	for {
		if !each() {
			return false
		}
		switch c.peek() {
		case ',':
			c.at++
			c.peek()
		case end:
			c.at++
			return c.peek() == 0
		default:
			return false
		}
	}
}

// peek skips white space and returns the next byte, or 0 at the end.
func (c *cursor) peek() byte {
	for ; c.at < len(c.text); c.at++ {
		switch b := c.text[c.at]; b {
		case ' ', '\t', '\r', '\n':
		default:
			return b
		}
	}
	return 0
}

// value returns the next value and moves behind it.
func (c *cursor) value() []byte {
	first := c.peek()
	start := c.at
	switch first {
	case '"':
		c.skipString()
	case '{', '[':
		for depth := 0; c.at < len(c.text); {
			switch c.text[c.at] {
			case '"':
				c.skipString()
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			c.at++
			if depth == 0 {
				break
			}
		}
	default:
		for c.at < len(c.text) && bytes.IndexByte([]byte(",:]} \t\r\n"), c.text[c.at]) < 0 {
			c.at++
		}
	}
	return c.text[start:c.at]
}

func (c *cursor) skipString() {
	for c.at++; c.at < len(c.text); c.at++ {
		switch c.text[c.at] {
		case '\\':
			c.at++
		case '"':
			c.at++
			return
		}
	}
}

// textOf decodes a JSON string.
func textOf(value []byte) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return "", false
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	err := json.Unmarshal(value, &text)
	return text, err == nil
}
