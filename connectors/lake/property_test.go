package lake

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// drawn is one line as a test made it, with whose it is.
type drawn struct {
	text  string
	of    []int // people it belongs to whole
	among []int // people in its shared list
}

func drawLine(t *rapid.T, people int) drawn {
	who := rapid.IntRange(-1, people-1)
	quote := func(n int) string {
		s := fmt.Sprintf("usr_%d", n)
		if rapid.Bool().Draw(t, "escape") {
			return fmt.Sprintf(`"\u%04x%s"`, s[0], s[1:])
		}
		return `"` + s + `"`
	}
	space := rapid.SampledFrom([]string{"", " ", "\t"})
	text := rapid.StringOfN(rapid.SampledFrom([]rune(`aZ9 é"\{}[],:猫😀_`)), 0, 12, -1).Draw(t, "text")
	note, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	d := drawn{}
	fields := []string{fmt.Sprintf(`"type":%s"view"`, space.Draw(t, "s")), `"note":` + string(note)}
	switch rapid.IntRange(0, 4).Draw(t, "shape") {
	case 0: // blank
		return drawn{text: space.Draw(t, "blank")}
	case 1: // the user
		if n := who.Draw(t, "user"); n >= 0 {
			d.of = append(d.of, n)
			fields = append(fields, `"user":{"id":`+quote(n)+`,"x":[1,{}]}`)
		}
	case 2: // a device, perhaps within lists
		if n := who.Draw(t, "device"); n >= 0 {
			d.of = append(d.of, n)
			fields = append(fields, fmt.Sprintf(`"device_ids":["none",[%s"dev_%d"]]`, space.Draw(t, "s"), n))
		}
	case 3: // people together
		var list []string
		for range rapid.IntRange(0, 4).Draw(t, "together") {
			n := who.Draw(t, "one")
			if n < 0 {
				list = append(list, `{"guest":true}`)
				continue
			}
			d.among = append(d.among, n)
			list = append(list, space.Draw(t, "s")+`{"id":`+quote(n)+`}`+space.Draw(t, "s"))
		}
		fields = append(fields, `"people":[`+strings.Join(list, ",")+`]`)
	case 4: // nobody, and somebody's id where it means nothing
		fields = append(fields, `"mention":"usr_0"`)
	}
	perm := rapid.Permutation(fields).Draw(t, "order")
	d.text = "{" + strings.Join(perm, ","+space.Draw(t, "s")) + "}"
	return d
}

// without is what should be left of the line when people are erased, by a way
// that has nothing in common with the engine's; what is cut is compared as
// JSON, everything else byte for byte.
func (d drawn) without(gone map[int]bool) (text string, stays, cut bool) {
	for _, n := range d.of {
		if gone[n] {
			return "", false, false
		}
	}
	left := 0
	for _, n := range d.among {
		if gone[n] {
			cut = true
		} else {
			left++
		}
	}
	if !cut {
		return d.text, true, false
	}
	if left == 0 {
		return "", false, false
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(d.text), &object); err != nil {
		panic(err) // the test made it
	}
	var stay []any
	list, _ := object["people"].([]any)
	for _, e := range list {
		m, _ := e.(map[string]any)
		id, _ := m["id"].(string)
		var n int
		if _, err := fmt.Sscanf(id, "usr_%d", &n); err == nil && gone[n] {
			continue
		}
		stay = append(stay, e)
	}
	object["people"] = stay
	return canonical(object), true, true
}

func canonical(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(out)
}

func TestEraseProperty(t *testing.T) {
	m := mustMap(t, testMap)
	root, checks := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		checks++
		dir := filepath.Join(root, fmt.Sprint(checks))
		if err := os.MkdirAll(filepath.Join(dir, "events"), 0o750); err != nil {
			t.Fatal(err)
		}
		const people = 5
		files := map[string][]drawn{}
		for i := range rapid.IntRange(1, 3).Draw(t, "files") {
			end := rapid.SampledFrom([]string{".jsonl", ".jsonl.gz", ".jsonl.zst"}).Draw(t, "kind")
			key := fmt.Sprintf("events/dt=2026-01-0%d/f%s", i+1, end)
			var text []string
			for range rapid.IntRange(0, 12).Draw(t, "lines") {
				d := drawLine(t, people)
				files[key] = append(files[key], d)
				text = append(text, d.text)
			}
			put(t, dir, key, strings.Join(text, "\n"))
		}
		gone := map[int]bool{}
		var batch []sdk.Person
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, people-1), 1, 3, rapid.ID[int]).Draw(t, "gone") {
			gone[n] = true
			batch = append(batch, sdk.NewPerson(sdk.ID(sdk.UserID, fmt.Sprintf("usr_%d", n)), sdk.ID(sdk.DeviceID, fmt.Sprintf("dev_%d", n))))
		}
		l, err := Open(Options{Folder: dir, Map: m, Workers: 2, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if errs := l.EraseBatch(t.Context(), batch); errs != nil {
			t.Fatal(errs)
		}
		for key, lines := range files {
			checkFile(t, get(t, dir, key), lines, gone)
		}
		found, err := l.LocateBatch(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f != nil {
				t.Fatalf("still found: %v", f)
			}
		}
	})
}

func checkFile(t *rapid.T, got string, lines []drawn, gone map[int]bool) {
	rest := got
	var before string
	for i, d := range lines {
		want, stays, cut := d.without(gone)
		if !stays {
			continue
		}
		line, after, ended := strings.Cut(rest, "\n")
		before, rest = line, after
		if !ended && i < len(lines)-1 {
			t.Fatalf("line %d lost its end", i+1)
		}
		if cut {
			var object map[string]any
			if err := json.Unmarshal([]byte(line), &object); err != nil {
				t.Fatalf("line %d is not JSON any more: %q", i+1, line)
			}
			line = canonical(object)
		}
		if line != want {
			t.Fatalf("line %d: got %q, want %q (before it %q)", i+1, line, want, before)
		}
	}
	if rest != "" {
		t.Fatalf("too much is left: %q", rest)
	}
}
