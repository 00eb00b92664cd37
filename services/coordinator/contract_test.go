package coordinator

import (
	"testing"

	"google.golang.org/protobuf/proto"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/standin"
)

// A third party is enabled with a contract that is named, and not before.
func TestThirdPartyNeedsAContract_VN1(t *testing.T) {
	r := newRig(t)
	ads := standin.New(t, r.bus.JS, standin.Script{Name: "ads", Accepts: acceptsEmail, Tier: habeasv1.Tier_TIER_THIRD_PARTY})
	r.start(nil)
	kv, err := r.bus.JS.KeyValue(t.Context(), wire.BucketConnectors)
	if err != nil {
		t.Fatal(err)
	}
	announce := func(name, contract string, tier habeasv1.Tier) {
		m := ads.Manifest()
		m.Name, m.Contract, m.Tier = name, contract, tier
		body, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kv.Put(t.Context(), name, body); err != nil {
			t.Fatal(err)
		}
	}
	announce("adnet", " ", habeasv1.Tier_TIER_THIRD_PARTY)
	announce("mailer", "", habeasv1.Tier_TIER_OWN_STORE)
	r.known("mailer") // it came after, so the first was looked at
	have, err := r.store.Connectors(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range have {
		if c.Name == "adnet" {
			t.Error("a third party was enrolled without a contract")
		}
	}
	announce("adnet", "TPA-2026-003", habeasv1.Tier_TIER_THIRD_PARTY)
	r.known("adnet")
}
