package enforcement

import (
	"strings"
	"testing"
)

// scenario is what a company was fined for, as somebody outside would find it
// out. The error says that it happens here; what merely goes wrong fails the
// test at once.
type scenario func(t *testing.T, c *company) error

// lack is a company without a safeguard, and a part of what is then found.
type lack struct {
	of     string
	change func(*parts)
	found  string
}

// replay plays a case: it must not happen here, and must be found to happen
// where the safeguard is missing.
func replay(t *testing.T, s scenario, lacks ...lack) {
	t.Helper()
	replayAt(t, func(*parts) {}, s, lacks...)
}

// replayAt is replay at a company that is not as it should be to begin with.
func replayAt(t *testing.T, at func(*parts), s scenario, lacks ...lack) {
	t.Helper()
	t.Parallel()
	t.Run("with the safeguard", func(t *testing.T) {
		t.Parallel()
		if err := s(t, newCompany(t, at)); err != nil {
			t.Errorf("it happens here too: %v", err)
		}
	})
	for _, l := range lacks {
		t.Run("without "+l.of, func(t *testing.T) {
			t.Parallel()
			switch err := s(t, newCompany(t, at, l.change)); {
			case err == nil:
				t.Error("it happens, and is not found")
			case !strings.Contains(err.Error(), l.found):
				t.Errorf("found is %q, want %q", err, l.found)
			}
		})
	}
}
