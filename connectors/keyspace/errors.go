package keyspace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// clean makes an error of the client library one that may leave the connector:
// without names of keys, and marked for what is to be done about it.
func clean(ctx context.Context, err error) error {
	var reply redis.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case ours(err):
		return err
	case errors.As(err, &reply):
		return cleanReply(reply.Error())
	}
	return sdk.WithCode(sdk.Unavailable, errors.New("the server does not answer"))
}

// ours reports whether an error was made here and is fit to be seen.
func ours(err error) bool {
	_, writer := errors.AsType[*writerError](err)
	return writer || sdk.CodeOf(err) != ""
}

// writerError is what the writer of an export returned.
type writerError struct{ err error }

func (e *writerError) Error() string { return e.err.Error() }
func (e *writerError) Unwrap() error { return e.err }

// Replies by their first word, which is the server's code for them.
var (
	deniedReplies = []string{"NOAUTH", "WRONGPASS", "NOPERM"}
	brokenReplies = []string{"WRONGTYPE", "ERR", "CROSSSLOT"}
)

func cleanReply(text string) error {
	word, _, _ := strings.Cut(text, " ")
	switch {
	case slices.Contains(deniedReplies, word):
		return sdk.WithCode(sdk.Denied, sdk.Permanent(fmt.Errorf("the server refuses with %s: check the user, the password and its ACL (docs/connectors/redis.md lists the commands it needs)", word)))
	case strings.HasPrefix(text, "ERR unknown command"):
		return sdk.WithCode(sdk.Configuration, sdk.Permanent(errors.New("the server does not know a command: it must be Redis 5 or later, or Valkey")))
	case strings.HasPrefix(text, "ERR max number of clients"):
		return sdk.WithCode(sdk.Unavailable, errors.New("the server has no connection free"))
	case slices.Contains(brokenReplies, word):
		return sdk.WithCode(sdk.Configuration, sdk.Permanent(fmt.Errorf("the server answers a command with %s", word)))
	case word == strings.ToUpper(word) && len(word) <= 20:
		return sdk.WithCode(sdk.Unavailable, fmt.Errorf("the server answers with %s", word))
	}
	return sdk.WithCode(sdk.Unavailable, errors.New("the server answers with an error of its own"))
}

// misfit is an error that says how a store's keys differ from the map.
func (s *store) misfit(format string, args ...any) error {
	return sdk.WithCode(sdk.Configuration, sdk.Permanent(fmt.Errorf("store %s: %s", s.name, fmt.Sprintf(format, args...))))
}

// errChanging is retried by the runtime.
var errChanging = sdk.WithCode(sdk.Unavailable, errors.New("a key kept changing while it was worked on"))
