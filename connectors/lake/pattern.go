package lake

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// pattern matches keys: "*", "?" and "[...]" within one name, as in package
// path, and "**" for any number of folders.
type pattern []string

func parsePattern(s string) (pattern, error) {
	if s == "" {
		return nil, errors.New("give a pattern of paths, such as events/dt=*/*.jsonl")
	}
	p := pattern(strings.Split(s, "/"))
	for _, name := range p {
		if name == "" || name == "." || name == ".." {
			return nil, fmt.Errorf("%q must be a path below the lake's folder, without empty names, '.' or '..'", s)
		}
		if _, err := path.Match(name, ""); err != nil {
			return nil, fmt.Errorf("%q is not a pattern: %w", s, err)
		}
	}
	return p, nil
}

func (p pattern) match(key string) bool { return matchNames(p, strings.Split(key, "/")) }

func matchNames(p pattern, names []string) bool {
	for len(p) > 0 {
		if p[0] == "**" {
			for i := range len(names) + 1 {
				if matchNames(p[1:], names[i:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 {
			return false
		}
		if ok, err := path.Match(p[0], names[0]); err != nil || !ok {
			return false
		}
		p, names = p[1:], names[1:]
	}
	return len(names) == 0
}

// prefix is the folder that all matching keys lie in: empty, or ending in "/".
func (p pattern) prefix() string {
	var fixed []string
	for _, name := range p[:len(p)-1] {
		if strings.ContainsAny(name, `*?[\`) {
			break
		}
		fixed = append(fixed, name)
	}
	if len(fixed) == 0 {
		return ""
	}
	return strings.Join(fixed, "/") + "/"
}
