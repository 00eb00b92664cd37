package catalogue_test

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// The vendor's own server for tests, which checks every request against the
// vendor's OpenAPI document. It stays out of go.mod.
const stripeMockModule = "github.com/stripe/stripe-mock@v0.203.0"

// TestStripeMock makes every request of the Stripe entry to stripe-mock: it
// refuses unknown paths and parameters, so what passes is in the vendor's
// document. It has no memory; what is gone after an erasure is the fake's to
// show.
func TestStripeMock(t *testing.T) {
	url := startStripeMock(t)
	prog, err := restspec.FromCatalogue("stripe")
	if err != nil {
		t.Fatal(err)
	}
	_, c, err := prog.Open(restspec.Options{
		Name: "stripe", Base: url, Dir: t.TempDir(), Unlimited: true,
		Secret: func(string) (sdk.Secret, error) { return "sk_test_123", nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	her := sdk.NewPerson(sdk.ID("stripe_customer_id", "cus_habeas"), sdk.ID(sdk.Email, email(1)))
	found, err := c.Locate(t.Context(), her)
	if err != nil {
		t.Fatal(err)
	}
	stores := map[string]bool{}
	for _, f := range found {
		stores[f.Store] = true
	}
	for _, want := range []string{"customers", "payment_methods", "charges", "invoices", "subscriptions"} {
		if !stores[want] {
			t.Errorf("nothing was read of %s: %v", want, found)
		}
	}
	if err := c.(sdk.Eraser).Erase(t.Context(), her); err != nil {
		t.Error(err)
	}
	for _, field := range prog.Corrects() {
		if err := c.(sdk.Corrector).Correct(t.Context(), her, []sdk.Correction{{Field: field, Value: "x"}}); err != nil {
			t.Errorf("correcting %s: %v", field, err)
		}
	}
	// It does refuse: the same requests with a parameter Stripe does not have.
	resp, err := http.DefaultClient.Do(stripeRequest(t, url+"/v1/customers?e_mail=x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an unknown parameter was answered with %d: the server checks nothing", resp.StatusCode)
	}
}

func stripeRequest(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk_test_123")
	return req
}

func startStripeMock(t *testing.T) string {
	t.Helper()
	bin := stripeMockBinary(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(bin, "-http-addr", addr) //nolint:noctx // ended by the cleanup below
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-ended
	})
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for {
		if resp, err := http.DefaultClient.Do(stripeRequest(t, "http://"+addr+"/v1/customers")); err == nil {
			_ = resp.Body.Close() // it answers
			return "http://" + addr
		}
		select {
		case <-ended:
			t.Fatalf("stripe-mock ended: %s", out.String())
		case <-deadline:
			t.Fatal("stripe-mock did not come up in 30 s")
		case <-tick.C:
		}
	}
}

// stripeMockBinary finds or installs the server under the repository's .bin.
func stripeMockBinary(t *testing.T) string {
	t.Helper()
	bin, err := filepath.Abs("../../../.bin/stripe-mock-v0.203.0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	missing := t.Skipf
	if os.Getenv("CI") == "true" {
		missing = t.Fatalf
	}
	if err := os.MkdirAll(filepath.Dir(bin), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	install := exec.CommandContext(t.Context(), "go", "install", stripeMockModule)
	install.Dir = dir
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "GOWORK=off")
	if out, err := install.CombinedOutput(); err != nil {
		missing("stripe-mock cannot be had, so the entry is not tried on it: go install %s: %v\n%s", stripeMockModule, err, out)
	}
	// Copied, because it may be another disk, and shown only when it is whole.
	program, err := os.ReadFile(filepath.Join(dir, "stripe-mock"))
	if err == nil {
		err = os.WriteFile(bin+".new", program, 0o755)
	}
	if err == nil {
		err = os.Rename(bin+".new", bin)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bin
}
