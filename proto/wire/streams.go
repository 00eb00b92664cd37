package wire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// StreamOptions are the choices a deployment has about its streams. The zero
// value is right for one server.
type StreamOptions struct {
	// Replicas is 1 or 3; 0 means 1.
	Replicas int
	// EvidenceAge is how long records stay on the bus after both rooms should
	// have read them; 0 means 14 days.
	EvidenceAge time.Duration
	// ExportTTL is how long sealed export parts live; 0 means 7 days.
	ExportTTL time.Duration
	// AckWait is how long a reader may be silent before a message is delivered
	// again; 0 means 30 seconds.
	AckWait time.Duration
}

func (o StreamOptions) withDefaults() StreamOptions {
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.EvidenceAge == 0 {
		o.EvidenceAge = 14 * 24 * time.Hour
	}
	if o.ExportTTL == 0 {
		o.ExportTTL = 7 * 24 * time.Hour
	}
	if o.AckWait == 0 {
		o.AckWait = 30 * time.Second
	}
	return o
}

const duplicateWindow = 2 * time.Minute

// EnsureStreams makes the streams, the bucket of connectors and the rooms'
// consumers, or brings existing ones up to date. It may be called by several
// rooms at once and again after the broker lost everything.
func EnsureStreams(ctx context.Context, js jetstream.JetStream, opts StreamOptions) error {
	o := opts.withDefaults()
	streams := []jetstream.StreamConfig{
		{Name: StreamJobs, Subjects: []string{subjectJobs + "*"}, Retention: jetstream.WorkQueuePolicy,
			Description: "Jobs for connectors; identifiers sealed."},
		{Name: StreamEvidence, Subjects: []string{subjectEvidence + "*"}, Retention: jetstream.LimitsPolicy,
			MaxAge: o.EvidenceAge, Description: "Signed records from connectors and rooms."},
		{Name: StreamDiscovered, Subjects: []string{subjectDiscovered + "*"}, Retention: jetstream.WorkQueuePolicy,
			Description: "Resolved identifiers, sealed to the coordinator."},
		{Name: StreamEvents, Subjects: []string{subjectEvents + "*", SubjectLogged}, Retention: jetstream.LimitsPolicy,
			MaxAge: 7 * 24 * time.Hour, Description: "What changed; no personal data."},
	}
	for _, s := range streams {
		s.Replicas, s.Storage, s.Duplicates, s.MaxMsgSize = o.Replicas, jetstream.FileStorage, duplicateWindow, MaxMessage
		if err := ensureStream(ctx, js, s); err != nil {
			return fmt.Errorf("creating stream %s: %w", s.Name, err)
		}
	}
	consumers := []struct {
		stream string
		config jetstream.ConsumerConfig
	}{
		{StreamEvidence, jetstream.ConsumerConfig{Durable: ConsumerCoordinatorEvidence}},
		{StreamEvidence, jetstream.ConsumerConfig{Durable: ConsumerAudit}},
		{StreamDiscovered, jetstream.ConsumerConfig{Durable: ConsumerCoordinatorDiscovered}},
		{StreamEvents, jetstream.ConsumerConfig{Durable: ConsumerCoordinatorLogged, FilterSubject: SubjectLogged}},
	}
	for _, c := range consumers {
		c.config.AckPolicy, c.config.AckWait, c.config.MaxAckPending = jetstream.AckExplicitPolicy, o.AckWait, 20_000
		if _, err := js.CreateOrUpdateConsumer(ctx, c.stream, c.config); err != nil {
			return fmt.Errorf("creating consumer %s: %w", c.config.Durable, err)
		}
	}
	if err := ensureBucket(ctx, js, connectorsBucket(o)); err != nil {
		return fmt.Errorf("creating bucket %s: %w", BucketConnectors, err)
	}
	return nil
}

// connectorsBucket is the stream of the bucket of connectors, as a key-value
// client makes it, but without roll-ups: whoever may write one line could
// otherwise take all others away with it.
func connectorsBucket(o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "KV_" + BucketConnectors, Subjects: []string{"$KV." + BucketConnectors + ".>"}, Description: "Manifests and signs of life.",
		MaxMsgsPerSubject: 1, MaxMsgs: -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1, Duplicates: duplicateWindow,
		Discard: jetstream.DiscardNew, DenyDelete: true, AllowDirect: true, Replicas: o.Replicas,
	}
}

// exportBucket is the stream of a connector's export bucket, as an object-store
// client makes it, but without direct reads: those answer with the bytes that were
// stored, to whatever subject the reader names, and nobody asks whether it may
// publish there. A connector could so speak for others.
func exportBucket(name string, o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: "OBJ_" + ExportBucket(name), Subjects: []string{"$O." + ExportBucket(name) + ".C.>", "$O." + ExportBucket(name) + ".M.>"},
		Description: "Sealed export parts.", MaxAge: o.ExportTTL, MaxBytes: -1, Discard: jetstream.DiscardNew, AllowRollup: true, Replicas: o.Replicas,
	}
}

// ensureStream makes a stream, and changes one that is there only where it is
// another: rooms ask often and at once, and a change takes the server longer than
// a look and stands in the way of those who use the stream.
func ensureStream(ctx context.Context, js jetstream.JetStream, s jetstream.StreamConfig) error {
	have, err := js.Stream(ctx, s.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = js.CreateStream(ctx, s)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // another room was first, with other options
			_, err = js.UpdateStream(ctx, s)
		}
		return err
	}
	if err == nil {
		is := have.CachedInfo().Config
		if slices.Equal(is.Subjects, s.Subjects) && is.Retention == s.Retention && is.Storage == s.Storage && is.Duplicates == s.Duplicates &&
			is.MaxMsgSize == s.MaxMsgSize && same(is, s) {
			return nil
		}
	}
	_, err = js.CreateOrUpdateStream(ctx, s)
	return err
}

// ensureBucket makes a bucket's stream, or brings one that is there up to date.
func ensureBucket(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) error {
	if have, err := js.Stream(ctx, want.Name); err == nil {
		is := have.CachedInfo().Config
		if same(is, want) && is.AllowDirect == want.AllowDirect && is.AllowRollup == want.AllowRollup {
			return nil
		}
	}
	_, err := js.CreateOrUpdateStream(ctx, want)
	return err
}

func same(have, want jetstream.StreamConfig) bool {
	return have.Replicas == want.Replicas && have.MaxAge == want.MaxAge && have.Description == want.Description
}

// EnsureConnector makes what one connector needs on the bus: its consumer and
// its export bucket. The connector itself has no permission to make them. A
// consumer that is paused stays so.
func EnsureConnector(ctx context.Context, js jetstream.JetStream, name string, opts StreamOptions) error {
	if err := CheckName(name); err != nil {
		return err
	}
	o := opts.withDefaults()
	config := jetstream.ConsumerConfig{
		Durable: JobConsumer(name), FilterSubject: JobSubject(name), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: o.AckWait, MaxAckPending: 4096,
	}
	if c, err := js.Consumer(ctx, StreamJobs, config.Durable); err == nil {
		config.PauseUntil = c.CachedInfo().Config.PauseUntil
	}
	if _, err := js.CreateOrUpdateConsumer(ctx, StreamJobs, config); err != nil {
		return fmt.Errorf("creating consumer of %s: %w", name, err)
	}
	if err := ensureBucket(ctx, js, exportBucket(name, o)); err != nil {
		return fmt.Errorf("creating export bucket of %s: %w", name, err)
	}
	return nil
}

// Permissions returns what a connector's NATS user may publish and subscribe
// to, and nothing else: its own jobs, its own evidence and discovered
// subjects, its own line in the bucket of connectors, its own export bucket.
// The user connects with the inbox prefix "_INBOX_<name>".
func Permissions(name string) (publish, subscribe []string) {
	consumer, bucket := JobConsumer(name), "OBJ_"+ExportBucket(name)
	publish = []string{
		EvidenceSubject(name), DiscoveredSubject(name),
		"$JS.API.STREAM.INFO." + StreamJobs,
		"$JS.API.CONSUMER.INFO." + StreamJobs + "." + consumer,
		"$JS.API.CONSUMER.MSG.NEXT." + StreamJobs + "." + consumer,
		"$JS.ACK." + StreamJobs + "." + consumer + ".>",
		"$JS.API.STREAM.INFO.KV_" + BucketConnectors,
		"$KV." + BucketConnectors + "." + name,
		"$JS.API.STREAM.INFO." + bucket,
		"$JS.API.STREAM.PURGE." + bucket,
		"$JS.API.STREAM.MSG.GET." + bucket,
		"$O." + ExportBucket(name) + ".>",
		MatchedSubject(name, ">"),
		TaskedSubject(name, ">"),
		PeopledSubject(name, ">"),
	}
	return publish, []string{InboxPrefix(name) + ".>", MatchSubject(name), TaskSubject(name), PeopleSubject(name)}
}

// InboxPrefix is the inbox prefix of a connector's NATS user.
func InboxPrefix(name string) string { return "_INBOX_" + name }

// MaxMessage is the most bytes one message may have on any stream.
const MaxMessage = 1 << 20
