package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"filippo.io/age"
	"github.com/nats-io/nats.go/jetstream"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// checkExport asks for a copy, opens every part and counts what is in it.
func (e *examiner) checkExport(ctx context.Context) error {
	if !e.can(habeasv1.Action_ACTION_EXPORT) {
		return skip("the connector can't export")
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	o, err := e.ask(ctx, habeasv1.Action_ACTION_EXPORT, e.people.Person, func(j *habeasv1.Job) { j.ExportRecipient = identity.Recipient().String() })
	if err != nil {
		return err
	}
	if err := wantOutcome(o, "done"); err != nil {
		return err
	}
	bucket, err := e.js.ObjectStore(ctx, wire.ExportBucket(e.name))
	if err != nil {
		return err
	}
	exported := map[string]int64{}
	for _, p := range o.GetOutcome().GetParts() {
		if err := e.checkPart(ctx, bucket, identity, p); err != nil {
			return fmt.Errorf("part %s: %w", p.GetObject(), err)
		}
		exported[p.GetStore()] += p.GetRecordCount()
	}
	located := map[string]int64{}
	for _, c := range e.located {
		located[c.GetStore()] += c.GetLocatedCount()
	}
	for store, n := range located {
		if exported[store] != n {
			return fmt.Errorf("store %s: %d records exported, %d located", store, exported[store], n)
		}
	}
	return nil
}

// checkPart reads one part as delivery would.
func (e *examiner) checkPart(ctx context.Context, bucket jetstream.ObjectStore, identity age.Identity, p *habeasv1.ExportPart) error {
	sealed, err := bucket.GetBytes(ctx, p.GetObject())
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(sealed); !bytes.Equal(sum[:], p.GetSha256()) || int64(len(sealed)) != p.GetSize() {
		return errors.New("sha256 or size is not the object's")
	}
	plain, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		return fmt.Errorf("not encrypted to the job's export_recipient: %w", err)
	}
	unzipped, err := gzip.NewReader(plain)
	if err != nil {
		return fmt.Errorf("not gzip: %w", err)
	}
	lines := bufio.NewReader(unzipped)
	var n int64
	for ; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 {
			break
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
		if err := checkLine(line, n == 0, p); err != nil {
			return fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	if n-1 != p.GetRecordCount() {
		return fmt.Errorf("%d records, record_count says %d", n-1, p.GetRecordCount())
	}
	return nil
}

// checkLine reads one line of a part. Errors don't repeat what is in it.
func checkLine(line []byte, first bool, p *habeasv1.ExportPart) error {
	if first {
		var head struct {
			Store    *string `json:"store"`
			Category *string `json:"category"`
		}
		if json.Unmarshal(line, &head) != nil || head.Store == nil || head.Category == nil || *head.Store != p.GetStore() {
			return errors.New(`want {"store":…,"category":…} with the part's store`)
		}
		return nil
	}
	var record struct {
		Fields []struct {
			Name     string          `json:"name"`
			Value    json.RawMessage `json:"value"`
			File     json.RawMessage `json:"file"`
			Withheld string          `json:"withheld"`
		} `json:"fields"`
	}
	if json.Unmarshal(line, &record) != nil || len(record.Fields) == 0 {
		return errors.New(`want {"category":…,"fields":[…]}`)
	}
	for i, f := range record.Fields {
		if f.Name == "" || !oneOf(f.Value != nil, f.File != nil, f.Withheld != "") {
			return fmt.Errorf("field %d: want a name, and a value, a file or withheld", i+1)
		}
		if f.Withheld != "" && !slices.Contains(p.GetWithheld(), f.Withheld) {
			return fmt.Errorf("field %d: withheld type %q is not in the part's withheld", i+1, f.Withheld)
		}
	}
	return nil
}

// oneOf reports whether exactly one of them is true.
func oneOf(are ...bool) bool {
	n := 0
	for _, is := range are {
		if is {
			n++
		}
	}
	return n == 1
}

// checkResolve asks for identifiers and opens what was discovered.
func (e *examiner) checkResolve(ctx context.Context) error {
	if !e.can(habeasv1.Action_ACTION_RESOLVE) {
		return skip("the connector can't resolve")
	}
	o, err := e.ask(ctx, habeasv1.Action_ACTION_RESOLVE, e.people.Person)
	if err != nil {
		return err
	}
	if err := wantOutcome(o, "done", "no_match"); err != nil || o.GetOutcome().GetNoMatch() != nil {
		return err
	}
	stream, err := e.js.Stream(ctx, wire.StreamDiscovered)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	msg, err := stream.GetLastMsgForSubject(ctx, wire.DiscoveredSubject(e.name))
	if err != nil {
		return fmt.Errorf("done, and nothing on %s: %w", wire.DiscoveredSubject(e.name), err)
	}
	d, err := wire.ParseDiscovered(msg.Header, msg.Data)
	if err != nil {
		return err
	}
	if d.GetJobId() != o.GetJobId() || d.GetRequestId() != o.GetRequestId() || d.GetConnector() != e.name {
		return errors.New("what was discovered is not of this job")
	}
	s, err := e.coordinator.OpenSubject(d.GetSealedSubject(), e.manifest.GetSealKey(), d.GetJobId())
	if err != nil {
		return err
	}
	for _, id := range s.GetIdentifiers() {
		if !slices.Contains(e.manifest.GetYields(), id.GetKind()) {
			return fmt.Errorf("kind %s is not among what the manifest yields", id.GetKind())
		}
	}
	return nil
}
