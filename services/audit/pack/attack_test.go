package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// summedUp writes files as a folder whose sums are right for them.
func summedUp(t *testing.T, files map[string][]byte) string {
	t.Helper()
	delete(files, fileSums)
	files[fileSums] = sums(files)
	return write(t, files)
}

// What is for reading can be written anew by anybody, sums and all. The lists are
// refused by both verifiers, and a page that says something else is told.
func TestFilesForReadingForged_RE6(t *testing.T) {
	for kind, original := range map[string]map[string][]byte{
		"request": read(t, export(t, newStory(t).tell(t))),
		"period":  read(t, exportPeriod(t, newQuarter(t))),
	} {
		for name, edit := range map[string]func([]byte) []byte{
			filePopulation: func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("_with_exceptions"), nil) },
			fileMetrics:    func(b []byte) []byte { return bytes.Replace(b, []byte(",2.6"), []byte(",1.6"), 1) },
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				files := maps.Clone(original)
				if files[name] = edit(files[name]); bytes.Equal(files[name], original[name]) {
					t.Fatal("nothing was forged")
				}
				dir := summedUp(t, files)
				if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), name) {
					t.Errorf("Verify: %v", err)
				}
				refusedByPython(t, dir)
			})
		}
		for _, name := range []string{fileCertificate, fileReadme, fileVerify} {
			t.Run(kind+" "+name, func(t *testing.T) {
				told := func(w string) bool { return strings.HasPrefix(w, name+" is not what") }
				if report, err := Verify(summedUp(t, maps.Clone(original)), Trust{}); err != nil || slices.ContainsFunc(report.Warnings, told) {
					t.Fatalf("nothing was changed: %v, %v", report, err)
				}
				files := maps.Clone(original)
				files[name] = bytes.ReplaceAll(files[name], []byte("e"), []byte("E"))
				if report, err := Verify(summedUp(t, files), Trust{}); err != nil || !slices.ContainsFunc(report.Warnings, told) {
					t.Errorf("%+v, %v: nobody is told", report, err)
				}
			})
		}
	}
}

// A head of the same log that is older, or of another log, proves nothing here.
func TestAnotherHead_RE6(t *testing.T) {
	s := newStory(t)
	l := newStoryLog(t, s.coordinator)
	for _, by := range []*wire.Signer{s.coordinator, s.crm, s.billing} {
		l.log(t, s.coordinator, keyRecord(by), "")
	}
	var stale ledger.SignedHead
	s.tellInto(t, l, func() {
		var err error
		if stale, err = l.Checkpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	original := read(t, export(t, l))
	for name, head := range map[string][]byte{"an older head": stale.Note, "another log's": newStory(t).tell(t).Signed().Note} {
		t.Run(name, func(t *testing.T) {
			for _, everywhere := range []bool{false, true} {
				files := maps.Clone(original)
				files[fileCheckpoint] = head
				for proof, text := range files {
					if everywhere && strings.HasSuffix(proof, proofSuffix) {
						hashes, _, _ := bytes.Cut(text, []byte("\n\n"))
						files[proof] = slices.Concat(hashes, []byte("\n\n"), head)
					}
				}
				dir := summedUp(t, files)
				if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrAltered) {
					t.Errorf("Verify: %v", err)
				}
				refusedByPython(t, dir)
			}
		})
	}
}

// A folder is what it seems: nothing in it leads elsewhere or is without end.
func TestFoldersThatLeadElsewhere_RE6(t *testing.T) {
	original := read(t, export(t, newStory(t).tell(t)))
	for name, edit := range map[string]func(dir string) error{
		"a link in the place of a file": func(dir string) error {
			from := filepath.Join(dir, fileReadme)
			to := filepath.Join(t.TempDir(), "elsewhere")
			return errors.Join(os.Rename(from, to), os.Symlink(to, from))
		},
		"a link to a folder": func(dir string) error { return os.Symlink(t.TempDir(), filepath.Join(dir, "more")) },
		"a huge file": func(dir string) error {
			return os.Truncate(filepath.Join(dir, fileReadme), 1<<40)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, original)
			if err := edit(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrAltered) {
				t.Errorf("Verify: %v", err)
			}
			refusedByPython(t, dir)
		})
	}
}

// Somebody's wish to be sold again is evidence too: every action that connectors
// know is one that both verifiers know.
func TestOptInHolds(t *testing.T) {
	s := newStory(t)
	s.intake.Right, s.located, s.closure.Result = "opt_in_sale_share", nil, "complete"
	s.outcomes = s.outcomes[1:]
	for i, o := range s.outcomes {
		s.plan.Lines[i].Action, o.Action = habeasv1.Action_ACTION_OPT_IN, habeasv1.Action_ACTION_OPT_IN
		o.Outcome = &habeasv1.Outcome{Result: &habeasv1.Outcome_Done{Done: &habeasv1.Done{}}}
	}
	dir := export(t, s.tell(t))
	if _, err := Verify(dir, Trust{}); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if out, err := python(t, dir); err != nil || !strings.Contains(out, "opt_in") {
		t.Errorf("verify.py: %v\n%s", err, out)
	}
	var names []string // in the order of their numbers, as the script counts them
	for n := range int32(len(habeasv1.Action_name)) {
		names = append(names, `"`+strings.TrimPrefix(habeasv1.Action_name[n], "ACTION_")+`"`)
	}
	if want := "ACTIONS = [" + strings.Join(names, ", ") + "]"; !bytes.Contains(verifyScript, []byte(want)) {
		t.Errorf("verify.py has not %s", want)
	}
	for _, right := range []string{"opt_in_sale_share", "opt_in_spi", "appeal"} { // nobody need be asked for these
		s := newStory(t)
		s.intake.Right, s.closure.Result, s.plan, s.located, s.outcomes = right, "complete", nil, nil, nil
		dir := export(t, s.tell(t))
		if _, err := Verify(dir, Trust{}); err != nil {
			t.Errorf("Verify: %s: %v", right, err)
		}
		if out, err := python(t, dir); err != nil {
			t.Errorf("verify.py: %s: %v\n%s", right, err, out)
		}
	}
}

// No more is gone than the retention records counted, and no key ever is: a
// revocation that is left out would make good what was signed after it.
func TestMoreGoneThanWasDestroyed_RE6(t *testing.T) {
	q := newQuarter(t)
	first := q.start.Size
	_, err := q.Erase(t.Context(), first, first+4, func(n int64) (ledger.Record, error) {
		rec, err := q.coordinator.Sign(&habeasv1.RetentionRecord{FirstLeaf: first, LastLeaf: first + 6, Rule: "evidence-5y", EnvelopeCount: n}, "", nil)
		if err != nil {
			return ledger.Record{}, err
		}
		return ledger.Record{Digest: rec.Digest, Envelope: rec.Envelope, Type: string(rec.Type), Issuer: rec.Issuer()}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	original := read(t, exportPeriod(t, q))
	for name, c := range map[string]struct {
		edit func(*leafLine)
		says string
	}{
		"one more": {says: "count 5 that were destroyed", edit: func(l *leafLine) {
			if l.Leaf == first+5 {
				sum := sha256.Sum256(l.Record)
				l.Record, l.Digest = nil, hex.EncodeToString(sum[:])
			}
		}},
		"a key": {says: "never destroyed", edit: func(l *leafLine) {
			if l.Leaf == first+1 {
				l.Type = "key"
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(original)
			var out []byte
			for line := range bytes.Lines(files[firstLeaves(files)]) {
				l, _, err := parseLeaf(bytes.TrimSuffix(line, []byte("\n")))
				if err != nil {
					t.Fatal(err)
				}
				c.edit(&l)
				out = append(append(out, mustJSON(t, l)...), '\n')
			}
			files[firstLeaves(files)] = out
			dir := summedUp(t, files)
			if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Verify: %v", err)
			}
			if out, err := python(t, dir); err == nil || !strings.Contains(out, c.says) {
				t.Errorf("verify.py: %v\n%s", err, out)
			}
		})
	}
}

// A connector that forgot what it had located, and was asked again, has the last
// word; one that only says "nothing" does not get away with it.
func TestForgottenAndAskedAgain(t *testing.T) {
	nothing := func(s *story) *habeasv1.OutcomeRecord {
		o := proto.Clone(s.outcomes[1]).(*habeasv1.OutcomeRecord)
		o.Outcome = &habeasv1.Outcome{Result: &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}}
		return o
	}
	for name, c := range map[string]struct {
		tell func(*story)
		want error
	}{
		"asked again":     {tell: func(s *story) { s.outcomes = slices.Insert(s.outcomes, 1, nothing(s)) }},
		"not asked again": {tell: func(s *story) { s.outcomes[1] = nothing(s) }, want: ErrIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			c.tell(s)
			dir := export(t, s.tell(t))
			if _, err := Verify(dir, Trust{}); !errors.Is(err, c.want) {
				t.Errorf("Verify: %v, want %v", err, c.want)
			}
			if out, err := python(t, dir); (err != nil) != (c.want != nil) {
				t.Errorf("verify.py: %v\n%s", err, out)
			}
		})
	}
}

func keyRecord(of *wire.Signer) *habeasv1.KeyRecord {
	return &habeasv1.KeyRecord{Owner: of.Issuer(), PublicKey: wire.PublicDER(of.Public()), Fingerprint: of.KeyID(), NotBeforeTime: timestamppb.Now()}
}

const twiceDriver = `
import json, sys
import verify
for name, data in json.load(sys.stdin).items():
    try:
        verify.parse(name, 1, "outcome", data.encode())
        read = True
    except (verify.Refused, KeyError, ValueError):
        read = False
    if read != (name == "as it was"):
        print(name, "is read:", read)
`

// A record that says something twice, or under a second name, is read by no
// verifier: one would see what it says first and the other what it says last.
func TestWhatIsSaidTwice_RE6(t *testing.T) {
	rec, err := newSigner(t, "crm").Sign(&habeasv1.OutcomeRecord{RequestId: storyRequest, JobId: "job-1"}, storyRequest, nil)
	if err != nil {
		t.Fatal(err)
	}
	var envelope struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(rec.Envelope, &envelope); err != nil {
		t.Fatal(err)
	}
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	// Not signed, which nobody looks at before it is read.
	with := func(old, replaced string) string {
		changed := strings.Replace(string(payload), old, replaced, 1)
		if changed == string(payload) {
			t.Fatalf("there is no %s", old)
		}
		return strings.Replace(string(rec.Envelope), envelope.Payload, base64.StdEncoding.EncodeToString([]byte(changed)), 1)
	}
	cases := map[string]string{
		"as it was":               string(rec.Envelope),
		"two payloads":            strings.Replace(string(rec.Envelope), `"payload":`, `"payload":"e30=","payload":`, 1),
		"two payloads by case":    strings.Replace(string(rec.Envelope), `"payload":`, `"Payload":"e30=","payload":`, 1),
		"two lists of signatures": strings.Replace(string(rec.Envelope), `"signatures":`, `"signatures":[],"signatures":`, 1),
		"two key ids":             strings.Replace(string(rec.Envelope), `"keyid":`, `"keyid":"x","keyid":`, 1),
		"something after it":      string(rec.Envelope) + "{}",
		"two predicates":          with(`"predicate":{`, `"predicate":{},"predicate":{`),
		"two predicates by case":  with(`"predicate":{`, `"Predicate":{},"predicate":{`),
		"two types":               with(`"predicateType":`, `"predicateType":"x","predicateType":`),
		"two jobs":                with(`"job_id"`, `"job_id":"job-2","job_id"`),
		"two jobs by name":        with(`"job_id"`, `"jobId":"job-2","job_id"`),
	}
	for name, text := range cases {
		if _, err := wire.ParseRecord([]byte(text)); (err == nil) != (name == "as it was") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := exec.LookPath("python3"); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"verify.py": verifyScript, "driver.py": []byte(twiceDriver)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "python3", filepath.Join(dir, "driver.py"))
	command.Stdin = bytes.NewReader(mustJSON(t, cases))
	if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
