package attempts

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestFailuresAreCounted(t *testing.T) {
	var f Failures
	now := time.Now()
	for range Most {
		if f.Wait("a", now) != 0 {
			t.Fatal("kept out too early")
		}
		f.Add("a", now)
	}
	if f.Wait("a", now) != Window || f.Wait("b", now) != 0 || f.Wait("a", now.Add(Window)) != 0 {
		t.Errorf("a waits %s, b %s", f.Wait("a", now), f.Wait("b", now))
	}
	f.Forget("a")
	if f.Wait("a", now) != 0 {
		t.Error("somebody who proved who they are waits")
	}
	for i := range maxSources + 5 {
		f.Add(string(rune(i+1000)), now)
	}
	if len(f.all) > maxSources {
		t.Errorf("%d sources are kept", len(f.all))
	}
}

func TestSource(t *testing.T) {
	for _, c := range []struct {
		remote    string
		forwarded []string
		proxied   bool
		want      string
	}{
		{"192.0.2.1:4000", nil, false, "192.0.2.1"},
		{"192.0.2.1:4000", []string{"198.51.100.7"}, false, "192.0.2.1"}, // anybody may say that
		{"192.0.2.1:4000", []string{"203.0.113.9", "198.51.100.1, 198.51.100.7"}, true, "198.51.100.7"},
		{"[2001:db8:1:2:3::4]:4000", nil, false, "2001:db8:1:2::"},
		{"somewhere", nil, false, "unknown"},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		req.RemoteAddr, req.Header = c.remote, http.Header{"X-Forwarded-For": c.forwarded}
		if got := Source(req, c.proxied); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
