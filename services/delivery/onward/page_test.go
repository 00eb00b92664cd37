package onward_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/delivery/onward"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func (r *rig) path(o store.Onward) string {
	return strings.TrimPrefix(r.room.Link(o.ID), "https://privacy.example.com")
}

func (r *rig) ask(t *testing.T, method, path, accept string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.site.URL+path, nil)
	ok(t, err)
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := r.site.Client().Do(req)
	ok(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ok(t, err)
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(path, onward.Base+"/page") && (!strings.Contains(csp, "default-src 'none'") ||
		resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer") {
		t.Errorf("%s: headers %v", path, resp.Header)
	}
	return resp.StatusCode, string(body)
}

// A recipient sees whom a notice is about after asking, by what it knows people
// by and nothing else, until it acknowledges. Following the link shows nobody.
func TestPage_DE3(t *testing.T) {
	r := newRig(t)
	o := r.add(request.Delete, request.Running, "mailer")
	path := r.path(o)
	for range 2 {
		if status, text := r.ask(t, http.MethodGet, path, ""); status != http.StatusOK || !strings.Contains(text, "Show the identifiers") || strings.Contains(text, planted) {
			t.Errorf("opening the page: %d %s", status, text)
		}
	}
	r.saidAll()
	for range 2 {
		status, text := r.ask(t, http.MethodPost, path+"/show", "")
		if status != http.StatusOK || !strings.Contains(text, planted) || strings.Contains(text, cookie) {
			t.Errorf("showing: %d %s", status, text)
		}
	}
	r.saidAll("recipient_shown mailer")
	var got struct {
		Reference, Asked, Acknowledged string
		Identifiers                    []struct{ Kind, Value string }
	}
	_, text := r.ask(t, http.MethodPost, path+"/show", "application/json")
	ok(t, json.Unmarshal([]byte(text), &got))
	if got.Reference != string(o.ID) || got.Asked != "delete" || len(got.Identifiers) != 1 || got.Identifiers[0].Value != planted {
		t.Errorf("as JSON: %+v", got)
	}
	for range 2 {
		if status, text := r.ask(t, http.MethodPost, path+"/acknowledge", ""); status != http.StatusOK || !strings.Contains(text, "You confirmed on 2026-03-02") {
			t.Errorf("acknowledging: %d %s", status, text)
		}
	}
	for _, one := range []string{"", "/show"} {
		method := http.MethodPost
		if one == "" {
			method = http.MethodGet
		}
		if _, text := r.ask(t, method, path+one, ""); strings.Contains(text, planted) {
			t.Errorf("%s still shows the person", one)
		}
	}
	r.saidAll("recipient_shown mailer", "recipient_acknowledged mailer")
	if r.hinted.Load() == 0 {
		t.Error("the coordinator was not told")
	}
	req, _, err := r.store.Get(t.Context(), o.RequestID)
	ok(t, err)
	if wake := req.Wake(); !wake.Equal(*r.now.Load()) {
		t.Errorf("the request wakes at %s", wake)
	}
	r.pass(30 * 24 * time.Hour)
	r.once()
	if n := len(r.mail.Letters()); n != 0 {
		t.Errorf("%d letters to somebody who has acknowledged", n)
	}
}

// A link that was guessed or altered, and one of somebody who is excused, show
// nothing.
func TestLinks_DE3(t *testing.T) {
	r := newRig(t)
	o, other := r.add(request.Delete, request.Running, "mailer"), r.add(request.Delete, request.Running, "mailer")
	excused := r.add(request.Delete, request.Running, "mute")
	r.advance(excused.RequestID, func(s *store.Snapshot) {
		s.Onward[0].State = request.OnwardExcused
		s.TouchOnward(0)
	})
	token := func(o store.Onward) string { return r.path(o)[strings.LastIndex(r.path(o), "/")+1:] }
	for _, path := range []string{
		onward.Base + "/" + string(o.ID) + "/" + token(other), onward.Base + "/" + string(o.ID) + "/x", onward.Base + "/x/" + token(o),
		onward.Base + "/" + string(request.NewID()) + "/" + token(o), r.path(excused),
	} {
		for _, accept := range []string{"", "application/json"} {
			for _, act := range []string{"/show", "/acknowledge"} {
				if status, text := r.ask(t, http.MethodPost, path+act, accept); status != http.StatusNotFound || strings.Contains(text, planted) {
					t.Errorf("%s: %d %s", path+act, status, text)
				}
			}
		}
	}
	if got := r.row(o); got.State != request.OnwardWaiting || !got.ShownAt.IsZero() {
		t.Errorf("%+v", got)
	}
	if err := r.room.Acknowledge(t.Context(), excused.ID, "dana"); !errors.Is(err, request.ErrOnwardExcused) {
		t.Errorf("acknowledging for somebody excused: %v", err)
	}
	if err := r.room.Acknowledge(t.Context(), request.NewID(), "dana"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("acknowledging nothing: %v", err)
	}
	if status, text := r.ask(t, http.MethodGet, onward.Base+"/page.css", ""); status != http.StatusOK || !strings.Contains(text, "html") {
		t.Errorf("the style: %d", status)
	}
}

// A correction shows a company that holds the data for us what is right, and the
// source of what was wrong the names of the fields and no value.
func TestCorrectionPage_CO1(t *testing.T) {
	const right = righted
	for name, c := range map[string]struct {
		basis, asked string
		says         []string
		value        bool
	}{
		"provider": {"flow", "correct", []string{"DPA-1", "What is right", "Please correct it in your systems"}, true},
		"source":   {request.BasisSource, "correct_at_source", []string{"which we have from you is inaccurate", "What was wrong", "you gave"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			o := r.addAs(request.Correct, request.Running, "mailer", c.basis)
			path := r.path(o)
			_, before := r.ask(t, http.MethodGet, path, "")
			_, shown := r.ask(t, http.MethodPost, path+"/show", "")
			for _, part := range c.says {
				if !strings.Contains(before+shown, part) {
					t.Errorf("it does not say %q:\n%s", part, shown)
				}
			}
			if strings.Contains(before, right) || strings.Contains(before, "street") {
				t.Errorf("before it was asked for it shows what is wrong:\n%s", before)
			}
			if !strings.Contains(shown, "street") || !strings.Contains(shown, planted) || strings.Contains(shown, right) != c.value {
				t.Errorf("shown:\n%s", shown)
			}
			var got struct {
				Asked       string
				Corrections []struct{ Field, Value string }
			}
			_, text := r.ask(t, http.MethodPost, path+"/show", "application/json")
			ok(t, json.Unmarshal([]byte(text), &got))
			if got.Asked != c.asked || len(got.Corrections) != 1 || got.Corrections[0].Field != "street" || (got.Corrections[0].Value == right) != c.value {
				t.Errorf("as JSON: %+v", got)
			}
			r.once()
			letters := r.mail.Letters()
			if len(letters) != 1 || strings.Contains(letters[0].Text+letters[0].Subject, right) || strings.Contains(letters[0].Text, planted) {
				t.Errorf("letters: %+v", letters)
			}
			if status, _ := r.ask(t, http.MethodPost, path+"/acknowledge", ""); status != http.StatusOK {
				t.Errorf("acknowledging: %d", status)
			}
			if _, after := r.ask(t, http.MethodPost, path+"/show", ""); strings.Contains(after, planted) || strings.Contains(after, right) {
				t.Errorf("after it confirmed it is still shown:\n%s", after)
			}
			if got := r.row(o); got.State != request.OnwardAcknowledged {
				t.Errorf("%+v", got)
			}
		})
	}
}
