package opendsr

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// vectors is the "opendsr" part of the shared protocol vectors.
type vectors struct {
	Real struct {
		Body      string            `json:"body"`
		Headers   map[string]string `json:"headers"`
		PublicKey string            `json:"public_key_pem"`
	} `json:"real_callback"`
	Synthetic struct {
		Body       string `json:"body"`
		PrivateKey string `json:"private_key_pem"`
		Signature  string `json:"signature"`
	} `json:"synthetic_201"`
	Tampered struct {
		Body      string `json:"body"`
		Signature string `json:"signature"`
	} `json:"synthetic_tamper"`
}

// loadVectors finds the vectors in HABEAS_VECTORS or in the folder "shared"
// beside the repository. Without them tests are skipped, except in CI.
func loadVectors(t testing.TB) vectors {
	t.Helper()
	dir := os.Getenv("HABEAS_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "vectors")
	}
	text, err := os.ReadFile(filepath.Join(dir, "protocols.json"))
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the protocol vectors are required in CI: set HABEAS_VECTORS: %v", err)
		}
		t.Skip("no protocol vectors: set HABEAS_VECTORS to their folder")
	}
	var all struct {
		OpenDSR vectors `json:"opendsr"`
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all.OpenDSR
}

func TestRecordedSignatures(t *testing.T) {
	v := loadVectors(t)
	recorded := publicKey(t, v.Real.PublicKey)
	if err := VerifySignature(recorded, []byte(v.Real.Body), v.Real.Headers[HeaderSignature]); err != nil {
		t.Errorf("the recorded callback: %v", err)
	}
	block, _ := pem.Decode([]byte(v.Synthetic.PrivateKey))
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		t.Fatalf("the vector's key is %T", private)
	}
	if err := VerifySignature(key.Public(), []byte(v.Synthetic.Body), v.Synthetic.Signature); err != nil {
		t.Errorf("the synthetic receipt: %v", err)
	}
	for name, try := range map[string]struct {
		key             any
		body, signature string
	}{
		"tampered":           {key.Public(), v.Tampered.Body, v.Tampered.Signature},
		"another key":        {recorded, v.Synthetic.Body, v.Synthetic.Signature},
		"one byte more":      {recorded, v.Real.Body + "\n", v.Real.Headers[HeaderSignature]},
		"no signature":       {recorded, v.Real.Body, ""},
		"signature not text": {recorded, v.Real.Body, "!!"},
	} {
		if err := VerifySignature(try.key, []byte(try.body), try.signature); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
	}
}

// TestRecordedCallback puts the recorded callback through the status parser:
// nulls, and fields that are not there.
func TestRecordedCallback(t *testing.T) {
	v := loadVectors(t)
	p, err := parseProgress([]byte(v.Real.Body))
	if err != nil {
		t.Fatal(err)
	}
	if p.ID != "475974fa-6b42-4370-bb56-b5d845686bb5" || p.Status != Completed || p.Expected.Format(time.DateOnly) != "2025-06-09" {
		t.Errorf("parsed %+v", p)
	}
}

// TestCertificateRules freezes the clock in the life of the recorded
// certificate's key and checks every reason not to trust one.
func TestCertificateRules(t *testing.T) {
	const domain = "opendsr.mparticle.com"
	frozen := time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	ca, caKey := authority(t, frozen)
	other, _ := authority(t, frozen)
	leaf := issue(t, ca, caKey, domain, frozen.AddDate(0, -1, 0), frozen.AddDate(0, 1, 0))
	for _, c := range []struct {
		name, domain string
		roots        *x509.Certificate
		at           time.Time
		ok           bool
	}{
		{"valid", domain, ca, frozen, true},
		{"expired", domain, ca, frozen.AddDate(0, 2, 0), false},
		{"not yet", domain, ca, frozen.AddDate(0, -2, 0), false},
		{"another domain", "opendsr.example.com", ca, frozen, false},
		{"another authority", domain, other, frozen, false},
	} {
		roots := x509.NewCertPool()
		roots.AddCert(c.roots)
		_, err := ParseCertificate(leaf, c.domain, roots, c.at)
		if c.ok != (err == nil) || err != nil && !errors.Is(err, ErrCertificate) {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
	for _, text := range []string{"", "not PEM", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))} {
		if _, err := ParseCertificate([]byte(text), domain, nil, frozen); !errors.Is(err, ErrCertificate) {
			t.Errorf("%q: got %v, want ErrCertificate", text, err)
		}
	}
}

func publicKey(t *testing.T, text string) any {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func authority(t *testing.T, at time.Time) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: at.AddDate(-1, 0, 0), NotAfter: at.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func issue(t *testing.T, ca *x509.Certificate, caKey *rsa.PrivateKey, domain string, from, until time.Time) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: domain}, DNSNames: []string{domain}, NotBefore: from, NotAfter: until,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestErrorShapes(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name, body, retry string
		status            int
		want              string
		after             time.Duration
		conflict          bool
	}{
		{"wrapped", `{"error":{"code":400,"message":"subject_request_id field is required","errors":[{"domain":"Validation","reason":"IllegalArgumentException","message":"subject_request_id field is required."}]}}`, "", 400,
			"processor p answered 400 Bad Request, complaining of subject_request_id", 0, false},
		{"flat", `{"code":4001,"message":"bad regulation","errors":[]}`, "", 400, "processor p answered 400 Bad Request, code 4001, complaining of regulation", 0, false},
		{"quotes identities", `{"error":{"code":400,"message":"no such user ada.11@example.com"}}`, "", 400, "processor p answered 400 Bad Request", 0, false},
		{"flat duplicate", `{"code":400,"message":"Duplicate subject_request_id","errors":null}`, "", 400, "processor p answered 400 Bad Request, complaining of subject_request_id", 0, true},
		{"conflict", `{"code":409}`, "", 409, "processor p answered 409 Conflict", 0, true},
		{"not JSON", `<html>ada.11@example.com`, "", 502, "processor p answered 502 Bad Gateway", 0, false},
		{"seconds", ``, "120", 429, "processor p answered 429 Too Many Requests", 2 * time.Minute, false},
		{"date", ``, "Sun, 01 Nov 2026 12:00:30 GMT", 429, "processor p answered 429 Too Many Requests", 30 * time.Second, false},
		{"past", ``, "Sun, 01 Nov 2020 12:00:30 GMT", 429, "processor p answered 429 Too Many Requests", 0, false},
		{"absurd", ``, "99999999999", 429, "processor p answered 429 Too Many Requests", 0, false},
		{"code as text", `{"code":"400","message":7}`, "", 400, "processor p answered 400 Bad Request", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := parseError("p", answer{c.status, http.Header{"Retry-After": {c.retry}}, []byte(c.body)}, now)
			if e.Error() != c.want {
				t.Errorf("text %q, want %q", e, c.want)
			}
			if c.name != "absurd" && e.After != c.after || e.After > 24*time.Hour {
				t.Errorf("after %s, want %s", e.After, c.after)
			}
			if errors.Is(e, ErrConflict) != c.conflict {
				t.Errorf("conflict: %v", !c.conflict)
			}
		})
	}
}

func FuzzParseProgress(f *testing.F) {
	f.Add([]byte(`{"controller_id":"1402","expected_completion_time":"2025-06-09T00:00:00Z","status_callback_url":"https://c.example/x","subject_request_id":"475974fa-6b42-4370-bb56-b5d845686bb5","request_status":"completed","results_url":null,"extensions":null}`))
	f.Add([]byte(`{"subject_request_id":"475974fa-6b42-4370-bb56-b5d845686bb5","request_status":"cancelled","expected_completion_time":null}`))
	f.Add([]byte(`{"expected_completion_time":"2025-06-09T00:00:00"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parseProgress(body)
		if err != nil {
			// What a stranger wrote must not come back in an error.
			if secret := []byte("@example"); bytes.Contains(body, secret) && bytes.Contains([]byte(err.Error()), secret) {
				t.Errorf("the error quotes the body: %v", err)
			}
			return
		}
		if !ValidID(p.ID) || p.Status.rank() < 1 || p.Status.rank() > 4 {
			t.Errorf("accepted %+v", p)
		}
	})
}
