package pack

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/transparency-dev/formats/proof"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/keyring"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// Why a pack is refused.
var (
	// ErrAltered is wrapped by errors of files, signatures and proofs that do
	// not hold.
	ErrAltered = errors.New("this is not what was exported")
	// ErrIncomplete is wrapped by errors of records that are missing or that do
	// not add up.
	ErrIncomplete = errors.New("the evidence does not add up")
)

// Report is what a pack that holds says.
type Report struct {
	// Origin is the log's name.
	Origin string `json:"origin"`
	// Size and Root (hex) are the signed head that everything is proven
	// against.
	Size int64  `json:"size"`
	Root string `json:"root"`
	// Records is how many signed records were checked.
	Records int `json:"records"`
	// Requests is what the records say, request by request.
	Requests []Account `json:"requests"`
	// Period is there for the pack of a period.
	Period *Summary `json:"period,omitempty"`
	// Witnesses says who cosigned the head.
	Witnesses *Witnessed `json:"witnesses,omitempty"`
	// Warnings are what a reader should know: keys taken from the pack itself,
	// open requests, records no closure names.
	Warnings []string `json:"warnings,omitempty"`
}

// entry is one record of a pack.
type entry struct {
	leaf int64
	file string
	rec  *wire.Record
}

// Verify checks the pack in dir. Its error wraps [ErrAltered] or
// [ErrIncomplete], or is of reading dir. The report is there for an incomplete
// pack too.
func Verify(dir string, trust Trust) (*Report, error) {
	if _, err := os.Lstat(filepath.Join(dir, filePeriod)); err == nil {
		return verifyPeriod(dir, trust)
	}
	files, err := readFiles(dir)
	if err != nil {
		return nil, err
	}
	if err := checkFiles(files); err != nil {
		return nil, err
	}
	report, err := verifyFiles(files, trust)
	if report == nil {
		return nil, err
	}
	want, unwritable := readable(files)
	if unwritable != nil {
		return nil, unwritable
	}
	return report, errors.Join(append([]error{err}, report.checkReadable(files, want)...)...)
}

func verifyFiles(files map[string][]byte, trust Trust) (*Report, error) {
	report, trust, head, err := open(files, trust)
	if err != nil {
		return nil, err
	}
	entries, err := parseEntries(files)
	if err != nil {
		return nil, err
	}
	var problems []error
	for _, e := range entries {
		if err := checkProof(files[proofFile(e.file)], e, head); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w: %w", proofFile(e.file), ErrAltered, err))
		}
	}
	problems = append(problems, checkSignatures(entries, trust.Authorities)...)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	report.Records = len(entries)
	report.Requests, problems = account(entries)
	for _, a := range report.Requests {
		report.Warnings = append(report.Warnings, a.warnings...)
	}
	return report, errors.Join(problems...)
}

// open settles whom to believe and reads the head that everything is proven
// against.
func open(files map[string][]byte, trust Trust) (*Report, Trust, ledger.SignedHead, error) {
	none := ledger.SignedHead{}
	keys, authorities, err := parseKeys(files[fileKeys])
	if err != nil {
		return nil, trust, none, err
	}
	report := &Report{Origin: keys.Log.Origin}
	if trust, err = settlePolicy(trust, keys); err != nil {
		return nil, trust, none, err
	}
	trust, err = report.settleTrust(trust, keys, authorities)
	if err != nil {
		return nil, trust, none, err
	}
	verifier, err := note.NewVerifier(trust.LogKey)
	if err != nil {
		return nil, trust, none, fmt.Errorf("%s: log key: %w: %w", fileKeys, ErrAltered, err)
	}
	if verifier.Name() != keys.Log.Origin {
		return nil, trust, none, fmt.Errorf("%s names a log by another name than its key: %w", fileKeys, ErrAltered)
	}
	head, policy, err := openHead(files, verifier, trust.LogKey)
	if err != nil {
		return nil, trust, none, err
	}
	if err := report.witnessed(head, policy, trust); err != nil {
		return nil, trust, none, err
	}
	report.Size, report.Root = head.Size, hex.EncodeToString(head.Root[:])
	return report, trust, head, nil
}

// settleTrust takes keys from the pack for want of others, and says so.
func (r *Report) settleTrust(trust Trust, keys keysFile, authorities []ed25519.PublicKey) (Trust, error) {
	if trust.LogKey == "" {
		trust.LogKey = keys.Log.VerifierKey
		r.Warnings = append(r.Warnings, "the log's key was taken from the pack itself; to know whose log it is, get the key from the company by another way")
	}
	if trust.LogKey != keys.Log.VerifierKey {
		return Trust{}, fmt.Errorf("%s: the log's key is not the one you trust: %w", fileKeys, ErrAltered)
	}
	if len(trust.Authorities) == 0 {
		trust.Authorities = authorities
		r.Warnings = append(r.Warnings, "the rooms' evidence keys were taken from the pack itself; to know whose they are, get them from the company by another way")
	}
	return trust, nil
}

// parseHead is ledger.ParseHead and refuses the spare bits of base64 as well.
func parseHead(signed []byte, verifier note.Verifier) (ledger.SignedHead, error) {
	head, err := ledger.ParseHead(signed, verifier)
	if err != nil {
		return ledger.SignedHead{}, err
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return ledger.SignedHead{}, err
	}
	for _, sig := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return ledger.SignedHead{}, errors.New("the signature is not in its one right form")
		}
	}
	want := fmt.Sprintf("%s\n%d\n%s\n", verifier.Name(), head.Size, base64.StdEncoding.EncodeToString(head.Root[:]))
	if n.Text != want || len(n.UnverifiedSigs) > 0 {
		return ledger.SignedHead{}, errors.New("the checkpoint is not in its one right form")
	}
	return head, nil
}

func parseEntries(files map[string][]byte) ([]entry, error) {
	var entries []entry
	var problems []error
	for name, envelope := range files {
		leaf, typ, ok := parseRecordFile(name)
		if !ok {
			continue
		}
		rec, err := wire.ParseRecord(envelope)
		if err == nil && rec.Type != typ {
			err = fmt.Errorf("it is a %s record", rec.Type)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w: %w", name, ErrAltered, err))
			continue
		}
		entries = append(entries, entry{leaf, name, rec})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.leaf, b.leaf) })
	for i := 1; i < len(entries); i++ {
		if entries[i].leaf == entries[i-1].leaf {
			problems = append(problems, fmt.Errorf("%s: two records have leaf %d: %w", entries[i].file, entries[i].leaf, ErrAltered))
		}
	}
	return entries, errors.Join(problems...)
}

// checkProof shows that the record's digest is in the tree under the head.
func checkProof(file []byte, e entry, head ledger.SignedHead) error {
	var p proof.TLogProof
	if err := p.Unmarshal(file); err != nil {
		return err
	}
	if p.ExtraData != nil || !bytes.Equal(p.Marshal(), file) {
		return errors.New("the proof is not in its one right form")
	}
	if !bytes.Equal(p.Checkpoint, head.Note) {
		return fmt.Errorf("the proof is against another checkpoint than %s", fileCheckpoint)
	}
	path := make([]tlog.Hash, len(p.Hashes))
	for i, h := range p.Hashes {
		path[i] = h
	}
	if p.Index != uint64(e.leaf) { //nolint:gosec // parsed from digits, never negative
		return fmt.Errorf("the proof is of leaf %d", p.Index)
	}
	return checkInclusion(path, e.leaf, tlog.RecordHash(ledger.Entry(e.rec.Digest)), head.Size, head.Root)
}

// checkInclusion runs an audit path (RFC 6962, section 2.1.1).
func checkInclusion(path []tlog.Hash, leaf int64, hash tlog.Hash, size int64, root tlog.Hash) error {
	if leaf < 0 || leaf >= size {
		return fmt.Errorf("leaf %d is not in a log of %d", leaf, size)
	}
	if tlog.CheckRecord(path, size, root, leaf, hash) != nil {
		return errors.New("the proof does not lead to the checkpoint's root")
	}
	return nil
}

// checkSignatures goes through the log in its order: a record counts when its
// key was good at its place.
func checkSignatures(entries []entry, authorities []ed25519.PublicKey) (problems []error) {
	ring := keyring.New(authorities)
	for _, e := range entries {
		next, err := checkSignature(ring, e)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		ring = next
	}
	return problems
}

// checkSignature checks one record and returns what keys are known after it.
func checkSignature(ring *keyring.Ring, e entry) (*keyring.Ring, error) {
	refused := ring.Check(e.rec, e.rec.Issuer())
	if k, ok := e.rec.Predicate.(*habeasv1.KeyRecord); ok && refused == nil {
		var next *keyring.Ring
		if next, refused = ring.With(k); refused == nil {
			return next, nil
		}
	}
	if refused != nil {
		return nil, fmt.Errorf("%s: %w: %w", e.file, ErrAltered, refused)
	}
	return ring, nil
}

// checkConsistency shows that the newer tree begins with the leaves of the older
// one (RFC 6962, section 2.1.2).
func checkConsistency(path []tlog.Hash, older int64, olderRoot tlog.Hash, newer int64, newerRoot tlog.Hash) error {
	if older < 1 || older > newer {
		return fmt.Errorf("a head of %d leaves is not older than one of %d", older, newer)
	}
	if tlog.CheckTree(path, newer, newerRoot, older, olderRoot) != nil {
		return errors.New("the proof does not show that one head begins with the other")
	}
	return nil
}
