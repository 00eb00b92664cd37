package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/ledger"
	"github.com/habeas-data/habeas/services/internal/metertest"
)

func TestRecordsBecomeLeaves(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := newScene(t, dsn, time.Second)
		records := []*wire.Record{s.keyOf(s.crm, nil)}
		for range 50 {
			records = append(records, s.outcome("r1", "j1"), s.outcome("r2", "j2"))
		}
		s.publish(records...)
		leaves := s.wantLogged(records...)
		seen := map[int64]bool{}
		for _, leaf := range leaves {
			seen[leaf] = true
		}
		// The room's own key record is leaf 0.
		for leaf := range int64(len(records)) {
			if !seen[leaf+1] {
				t.Errorf("no record has leaf %d", leaf+1)
			}
		}

		// Told again when the bus delivers again, with the same leaf.
		s.publishAs("crm", records[5].Envelope)
		if again := s.wantLogged(records[5]); again[0] != leaves[5] {
			t.Errorf("second telling: leaf %d, want %d", again[0], leaves[5])
		}

		// Another room on the same database takes over where this one is.
		other := s.start(s.config)
		s.ready(other)
		more := s.outcome("r1", "j3")
		s.publish(more)
		if leaf := s.wantLogged(more)[0]; leaf != int64(len(records))+1 {
			t.Errorf("next leaf is %d, want %d", leaf, len(records)+1)
		}

		var got []auditapi.Record
		err := s.api.Records(t.Context(), "r1", func(l auditapi.Line) error {
			if l.Record != nil {
				got = append(got, *l.Record)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 52 || got[0].Type != "key" || !bytes.Equal(got[1].Envelope, records[1].Envelope) {
			t.Errorf("%d records of the request, the first of type %s; want its key and 51 outcomes", len(got), got[0].Type)
		}
		if err := s.api.Records(t.Context(), "nobody", nil); !errors.Is(err, auditapi.ErrNotFound) {
			t.Errorf("records of an unknown request: %v, want ErrNotFound", err)
		}
	})
}

func TestRecordsWaitForTheirKey(t *testing.T) {
	s := newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), 30*time.Second)
	early := s.outcome("r1", "j1")
	marker := s.keyOf(newSigner(t, "billing"), nil)
	s.publish(early, marker)
	s.wantLogged(marker) // by then the early record was seen and held
	s.publish(s.keyOf(s.crm, nil))
	s.wantLogged(early)
	if n := len(s.rejected()); n != 0 {
		t.Errorf("%d records were refused", n)
	}
}

func TestRecordsOfUnknownKeysAreSetAsideAndTakenUpAgain(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := newScene(t, dsn, 100*time.Millisecond)
		lost := s.outcome("r1", "j1")
		s.publish(lost)
		s.eventually("it is set aside", func() bool { return s.rejected()[lost.Digest].Reason == "unknown_key" })
		s.publish(s.keyOf(s.crm, nil))
		s.wantLogged(lost)
		s.eventually("it is released", func() bool { return len(s.rejected()) == 0 })
	})
}

func TestRefusals(t *testing.T) {
	s := newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), 30*time.Second)
	revoked, ended, future := newSigner(t, "billing"), newSigner(t, "lake"), newSigner(t, "adtech")
	keys := []*wire.Record{
		s.keyOf(s.crm, nil),
		s.keyOf(revoked, nil),
		s.keyOf(revoked, func(k *habeasv1.KeyRecord) { k.Revoked = true }),
		s.keyOf(ended, func(k *habeasv1.KeyRecord) {
			k.NotBeforeTime = timestamppb.New(time.Now().Add(-2 * time.Hour))
			k.NotAfterTime = timestamppb.New(time.Now().Add(-time.Hour))
		}),
		s.keyOf(future, func(k *habeasv1.KeyRecord) { k.NotBeforeTime = timestamppb.New(time.Now().Add(time.Hour)) }),
	}
	s.publish(keys...)
	s.wantLogged(keys...)
	outcome := func(by *wire.Signer) []byte {
		return s.sign(by, &habeasv1.OutcomeRecord{RequestId: "r1", JobId: "j"}, "r1").Envelope
	}
	// Another record's signature, which is well formed.
	signature := regexp.MustCompile(`"sig":"[^"]*"`)
	forged := signature.ReplaceAll(outcome(s.crm), signature.Find(outcome(s.crm)))
	for _, c := range []struct {
		name, subject, reason string
		envelope              []byte
	}{
		{"not a record", "crm", "malformed", []byte("hello")},
		{"not its subject", "billing", "wrong_issuer", outcome(s.crm)},
		{"altered signature", "crm", "bad_signature", forged},
		{"revoked key", "billing", "key_not_valid", outcome(revoked)},
		{"ended key", "lake", "key_not_valid", outcome(ended)},
		{"key of tomorrow", "adtech", "key_not_valid", outcome(future)},
		{"a connector that plans", "crm", "not_authorised", s.sign(s.crm, &habeasv1.PlanRecord{RequestId: "r1"}, "r1").Envelope},
		{"a connector that makes keys", "crm", "not_authorised",
			s.sign(s.crm, &habeasv1.KeyRecord{Owner: "crm", PublicKey: wire.PublicDER(future.Public()), Fingerprint: future.KeyID()}, "").Envelope},
		{"a key with two owners", "coordinator", "not_authorised",
			s.keyOf(s.crm, func(k *habeasv1.KeyRecord) { k.Owner = "billing" }).Envelope},
		{"a key under another name", "coordinator", "malformed",
			s.keyOf(s.crm, func(k *habeasv1.KeyRecord) { k.Fingerprint = future.KeyID() }).Envelope},
		{"a closure with a short digest", "coordinator", "malformed",
			s.sign(s.coordinator, &habeasv1.ClosureRecord{RequestId: "r1", RecordDigests: [][]byte{{1}}}, "r1").Envelope},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			s.publishAs(c.subject, c.envelope)
			digest := sha256.Sum256(c.envelope)
			var have auditapi.Rejected
			s.eventually("it is refused", func() bool {
				have = s.rejected()[digest]
				return have.Reason != ""
			})
			if have.Reason != c.reason {
				t.Errorf("refused as %s (%s), want %s", have.Reason, have.Detail, c.reason)
			}
			if have.Subject != wire.EvidenceSubject(c.subject) {
				t.Errorf("kept with subject %s", have.Subject)
			}
		})
	}
	s.t = t
	// The room goes on.
	good := s.outcome("r1", "j9")
	s.publish(good)
	s.wantLogged(good)
}

func TestAClosureWaitsForItsRecords(t *testing.T) {
	eachDatabase(t, func(t *testing.T, dsn string) {
		s := newScene(t, dsn, 30*time.Second)
		first, second := s.outcome("r1", "j1"), s.outcome("r1", "j2")
		closure := s.sign(s.coordinator, &habeasv1.ClosureRecord{RequestId: "r1", Result: "complete",
			RecordDigests: [][]byte{first.Digest[:], second.Digest[:]}}, "r1")
		s.publish(s.keyOf(s.crm, nil), closure, first)
		s.wantLogged(first)
		s.publish(second)
		leaves := s.wantLogged(second, closure)
		if leaves[1] < leaves[0] {
			t.Errorf("closure is leaf %d, before %d that it names", leaves[1], leaves[0])
		}
	})
}

// The broker loses everything in mid-run; the file still guards, and what is
// published again is logged.
func TestTheBrokerLosesEverything(t *testing.T) {
	s := newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	before := s.outcome("r1", "j1")
	s.publish(s.keyOf(s.crm, nil), before)
	leaf := s.wantLogged(before)[0]
	s.deaf()
	for _, stream := range []string{wire.StreamEvidence, wire.StreamEvents, "KV_habeas_log_head"} {
		if err := s.bus.JS.DeleteStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually("the room makes its stream again", func() bool {
		_, err := s.bus.JS.Consumer(t.Context(), wire.StreamEvents, wire.ConsumerCoordinatorLogged)
		return err == nil
	})
	s.listen()
	after := s.outcome("r1", "j2")
	s.publish(before, after)
	if leaves := s.wantLogged(before, after); leaves[0] != leaf || leaves[1] != leaf+1 {
		t.Errorf("leaves %v, want %d and %d", leaves, leaf, leaf+1)
	}
	s.eventually("the head is in the bucket again", func() bool {
		kv, err := s.bus.JS.KeyValue(t.Context(), "habeas_log_head")
		if err != nil {
			return false
		}
		keys, err := kv.Keys(t.Context())
		return err == nil && len(keys) == 1
	})
}

func TestReadySaysThatTheDatabaseWasRolledBack(t *testing.T) {
	meter := metertest.Global(t)
	s := newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	rec := s.outcome("r1", "j1")
	s.publish(s.keyOf(s.crm, nil), rec)
	s.wantLogged(rec)
	config := s.config
	config.DSN = "sqlite:" + filepath.Join(t.TempDir(), "older.db")
	if err := Migrate(t.Context(), config.DSN, "up"); err != nil {
		t.Fatal(err)
	}
	s.eventually("a head is signed", func() bool {
		l, err := s.room.log()
		return err == nil && l.Signed().Size == 3
	})
	other := s.start(config)
	s.eventually("it is not ready and says why", func() bool { return errors.Is(other.Ready(), ledger.ErrRolledBack) })
	s.eventually("it is measured", func() bool {
		n, ok := meter.Value("habeas.audit.history.disputed", "by", "guard", "kind", "rolled_back")
		return ok && n == 1
	})
	server := httptest.NewServer(other.Handler())
	defer server.Close()
	resp, err := http.Get(server.URL + "/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("/checkpoint of a refused log: %s", resp.Status)
	}
}

func TestErasedEnvelopes(t *testing.T) {
	s := newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	rec := s.outcome("r1", "j1")
	s.publish(s.keyOf(s.crm, nil), rec)
	leaf := s.wantLogged(rec)[0]
	s.eventually("a head covers it", func() bool {
		l, err := s.room.log()
		return err == nil && l.Signed().Size > leaf
	})
	count, err := s.room.EraseEnvelopes(t.Context(), 0, leaf, "evidence-5y")
	if err != nil || count != 1 {
		t.Fatalf("erased %d, %v; want 1", count, err)
	}
	err = s.api.Records(t.Context(), "r1", func(l auditapi.Line) error {
		if l.Record != nil && l.Record.Type == "outcome" && (l.Record.Envelope != nil || l.Record.Proof == "") {
			t.Errorf("leaf %d: envelope of %d bytes, proof %q", l.Record.Leaf, len(l.Record.Envelope), l.Record.Proof)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPopulation(t *testing.T) {
	s := newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	intake := func(id, date string) *wire.Record {
		return s.sign(s.coordinator, &habeasv1.IntakeRecord{RequestId: id, Right: "delete", Regime: "us-ca-ccpa", Channel: "web", ReceiveDate: date}, id)
	}
	a, b, c := intake("r1", "2026-10-31"), intake("r2", "2026-11-01"), intake("r3", "2026-11-30")
	closure := s.sign(s.coordinator, &habeasv1.ClosureRecord{RequestId: "r2", Result: "complete", RecordDigests: [][]byte{b.Digest[:]}}, "r2")
	s.publish(a, b, c, closure)
	s.wantLogged(a, b, c, closure)
	var rows []auditapi.Request
	err := s.api.Population(t.Context(), "2026-11-01", "2026-12-01", func(l auditapi.Line) error {
		if l.Request != nil {
			rows = append(rows, *l.Request)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].RequestID != "r2" || rows[0].Result != "complete" || rows[0].Records != 2 || rows[1].ClosureLeaf != -1 {
		t.Errorf("population: %+v", rows)
	}
	if err := s.api.Population(t.Context(), "2026-12-01", "yesterday", nil); err == nil || !strings.Contains(err.Error(), "yyyy-mm-dd") {
		t.Errorf("a wrong date: %v", err)
	}
}

func TestTokenGuardsEnvelopesAndNothingElse(t *testing.T) {
	s := newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	config := s.config
	config.Token = "s3cret"
	guarded := s.start(config)
	s.ready(guarded)
	server := httptest.NewServer(guarded.Handler())
	defer server.Close()
	for token, want := range map[string]bool{"": false, "wrong": false, "s3cret": true} {
		client := &auditapi.Client{URL: server.URL, Token: token}
		if err := client.Keys(t.Context(), func(auditapi.Line) error { return nil }); (err == nil) != want {
			t.Errorf("with token %q: %v", token, err)
		}
	}
	resp, err := http.Get(server.URL + "/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("/checkpoint without a token: %s", resp.Status)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	s := newScene(t, "sqlite:"+filepath.Join(t.TempDir(), "audit.db"), time.Second)
	for field, edit := range map[string]func(*Config){
		"JS":             func(c *Config) { c.JS = nil },
		"DSN":            func(c *Config) { c.DSN = "" },
		"StateDir":       func(c *Config) { c.StateDir = "" },
		"Signer":         func(c *Config) { c.Signer = nil },
		"Authorities[0]": func(c *Config) { c.Authorities = []ed25519.PublicKey{{1}} },
		"origin":         func(c *Config) { c.Origin = "a b" },
	} {
		config := s.config
		edit(&config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("without %s: %v", field, err)
		}
	}
}
