package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/services/audit"
)

// setting is a setting of the configuration file and its default as the
// program has it; "" when the program has none or another place has it.
type setting struct{ env, def string }

func settings(v reflect.Value, prefix string, out map[string]setting) {
	for i := range v.NumField() {
		name := prefix + v.Type().Field(i).Tag.Get("yaml")
		f := v.Field(i)
		if f.Kind() == reflect.Struct {
			settings(f, name+".", out)
			continue
		}
		s := setting{env: "HABEAS_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))}
		if !f.IsZero() {
			s.def = fmt.Sprint(f.Interface())
		}
		out[name] = s
	}
}

var settingRow = regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| `(HABEAS_[A-Z_]+)` \\| ([^|]+) \\| ([^|]+) \\|$")

// docs/operations.md names every setting, with its variable and its default,
// and none that is not there.
func TestSettingsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	c := defaults()
	c.place()
	want := map[string]setting{}
	settings(reflect.ValueOf(c), "", want)
	want["audit.origin"] = setting{env: want["audit.origin"].env, def: audit.DefaultOrigin} // the room's own default
	for _, row := range settingRow.FindAllStringSubmatch(string(text), -1) {
		name, env, def, meaning := row[1], row[2], strings.Trim(row[3], "`"), row[4]
		s, ok := want[name]
		if !ok {
			t.Errorf("%s is documented, twice or without being a setting", name)
			continue
		}
		delete(want, name)
		if env != s.env {
			t.Errorf("%s: documented as %s, is %s", name, env, s.env)
		}
		if s.def != "" && def != s.def {
			t.Errorf("%s: documented with default %s, has %s", name, def, s.def)
		}
		if _, err := time.ParseDuration(def); s.def == "" && def != "none" && err != nil && def != "10" {
			t.Errorf("%s: documented with default %s, has none", name, def)
		}
		if len(meaning) < 10 {
			t.Errorf("%s: no meaning", name)
		}
	}
	for name := range want {
		t.Errorf("%s is not documented", name)
	}
}
