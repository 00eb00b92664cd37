package console

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/tokens"
)

func (r *Room) tokenRoutes() []route {
	return []route{
		{"GET /tokens", false, r.tokens},
		{"POST /tokens", false, r.makeToken},
		{"POST /tokens/{id}/revoke", false, r.revokeToken},
	}
}

type tokensPage struct {
	page
	Rows   []tokenRow
	Scopes []scopeChoice
	// Silent counts the programs that should ask about people and do not.
	Silent string
	// None says that this console keeps no tokens.
	None bool
	// Problem is why none was made; Name and Days what was typed.
	Problem, Name string
	Days          int
	// Made is a new token, and Secret its secret, shown this once.
	Made, Secret string
}

type tokenRow struct {
	ID, Name, Scopes, CreatedBy string
	State                       word
	Created, Ends, Used         moment
	Good, NotAsking             bool
}

type scopeChoice struct {
	Value, For string
	Chosen     bool
}

var tokenWords = map[string]word{
	"good":    {Label: "Good", Tone: good},
	"ended":   {Label: "Ended", Tone: idle},
	"revoked": {Label: "Revoked", Tone: bad},
}

func (r *Room) tokens(w http.ResponseWriter, req *http.Request) {
	r.showTokens(w, req, http.StatusOK, &tokensPage{Days: 90})
}

// showTokens shows all tokens, with what p says of one that was made or not.
func (r *Room) showTokens(w http.ResponseWriter, req *http.Request, status int, p *tokensPage) {
	p.page = page{Title: "API tokens"}
	if p.None = r.config.Tokens == nil; p.None {
		r.render(w, req, status, "tokens.html", p)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), readTimeout)
	defer cancel()
	all, err := r.config.Tokens.List(ctx)
	if err != nil {
		r.fail(w, req, err)
		return
	}
	now := r.config.Now()
	p.Silent = silentPrograms(all, now)
	for _, t := range all {
		state := tokens.State(t, now)
		p.Rows = append(p.Rows, tokenRow{
			ID: t.ID, Name: t.Name, Scopes: strings.Join(t.Scopes, ", "), CreatedBy: t.CreatedBy, State: inWords(tokenWords, state),
			Created: momentOf(t.CreatedAt), Ends: momentOf(t.ExpiresAt), Used: momentOf(t.UsedAt), Good: state == "good",
			NotAsking: tokens.NotAsking(t, now),
		})
	}
	for _, s := range tokens.Scopes {
		p.Scopes = append(p.Scopes, scopeChoice{string(s.Scope), s.For, slices.Contains(req.PostForm["scope"], string(s.Scope))})
	}
	r.render(w, req, status, "tokens.html", p)
}

// silentPrograms counts, in words, the programs that should ask about people and
// do not; "" is none.
func silentPrograms(all []store.Token, now time.Time) string {
	n := 0
	for i := range all {
		if tokens.NotAsking(all[i], now) {
			n++
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "One program"
	default:
		return number(int64(n)) + " programs"
	}
}

func (r *Room) makeToken(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, 16<<10)
	if r.config.Tokens == nil || req.ParseForm() != nil {
		r.fail(w, req, errBadLink)
		return
	}
	days, err := strconv.Atoi(req.PostForm.Get("days"))
	p := &tokensPage{Name: req.PostForm.Get("name"), Days: cmp.Or(days, 90)}
	if err != nil || days < 1 || days > 366 {
		p.Problem = "Say for how many days it is good, from 1 to 366. Nothing was made."
		r.showTokens(w, req, http.StatusUnprocessableEntity, p)
		return
	}
	wanted := tokens.Wanted{Name: p.Name, Ends: r.config.Now().AddDate(0, 0, days)}
	for _, s := range req.PostForm["scope"] {
		wanted.Scopes = append(wanted.Scopes, tokens.Scope(s))
	}
	t, secret, err := r.config.Tokens.Create(req.Context(), access.Of(req.Context()).Who, wanted)
	var fields request.FieldErrors
	switch {
	case errors.As(err, &fields):
		_, p.Problem = refusal(err)
		r.showTokens(w, req, http.StatusUnprocessableEntity, p)
	case err != nil:
		r.fail(w, req, err)
	default:
		clear(req.PostForm)
		// Not a page to go back to: the secret is in this answer and nowhere else.
		r.showTokens(w, req, http.StatusOK, &tokensPage{Days: 90, Made: t.Name, Secret: secret})
	}
}

func (r *Room) revokeToken(w http.ResponseWriter, req *http.Request) {
	if r.config.Tokens == nil {
		r.fail(w, req, errBadLink)
		return
	}
	err := r.config.Tokens.Revoke(req.Context(), access.Of(req.Context()).Who, req.PathValue("id"))
	switch {
	case errors.Is(err, store.ErrNotFound):
		r.fail(w, req, errNoPage)
	case err != nil:
		r.fail(w, req, err)
	default:
		http.Redirect(w, req, "/tokens", http.StatusSeeOther)
	}
}
