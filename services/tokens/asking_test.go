package tokens_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/tokens"
)

// OO-10, DE-9, DE-11: who has a token for asking about people alone and has not
// used it for a week does not ask; of any other token its use says nothing.
func TestNotAsking_OO10_DE9_DE11(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	days := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	good := now.AddDate(0, 0, 30)
	for name, c := range map[string]struct {
		token store.Token
		want  bool
	}{
		"never asked":           {store.Token{Scopes: []string{"suppression"}, CreatedAt: days(8), ExpiresAt: good}, true},
		"stopped asking":        {store.Token{Scopes: []string{"suppression"}, CreatedAt: days(90), UsedAt: days(8), ExpiresAt: good}, true},
		"asks":                  {store.Token{Scopes: []string{"suppression"}, CreatedAt: days(90), UsedAt: days(6), ExpiresAt: good}, false},
		"new":                   {store.Token{Scopes: []string{"suppression"}, CreatedAt: days(6), ExpiresAt: good}, false},
		"ended":                 {store.Token{Scopes: []string{"suppression"}, CreatedAt: days(90), ExpiresAt: days(1)}, false},
		"revoked":               {store.Token{Scopes: []string{"suppression"}, CreatedAt: days(90), ExpiresAt: good, RevokedAt: days(1)}, false},
		"for other things too":  {store.Token{Scopes: []string{"submit", "suppression"}, CreatedAt: days(90), ExpiresAt: good}, false},
		"for something else":    {store.Token{Scopes: []string{"read"}, CreatedAt: days(90), ExpiresAt: good}, false},
		"used before its birth": {store.Token{Scopes: []string{"suppression"}, CreatedAt: days(1), UsedAt: days(90), ExpiresAt: good}, false},
	} {
		if got := tokens.NotAsking(c.token, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// The API tells of it too.
func TestNotAskingInTheList_OO10_DE9_DE11(t *testing.T) {
	a := newAPI(t)
	a.make("suppression")
	for _, c := range []struct {
		days int
		want bool
	}{{0, false}, {8, true}} {
		a.now = a.now.AddDate(0, 0, c.days)
		var all struct{ Tokens []tokens.View }
		if err := json.Unmarshal(a.call(deployment, http.MethodGet, "/v1/tokens", "").Body.Bytes(), &all); err != nil || len(all.Tokens) != 1 {
			t.Fatalf("%d tokens: %v", len(all.Tokens), err)
		}
		if got := all.Tokens[0].NotAsking; got != c.want {
			t.Errorf("after %d days: %v", c.days, got)
		}
	}
}
