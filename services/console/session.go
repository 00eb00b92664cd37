package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/habeas-data/habeas/services/console/access"
)

// signedIn returns the request's context with who is signed in and the end of
// the session.
func (r *Room) signedIn(req *http.Request) (context.Context, bool) {
	return r.gate.SignedIn(req, false)
}

// refuse sends those without a session to sign in, and tells others why not.
func (r *Room) refuse(w http.ResponseWriter, req *http.Request, err error) {
	if errors.Is(err, access.ErrNoSession) {
		r.gate.Remember(w, req)
		http.Redirect(w, req, "/login", http.StatusSeeOther)
		return
	}
	r.fail(w, req, err)
}

// refusePart is refuse for what scripts fetch: they are told, and not sent
// elsewhere.
func (r *Room) refusePart(w http.ResponseWriter, req *http.Request, err error) {
	switch {
	case errors.Is(err, access.ErrNoSession):
		http.Error(w, "sign in first", http.StatusUnauthorized)
	case errors.Is(err, access.ErrRole):
		http.Error(w, "your roles do not allow this", http.StatusForbidden)
	default:
		r.fail(w, req, err)
	}
}

// login gives a session for the token from the form, or for the code of the
// link that is printed at the start, which works once. The browser is sent on
// at once, so that the code does not stay in the address.
func (r *Room) login(w http.ResponseWriter, req *http.Request) {
	given, link := req.PostFormValue("token"), false
	if req.Method == http.MethodGet {
		given, link = req.URL.Query().Get("token"), true
	}
	if given == "" {
		r.showLogin(w, req, nil)
		return
	}
	if err := r.gate.Enter(w, req, given, link); err != nil {
		r.showLogin(w, req, err)
		return
	}
	http.Redirect(w, req, r.gate.Back(w, req), http.StatusSeeOther) //nolint:gosec // Back gives addresses of this console only
}

// loginStart sends the browser to the company's login.
func (r *Room) loginStart(w http.ResponseWriter, req *http.Request) {
	if err := r.gate.Start(w, req); err != nil {
		r.showLogin(w, req, err)
	}
}

// loginCallback takes the browser back from the company's login.
func (r *Room) loginCallback(w http.ResponseWriter, req *http.Request) {
	if err := r.gate.Finish(w, req); err != nil {
		r.showLogin(w, req, err)
		return
	}
	http.Redirect(w, req, r.gate.Back(w, req), http.StatusSeeOther) //nolint:gosec // Back gives addresses of this console only
}

// showLogin shows the page to sign in, after a login that failed with why.
func (r *Room) showLogin(w http.ResponseWriter, req *http.Request, err error) {
	status, p := http.StatusOK, &loginPage{page: page{Title: "Sign in", Alone: true}, Company: r.gate.Company()}
	switch {
	case err == nil && r.gate.Undone(req):
		p.Problem = "Your session had ended, so nothing was changed. Sign in, and decide again on the page you come back to."
	case err == nil:
	case errors.Is(err, access.ErrWrong):
		status, p.Problem = http.StatusForbidden, "That token is not this console's, or its link was used already. Nothing was opened."
	case errors.Is(err, access.ErrTooMany):
		status, p.Problem = http.StatusTooManyRequests, "Too many wrong logins came from your network. Wait a quarter of an hour and try again."
	case errors.Is(err, access.ErrRole):
		status, p.Problem = http.StatusForbidden, "You are known, but none of your groups has a role here. Ask whoever runs Habeas to give one a role."
	default:
		status, p.Problem = http.StatusBadGateway, "The company's login did not work. Nothing was opened. Try again; if it stays like this, whoever runs Habeas finds the reason in the console's log."
		r.config.Logger.WarnContext(req.Context(), "signing in", slog.Any("error", err))
	}
	r.render(w, req, status, "login.html", p)
}

func (r *Room) logout(w http.ResponseWriter, req *http.Request) {
	r.gate.Leave(w, req)
	http.Redirect(w, req, "/login", http.StatusSeeOther)
}
