package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// statement is an in-toto Statement v1.
type statement struct {
	Type          string             `json:"_type"`
	Subject       []statementSubject `json:"subject"`
	PredicateType string             `json:"predicateType"`
	Predicate     json.RawMessage    `json:"predicate"`
}

type statementSubject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// about is whom or what a record speaks of. Its parts are plain ASCII that
// needs no escape in JSON.
type about struct {
	name, algorithm string
	digest          []byte
}

// The one spelling in which Habeas writes records. It is what encoding/json
// makes of the same structures. Readers take any JSON; this spelling they take
// at a third of the cost, and a room reads thousands of records a second.
const (
	envelopeStart = `{"payloadType":"` + PayloadType + `","payload":"`
	envelopeKey   = `","signatures":[{"keyid":"`
	envelopeSig   = `","sig":"`
	envelopeEnd   = `"}]}`

	statementStart     = `{"_type":"` + StatementType + `","subject":[{"name":"`
	statementDigest    = `","digest":{"`
	statementValue     = `":"`
	statementType      = `"}}],"predicateType":"`
	statementPredicate = `","predicate":`
	statementEnd       = `}`
)

func appendStatement(b []byte, subject about, predicateType string, predicate []byte) []byte {
	b = append(b, statementStart...)
	b = append(b, subject.name...)
	b = append(b, statementDigest...)
	b = append(b, subject.algorithm...)
	b = append(b, statementValue...)
	b = hex.AppendEncode(b, subject.digest)
	b = append(b, statementType...)
	b = append(b, predicateType...)
	b = append(b, statementPredicate...)
	b = append(b, predicate...)
	return append(b, statementEnd...)
}

func appendEnvelope(b, payload []byte, keyID string, signature []byte) []byte {
	b = append(b, envelopeStart...)
	b = base64.StdEncoding.AppendEncode(b, payload)
	b = append(b, envelopeKey...)
	b = append(b, keyID...)
	b = append(b, envelopeSig...)
	b = base64.StdEncoding.AppendEncode(b, signature)
	return append(b, envelopeEnd...)
}

// readEnvelope takes a DSSE envelope apart.
func readEnvelope(envelope []byte) (payload, signature []byte, keyID string, err error) {
	if payload, signature, keyID, ok := readOwnEnvelope(envelope); ok {
		return payload, signature, keyID, nil
	}
	var e dsse.Envelope
	err = saidOnce(envelope)
	if err == nil {
		err = json.Unmarshal(envelope, &e)
	}
	if err != nil {
		return nil, nil, "", fmt.Errorf("record: not a DSSE envelope: %w", err)
	}
	if e.PayloadType != PayloadType {
		return nil, nil, "", fmt.Errorf("record: payloadType: want %s", PayloadType)
	}
	if len(e.Signatures) != 1 {
		return nil, nil, "", fmt.Errorf("record: signatures: want 1, have %d", len(e.Signatures))
	}
	if payload, err = base64.StdEncoding.Strict().DecodeString(e.Payload); err != nil {
		return nil, nil, "", errors.New("record: payload: not standard base64")
	}
	signature, err = base64.StdEncoding.Strict().DecodeString(e.Signatures[0].Sig)
	if err != nil || len(signature) != ed25519.SignatureSize {
		return nil, nil, "", errors.New("record: sig: not the base64 of an Ed25519 signature")
	}
	return payload, signature, e.Signatures[0].KeyID, nil
}

// readOwnEnvelope reads the spelling of [appendEnvelope]; ok is false for any
// other.
func readOwnEnvelope(envelope []byte) (payload, signature []byte, keyID string, ok bool) {
	c := cutter{rest: envelope}
	c.expect(envelopeStart)
	payload = c.base64()
	c.expect(envelopeKey)
	keyID = c.text()
	c.expect(envelopeSig)
	signature = c.base64()
	c.expect(envelopeEnd)
	return payload, signature, keyID, !c.other && len(c.rest) == 0 && len(signature) == ed25519.SignatureSize
}

// readStatement takes an in-toto Statement apart.
func readStatement(payload []byte) (predicateType string, predicate []byte, err error) {
	if predicateType, predicate, ok := readOwnStatement(payload); ok {
		return predicateType, predicate, nil
	}
	var st statement
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	err = saidOnce(payload, "predicate")
	if err == nil {
		err = dec.Decode(&st)
	}
	if err != nil {
		return "", nil, fmt.Errorf("record: not an in-toto Statement: %w", err)
	}
	if st.Type != StatementType {
		return "", nil, fmt.Errorf("record: _type: want %s", StatementType)
	}
	return st.PredicateType, st.Predicate, nil
}

// readOwnStatement reads the spelling of [appendStatement]; ok is false for any
// other. Whether the predicate is one JSON value its own reader finds out.
func readOwnStatement(payload []byte) (predicateType string, predicate []byte, ok bool) {
	c := cutter{rest: payload}
	c.expect(statementStart)
	c.text()
	c.expect(statementDigest)
	c.text()
	c.expect(statementValue)
	c.text()
	c.expect(statementType)
	predicateType = c.text()
	c.expect(statementPredicate)
	predicate, ok = bytes.CutSuffix(c.rest, []byte(statementEnd))
	return predicateType, predicate, ok && !c.other
}

// cutter reads bytes of a known spelling from the front; other says that they
// were of another.
type cutter struct {
	rest  []byte
	other bool
}

func (c *cutter) expect(text string) {
	rest, ok := bytes.CutPrefix(c.rest, []byte(text))
	c.rest, c.other = rest, c.other || !ok
}

// quoted reads up to the next quotation mark, which it leaves.
func (c *cutter) quoted() []byte {
	i := bytes.IndexByte(c.rest, '"')
	if c.other || i < 0 {
		c.other = true
		return nil
	}
	text := c.rest[:i]
	c.rest = c.rest[i:]
	return text
}

// text reads a string in which every byte stands for itself.
func (c *cutter) text() string {
	text := c.quoted()
	for _, b := range text {
		if b < ' ' || b > '~' || b == '\\' {
			c.other = true
		}
	}
	return string(text)
}

func (c *cutter) base64() []byte {
	text := c.quoted()
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	// The decoder skips line ends, which a JSON string can't hold.
	if err != nil || base64.StdEncoding.EncodedLen(n) != len(text) {
		c.other = true
	}
	return out[:n]
}
