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

type unattestedKey struct{}

// WithoutAttesting returns a context for somebody who may hand requests in and not
// say who the requester is.
func WithoutAttesting(ctx context.Context) context.Context {
	return context.WithValue(ctx, unattestedKey{}, true)
}

// MayAttest reports whether who acts may say who the requester is.
func MayAttest(ctx context.Context) bool { return ctx.Value(unattestedKey{}) == nil }

// ErrAttest says that somebody vouched for a requester who may not.
var ErrAttest = errors.New("whoever may only hand requests in can't vouch for who asks: leave the verification out, or use a token with the scope operate")

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
