package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// saidOnce refuses JSON in which a field is there twice, in whatever case, and a
// value that is followed by anything: of two values some readers take the first
// and others the last, and a signed record must say the same to all. Fields named
// in closed are not looked into.
func saidOnce(text []byte, closed ...string) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := once(dec, closed); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something comes after it")
	}
	return nil
}

// once goes through the next value.
func once(dec *json.Decoder, closed []string) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('['):
		for dec.More() {
			if err := once(dec, closed); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	case json.Delim('{'):
		return fieldsOnce(dec, closed)
	}
	return nil
}

// fieldsOnce goes through the fields of an object that was begun.
func fieldsOnce(dec *json.Decoder, closed []string) error {
	var seen []string
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if slices.ContainsFunc(seen, func(s string) bool { return strings.EqualFold(s, name) }) {
			return errors.New("a field is there twice")
		}
		if seen = append(seen, name); len(seen) > mostFields {
			return fmt.Errorf("more than %d fields", mostFields)
		}
		var skipped json.RawMessage
		if slices.Contains(closed, name) {
			err = dec.Decode(&skipped)
		} else {
			err = once(dec, closed)
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// mostFields bounds what one object of an envelope or statement may have; those of
// Habeas have four.
const mostFields = 64
