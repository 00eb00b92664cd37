package notice_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/services/delivery/notice"
	"github.com/habeas-data/habeas/services/internal/litetest"
	"github.com/habeas-data/habeas/services/internal/mail"
	"github.com/habeas-data/habeas/services/internal/mail/mailtest"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
)

var update = flag.Bool("update", false, "write the golden letters")

const planted = "maria.planted@example.com"

var received = time.Date(2026, time.March, 2, 18, 0, 0, 0, time.UTC)

// rig is a room on a real store and a mail server.
type rig struct {
	t     *testing.T
	store *litestore.Store
	vault *vault.Vault
	set   *regimes.Set
	mail  *mailtest.Server
	room  *notice.Room
	now   atomic.Pointer[time.Time]
	log   bytes.Buffer
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, mail: mailtest.New(t)}
	r.store, _ = litetest.Open(t)
	var err error
	r.vault, err = vault.New(t.Context(), filepath.Join(t.TempDir(), "master.key"))
	ok(t, err)
	r.set, err = regimes.Load()
	ok(t, err)
	r.at(received.Add(time.Hour))
	r.room, err = notice.New(r.config())
	ok(t, err)
	return r
}

func (r *rig) config() notice.Config {
	return notice.Config{
		Store: r.store, Vault: r.vault, Mail: &mail.SMTP{Addr: r.mail.Addr, From: "Example Inc. <privacy@example.com>", Plain: true, Timeout: 5 * time.Second},
		Regimes: r.set, Company: "Example Inc.", Contact: "privacy@example.com", Policy: "https://example.com/privacy",
		Portal: "https://privacy.example.com/privacy/", PackageTTL: 30 * 24 * time.Hour,
		Link:   func(request.ID) string { return "https://privacy.example.com/privacy/r/link" },
		Logger: slog.New(slog.NewTextHandler(&r.log, nil)), Now: func() time.Time { return *r.now.Load() },
	}
}

func (r *rig) at(t time.Time) { r.now.Store(&t) }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// add stores a request with a notice of the kind waiting.
func (r *rig) add(right request.Right, kind store.NoticeKind, ids []request.Identifier, change func(*request.Request), jobs ...store.Job) request.ID {
	r.t.Helper()
	of := right
	if right.OptsIn() { // it has the terms of what it takes back
		of = map[request.Right]request.Right{request.OptInSaleShare: request.OptOutSaleShare, request.OptInSPI: request.LimitSPI}[right]
	}
	terms, err := r.set.Terms("us-ca-ccpa", received, of, request.Range{})
	ok(r.t, err)
	req, err := request.New(request.NewID(), request.Submission{Regime: "us-ca-ccpa", Right: right, Channel: request.ChannelWeb}, terms)
	ok(r.t, err)
	if change != nil {
		change(req)
	}
	if req.Ending != nil {
		var v request.Verification
		if right.Verifiable() {
			v = request.Unverified{}
		}
		req, err = request.Restore(*req, right, request.Closing, v)
		ok(r.t, err)
	}
	key, wrapped, err := r.vault.NewDataKey(r.t.Context())
	ok(r.t, err)
	_, err = r.store.Create(r.t.Context(), []store.New{{
		Request: store.Request{
			Request: req, RespondBy: received.AddDate(0, 0, 45), WrappedKey: wrapped, Sealed: key.SealIdentifiers(req.ID, ids),
			Commitment: make([]byte, 32), CreatedAt: received, UpdatedAt: received, Version: 1,
		},
		Notices: []store.Notice{{RequestID: req.ID, Kind: kind, CreatedAt: received}},
	}})
	ok(r.t, err)
	if len(jobs) > 0 {
		_, err = r.store.Advance(r.t.Context(), store.Selector{IDs: []request.ID{req.ID}}, true, func(snaps []*store.Snapshot) error {
			for _, j := range jobs {
				j.ID, j.RequestID = request.NewID(), req.ID
				snaps[0].Jobs = append(snaps[0].Jobs, j)
			}
			return nil
		})
		ok(r.t, err)
	}
	return req.ID
}

func (r *rig) once() {
	r.t.Helper()
	_, err := r.room.Once(r.t.Context())
	ok(r.t, err)
}

func (r *rig) standing(id request.ID) store.Posted {
	r.t.Helper()
	all, err := r.store.NoticesOf(r.t.Context(), id)
	ok(r.t, err)
	if len(all) != 1 {
		r.t.Fatalf("%d notices, want 1", len(all))
	}
	return all[0]
}

func email() []request.Identifier {
	return []request.Identifier{request.NewIdentifier(request.UserID, "u-1"), request.NewIdentifier(request.Email, planted)}
}

// closed ends a request as it must be to have the answer.
func closed(e request.Ending) func(*request.Request) {
	return func(r *request.Request) { r.Ending = &e }
}

func eraseJob(connector, outcome string) store.Job {
	return store.Job{
		Connector: connector, Action: request.ActionErase, State: request.JobDone, PlanDigest: make([]byte, 32), Outcome: []byte(outcome), UpdatedAt: received,
	}
}

type letterCase struct {
	name   string
	right  request.Right
	kind   store.NoticeKind
	change func(*request.Request)
	jobs   []store.Job
}

func letterCases() []letterCase {
	all := []letterCase{
		{name: "CL-3 extension with its reason", right: request.Delete, kind: store.NoticeExtension, change: func(r *request.Request) {
			r.Extension = &request.Extension{On: request.Date{Year: 2026, Month: time.April, Day: 1}, Reason: "Two systems are being moved."}
		}},
		{name: "IN-2 fix it", right: request.Delete, kind: store.NoticeFixIt},
		{name: "confirm", right: request.Delete, kind: store.NoticeConfirm},
		{name: "confirm opt_in_spi", right: request.OptInSPI, kind: store.NoticeConfirm},
		{name: "verify again", right: request.Delete, kind: store.NoticeVerifyAgain},
		{name: "DE-7 deletion with something kept", right: request.Delete, kind: store.NoticeAnswer,
			change: closed(request.Ending{Result: request.ResultCompleteWithExceptions}),
			jobs: []store.Job{
				eraseJob("crm", `{"done":{},"stores":[{"store":"contacts","category":"A","locatedCount":"3"}]}`),
				eraseJob("billing", `{"retained":{},"stores":[{"store":"invoices","category":"D","locatedCount":"5","keptCount":"2","basis":"D8","untilTime":"2033-03-02T00:00:00Z"},{"store":"tax","locatedCount":"1","keptCount":"1","basis":"RTC 19530"}]}`),
			}},
		{name: "DE-10 deletion done", right: request.Delete, kind: store.NoticeAnswer, change: closed(request.Ending{Result: request.ResultComplete}),
			jobs: []store.Job{eraseJob("crm", `{"done":{},"stores":[{"store":"contacts","locatedCount":"1"}]}`)}},
		{name: "deletion of nobody we know", right: request.Delete, kind: store.NoticeAnswer, change: closed(request.Ending{Result: request.ResultComplete})},
		{name: "KN-4 answer by mail", right: request.KnowSpecific, kind: store.NoticeAnswer, change: func(r *request.Request) {
			r.Case.Answer = request.AnswerByMail
			closed(request.Ending{Result: request.ResultPartial, Code: "mailed", Reason: "the answer was sent by mail"})(r)
		}},
		{name: "deletion in part", right: request.Delete, kind: store.NoticeAnswer,
			change: closed(request.Ending{Result: request.ResultPartial, Code: "failed", Reason: "One system did not answer."})},
	}
	for _, right := range []request.Right{request.KnowCategories, request.KnowSpecific, request.Delete, request.Correct, request.OptOutSaleShare, request.LimitSPI, request.OptInSaleShare, request.OptInSPI} {
		all = append(all, letterCase{name: "CL-1 receipt " + string(right), right: right, kind: store.NoticeReceipt})
		if right != request.Delete {
			all = append(all, letterCase{name: "answer " + string(right), right: right, kind: store.NoticeAnswer, change: closed(request.Ending{Result: request.ResultComplete})})
		}
		if right.Verifiable() {
			all = append(all, letterCase{name: "RE-9 denial " + string(right), right: right, kind: store.NoticeDenial,
				change: closed(request.Ending{Result: request.ResultDenied, Code: string(request.UnverifiedCode(right)), Reason: "The codes we sent were not entered."})})
		}
	}
	return all
}

// TestLetters sends every kind of notice in every language and compares it
// with the letter that was read and found good.
func TestLetters(t *testing.T) {
	r := newRig(t)
	for _, language := range notice.Languages {
		for _, c := range letterCases() {
			t.Run(c.name+"/"+language, func(t *testing.T) {
				r.t = t
				before := len(r.mail.Letters())
				id := r.add(c.right, c.kind, email(), func(req *request.Request) {
					req.Case.Language = language
					if c.change != nil {
						c.change(req)
					}
				}, c.jobs...)
				r.once()
				if got := r.standing(id); !got.Told {
					t.Fatalf("nobody was told: %+v; %s", got, r.log.String())
				}
				l := r.mail.Wait(t, before+1)[before]
				if l.To != planted || l.Language != language || !strings.Contains(l.MessageID, string(id)) {
					t.Errorf("to %q in %q as %q", l.To, l.Language, l.MessageID)
				}
				if strings.Contains(l.Subject+l.Text, "planted") {
					t.Error("the address is in the text")
				}
				text := strings.ReplaceAll("Subject: "+l.Subject+"\n\n"+strings.ReplaceAll(l.Text, "\r\n", "\n"), string(id), "REFERENCE")
				path := filepath.Join("testdata", language, strings.ReplaceAll(c.name, " ", "_")+".txt")
				if *update {
					ok(t, os.MkdirAll(filepath.Dir(path), 0o750))
					ok(t, os.WriteFile(path, []byte(text), 0o600))
				}
				want, err := os.ReadFile(path)
				ok(t, err)
				if diff := cmp.Diff(string(want), text); diff != "" {
					t.Errorf("the letter (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestMandatoryParts_CL1_CL3_DE7_DE10: every notice names a rule for each part
// it must have, and no kind has none.
func TestMandatoryParts_CL1_CL3_DE7_DE10(t *testing.T) {
	want := map[string][]string{ // what is looked for by name, whatever else changes
		"receipt/delete":             {"received", "process_verified", "due"},
		"receipt/opt_out_sale_share": {"received", "process_plain", "due"},
		"extension/delete":           {"extension", "reason"},
		"denial/delete":              {"denied", "denial_text", "record_kept"},
		"denial/know_specific":       {"denied", "denial_text"},
		"answer/delete":              {"answered", "complied", "record_kept"},
		"answer/know_specific":       {"answered", "package", "withheld"},
	}
	for _, c := range letterCases() {
		parts := notice.Mandatory(c.kind, c.right, request.ResultComplete)
		var names []string
		for _, p := range parts {
			names = append(names, p.Name)
			if p.Citation == "" {
				t.Errorf("%s: %s has no rule", c.name, p.Name)
			}
		}
		if len(parts) < 2 {
			t.Errorf("%s: %d parts", c.name, len(parts))
		}
		key := string(c.kind) + "/" + string(c.right)
		if w, known := want[key]; known && !slices.Equal(names, w) {
			t.Errorf("%s must have %v, has %v", key, w, names)
		}
	}
}

// TestFailuresAreTriedAgain: a message the server could not take, one it took
// whose answer was lost, and one it refuses.
func TestFailuresAreTriedAgain(t *testing.T) {
	t.Run("it was not taken", func(t *testing.T) {
		r := newRig(t)
		r.mail.Refuse("451 4.3.0 try later")
		id := r.add(request.Delete, store.NoticeReceipt, email(), nil)
		r.once()
		got := r.standing(id)
		if got.Told || got.Tries != 1 || got.Failed != notice.CodeUnavailable {
			t.Fatalf("after a failure: %+v", got)
		}
		r.mail.Refuse("")
		r.once() // too early
		if n := len(r.mail.Letters()); n != 0 {
			t.Fatalf("%d letters before it was time", n)
		}
		r.at(got.NextAt)
		r.once()
		if !r.standing(id).Told || len(r.mail.Letters()) != 1 {
			t.Error("not told at the second try")
		}
	})
	t.Run("it was taken and the answer was lost", func(t *testing.T) {
		r := newRig(t)
		r.mail.LoseAnswers(true)
		id := r.add(request.Delete, store.NoticeReceipt, email(), nil)
		r.once()
		got := r.standing(id)
		if got.Told {
			t.Fatal("told without an answer")
		}
		r.mail.LoseAnswers(false)
		r.at(got.NextAt.AddDate(0, 0, 1)) // another day, and the same letter
		r.once()
		letters := r.mail.Letters()
		if len(letters) != 2 || !r.standing(id).Told {
			t.Fatalf("%d letters", len(letters))
		}
		if diff := cmp.Diff(letters[0], letters[1]); diff != "" {
			t.Errorf("the second is another message (-first +second):\n%s", diff)
		}
	})
	t.Run("it is refused", func(t *testing.T) {
		r := newRig(t)
		r.mail.Refuse("550 5.1.1 <" + planted + "> is unknown")
		id := r.add(request.Delete, store.NoticeReceipt, email(), nil)
		r.once()
		got := r.standing(id)
		if got.Told || got.Failed != notice.CodeRefused || got.NextAt.Before(received.AddDate(0, 0, 1)) {
			t.Errorf("after a refusal: %+v", got)
		}
		counts, err := r.store.Untold(t.Context())
		ok(t, err)
		if counts[notice.CodeRefused] != 1 {
			t.Errorf("shown as %v", counts)
		}
		if strings.Contains(r.log.String(), "planted") {
			t.Errorf("the address is in the log:\n%s", r.log.String())
		}
	})
	t.Run("the store fails after the message was taken", func(t *testing.T) {
		r := newRig(t)
		id := r.add(request.Delete, store.NoticeReceipt, email(), nil)
		c := r.config()
		c.Store = brokenStore{Store: r.store}
		broken, err := notice.New(c)
		ok(t, err)
		if _, err := broken.Once(t.Context()); err == nil {
			t.Fatal("the failure was swallowed")
		}
		if r.standing(id).Told {
			t.Fatal("told")
		}
		r.once()
		if letters := r.mail.Letters(); len(letters) != 2 || letters[0] != letters[1] || !r.standing(id).Told {
			t.Errorf("%d letters, or different ones", len(letters))
		}
	})
}

type brokenStore struct{ notice.Store }

func (brokenStore) Noticed(context.Context, []store.Notice) error {
	return errors.New("the disk is gone")
}

func TestNobodyIsWrittenToInVain(t *testing.T) {
	for _, c := range []struct {
		name   string
		right  request.Right
		ids    []request.Identifier
		change func(*request.Request)
		code   string
	}{
		{"no address", request.Delete, []request.Identifier{request.NewIdentifier(request.UserID, "u-1")}, nil, notice.CodeNoAddress},
		{"VE-16 an agent's opt-out", request.OptOutSaleShare, email(), func(r *request.Request) { r.Case.Requester = request.ByAgent }, notice.CodeAgent},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			id := r.add(c.right, store.NoticeReceipt, c.ids, c.change)
			r.once()
			if got := r.standing(id); got.Told || got.Failed != c.code || len(r.mail.Letters()) != 0 {
				t.Errorf("%+v, %d letters", got, len(r.mail.Letters()))
			}
		})
	}
}

// TestLetterIsKeptAsItWasSent: what is kept opens to what went out, and nothing
// of it is readable in the database.
func TestLetterIsKeptAsItWasSent(t *testing.T) {
	r := newRig(t)
	id := r.add(request.Delete, store.NoticeReceipt, email(), nil)
	r.once()
	sent := r.mail.Wait(t, 1)[0]
	l, there, err := r.room.Letter(t.Context(), store.Notice{RequestID: id, Kind: store.NoticeReceipt})
	ok(t, err)
	if !there || l.Subject != sent.Subject || l.Text != strings.ReplaceAll(sent.Text, "\r\n", "\n") {
		t.Errorf("kept %q, sent %q", l.Text, sent.Text)
	}
	documents, err := r.store.Documents(t.Context(), id)
	ok(t, err)
	if len(documents) != 1 || bytes.Contains(documents[0].Sealed, []byte("Example")) || documents[0].KeepUntil.Before(received.AddDate(2, 0, 0)) {
		t.Errorf("%d documents, or one that can be read or goes too early", len(documents))
	}
}

// TestRunTellsManyAndStops: a batch larger than one look, and the end.
func TestRunTellsManyAndStops(t *testing.T) {
	r := newRig(t)
	const n = 120
	for range n {
		r.add(request.OptOutSaleShare, store.NoticeReceipt, email(), nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.room.Run(ctx) }()
	r.mail.Wait(t, n)
	cancel()
	ok(t, <-done)
	ids := map[string]int{}
	for _, l := range r.mail.Letters() {
		ids[l.MessageID]++
	}
	if len(ids) != n {
		t.Errorf("%d messages, want %d: %s", len(ids), n, fmt.Sprint(ids)[:200])
	}
}

// The person is told of no day on which the package is gone: its time runs from when
// it was made, whenever the notice is written, and ends within a day.
func TestPackageUntilIsATimeWhenItIsThere(t *testing.T) {
	r := newRig(t)
	id := r.add(request.KnowSpecific, store.NoticeAnswer, email(), closed(request.Ending{Result: request.ResultComplete}))
	_, err := r.store.Advance(t.Context(), store.Selector{IDs: []request.ID{id}}, false, func(snaps []*store.Snapshot) error {
		snaps[0].Request.Package, snaps[0].Changed = store.Package{Key: "k", Identity: []byte("i"), SHA256: make([]byte, 32), Size: 1}, true
		return nil
	})
	ok(t, err)
	r.at(received.AddDate(0, 0, 12)) // the room was away for long
	r.once()
	l, written, err := r.room.Letter(t.Context(), r.standing(id).Notice)
	ok(t, err)
	if want := "until March 31, 2026"; !written || !strings.Contains(l.Text, want) {
		t.Errorf("want %q in:\n%s", want, l.Text)
	}
}
