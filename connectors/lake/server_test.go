package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// server is a real S3 server, a process of its own, shared by the tests of this
// package. Each test has a bucket of its own.
type server struct {
	address string
	dir     string // what the server keeps: objects, older versions, parts
	client  *s3.Client
}

const testKey, testSecret = "lakekey", "lakesecret"

var (
	serverOnce sync.Once
	theServer  *server
	serverErr  error
	stopServer = func() error { return nil }
	buckets    int
	bucketsMu  sync.Mutex
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := stopServer(); err != nil {
		fmt.Fprintln(os.Stderr, "stopping the S3 server:", err)
		code = 1
	}
	os.Exit(code)
}

// startServer returns the S3 server, started if need be. Without its program
// the test is skipped, or fails when CI is set.
func startServer(t testing.TB) *server {
	t.Helper()
	program, err := findServer()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	serverOnce.Do(func() { theServer, serverErr = runServer(program) })
	if serverErr != nil {
		t.Fatal(serverErr)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", testKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return theServer
}

func findServer() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			program := filepath.Join(dir, ".bin", "versitygw")
			if _, err := os.Stat(program); err == nil {
				return program, nil
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if program, err := exec.LookPath("versitygw"); err == nil {
		return program, nil
	}
	return "", errors.New("the S3 server of the tests is not installed: make test installs it")
}

func runServer(program string) (*server, error) {
	dir, err := os.MkdirTemp("", "habeas-s3-*")
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"objects", "versions", "sidecar"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, err
	}
	var log bytes.Buffer
	cmd := exec.Command(program, "--port", address, "--access", testKey, "--secret", testSecret, "--quiet",
		"posix", "--versioning-dir", filepath.Join(dir, "versions"), "--sidecar", filepath.Join(dir, "sidecar"), filepath.Join(dir, "objects"))
	cmd.Stdout, cmd.Stderr = &log, &log
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	stopServer = func() error {
		err := cmd.Process.Kill() // asked to stop, it would wait for idle connections
		<-done
		return errors.Join(err, os.RemoveAll(dir))
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return &server{address: address, dir: dir, client: clientOf("http://" + address)}, conn.Close()
		}
		select {
		case err := <-done:
			return nil, fmt.Errorf("the S3 server did not start: %w: %s", err, log.String())
		default:
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("the S3 server does not answer: %s", log.String())
		}
	}
}

func clientOf(endpoint string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, ""),
	})
}

// pail is one bucket of the server, as a test sees it.
type pail struct {
	*server
	name      string
	endpoint  string // where the engine is sent: the server, or something between
	versioned bool
}

func newPail(t testing.TB, versioned bool) *pail {
	t.Helper()
	s := startServer(t)
	bucketsMu.Lock()
	buckets++
	p := &pail{server: s, name: fmt.Sprintf("lake-%d", buckets), endpoint: "http://" + s.address, versioned: versioned}
	bucketsMu.Unlock()
	ctx := t.Context()
	if _, err := p.client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &p.name}); err != nil {
		t.Fatal(err)
	}
	if versioned {
		_, err := p.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
			Bucket: &p.name, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *pail) url() string {
	return "s3://" + p.name + "?region=us-east-1&use_path_style=true&endpoint=" + p.endpoint
}

func (p *pail) open(t testing.TB, m *Map, more ...func(*Options)) *Lake {
	t.Helper()
	o := Options{Bucket: p.url(), Map: m, Workers: 4, Logger: slog.New(slog.DiscardHandler), State: t.TempDir()}
	for _, f := range more {
		f(&o)
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (p *pail) put(t testing.TB, key string, data []byte) {
	t.Helper()
	p.putWith(t, &s3.PutObjectInput{Key: &key, Body: bytes.NewReader(data)})
}

func (p *pail) putWith(t testing.TB, in *s3.PutObjectInput) {
	t.Helper()
	in.Bucket = &p.name
	if _, err := p.client.PutObject(context.WithoutCancel(t.Context()), in); err != nil {
		t.Fatal(err)
	}
}

func (p *pail) get(t testing.TB, key string) []byte {
	t.Helper()
	out, err := p.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &p.name, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(out.Body)
	if err := errors.Join(err, out.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}

// versionsOf counts the versions of a key, the newest among them.
func (p *pail) versionsOf(t testing.TB, key string) int {
	t.Helper()
	out, err := p.client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &p.name, Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, v := range out.Versions {
		if aws.ToString(v.Key) == key {
			n++
		}
	}
	return n
}

// disk is every file the server keeps of this bucket, older versions and
// unfinished uploads too, by its path.
func (p *pail) disk(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || !strings.Contains(path, "/"+p.name+"/") || strings.Contains(path, "/sidecar/") {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		rel, _ := filepath.Rel(p.dir, path) // path is below dir
		all[rel] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
