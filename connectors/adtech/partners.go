package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/habeas-data/habeas/connectors/opendsr"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// partner is a third party that audiences are shared with.
type partner struct {
	name       string
	domain     string
	regulation string              // when the job's regime does not say
	identities []string            // what it knows people by, in words of the configuration
	extension  []string            // likewise, carried in the request's extension for its domain
	onErase    opendsr.RequestType // "" tells it nothing
	onOptOut   opendsr.RequestType
}

// subject is what a partner may be told of one person, sorted.
type subject struct {
	emails, emailHashes, users []string
	nodes                      []node
}

// subjectOf joins what the job says with what the graph has.
func subjectOf(p sdk.Person, profiles []profile, nodes []node) subject {
	s := subject{emails: p.Values(sdk.Email), users: p.Values(sdk.UserID), emailHashes: hashes(p.Values(sdk.Email)), nodes: slices.Clone(nodes)}
	for _, f := range profiles {
		if f.user != "" {
			s.users = append(s.users, f.user)
		}
		if f.email != "" {
			s.emailHashes = append(s.emailHashes, f.email)
		}
	}
	for _, list := range []*[]string{&s.emails, &s.users, &s.emailHashes} {
		*list = slices.Compact(slices.Sorted(slices.Values(*list)))
	}
	return s
}

// withNamed adds the cookies and devices that the job names and the graph does
// not have: a partner may.
func (s subject) withNamed(p sdk.Person) subject {
	for _, id := range nodesOf(p) {
		named := node{kind: string(id.Kind), value: id.Value.Reveal()}
		if !slices.ContainsFunc(s.nodes, func(n node) bool { return n.kind == named.kind && n.value == named.value }) {
			s.nodes = append(s.nodes, named)
		}
	}
	return s
}

// values are the cookies or devices.
func (s subject) values(kind sdk.Kind) []string {
	var list []string
	for _, n := range s.nodes {
		if n.kind == string(kind) {
			list = append(list, n.value)
		}
	}
	slices.Sort(list)
	return list
}

// key is a digest of the whole subject: it changes when there is more to tell.
func (s subject) key() string {
	h := sha256.New()
	for _, list := range [][]string{s.emails, s.emailHashes, s.users, s.values(sdk.CookieID), s.values(sdk.DeviceID)} {
		fmt.Fprintf(h, "%d\x00%s\x00", len(list), strings.Join(list, "\x00"))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// notify tells every partner at once and returns nil when all have signed that
// they are done. ask says what each is asked for.
func (a *adtech) notify(ctx context.Context, s subject, ask func(partner) opendsr.RequestType) error {
	errs := make([]error, len(a.partners))
	var group sync.WaitGroup
	for i, p := range a.partners {
		if what := ask(p); what != "" {
			group.Go(func() { errs[i] = a.tell(ctx, p, what, s) })
		}
	}
	group.Wait()
	return worst(errs)
}

// worst returns the error to act on: one that no retry heals, else one that a
// retry may heal, else the unfinished work that is due soonest.
func worst(errs []error) error {
	var failed, waiting error
	var soonest time.Duration
	for _, err := range errs {
		after, notYet := sdk.AsNotYet(err)
		switch {
		case err == nil:
		case sdk.IsPermanent(err):
			return err
		case !notYet:
			failed = errors.Join(failed, err)
		case waiting == nil || after < soonest:
			waiting, soonest = err, after
		}
	}
	if failed != nil {
		return failed
	}
	return waiting
}

// tell brings one request to its end at one partner.
func (a *adtech) tell(ctx context.Context, p partner, what opendsr.RequestType, s subject) error {
	out, err := a.outgoing(ctx, p, what, s)
	if err != nil {
		return err
	}
	if len(out.Identities) == 0 && len(out.Extensions) == 0 {
		return nil // it knows people by nothing that we know of her: it never got her from us
	}
	return a.controller.Ensure(ctx, p.name, out)
}

func (a *adtech) outgoing(ctx context.Context, p partner, what opendsr.RequestType, s subject) (opendsr.Outgoing, error) {
	discovery, err := a.controller.Discover(ctx, p.name)
	if err != nil {
		return opendsr.Outgoing{}, err
	}
	if !discovery.Supports(what) {
		return opendsr.Outgoing{}, sdk.Permanent(sdk.WithCode(sdk.Configuration,
			fmt.Errorf("partner %s does not offer %q: set on_erase or opt_out to a request type in its discovery document", p.name, what)))
	}
	job := sdk.JobInfoFrom(ctx)
	out := opendsr.Outgoing{
		Key:  sdk.EffectKey(ctx, "opendsr\x00"+p.name+"\x00"+string(what)+"\x00"+s.key()),
		Type: what, Regulation: regulation(job.Regime, p.regulation), Submitted: job.Received,
	}
	for _, word := range p.identities {
		out.Identities = append(out.Identities, identities[word](s)...)
	}
	if taken := discovery.Takes(out.Identities); len(taken) < len(out.Identities) {
		return opendsr.Outgoing{}, sdk.Permanent(sdk.WithCode(sdk.Configuration,
			fmt.Errorf("partner %s does not take all of the configured identities %v: compare them with supported_identities in its discovery document", p.name, p.identities)))
	}
	extension := map[string][]string{}
	for _, word := range p.extension {
		if values := s.values(sdk.Kind(word)); len(values) > 0 {
			extension[word+"s"] = values
		}
	}
	if len(extension) > 0 {
		raw, err := json.Marshal(extension)
		if err != nil {
			return opendsr.Outgoing{}, sdk.Permanent(sdk.WithCode(sdk.Internal, errors.New("writing the extension")))
		}
		out.Extensions = map[string]json.RawMessage{p.domain: raw}
	}
	return out, nil
}

// identities makes OpenDSR identities of a subject, by the words of the
// configuration.
var identities = map[string]func(subject) []opendsr.Identity{
	"email":        func(s subject) []opendsr.Identity { return all("email", "raw", s.emails) },
	"email_sha256": func(s subject) []opendsr.Identity { return all("email", "sha256", s.emailHashes) },
	"user_id":      func(s subject) []opendsr.Identity { return all("controller_customer_id", "raw", s.users) },
	"device_id": func(s subject) []opendsr.Identity {
		var ids []opendsr.Identity
		for _, n := range s.nodes {
			if kind := advertisingID[n.platform]; n.kind == string(sdk.DeviceID) && kind != "" {
				ids = append(ids, opendsr.Identity{Type: kind, Value: n.value, Format: "raw"})
			}
		}
		return ids
	},
}

// advertisingID names a device's identifier by its platform.
var advertisingID = map[string]string{
	"ios": "ios_advertising_id", "android": "android_advertising_id", "fire": "fire_advertising_id",
	"roku": "roku_advertising_id", "windows": "microsoft_advertising_id",
}

func all(kind, format string, values []string) []opendsr.Identity {
	var ids []opendsr.Identity
	for _, v := range values {
		ids = append(ids, opendsr.Identity{Type: kind, Value: v, Format: format})
	}
	return ids
}

// regulation is the protocol's word for a regime such as "us-ca-ccpa".
func regulation(regime, otherwise string) string {
	for _, word := range []string{"ccpa", "gdpr"} {
		if strings.Contains(regime, word) {
			return word
		}
	}
	return otherwise
}
