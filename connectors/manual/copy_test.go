package manual

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/habeas-data/habeas/connectors/sdk"
	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
)

// pieces are a file as a desk sends it.
func pieces(store, mediaType string, records int64, content []byte) []*habeasv1.TaskFile {
	sum := sha256.Sum256(content)
	var out []*habeasv1.TaskFile
	for at := 0; at < len(content) || at == 0; at += wire.MaxCopyPiece {
		out = append(out, &habeasv1.TaskFile{
			Sha256: sum[:], MediaType: mediaType, Size: int64(len(content)), Store: store, RecordCount: records, Offset: int64(at),
			Content: content[at:min(len(content), at+wire.MaxCopyPiece)],
		})
	}
	return out
}

// attach sends a file and returns the answer to its last piece, or the first
// refusal.
func (r *rig) attach(store, mediaType string, records int64, content []byte) (a *habeasv1.TaskAnswer) {
	r.t.Helper()
	for _, p := range pieces(store, mediaType, records, content) {
		if a = r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Copy{Copy: p}}); a.GetProblem() != "" {
			break
		}
	}
	return a
}

func (r *rig) attaches(store, mediaType string, records int64, content []byte) {
	r.t.Helper()
	if a := r.attach(store, mediaType, records, content); a.GetProblem() != "" {
		r.t.Fatalf("attaching: %s %s", a.GetProblem(), a.GetDetail())
	}
}

// lines is a RecordWriter that keeps what it gets.
type lines []sdk.Record

func (l *lines) Write(_ context.Context, r sdk.Record) error {
	*l = append(*l, r)
	return nil
}

func (r *rig) export(ctx context.Context) (lines, error) {
	var out lines
	err := exporter{r.c}.Export(ctx, ann, &out)
	return out, err
}

// tillCopy brings a copy's task to the step at which files are attached.
func (r *rig) tillCopy(ctx context.Context, look *habeasv1.TaskResult) {
	r.t.Helper()
	_, err := r.c.Locate(ctx, ann)
	r.waits(err)
	r.says(look)
	if _, err := r.c.Locate(ctx, ann); err != nil {
		r.t.Fatal(err)
	}
	_, err = r.export(ctx)
	r.waits(err)
	if step := r.open().GetTasks()[0].GetStep(); step != stepCopy {
		r.t.Fatalf("it asks to %s", step)
	}
}

// A copy made by people, through restarts between any two steps: looked, attached,
// looked again. Until it is answered the same file again takes the first one's
// place; afterwards nothing changes, and what was attached is there for as long as
// the report of it may be lost.
func TestCopyByPeople(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "export", 1)
	r.tillCopy(ctx, there(3, 0, 1))
	table := []byte("\ufeffName;Paid\r\nAnn Planted;\"3,50\"\r\nAnn Planted;4\r\n")
	letter := []byte("Dear Ann Planted,\nwe hold two sheets on you.\n")
	r.attaches("cabinet", typeCSV, 7, table) // the rows are counted, whatever is said
	r.attaches("cabinet", typeText, 3, letter)
	r.attaches("cabinet", typeText, 1, letter) // again, with the right number
	r.restart()
	r.attaches("tapes", typeJSON, 0, []byte(`{"b":{"c":[1]},"a":null}`))
	counts := map[string]int64{}
	for _, f := range r.open().GetTasks()[0].GetFiles() {
		counts[f.GetStore()+" "+f.GetMediaType()] = f.GetRecordCount()
		if len(f.GetContent()) > 0 {
			t.Error("the task shows what is in a file")
		}
	}
	if diff := cmp.Diff(map[string]int64{"cabinet text/csv": 2, "cabinet text/plain": 1, "tapes application/json": 1}, counts); diff != "" {
		t.Error(diff)
	}
	few := r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Result{Result: there(4, 0, 1)}})
	if few.GetProblem() != problemInvalid || !strings.Contains(few.GetDetail(), "counts of cabinet: 4 records, and the attached files hold 3") {
		t.Errorf("less than there is: %s %s", few.GetProblem(), few.GetDetail())
	}
	r.says(there(3, 0, 1))
	if late := r.attach("tapes", typeText, 1, []byte("late")); late.GetProblem() != problemMovedOn {
		t.Errorf("a file after the answer: %s", late.GetProblem())
	}
	r.restart()
	if n, err := r.c.Locate(ctx, ann); err != nil || len(n) != 2 || n[0].Count != 3 {
		t.Errorf("located %v, %v", n, err)
	}
	first, err := r.export(ctx)
	if err != nil {
		t.Fatal(err)
	}
	want := lines{
		{Store: "cabinet", Fields: []sdk.Field{{Name: "Name", Value: "Ann Planted"}, {Name: "Paid", Value: "3,50"}}},
		{Store: "cabinet", Fields: []sdk.Field{{Name: "Name", Value: "Ann Planted"}, {Name: "Paid", Value: "4"}}},
		{Store: "cabinet", Fields: []sdk.Field{{Name: "document", Value: sdk.Document{MediaType: typeText, Content: letter}}}},
		{Store: "tapes", Fields: []sdk.Field{{Name: "b", Value: json.RawMessage(`{"c":[1]}`)}, {Name: "a", Value: json.RawMessage("null")}}},
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error(diff)
	}
	// The process dies before what it wrote is on record, and after the look that
	// ends the task: the same again, each time.
	for range 2 {
		r.restart()
		if again, err := r.export(ctx); err != nil || !cmp.Equal(first, again) {
			t.Errorf("exported anew %d records, %v", len(again), err)
		}
		if _, err := r.c.Locate(ctx, ann); err != nil {
			t.Error(err)
		}
	}
	if a := r.open(); !a.GetTasks()[0].GetDone() || len(a.GetPerson()) != 0 {
		t.Error("the task is not done, or still says whom it is about")
	}
	r.nothingInClear("Planted")
	// When the copy is gone and wanted again, people are asked again.
	r.c.now = func() time.Time { return time.Now().Add(copiesStay + 2*time.Hour) }
	if a := r.ask(&habeasv1.TaskQuestion{Question: &habeasv1.TaskQuestion_List{List: &habeasv1.TaskList{Done: true}}}); len(a.GetTasks()) != 1 {
		t.Errorf("%d tasks", len(a.GetTasks()))
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "*"+copyEnd)); len(left) != 0 {
		t.Errorf("%d files of a copy that was taken long ago are left", len(left))
	}
	_, err = r.c.Locate(job(t.Context(), "export", 2), ann)
	r.waits(err)
	if a := r.open(); a.GetTasks()[0].GetStep() != stepLook || len(a.GetPerson()) != 1 {
		t.Errorf("asked again it asks to %s", a.GetTasks()[0].GetStep())
	}
}

// nothingInClear looks into every file of the folder.
func (r *rig) nothingInClear(trace string) {
	r.t.Helper()
	entries, err := os.ReadDir(r.dir)
	if err != nil || len(entries) == 0 {
		r.t.Fatalf("%d files to look into: %v", len(entries), err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(r.dir, e.Name()))
		if err != nil || bytes.Contains(text, []byte(trace)) || strings.Contains(e.Name(), trace) {
			r.t.Errorf("%s says what it holds: %v", e.Name(), err)
		}
	}
}

// When there is nothing, that is the answer, and nobody has to attach anything.
func TestCopyOfNothing(t *testing.T) {
	r := newRig(t)
	ctx := job(t.Context(), "export", 1)
	_, err := r.c.Locate(ctx, ann)
	r.waits(err)
	r.says(there(0, 0, 0))
	if found, err := r.c.Locate(ctx, ann); err != nil || len(found) != 0 {
		t.Fatalf("located %v, %v", found, err)
	}
	if !r.open().GetTasks()[0].GetDone() {
		t.Error("the task is not done")
	}
	if out, err := r.export(ctx); err != nil || len(out) != 0 {
		t.Errorf("exported %d records, %v", len(out), err)
	}
}

// A file is taken out again, and then its content is nowhere.
func TestCopyFileIsTakenOut(t *testing.T) {
	r := newRig(t)
	r.tillCopy(job(t.Context(), "export", 1), there(1, 0, 0))
	wrong := []byte("somebody else's letter")
	r.attaches("cabinet", typeText, 1, wrong)
	sum := sha256.Sum256(wrong)
	if a := r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Uncopy{Uncopy: sum[:]}}); a.GetProblem() != "" || len(a.GetTasks()[0].GetFiles()) != 0 {
		t.Fatalf("taking it out: %s", a.GetProblem())
	}
	if a := r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Uncopy{Uncopy: sum[:]}}); a.GetProblem() != problemNotFound {
		t.Errorf("taking it out twice: %s", a.GetProblem())
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "*"+copyEnd)); len(left) != 0 {
		t.Errorf("%d files are left", len(left))
	}
}

// What is refused says why in words for people, repeats no value, and changes
// nothing.
func TestCopyFilesAreRefused(t *testing.T) {
	r := newRig(t)
	early := r.change(&habeasv1.TaskChange{TaskId: jobID, Version: 1, Change: &habeasv1.TaskChange_Copy{Copy: pieces("cabinet", typeText, 1, []byte("x"))[0]}})
	if early.GetProblem() != problemNotFound {
		t.Errorf("a file for no task: %s", early.GetProblem())
	}
	ctx := job(t.Context(), "export", 1)
	if _, err := r.c.Locate(ctx, ann); err == nil {
		t.Fatal("nobody was asked")
	}
	if a := r.attach("cabinet", typeText, 1, []byte("x")); !strings.Contains(a.GetDetail(), "this step of the task asks for none") {
		t.Errorf("a file at the first look: %s", a.GetDetail())
	}
	r.says(there(1, 0, 0))
	if _, err := r.c.Locate(ctx, ann); err != nil {
		t.Fatal(err)
	}
	_, err := r.export(ctx)
	r.waits(err)
	for want, c := range map[string]struct {
		store, mediaType string
		content          string
	}{
		"which store":                    {"attic", typeText, "x"},
		"want JSON, CSV":                 {"cabinet", "image/png", "x"},
		"the file is empty":              {"cabinet", typeText, ""},
		"is empty":                       {"cabinet", typeText, " \n"},
		"too large: want at most 16 MiB": {"cabinet", typeText, strings.Repeat("x", wire.MaxCopyFile+1)},
		"not text in UTF-8":              {"cabinet", typeText, "na\xefve Planted"},
		"in UTF-8":                       {"cabinet", typeCSV, "\xff\xfea\x00"},
		"CSV: line 3":                    {"cabinet", typeCSV, "a,b\n1,2\nPlanted\n"},
		"column 2 has no name":           {"cabinet", typeCSV, "a,\n1,2\n"},
		"has no records":                 {"cabinet", typeCSV, "a,b\n"},
		"not valid JSON":                 {"cabinet", typeJSON, `{"name": "Planted`},
		"array of objects":               {"cabinet", typeJSON, `"Planted"`},
		"record 2 is no object":          {"cabinet", typeJSON, `[{"a":1},"Planted"]`},
		"record 1 is empty":              {"cabinet", typeJSON, `[{}]`},
		"without a name":                 {"cabinet", typeJSON, `[{"":1}]`},
		"is no PDF":                      {"cabinet", typePDF, "Planted"},
		"the PDF can't be read":          {"cabinet", typePDF, "%PDF-1.7\nPlanted"},
	} {
		before := r.open().GetTasks()[0].GetVersion()
		a := r.attach(c.store, c.mediaType, 1, []byte(c.content))
		if a.GetProblem() != problemInvalid || !strings.Contains(a.GetDetail(), want) || strings.Contains(a.GetDetail(), "Planted") {
			t.Errorf("%s: %s %s", want, a.GetProblem(), a.GetDetail())
		}
		if r.open().GetTasks()[0].GetVersion() != before {
			t.Errorf("%s: the task has changed", want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "*"+copyEnd)); len(left) != 0 {
		t.Errorf("%d refused files are kept", len(left))
	}
}

// A file larger than a message comes in pieces: twice, or after a restart in
// between, it is the file; without one of them, or altered, it is none.
func TestCopyFileInPieces(t *testing.T) {
	r := newRig(t)
	r.tillCopy(job(t.Context(), "export", 1), there(1, 0, 0))
	content := bytes.Repeat([]byte("a long letter. "), 3*wire.MaxCopyPiece/15)
	all := pieces("cabinet", typeText, 1, content)
	send := func(p *habeasv1.TaskFile) *habeasv1.TaskAnswer {
		return r.change(&habeasv1.TaskChange{Change: &habeasv1.TaskChange_Copy{Copy: p}})
	}
	last := len(all) - 1
	if last < 2 {
		t.Fatalf("%d pieces", len(all))
	}
	if a := send(all[last]); !strings.Contains(a.GetDetail(), "a piece of it is missing") {
		t.Errorf("the last piece alone: %s", a.GetDetail())
	}
	for _, p := range []*habeasv1.TaskFile{all[0], all[0]} {
		if a := send(p); a.GetProblem() != "" || len(a.GetTasks()[0].GetFiles()) != 0 {
			t.Errorf("a piece: %s %s", a.GetProblem(), a.GetDetail())
		}
	}
	r.restart()
	for _, p := range all[1:last] {
		if a := send(p); a.GetProblem() != "" {
			t.Errorf("a piece: %s %s", a.GetProblem(), a.GetDetail())
		}
	}
	if a := send(all[last]); a.GetProblem() != "" || len(a.GetTasks()[0].GetFiles()) != 1 {
		t.Fatalf("the last piece: %s %s", a.GetProblem(), a.GetDetail())
	}
	if left, _ := filepath.Glob(filepath.Join(r.dir, "*"+pieceEnd)); len(left) != 0 {
		t.Errorf("%d pieces are left", len(left))
	}
	altered := pieces("cabinet", typeText, 1, []byte("altered"))[0]
	altered.Content = []byte("Altered")
	if a := send(altered); !strings.Contains(a.GetDetail(), "altered on its way") {
		t.Errorf("altered: %s", a.GetDetail())
	}
	short := pieces("cabinet", typeText, 1, content)[0]
	short.Content = short.GetContent()[1:]
	if a := send(short); !strings.Contains(a.GetDetail(), "wrong size") {
		t.Errorf("a short piece: %s", a.GetDetail())
	}
}

// Any table that is attached comes out with its rows, cells and names as they were.
func TestTableComesOutAsItWent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cell := rapid.StringMatching(`[a-z "',;=é\n-]{0,8}`)
		columns := rapid.IntRange(1, 4).Draw(t, "columns")
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, columns, columns), 1, 5).Draw(t, "rows")
		quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
		var text strings.Builder
		for c := range columns {
			fmt.Fprintf(&text, "%sc%d", strings.Repeat(",", min(c, 1)), c)
		}
		for _, row := range rows {
			text.WriteString("\n")
			for c, cell := range row {
				text.WriteString(strings.Repeat(",", min(c, 1)) + quote(cell))
			}
		}
		var got [][]string
		err := eachRecord(typeCSV, []byte(text.String()), nil, 0, func(fields []sdk.Field) error {
			var row []string
			for c, f := range fields {
				if f.Name != fmt.Sprintf("c%d", c) {
					t.Fatalf("column %d is %s", c, f.Name)
				}
				row = append(row, f.Value.(string))
			}
			got = append(got, row)
			return nil
		})
		if diff := cmp.Diff(rows, got); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
	})
}

// Whatever is attached is read or refused; it never ends the process, and what is
// counted is what is written.
func FuzzReadable(f *testing.F) {
	for _, seed := range []string{"a,b\n1,2\n", `[{"a":1},{"b":[2]}]`, "%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer<</Root 1 0 R>>\nstartxref\n9\n%%EOF", string(paper("x"))} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		for _, kind := range wire.CopyTypes() {
			text, n, err := readable(kind, []byte(content))
			if err != nil {
				continue
			}
			var written int64
			if err := eachRecord(kind, []byte(content), text, max(1, n), func([]sdk.Field) error { written++; return nil }); err != nil || written != max(1, n) {
				t.Errorf("%s: %d records are counted and %d written: %v", kind, n, written, err)
			}
		}
	})
}

// paper is a PDF of one page with one line.
func paper(line string) []byte {
	var b bytes.Buffer
	var at []int
	object := func(body string) {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", len(at), body)
	}
	b.WriteString("%PDF-1.4\n")
	draw := "BT /F1 12 Tf 72 720 Td (" + line + ") Tj ET"
	object("<</Type/Catalog/Pages 2 0 R>>")
	object("<</Type/Pages/Kids[3 0 R]/Count 1>>")
	object("<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>")
	object(fmt.Sprintf("<</Length %d>>\nstream\n%s\nendstream", len(draw), draw))
	object("<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(at)+1)
	for _, n := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", n)
	}
	fmt.Fprintf(&b, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", len(at)+1, xref)
	return b.Bytes()
}

// What can be read in a PDF goes with it, and a scan of several sheets is as many
// records.
func TestPaperOfSeveralSheets(t *testing.T) {
	content := paper("Ann Planted lives here")
	text, n, err := readable(typePDF, content)
	if err != nil || n != 0 || !strings.Contains(string(text), "Ann Planted lives here") {
		t.Fatalf("read %q, %d records, %v", text, n, err)
	}
	var got [][]sdk.Field
	if err := eachRecord(typePDF, content, text, 2, func(f []sdk.Field) error { got = append(got, f); return nil }); err != nil {
		t.Fatal(err)
	}
	want := [][]sdk.Field{
		{{Name: "record", Value: "1 of 2"}, {Name: "document", Value: sdk.Document{MediaType: typePDF, Content: content, Text: string(text)}}},
		{{Name: "record", Value: "2 of 2"}, {Name: "document", Value: "the document of record 1"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A whole copy over the bus: the outcome names sealed parts which hold what was
// attached, and no record of it says anything of that.
func TestCopyOverTheBus(t *testing.T) {
	o := newOffice(t)
	if !slices.Contains(o.manifest.GetAbilities(), habeasv1.Action_ACTION_EXPORT) {
		t.Fatalf("the manifest says %v", o.manifest.GetAbilities())
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	o.recipient = identity.Recipient().String()
	send := func(attempt int32) *habeasv1.Outcome {
		return o.sendTo(habeasv1.Action_ACTION_EXPORT, attempt).GetOutcome()
	}
	if got := send(1); got.GetDeferred() == nil {
		t.Fatalf("answered %v", got)
	}
	o.says(func(c *habeasv1.TaskChange) { c.Change = &habeasv1.TaskChange_Result{Result: there(2, 0, 0)} })
	if got := send(2); got.GetDeferred() == nil {
		t.Fatalf("answered %v before anything was attached", got)
	}
	o.says(func(c *habeasv1.TaskChange) {
		c.Change = &habeasv1.TaskChange_Copy{Copy: pieces("cabinet", typeCSV, 0, []byte("note\nplanted one\nplanted two\n"))[0]}
	})
	o.says(func(c *habeasv1.TaskChange) { c.Change = &habeasv1.TaskChange_Result{Result: there(2, 0, 0)} })
	got := send(3)
	if got.GetDone() == nil || len(got.GetParts()) != 1 || got.GetParts()[0].GetRecordCount() != 2 || got.GetStores()[0].GetExportedCount() != 2 {
		t.Fatalf("answered %v", got)
	}
	bucket, err := o.bus.JS.ObjectStore(t.Context(), wire.ExportBucket("archive"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := bucket.GetBytes(t.Context(), got.GetParts()[0].GetObject())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := age.Decrypt(bytes.NewReader(sealed), identity)
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(plain)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unzipped)
	if err != nil || bytes.Count(text, []byte("planted")) != 2 {
		t.Errorf("the part has %d bytes, %v", len(text), err)
	}
	o.records() // looks for what was planted
}
