package lake

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

func TestS3LocateAndErase(t *testing.T) {
	for name, versioned := range map[string]bool{"plain bucket": false, "versioned bucket": true} {
		t.Run(name, func(t *testing.T) {
			p := newPail(t, versioned)
			p.putWith(t, &s3.PutObjectInput{
				Key: aws.String(day2), Body: bytes.NewReader([]byte(lines(adaView, bobView, adaPlace, blank, together))),
				ContentType: aws.String("application/x-ndjson"), Metadata: map[string]string{"job": "nightly"},
				CacheControl: aws.String("no-store"), Tagging: aws.String("team=data"),
			})
			p.put(t, "events/dt=2026-01-03/b.jsonl", []byte(lines(bobView)))
			p.put(t, "events/dt=2026-01-04/_SUCCESS", nil)
			l := p.open(t, mustMap(t, testMap))
			got, err := l.Locate(t.Context(), ada)
			if err != nil {
				t.Fatal(err)
			}
			want := []sdk.Found{{Store: "events", Category: "F", Count: 2}, {Store: "events", Category: "G", Count: 1}}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("Locate (-want +got):\n%s", d)
			}
			if err := l.Erase(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(lines(bobView, blank, `{"type":"view","people":[{"id":"usr_bob"}]}`), string(p.get(t, day2))); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if got, err := l.Locate(t.Context(), ada); got != nil || err != nil {
				t.Errorf("Locate after Erase: %v, %v", got, err)
			}
			for path, data := range p.disk(t) {
				if bytes.Contains(data, []byte("usr_ada\"")) {
					t.Errorf("she is still in %s", path)
				}
			}
			head, err := p.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &p.name, Key: aws.String(day2)})
			if err != nil {
				t.Fatal(err)
			}
			if aws.ToString(head.ContentType) != "application/x-ndjson" || head.Metadata["job"] != "nightly" || aws.ToString(head.CacheControl) != "no-store" {
				t.Errorf("headers were lost: %v %v %v", aws.ToString(head.ContentType), head.Metadata, aws.ToString(head.CacheControl))
			}
			tags, err := p.client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &p.name, Key: aws.String(day2)})
			if err != nil {
				t.Fatal(err)
			}
			if len(tags.TagSet) != 1 || aws.ToString(tags.TagSet[0].Value) != "data" {
				t.Errorf("tags %v", tags.TagSet)
			}
		})
	}
}

// between puts a proxy between the engine and the server. serve does what a
// failing network or another server would; next is the server itself.
func (p *pail) between(t testing.TB, serve func(w http.ResponseWriter, r *http.Request, next http.Handler)) {
	t.Helper()
	to, err := url.Parse("http://" + p.address)
	if err != nil {
		t.Fatal(err)
	}
	// The request's own host stays, because it is signed.
	next := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, next) }))
	t.Cleanup(proxy.Close)
	p.endpoint = proxy.URL
}

// isWrite reports whether a request would make a new version of a key visible.
func isWrite(r *http.Request, key string) bool {
	whole := r.Method == http.MethodPut && !r.URL.Query().Has("partNumber")
	complete := r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	return strings.HasSuffix(r.URL.Path, "/"+key) && (whole || complete)
}

// unconditional is a server that knows nothing of If-Match.
func (p *pail) unconditional(w http.ResponseWriter, r *http.Request) {
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	out, err := p.client.PutObject(r.Context(), &s3.PutObjectInput{Bucket: &p.name, Key: &key, Body: bytes.NewReader(body)})
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.Header().Set("Etag", aws.ToString(out.ETag))
	w.Header().Set("X-Amz-Version-Id", aws.ToString(out.VersionId))
}

// TestS3WriteFaults breaks the write of the new version in both ways: it did
// not happen; it happened, and the answer was lost. Broken once, the pass
// finishes; broken for good, the next one does. Of neither is anything left.
func TestS3WriteFaults(t *testing.T) {
	for name, happens := range map[string]bool{"did not happen": false, "happened but the answer was lost": true} {
		for often, times := range map[string]int64{"once": 1, "for good": 1000} {
			t.Run(name+" "+often, func(t *testing.T) {
				p := newPail(t, true)
				p.put(t, day2, []byte(lines(adaView, bobView)))
				p.put(t, "events/dt=2026-01-03/b.jsonl", []byte(lines(bobView, adaList)))
				var broken, limit atomic.Int64
				limit.Store(times)
				p.between(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if !isWrite(r, day2) || broken.Add(1) > limit.Load() {
						next.ServeHTTP(w, r)
						return
					}
					if happens {
						next.ServeHTTP(httptest.NewRecorder(), r)
					}
					panic(http.ErrAbortHandler)
				})
				carl := sdk.NewPerson(sdk.ID(sdk.UserID, "usr_carl"))
				l := p.open(t, mustMap(t, testMap))
				errs := l.EraseBatch(t.Context(), []sdk.Person{carl, ada})
				if broken.Load() == 0 {
					t.Fatal("nothing was broken")
				}
				switch {
				case times == 1 && errs != nil:
					t.Fatalf("errors %v", errs)
				case times > 1 && !happens && (len(errs) != 2 || errs[0] != nil || errs[1] == nil || sdk.IsPermanent(errs[1])):
					t.Fatalf("errors %v, want one for her that is worth a retry", errs)
				}
				if times > 1 {
					limit.Store(0) // from now on the network works
					if err := l.Erase(t.Context(), ada); err != nil {
						t.Fatal(err)
					}
				}
				p.wantGone(t)
				if got := string(p.get(t, day2)); got != lines(bobView) {
					t.Errorf("the file is %q", got)
				}
			})
		}
	}
}

// wantGone fails if the server keeps anything of hers, in any version or part.
func (p *pail) wantGone(t testing.TB) {
	t.Helper()
	for path, data := range p.disk(t) {
		if bytes.Contains(data, []byte(`usr_ada"`)) || bytes.Contains(data, []byte("dev-ada")) {
			t.Errorf("she is still in %s", path)
		}
	}
}

// TestS3Conflict: a program that writes between the reading and the writing
// loses nothing, whether the server checks the condition or the engine has to
// look afterwards and take its version back.
func TestS3Conflict(t *testing.T) {
	for _, test := range []struct {
		name                  string
		conditions, versioned bool
	}{
		{"refused by the server", true, false},
		{"refused by the server, with versions", true, true},
		{"taken back", false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPail(t, test.versioned)
			p.put(t, day2, []byte(lines(adaView, bobView)))
			p.between(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !test.conditions && r.Method == http.MethodPut {
					p.unconditional(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
			l := p.open(t, mustMap(t, testMap))
			if err := l.ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			tries := 0
			l.bucket = &flaky{bucket: l.bucket, replacing: func(ctx context.Context, next bucket, key string, write writeFunc) (replaced, error) {
				tries++
				return next.replace(ctx, key, func(src source, dst io.Writer) error {
					err := write(src, dst)
					if tries == 1 {
						p.put(t, day2, []byte(lines(adaView, bobView, noOne)))
					}
					return err
				})
			}}
			if err := l.Erase(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			if got := string(p.get(t, day2)); got != lines(bobView, noOne) {
				t.Errorf("the file is %q", got)
			}
			if tries != 2 {
				t.Errorf("%d tries, want 2", tries)
			}
			if n := p.versionsOf(t, day2); n != 1 {
				t.Errorf("%d versions are left, want one", n)
			}
			p.wantGone(t)
		})
	}
}

// TestS3NeedsConditionOrVersions: where neither the server nor the engine could
// notice another program's writing, nothing is rewritten.
func TestS3NeedsConditionOrVersions(t *testing.T) {
	p := newPail(t, false)
	p.put(t, day2, []byte(lines(adaView, bobView)))
	p.between(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPut {
			p.unconditional(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
	err := p.open(t, mustMap(t, testMap)).Erase(t.Context(), ada)
	if !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Configuration || !strings.Contains(err.Error(), "versioning") {
		t.Errorf("error %v", err)
	}
	if got := string(p.get(t, day2)); got != lines(adaView, bobView) {
		t.Errorf("the file is %q", got)
	}
	if files := p.disk(t); len(files) != 1 {
		t.Errorf("%d files are in the bucket, want the one", len(files))
	}
}

// TestS3OldVersions: what only an older version holds is found, copied with a
// mark, and removed with that version; versions without her stay.
func TestS3OldVersions(t *testing.T) {
	p := newPail(t, true)
	p.put(t, day2, []byte(lines(adaView, bobView)))
	p.put(t, day2, []byte(lines(bobView, noOne)))
	p.put(t, day2, []byte(lines(bobView)))
	gone := "events/dt=2026-01-03/gone.jsonl"
	p.put(t, gone, []byte(lines(adaView)))
	if _, err := p.client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: &p.name, Key: &gone}); err != nil {
		t.Fatal(err)
	}
	l := p.open(t, mustMap(t, testMap))
	found, err := l.Locate(t.Context(), ada)
	if err != nil || len(found) != 1 || found[0].Count != 2 {
		t.Fatalf("found %v, %v; want two records", found, err)
	}
	var out collector
	if err := l.Export(t.Context(), ada, &out); err != nil || len(out) != 2 {
		t.Fatalf("%d records copied, %v", len(out), err)
	}
	for _, r := range out {
		if last := r.Fields[len(r.Fields)-1]; last.Name != oldVersion {
			t.Errorf("a record of an older version has no mark: %v", last.Name)
		}
	}
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if found, err := l.Locate(t.Context(), ada); err != nil || found != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if n := p.versionsOf(t, day2); n != 2 {
		t.Errorf("%d versions are left, want the two without her", n)
	}
	// This server keeps the bytes of a deleted object in the file of its delete
	// marker, where no request reaches them; all else is gone.
	for path, data := range p.disk(t) {
		if strings.HasPrefix(path, "versions/") && bytes.Contains(data, []byte(`usr_ada"`)) {
			t.Errorf("she is still in %s", path)
		}
	}
}

// TestS3ExpireOldVersions: versions left to the bucket's rules are not read,
// and stay.
func TestS3ExpireOldVersions(t *testing.T) {
	p := newPail(t, true)
	p.put(t, day2, []byte(lines(adaView, bobView)))
	var log bytes.Buffer
	l := p.open(t, mustMap(t, testMap), func(o *Options) {
		o.OldVersions, o.Logger = "expire", slog.New(slog.NewTextHandler(&log, nil))
	})
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	if found, err := l.Locate(t.Context(), ada); err != nil || found != nil {
		t.Errorf("found %v, %v", found, err)
	}
	if n := p.versionsOf(t, day2); n != 2 {
		t.Errorf("%d versions, want the old one left", n)
	}
	if !strings.Contains(log.String(), "older version") {
		t.Errorf("the log says nothing of it: %s", log.String())
	}
}

// TestS3BrokenReads: a connection that breaks while reading is taken up where
// it broke.
func TestS3BrokenReads(t *testing.T) {
	p := newPail(t, false)
	var text strings.Builder
	for text.Len() < 3<<20 {
		text.WriteString(lines(bobView))
	}
	text.WriteString(lines(adaView))
	p.put(t, day2, []byte(text.String()))
	var reads atomic.Int64
	p.between(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, day2) && reads.Add(1)%2 == 1 {
			next.ServeHTTP(&short{ResponseWriter: w, left: 1 << 20}, r)
			return
		}
		next.ServeHTTP(w, r)
	})
	l := p.open(t, mustMap(t, testMap))
	found, err := l.Locate(t.Context(), ada)
	if err != nil || len(found) != 1 || found[0].Count != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	if reads.Load() < 2 {
		t.Error("nothing broke")
	}
}

// short breaks an answer off.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	if s.left -= len(p); s.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return s.ResponseWriter.Write(p)
}

// TestS3Parts rewrites a file that goes up in parts: the last part fails, and
// nothing is left of those before; then a process dies between two parts, and
// the next one removes what it left.
func TestS3Parts(t *testing.T) {
	p := newPail(t, true)
	var text strings.Builder
	for text.Len() < 2*partSize+1 {
		text.WriteString(lines(bobView))
	}
	p.put(t, day2, []byte(lines(adaView)+text.String()))
	var fail atomic.Bool
	p.between(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if fail.Load() && isWrite(r, day2) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
	state := t.TempDir()
	inState := func(o *Options) { o.State = state }
	l := p.open(t, mustMap(t, testMap), inState)

	fail.Store(true)
	if err := l.Erase(t.Context(), ada); err == nil {
		t.Fatal("no error")
	}
	fail.Store(false)
	p.wantUploads(t, 0)

	// The crash: parts are up, and the process is gone with its locks.
	r, ok := l.bucket.(*remote)
	if !ok {
		t.Fatalf("the bucket is a %T", l.bucket)
	}
	w := &partWriter{ctx: t.Context(), r: r, in: &s3.PutObjectInput{Bucket: &p.name, Key: aws.String(day2)}, size: partSize}
	if _, err := w.Write(bytes.Repeat([]byte{'x'}, partSize+1)); err != nil {
		t.Fatal(err)
	}
	p.wantUploads(t, 1)
	if err := r.recover(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	p.wantUploads(t, 1) // it is under way
	for _, file := range r.uploads.mine {
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l = p.open(t, mustMap(t, testMap), inState)
	if err := l.Erase(t.Context(), ada); err != nil {
		t.Fatal(err)
	}
	p.wantUploads(t, 0)
	if got := string(p.get(t, day2)); got != text.String() {
		t.Errorf("%d bytes, want %d", len(got), text.Len())
	}
	if left, err := os.ReadDir(filepath.Join(state, "uploads")); err != nil || len(left) > 0 {
		t.Errorf("notes left: %v, %v", left, err)
	}
	p.wantGone(t)
}

func (p *pail) wantUploads(t testing.TB, want int) {
	t.Helper()
	out, err := p.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &p.name})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Uploads) != want {
		t.Errorf("%d unfinished uploads, want %d", len(out.Uploads), want)
	}
}

// TestS3Resume stops a pass after every number of replacements, as a crash or a
// shutdown would, and has a new process finish it.
func TestS3Resume(t *testing.T) {
	for after := range 4 {
		t.Run(fmt.Sprintf("after %d files", after), func(t *testing.T) {
			p := newPail(t, true)
			var keys []string
			for i := range 4 {
				key := fmt.Sprintf("events/dt=2026-01-0%d/a.jsonl", i+1)
				p.put(t, key, []byte(lines(adaView, bobView)))
				keys = append(keys, key)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			l := p.open(t, mustMap(t, testMap), func(o *Options) { o.Workers = 1 })
			if err := l.ready(ctx); err != nil {
				t.Fatal(err)
			}
			done := 0
			l.bucket = &flaky{bucket: l.bucket, replacing: func(ctx context.Context, next bucket, key string, write writeFunc) (replaced, error) {
				if done == after {
					stop()
				}
				done++
				return next.replace(ctx, key, write)
			}}
			if err := l.Erase(ctx, ada); err == nil || sdk.IsPermanent(err) {
				t.Fatalf("error %v, want one that is worth a retry", err)
			}
			l = p.open(t, mustMap(t, testMap))
			found, err := l.Locate(t.Context(), ada)
			if err != nil || len(found) != 1 || found[0].Count != int64(4-after) {
				t.Fatalf("found %v, %v; want what %d files hold", found, err, 4-after)
			}
			if err := l.Erase(t.Context(), ada); err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				if got := string(p.get(t, key)); got != lines(bobView) {
					t.Errorf("%s is %q", key, got)
				}
			}
			p.wantGone(t)
		})
	}
}
