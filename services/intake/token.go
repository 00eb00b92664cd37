package intake

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// RequireToken lets only those through to next who send the bearer token. An
// empty token lets nobody through.
func RequireToken(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		given, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		have := sha256.Sum256([]byte(given))
		if token == "" || !ok || subtle.ConstantTimeCompare(want[:], have[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="habeas"`)
			writeProblem(w, http.StatusUnauthorized, "send the API token as: Authorization: Bearer <token>")
			return
		}
		next.ServeHTTP(w, req)
	})
}
