package pack

import (
	"bytes"
	"maps"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// Nothing that is read as a proof or checkpoint has a second spelling.
func FuzzProof(f *testing.F) {
	l := newStory(f).tell(f)
	files, err := gather(f.Context(), l, storyRequest)
	if err != nil {
		f.Fatal(err)
	}
	verifier, err := note.NewVerifier(l.VerifierKey())
	if err != nil {
		f.Fatal(err)
	}
	head, err := parseHead(files[fileCheckpoint], verifier)
	if err != nil {
		f.Fatal(err)
	}
	entries, err := parseEntries(files)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		f.Add(files[proofFile(e.file)])
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, e := range entries {
			if checkProof(file, e, head) == nil && !bytes.Equal(file, files[proofFile(e.file)]) {
				t.Fatalf("a second proof of leaf %d:\n%q", e.leaf, file)
			}
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	l := newStoryLog(f)
	verifier, err := note.NewVerifier(l.VerifierKey())
	if err != nil {
		f.Fatal(err)
	}
	signed := l.Signed()
	f.Add(signed.Note)
	f.Fuzz(func(t *testing.T, text []byte) {
		if _, err := parseHead(text, verifier); err == nil && !bytes.Equal(text, signed.Note) {
			t.Fatalf("a second head:\n%q", text)
		}
	})
}

func FuzzKeys(f *testing.F) {
	files, err := gather(f.Context(), newStory(f).tell(f), storyRequest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(files[fileKeys])
	f.Add([]byte(`{"log":{"origin":"","verifier_key":""},"authorities":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, _, err := parseKeys(text)
		if err != nil {
			return
		}
		if again, err := formatKeys(k); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%v: keys.json has a second form:\n%q\n%q", err, text, again)
		}
	})
}

// SHA256SUMS and file names, whatever they are, never panic and never let a
// file pass that is not in them.
func FuzzSums(f *testing.F) {
	files, err := gather(f.Context(), newStory(f).tell(f), storyRequest)
	if err != nil {
		f.Fatal(err)
	}
	if _, err := complete(files); err != nil {
		f.Fatal(err)
	}
	f.Add(files[fileSums], "records/000000000001-key.dsse.json")
	f.Add([]byte("x  y\n"), "../x")
	f.Fuzz(func(t *testing.T, listed []byte, name string) {
		altered := maps.Clone(files)
		altered[fileSums] = listed
		altered[name] = append(bytes.Clone(altered[name]), 'x')
		if checkFiles(altered) == nil {
			t.Fatalf("%q was altered and passes", name)
		}
	})
}

func FuzzTrust(f *testing.F) {
	l := newStoryLog(f)
	f.Add([]byte(l.VerifierKey() + "\n"))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var trust Trust
		if err := trust.parse(text); err == nil && trust.LogKey == "" && len(trust.Authorities) == 0 {
			t.Fatal("no key was read and no error was given")
		}
	})
}
