package verify_test

import (
	"database/sql"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

func points(pairs ...string) map[string]string {
	out := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// VE-4 and VE-5: how many points, and what besides, make how sure.
func TestLevel_VE4_VE5(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	p := verify.DefaultPolicy()
	for _, c := range []struct {
		name string
		f    verify.Facts
		want request.Level
	}{
		{"VE-4 one match", verify.Facts{Matched: []string{"postal_code"}}, ""},
		{"VE-4 one match told twice", verify.Facts{Matched: []string{"postal_code", "postal_code"}}, ""},
		{"VE-4 two matches", verify.Facts{Matched: []string{"postal_code", "phone"}}, request.Reasonable},
		{"VE-4 a mailbox and one match", verify.Facts{Possession: true, Matched: []string{"phone"}}, request.Reasonable},
		{"VE-4 a mailbox alone", verify.Facts{Possession: true}, ""},
		{"VE-5 three matches without declaration", verify.Facts{Matched: []string{"postal_code", "phone", "full_name"}}, request.Reasonable},
		{"VE-5 three matches and declaration", verify.Facts{Matched: []string{"postal_code", "phone", "full_name"}, Declared: true}, request.ReasonablyHigh},
		{"VE-5 a declaration alone", verify.Facts{Declared: true}, ""},
		{"VE-5 a declaration and two matches", verify.Facts{Declared: true, Matched: []string{"postal_code", "phone"}}, request.Reasonable},
		{"VE-7 the disputed point proves nothing", verify.Facts{Matched: []string{"postal_code", "phone"}, Disputed: []string{"phone"}}, ""},
		{"VE-2 a fresh login", verify.Facts{LoggedIn: now.Add(-time.Minute)}, request.ReasonablyHigh},
		{"VE-2 a login of yesterday", verify.Facts{LoggedIn: now.Add(-24 * time.Hour)}, ""},
		{"VE-2 a login of tomorrow", verify.Facts{LoggedIn: now.Add(24 * time.Hour)}, ""},
		{"VE-3 a fresh login under suspicion", verify.Facts{LoggedIn: now, Suspicion: true}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, method := p.Level(c.f, now); got != c.want || (method == "") != (got == "") {
				t.Errorf("%q by %q, want %q", got, method, c.want)
			}
		})
	}
}

func TestPoints_VE4(t *testing.T) {
	r := newRig(t)
	one := r.open(request.KnowCategories, planted, verify.Claimed{Points: points("postal_code", "94110", "phone", "0000000000")})
	two := r.open(request.KnowCategories, planted, verify.Claimed{Points: points("postal_code", "94110", "phone", "4155550123")})
	r.work()
	r.want(one, request.AwaitingVerification)
	r.want(two, request.Accepted)
}

func TestSpecific_VE5(t *testing.T) {
	r := newRig(t)
	three := points("postal_code", "94110", "phone", "4155550123", "full_name", "Planted Person")
	without := r.open(request.KnowSpecific, planted, verify.Claimed{Points: three})
	with := r.open(request.KnowSpecific, planted, verify.Claimed{Points: three, Declaration: verify.Declare("es", "Planted Person", r.now)})
	r.work()
	r.want(without, request.AwaitingVerification)
	r.want(with, request.Accepted)
	// VE-8: what it reached is remembered, for what the request falls back to.
	if req, err := r.intake.Lookup(t.Context(), without); err != nil || req.Case.Reached != request.Reasonable {
		t.Errorf("reached %q, %v; want %s", req.Case.Reached, err, request.Reasonable)
	}
	req, err := r.intake.Lookup(t.Context(), with)
	if err != nil {
		t.Fatal(err)
	}
	if v, _ := req.Verification(); !slices.Equal(v.(request.Verified).Points, []string{"full_name", "phone", "postal_code"}) {
		t.Errorf("the evidence names the points %v", v)
	}

	docs, err := r.store.Documents(t.Context(), with)
	if err != nil || len(docs) != 1 || docs[0].Kind != "declaration" {
		t.Fatalf("kept documents: %v, %v", docs, err)
	}
	if kept := docs[0].KeepUntil.Sub(r.now); kept < 24*30*24*time.Hour {
		t.Errorf("the declaration is kept for %v, want 24 months", kept)
	}
	text, err := r.room.Document(t.Context(), docs[0])
	if err != nil || !strings.Contains(string(text), "leyes del Estado de California") {
		t.Errorf("the declaration says %q, %v", text, err)
	}
	id := r.take(request.KnowSpecific, planted)
	bad := &verify.Declaration{Text: "I declare under penalty of perjury that this is true.", Signed: "Planted Person", SignedAt: r.now}
	var fields request.FieldErrors
	if err := r.room.Open(t.Context(), id, verify.Claimed{Anchor: request.NewIdentifier(request.Email, planted), Declaration: bad}); !errors.As(err, &fields) {
		t.Errorf("a declaration without the sentence on California's laws: %v, want it refused", err)
	}
}

func TestCode(t *testing.T) {
	r := newRig(t)
	id := r.open(request.KnowCategories, planted, verify.Claimed{Language: "es", Points: points("postal_code", "94110")})
	r.work()
	r.want(id, request.AwaitingVerification)
	code := r.code(1)
	if l := r.mail.Letters()[0]; l.To != planted || l.Language != "es" {
		t.Errorf("the code went to %s in %s", l.To, l.Language)
	}
	if err := r.answer(id, "000000x"); !errors.Is(err, verify.ErrCode) {
		t.Errorf("a wrong code: %v", err)
	}
	if err := r.answer(id, code[:3]+" "+code[3:]); err != nil {
		t.Fatalf("the right code: %v", err)
	}
	r.work()
	r.want(id, request.Accepted)
	r.work()
	if n := len(r.mail.Letters()); n != 1 {
		t.Errorf("%d letters were sent, want 1", n)
	}
}

// VE-3: after guesses a login alone is no longer enough.
func TestCodeIsGuessedInVain_VE3(t *testing.T) {
	r := newRig(t)
	id := r.open(request.KnowCategories, planted, verify.Claimed{Points: points("postal_code", "94110")})
	r.work()
	code := r.code(1)
	wrong := "111111"
	if code == wrong {
		wrong = "222222"
	}
	for range verify.DefaultPolicy().Tries {
		if err := r.answer(id, wrong); !errors.Is(err, verify.ErrCode) {
			t.Fatal(err)
		}
	}
	if err := r.answer(id, code); !errors.Is(err, verify.ErrCode) {
		t.Errorf("after too many tries the right code gives %v", err)
	}
	if err := r.room.LoggedIn(t.Context(), id, r.now); err != nil { // VE-3
		t.Fatal(err)
	}
	r.work()
	r.want(id, request.AwaitingVerification)
	late := r.open(request.KnowCategories, planted, verify.Claimed{})
	r.work()
	code = r.code(2)
	r.now = r.now.Add(25 * time.Hour)
	if err := r.answer(late, code); !errors.Is(err, verify.ErrCode) {
		t.Errorf("a code of yesterday gives %v", err)
	}
}

// A code is stored before it is sent: when the answer of the server is lost,
// the same code is sent again as the same message.
func TestCodeIsSentAgain(t *testing.T) {
	for _, c := range []struct {
		name   string
		fail   func(*rig)
		letter int
	}{
		{"it did not happen", func(r *rig) { r.mail.Refuse("451 4.3.0 later") }, 0},
		{"it happened and the answer was lost", func(r *rig) { r.mail.LoseAnswers(true) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.fail(r)
			r.open(request.Delete, planted, verify.Claimed{})
			r.work()
			if n := len(r.mail.Letters()); n != c.letter {
				t.Fatalf("%d letters, want %d", n, c.letter)
			}
			r.mail.Refuse("")
			r.mail.LoseAnswers(false)
			r.work()
			r.work()
			letters := r.mail.Letters()
			if len(letters) != c.letter+1 || letters[0].MessageID != letters[c.letter].MessageID || letters[0].Text != letters[c.letter].Text {
				t.Errorf("the letters are not the same message: %+v", letters)
			}
		})
	}
}

// VE-17: nothing that is sent, said or counted differs for somebody unknown,
// and no code goes to a channel that was not held before.
func TestNoOracle_VE17(t *testing.T) {
	r := newRig(t)
	known := r.open(request.Delete, planted, verify.Claimed{Points: points("postal_code", "94110")})
	unknown := r.open(request.Delete, stranger, verify.Claimed{Points: points("postal_code", "94110")})
	if r.systems.asked != 0 {
		t.Error("systems are asked while the requester waits")
	}
	r.work()
	if r.systems.asked != 2 {
		t.Errorf("%d questions, want 2", r.systems.asked)
	}
	for _, l := range r.mail.Letters() {
		if l.To != planted {
			t.Errorf("a code went to %s, which no system holds", l.To)
		}
	}
	r.want(known, r.state(unknown))
	if a, b := r.answer(known, "123"), r.answer(unknown, "123"); !errors.Is(a, verify.ErrCode) || a.Error() != b.Error() {
		t.Errorf("a wrong code says %v and %v", a, b)
	}
	if a, b := r.room.Resend(t.Context(), known), r.room.Resend(t.Context(), unknown); a != nil || b != nil {
		t.Errorf("asking for a new code says %v and %v", a, b)
	}
	if err := r.answer(request.NewID(), "123"); !errors.Is(err, verify.ErrCode) {
		t.Errorf("a request that is not there says %v", err)
	}
}

func TestLimits_VE17(t *testing.T) {
	r := newRig(t)
	limit := verify.Limit{What: "submit", Most: 3, Window: time.Hour}
	for i := range 5 {
		err := r.room.Allow(t.Context(), limit, planted)
		if (err != nil) != (i >= 3) || err != nil && !errors.Is(err, verify.ErrTooMany) {
			t.Errorf("try %d: %v", i+1, err)
		}
	}
	if err := r.room.Allow(t.Context(), limit, stranger); err != nil {
		t.Errorf("somebody else is refused, too: %v", err)
	}
	if !strings.Contains(r.logs.String(), "limit refuses") || strings.Contains(r.logs.String(), planted) {
		t.Errorf("nobody is warned, or the warning names the person: %s", r.logs)
	}
	r.now = r.now.Add(time.Hour)
	if err := r.room.Allow(t.Context(), limit, planted); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

func TestSystemThatWasAway(t *testing.T) {
	r := newRig(t)
	r.systems.silent = []string{"crm"}
	id := r.open(request.KnowCategories, planted, verify.Claimed{Points: points("postal_code", "94110", "phone", "4155550123")})
	r.work()
	r.want(id, request.AwaitingVerification)
	r.systems.silent = nil
	r.work()
	r.want(id, request.Accepted)
}

// VE-11: after the decision nothing of the verification data is left, and a
// record says so.
func TestPurge_VE11(t *testing.T) {
	for _, c := range []struct {
		name   string
		decide func(*rig, request.ID)
	}{
		{"verified", func(r *rig, id request.ID) {
			if err := r.room.Add(r.t.Context(), id, points("phone", "4155550123"), nil); err != nil {
				r.t.Fatal(err)
			}
		}},
		{"denied by staff", func(r *rig, id request.ID) {
			if err := r.intake.Stop(r.t.Context(), id, request.Ending{Result: request.ResultDenied, Code: "unverified_categories", Reason: "We could not verify you."}); err != nil {
				r.t.Fatal(err)
			}
			r.now = r.now.Add(time.Hour)
		}},
		{"withdrawn", func(r *rig, id request.ID) {
			if err := r.intake.Stop(r.t.Context(), id, request.Ending{Result: request.ResultCancelled, Code: "withdrawn", Reason: "You withdrew it."}); err != nil {
				r.t.Fatal(err)
			}
			r.now = r.now.Add(time.Hour)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			id := r.open(request.KnowCategories, planted, verify.Claimed{Points: points("postal_code", "94110"), Declaration: verify.Declare("en", "Planted Person", r.now)})
			r.work()
			c.decide(r, id)
			r.work()
			got, err := r.store.GetCase(t.Context(), id)
			if err != nil || got.Sealed != nil || got.WrappedKey != nil || got.PurgedAt.IsZero() {
				t.Fatalf("the case is %+v, %v", got, err)
			}
			records, err := r.store.Unlogged(t.Context(), r.now.Add(time.Hour), 100)
			if err != nil {
				t.Fatal(err)
			}
			purges := 0
			for _, rec := range records {
				if rec.Type == string(wire.RecordRetention) {
					purges++
				}
			}
			if purges != 1 {
				t.Errorf("%d records say that the data is gone, want 1", purges)
			}
			if err := r.answer(id, "123456"); !errors.Is(err, verify.ErrCode) {
				t.Errorf("answering a decided case: %v", err)
			}
		})
	}
}

// The database, its journal and the log never hold a value in clear.
func TestNothingInClear(t *testing.T) {
	r := newRig(t)
	r.open(request.KnowCategories, planted, verify.Claimed{Points: points("postal_code", "94110-PLANTED"), Declaration: verify.Declare("en", "Planted Person", r.now)})
	r.work()
	if _, err := sqlCheckpoint(r.path); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{r.path, r.path + "-wal"} {
		content, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, secret := range []string{planted, "94110-PLANTED", "Planted Person"} {
			if strings.Contains(string(content), secret) || strings.Contains(r.logs.String(), secret) {
				t.Errorf("%s or the log holds %q", file, secret)
			}
		}
	}
}

func sqlCheckpoint(path string) (sql.Result, error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
}

func TestOpenAsksForNoMore_IN4_VE13(t *testing.T) {
	r := newRig(t)
	id := r.take(request.Delete, planted)
	var fields request.FieldErrors
	err := r.room.Open(t.Context(), id, verify.Claimed{Anchor: request.NewIdentifier(request.Email, planted), Points: points("ssn", "078-05-1120")})
	if !errors.As(err, &fields) || strings.Contains(err.Error(), "078") {
		t.Errorf("a field that is not asked for: %v", err)
	}
	if _, err := r.store.GetCase(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("something was stored: %v", err)
	}
}
