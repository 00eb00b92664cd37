package coordinator

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// publish puts a message on the bus and waits until it is there.
func (r *rig) publish(msg *nats.Msg) {
	r.t.Helper()
	if _, err := r.bus.JS.PublishMsg(r.t.Context(), msg); err != nil {
		r.t.Fatal(err)
	}
}

func onSubject(subject string, data []byte, header ...string) *nats.Msg {
	msg := nats.NewMsg(subject)
	for i := 0; i < len(header); i += 2 {
		msg.Header.Set(header[i], header[i+1])
	}
	msg.Data = data
	return msg
}

// evil is everything a connector, or somebody on its subject, could say that
// must not count.
func (r *rig) evil(crm, ads *standin.Connector, job *habeasv1.Job) map[string]*nats.Msg {
	r.t.Helper()
	signed := func(key ed25519.PrivateKey, issuer string, p wire.Predicate) []byte {
		s, err := wire.NewSigner(key, issuer, "evil", "1", "")
		if err != nil {
			r.t.Fatal(err)
		}
		rec, err := s.Sign(p, job.GetRequestId(), nil)
		if err != nil {
			r.t.Fatal(err)
		}
		return rec.Envelope
	}
	_, unknown, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	crmSubject, adsSubject := wire.EvidenceSubject("crm"), wire.EvidenceSubject("ads")
	good := signed(crm.Evidence, "crm", crm.OutcomeRecord(job, nil))
	altered := bytes.Replace(good, []byte(`"sig":"`), []byte(`"sig":"A`), 1)
	other := func(change func(*habeasv1.OutcomeRecord)) []byte {
		p := crm.OutcomeRecord(job, nil)
		change(p)
		return signed(crm.Evidence, "crm", p)
	}
	sealed := func(by, to wire.SealKey, id string) []byte {
		out, err := by.SealSubject(&habeasv1.Subject{JobId: id, Identifiers: []*habeasv1.Identifier{{Kind: "device_id", Value: "evil"}}}, to.Public())
		if err != nil {
			r.t.Fatal(err)
		}
		return out
	}
	discovered := func(subject string, d *habeasv1.Discovered) *nats.Msg {
		body, err := proto.Marshal(d)
		if err != nil {
			r.t.Fatal(err)
		}
		return onSubject(subject, body, wire.HeaderType, "habeas.v1.Discovered")
	}
	logged := func(digest []byte, id string) *nats.Msg {
		body, err := proto.Marshal(&habeasv1.Logged{Records: []*habeasv1.LoggedRecord{{Digest: digest, RequestId: id, Type: "closure"}}})
		if err != nil {
			r.t.Fatal(err)
		}
		return onSubject(wire.SubjectLogged, body, wire.HeaderType, "habeas.v1.Logged")
	}
	seal, jobID, reqID := crm.Seal, job.GetJobId(), job.GetRequestId()
	return map[string]*nats.Msg{
		"no JSON":                      onSubject(crmSubject, []byte("\x00\xff{")),
		"empty":                        onSubject(crmSubject, nil),
		"no signature":                 onSubject(crmSubject, []byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}`)),
		"altered signature":            onSubject(crmSubject, altered),
		"altered payload":              onSubject(crmSubject, bytes.Replace(good, []byte(`"payload":"ey`), []byte(`"payload":"eY`), 1)),
		"signed by an unknown key":     onSubject(crmSubject, signed(unknown, "crm", crm.OutcomeRecord(job, nil))),
		"signed by another's key":      onSubject(crmSubject, signed(ads.Evidence, "crm", crm.OutcomeRecord(job, nil))),
		"another's record":             onSubject(crmSubject, signed(ads.Evidence, "ads", crm.OutcomeRecord(job, nil))),
		"for another's job":            onSubject(adsSubject, signed(ads.Evidence, "ads", crm.OutcomeRecord(job, nil))),
		"own key, another's name":      onSubject(crmSubject, signed(crm.Evidence, "ads", crm.OutcomeRecord(job, nil))),
		"published by somebody new":    onSubject(wire.EvidenceSubject("nobody"), good),
		"no such job":                  onSubject(crmSubject, other(func(p *habeasv1.OutcomeRecord) { p.JobId = string(request.NewID()) })),
		"no such request":              onSubject(crmSubject, other(func(p *habeasv1.OutcomeRecord) { p.RequestId = string(request.NewID()) })),
		"a request id that is none":    onSubject(crmSubject, other(func(p *habeasv1.OutcomeRecord) { p.RequestId = "a\x00b" })),
		"no request id":                onSubject(crmSubject, other(func(p *habeasv1.OutcomeRecord) { p.RequestId = "" })),
		"another action":               onSubject(crmSubject, other(func(p *habeasv1.OutcomeRecord) { p.Action = habeasv1.Action_ACTION_LOCATE })),
		"a room's record":              onSubject(crmSubject, signed(crm.Evidence, "crm", &habeasv1.ClosureRecord{RequestId: reqID, Result: "complete"})),
		"found: no message":            onSubject(wire.DiscoveredSubject("crm"), []byte("\xff\xff"), wire.HeaderType, "habeas.v1.Discovered"),
		"found: another type":          onSubject(wire.DiscoveredSubject("crm"), nil, wire.HeaderType, "habeas.v1.Job"),
		"found: for an acting job":     discovered(wire.DiscoveredSubject("crm"), &habeasv1.Discovered{JobId: jobID, RequestId: reqID, Connector: "crm", SealerKey: seal.Public(), SealedSubject: sealed(seal, r.seal, jobID)}),
		"found: by another":            discovered(wire.DiscoveredSubject("crm"), &habeasv1.Discovered{JobId: jobID, RequestId: reqID, Connector: "ads", SealerKey: seal.Public(), SealedSubject: sealed(seal, r.seal, jobID)}),
		"found: by nobody":             discovered(wire.DiscoveredSubject("nobody"), &habeasv1.Discovered{JobId: jobID, RequestId: reqID, Connector: "nobody", SealerKey: seal.Public(), SealedSubject: sealed(seal, r.seal, jobID)}),
		"found: sealed by another key": discovered(wire.DiscoveredSubject("crm"), &habeasv1.Discovered{JobId: jobID, RequestId: reqID, Connector: "crm", SealerKey: ads.Seal.Public(), SealedSubject: sealed(ads.Seal, r.seal, jobID)}),
		"found: sealed to another":     discovered(wire.DiscoveredSubject("crm"), &habeasv1.Discovered{JobId: jobID, RequestId: reqID, Connector: "crm", SealerKey: seal.Public(), SealedSubject: sealed(seal, ads.Seal, jobID)}),
		"found: for another job":       discovered(wire.DiscoveredSubject("crm"), &habeasv1.Discovered{JobId: jobID, RequestId: reqID, Connector: "crm", SealerKey: seal.Public(), SealedSubject: sealed(seal, r.seal, "x")}),
		"found: no such request":       discovered(wire.DiscoveredSubject("crm"), &habeasv1.Discovered{JobId: jobID, RequestId: string(request.NewID()), Connector: "crm", SealerKey: seal.Public(), SealedSubject: sealed(seal, r.seal, jobID)}),
		"found: request id is none":    discovered(wire.DiscoveredSubject("crm"), &habeasv1.Discovered{JobId: jobID, RequestId: "a\x00b", Connector: "crm", SealerKey: seal.Public(), SealedSubject: sealed(seal, r.seal, jobID)}),
		"logged: no message":           onSubject(wire.SubjectLogged, []byte("\xff\xff"), wire.HeaderType, "habeas.v1.Logged"),
		"logged: a closure not made":   logged(make([]byte, 32), reqID),
		"logged: of nothing":           logged(nil, "a\x00b"),
		"logged: digest is none":       logged([]byte("short"), reqID),
	}
}

// quiet waits until the coordinator has dealt with everything on the bus.
func (r *rig) quiet() {
	r.t.Helper()
	r.until("everything was read", func() bool {
		for stream, durable := range map[string]string{
			wire.StreamEvidence: wire.ConsumerCoordinatorEvidence, wire.StreamDiscovered: wire.ConsumerCoordinatorDiscovered, wire.StreamEvents: wire.ConsumerCoordinatorLogged,
		} {
			c, err := r.bus.JS.Consumer(r.t.Context(), stream, durable)
			if err != nil {
				r.t.Fatal(err)
			}
			if info := c.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0 {
				return false
			}
		}
		return true
	})
}

// jobOf is the message of a job that is out.
func jobOf(req *store.Request, j *store.Job) *habeasv1.Job {
	return &habeasv1.Job{JobId: string(j.ID), RequestId: string(req.ID), Connector: j.Connector, Action: wireAction(j.Action), Attempt: int32(j.Attempt)}
}

func TestOnlyTheRightAnswerCounts(t *testing.T) {
	onBothStores(t, func(t *testing.T, r *rig) {
		crm := standin.New(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail, Yields: []string{"device_id"}, Abilities: []habeasv1.Action{habeasv1.Action_ACTION_ERASE}})
		ads := standin.New(t, r.bus.JS, standin.Script{Name: "ads", Accepts: []string{"device_id"}})
		r.start(nil)
		r.known("crm", "ads")
		rid := r.one("jane@example.com")
		r.until("the job is out", func() bool {
			_, jobs := r.get(rid)
			return len(jobs) == 1 && jobs[0].State == request.JobSent
		})
		r.quiet()
		before, jobs := r.get(rid)
		job := jobOf(&before, &jobs[0])
		evil := r.evil(crm, ads, job)
		for name, msg := range evil {
			r.publish(msg)
			r.quiet()
			after, now := r.get(rid)
			if diff := cmp.Diff(jobs, now) + cmp.Diff(before.Kinds, after.Kinds); diff != "" || after.State() != before.State() || !slices.Equal(after.Sealed, before.Sealed) {
				t.Fatalf("%s: it counted: %s", name, diff)
			}
		}
		for _, body := range []string{"{", `["a\u0000b"]`, `[7]`, `"x"`} {
			if err := r.bus.Conn.Publish(wire.HintSubject(Name), []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
		r.publish(crm.Record(crm.OutcomeRecord(job, nil)))
		r.closed(request.ResultComplete, rid)
		for _, msg := range evil { // and not afterwards either
			msg.Header.Del(nats.MsgIdHdr)
			r.publish(msg)
		}
		r.quiet()
		r.closed(request.ResultComplete, rid)
	})
}

func TestManifestsThatAreRefused(t *testing.T) {
	r := newRig(t)
	crm := standin.New(t, r.bus.JS, standin.Script{Name: "crm", Accepts: acceptsEmail})
	r.start(nil)
	r.known("crm")
	kv, err := r.bus.JS.KeyValue(t.Context(), wire.BucketConnectors)
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, change func(*habeasv1.Manifest)) {
		m := crm.Manifest()
		m.Name = key
		change(m)
		body, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), key, body); err != nil {
			t.Fatal(err)
		}
	}
	put("audit", func(*habeasv1.Manifest) {}) // a room's name
	put("mallory", func(m *habeasv1.Manifest) { m.Name = "crm" })
	put("Mallory", func(*habeasv1.Manifest) {})
	put("no-key", func(m *habeasv1.Manifest) { m.EvidenceKey = []byte("no") })
	put("no-seal", func(m *habeasv1.Manifest) { m.SealKey = "" })
	put("bad-seal", func(m *habeasv1.Manifest) { m.SealKey = "XNOTAKEY" })
	if _, err := kv.Put(t.Context(), "garbage", []byte("\xff\xff\xff")); err != nil {
		t.Fatal(err)
	}
	put("last", func(*habeasv1.Manifest) {})
	r.known("last")
	have, err := r.store.Connectors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range have {
		if c.Name != "crm" && c.Name != "last" {
			t.Errorf("%s was enrolled", c.Name)
		}
	}
	// Who comes later with another's key speaks for the owner of the key only.
	keys, err := r.store.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if owner := keys[crm.Signer.KeyID()].Owner; owner != "crm" {
		t.Errorf("the key of crm is %s's now", owner)
	}
}
