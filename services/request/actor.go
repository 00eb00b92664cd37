package request

import (
	"context"
	"errors"
)

type actorKey struct{}

// WithActor returns a context in which who is the person that decides: a staff
// account, never a consumer.
func WithActor(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, actorKey{}, who)
}

// ActorOf returns the person that decides, or "" when nobody is named.
func ActorOf(ctx context.Context) string {
	who, _ := ctx.Value(actorKey{}).(string)
	return who
}

// CheckStaff reports whether who can be the name of a member of staff; "" is
// nobody. The error is a [FieldErrors].
func CheckStaff(who string) error {
	if len(who) > 200 || !plainText(who) {
		return FieldErrors{{Field: "assignee", Problem: "is no name of a member of staff", Fix: "give the name they sign in by, in one line of at most 200 letters"}}
	}
	return nil
}

// ErrSecond says that a decision was noted and that a second person must agree
// before it is so.
var ErrSecond = errors.New("noted: a second person must agree before it is so")

// ErrUntrained says that somebody decides whose training is missing or stale.
var ErrUntrained = errors.New("only people with current training may decide about requests (11 CCR 7100)")

// ErrNothingToRetry says that no job of the request stands where a retry would
// change anything.
var ErrNothingToRetry = errors.New("no job of this request can be retried: only failed, deferred and refused jobs can")
