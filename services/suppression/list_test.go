package suppression

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

var start = time.Date(2026, 3, 2, 17, 4, 5, 123456000, time.UTC)

// newList is an empty list in a store of its own, in dir.
func newList(t testing.TB) (l *List, dir string) {
	t.Helper()
	s, path := litetest.Open(t)
	dir = filepath.Dir(path)
	key := make([]byte, 32)
	rand.Read(key)
	v, err := vault.New(t.Context(), "base64key://"+base64.URLEncoding.EncodeToString(key))
	if err != nil {
		t.Fatal(err)
	}
	return &List{Store: s, Vault: v}, dir
}

func email(v string) request.Identifier { return request.NewIdentifier(request.Email, v) }

func put(t testing.TB, l *List, why store.Why, ids ...request.Identifier) {
	t.Helper()
	p, err := l.Peppers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Store.Suppress(t.Context(), p.Entries(ids, why, start)); err != nil {
		t.Fatal(err)
	}
}

func check(t testing.TB, l *List, ids ...request.Identifier) []Answer {
	t.Helper()
	out, err := l.Check(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func identity(t testing.TB) *age.X25519Identity {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestCheck_DE11(t *testing.T) {
	l, _ := newList(t)
	put(t, l, store.WhyDeleted, email("gone@example.com"), request.NewIdentifier(request.Name, "Jane Roe"))
	put(t, l, store.WhyOptedOut, email("out@example.com"), email("gone@example.com"))
	ids := []request.Identifier{
		email("out@example.com"), email("stranger@example.com"), email("gone@example.com"), email("out@example.com"),
		request.NewIdentifier(request.UserID, "out@example.com"), request.NewIdentifier(request.Name, "Jane Roe"),
	}
	want := []Answer{OptedOut, None, Deleted, OptedOut, None, None}
	if diff := cmp.Diff(want, check(t, l, ids...)); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	for range 3 { // what is on the list stays there under new keys
		if err := l.Rotate(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		put(t, l, store.WhyDeleted, email("later@example.com"))
	}
	if diff := cmp.Diff(append(want, Deleted), check(t, l, append(ids, email("later@example.com"))...)); diff != "" {
		t.Errorf("answers after new keys (-want +got):\n%s", diff)
	}
	if n, err := l.Store.CountSuppressed(t.Context()); err != nil || n != 6 {
		t.Errorf("%d entries, want 3 and one under each of 3 keys: %v", n, err)
	}
}

// A merger takes every entry along, whatever key it was made with, and what
// either company puts on the list later still matches in its own.
func TestTransferKeepsEveryEntry_OO11(t *testing.T) {
	from, _ := newList(t)
	to, _ := newList(t)
	const n = 12_000
	var ids []request.Identifier
	want := make([]Answer, n)
	for i := range n {
		ids = append(ids, email(fmt.Sprintf("p%d@example.com", i)))
		want[i] = []Answer{OptedOut, Deleted}[i%2]
	}
	for k := range 3 {
		var deleted, out []request.Identifier
		for i := k * n / 3; i < (k+1)*n/3; i++ {
			if i%2 == 1 {
				deleted = append(deleted, ids[i])
			} else {
				out = append(out, ids[i])
			}
		}
		put(t, from, store.WhyDeleted, deleted...)
		put(t, from, store.WhyOptedOut, out...)
		if err := from.Rotate(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	put(t, to, store.WhyOptedOut, email("own@example.com"))
	own, err := to.Peppers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := identity(t)
	var file bytes.Buffer
	if got, err := from.Export(t.Context(), &file, key.Recipient()); err != nil || got != n {
		t.Fatalf("exported %d, %v", got, err)
	}
	for _, cut := range []int{0, 40, file.Len() / 2, file.Len() - 1} {
		if _, err := to.Import(t.Context(), bytes.NewReader(file.Bytes()[:cut]), key); !errors.Is(err, ErrTransfer) {
			t.Errorf("a file cut at %d: %v", cut, err)
		}
	}
	if _, err := to.Import(t.Context(), bytes.NewReader(file.Bytes()), identity(t)); !errors.Is(err, ErrTransfer) {
		t.Errorf("a file for somebody else: %v", err)
	}
	for range 2 { // again changes nothing
		if got, err := to.Import(t.Context(), bytes.NewReader(file.Bytes()), key); err != nil || got != n {
			t.Fatalf("imported %d, %v", got, err)
		}
	}
	if got, err := to.Store.CountSuppressed(t.Context()); err != nil || got != n+1 {
		t.Errorf("%d entries, want %d: %v", got, n+1, err)
	}
	if diff := cmp.Diff(append(want, OptedOut, None), check(t, to, append(ids, email("own@example.com"), email("stranger@example.com"))...)); diff != "" {
		t.Errorf("answers after the merger (-want +got):\n%s", diff)
	}
	now, err := to.Peppers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now.all[len(now.all)-1].id != own.all[len(own.all)-1].id {
		t.Error("a key of the other company is in force")
	}
}

func TestFilter_DE11(t *testing.T) {
	l, _ := newList(t)
	key := identity(t)
	const n, rate = 20_000, 0.01
	ids := make([]request.Identifier, n)
	for i := range ids {
		ids[i] = email(fmt.Sprintf("p%d@example.com", i))
	}
	put(t, l, store.WhyDeleted, ids[:n/2]...)
	if err := l.Rotate(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	put(t, l, store.WhyOptedOut, ids[n/2:]...)
	var file bytes.Buffer
	if _, err := l.WriteFilter(t.Context(), &file, rate, key.Recipient()); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFilter(bytes.NewReader(file.Bytes()), key)
	if err != nil {
		t.Fatal(err)
	}
	if f.Entries() != n || f.Rate() != rate {
		t.Errorf("%d entries at a rate of %g", f.Entries(), f.Rate())
	}
	wrong := 0
	for i, id := range ids {
		why, other := store.WhyDeleted, store.WhyOptedOut
		if i >= n/2 {
			why, other = other, why
		}
		if !f.MayHave(id, why) {
			t.Fatalf("entry %d is not in the filter", i)
		}
		if f.MayHave(id, other) {
			wrong++
		}
	}
	for i := range n {
		if f.MayHave(email(fmt.Sprintf("stranger%d@example.com", i)), store.WhyDeleted) {
			wrong++
		}
	}
	// Two keys are tried, so twice the rate for each question; a fifth for chance.
	if most := 2 * 2 * n * rate * 1.2; float64(wrong) > most || wrong == 0 {
		t.Errorf("%d of %d strangers seem to be on the list, want at most %g", wrong, 2*n, most)
	}
	for _, cut := range []int{0, 100, file.Len() - 1} {
		if _, err := ReadFilter(bytes.NewReader(file.Bytes()[:cut]), key); !errors.Is(err, ErrFilter) {
			t.Errorf("a filter cut at %d: %v", cut, err)
		}
	}
	for _, bad := range []float64{0, 1, -1} {
		if _, err := l.WriteFilter(t.Context(), &file, bad, key.Recipient()); err == nil {
			t.Errorf("a rate of %g is taken", bad)
		}
	}
}

// No identifier is in the store, in a file for others, in the log or in an
// answer, and no key is readable in the store.
func TestNothingReadableIsKept_DE11(t *testing.T) {
	l, dir := newList(t)
	planted := []string{"planted.jane@example.com", "+14155550177"}
	ids := []request.Identifier{email(planted[0]), request.NewIdentifier(request.Phone, planted[1])}
	put(t, l, store.WhyDeleted, ids...)
	var out, logs bytes.Buffer
	key := identity(t)
	if _, err := l.Export(t.Context(), &out, key.Recipient()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.WriteFilter(t.Context(), &out, 0.001, key.Recipient()); err != nil {
		t.Fatal(err)
	}
	h := l.Handler(slog.New(slog.NewTextHandler(&logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for _, body := range []string{
		`{"identifiers":[{"kind":"email","value":"planted.jane@example.com"},{"kind":"phone","value":"+14155550177"}]}`,
		`{"identifiers":[{"kind":"phone","value":"planted.jane@example.com"}]}`,
		`{"identifiers":"planted.jane@example.com"}`, `{"planted.jane@example.com":1}`,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/suppression:check", strings.NewReader(body)))
		out.Write(w.Body.Bytes())
	}
	p, err := l.Peppers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		out.Write(content)
		return err
	})
	if err != nil || files == 0 {
		t.Fatalf("%d files: %v", files, err)
	}
	out.Write(logs.Bytes())
	for _, v := range append(planted, string(p.all[0].key)) {
		for _, form := range []string{v, hex.EncodeToString([]byte(v)), base64.StdEncoding.EncodeToString([]byte(v))} {
			if bytes.Contains(out.Bytes(), []byte(form)) {
				t.Errorf("%q is readable", form)
			}
		}
	}
	digest := p.all[0].digest(ids[0])
	if !bytes.Contains(out.Bytes(), digest) {
		t.Error("the scan does not see the store: the digest is not there")
	}
}

func TestHandler_DE11(t *testing.T) {
	l, _ := newList(t)
	put(t, l, store.WhyDeleted, email("gone@example.com"))
	h := l.Handler(slog.New(slog.DiscardHandler))
	many := func(n int) string {
		one := `{"kind":"email","value":"a@example.com"}`
		return `{"identifiers":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`
	}
	for _, c := range []struct {
		name, body string
		status     int
		want       []Answer
	}{
		{"hit and miss", `{"identifiers":[{"kind":"email","value":" Gone@Example.com "},{"kind":"email","value":"a@example.com"}]}`, 200, []Answer{Deleted, None}},
		{"none", `{"identifiers":[]}`, 422, nil},
		{"name", `{"identifiers":[{"kind":"name","value":"Jane Roe"}]}`, 422, nil},
		{"unusable", `{"identifiers":[{"kind":"email","value":"nobody"}]}`, 422, nil},
		{"no question", `[]`, 400, nil},
		{"too big", `{"identifiers":[{"kind":"email","value":"` + strings.Repeat("a", checkBytes) + `"}]}`, 400, nil},
		{"too many", many(checkMost + 1), 422, nil},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/suppression:check", strings.NewReader(c.body)))
		if w.Code != c.status {
			t.Errorf("%s: status %d, want %d: %s", c.name, w.Code, c.status, w.Body)
			continue
		}
		var got answers
		if c.status == 200 {
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(c.want, got.Answers); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/suppression:check", strings.NewReader(many(checkMost))))
	if w.Code != 200 {
		t.Errorf("a full batch: status %d", w.Code)
	}
}

func BenchmarkCheck(b *testing.B) {
	l, _ := newList(b)
	var ids []request.Identifier
	for i := range 100_000 {
		ids = append(ids, email(fmt.Sprintf("p%d@example.com", i)))
	}
	put(b, l, store.WhyDeleted, ids...)
	for i := 1; i < 1000; i += 2 {
		ids[i] = email(fmt.Sprintf("stranger%d@example.com", i))
	}
	b.ResetTimer()
	for b.Loop() {
		check(b, l, ids[:1000]...)
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "identifiers/s")
}
