package wire_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/proto/wire/wiretest"
)

// users starts a server with an unbounded user for the rooms and one for each
// connector, and returns their connections by name.
func users(t *testing.T, connectors ...string) map[string]*nats.Conn {
	t.Helper()
	all := []*server.User{{Username: "rooms", Password: "x"}}
	for _, name := range connectors {
		publish, subscribe := wire.Permissions(name)
		all = append(all, &server.User{Username: name, Password: "x", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
		}})
	}
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), Users: all, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the server is not ready")
	}
	conns := map[string]*nats.Conn{}
	for _, u := range all {
		conn, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(u.Username, "x"), nats.CustomInboxPrefix(wire.InboxPrefix(u.Username)),
			nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(conn.Close)
		conns[u.Username] = conn
	}
	return conns
}

func jsOf(t *testing.T, conn *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// The server asks nobody whether the subject that an answer is to go to is one the
// asker may publish on. So nothing may answer a connector with bytes of its own
// choice: it could speak for another, or to JetStream itself.
func TestNothingAnswersWithAConnectorsOwnBytes(t *testing.T) {
	conns := users(t, "crm", "adtech")
	js := jsOf(t, conns["rooms"])
	if err := wire.EnsureStreams(t.Context(), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"crm", "adtech"} {
		if err := wire.EnsureConnector(t.Context(), js, name, wire.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	object := "$O." + wire.ExportBucket("adtech") + ".M.x"
	if _, err := jsOf(t, conns["adtech"]).Publish(t.Context(), object, []byte("forged")); err != nil {
		t.Fatal(err)
	}
	direct := "$JS.API.DIRECT.GET.OBJ_" + wire.ExportBucket("adtech")
	for _, subject := range []string{direct, direct + "." + object} {
		if _, err := conns["rooms"].Request(subject, []byte(`{"seq":1}`), 5*time.Second); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s is answered: %v", subject, err)
		}
		if err := conns["adtech"].PublishRequest(subject, "$KV."+wire.BucketConnectors+".crm", nil); err != nil {
			t.Fatal(err)
		}
		if err := conns["adtech"].Flush(); err != nil {
			t.Fatal(err)
		}
		if err := conns["adtech"].LastError(); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("a connector may ask %s: %v", subject, err)
		}
	}
}

// A connector writes its own line in the bucket of connectors and takes nobody
// else's away.
func TestNobodyRollsUpTheConnectors(t *testing.T) {
	conns := users(t, "crm", "adtech")
	js := jsOf(t, conns["rooms"])
	if err := wire.EnsureStreams(t.Context(), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := jsOf(t, conns["crm"]).Publish(t.Context(), "$KV."+wire.BucketConnectors+".crm", []byte("crm's own")); err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"all", "sub"} {
		m := nats.NewMsg("$KV." + wire.BucketConnectors + ".adtech")
		m.Header.Set("Nats-Rollup", how)
		if _, err := jsOf(t, conns["adtech"]).PublishMsg(t.Context(), m); err == nil {
			t.Errorf("a roll-up of %s is taken", how)
		}
	}
	kv, err := js.KeyValue(t.Context(), wire.BucketConnectors)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(t.Context(), "crm"); err != nil || string(e.Value()) != "crm's own" {
		t.Errorf("crm's line: %v", err)
	}
}

// Buckets that were made with the clients' own settings are changed.
func TestOldBucketsAreNarrowed(t *testing.T) {
	bus := wiretest.New(t)
	if err := bus.JS.DeleteStream(t.Context(), "KV_"+wire.BucketConnectors); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.JS.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: wire.BucketConnectors, Description: "Manifests and signs of life.", Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.JS.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: wire.ExportBucket("crm"), TTL: 7 * 24 * time.Hour, Replicas: 1, Description: "Sealed export parts."}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := wire.EnsureStreams(t.Context(), bus.JS, wire.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := wire.EnsureConnector(t.Context(), bus.JS, "crm", wire.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := bus.JS.Stream(t.Context(), "KV_"+wire.BucketConnectors)
	if err != nil || lines.CachedInfo().Config.AllowRollup || !lines.CachedInfo().Config.AllowDirect {
		t.Errorf("the bucket of connectors is %+v: %v", lines.CachedInfo().Config, err)
	}
	parts, err := bus.JS.Stream(t.Context(), "OBJ_"+wire.ExportBucket("crm"))
	if err != nil || parts.CachedInfo().Config.AllowDirect {
		t.Errorf("the export bucket is %+v: %v", parts.CachedInfo().Config, err)
	}
	store, err := bus.JS.ObjectStore(t.Context(), wire.ExportBucket("crm"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutString(t.Context(), "a/b", "sealed"); err != nil {
		t.Fatal(err)
	}
	if text, err := store.GetString(t.Context(), "a/b"); err != nil || text != "sealed" {
		t.Errorf("a part is %q: %v", text, err)
	}
}
