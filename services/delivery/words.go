package delivery

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
)

//go:embed words/*.yaml
var wordFiles embed.FS

// Languages are those a report can be in; the first is used where the person's
// is not known.
var Languages = []string{"en", "es"}

// Texts are the pages and words of reports.
func Texts() []fs.FS { return []fs.FS{pageFiles, wordFiles} }

// words are what a report says in one language, by name.
type words struct {
	language string
	texts    map[string]string
	page     *template.Template
}

// wordsOf returns the words of a language, or of the first where there are none.
func wordsOf(language string) (*words, error) {
	all, err := loadWords()
	if err != nil {
		return nil, err
	}
	if !slices.Contains(Languages, language) {
		language = Languages[0]
	}
	return all[language], nil
}

var loadWords = sync.OnceValues(func() (map[string]*words, error) {
	all := make(map[string]*words, len(Languages))
	for _, language := range Languages {
		w := &words{language: language}
		text, err := fs.ReadFile(wordFiles, "words/"+language+".yaml")
		if err == nil {
			err = yaml.UnmarshalWithOptions(text, &w.texts, yaml.Strict())
		}
		if err == nil {
			w.page, err = template.New("report.html.tmpl").Funcs(w.funcs()).ParseFS(pageFiles, "*.html.tmpl")
		}
		if err != nil {
			return nil, fmt.Errorf("reading the words of reports: %s: %w", language, err)
		}
		all[language] = w
	}
	return all, nil
})

// say fills in one text.
func (w *words) say(name string, args ...any) (string, error) {
	text, ok := w.texts[name]
	if !ok {
		return "", fmt.Errorf("the report has no words for %s in %s", name, w.language)
	}
	if len(args) == 0 {
		return text, nil
	}
	return fmt.Sprintf(text, args...), nil
}

// count is a number of things, such as "3 records".
func (w *words) count(name string, n int64) (string, error) {
	if n == 1 {
		return w.say(name + "_one")
	}
	return w.say(name, n)
}

func (w *words) categoryName(letter string) string {
	if name, ok := w.texts["category_"+letter]; ok && letter != "other" {
		return name
	}
	name := w.texts["not_classified"]
	if letter != "" {
		name = fmt.Sprintf(w.texts["category_other"], letter)
	}
	return name
}

// category is a category with its letter, as a person reads it.
func (w *words) category(letter string) string {
	if letter == "" {
		return w.categoryName(letter)
	}
	return w.categoryName(letter) + " (" + letter + ")"
}

// kind is the type of an item that is withheld. Types that only a connector
// knows stay in its words.
func (w *words) kind(kind string) string {
	if text, ok := w.texts["kind "+kind]; ok {
		return text
	}
	return kind
}

// thing names a data category, or the nearest one above it that has a name; ""
// where none has.
func (w *words) thing(data string) string {
	for data != "" {
		if text, ok := w.texts["data "+data]; ok {
			return text
		}
		data = data[:max(0, strings.LastIndex(data, "."))]
	}
	return ""
}

// law names a regime.
func (w *words) law(regime string) string {
	if text, ok := w.texts["law_"+regime]; ok {
		return text
	}
	return regime
}

var spanishMonths = [...]string{
	"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre",
}

func (w *words) day(t time.Time) string {
	t = t.UTC()
	if w.language == "es" {
		return fmt.Sprintf("%d de %s de %d", t.Day(), spanishMonths[t.Month()-1], t.Year())
	}
	return t.Format("January 2, 2006")
}

func (w *words) funcs() template.FuncMap {
	return template.FuncMap{
		"t": w.say, "count": w.count, "category": w.category, "about": func(letter string) string { return w.texts["text_"+letter] },
		"kind": w.kind, "day": w.day, "language": func() string { return w.language }, "join": strings.Join,
		"int64": func(n int) int64 { return int64(n) },
	}
}
