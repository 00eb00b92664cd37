package services_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fenced    = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	linked    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	elsewhere = regexp.MustCompile(`^[a-z]+:`)
	heading   = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	unslugged = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// pages are the Markdown files of the repository, by their path from its root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "*/*/README.md", "*/README.md", "*/*/*/README.md"} {
		files, err := filepath.Glob(filepath.Join("..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found[strings.TrimPrefix(filepath.ToSlash(file), "../")] = fenced.ReplaceAllString(string(text), "")
		}
	}
	return found
}

// deadLinks are the links of a page that lead to no file of the repository, or to
// no heading of a page.
func deadLinks(page string, all map[string]string, exists func(file string) bool) []string {
	var dead []string
	for _, m := range linked.FindAllStringSubmatch(all[page], -1) {
		if elsewhere.MatchString(m[1]) {
			continue
		}
		file, anchor, _ := strings.Cut(m[1], "#")
		target := page
		if file != "" {
			target = filepath.ToSlash(filepath.Join(filepath.Dir(page), file))
		}
		if !exists(target) || anchor != "" && !anchors(all[target])[anchor] {
			dead = append(dead, m[1])
		}
	}
	return dead
}

// anchors are what the headings of a page are called in links.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := unslugged.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

// Every link of a page leads somewhere, to the heading it names.
func TestLinksOfPages(t *testing.T) {
	all := pages(t)
	exists := func(file string) bool {
		_, err := os.Stat(filepath.Join("..", filepath.FromSlash(file)))
		return err == nil
	}
	links := 0
	for page, text := range all {
		links += len(linked.FindAllString(text, -1))
		for _, link := range deadLinks(page, all, exists) {
			t.Errorf("%s links to %s, which is not there", page, link)
		}
	}
	if links < 30 {
		t.Errorf("only %d links were found in %d pages", links, len(all))
	}
}

func TestDeadLinksAreFound(t *testing.T) {
	all := map[string]string{
		"docs/a.md": "[b](b.md) [part](b.md#two-words) [here](#own) [far](https://example.com/x)\n# Own\n[gone](c.md) [no part](b.md#three) [none](#nowhere)",
		"docs/b.md": "## Two `words`\n",
	}
	dead := deadLinks("docs/a.md", all, func(file string) bool { return all[file] != "" })
	if got, want := strings.Join(dead, " "), "c.md b.md#three #nowhere"; got != want {
		t.Errorf("dead links: %s, want %s", got, want)
	}
}
