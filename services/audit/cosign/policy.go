package cosign

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	fnote "github.com/transparency-dev/formats/note"
	fpolicy "github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"
)

// maxPolicy is the most bytes of a policy, and maxWitnesses the most witnesses
// in one; a note has at most 100 signatures.
const (
	maxPolicy    = 256 << 10
	maxWitnesses = 64
)

// Witness is one that a policy names.
type Witness struct {
	// Name is what the policy calls it.
	Name string
	// Key is its public key in note format.
	Key string
	// URL is its submission prefix; empty when the policy has none.
	URL string

	verifier note.Verifier
}

// KeyName is the name the witness signs under.
func (w Witness) KeyName() string { return w.verifier.Name() }

// KeyID is the key's number in signature lines, in hex.
func (w Witness) KeyID() string { return fmt.Sprintf("%08x", w.verifier.KeyHash()) }

// Policy says whose cosignatures make a head count.
type Policy struct {
	// Logs are the public keys of logs that it speaks of; it may name none.
	Logs []string
	// Witnesses are all it names, in its order.
	Witnesses []Witness

	lines  []string // of witnesses, groups and the quorum, in canonical form
	quorum fpolicy.Group
	none   bool
}

// Required reports whether the policy wants any cosignature.
func (p *Policy) Required() bool { return !p.none }

// ParsePolicy reads a C2SP tlog-policy. Its error names the line.
func ParsePolicy(text []byte) (*Policy, error) {
	if len(text) > maxPolicy {
		return nil, fmt.Errorf("policy: it has more than %d bytes", maxPolicy)
	}
	r := policyReader{policy: &Policy{}, defined: map[string]bool{}, used: map[string]bool{}, keys: map[string]bool{}}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if err := r.line(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("policy: line %d: %w", n, err)
		}
	}
	p := r.policy
	if r.quorum == "" {
		return nil, errors.New(`policy: there is no quorum line; "quorum none" wants no witness`)
	}
	p.none = r.quorum == "none"
	// The format's own library decides what holds; it is given lines in which
	// nothing is left open.
	group, err := fpolicy.ParsePolicy([]byte(strings.Join(r.full, "\n") + "\n"))
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p.quorum = group
	return p, nil
}

type policyReader struct {
	policy              *Policy
	full                []string // the lines, each witness with a URL
	defined, used, keys map[string]bool
	quorum              string
}

func (r *policyReader) line(line string) error {
	for _, c := range []byte(line) {
		if c < 0x20 && c != '\t' || c == 0x7f {
			return errors.New("it has a control character; lines end with a line feed alone")
		}
	}
	f := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(f) == 0 || strings.HasPrefix(f[0], "#") {
		return nil
	}
	switch f[0] {
	case "log":
		return r.log(f[1:])
	case "witness":
		return r.witness(f[1:])
	case "group":
		return r.group(f[1:])
	case "quorum":
		return r.setQuorum(f[1:])
	}
	return fmt.Errorf("%q: want log, witness, group or quorum", f[0])
}

func (r *policyReader) log(f []string) error {
	if len(f) != 1 && len(f) != 2 {
		return errors.New("want log KEY [URL]")
	}
	if _, err := note.NewVerifier(f[0]); err != nil {
		return errors.New("the log's key is not an Ed25519 key in note format")
	}
	if slices.Contains(r.policy.Logs, f[0]) {
		return errors.New("this log is there twice")
	}
	r.policy.Logs = append(r.policy.Logs, f[0])
	return nil
}

func (r *policyReader) define(name string) error {
	switch name {
	case "log", "witness", "group", "quorum", "any", "all", "none":
		return fmt.Errorf("%q is a word of the format and no name", name)
	}
	// The library that decides takes what follows for a comment.
	if strings.Contains(name, "#") {
		return fmt.Errorf("%q: choose a name without #", name)
	}
	if r.defined[name] {
		return fmt.Errorf("%q is there twice", name)
	}
	r.defined[name] = true
	return nil
}

func (r *policyReader) witness(f []string) error {
	if len(f) != 2 && len(f) != 3 {
		return errors.New("want witness NAME KEY [URL]")
	}
	if err := r.define(f[0]); err != nil {
		return err
	}
	w := Witness{Name: f[0], Key: f[1]}
	raw, err := w.parseKey()
	if err != nil {
		return fmt.Errorf("witness %s: %w", w.Name, err)
	}
	if r.keys[string(raw[1:])] {
		return fmt.Errorf("witness %s: its key is there twice, so one party would count as two", w.Name)
	}
	r.keys[string(raw[1:])] = true
	line, full := "witness "+w.Name+" "+w.Key, "https://url.invalid/"
	if len(f) == 3 {
		u, err := url.Parse(f[2])
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.Contains(f[2], "#") {
			return fmt.Errorf("witness %s: want an http or https address without user, query or fragment", w.Name)
		}
		w.URL, full = f[2], f[2]
		line += " " + f[2]
	}
	if len(r.policy.Witnesses) == maxWitnesses {
		return fmt.Errorf("more than %d witnesses", maxWitnesses)
	}
	r.policy.Witnesses = append(r.policy.Witnesses, w)
	r.policy.lines = append(r.policy.lines, line)
	r.full = append(r.full, "witness "+w.Name+" "+w.Key+" "+full)
	return nil
}

// parseKey reads the key and returns its algorithm and bytes.
func (w *Witness) parseKey() ([]byte, error) {
	const want = "want a cosignature key in note format, NAME+ID+KEY, of Ed25519 (type 4) or ML-DSA-44 (type 6)"
	fields := strings.SplitN(w.Key, "+", 3)
	if len(fields) != 3 || strings.Contains(w.Key, "#") {
		return nil, errors.New(want)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(fields[2])
	if err != nil || len(raw) < 2 || raw[0] != 4 && raw[0] != 6 {
		return nil, errors.New(want)
	}
	if w.verifier, err = fnote.NewVerifierForCosignatureV1(w.Key); err != nil {
		return nil, errors.New(want)
	}
	if id, err := hex.DecodeString(fields[1]); err != nil || hex.EncodeToString(id) != w.KeyID() {
		return nil, fmt.Errorf("the key's id is %s and not %s", w.KeyID(), fields[1])
	}
	return raw, nil
}

func (r *policyReader) group(f []string) error {
	if len(f) < 3 {
		return errors.New("want group NAME, then all, any or a number, then its members")
	}
	name, members := f[0], f[2:]
	for _, m := range members {
		if !r.defined[m] {
			return fmt.Errorf("group %s: %q is not defined above", name, m)
		}
		if r.used[m] {
			return fmt.Errorf("group %s: %q is a member already, and would count twice", name, m)
		}
		r.used[m] = true
	}
	if err := r.define(name); err != nil {
		return err
	}
	threshold := f[1]
	switch threshold {
	case "any":
		threshold = "1"
	case "all":
		threshold = strconv.Itoa(len(members))
	}
	if k, err := strconv.Atoi(threshold); err != nil || k < 1 || k > len(members) || strconv.Itoa(k) != threshold {
		return fmt.Errorf("group %s: want all, any or a number from 1 to %d", name, len(members))
	}
	line := "group " + name + " " + threshold + " " + strings.Join(members, " ")
	r.policy.lines, r.full = append(r.policy.lines, line), append(r.full, line)
	return nil
}

func (r *policyReader) setQuorum(f []string) error {
	if len(f) != 1 {
		return errors.New("want quorum NAME, or quorum none")
	}
	if r.quorum != "" {
		return errors.New("a second quorum line")
	}
	if f[0] != "none" && !r.defined[f[0]] {
		return fmt.Errorf("quorum: %q is not defined above", f[0])
	}
	r.quorum = f[0]
	line := "quorum " + f[0]
	r.policy.lines, r.full = append(r.policy.lines, line), append(r.full, line)
	return nil
}

// ForLog is the policy as text for one log: the log's line, and what is left of
// it without comments.
func (p *Policy) ForLog(key string) []byte {
	return []byte("log " + key + "\n" + strings.Join(p.lines, "\n") + "\n")
}

// Speaks reports whether the policy may be used for the log with this key.
func (p *Policy) Speaks(key string) bool {
	return len(p.Logs) == 0 || slices.Contains(p.Logs, key)
}

// Seal is one witness's cosignature on a head.
type Seal struct {
	Witness Witness
	// Time is when the witness says that it saw the head as the newest.
	Time time.Time
	// Line is the signature's line, with its line feed.
	Line string
}

// Check finds the cosignatures of the policy's witnesses on a head, one for
// each witness at most, and says whether they are a quorum. A signature in a
// witness's name that does not hold is an error.
func (p *Policy) Check(head []byte) (seals []Seal, quorum bool, err error) {
	for _, w := range p.Witnesses {
		s, err := w.on(head)
		if err != nil {
			return nil, false, err
		}
		if s != nil {
			seals = append(seals, *s)
		}
	}
	return seals, p.quorum.Satisfied(head), nil
}

// on finds the witness's cosignature on a head; nil when there is none.
func (w Witness) on(head []byte) (*Seal, error) {
	n, err := note.Open(head, note.VerifierList(w.verifier))
	if _, unsigned := errors.AsType[*note.UnverifiedNoteError](err); unsigned {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("witness %s: its signature does not hold: %w", w.Name, err)
	}
	sig := n.Sigs[0]
	if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
		return nil, fmt.Errorf("witness %s: its signature is not in its one right form", w.Name)
	}
	at, err := fnote.CoSigV1Timestamp(sig)
	if err != nil {
		return nil, fmt.Errorf("witness %s: %w", w.Name, err)
	}
	return &Seal{Witness: w, Time: at.UTC(), Line: "— " + sig.Name + " " + sig.Base64 + "\n"}, nil
}
