package vendortest

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// Answer refuses the request before the vendor sees it.
func Answer(status int, header ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		return true
	}
}

// TooMany is a 429 that asks to wait for d, in seconds or as a date.
func TooMany(d time.Duration, date bool) Fault {
	after := strconv.Itoa(int(d.Seconds()))
	if date {
		after = time.Now().Add(d).UTC().Format(http.TimeFormat)
	}
	return Answer(http.StatusTooManyRequests, "Retry-After", after)
}

// Lost lets the vendor do its work and breaks the line before the answer.
func Lost(_ http.ResponseWriter, r *http.Request, vendor http.Handler) bool {
	vendor.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// Cut sends the first half of the vendor's answer as if it were all there is.
func Cut(w http.ResponseWriter, r *http.Request, vendor http.Handler) bool {
	rec := httptest.NewRecorder()
	vendor.ServeHTTP(rec, r)
	maps.Copy(w.Header(), rec.Header())
	w.Header().Del("Content-Length")
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2]) // the client may be gone
	return true
}

// On applies a fault to the first request that is one of "METHOD /path"
// prefixes and lets all before it through.
func On(f Fault, prefixes ...string) Fault {
	return func(w http.ResponseWriter, r *http.Request, vendor http.Handler) bool {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		a := Asked{Method: r.Method, Path: r.URL.EscapedPath(), Body: string(body)}
		return a.Is(prefixes...) && f(w, r, vendor)
	}
}
