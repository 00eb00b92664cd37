// Package proto_test proves properties of the contract from its descriptors.
package proto_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// files are the contract's files; TestFilesAreAll makes sure of it.
var files = []protoreflect.FileDescriptor{
	habeasv1.File_habeas_v1_discovered_proto, habeasv1.File_habeas_v1_event_proto, habeasv1.File_habeas_v1_evidence_proto,
	habeasv1.File_habeas_v1_job_proto, habeasv1.File_habeas_v1_manifest_proto, habeasv1.File_habeas_v1_outcome_proto,
	habeasv1.File_habeas_v1_subject_proto,
}

// personal are the only messages from which a personal field can be reached.
var personal = []protoreflect.FullName{"habeas.v1.Subject", "habeas.v1.Identifier", "habeas.v1.Correction"}

func messages() []protoreflect.MessageDescriptor {
	var all []protoreflect.MessageDescriptor
	for _, f := range files {
		for i := range f.Messages().Len() {
			all = append(all, f.Messages().Get(i))
		}
	}
	return all
}

// walk calls f for every field that can be reached from m.
func walk(m protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool, f func(protoreflect.FieldDescriptor)) {
	if seen[m.FullName()] {
		return
	}
	seen[m.FullName()] = true
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		f(field)
		if field.Message() != nil {
			walk(field.Message(), seen, f)
		}
	}
}

func isPersonal(f protoreflect.FieldDescriptor) bool {
	options, ok := f.Options().(*descriptorpb.FieldOptions)
	return ok && options.GetDebugRedact()
}

// TestPersonalDataStaysSealed proves that what comes back names nobody: from
// no outcome, record, event or manifest, nor from a job, can a field of
// personal data be reached. Jobs and Discovered carry sealed bytes.
func TestPersonalDataStaysSealed(t *testing.T) {
	reached := 0
	for _, m := range messages() {
		walk(m, map[protoreflect.FullName]bool{}, func(f protoreflect.FieldDescriptor) {
			if !isPersonal(f) {
				return
			}
			reached++
			if !slices.Contains(personal, m.FullName()) {
				t.Errorf("%s reaches the personal field %s", m.FullName(), f.FullName())
			}
		})
	}
	if reached == 0 {
		t.Error("no field is marked debug_redact: the proof proves nothing")
	}
}

// TestRecordsAreWalked makes sure the proof above looks where it matters.
func TestRecordsAreWalked(t *testing.T) {
	seen := map[protoreflect.FullName]bool{}
	for _, m := range messages() {
		seen[m.FullName()] = true
	}
	for _, name := range []protoreflect.FullName{
		"habeas.v1.Job", "habeas.v1.Discovered", "habeas.v1.Outcome", "habeas.v1.OutcomeRecord", "habeas.v1.LocatedRecord", "habeas.v1.PlanRecord",
		"habeas.v1.ClosureRecord", "habeas.v1.RequestChanged", "habeas.v1.Logged", "habeas.v1.Manifest", "habeas.v1.Subject",
	} {
		if !seen[name] {
			t.Errorf("%s is not looked at", name)
		}
	}
}

// TestFilesAreAll fails when a file of the contract is not looked at.
func TestFilesAreAll(t *testing.T) {
	for _, f := range files {
		for i := range f.Imports().Len() {
			imported := f.Imports().Get(i)
			if strings.HasPrefix(imported.Path(), "habeas/") && !slices.ContainsFunc(files, func(g protoreflect.FileDescriptor) bool { return g.Path() == imported.Path() }) {
				t.Errorf("%s imports %s, which is not looked at", f.Path(), imported.Path())
			}
		}
	}
}

// TestRecordsHaveOrigins: every record says where it comes from, in its first
// field.
func TestRecordsHaveOrigins(t *testing.T) {
	for _, m := range messages() {
		if !strings.HasSuffix(string(m.Name()), "Record") || m.Name() == "LoggedRecord" {
			continue
		}
		origin := m.Fields().ByNumber(1)
		if origin == nil || origin.Message() == nil || origin.Message().Name() != "Origin" {
			t.Errorf("%s has no origin in field 1", m.FullName())
		}
	}
}

// TestEnumsStartUnspecified: the zero of every enum means that nothing was
// said, so that what a reader does not know is never taken for something else.
func TestEnumsStartUnspecified(t *testing.T) {
	for _, f := range files {
		for i := range f.Enums().Len() {
			if zero := f.Enums().Get(i).Values().ByNumber(0); zero == nil || !strings.HasSuffix(string(zero.Name()), "_UNSPECIFIED") {
				t.Errorf("%s: the zero value is %v", f.Enums().Get(i).FullName(), zero)
			}
		}
	}
}
