package catalogue_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/restspec"
	"github.com/habeas-data/habeas/connectors/restspec/catalogue"
	"github.com/habeas-data/habeas/connectors/restspec/vendortest"
)

// mutants are entries with one mistake each, as people make them, and the
// scenario that has to notice.
var mutants = []struct{ name, entry, old, new, noticed string }{
	{"reads the first page alone", "hubspot", "    page: {cursor: {next: paging.next.after, param: after, in: json}}\n", "", "locate_counts_what_is_there"},
	{"believes a loose search", "hubspot", "    match: [properties.email, properties.hs_additional_emails]\n", "    exact: it is surely exact\n", "a_second_address_finds_her_and_a_similar_one_does_not"},
	{"counts one member of two audiences", "mailchimp", "id: contact_id", "id: id", "locate_counts_what_is_there"},
	{"forgets the conversations", "intercom", `  - {name: delete-conversations, each: conversations, delete: "/conversations/{{ .conversations.id }}", query: {retain_metrics: "{{ .settings.retain_metrics }}"}}` + "\n", "", "erase_leaves_nothing_of_hers"},
	{"takes accepted for done", "segment", "done: [FINISHED]", "done: [FINISHED, INITIALIZED]", "slow_deletion_is_deferred"},
	{"takes a failure for done", "segment", "done: [FINISHED]\n      failed: [FAILED, INVALID, NOT_SUPPORTED, PARTIAL_SUCCESS]", "done: [FINISHED, PARTIAL_SUCCESS]\n      failed: [FAILED]", "a_partial_success_is_no_success"},
	{"takes a wrong audience for nobody", "meta-audiences", "  - {status: [404, 410], means: never, code: configuration, say: the audience is not known; check the setting audience}\n", "", "a_wrong_audience_is_no_missing_person"},
	{"sends one request for each person", "braze", "    batch: {size: 50, item: \"{{ .profiles.braze_id }}\"}\n    json: {braze_ids: \"{{ .batch }}\"}", "    json: {braze_ids: [\"{{ .profiles.braze_id }}\"]}", "erase_many"},
	{"erases nobody", "stripe", `delete: "/v1/customers/{{ .customers.id }}"`, `post: "/v1/customers/{{ .customers.id }}"`, "erase_leaves_nothing_of_hers"},
	{"keeps nothing", "stripe", `keep: &records {basis: "ccpa-1798.105(d)(8)", from: created, for: 2555d, facts: {legal_ref: "26 U.S.C. 6001; 26 CFR 1.6001-1(e)"}}`, `keep: &records {basis: "ccpa-1798.105(d)(8)", from: created, for: 1s}`, "locate_counts_what_is_there"},
	{"says nothing of its facts", "klaviyo", "  checked: \"2026-11-22\"\n", "", "facts_are_in_the_header"},
	{"forgets who is only hidden", "zendesk", `  - {name: delete-hidden, each: hidden, delete: "/api/v2/deleted_users/{{ .hidden.id }}.json", limit: permanent}` + "\n", "", "a_user_that_a_crash_left_hidden_is_deleted"},
	{"takes a refusal in a 200 for done", "shopify", "      - {field: errors.0.extensions.code, in: [ACCESS_DENIED], means: never, code: denied, say: the token may not ask for erasures}\n", "", "a_refusal_that_is_answered_with_200_is_no_success"},
	{"deletes the profile alone", "posthog", "delete_events: true, delete_recordings: true", "delete_events: false", "events_and_recordings_are_asked_for_too"},
	{"looks too early", "amplitude", "      wait: 10d\n", "", "it_does_not_ask_before_the_waiting_period_is_over"},
}

const mutantVariable = "RESTSPEC_MUTANT"

// TestMutants runs each mutant in a process of its own and wants it to fail
// where it has to.
func TestMutants(t *testing.T) {
	if os.Getenv(mutantVariable) != "" {
		t.Skip("this is the process of one")
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMutant$", "-test.v")
			cmd.Env = append(os.Environ(), mutantVariable+"="+m.name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("nobody noticed")
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "--- FAIL") && strings.Contains(line, m.noticed) {
					return
				}
			}
			t.Errorf("it failed, but not in %s:\n%s", m.noticed, out)
		})
	}
}

// TestMutant is one mutant, in the process that TestMutants starts.
func TestMutant(t *testing.T) {
	name := os.Getenv(mutantVariable)
	if name == "" {
		t.Skip("only for TestMutants")
	}
	for _, m := range mutants {
		if m.name != name {
			continue
		}
		e := entries[m.entry]
		e.Load = func(entry string) (*restspec.Program, error) {
			src, err := catalogue.Read(entry)
			if err != nil {
				return nil, err
			}
			text := strings.Replace(string(src), m.old, m.new, 1)
			if text == string(src) {
				t.Fatal("nothing was broken")
			}
			return restspec.Parse(entry+".yaml", []byte(text))
		}
		vendortest.Run(t, m.entry, e)
	}
}
