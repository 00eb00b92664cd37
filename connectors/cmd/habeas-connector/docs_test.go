package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// typed is one command of a documentation page with the output it shows.
type typed struct {
	line    int
	command string
	output  []string
	exit    int
}

// consoles reads the console blocks of a page, by its second-level heading.
func consoles(t *testing.T, file string) (headings []string, by map[string][]typed) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	by = map[string][]typed{}
	heading, in := "", false
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case line == "```console":
			in = true
		case line == "```":
			in = false
		case strings.HasPrefix(line, "## "):
			heading = strings.TrimPrefix(line, "## ")
		case !in:
		case strings.HasPrefix(line, "$ "):
			if len(by[heading]) == 0 {
				headings = append(headings, heading)
			}
			by[heading] = append(by[heading], typed{line: i + 1, command: strings.TrimPrefix(line, "$ ")})
		case len(by[heading]) == 0:
			t.Fatalf("%s:%d: output before any command", file, i+1)
		default:
			last := &by[heading][len(by[heading])-1]
			if code, ok := strings.CutPrefix(line, "[exit "); ok {
				if last.exit, err = strconv.Atoi(strings.TrimSuffix(code, "]")); err != nil {
					t.Fatalf("%s:%d: %v", file, i+1, err)
				}
				continue
			}
			last.output = append(last.output, line)
		}
	}
	return headings, by
}

// TestDocumentedHour types every command of docs/connectors.md in an empty
// folder, section by section, and compares what comes with what the page shows.
func TestDocumentedHour(t *testing.T) {
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(bin, "habeas-connector"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the tool: %v\n%s", err, out)
	}
	checkout, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	headings, by := consoles(t, "../../../docs/connectors.md")
	if len(headings) < 4 {
		t.Fatalf("sections with commands: %q", headings)
	}
	for _, heading := range headings {
		t.Run(heading, func(t *testing.T) {
			t.Parallel()
			typeAll(t, by[heading], append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly", "CHECKOUT="+checkout,
				"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH")))
		})
	}
}

// typeAll runs commands in one shell and judges each.
func typeAll(t *testing.T, commands []typed, env []string) {
	t.Helper()
	var script strings.Builder
	script.WriteString("exec 2>&1\n")
	for i, c := range commands {
		fmt.Fprintf(&script, "%s\nprintf '\\n@@ %d %%d\\n' $?\n", c.command, i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh")
	shell.Dir, shell.Env, shell.Stdin = t.TempDir(), env, strings.NewReader(script.String())
	var out bytes.Buffer
	shell.Stdout, shell.Stderr = &out, &out
	if err := shell.Run(); err != nil {
		t.Fatalf("the shell: %v\n%s", err, out.String())
	}
	rest := out.String()
	for i, c := range commands {
		have, after, found := strings.Cut(rest, fmt.Sprintf("\n@@ %d ", i))
		code, next, _ := strings.Cut(after, "\n")
		rest = next
		if !found || code != strconv.Itoa(c.exit) {
			t.Fatalf("line %d: %s: exit %s, want %d\n%s", c.line, c.command, code, c.exit, have)
		}
		if missing := inOrder(strings.Split(have, "\n"), c.output); missing != "" {
			t.Errorf("line %d: %s: the output lacks %q:\n%s", c.line, c.command, missing, have)
		}
	}
}

// inOrder returns the first shown line that is not among the lines after the
// one before it. Blanks at the end don't count, and "…" stands for anything.
func inOrder(have, shown []string) (missing string) {
	for _, want := range shown {
		if strings.TrimSpace(want) == "…" {
			continue
		}
		part := strings.Split(strings.TrimRight(want, " "), "…")
		for i := range part {
			part[i] = regexp.QuoteMeta(part[i])
		}
		pattern := regexp.MustCompile("^" + strings.Join(part, ".*") + "$")
		found := false
		for i, line := range have {
			if pattern.MatchString(strings.TrimRight(line, " ")) {
				have, found = have[i+1:], true
				break
			}
		}
		if !found {
			return want
		}
	}
	return ""
}
