package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/tokens"
)

// openGuard makes what asks callers of the API for a token. Without a database
// there are no tokens but the deployment's own.
func (r *runtime) openGuard() error {
	r.guard = &tokens.Guard{Deployment: r.token, Proxied: r.Console.Login.Proxied, Logger: r.logger, Now: time.Now}
	if r.store == nil {
		return nil
	}
	looks, ok := r.store.(store.Records)
	if !ok {
		return errors.New("this store keeps no records, so nobody's tokens could be put on record")
	}
	r.guard.Keeper = &tokens.Keeper{Store: r.store, Record: looks.PutAccess, Now: time.Now}
	return nil
}

// protect asks for a token in front of a handler.
func (r *runtime) protect(h http.Handler) http.Handler { return r.guard.Protect(h) }

// withToken hands calls on as the deployment's own.
func withToken(h http.Handler, token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+token)
		h.ServeHTTP(w, req)
	})
}

// errNoLog says that a process does not know where the audit room is.
var errNoLog = errors.New("no log is known here: set audit.url to where the audit room serves it")

// logTransport reaches the audit room: in this process where it runs here, and
// else over the network.
type logTransport struct {
	here http.Handler
	url  string
}

// RoundTrip implements [http.RoundTripper].
func (t *logTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	switch {
	case t.here != nil:
		return inProcess{t.here}.RoundTrip(req)
	case t.url != "":
		return http.DefaultTransport.RoundTrip(req)
	default:
		return nil, errNoLog
	}
}

// logClient reads from the audit room with the deployment's token.
func (r *runtime) logClient() *auditapi.Client {
	r.log.url = r.Audit.URL
	return &auditapi.Client{URL: orElse(r.Audit.URL, "http://audit"), Token: r.token, HTTP: &http.Client{Transport: &r.log}}
}

// inProcess calls a handler as a server would be called: what it writes is read
// while it writes.
type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	body, write := io.Pipe()
	w := &pipeAnswer{header: http.Header{}, body: write, begun: make(chan struct{})}
	go func() {
		defer func() {
			if v := recover(); v != nil {
				_ = write.CloseWithError(fmt.Errorf("the handler panicked: %v", v)) // never fails
			}
			w.begin(http.StatusInternalServerError)
		}()
		p.handler.ServeHTTP(w, req)
		w.begin(http.StatusOK)
		_ = write.Close() // never fails
	}()
	select {
	case <-w.begun:
	case <-req.Context().Done():
		_ = body.Close() // never fails; the handler's next write does
		return nil, req.Context().Err()
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: -1, Request: req,
	}, nil
}

// pipeAnswer is the answer of a handler that is read in the same process.
type pipeAnswer struct {
	header, sent http.Header
	body         *io.PipeWriter
	once         sync.Once
	begun        chan struct{}
	status       int
}

func (w *pipeAnswer) Header() http.Header { return w.header }

func (w *pipeAnswer) WriteHeader(status int) { w.begin(status) }

func (w *pipeAnswer) begin(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

func (w *pipeAnswer) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.body.Write(p)
}
