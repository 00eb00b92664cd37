package compliance

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

var update = flag.Bool("update", false, "write docs/compliance.md")

const (
	root = "../.."
	page = root + "/docs/compliance.md"
)

// The rows are the 98 of the reference, each group without a gap.
func TestEveryRequirementHasARow(t *testing.T) {
	rows, err := Rows()
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, r := range rows {
		have[r.ID] = true
	}
	for _, g := range []struct {
		prefix string
		last   int
	}{
		{"IN", 10}, {"CL", 10}, {"VE", 18}, {"KN", 11}, {"DE", 16}, {"OO", 11},
		{"CO", 3}, {"ND", 1}, {"RE", 9}, {"VN", 2}, {"DR", 4}, {"RG", 3},
	} {
		for n := 1; n <= g.last; n++ {
			id := fmt.Sprintf("%s-%d", g.prefix, n)
			if !have[id] {
				t.Errorf("rows.yaml lacks %s", id)
			}
			delete(have, id)
		}
	}
	for id := range have {
		t.Errorf("rows.yaml has %s, which is no requirement", id)
	}
}

func TestClaimsHold(t *testing.T) {
	rows, err := Rows()
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(rows, os.DirFS(root)); err != nil {
		t.Error(err)
	}
}

func TestPageIsCurrent(t *testing.T) {
	rows, err := Rows()
	if err != nil {
		t.Fatal(err)
	}
	want := Page(rows)
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/compliance.md is not what rows.yaml says: run make compliance")
	}
}

func TestRowsRefuse(t *testing.T) {
	const row = "- id: CL-2\n  requirement: r\n  citation: c\n  sure: A\n  status: built\n" +
		"  where: [services]\n  tests: [\"services/regimes: TestX_CL2\"]\n"
	if _, err := parse([]byte(row)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown field":      {"requirement: r", "requirement: r\n  colour: red", "colour"},
		"unknown group":      {"CL-2", "ZZ-2", "id"},
		"no citation":        {"citation: c", "citation: \"\"", "citation"},
		"no mark":            {"sure: A", "sure: surely", "sure"},
		"unknown status":     {"status: built", "status: done", "status"},
		"no reason":          {"status: built", "status: partly", "why"},
		"built with excuse":  {"status: built", "status: built\n  why: but", "excuse"},
		"built without test": {"tests: [\"services/regimes: TestX_CL2\"]", "tests: []", "tests"},
		"test of other row":  {"TestX_CL2", "TestX_CL20", "CL-2"},
		"not a test":         {"services/regimes: TestX_CL2", "services/regimes: Example_CL2", "folder"},
		"there twice":        {"- id: CL-2", row + "- id: CL-2", "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse([]byte(strings.Replace(row, c.old, c.new, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestVerifyBites(t *testing.T) {
	repository := fstest.MapFS{
		"services/a/a_test.go":               {Data: []byte("package a\nfunc TestA_CL2() { run(\"CL-2 late\") }\nfunc (x) TestM_CL2() {}\nvar _ = `x`\n")},
		"services/a/testdata/cl-2-all.txtar": {Data: []byte("x")},
		"services/b/b.go":                    {Data: []byte("package b\n")},
	}
	for name, c := range map[string]struct{ where, test, want string }{
		"holds":           {"services/a", "services/a: TestA_CL2", ""},
		"subtest":         {"services/a", "services/a: TestA_CL2/CL-2 late", ""},
		"script":          {"services/a", "services/a: TestA_CL2/cl-2-all", ""},
		"no such file":    {"services/c", "services/a: TestA_CL2", "services/c"},
		"no such folder":  {"services/a", "services/c: TestA_CL2", "no tests"},
		"no tests":        {"services/a", "services/b: TestA_CL2", "no tests"},
		"no such test":    {"services/a", "services/a: TestB_CL2", "TestB_CL2"},
		"a method":        {"services/a", "services/a: TestM_CL2", "TestM_CL2"},
		"no such subtest": {"services/a", "services/a: TestA_CL2/CL-2 early", "early"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Verify([]Row{{ID: "CL-2", Where: []string{c.where}, Tests: []string{c.test}}}, repository)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for test, want := range map[string]bool{
		"services/a: TestX_CL2":           true,
		"services/a: TestCL_2_Late":       true,
		"services/a: TestX_CL1_CL2_CL5":   true,
		"services/a: TestX/CL-2 late":     true,
		"services/a: TestScripts/cl-2-up": true,
		"services/a: TestScripts/up-cl-2": true,
		"services/a: TestX_CL20":          false,
		"services/a: TestX_VE2":           false,
		"services/a: TestX":               false,
		"services/cl-2: TestScripts":      false,
	} {
		if got := (Row{ID: "CL-2"}).named(test); got != want {
			t.Errorf("%s carries CL-2: %v, want %v", test, got, want)
		}
	}
}
