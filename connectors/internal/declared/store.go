package declared

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Texts is one text or a list of them.
type Texts []string

// UnmarshalYAML accepts a single text for a list of one.
func (t *Texts) UnmarshalYAML(unmarshal func(any) error) error {
	var one string
	if err := unmarshal(&one); err == nil {
		*t = Texts{one}
		return nil
	}
	return unmarshal((*[]string)(t))
}

// Category is a category of personal information.
type Category struct {
	// Letter is the statutory category, "A" to "L".
	Letter string `yaml:"letter"`
	// Data is the finer data category, such as "user.behavior.browsing_history".
	Data string `yaml:"data"`
}

// Lettered reports whether the letter is one of the statute's
// (Civ. Code 1798.140(v)(1)).
func (c Category) Lettered() bool { return len(c.Letter) == 1 && c.Letter >= "A" && c.Letter <= "L" }

// Normalise tells how values of a kind are compared: "lower" ignores the case of
// letters and surrounding blanks; "exact" is the default for every kind but email.
type Normalise map[string]string

// Check refuses any other word.
func (n Normalise) Check() error {
	for kind, how := range n {
		if how != "lower" && how != "exact" {
			return fmt.Errorf("normalise.%s: %q is neither lower nor exact", kind, how)
		}
	}
	return nil
}

// Lower reports whether a kind is compared in lower case.
func (n Normalise) Lower(kind sdk.Kind) bool {
	if how, ok := n[string(kind)]; ok {
		return how == "lower"
	}
	return kind == sdk.Email
}

// Value is the form in which values of a kind are compared.
func (n Normalise) Value(kind sdk.Kind, value string) string {
	if n.Lower(kind) {
		return strings.ToLower(strings.TrimSpace(value))
	}
	return value
}

var (
	kindForm  = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	storeForm = regexp.MustCompile(`^[a-z][a-z0-9_.-]*$`)
)

// IsKind reports whether name can be a kind of identifier: lower-case words joined
// by '_'.
func IsKind(name string) bool { return kindForm.MatchString(name) }

// IsStore reports whether name can be a store's: lower-case letters, digits, '_',
// '-' and '.', after a letter.
func IsStore(name string) bool { return storeForm.MatchString(name) }

// CheckRole accepts the two roles and, for the first, nothing.
func CheckRole(name string) error {
	if role := sdk.Role(name); role != "" && role != sdk.Business && role != sdk.ServiceProvider {
		return fmt.Errorf("%q is neither %s nor %s", name, sdk.Business, sdk.ServiceProvider)
	}
	return nil
}

// Store is what a manifest says of a store: held as a business unless a role is
// given, with each category once and in order.
func Store(name, role string, categories iter.Seq[Category]) sdk.Store {
	s := sdk.Store{Name: name, Role: sdk.Role(role)}
	if s.Role == "" {
		s.Role = sdk.Business
	}
	for c := range categories {
		s.Categories = append(s.Categories, sdk.Category{Letter: c.Letter, Data: c.Data})
	}
	slices.SortFunc(s.Categories, func(a, b sdk.Category) int { return strings.Compare(a.Letter+a.Data, b.Letter+b.Data) })
	s.Categories = slices.Compact(s.Categories)
	return s
}
