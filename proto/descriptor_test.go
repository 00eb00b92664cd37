// Package proto_test proves properties of the contract from its descriptors.
package proto_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "github.com/habeas-data/habeas/proto/gen/go/habeas/v1" // registers the contract
)

// files are the contract's files, all that are registered.
var files = func() []protoreflect.FileDescriptor {
	var all []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFilesByPackage("habeas.v1", func(f protoreflect.FileDescriptor) bool {
		all = append(all, f)
		return true
	})
	return all
}()

// sealed are the only messages from which a personal field can be reached. Each
// travels in sealed bytes alone.
var sealed = []protoreflect.FullName{
	"habeas.v1.Subject", "habeas.v1.Identifier", "habeas.v1.Correction",
	"habeas.v1.MatchClaims",
	"habeas.v1.TaskQuestion", "habeas.v1.TaskChange", "habeas.v1.TaskProof", "habeas.v1.TaskFile", "habeas.v1.TaskAnswer", "habeas.v1.Task",
	"habeas.v1.PeopleQuestion", "habeas.v1.PeoplePage", "habeas.v1.HeldPerson", "habeas.v1.HeldName",
}

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

// TestPersonalDataStaysSealed proves that what is not sealed names nobody: from
// no outcome, record, event or manifest, nor from a job, a question, a call or an
// answer, can a field of personal data be reached. They carry sealed bytes.
func TestPersonalDataStaysSealed(t *testing.T) {
	reached := map[protoreflect.FullName]bool{}
	for _, m := range messages() {
		walk(m, map[protoreflect.FullName]bool{}, func(f protoreflect.FieldDescriptor) {
			if !isPersonal(f) {
				return
			}
			reached[m.FullName()] = true
			if !slices.Contains(sealed, m.FullName()) {
				t.Errorf("%s reaches the personal field %s", m.FullName(), f.FullName())
			}
		})
	}
	for _, name := range sealed {
		if !reached[name] {
			t.Errorf("%s has no field that is marked debug_redact: mark it, or say that it may travel open", name)
		}
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
		"habeas.v1.MatchQuestion", "habeas.v1.MatchAnswer", "habeas.v1.TaskCall", "habeas.v1.TaskReply", "habeas.v1.PeopleCall", "habeas.v1.PeopleReply",
	} {
		if !seen[name] {
			t.Errorf("%s is not looked at", name)
		}
	}
}

// TestFilesAreAll fails when a file of the contract is not looked at.
func TestFilesAreAll(t *testing.T) {
	written, err := filepath.Glob("habeas/v1/*.proto")
	if err != nil || len(written) == 0 {
		t.Fatalf("%d files are written: %v", len(written), err)
	}
	var have []string
	for _, f := range files {
		have = append(have, f.Path())
	}
	slices.Sort(have)
	if !slices.Equal(have, written) {
		t.Errorf("looked at %v, written are %v", have, written)
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
