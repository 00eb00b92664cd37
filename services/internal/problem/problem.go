// Package problem answers HTTP requests that can't be met, in the form of
// RFC 9457. It owes whoever reads the answer a sentence they can act on, which is
// its callers' to write, and nobody personal data, which details never hold.
package problem

import (
	"encoding/json"
	"net/http"
)

// Document is the body of an answer.
type Document struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Write answers with a status and what to do about it.
func Write(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The caller may be gone: nobody is left to tell.
	_ = json.NewEncoder(w).Encode(Document{Title: http.StatusText(status), Status: status, Detail: detail})
}
