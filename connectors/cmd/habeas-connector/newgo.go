package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
)

const (
	sdkModule   = "github.com/habeas-data/habeas/connectors/sdk"
	protoModule = "github.com/habeas-data/habeas/proto"
)

// requirements is the end of a Go skeleton's go.mod, and its go.sum. A checkout
// gives both, so that nothing has to be fetched; a release needs "go mod tidy".
func requirements(checkout string) (text string, sums []byte, err error) {
	if checkout == "" {
		version, err := sdkVersion()
		if err != nil {
			return "", nil, err
		}
		return "\nrequire " + sdkModule + " " + version, nil, nil
	}
	dir, err := filepath.Abs(checkout)
	if err != nil {
		return "", nil, err
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod")) //nolint:gosec // the operator names the folder
	if err != nil || !strings.HasPrefix(string(mod), "module "+sdkModule+"\n") {
		return "", nil, fmt.Errorf("--sdk-path %s: want the folder of %s, such as CHECKOUT/connectors/sdk", checkout, sdkModule)
	}
	sums, err = os.ReadFile(filepath.Join(dir, "go.sum")) //nolint:gosec // beside the go.mod
	if err != nil {
		return "", nil, fmt.Errorf("--sdk-path %s: %w", checkout, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nrequire %s v0.0.0-00010101000000-000000000000\n\n", sdkModule)
	b.WriteString(strings.Join(requireLines(string(mod)), "\n"))
	fmt.Fprintf(&b, "\n\nreplace (\n\t%s => %s\n\t%s => %s\n)", sdkModule, dir, protoModule, filepath.Join(dir, "..", "..", "proto"))
	return b.String(), sums, nil
}

// requireLines are the require blocks of a go.mod, all marked as indirect: the
// SDK's needs are not the skeleton's own.
func requireLines(mod string) (lines []string) {
	in := false
	for line := range strings.SplitSeq(mod, "\n") {
		switch {
		case line == "require (":
			in = true
		case line == ")" && in:
			in = false
			lines = append(lines, line)
			continue
		}
		if !in {
			continue
		}
		if line != "require (" && !strings.Contains(line, "//") {
			line += " // indirect"
		}
		lines = append(lines, line)
	}
	return lines
}

// sdkVersion is the release of the SDK that this program was built with.
func sdkVersion() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, m := range info.Deps {
			if m.Path == sdkModule && m.Replace == nil && strings.HasPrefix(m.Version, "v") && !strings.HasPrefix(m.Version, "v0.0.0-0001") {
				return m.Version, nil
			}
		}
	}
	return "", errors.New("this tool was built from a checkout: give --sdk-path CHECKOUT/connectors/sdk, so that the skeleton finds the SDK")
}
