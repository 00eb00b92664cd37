package intake

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

const neighbour = "Rosa Delgado"

// copied is a request whose copy waits for a look, and how that one is called.
func (r *rig) copied(answer string) (id request.ID, digest string) {
	r.t.Helper()
	id = r.post("/v1/requests", body("know_specific", answer+verifiedHigh)).view(http.StatusCreated).ID
	r.remade(id, 1)
	return id, hex.EncodeToString(slices.Repeat([]byte{1}, 32))
}

// remade plays the delivery room: the copy is made and waits for a look.
func (r *rig) remade(id request.ID, n byte) {
	r.t.Helper()
	_, err := r.store.Store.Advance(r.t.Context(), store.Selector{IDs: []request.ID{id}}, true, func(snaps []*store.Snapshot) error {
		s := snaps[0]
		s.Changed = true
		for _, to := range []request.State{request.Running, request.Packaging} {
			if s.Request.State() != request.Packaging {
				if err := s.Request.Move(to); err != nil {
					return err
				}
			}
		}
		if len(s.Jobs) == 0 {
			s.Jobs = append(s.Jobs, store.Job{ID: request.NewID(), RequestID: id, Connector: "crm", Action: request.ActionExport, State: request.JobDone, PlanDigest: make([]byte, 32), UpdatedAt: now})
		}
		s.Request.Package = store.Package{Key: "made", Identity: []byte{1}, SHA256: slices.Repeat([]byte{n}, 32), Size: 9}
		s.Request.Attention = store.AttentionReview
		if s.Request.Case.Review == nil {
			s.Request.Case.Review = &request.Review{}
		}
		v := s.Request.Case.Review
		v.Texts, v.Until = []request.TextField{{FieldPlace: request.FieldPlace{Connector: "crm", Store: "notes", Field: "body"}, Count: 3}}, now.AddDate(0, 0, 30)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// A copy that somebody looked at is handed over when they say so, once, and with a record
// that has numbers and nobody's name.
func TestCopyIsApproved_KN10(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id, digest := r.copied("")
		path := "/v1/requests/" + string(id)
		v := r.call(http.MethodGet, path, "").view(http.StatusOK)
		if v.Package != nil || v.Review == nil || !v.Review.Waits || v.Review.SHA256 != digest || len(v.Review.Texts) != 1 || v.Attention != store.AttentionReview {
			t.Fatalf("before the look: %+v, %+v", v.Package, v.Review)
		}
		r.post(path+"/copy", `{"decision":"approve","sha256":"`+strings.Repeat("02", 32)+`"}`).problem(http.StatusConflict)
		r.post(path+"/copy", `{"decision":"approve","sha256":"`+digest+`","mask":["`+neighbour+`"]}`).problem(http.StatusUnprocessableEntity)
		r.post(path+"/copy", `{"decision":"fine","sha256":"`+digest+`"}`).problem(http.StatusUnprocessableEntity)
		for range 2 {
			v = r.post(path+"/copy", `{"decision":"approve","sha256":"`+digest+`"}`, HeaderActor, "ana").view(http.StatusOK)
			if v.State != request.Closing || v.Attention != "" || v.Package == nil || v.Review == nil || v.Review.Waits || v.Review.By != "ana" || v.Review.Approved == nil {
				t.Errorf("after it: %s, %+v, %+v", v.State, v.Package, v.Review)
			}
		}
		if got := r.decisionsOf(id); !slices.Equal(got, []string{"copy_approved"}) {
			t.Errorf("on record: %v", got)
		}
		r.post(path+"/copy", `{"decision":"again","sha256":"`+digest+`"}`).problem(http.StatusConflict)
	})
}

// An answer on paper is looked at first, and then goes to the post.
func TestCopyOnPaperIsApproved_KN10(t *testing.T) {
	r := newRig(t)
	id, digest := r.copied(`,"answer":"mail"`)
	if req, _ := r.get(id); req.WaitsForMail() || !req.WaitsForReview() {
		t.Error("it goes to the post before anybody has looked at it")
	}
	v := r.post("/v1/requests/"+string(id)+"/copy", `{"decision":"approve","sha256":"`+digest+`"}`).view(http.StatusOK)
	if req, _ := r.get(id); v.State != request.Packaging || v.Attention != store.AttentionMail || !req.WaitsForMail() {
		t.Errorf("approved it is %s with attention %q", v.State, v.Attention)
	}
}

// What somebody finds is sealed with the request, adds up, and throws away the copy
// that they found it in.
func TestCopyIsMadeAgain_KN10(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		id, digest := r.copied("")
		path := "/v1/requests/" + string(id) + "/copy"
		for _, bad := range []string{
			`"leave_out":[{"connector":"crm","store":"notes","field":"` + neighbour + `"}]`, `"mask":["x"]`, `"mask":["12"]`, `"mask":["a\u0007b"]`, `"mask":["` + strings.Repeat("y", 101) + `"]`,
		} {
			a := r.post(path, `{"decision":"again","sha256":"`+digest+`",`+bad+`}`)
			a.problem(http.StatusUnprocessableEntity)
			if strings.Contains(string(a.body), neighbour) {
				t.Errorf("the error repeats what was typed: %s", a.body)
			}
		}
		v := r.post(path, `{"decision":"again","sha256":"`+digest+`","mask":[" Rosa   Delgado ",""],"leave_out":[{"connector":"crm","store":"notes","field":"body"}]}`).view(http.StatusOK)
		if v.State != request.Packaging || v.Attention != "" || v.Review.Waits || v.Review.Round != 1 || v.Review.Masked != 1 || len(v.Review.LeftOut) != 1 {
			t.Errorf("to be made again it is %s, %+v", v.State, v.Review)
		}
		if req, _ := r.get(id); req.Package.Key != "" {
			t.Error("the copy is still there")
		}
		// Whoever still sees the old one decides nothing any more.
		r.post(path, `{"decision":"approve","sha256":"`+digest+`"}`).problem(http.StatusConflict)
		r.remade(id, 2)
		next := strings.Repeat("02", 32)
		r.post(path, `{"decision":"approve","sha256":"`+digest+`"}`).problem(http.StatusConflict)
		r.post(path, `{"decision":"again","sha256":"`+next+`","mask":["Carl","Rosa Delgado"]}`).view(http.StatusOK)
		req, _ := r.get(id)
		key, err := r.room.Vault.Unwrap(t.Context(), req.WrappedKey)
		if err != nil {
			t.Fatal(err)
		}
		defer key.Destroy()
		var words []string
		plain, err := key.Open(req.Case.Review.Masked, store.ReviewAAD(id))
		if err != nil || json.Unmarshal(plain, &words) != nil || !slices.Equal(words, []string{neighbour, "Carl"}) {
			t.Errorf("masked are %v (%v)", words, err)
		}
		text, err := json.Marshal(req.Case)
		if err != nil || strings.Contains(string(text), "Rosa") || strings.Contains(string(text), "Carl") || strings.Contains(r.logs.String(), "Rosa") {
			t.Errorf("the words stand in clear (%v): %s", err, text)
		}
		if got := r.decisionsOf(id); !slices.Equal(got, []string{"copy_made_again ccpa-1798.145(k)", "copy_made_again ccpa-1798.145(k)"}) {
			t.Errorf("on record: %v", got)
		}
		many := make([]string, request.MostMasked)
		for i := range many {
			many[i] = "word" + strings.Repeat("x", i%50+1) + string(rune('a'+i/50))
		}
		r.remade(id, 3)
		list, err := json.Marshal(many)
		if err != nil {
			t.Fatal(err)
		}
		r.post(path, `{"decision":"again","sha256":"`+strings.Repeat("03", 32)+`","mask":`+string(list)+`}`).problem(http.StatusUnprocessableEntity)
	})
}

// A copy that waited too long is not handed over; it is made again.
func TestCopyWaitedTooLong_KN10(t *testing.T) {
	r := newRig(t)
	id, digest := r.copied("")
	path := "/v1/requests/" + string(id) + "/copy"
	r.at(now.AddDate(0, 0, 30).Add(time.Second))
	if p := r.post(path, `{"decision":"approve","sha256":"`+digest+`"}`).problem(http.StatusConflict); !strings.Contains(p.Detail, "have it made again") {
		t.Errorf("it says %q", p.Detail)
	}
	if v := r.post(path, `{"decision":"again","sha256":"`+digest+`"}`).view(http.StatusOK); v.Review.Round != 1 {
		t.Errorf("%+v", v.Review)
	}
}

// Each step of a decision goes wrong in both ways, and doing it again is harmless.
func TestCopyDecisionSurvivesALostAnswer_KN10(t *testing.T) {
	for _, lost := range []bool{false, true} {
		r := newRig(t)
		id, digest := r.copied("")
		call := func() answer {
			return r.post("/v1/requests/"+string(id)+"/copy", `{"decision":"approve","sha256":"`+digest+`"}`)
		}
		r.store.down, r.store.lost = !lost, lost
		call().problem(http.StatusServiceUnavailable)
		r.store.down, r.store.lost = false, false
		if v := call().view(http.StatusOK); v.State != request.Closing {
			t.Errorf("it is %s", v.State)
		}
		if got := r.decisionsOf(id); !slices.Equal(got, []string{"copy_approved"}) {
			t.Errorf("on record: %v", got)
		}
	}
}
