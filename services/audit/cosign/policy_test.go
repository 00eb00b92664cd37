package cosign

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	fnote "github.com/transparency-dev/formats/note"
	fpolicy "github.com/transparency-dev/formats/witness"
	"golang.org/x/mod/sumdb/note"
)

// party is a witness with its secret key.
type party struct {
	signer note.Signer
	key    string
}

func ed25519Party(t testing.TB, name string) party {
	t.Helper()
	secret, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := fnote.NewSignerForCosignatureV1(secret)
	if err != nil {
		t.Fatal(err)
	}
	if public, err = fnote.VKeyToCosignatureV1(public); err != nil {
		t.Fatal(err)
	}
	return party{signer, public}
}

func mldsaParty(t testing.TB, name string) party {
	t.Helper()
	secret, public, err := fnote.GenerateMLDSAKey(name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := fnote.NewMLDSASigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return party{signer, public}
}

const testText = "log.example/2026\n9\n" + "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

// logHead is a head that a log signed, with cosignatures.
func logHead(t testing.TB, by ...party) []byte {
	t.Helper()
	secret, _, err := note.GenerateKey(rand.Reader, "log.example/2026")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	signers := []note.Signer{signer}
	for _, p := range by {
		signers = append(signers, p.signer)
	}
	signed, err := note.Sign(&note.Note{Text: testText}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestQuorum counts cosignatures of both kinds of key as the format's library
// does.
func TestQuorum(t *testing.T) {
	x1, x2, y := ed25519Party(t, "x1.example"), mldsaParty(t, "x2.example"), ed25519Party(t, "y.example")
	text := "# who counts\nwitness x1 " + x1.key + "\n\twitness x2   " + x2.key + " https://x2.example/w\nwitness y " + y.key +
		"\ngroup x any x1 x2\ngroup both all x y\nquorum both\n"
	p, err := ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		by     []party
		quorum bool
	}{
		{nil, false}, {[]party{x1}, false}, {[]party{x1, x2}, false}, {[]party{y}, false},
		{[]party{x1, y}, true}, {[]party{x2, y}, true}, {[]party{x1, x2, y}, true}, {[]party{ed25519Party(t, "y.example"), x1}, false},
	} {
		head := logHead(t, c.by...)
		seals, quorum, err := p.Check(head)
		known := 0
		for _, b := range c.by {
			if b == x1 || b == x2 || b == y {
				known++
			}
		}
		if err != nil || quorum != c.quorum || len(seals) != known {
			t.Errorf("%d cosigners: %d seals, quorum %v, %v", len(c.by), len(seals), quorum, err)
		}
	}
	// The canonical form means the same.
	again, err := ParsePolicy(p.ForLog(logKey(t)))
	if err != nil || !bytes.Equal(again.ForLog(again.Logs[0]), p.ForLog(again.Logs[0])) {
		t.Errorf("the canonical form: %v", err)
	}
}

func logKey(t testing.TB) string {
	t.Helper()
	_, public, err := note.GenerateKey(rand.Reader, "log.example/2026")
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// TestAlteredCosignature changes each character of a cosignature.
func TestAlteredCosignature(t *testing.T) {
	w := ed25519Party(t, "w.example")
	p, err := ParsePolicy([]byte("witness w " + w.key + "\nquorum w\n"))
	if err != nil {
		t.Fatal(err)
	}
	head := logHead(t, w)
	for i := bytes.LastIndex(head, []byte("\u2014")) + len("\u2014 w.example "); i < len(head)-1; i++ {
		altered := bytes.Clone(head)
		if altered[i] = 'A'; head[i] == 'A' {
			altered[i] = 'B'
		}
		if seals, quorum, err := p.Check(altered); err == nil && (quorum || len(seals) > 0) {
			t.Errorf("character %d: it still counts", i)
		}
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	a, b, log := ed25519Party(t, "a.example").key, ed25519Party(t, "b.example").key, logKey(t)
	w := "witness a " + a + "\nwitness b " + b + "\n"
	for text, want := range map[string]string{
		"":                               "no quorum line",
		w:                                "no quorum line",
		w + "quorum c\n":                 "not defined above",
		w + "quorum a\nquorum b\n":       "second quorum",
		w + "group g 0 a b\nquorum g\n":  "from 1 to 2",
		w + "group g 3 a b\nquorum g\n":  "from 1 to 2",
		w + "group g 01 a b\nquorum g\n": "from 1 to 2",
		w + "group g 2 a a\nquorum g\n":  "count twice",
		w + "group g any a\ngroup h all a g\nquorum h\n":                            "count twice",
		w + "group g any c\nquorum g\n":                                             "not defined above",
		w + "group a any b\nquorum a\n":                                             "there twice",
		w + "witness c " + a + "\nquorum c\n":                                       "key is there twice",
		"witness none " + a + "\nquorum none\n":                                     "word of the format",
		"witness a " + log + "\nquorum a\n":                                         "cosignature key",
		"witness a " + strings.Replace(a, a[10:18], "00000000", 1) + "\nquorum a\n": "the key's id",
		"witness a " + a + " ftp://x\nquorum a\n":                                   "http or https",
		"log " + a + "\nquorum none\n":                                              "log's key",
		"log " + log + "\nlog " + log + "\nquorum none\n":                           "there twice",
		"quorum none\r\n":                                                           "control character",
		"trust me\n":                                                                `"trust"`,
	} {
		if _, err := ParsePolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzParsePolicy shows that what is accepted has one canonical form, and that
// the format's library accepts it where every witness has an address.
func FuzzParsePolicy(f *testing.F) {
	a, b := ed25519Party(f, "a.example").key, ed25519Party(f, "b.example").key
	f.Add("witness a " + a + " https://a.example\nwitness b " + b + " https://b.example\ngroup g 2 a b\nquorum g\n")
	f.Add("quorum none\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy([]byte(text))
		if err != nil {
			return
		}
		const log = "l+00000000+AA"
		form := p.ForLog(log)
		for _, w := range p.Witnesses {
			if w.URL == "" {
				return
			}
		}
		if _, err := fpolicy.ParsePolicy(form); err != nil {
			t.Errorf("%q: %v", form, err)
		}
	})
}

// TestAnswers says what each answer of a witness means.
func TestAnswers(t *testing.T) {
	w, stranger := ed25519Party(t, "w.example"), ed25519Party(t, "w.example")
	head := logHead(t)
	line := func(p party) string {
		signed, err := note.Sign(&note.Note{Text: testText}, p.signer)
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(signed), "\n\n")
		return line
	}
	for _, c := range []struct {
		name   string
		old    int64
		status int
		typ    string
		body   string
		is     error  // wrapped, or
		ahead  int64  // the size of an AheadError, or
		says   string // in the text
	}{
		{name: "a cosignature", old: 3, status: 200, body: line(w)},
		{name: "among others", old: 3, status: 200, body: line(stranger) + line(w)},
		{name: "of another key", old: 3, status: 200, body: line(stranger), says: "no cosignature"},
		{name: "nothing", old: 3, status: 200, says: "no cosignature"},
		{name: "too much", old: 3, status: 200, body: strings.Repeat("x", maxAnswer+1), says: "more than"},
		{name: "another size", old: 3, status: 409, typ: "text/x.tlog.size", body: "7\n", ahead: 7},
		{name: "a larger size", old: 9, status: 409, typ: "text/x.tlog.size", body: "12\n", ahead: 12},
		{name: "the same size", old: 9, status: 409, body: "no", is: ErrFork},
		{name: "the same size, said", old: 9, status: 409, typ: "text/x.tlog.size", body: "9\n", is: ErrFork},
		{name: "a conflict without a size", old: 3, status: 409, body: "no", says: "without the size"},
		{name: "a bad proof", old: 3, status: 422, is: ErrFork},
		{name: "unknown", old: 3, status: 404, is: ErrRefused},
		{name: "forbidden", old: 3, status: 403, is: ErrRefused},
		{name: "malformed", old: 3, status: 400, is: ErrRefused},
		{name: "busy", old: 3, status: 429, says: "429"},
		{name: "down", old: 3, status: 503, says: "503"},
		{name: "elsewhere", old: 3, status: 302, says: "302"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
				if req.URL.Path != "/w/add-checkpoint" || req.Method != http.MethodPost {
					t.Errorf("%s %s", req.Method, req.URL.Path)
				}
				rw.Header().Set("Content-Type", c.typ)
				rw.Header().Set("Location", "http://elsewhere.invalid/")
				rw.WriteHeader(c.status)
				if _, err := fmt.Fprint(rw, c.body); err != nil {
					t.Log(err)
				}
			}))
			defer server.Close()
			p, err := ParsePolicy([]byte("witness w " + w.key + " " + server.URL + "/w/\nquorum w\n"))
			if err != nil {
				t.Fatal(err)
			}
			seal, err := p.Witnesses[0].Ask(t.Context(), Client(0), c.old, nil, head)
			ahead, isAhead := errors.AsType[*AheadError](err)
			fork := errors.Is(err, ErrFork)
			switch {
			case c.status == 200 && c.says == "":
				if err != nil || seal.Line != line(w) && seal.Time.IsZero() {
					t.Errorf("%+v, %v", seal, err)
				}
			case err == nil, isAhead != (c.ahead > 0), isAhead && ahead.Size != c.ahead, fork != (c.is == ErrFork), //nolint:errorlint // the very value
				c.is != nil && !errors.Is(err, c.is), !strings.Contains(err.Error(), c.says):
				t.Errorf("%v", err)
			}
		})
	}
}
