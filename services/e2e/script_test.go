package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestScripts(t *testing.T) {
	bin := programs(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("BIN", bin)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("HABEAS_HTTP_ADDR", "127.0.0.1:0")
			env.Setenv("WITNESS", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
			env.Setenv("OTHER", fmt.Sprintf("127.0.0.1:%d", freePort(t)))
			env.Values[upKey{}] = &upProcess{}
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "root":
				return os.Geteuid() == 0, nil
			case "tmpfs":
				return canMountTmpfs(), nil
			default:
				return false, fmt.Errorf("there is no condition %s", name)
			}
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"up": cmdUp, "down": cmdDown, "crash": cmdCrash, "killchild": cmdKillChild, "await": cmdAwait, "keep": cmdKeep, "person": cmdPerson,
			"spoil": cmdSpoil, "awaitgrep": cmdAwaitGrep, "awaitout": cmdAwaitOut,
		},
	})
}

// canMountTmpfs reports whether a disk can be made in a mount namespace of its
// own.
var canMountTmpfs = sync.OnceValue(func() bool {
	if runtime.GOOS != "linux" {
		return false
	}
	dir, err := os.MkdirTemp("", "habeas-tmpfs-")
	if err != nil {
		return false
	}
	defer os.Remove(dir) //nolint:errcheck // an empty folder
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "unshare", "--mount", "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir).Run() == nil
})

type upKey struct{}

// upProcess is the script's "habeas up".
type upProcess struct {
	p     *process
	count int
}

func refuseNeg(ts *testscript.TestScript, neg bool, name string) {
	if neg {
		ts.Fatalf("%s can't be negated", name)
	}
}

func check(ts *testscript.TestScript, err error) {
	if err != nil {
		ts.Fatalf("%v", err)
	}
}

// cmdUp starts "habeas up" and, unless the first argument is -nowait, waits
// until it is ready.
func cmdUp(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg, "up")
	nowait := len(args) > 0 && args[0] == "-nowait"
	if nowait {
		args = args[1:]
	}
	u := ts.Value(upKey{}).(*upProcess) //nolint:forcetypeassert // put there by Setup
	u.count++
	env := []string{}
	for _, name := range []string{"PATH", "HOME", "HABEAS_HTTP_ADDR", "HABEAS_STATE_DIR", "TMPDIR"} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	program := filepath.Join(ts.Getenv("BIN"), "habeas")
	arguments := []string{"up"}
	for _, arg := range args {
		if strings.HasPrefix(arg, "--") {
			arguments = append(arguments, arg)
			continue
		}
		env = append(env, arg)
	}
	u.p = &process{name: "habeas up", program: program, args: arguments, env: env, log: ts.MkAbs(fmt.Sprintf("up-%d.log", u.count))}
	check(ts, u.p.run())
	ts.Defer(func() {
		if err := u.p.stop(); err != nil {
			ts.Logf("%v", err)
		}
	})
	if nowait {
		return
	}
	check(ts, wait(context.Background(), time.Minute, func() error {
		if err := u.p.running(); err != nil {
			ts.Fatalf("%v", err)
		}
		if said := tail(u.p.log); !strings.Contains(said, "Habeas is ready") {
			return fmt.Errorf("habeas up is not ready; it says: %s", said)
		}
		return nil
	}))
}

func running(ts *testscript.TestScript, neg bool, name string) *process {
	refuseNeg(ts, neg, name)
	u := ts.Value(upKey{}).(*upProcess) //nolint:forcetypeassert // put there by Setup
	if u.p == nil {
		ts.Fatalf("habeas up was not started")
	}
	check(ts, u.p.running())
	return u.p
}

func cmdDown(ts *testscript.TestScript, neg bool, _ []string) {
	p := running(ts, neg, "down")
	check(ts, p.cmd.Process.Signal(os.Interrupt))
	check(ts, p.stop())
	if p.err != nil {
		ts.Fatalf("habeas up ended badly: %v; it says: %s", p.err, tail(p.log))
	}
}

func cmdCrash(ts *testscript.TestScript, neg bool, _ []string) {
	p := running(ts, neg, "crash")
	check(ts, p.cmd.Process.Kill())
	<-p.ended
}

// cmdKillChild kills a program that "habeas up" started.
func cmdKillChild(ts *testscript.TestScript, neg bool, args []string) {
	p := running(ts, neg, "killchild")
	if len(args) != 1 {
		ts.Fatalf("usage: killchild PROGRAM")
	}
	check(ts, killChild(p.cmd.Process.Pid, args[0]))
}

// command makes a command with the script's environment and folder.
func command(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(ts.Getenv("BIN"), name), args...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME")}
	if dir := ts.Getenv("HABEAS_STATE_DIR"); dir != "" {
		cmd.Env = append(cmd.Env, "HABEAS_STATE_DIR="+dir)
	}
	return cmd
}

func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg, "await")
	if len(args) != 2 {
		ts.Fatalf("usage: await ID STATE")
	}
	check(ts, wait(context.Background(), time.Minute, func() error {
		out, err := command(ts, "habeas", "request", "show", args[0], "--json").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		var v view
		if err := json.Unmarshal(out, &v); err != nil {
			return err
		}
		if v.State != args[1] {
			return fmt.Errorf("%s is not %s: %s", args[0], args[1], out)
		}
		return nil
	}))
}

func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg, "keep")
	if len(args) != 2 {
		ts.Fatalf("usage: keep NAME FIELD")
	}
	var fields map[string]any
	text := ts.ReadFile("stdout")
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		ts.Fatalf("%v: %s", err, text)
	}
	value, ok := fields[args[1]].(string)
	if !ok || value == "" {
		ts.Fatalf("there is no text %s in %s", args[1], text)
	}
	ts.Setenv(args[0], value)
}

func cmdPerson(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg, "person")
	if len(args) != 3 {
		ts.Fatalf("usage: person ROLE KIND NAME")
	}
	out, err := command(ts, "habeas-demo", "people", "--first", "100", "--count", "50").Output()
	check(ts, err)
	var cast map[string]identifiers
	check(ts, json.Unmarshal(out, &cast))
	values := cast[args[0]][args[1]]
	if len(values) == 0 {
		ts.Fatalf("%s has no %s", args[0], args[1])
	}
	ts.Setenv(args[2], values[0])
}

// cmdSpoil changes one byte in the middle of a file, one letter for another.
func cmdSpoil(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg, "spoil")
	if len(args) != 1 {
		ts.Fatalf("usage: spoil FILE")
	}
	path := ts.MkAbs(args[0])
	text, err := os.ReadFile(path)
	check(ts, err)
	at := len(text) / 2
	text[at] ^= 1
	check(ts, os.WriteFile(path, text, 0o600))
}

func cmdAwaitGrep(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg, "awaitgrep")
	if len(args) != 2 {
		ts.Fatalf("usage: awaitgrep PATTERN FILE")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	check(ts, err)
	check(ts, wait(context.Background(), time.Minute, func() error {
		text, err := os.ReadFile(ts.MkAbs(args[1]))
		if err == nil && !pattern.Match(text) {
			err = fmt.Errorf("nothing in %s matches %s: %s", args[1], args[0], tail(ts.MkAbs(args[1])))
		}
		return err
	}))
}

func cmdAwaitOut(ts *testscript.TestScript, neg bool, args []string) {
	refuseNeg(ts, neg, "awaitout")
	if len(args) < 2 {
		ts.Fatalf("usage: awaitout PATTERN PROGRAM ARG…")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	check(ts, err)
	check(ts, wait(context.Background(), time.Minute, func() error {
		out, err := command(ts, args[1], args[2:]...).CombinedOutput()
		if err == nil && !pattern.Match(out) {
			err = fmt.Errorf("%s does not say %s: %s", args[1], args[0], bytes.TrimSpace(out))
		}
		return err
	}))
}
