// Package edge applies a consumer's choice where she makes it: in the browser,
// on the page that she is on.
//
// What it owes its callers: an opt-out is stored before it is answered, and the
// page is told in the same answer. It holds for the device, for every profile
// tied to it, and for the person once she is known (11 CCR 7025(c)(1)), on all
// devices tied to her, and a signal that stops is no consent. Nothing is asked
// for, nothing is verified, and identifiers are kept as keyed digests only. A
// request then carries the choice to the systems behind.
package edge

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/intake/signal"
	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Config is what the edge needs.
type Config struct {
	Doors store.Doors
	// Take takes in the request that carries a choice to the systems.
	Take func(ctx context.Context, entries []intake.Entry, by string) ([]intake.Taken, error)
	// Allow bounds what one source may set going; see Allow of the room verify.
	Allow func(ctx context.Context, source string) error
	// Chosen reports whether a visitor opted out in another way than here: one
	// opt-out reaches the pages too, whichever door it came by.
	Chosen func(ctx context.Context, ids []request.Identifier) (bool, error)
	// Lookup reads a request, and Identifiers whom it is about; for [Edge.Lift].
	Lookup      func(ctx context.Context, id request.ID) (store.Request, error)
	Identifiers func(ctx context.Context, r *store.Request) ([]request.Identifier, error)
	// Secret keys the digests of identifiers and the proofs of accounts.
	Secret []byte
	// Origins are the sites whose pages may call; "*" is every site.
	Origins []string
	// Proxied says that a proxy in front names the client.
	Proxied bool
	// Updated is when the company last changed how it answers signals.
	Updated time.Time
	Logger  *slog.Logger
	Now     func() time.Time
}

// Edge serves the signal endpoints.
type Edge struct{ Config }

// New makes an edge.
func New(c Config) *Edge {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Edge{c}
}

//go:embed signal.js
var script []byte

// Handler serves, without asking who calls: POST /signal, which pages call;
// GET /signal.js, which they embed; and GET /.well-known/gpc.json.
func (e *Edge) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /signal", func(w http.ResponseWriter, r *http.Request) { e.serve(w, r, false) })
	mux.HandleFunc("OPTIONS /signal", func(w http.ResponseWriter, r *http.Request) {
		e.allowOrigin(w, r)
		w.Header().Set("Access-Control-Allow-Methods", "POST")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
		w.Header().Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /signal.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		_, _ = w.Write(script) // the client may be gone
	})
	mux.HandleFunc("GET /.well-known/gpc.json", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"gpc": true, "lastUpdate": e.Updated.UTC().Format(time.DateOnly)})
	})
	return mux
}

// Trusted is POST /v1/signals, for the company's own servers: they may name any
// identifier. It does not authenticate.
func (e *Edge) Trusted() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			problem.Write(w, http.StatusMethodNotAllowed, "use POST")
			return
		}
		e.serve(w, r, true)
	})
}

// visit is what a page or server tells.
type visit struct {
	// Identifiers of the visitor. A page may name browsers and devices; an
	// account only with the proof that the company's server printed into it.
	Identifiers []struct {
		Kind  string `json:"kind"`
		Value string `json:"value"`
		Proof string `json:"proof,omitempty"`
	} `json:"identifiers"`
	// GPC is what the page's script saw, OptOut the visitor's own click. GPP
	// and USP are strings as advertising systems keep them.
	GPC    bool   `json:"gpc,omitempty"`
	OptOut bool   `json:"opt_out,omitempty"`
	GPP    string `json:"gpp,omitempty"`
	USP    string `json:"usp,omitempty"`
}

// Standing is how a visitor stands.
type Standing struct {
	OptedOut bool `json:"opted_out"`
	// Signal is what was heard in this visit: gpc, gpp, usp, click or "".
	Signal string     `json:"signal"`
	Since  *time.Time `json:"since,omitempty"`
}

const (
	maxBody        = 32 << 10
	maxIdentifiers = 8
)

func (e *Edge) serve(w http.ResponseWriter, r *http.Request, trusted bool) {
	e.allowOrigin(w, r)
	v := visit{}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil && !errors.Is(err, io.EOF) {
		problem.Write(w, http.StatusUnprocessableEntity, "the body is not what is asked for: send identifiers, gpc, opt_out, gpp and usp, and nothing else")
		return
	}
	ids, err := e.identifiers(v, trusted)
	if err != nil {
		problem.Write(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	s, err := e.Hear(r.Context(), ids, heard(r.Header, v), intake.Source(r, e.Proxied))
	if err != nil {
		e.Logger.ErrorContext(r.Context(), "applying a choice", slog.Any("error", err))
		problem.Write(w, http.StatusServiceUnavailable, "the choice could not be stored now; treat this visitor as opted out and send it again")
		return
	}
	writeJSON(w, http.StatusOK, s)
}

// heard says which signal a visit carries. A string that can't be read is none.
func heard(h http.Header, v visit) string {
	switch {
	case signal.GPC(h), v.GPC:
		return "gpc"
	case v.OptOut:
		return "click"
	}
	if g, err := signal.ParseGPP(v.GPP); err == nil && g.OptOut() {
		return "gpp"
	}
	if u, err := signal.ParseUSPrivacy(v.USP); err == nil && u.OptOut {
		return "usp"
	}
	return ""
}

// identifiers checks and normalises who the visitor is.
func (e *Edge) identifiers(v visit, trusted bool) ([]request.Identifier, error) {
	if len(v.Identifiers) > maxIdentifiers {
		return nil, errors.New("identifiers: too many")
	}
	var out []request.Identifier
	for _, i := range v.Identifiers {
		id, err := request.NewIdentifier(request.Kind(i.Kind), i.Value).Normalize()
		if errors.Is(err, request.ErrNobodys) {
			continue // such as a device that gives no identifier away: the choice holds for the others
		}
		if err != nil {
			return nil, errors.New("identifiers: one can't be used: its kind or its value is malformed")
		}
		own := id.Kind == request.CookieID || id.Kind == request.DeviceID
		if !trusted && !own && !hmac.Equal([]byte(i.Proof), []byte(e.Proof(id))) {
			return nil, errors.New("identifiers: a page may name an account only with its proof")
		}
		if id.Kind == request.Name {
			return nil, errors.New("identifiers: a name is nobody's alone")
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

// Proof is what the company's server prints into a page beside the identifier
// of a logged-in account.
func (e *Edge) Proof(id request.Identifier) string { return hex.EncodeToString(e.digest("proof", id)) }

func (e *Edge) digest(purpose string, id request.Identifier) []byte {
	mac := hmac.New(sha256.New, e.Secret)
	_, _ = io.WriteString(mac, "edge "+purpose+"\x00"+string(id.Kind)+"\x00"+id.Reveal()) // a hash never fails
	return mac.Sum(nil)
}

// Hear applies what was heard to everything the visitor is known by, and sends
// a request to the systems for what none carries yet. It is done when it
// returns without an error; doing it again is harmless.
func (e *Edge) Hear(ctx context.Context, ids []request.Identifier, heard, source string) (Standing, error) {
	s := Standing{Signal: heard, OptedOut: heard != ""}
	if len(ids) == 0 {
		return s, nil // the page itself obeys; there is nothing to remember it by
	}
	digests := make([][]byte, len(ids))
	for i, id := range ids {
		digests[i] = e.digest("choice", id)
	}
	now := e.Now().UTC()
	standing, err := e.Doors.Choose(ctx, digests, false, now)
	if err != nil {
		return s, err
	}
	out := heard != ""
	if !out && standing.OptedOutAt.IsZero() {
		if out, err = e.Chosen(ctx, ids); err != nil {
			return s, err
		}
		s.OptedOut = out
	}
	if out && standing.OptedOutAt.IsZero() {
		if err := e.Allow(ctx, source); err != nil {
			e.Logger.WarnContext(ctx, "choices come too fast from one source; this one holds on its page alone", slog.Any("error", err))
			return s, nil
		}
		if standing, err = e.Doors.Choose(ctx, digests, true, now); err != nil {
			return s, err
		}
	}
	if standing.OptedOutAt.IsZero() {
		return s, nil
	}
	s.OptedOut, s.Since = true, &standing.OptedOutAt
	return s, e.carry(ctx, ids, digests, standing.Uncarried)
}

// carry takes a request in for what no request carries yet. Its key follows
// from the identifiers, so that after a crash the same request is found.
func (e *Edge) carry(ctx context.Context, ids []request.Identifier, digests, uncarried [][]byte) error {
	if len(uncarried) == 0 {
		return nil
	}
	entry := intake.Entry{Submission: request.Submission{Right: request.OptOutSaleShare, Channel: request.ChannelGPC}}
	key := sha256.New()
	for _, d := range uncarried {
		key.Write(d)
		if i := slices.IndexFunc(digests, func(o []byte) bool { return hmac.Equal(o, d) }); i >= 0 {
			entry.Submission.Identifiers = append(entry.Submission.Identifiers, ids[i])
		}
	}
	entry.IdempotencyKey = "signal/" + hex.EncodeToString(key.Sum(nil))
	taken, err := e.Take(ctx, []intake.Entry{entry}, "edge")
	if err != nil {
		return err
	}
	if taken[0].Err != nil {
		return taken[0].Err
	}
	return e.Doors.Carried(ctx, uncarried, taken[0].ID)
}

func (e *Edge) allowOrigin(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin != "" && (slices.Contains(e.Origins, origin) || slices.Contains(e.Origins, "*")) {
		w.Header().Set("Access-Control-Allow-Origin", strings.TrimSpace(origin))
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}
