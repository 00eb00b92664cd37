package notice

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/template"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/habeas-data/habeas/services/request"
)

//go:embed words/*.yaml
var files embed.FS

// Languages are those every notice exists in; the first is used where the
// person's is not known.
var Languages = []string{"en", "es"}

// words are the texts of one language, by name; each is a template over [facts].
type words map[string]*template.Template

// load reads the texts of all languages and checks that they have the same
// names.
func load() (map[string]words, error) {
	all := make(map[string]words, len(Languages))
	for _, language := range Languages {
		text, err := fs.ReadFile(files, "words/"+language+".yaml")
		if err != nil {
			return nil, fmt.Errorf("reading the words of notices: %w", err)
		}
		var lines map[string]string
		if err := yaml.Unmarshal(text, &lines); err != nil {
			return nil, fmt.Errorf("reading the words of notices: %s: %w", language, err)
		}
		all[language] = make(words, len(lines))
		for name, line := range lines {
			t, err := template.New(name).Option("missingkey=error").Funcs(template.FuncMap{"day": dayIn(language)}).Parse(line)
			if err != nil {
				return nil, fmt.Errorf("reading the words of notices: %s: %w", language, err)
			}
			all[language][name] = t
		}
	}
	for _, language := range Languages[1:] {
		for name := range all[Languages[0]] {
			if all[language][name] == nil {
				return nil, fmt.Errorf("reading the words of notices: %s has no %s", language, name)
			}
		}
		if len(all[language]) != len(all[Languages[0]]) {
			return nil, fmt.Errorf("reading the words of notices: %s has words that %s has not", language, Languages[0])
		}
	}
	return all, nil
}

// errNothing is wrapped by errors of parts that have nothing to say.
var errNothing = errors.New("nothing to say")

// say fills one text in.
func (w words) say(name string, f *facts) (string, error) {
	t, ok := w[name]
	if !ok {
		return "", fmt.Errorf("there are no words for %s", name)
	}
	var b strings.Builder
	if err := t.Execute(&b, f); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	text := strings.TrimSpace(b.String())
	if text == "" {
		return "", fmt.Errorf("writing %s: %w", name, errNothing)
	}
	return text, nil
}

var spanishMonths = [...]string{
	"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre",
}

// dayIn writes days as a reader of the language does.
func dayIn(language string) func(request.Date) (string, error) {
	return func(d request.Date) (string, error) {
		if d.IsZero() {
			return "", errNothing
		}
		if language == "es" {
			return fmt.Sprintf("%d de %s de %d", d.Day, spanishMonths[d.Month-1], d.Year), nil
		}
		return d.Start(time.UTC).Format("January 2, 2006"), nil
	}
}
