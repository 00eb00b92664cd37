package verify_test

import (
	"errors"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/intake/verify"
	"github.com/habeas-data/habeas/services/request"
)

// other is a code that is not the given one.
func other(code string) string {
	if code == "111111" {
		return "222222"
	}
	return "111111"
}

// Codes are guessed in vain also by who makes request after request in a person's
// name, and the answer does not say that a limit refused.
func TestCodesOfManyRequestsAreGuessedInVain(t *testing.T) {
	r := newRig(t)
	tries := 0
	for n := 1; tries < 100; n++ {
		id := r.open(request.Delete, planted, verify.Claimed{Points: points("postal_code", "94110")})
		r.work()
		wrong := other(r.code(n))
		for range verify.DefaultPolicy().Tries {
			if err := r.answer(id, wrong); !errors.Is(err, verify.ErrCode) {
				t.Fatal(err)
			}
			tries++
		}
	}
	id := r.open(request.Delete, planted, verify.Claimed{Points: points("postal_code", "94110")})
	r.work()
	letters := r.mail.Letters()
	code := r.code(len(letters))
	if err := r.answer(id, code); !errors.Is(err, verify.ErrCode) {
		t.Errorf("after %d tries in a day a right code gives %v", tries, err)
	}
	r.now = r.now.Add(23*time.Hour + 50*time.Minute) // the code is good for a day, and the first tries are older
	if err := r.answer(id, code); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

// A code that will not be sent, because too many were, is not made: nobody could
// know it, and it could be guessed.
func TestNoCodesBeyondThoseSent(t *testing.T) {
	r := newRig(t)
	id := r.open(request.Delete, planted, verify.Claimed{Points: points("postal_code", "94110")})
	r.work()
	for range 10 {
		if err := r.room.Resend(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		r.work()
	}
	sent := len(r.mail.Letters())
	if sent != 8 {
		t.Errorf("%d letters, want 8", sent)
	}
	if err := r.answer(id, r.code(sent)); err != nil {
		t.Errorf("the last code that was sent: %v", err)
	}
}

// Data points are not tried out one after the other.
func TestPointsAreNotTriedOut(t *testing.T) {
	r := newRig(t)
	var err error
	tried := 0
	for range 10 {
		id := r.open(request.Delete, planted, verify.Claimed{Points: points("full_name", "Planted Person")})
		for range 5 {
			r.work()
			if err = r.room.Add(t.Context(), id, points("postal_code", "00000"), nil); err != nil {
				break
			}
			tried++
		}
	}
	if !errors.Is(err, verify.ErrTooMany) || tried != 20 {
		t.Errorf("%d points were tried, then %v", tried, err)
	}
	id := r.open(request.Delete, stranger, verify.Claimed{})
	if err := r.room.Add(t.Context(), id, points("postal_code", "00000"), nil); err != nil {
		t.Errorf("somebody else: %v", err)
	}
}
