package access

import (
	"net/http"
	"net/url"
	"path"
	"strings"
)

// backCookie keeps where somebody wanted to go who had to sign in first. No page
// of the console has personal data in its address.
const (
	backCookie = "habeas_back"
	backLife   = 15 * 60 // seconds
	backMost   = 1000
	undone     = "!" // before the address: a decision was refused there
)

// Remember keeps where to go after signing in: the page that was asked for, or,
// for a decision that came without a session, the page it was made on.
func (g *Gate) Remember(w http.ResponseWriter, req *http.Request) {
	at, mark := req.URL.RequestURI(), ""
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		mark, at = undone, decidedOn(req.URL.Path)
	}
	if ours(at) && len(at) < backMost {
		http.SetCookie(w, g.cookie(req, backCookie, url.QueryEscape(mark+at), backLife, http.SameSiteLaxMode))
	}
}

// decidedOn is the page that a decision is made on: the one above it, where that
// is one of the pages of single things.
func decidedOn(action string) string {
	above := path.Dir(path.Clean("/" + action))
	for _, of := range []string{"/requests/", "/connectors/", "/letters", "/tasks/", "/disclosures/"} {
		if strings.HasPrefix(above, of) {
			return above
		}
	}
	return "/"
}

// Undone reports whether a decision was refused because its session had ended.
func (g *Gate) Undone(req *http.Request) bool {
	_, refused := remembered(req)
	return refused
}

// Back is where to go after signing in, once: the start when nobody asked for
// another page of this console.
func (g *Gate) Back(w http.ResponseWriter, req *http.Request) string {
	at, _ := remembered(req)
	if at == "" {
		return "/"
	}
	http.SetCookie(w, g.cookie(req, backCookie, "", -1, http.SameSiteLaxMode))
	return at
}

func remembered(req *http.Request) (at string, refused bool) {
	c, err := req.Cookie(backCookie)
	if err != nil {
		return "", false
	}
	text, err := url.QueryUnescape(c.Value)
	if err != nil {
		return "", false
	}
	at, refused = strings.CutPrefix(text, undone)
	if !ours(at) {
		return "", false
	}
	return at, refused
}

// ours reports whether an address leads to a page of this console and nowhere
// else: browsers take two slashes, or a backslash for one, for another site.
func ours(at string) bool {
	u, err := url.Parse(at)
	return err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(at, "/") && !strings.HasPrefix(at, "//") &&
		!strings.ContainsAny(at, "\\\r\n\t") && u.Path != "/login" && !strings.HasPrefix(u.Path, "/login/") && u.Path != "/logout"
}
