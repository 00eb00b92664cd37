package onward

import (
	"bytes"
	"crypto/hmac"
	_ "embed" // the page
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/habeas-data/habeas/services/internal/problem"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle []byte

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// page is what a recipient sees.
type page struct {
	Title, Company, Contact, Base, Path string
	Recipient, Reference, Asked         string
	Categories, AnswerBy                string
	Acknowledged                        string
	Shown, Source                       bool
	Identifiers                         []shownIdentifier
	Corrections                         []shownCorrection
	Problem                             string
}

// answer is what a recipient's program gets.
type answer struct {
	Reference    string            `json:"reference"`
	Asked        string            `json:"asked"`
	Categories   string            `json:"categories"`
	AnswerBy     string            `json:"answer_by"`
	Acknowledged string            `json:"acknowledged,omitempty"`
	Identifiers  []shownIdentifier `json:"identifiers,omitempty"`
	// Corrections are what to put right; without a value for the source of what is
	// wrong.
	Corrections []shownCorrection `json:"corrections,omitempty"`
}

type shownCorrection struct {
	Field string `json:"field"`
	Value string `json:"value,omitempty"`
}

type shownIdentifier struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// Handler serves the pages of notices below [Base]. Reading one changes nothing
// and shows nobody: programs that follow every link of a mail do no harm.
func (r *Room) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Base+"/page.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(pageStyle) // the reader is gone: nobody is left to tell
	})
	mux.HandleFunc("GET "+Base+"/{id}/{token}", func(w http.ResponseWriter, req *http.Request) { r.serve(w, req, false, false) })
	mux.HandleFunc("POST "+Base+"/{id}/{token}/show", func(w http.ResponseWriter, req *http.Request) { r.serve(w, req, true, false) })
	mux.HandleFunc("POST "+Base+"/{id}/{token}/acknowledge", func(w http.ResponseWriter, req *http.Request) { r.serve(w, req, false, true) })
	return mux
}

func (r *Room) serve(w http.ResponseWriter, req *http.Request, show, acknowledge bool) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Robots-Tag", "noindex")
	o, err := r.find(req.PathValue("id"), req.PathValue("token"), req)
	if err == nil && acknowledge {
		if err = r.Acknowledge(req.Context(), o.ID, Recipient); err == nil {
			o, err = r.Store.GetOnward(req.Context(), o.ID)
		}
	}
	var who []request.Identifier
	var wrong []request.Correction
	if err == nil && show {
		who, wrong, err = r.shown(req.Context(), &o)
	}
	var right request.Right
	if err == nil {
		var of store.Request
		if of, _, err = r.Store.Get(req.Context(), o.RequestID); err == nil {
			right = of.Right()
		}
	}
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, request.ErrOnwardExcused):
		r.refuse(w, req, http.StatusNotFound, "There is nothing here. Please open the link as it was sent to you.")
	case err != nil:
		r.Logger.ErrorContext(req.Context(), "showing a recipient its notice", slog.Any("error", err))
		r.refuse(w, req, http.StatusServiceUnavailable, "This can't be shown right now. Please try again in a few minutes.")
	default:
		r.show(w, req, &o, right, show, who, wrong)
	}
}

// find returns the notice of a link.
func (r *Room) find(id, token string, req *http.Request) (store.Onward, error) {
	parsed, err := request.ParseID(id)
	if err != nil || !hmac.Equal([]byte(r.token(parsed)), []byte(token)) {
		return store.Onward{}, store.ErrNotFound
	}
	o, err := r.Store.GetOnward(req.Context(), parsed)
	if err == nil && o.State == request.OnwardExcused {
		return o, request.ErrOnwardExcused
	}
	return o, err
}

func (r *Room) show(w http.ResponseWriter, req *http.Request, o *store.Onward, right request.Right, show bool, who []request.Identifier, wrong []request.Correction) {
	ids := make([]shownIdentifier, len(who))
	for i, id := range who {
		ids[i] = shownIdentifier{string(id.Kind), id.Reveal()}
	}
	rights := make([]shownCorrection, len(wrong))
	for i, c := range wrong {
		rights[i] = shownCorrection{c.Field, c.Value.Reveal()}
	}
	var acknowledged string
	if o.State == request.OnwardAcknowledged {
		acknowledged = day(o.AcknowledgedAt)
	}
	letters := strings.Join(strings.Split(o.Letters, ""), ", ")
	if asksJSON(req) {
		r.json(w, http.StatusOK, answer{
			Reference: string(o.ID), Asked: asked(o, right), Categories: o.Letters, AnswerBy: day(o.Deadline), Acknowledged: acknowledged, Identifiers: ids, Corrections: rights,
		})
		return
	}
	to, known := r.Book.Recipient(o.Recipient)
	if !known {
		to.Name = o.Recipient
	}
	title := "Please delete personal information"
	switch {
	case o.Basis == request.BasisSource:
		title = "Personal information from you was wrong"
	case right == request.Correct:
		title = "Please correct personal information"
	case right != request.Delete:
		title = "Please honour an opt-out"
	}
	r.page(w, http.StatusOK, page{
		Title: title, Path: Base + "/" + string(o.ID) + "/" + r.token(o.ID), Recipient: to.Name, Reference: string(o.ID), Asked: r.request(to, o, right),
		Categories: letters, AnswerBy: day(o.Deadline), Acknowledged: acknowledged, Shown: show && acknowledged == "", Identifiers: ids, Corrections: rights, Source: o.Basis == request.BasisSource,
	})
}

func (r *Room) refuse(w http.ResponseWriter, req *http.Request, status int, why string) {
	if asksJSON(req) {
		problem.Write(w, status, why)
		return
	}
	r.page(w, status, page{Title: http.StatusText(status), Problem: why})
}

func (r *Room) page(w http.ResponseWriter, status int, p page) {
	p.Company, p.Contact, p.Base = r.Company, r.Contact, Base
	var out bytes.Buffer
	if err := pageTemplate.Execute(&out, p); err != nil {
		r.Logger.Error("making a page", slog.Any("error", err))
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the reader may be gone
}

func (r *Room) json(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

func asksJSON(req *http.Request) bool {
	return strings.Contains(req.Header.Get("Accept"), "application/json")
}
