package compliance

import (
	"bytes"
	"fmt"
	"strings"
)

const preface = `# What the law asks, and where it is kept

<!-- Made from services/compliance/rows.yaml by "make compliance"; edit that. -->

One row for each requirement. A row that is *built* names the tests that show it;
one that is *partly* or *not built* says what is missing. This is engineering and
no legal advice.

"Sure" says how the statement of the law itself was checked:

`

// Page returns docs/compliance.md.
func Page(rows []Row) []byte {
	var b bytes.Buffer
	b.WriteString(preface)
	for _, m := range Marks {
		fmt.Fprintf(&b, "- **%s**: %s\n", m.Mark, m.Meaning)
	}
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n", g.title)
		b.WriteString("| ID | requirement | citation | sure | state | where | tests |\n|---|---|---|---|---|---|---|\n")
		for _, r := range rows {
			if strings.HasPrefix(r.ID, g.prefix+"-") {
				r.line(&b)
			}
		}
	}
	return b.Bytes()
}

func (r Row) line(b *bytes.Buffer) {
	state := r.Status.Words()
	if r.Why != "" {
		state += ": " + r.Why
	}
	cells := []string{r.ID, r.Requirement, r.Citation, r.Sure, state, code(r.Where), code(r.Tests)}
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(strings.Join(strings.Fields(c), " "), "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

func code(items []string) string {
	quoted := make([]string, len(items))
	for i, item := range items {
		quoted[i] = "`" + item + "`"
	}
	return strings.Join(quoted, ", ")
}
