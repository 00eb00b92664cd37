package sdktest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

// mutantEnv chooses the mutant that TestReference runs; it is set in the
// processes TestMutants starts.
const mutantEnv = "HABEAS_SDKTEST_MUTANT"

// TestReference runs the suite against the connector that keeps every promise.
func TestReference(t *testing.T) {
	connector := func(m *memory) sdk.Connector { return reference{m} }
	for _, m := range mutants {
		if m.name == os.Getenv(mutantEnv) {
			connector = m.make
		}
	}
	sdktest.Run(t, func(testing.TB) sdktest.System { return &memory{mutate: connector} })
}

// TestSlow runs the suite against an honest connector whose system takes its
// time: the first two questions about an erasure are answered NotYet, and now
// and then it is busy.
func TestSlow(t *testing.T) {
	sdktest.Run(t, func(testing.TB) sdktest.System {
		return &memory{mutate: with(func(r reference, b *broken) {
			var asked atomic.Int32
			b.erase = func(ctx context.Context, p sdk.Person) error {
				switch asked.Add(1) {
				case 1, 2:
					return sdk.NotYet(time.Millisecond, errors.New("queued"))
				case 3:
					return errors.New("busy")
				}
				return r.Erase(ctx, p)
			}
			b.eraseBatch = func(ctx context.Context, people []sdk.Person) []error {
				errs := make([]error, len(people))
				for i, p := range people {
					errs[i] = b.erase(ctx, p)
				}
				return errs
			}
		})}
	})
}

// locateOnly has no abilities.
type locateOnly struct{ c reference }

func (l locateOnly) Locate(ctx context.Context, p sdk.Person) ([]sdk.Found, error) {
	return l.c.Locate(ctx, p)
}

// noYields drops from the manifest what a connector that can't resolve must
// not declare.
type noYields struct{ *memory }

func (s noYields) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	m, c := s.memory.Open(t)
	m.Yields = nil
	return m, c
}

// TestLocateOnly runs the suite against a connector without abilities, for
// which most checks are skipped.
func TestLocateOnly(t *testing.T) {
	sdktest.Run(t, func(testing.TB) sdktest.System {
		return noYields{&memory{mutate: func(m *memory) sdk.Connector { return locateOnly{reference{m}} }}}
	})
}

// TestMutants proves that the suite fails connectors that break a promise, and
// that the failing subtest is the one for that promise.
func TestMutants(t *testing.T) {
	if os.Getenv(mutantEnv) != "" {
		t.Skip("inside a mutant")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestReference$", "-test.v=true", "-test.count=1")
			cmd.Env = append(os.Environ(), mutantEnv+"="+m.name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 {
				t.Fatalf("the suite passed the mutant, or did not run (%v)", err)
			}
			if want := "--- FAIL: TestReference/" + m.failing + " "; !strings.Contains(string(out), want) {
				t.Errorf("the suite failed the mutant elsewhere; want %q in:\n%s", want, failures(string(out)))
			}
			if strings.Contains(string(out), "panic:") {
				t.Errorf("the suite panicked:\n%s", out)
			}
		})
	}
}

func failures(out string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if strings.Contains(line, "--- FAIL") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
