package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if root := builtIn.Load(); root != nil {
		if err := os.RemoveAll(*root); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// programs returns the folder with the real programs. It is laid out as in a
// checkout, so that deploy/demo is found from them.
func programs(t testing.TB) string {
	t.Helper()
	dir, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var (
	builtIn   atomic.Pointer[string]
	buildOnce = sync.OnceValues(build)
)

func build() (string, error) {
	root, err := os.MkdirTemp("", "habeas-e2e-")
	if err != nil {
		return "", fmt.Errorf("making a folder for the programs: %w", err)
	}
	builtIn.Store(&root)
	checkout, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", fmt.Errorf("finding the checkout: %w", err)
	}
	bin := filepath.Join(root, ".bin")
	if err := errors.Join(os.Mkdir(bin, 0o700), os.Symlink(filepath.Join(checkout, "deploy"), filepath.Join(root, "deploy"))); err != nil {
		return "", fmt.Errorf("laying out the folder of the programs: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for program, pkg := range map[string]string{
		"habeas": "services/cmd/habeas", "habeas-demo": "connectors/cmd/habeas-demo", "habeas-billing": "connectors/billing",
		"habeas-crm": "connectors/crm", "habeas-analytics": "connectors/analytics", "habeas-adtech": "connectors/adtech",
		"broker": "services/e2e/broker", "habeas-connector": "connectors/cmd/habeas-connector",
	} {
		args := []string{"build", "-trimpath", "-o", filepath.Join(bin, program), "./" + pkg}
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir, cmd.Env = checkout, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("building %s: %w: %s", program, err, strings.TrimSpace(string(out)))
		}
	}
	return bin, nil
}
