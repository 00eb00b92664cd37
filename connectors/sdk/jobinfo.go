package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// JobInfo is what a connector may know of the job it works on. It names
// nobody.
type JobInfo struct {
	JobID     string
	RequestID string
	Regime    string    // for example "us-ca-ccpa"
	Right     string    // for example "delete"
	Received  time.Time // when the consumer asked, UTC
	Attempt   int       // 1 for the first
	// Action is what the job is for: "locate", "erase", "export", …; a job to
	// erase locates too.
	Action string
	// Due is when the law wants the request answered, UTC; zero when it is not
	// said.
	Due time.Time
	// Members are the jobs of a batch, one for each of the people handed over
	// and in their order; nil when the call is about one person.
	Members []JobInfo
}

type jobInfoKey struct{}

// WithJobInfo returns a context that carries info. The runtime does this;
// tests may.
func WithJobInfo(ctx context.Context, info JobInfo) context.Context {
	return context.WithValue(ctx, jobInfoKey{}, info)
}

// JobInfoFrom returns what the runtime put into ctx, or the zero JobInfo.
func JobInfoFrom(ctx context.Context) JobInfo {
	info, _ := ctx.Value(jobInfoKey{}).(JobInfo)
	return info
}

// EffectKey returns a key for one effect of the current job, stable over
// retries and crashes: give it to a vendor as its idempotency key before the
// effect happens. It is 32 lower-case hex digits and says nothing of the
// person.
func EffectKey(ctx context.Context, effect string) string {
	sum := sha256.Sum256([]byte(JobInfoFrom(ctx).JobID + "\x00" + effect))
	return hex.EncodeToString(sum[:16])
}
