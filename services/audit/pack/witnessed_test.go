package pack

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/cosign"
	"github.com/habeas-data/habeas/services/audit/witness"
)

// cosignedLog is a log whose heads have cosignatures.
type cosignedLog struct {
	*storyLog
	policy *cosign.Policy
	by     []note.Signer
}

func (l *cosignedLog) Records(ctx context.Context, request string, fn func(auditapi.Line) error) error {
	plain := ""
	lines := ""
	return l.storyLog.Records(ctx, request, func(line auditapi.Line) error {
		if line.Head != nil {
			plain = line.Head.Checkpoint
			text, _, _ := strings.Cut(plain, "\n\n")
			signed, err := note.Sign(&note.Note{Text: text + "\n"}, l.by...)
			if err != nil {
				return err
			}
			_, lines, _ = strings.Cut(string(signed), "\n\n")
			line.Head.Checkpoint += lines
			line.Head.Policy = string(l.policy.ForLog(line.Head.VerifierKey))
		}
		if line.Record != nil {
			line.Record.Proof = strings.Replace(line.Record.Proof, plain, plain+lines, 1)
		}
		return fn(line)
	})
}

func newParty(t *testing.T, name string) (note.Signer, string) {
	t.Helper()
	secret, err := witness.GenerateKey(name)
	if err != nil {
		t.Fatal(err)
	}
	signer, public, err := witness.Signer(secret)
	if err != nil {
		t.Fatal(err)
	}
	return signer, public
}

func policyOf(t *testing.T, text string) (*cosign.Policy, string) {
	t.Helper()
	p, err := cosign.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "policy")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return p, file
}

// TestWitnessedPack holds a pack against policies, with both verifiers.
func TestWitnessedPack(t *testing.T) {
	a, aKey := newParty(t, "a.example/w")
	b, bKey := newParty(t, "b.example/w")
	_, cKey := newParty(t, "c.example/w")
	witnesses := "witness a " + aKey + "\nwitness b " + bKey + "\nwitness c " + cKey + "\n"
	own, _ := policyOf(t, witnesses+"group two 2 a b c\nquorum two\n")
	l := &cosignedLog{storyLog: newStory(t).tell(t), policy: own, by: []note.Signer{a, b}}
	dir := export(t, l)
	plain := export(t, l.storyLog)
	_, stranger := newParty(t, "a.example/w")
	for _, c := range []struct {
		name, dir, policy, says string
		holds                   bool
	}{
		{"the pack's own policy", dir, "", "2 witnesses of 3 cosigned the head, a quorum by the policy in the pack, which the company chose", true},
		{"two of three", dir, witnesses + "group two 2 a b c\nquorum two\n", "2 witnesses of 3 cosigned the head, a quorum by your policy", true},
		{"with the log named", dir, "log " + l.VerifierKey() + "\n" + witnesses + "group g any b\nquorum g\n", "2 witnesses of 3", true},
		{"nobody is wanted", dir, "quorum none\n", "", true},
		{"all three", dir, witnesses + "group all3 all a b c\nquorum all3\n", "2 witnesses of 3 cosigned the head, no quorum by your policy", false},
		{"one who did not", dir, "witness c " + cKey + "\nquorum c\n", "0 witnesses of 1 cosigned the head, no quorum by your policy", false},
		{"another key under the name", dir, "witness a " + stranger + "\nquorum a\n", "0 witnesses of 1", false},
		{"a log without witnesses", plain, "", "o witness cosigned the head", true},
		{"a policy for a log without", plain, "witness a " + aKey + "\nquorum a\n", "0 witnesses of 1", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var trust Trust
			var args []string
			if c.policy != "" {
				var file string
				trust.Policy, file = policyOf(t, c.policy)
				args = []string{"--policy", file}
			}
			report, err := Verify(c.dir, trust)
			switch {
			case c.holds && err != nil, !c.holds && !errors.Is(err, ErrUnwitnessed):
				t.Errorf("verify: %v", err)
			case c.holds && !strings.Contains(report.Witnesses.Words(), c.says), !c.holds && !strings.Contains(err.Error(), c.says):
				t.Errorf("verify says %v, %v", report, err)
			}
			out, err := python(t, c.dir, args...)
			if (err == nil) != c.holds || !strings.Contains(out, c.says) {
				t.Errorf("verify.py: %v\n%s", err, out)
			}
		})
	}
}

// TestWitnessedHeadAltered puts lines where none belong, and takes some away.
func TestWitnessedHeadAltered(t *testing.T) {
	a, aKey := newParty(t, "a.example/w")
	b, bKey := newParty(t, "b.example/w")
	stranger, _ := newParty(t, "s.example/w")
	own, _ := policyOf(t, "witness a "+aKey+"\nwitness b "+bKey+"\ngroup g all a b\nquorum g\n")
	l := &cosignedLog{storyLog: newStory(t).tell(t), policy: own, by: []note.Signer{a, b}}
	files := read(t, export(t, l))
	head := string(files[fileCheckpoint])
	lines := strings.SplitAfter(strings.TrimSuffix(head, "\n"), "\n")
	last := len(lines) - 1
	swapped := strings.Join(lines[:last-1], "") + lines[last] + "\n" + lines[last-1]
	foreign, err := note.Sign(&note.Note{Text: strings.Join(lines[:3], "")}, stranger)
	if err != nil {
		t.Fatal(err)
	}
	_, extra, _ := strings.Cut(string(foreign), "\n\n")
	flipped := bytes.Replace([]byte(head), []byte(lines[last][len(lines[last])-20:]), []byte("AAAA"+lines[last][len(lines[last])-16:]), 1)
	for name, text := range map[string]string{
		"in another order": swapped, "of a stranger": head + extra, "twice": head + lines[last] + "\n", "altered": string(flipped),
		"a witness taken away, and its line in the proofs kept": strings.Join(lines[:last], ""),
	} {
		t.Run(name, func(t *testing.T) {
			bad := map[string][]byte{}
			for file, content := range files {
				bad[file] = content
				if strings.HasPrefix(file, "proofs/") && !strings.HasPrefix(name, "a witness") {
					bad[file] = bytes.Replace(content, []byte(head), []byte(text), 1)
				}
			}
			bad[fileCheckpoint] = []byte(text)
			delete(bad, fileSums)
			bad[fileSums] = sums(bad)
			dir := write(t, bad)
			if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrAltered) {
				t.Errorf("verify: %v", err)
			}
			refusedByPython(t, dir)
		})
	}
}
