package pack

import (
	"bytes"
	"encoding/base64"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

var samples = flag.Int("samples", 24, "bytes altered in each file")

// python runs a verify.py that nobody altered over the pack, as an auditor
// would who kept a copy.
func python(t testing.TB, dir string, args ...string) (string, error) {
	t.Helper()
	for _, tool := range []string{"python3", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is needed: %v", tool, err)
			}
			t.Skipf("%s is needed: %v", tool, err)
		}
	}
	script := filepath.Join(t.TempDir(), "verify.py")
	if err := os.WriteFile(script, verifyScript, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "python3", append([]string{script, dir}, args...)...).CombinedOutput()
	return string(out), err
}

func export(t testing.TB, source Source) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pack")
	if err := Export(t.Context(), source, storyRequest, dir, func(what string) { t.Log(what) }); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pack")
	if err := writeFolder(dir, files); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files, err := readFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestAPackHolds(t *testing.T) {
	s := newStory(t)
	l := s.tell(t)
	dir := export(t, l)
	report, err := Verify(dir, Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if report.Records != 10 || len(report.Requests) != 1 || len(report.Warnings) != 2 {
		t.Errorf("%d records, %d requests, warnings %q", report.Records, len(report.Requests), report.Warnings)
	}
	a := report.Requests[0]
	crm, billing := a.Lines[0], a.Lines[1]
	if !a.Closed || crm.Outcome != "done" || crm.Stores[0].Erased != 17 || billing.Outcome != "retained" || billing.Stores[0].Kept != 3 || billing.Stores[0].Erased != 2 {
		t.Errorf("account: %+v", a)
	}
	out, err := python(t, dir)
	if err != nil || !strings.Contains(out, "holds: 10 records") {
		t.Errorf("verify.py: %v\n%s", err, out)
	}
	certificate, err := os.ReadFile(filepath.Join(dir, fileCertificate))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ccpa-1798.105(d)(8)", "2031-04-15", "complete_with_exceptions", crm.Digest, "Verifiable deletion evidence"} {
		if !bytes.Contains(certificate, []byte(want)) {
			t.Errorf("the certificate does not say %s", want)
		}
	}
	rows, err := os.ReadFile(filepath.Join(dir, filePopulation))
	if err != nil || !strings.Contains(string(rows), storyRequest+",us-ca-ccpa,delete,web,2026-11-02,2026-11-05,complete_with_exceptions,,") {
		t.Errorf("population.csv: %v\n%s", err, rows)
	}
	rows, err = os.ReadFile(filepath.Join(dir, fileMetrics))
	if err != nil || !strings.Contains(string(rows), "delete,1,0,1,0,0,0,2.6,2.6") {
		t.Errorf("metrics.csv: %v\n%s", err, rows)
	}
	if err := Export(t.Context(), l, storyRequest, dir, nil); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("export over a pack: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".*")); err != nil || len(left) > 0 {
		t.Errorf("temporary folders were left: %v", left)
	}
}

func TestTrust(t *testing.T) {
	s := newStory(t)
	l := s.tell(t)
	dir := export(t, l)
	keys := func(logKey string, by *wire.Signer) string {
		path := filepath.Join(t.TempDir(), "keys.txt")
		text := "# the company's keys\n" + logKey + "\n" + base64.StdEncoding.EncodeToString(wire.PublicDER(by.Public())) + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	other := newStoryLog(t)
	for _, c := range []struct {
		name, path string
		holds      bool
	}{
		{"the right keys", keys(l.VerifierKey(), s.coordinator), true},
		{"another log", keys(other.VerifierKey(), s.coordinator), false},
		{"another room", keys(l.VerifierKey(), newSigner(t, "coordinator")), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			trust, err := LoadTrust(c.path)
			if err != nil {
				t.Fatal(err)
			}
			report, err := Verify(dir, trust)
			if c.holds && (err != nil || len(report.Warnings) > 0) || !c.holds && !errors.Is(err, ErrAltered) {
				t.Errorf("%+v, %v", report, err)
			}
			if out, err := python(t, dir, "--key", c.path); (err == nil) != c.holds {
				t.Errorf("verify.py: %v\n%s", err, out)
			}
		})
	}
}

// Whatever byte is altered in whatever file, both verifiers refuse; and where
// the sums are made anew, the evidence itself does.
func TestAlteredBytes_RE6(t *testing.T) {
	dir := export(t, newStory(t).tell(t))
	original := read(t, dir)
	random := rand.New(rand.NewPCG(1, 2))
	readable := []string{fileCertificate, filePopulation, fileMetrics, fileReadme, fileVerify, fileSums}
	for _, name := range slices.Sorted(maps.Keys(original)) {
		t.Run(name, func(t *testing.T) {
			for i := range *samples {
				files := maps.Clone(original)
				at := random.IntN(len(files[name]))
				files[name] = bytes.Clone(files[name])
				files[name][at] ^= 1 << random.IntN(8)
				if err := checkFiles(files); !errors.Is(err, ErrAltered) {
					t.Fatalf("byte %d altered: %v", at, err)
				}
				if i == 0 {
					refusedByPython(t, write(t, files))
				}
				if slices.Contains(readable, name) {
					continue
				}
				delete(files, fileSums)
				files[fileSums] = sums(files)
				if _, err := verifyFiles(files, Trust{}); !errors.Is(err, ErrAltered) {
					t.Fatalf("byte %d altered and the sums made anew: %v", at, err)
				}
				if i == 0 {
					refusedByPython(t, write(t, files))
				}
			}
		})
	}
}

func refusedByPython(t *testing.T, dir string) {
	t.Helper()
	if out, err := python(t, dir); err == nil || !strings.Contains(out, "REFUSED") {
		t.Errorf("verify.py accepts it: %v\n%s", err, out)
	}
}

func TestFilesThatComeAndGo_RE6(t *testing.T) {
	original := read(t, export(t, newStory(t).tell(t)))
	for name, edit := range map[string]func(map[string][]byte){
		"a further file":         func(f map[string][]byte) { f["notes.txt"] = []byte("x") },
		"a record without proof": func(f map[string][]byte) { delete(f, proofFile(first(f, "outcome"))) },
		"a proof without record": func(f map[string][]byte) { delete(f, first(f, "outcome")) },
		"no certificate":         func(f map[string][]byte) { delete(f, fileCertificate) },
		"a record under a wrong leaf": func(f map[string][]byte) {
			from := first(f, "outcome")
			to := recordFile(99, wire.RecordOutcome)
			f[to], f[proofFile(to)] = f[from], f[proofFile(from)]
			delete(f, from)
			delete(f, proofFile(from))
		},
		"a record of another type": func(f map[string][]byte) {
			from := first(f, "outcome")
			to := strings.Replace(from, "outcome", "located", 1)
			f[to], f[proofFile(to)] = f[from], f[proofFile(from)]
			delete(f, from)
			delete(f, proofFile(from))
		},
	} {
		t.Run(name, func(t *testing.T) {
			files := maps.Clone(original)
			delete(files, fileSums)
			edit(files)
			files[fileSums] = sums(files)
			dir := write(t, files)
			if _, err := Verify(dir, Trust{}); !errors.Is(err, ErrAltered) {
				t.Errorf("Verify: %v, want ErrAltered", err)
			}
			refusedByPython(t, dir)
		})
	}
}

// first is the first record file of a type.
func first(files map[string][]byte, typ wire.RecordType) string {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if _, have, ok := parseRecordFile(name); ok && have == typ {
			return name
		}
	}
	return ""
}

// Signed by all the right keys and logged, and still not adding up.
func TestRecordsThatDoNotAddUp_RE6(t *testing.T) {
	for _, c := range []struct {
		name string
		tell func(*story)
		hide func(*wire.Record) bool
		want error
	}{
		{name: "an outcome is left out", want: ErrIncomplete,
			hide: func(r *wire.Record) bool { return r.Type == wire.RecordOutcome && r.Issuer() == "crm" }},
		{name: "the plan is left out", want: ErrIncomplete, hide: func(r *wire.Record) bool { return r.Type == wire.RecordPlan }},
		{name: "the intake is left out", want: ErrIncomplete, hide: func(r *wire.Record) bool { return r.Type == wire.RecordIntake }},
		{name: "a key is left out", want: ErrAltered,
			hide: func(r *wire.Record) bool {
				k, ok := r.Predicate.(*habeasv1.KeyRecord)
				return ok && k.GetOwner() == "crm"
			}},
		{name: "a plan line without an answer", want: ErrIncomplete, tell: func(s *story) { s.outcomes = s.outcomes[:2] }},
		{name: "complete though records were kept", want: ErrIncomplete, tell: func(s *story) { s.closure.Result = "complete" }},
		{name: "done though records remain", want: ErrIncomplete, tell: func(s *story) { s.outcomes[1].Outcome.Stores[0].RemainingCount = 1 }},
		{name: "retained though records remain", want: ErrIncomplete, tell: func(s *story) { s.outcomes[2].Outcome.Stores[0].RemainingCount = 1 }},
		{name: "kept without a basis", want: ErrIncomplete, tell: func(s *story) { s.outcomes[2].Outcome.Stores[0].Basis = "" }},
		{name: "kept more than there was", want: ErrIncomplete, tell: func(s *story) { s.outcomes[2].Outcome.Stores[0].KeptCount = 9 }},
		{name: "forgets what was located", want: ErrIncomplete, tell: func(s *story) { s.outcomes[1].Outcome.Stores[0].LocatedCount = 0 }},
		{name: "no match that counts", want: ErrIncomplete,
			tell: func(s *story) {
				s.located = nil
				s.outcomes[1].Outcome.Result = &habeasv1.Outcome_NoMatch{NoMatch: &habeasv1.NoMatch{}}
			}},
		{name: "answers another action", want: ErrIncomplete, tell: func(s *story) { s.outcomes[1].Action = habeasv1.Action_ACTION_LOCATE }},
		{name: "answers a job that was not planned", want: ErrIncomplete, tell: func(s *story) { s.outcomes[0].JobId = "job-9" }},
		{name: "is about somebody else", want: ErrIncomplete, tell: func(s *story) { s.outcomes[1].SubjectCommitment = make([]byte, 32) }},
		{name: "a plan under another digest", want: ErrIncomplete, tell: func(s *story) { s.plan.PlanDigest = make([]byte, 32) }},
		{name: "answers for another connector", want: ErrIncomplete, tell: func(s *story) { s.outcomeSigner = s.billing }},
		{name: "signed by nobody on record", want: ErrAltered, tell: func(s *story) { s.outcomeSigner = stranger() }},
		{name: "the closure is of another plan", want: ErrIncomplete,
			tell: func(s *story) {
				s.edit = func(p wire.Predicate) {
					if c, ok := p.(*habeasv1.ClosureRecord); ok {
						c.PlanDigest = make([]byte, 32)
					}
				}
			}},
		{name: "the closure names what is not there", want: ErrIncomplete,
			tell: func(s *story) {
				s.edit = func(p wire.Predicate) {
					if c, ok := p.(*habeasv1.ClosureRecord); ok {
						c.RecordDigests = append(c.RecordDigests, make([]byte, 32))
					}
				}
			}},
		{name: "two closures", want: ErrIncomplete,
			tell: func(s *story) {
				s.after = []wire.Predicate{&habeasv1.ClosureRecord{RequestId: storyRequest, Result: "denied"}}
			}},
		{name: "a connector that only looked", want: ErrIncomplete,
			tell: func(s *story) {
				s.plan.Lines[0].Action, s.outcomes[1].Action = habeasv1.Action_ACTION_LOCATE, habeasv1.Action_ACTION_LOCATE
			}},

		{name: "still open", tell: func(s *story) { s.closure, s.outcomes = nil, s.outcomes[:1] }},
		{name: "partial, with a line without an answer", tell: func(s *story) { s.closure.Result, s.outcomes = "partial", s.outcomes[:2] }},
		{name: "denied before there was a plan",
			tell: func(s *story) {
				s.plan, s.located, s.outcomes = nil, nil, nil
				s.closure.Result, s.closure.ReasonCode = "denied", "insuf_verification"
			}},
		{name: "a look after the answer",
			tell: func(s *story) {
				s.after = []wire.Predicate{&habeasv1.VerificationRecord{RequestId: storyRequest, SubjectCommitment: s.intake.SubjectCommitment}}
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory(t)
			if c.tell != nil {
				c.tell(s)
			}
			l := s.tell(t)
			l.hide = c.hide
			dir := filepath.Join(t.TempDir(), "pack")
			err := Export(t.Context(), l, storyRequest, dir, nil)
			if errors.Is(c.want, ErrAltered) {
				if !errors.Is(err, ErrAltered) {
					t.Errorf("Export: %v, want ErrAltered", err)
				}
				if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a pack was left: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Verify(dir, Trust{}); !errors.Is(err, c.want) {
				t.Errorf("Verify: %v, want %v", err, c.want)
			}
			out, err := python(t, dir)
			if (err != nil) != (c.want != nil) || strings.Contains(out, "Error: ") {
				t.Errorf("verify.py: %v\n%s", err, out)
			}
			if c.want != nil && !bytes.Contains(read(t, dir)[fileCertificate], []byte("does not add up")) {
				t.Error("the certificate does not say so")
			}
		})
	}
}

// A key that was revoked later still vouches for what it signed before.
func TestARevokedKeyVouchesForThePast(t *testing.T) {
	s := newStory(t)
	s.after = []wire.Predicate{&habeasv1.KeyRecord{Owner: "crm", PublicKey: wire.PublicDER(s.crm.Public()), Fingerprint: s.crm.KeyID(),
		NotBeforeTime: timestamppb.Now(), Revoked: true}}
	dir := export(t, s.tell(t))
	if _, err := Verify(dir, Trust{}); err != nil {
		t.Error(err)
	}
	if out, err := python(t, dir); err != nil {
		t.Errorf("verify.py: %v\n%s", err, out)
	}
}
