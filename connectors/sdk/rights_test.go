package sdk_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// liar erases nothing and says that it did; a soft deletion looks the same.
type liar struct{ *book }

func (liar) Erase(context.Context, sdk.Person) error { return nil }

func TestErasureIsReadBack_DE1_DE2(t *testing.T) {
	b := liar{newBook().put(ann, "contacts", 3)}
	r := newRig(t, b)
	r.start()
	o := r.do(r.erase("job-1", ann))
	if o.GetFailed().GetCode() != string(sdk.StillThere) || o.GetDone() != nil {
		t.Errorf("a system that only says so: %v", o)
	}
	// No outcome stands for pseudonymising, hiding or marking as deleted.
	fields := (&habeasv1.Outcome{}).ProtoReflect().Descriptor().Oneofs().ByName("result").Fields()
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); strings.Contains(name, "soft") || strings.Contains(name, "pseudonym") || strings.Contains(name, "disabled") {
			t.Errorf("there is an outcome %s", name)
		}
	}
}

// vague keeps without saying why.
type vague struct{ *book }

func (v vague) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	found, err := v.book.Locate(ctx, p)
	for i := range found {
		found[i].Keep = &sdk.Keep{}
	}
	return found, err
}

func TestKeptWithoutABasisIsRefused_DE6(t *testing.T) {
	r := newRig(t, vague{newBook().put(ann, "contacts", 1)})
	r.start()
	if o := r.do(r.erase("job-1", ann)); o.GetFailed().GetCode() != string(sdk.Configuration) {
		t.Errorf("kept without a basis: %v", o)
	}
}

// A job can name nothing that a system could make a person pay for asking with:
// no plan, price, access or state of an account, and no address to call back
// (Civ. Code 1798.125).
func TestJobsCarryNothingToRetaliateWith_ND1(t *testing.T) {
	fields := (&habeasv1.Job{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		for _, word := range []string{"price", "plan_name", "tier", "access", "account", "callback", "url", "disable", "suspend", "fee"} {
			if strings.Contains(name, word) {
				t.Errorf("a job has a field %s", name)
			}
		}
	}
	known := map[protoreflect.Name]bool{
		"ACTION_UNSPECIFIED": true, "ACTION_RESOLVE": true, "ACTION_LOCATE": true, "ACTION_EXPORT": true, "ACTION_ERASE": true,
		"ACTION_CORRECT": true, "ACTION_OPT_OUT": true, "ACTION_LIMIT": true, "ACTION_OPT_IN": true,
		"ACTION_LIFT_LIMIT": true,
	}
	actions := habeasv1.Action(0).Descriptor().Values()
	for i := range actions.Len() {
		if !known[actions.Get(i).Name()] {
			t.Errorf("there is an action %s: it must not touch what the person pays or may use", actions.Get(i).Name())
		}
	}
}

// A withdrawn job is not done when its connector hears of it before it acts.
func TestWithdrawnJobIsNotDone(t *testing.T) {
	b := newBook().put(ann, "contacts", 2)
	asked, go1 := make(chan struct{}), make(chan struct{})
	var before atomic.Bool
	b.onLocate = func(context.Context) error {
		if before.CompareAndSwap(false, true) {
			close(asked)
			<-go1
		}
		return nil
	}
	r := newRig(t, b)
	r.start()
	r.send(r.erase("job-1", ann))
	<-asked
	conn, err := r.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var probes []string
	for i := range 100 {
		probes = append(probes, fmt.Sprintf("probe-%d", i))
	}
	if err := conn.Publish("_INBOX_book.withdrawn", []byte("job-0 job-1 "+strings.Join(probes, " "))); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	// The message was heard once a job that it names as well is not done.
	for i, id := range probes {
		r.send(r.erase(id, "other@example.com"))
		if r.outcome(id).GetOutcome().GetFailed().GetCode() == "withdrawn" {
			break
		}
		if i == len(probes)-1 {
			t.Fatal("the message was not heard")
		}
	}
	close(go1)
	if o := r.outcome("job-1").GetOutcome(); o.GetFailed().GetCode() != "withdrawn" || b.total(ann) != 2 {
		t.Errorf("outcome %v, %d records are left", o, b.total(ann))
	}
}

// chooser remembers whom it was asked to look for.
type chooser struct {
	*book
	asked chan sdk.Person
}

func (c chooser) Resolve(ctx context.Context, p sdk.Person) ([]sdk.Identifier, error) {
	c.asked <- p
	return c.book.Resolve(ctx, p)
}

// A connector is told that a job belongs to an opt-out, so that it resolves as
// widely as advertising links; nothing done to a Person loses that.
func TestResolversKnowOfAnOptOut_OO5(t *testing.T) {
	c := chooser{newBook().put(ann, "contacts", 1), make(chan sdk.Person, 1)}
	r := newRig(t, c)
	r.start()
	for _, right := range []string{"delete", "opt_out_sale_share"} {
		j := r.job("job-"+right, habeasv1.Action_ACTION_RESOLVE, sdk.ID(sdk.Email, ann))
		j.Right = right
		r.do(j)
		p, want := <-c.asked, right != "delete"
		for _, one := range []sdk.Person{p, p.With(sdk.ID(sdk.UserID, "u-1")), p.Only(sdk.Email), p.Without("contacts")} {
			if one.OptsOut() != want {
				t.Errorf("%s: it is told of an opt-out: %v", right, one.OptsOut())
			}
		}
	}
}

// resumable is a book that takes opt-outs back, or only says so.
type resumable struct {
	*book
	lies bool
}

func (r *resumable) OptIn(_ context.Context, p sdk.Person) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.lies {
		delete(r.out, p.Values(sdk.Email)[0])
	}
	return nil
}

func TestOptInIsReadBack_OO6(t *testing.T) {
	b := &resumable{book: newBook().put(ann, "contacts", 1)}
	r := newRig(t, b)
	r.start()
	ask := func(job string, action habeasv1.Action) *habeasv1.Outcome {
		return r.do(r.job(job, action, sdk.ID(sdk.Email, ann)))
	}
	if o := ask("job-1", habeasv1.Action_ACTION_OPT_OUT); o.GetDone() == nil {
		t.Fatalf("outcome %v", o)
	}
	if o := ask("job-2", habeasv1.Action_ACTION_OPT_IN); o.GetDone() == nil || b.out[ann] {
		t.Errorf("outcome %v, opted out is %v", o, b.out[ann])
	}
	if o := ask("job-3", habeasv1.Action_ACTION_OPT_IN); o.GetDone() == nil {
		t.Errorf("opting in who is in: %v", o)
	}
	b.mu.Lock()
	b.lies, b.out[ann] = true, true
	b.mu.Unlock()
	if o := ask("job-4", habeasv1.Action_ACTION_OPT_IN); o.GetFailed().GetCode() != string(sdk.StillThere) {
		t.Errorf("an opt-in that does not lift: %v", o)
	}
	other := newRig(t, newBook().put(ann, "contacts", 1))
	other.start()
	if o := other.do(other.job("job-1", habeasv1.Action_ACTION_OPT_IN, sdk.ID(sdk.Email, ann))); o.GetNotSupported() == nil {
		t.Errorf("one that can only opt out: %v", o)
	}
}
