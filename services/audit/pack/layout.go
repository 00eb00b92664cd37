package pack

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/habeas-data/habeas/proto/wire"
)

// Names in a pack.
const (
	fileSums        = "SHA256SUMS"
	fileKeys        = "keys.json"
	filePolicy      = "policy.txt"
	fileCheckpoint  = "checkpoints/end"
	fileCertificate = "certificate.html"
	filePopulation  = "population.csv"
	fileMetrics     = "metrics.csv"
	fileReadme      = "README.md"
	fileVerify      = "verify.py"
)

// fixed are the files that every pack has besides its sums, records and proofs.
var fixed = []string{fileKeys, filePolicy, fileCheckpoint, fileCertificate, filePopulation, fileMetrics, fileReadme, fileVerify}

const (
	recordSuffix = ".dsse.json"
	proofSuffix  = ".tlog-proof"
	maxFile      = 16 << 20 // bytes; a record has at most 1 MiB
)

var recordName = regexp.MustCompile(`^records/([0-9]{12})-([a-z]+)\.dsse\.json$`)

func recordFile(leaf int64, typ wire.RecordType) string {
	return fmt.Sprintf("records/%012d-%s%s", leaf, typ, recordSuffix)
}

// proofFile is the proof that belongs to a record's file.
func proofFile(record string) string {
	return "proofs/" + strings.TrimSuffix(strings.TrimPrefix(record, "records/"), recordSuffix) + proofSuffix
}

// parseRecordFile reads leaf and type from a record's file name.
func parseRecordFile(name string) (leaf int64, typ wire.RecordType, ok bool) {
	m := recordName.FindStringSubmatch(name)
	if m == nil {
		return 0, "", false
	}
	leaf, err := strconv.ParseInt(m[1], 10, 64)
	return leaf, wire.RecordType(m[2]), err == nil
}

// digest is SHA-256 of a file's content.
type digest = [sha256.Size]byte

// sums writes SHA256SUMS of files.
func sums(files map[string][]byte) []byte { return sumsText(digests(files)) }

func digests(files map[string][]byte) map[string]digest {
	out := make(map[string]digest, len(files))
	for name, content := range files {
		out[name] = sha256.Sum256(content)
	}
	return out
}

// sumsText writes SHA256SUMS, as the program sha256sum reads it.
func sumsText(sums map[string]digest) []byte {
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		fmt.Fprintf(&out, "%x  %s\n", sums[name], name)
	}
	return out.Bytes()
}

// readFiles reads every file below dir. Anything but plain files and folders
// is refused.
func readFiles(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	return files, eachFile(dir, func(name string, content []byte) error {
		files[name] = content
		return nil
	})
}

// eachFile calls fn for every file below dir, one at a time.
func eachFile(dir string, fn func(name string, content []byte) error) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || info.Size() > maxFile {
			return fmt.Errorf("%s: not a plain file of at most %d bytes: %w", name, maxFile, ErrAltered)
		}
		content, err := os.ReadFile(path) //nolint:gosec // the folder is the caller's
		if err != nil {
			return err
		}
		return fn(name, content)
	})
	if err != nil {
		return fmt.Errorf("reading the evidence pack: %w", err)
	}
	return nil
}

// checkFiles holds the files against SHA256SUMS and the layout.
func checkFiles(files map[string][]byte) error {
	listed, ok := files[fileSums]
	if !ok {
		return fmt.Errorf("%s is missing: %w", fileSums, ErrAltered)
	}
	rest := maps.Clone(files)
	delete(rest, fileSums)
	if err := checkSums(listed, digests(rest)); err != nil {
		return err
	}
	return checkNames(rest)
}

// checkSums holds the digests of files against SHA256SUMS.
func checkSums(listed []byte, have map[string]digest) error {
	var problems []error
	want := map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\n"), "\n") {
		sum, name, found := strings.Cut(line, "  ")
		raw, err := hex.DecodeString(sum)
		if !found || err != nil || len(raw) != sha256.Size || want[name] {
			return fmt.Errorf("%s: a line is malformed or double: %w", fileSums, ErrAltered)
		}
		want[name] = true
		switch content, there := have[name]; {
		case !there:
			problems = append(problems, fmt.Errorf("%q is listed in %s and missing: %w", name, fileSums, ErrAltered))
		case !bytes.Equal(content[:], raw):
			problems = append(problems, fmt.Errorf("%s was altered: %w", name, ErrAltered))
		}
	}
	for name := range have {
		if !want[name] {
			problems = append(problems, fmt.Errorf("%q is not listed in %s: %w", name, fileSums, ErrAltered))
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	// Whatever reads as a list of the right sums was written otherwise.
	if !bytes.Equal(sumsText(have), listed) {
		return fmt.Errorf("%s is not in its one right form: %w", fileSums, ErrAltered)
	}
	return nil
}

func checkNames(files map[string][]byte) error {
	known := map[string]bool{}
	for _, name := range fixed {
		if _, ok := files[name]; !ok {
			return fmt.Errorf("%s is missing: %w", name, ErrAltered)
		}
		known[name] = true
	}
	for name := range files {
		if _, _, ok := parseRecordFile(name); ok {
			if _, ok := files[proofFile(name)]; !ok {
				return fmt.Errorf("%s is missing: %w", proofFile(name), ErrAltered)
			}
			known[name], known[proofFile(name)] = true, true
		}
	}
	for name := range files {
		if !known[name] {
			return fmt.Errorf("%q does not belong into an evidence pack: %w", name, ErrAltered)
		}
	}
	return nil
}

// keysFile is keys.json.
type keysFile struct {
	Log         logKey         `json:"log"`
	Authorities []authorityKey `json:"authorities"`
}

type logKey struct {
	Origin      string `json:"origin"`
	VerifierKey string `json:"verifier_key"`
}

type authorityKey struct {
	Fingerprint string `json:"fingerprint"`
	// PublicKey is PKIX DER, in base64.
	PublicKey []byte `json:"public_key"`
}

func formatKeys(k keysFile) ([]byte, error) { return formatJSON(k) }

// parseKeys reads keys.json and accepts only what formatKeys writes.
func parseKeys(text []byte) (keysFile, []ed25519.PublicKey, error) {
	var k keysFile
	if err := parseStrict(text, &k, func() ([]byte, error) { return formatKeys(k) }); err != nil {
		return keysFile{}, nil, fmt.Errorf("%s: %w", fileKeys, err)
	}
	authorities := make([]ed25519.PublicKey, 0, len(k.Authorities))
	for i, a := range k.Authorities {
		public, err := wire.ParsePublicDER(a.PublicKey)
		if err != nil || wire.Fingerprint(public) != a.Fingerprint {
			return keysFile{}, nil, fmt.Errorf("%s: authorities[%d] is not an Ed25519 key with its fingerprint: %w", fileKeys, i, ErrAltered)
		}
		authorities = append(authorities, public)
	}
	return k, authorities, nil
}

// policy is the tlog-policy of a log without witnesses.
func policy(verifierKey string) []byte {
	return fmt.Appendf(nil, "log %s\nquorum none\n", verifierKey)
}
