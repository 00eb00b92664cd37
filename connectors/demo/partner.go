package demo

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// PartnerName and PartnerDomain name the advertising partner that the demo
// company shares audiences with. The partner signs for the domain.
const (
	PartnerName   = "brightfield"
	PartnerDomain = "opendsr.brightfield.example"
)

// PartnerFault is one way for the partner to misbehave, for tests.
type PartnerFault int

// The faults. Each but NoFault strikes once and is then used up, save
// FlatErrors, which stays.
const (
	NoFault        PartnerFault = iota
	RefuseRequest               // 503 before anything is recorded
	LoseAnswer                  // the request is recorded and the connection breaks
	TooMany                     // 429 with Retry-After: 7, nothing recorded
	BusyWithHer                 // 409, nothing recorded
	WrongSignature              // the answer's bytes change after signing
	NoSuchIdentity              // 400 whose message quotes the identities it was sent
	FlatErrors                  // errors not wrapped in "error", as some processors send them
)

// Partner is a downstream processor of the demo company that speaks OpenDSR
// 2.0: it holds its own rows about people, erases or suppresses them some time
// after it was asked, and signs what it says. Its state is in one SQLite file.
type Partner struct {
	db     *sql.DB
	signer *partnerSigner
	mux    *http.ServeMux
	delay  time.Duration
	client *http.Client
	now    func() time.Time
	kick   chan struct{}

	mu     sync.Mutex
	faults []PartnerFault
	flat   bool
}

// PartnerOptions are a partner's settings.
type PartnerOptions struct {
	// Delay is how long it takes to carry out a request.
	Delay time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// NewPartner opens the partner kept in dir: partner.db, and its certificate
// authority in partner-ca.pem, made when missing. A new partner knows those of
// the first n people whom ad-tech knows.
func NewPartner(ctx context.Context, dir string, n int, o PartnerOptions) (*Partner, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	signer, err := openPartnerSigner(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the partner: %w", err)
	}
	path := filepath.Join(dir, PartnerFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := seedPartner(ctx, path, n); err != nil {
			return nil, fmt.Errorf("seeding the partner: %w", err)
		}
	}
	db, err := sql.Open("sqlite", sqliteFile(path, "busy_timeout(5000)", "journal_mode(wal)"))
	if err != nil {
		return nil, fmt.Errorf("opening the partner: %w", err)
	}
	db.SetMaxOpenConns(1)
	p := &Partner{
		db: db, signer: signer, delay: o.Delay, now: o.Now,
		client: &http.Client{Timeout: 5 * time.Second}, kick: make(chan struct{}, 1),
	}
	p.mux = http.NewServeMux()
	p.mux.HandleFunc("GET /v2/discovery", p.discovery)
	p.mux.HandleFunc("GET /cert.pem", p.certificate)
	for _, route := range []string{"/v2/requests", "/v2/opengdpr_requests"} {
		p.mux.HandleFunc("POST "+route, p.submit)
		p.mux.HandleFunc("GET "+route+"/{id}", p.status)
		p.mux.HandleFunc("DELETE "+route+"/{id}", p.cancel)
	}
	return p, nil
}

// Close closes the partner's database.
func (p *Partner) Close() error { return p.db.Close() }

// ServeHTTP implements [http.Handler].
func (p *Partner) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.mux.ServeHTTP(w, r) }

// Fail makes the partner misbehave in the given ways, one request each.
func (p *Partner) Fail(faults ...PartnerFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range faults {
		if f == FlatErrors {
			p.flat = true
		} else {
			p.faults = append(p.faults, f)
		}
	}
}

func (p *Partner) fault() PartnerFault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) == 0 {
		return NoFault
	}
	f := p.faults[0]
	p.faults = p.faults[1:]
	return f
}

// partnerRequest is what the partner reads of a request.
type partnerRequest struct {
	ID         string   `json:"subject_request_id"`
	Type       string   `json:"subject_request_type"`
	Callbacks  []string `json:"status_callback_urls"`
	Identities []struct {
		Type   string `json:"identity_type"`
		Value  string `json:"identity_value"`
		Format string `json:"identity_format"`
	} `json:"subject_identities"`
	Extensions map[string]struct {
		CookieIDs []string `json:"cookie_ids"`
		DeviceIDs []string `json:"device_ids"`
	} `json:"extensions"`
}

// keys are the partner's own names for whom the request is about.
func (r partnerRequest) keys() []string {
	var keys []string
	for _, id := range r.Identities {
		switch {
		case id.Type == "email" && id.Format == "sha256":
			keys = append(keys, "email:"+id.Value)
		case id.Type == "email" && id.Format == "raw":
			keys = append(keys, "email:"+EmailSHA256(id.Value))
		case id.Type == "ios_advertising_id" || id.Type == "android_advertising_id":
			keys = append(keys, "device:"+id.Value)
		}
	}
	extension := r.Extensions[PartnerDomain]
	for _, cookie := range extension.CookieIDs {
		keys = append(keys, "cookie:"+cookie)
	}
	for _, device := range extension.DeviceIDs {
		keys = append(keys, "device:"+device)
	}
	return keys
}

func (p *Partner) discovery(w http.ResponseWriter, r *http.Request) {
	p.answer(w, http.StatusOK, map[string]any{
		"api_version": "2.0",
		"supported_identities": []map[string]string{
			{"identity_type": "email", "identity_format": "raw"},
			{"identity_type": "email", "identity_format": "sha256"},
			{"identity_type": "ios_advertising_id", "identity_format": "raw"},
			{"identity_type": "android_advertising_id", "identity_format": "raw"},
		},
		"supported_subject_request_types": []string{"erasure", "suppress"},
		"processor_certificate":           "http://" + r.Host + "/cert.pem",
	}, false)
}

func (p *Partner) certificate(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	chain := p.signer.chain
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-pem-file")
	_, _ = w.Write(chain) // the client has gone when this errs
}

// answer marshals once, signs those bytes and writes them.
func (p *Partner) answer(w http.ResponseWriter, code int, v any, spoil bool) {
	body, err := json.Marshal(v)
	if err == nil {
		var signature string
		signature, err = p.Sign(body)
		w.Header().Set("X-OpenDSR-Signature", signature)
	}
	if err != nil {
		http.Error(w, "signing failed", http.StatusInternalServerError)
		return
	}
	if spoil {
		body = append(body, '\n')
	}
	w.Header().Set("X-OpenDSR-Processor-Domain", PartnerDomain)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client has gone when this errs
}

// refuse answers with an error in the specification's shape, or flat.
func (p *Partner) refuse(w http.ResponseWriter, code int, message string) {
	detail := map[string]any{
		"code": code, "message": message,
		"errors": []map[string]string{{"domain": "Validation", "reason": "IllegalArgumentException", "message": message}},
	}
	p.mu.Lock()
	flat := p.flat
	p.mu.Unlock()
	if flat {
		p.answer(w, code, detail, false)
		return
	}
	p.answer(w, code, map[string]any{"error": detail}, false)
}
