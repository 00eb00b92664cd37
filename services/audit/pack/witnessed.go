package pack

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/habeas-data/habeas/services/audit/cosign"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// ErrUnwitnessed is wrapped by the error of a pack whose head was not cosigned by
// those that the reader's policy wants.
var ErrUnwitnessed = errors.New("the log's head has not the witnesses that the policy wants")

// Witnessed says who besides the log signed the head that everything is proven
// against.
type Witnessed struct {
	// Of is how many witnesses the policy names.
	Of int `json:"of"`
	// By are those of them that cosigned.
	By []WitnessSeal `json:"by"`
	// Quorum says that they are enough for the policy.
	Quorum bool `json:"quorum"`
	// Trusted says that the policy is the reader's own; else it is the one in the
	// pack, by which the company names its own witnesses.
	Trusted bool `json:"trusted"`
}

// WitnessSeal is one witness's cosignature.
type WitnessSeal struct {
	// Name is what the policy calls the witness, KeyID its key's number in hex.
	Name  string `json:"name"`
	KeyID string `json:"key_id"`
	// Time is when it signed, as it says.
	Time time.Time `json:"time"`
}

// Words says it in a sentence.
func (w *Witnessed) Words() string {
	whose := "the policy in the pack, which the company chose"
	if w.Trusted {
		whose = "your policy"
	}
	if w.Of == 0 {
		return "No witness cosigned the head: that history was not rewritten is shown only by heads that you keep."
	}
	enough := "a quorum"
	if !w.Quorum {
		enough = "no quorum"
	}
	var by []string
	for _, s := range w.By {
		by = append(by, fmt.Sprintf("%s (%s, %s)", s.Name, s.KeyID, s.Time.Format(time.RFC3339)))
	}
	text := fmt.Sprintf("%d witnesses of %d cosigned the head, %s by %s", len(w.By), w.Of, enough, whose)
	if len(by) > 0 {
		text += ": " + strings.Join(by, ", ")
	}
	return text + "."
}

// openHead reads the head that everything is proven against, with the
// cosignatures of the witnesses that the pack's policy names, and no other line.
func openHead(files map[string][]byte, verifier note.Verifier, vkey string) (ledger.SignedHead, *cosign.Policy, error) {
	none := ledger.SignedHead{}
	p, err := cosign.ParsePolicy(files[filePolicy])
	if err != nil {
		return none, nil, fmt.Errorf("%s: %w: %w", filePolicy, ErrAltered, err)
	}
	if !bytes.Equal(p.ForLog(vkey), files[filePolicy]) {
		return none, nil, fmt.Errorf("%s is of another log, or not in its one right form: %w", filePolicy, ErrAltered)
	}
	signed := files[fileCheckpoint]
	text, lines, _ := bytes.Cut(signed, []byte("\n\n"))
	own, others, _ := bytes.Cut(lines, []byte("\n"))
	head, err := parseHead(bytes.Join([][]byte{text, []byte("\n\n"), own, []byte("\n")}, nil), verifier)
	if err != nil {
		return none, nil, fmt.Errorf("%s: %w: %w", fileCheckpoint, ErrAltered, err)
	}
	seals, _, err := p.Check(signed)
	if err != nil {
		return none, nil, fmt.Errorf("%s: %w: %w", fileCheckpoint, ErrAltered, err)
	}
	var want strings.Builder
	for _, s := range seals {
		want.WriteString(s.Line)
	}
	if want.String() != string(others) {
		return none, nil, fmt.Errorf("%s: a signature is of no witness of %s, or out of its place: %w", fileCheckpoint, filePolicy, ErrAltered)
	}
	head.Note = signed
	return head, p, nil
}

// witnessed holds the head against the reader's policy, or the pack's own.
func (r *Report) witnessed(head ledger.SignedHead, own *cosign.Policy, trust Trust) error {
	policy := own
	if trust.Policy != nil {
		policy = trust.Policy
	}
	seals, quorum, err := policy.Check(head.Note)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", fileCheckpoint, ErrAltered, err)
	}
	w := &Witnessed{Of: len(policy.Witnesses), Quorum: quorum && policy.Required(), Trusted: trust.Policy != nil, By: []WitnessSeal{}}
	for _, s := range seals {
		w.By = append(w.By, WitnessSeal{Name: s.Witness.Name, KeyID: s.Witness.KeyID(), Time: s.Time})
	}
	r.Witnesses = w
	if trust.Policy != nil && !quorum {
		return fmt.Errorf("%s: %s %w", fileCheckpoint, w.Words(), ErrUnwitnessed)
	}
	return nil
}

// settlePolicy takes the log's key from the reader's policy when that names logs.
func settlePolicy(trust Trust, keys keysFile) (Trust, error) {
	if trust.Policy == nil {
		return trust, nil
	}
	if !trust.Policy.Speaks(keys.Log.VerifierKey) {
		return trust, fmt.Errorf("%s: the log is none of those that your policy names: %w", fileKeys, ErrAltered)
	}
	if trust.LogKey == "" && len(trust.Policy.Logs) > 0 {
		trust.LogKey = keys.Log.VerifierKey
	}
	return trust, nil
}
