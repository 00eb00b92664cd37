package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const planted = "maria.planted@example.com"

func TestNothingPrintsTheValue(t *testing.T) {
	id := NewIdentifier(Email, planted)
	type hidden struct{ id Identifier }
	values := []any{
		id, &id, id.Value, &id.Value, []Identifier{id}, map[string]Identifier{"x": id}, hidden{id}, &hidden{id},
		Submission{Identifiers: []Identifier{id}, Corrections: []Correction{{Field: "email", Value: id.Value}}},
		fmt.Errorf("wrapping %v %s %q: %w", id, id, id, errors.New("x")),
	}
	var out strings.Builder
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10.3s"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("m", "v", v)
		}
	}
	for _, leak := range []string{"maria", "planted", "example.com", fmt.Sprintf("%x", "maria"), fmt.Sprintf("%X", "maria")} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%q is in the output:\n%s", leak, out.String())
		}
	}
	if id.Reveal() != planted {
		t.Error("Reveal does not give the value")
	}
	if !(Identifier{}).Value.IsZero() || NewSecret("") != (Secret{}) || (Secret{}).Reveal() != "" {
		t.Error("the zero Secret is not the empty text")
	}
}

func TestNormalize(t *testing.T) {
	for _, c := range []struct {
		kind     Kind
		in, want string // want "" means refused
	}{
		{Email, "  Maria.Planted+News@Example.COM \t", "maria.planted+news@example.com"},
		{Email, "jose\u0301@example.com", "jos\u00e9@example.com"},
		{Email, "MARIA@BÜCHER.example", "maria@bücher.example"},
		{Email, "maria", ""},
		{Email, "@example.com", ""},
		{Email, "maria@", ""},
		{Email, "maria@a@b", ""},
		{Email, "maria@example..com", ""},
		{Email, "maria@.example", ""},
		{Email, "ma ria@example.com", ""},
		{Email, "Maria <maria@example.com>", ""},
		{Email, strings.Repeat("a", 250) + "@example.com", ""},
		{Phone, "(415) 555-0123", "+14155550123"},
		{Phone, "+1 415 555 0123", "+14155550123"},
		{Phone, "415.555.0123", "+14155550123"},
		{Phone, "+49 30 123456", "+4930123456"},
		{Phone, "12", ""},
		{Phone, "call me", ""},
		{Phone, "+999999999999999999", ""},
		{Name, "  Maria \u00a0 de  la Cruz ", "Maria de la Cruz"},
		{CustomerID, " C-1001 ", "C-1001"},
		{DeviceID, "AbC", "AbC"},
		{"loyalty_card", "42", "42"},
		{"Loyalty Card", "42", ""},
		{"", "42", ""},
		{Kind(strings.Repeat("k", 65)), "42", ""},
		{UserID, "", ""},
		{UserID, " \t", ""},
		{UserID, "u\x001", ""},
		{UserID, "u\n1", ""},
		{UserID, "u\x7f", ""},
		{UserID, "u\u00851", ""},
		{UserID, "\xff\xfe", ""},
		{UserID, "u\ufffd", ""},
		{UserID, "u\u202e1", ""}, // right-to-left override
		{UserID, "u\u200b1", ""}, // zero-width space
		{UserID, "\ufeffu1", ""},
		{UserID, "u\u20281", ""},
		{Name, "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"}, // needs its joiner
		{CookieID, strings.Repeat("c", MaxIdentifierBytes), strings.Repeat("c", MaxIdentifierBytes)},
		{CookieID, strings.Repeat("c", MaxIdentifierBytes+1), ""},
		{CookieID, strings.Repeat("\u0958", MaxIdentifierBytes/3), ""}, // twice as long when composed
	} {
		got, err := NewIdentifier(c.kind, c.in).Normalize()
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%s %q: taken as %q", c.kind, c.in, got.Reveal())
		case c.want != "" && (err != nil || got.Reveal() != c.want || got.Kind != c.kind):
			t.Errorf("%s %q: %q, %v; want %q", c.kind, c.in, got.Reveal(), err, c.want)
		case err != nil && len(c.in) > 3 && strings.Contains(err.Error(), strings.TrimSpace(c.in)):
			t.Errorf("%s: the error repeats the value: %v", c.kind, err)
		}
	}
}

// What normalising gives is text that normalising leaves alone.
func FuzzNormalize(f *testing.F) {
	for _, value := range []string{planted, "(415) 555-0123", "Ma\u0301ria", "İ@X.com", "\x00", "\xff", "+1", "ẞ@ẞ.de", "tel:+1-415-555-0123;ext=5"} {
		for _, kind := range []Kind{Email, Phone, Name, UserID} {
			f.Add(string(kind), value)
		}
	}
	f.Fuzz(func(t *testing.T, kind, value string) {
		once, err := NewIdentifier(Kind(kind), value).Normalize()
		if err != nil {
			if len(value) > 7 && strings.Contains(err.Error(), value) {
				t.Fatalf("the error repeats the value: %v", err)
			}
			return
		}
		twice, err := once.Normalize()
		if err != nil || twice != once {
			t.Fatalf("%s %q: once %q, twice %q, %v", kind, value, once.Reveal(), twice.Reveal(), err)
		}
		if !utf8.ValidString(once.Reveal()) || strings.ContainsAny(once.Reveal(), "\x00\n\r") || once.Reveal() == "" {
			t.Fatalf("%s %q: normalised to %q", kind, value, once.Reveal())
		}
	})
}

func good() Submission {
	return Submission{Regime: "us-ca-ccpa", Right: Delete, Identifiers: []Identifier{NewIdentifier(Email, planted)}}
}

func TestSubmissionNormalize(t *testing.T) {
	s := good()
	s.Identifiers = append(s.Identifiers, NewIdentifier(Email, strings.ToUpper(planted)), NewIdentifier(Name, "Maria"))
	got, err := s.Normalize()
	if err != nil {
		t.Fatal(err)
	}
	want := good()
	want.Channel, want.Subject = ChannelAPI, PersonSubject
	want.Identifiers = append(want.Identifiers, NewIdentifier(Name, "Maria"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("normalised (-want +got):\n%s", diff)
	}
}

func TestSubmissionNamesTheField(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Submission)
		want   string // fields in order
	}{
		"good":                   {func(*Submission) {}, ""},
		"undesignated way, IN-2": {func(s *Submission) { s.Channel = "support_chat" }, ""},
		"household, IN-9":        {func(s *Submission) { s.Subject = HouseholdSubject }, ""}, // logged and denied, not lost
		"household opt-out":      {func(s *Submission) { s.Right, s.Subject = OptOutSaleShare, HouseholdSubject }, "subject"},
		"one-step opt-in, OO-6":  {func(s *Submission) { s.Right, s.TwoStep = OptInSaleShare, false }, ""}, // it is made two-step
		"child opts in alone":    {func(s *Submission) { s.Right, s.Minor = OptInSaleShare, Under13 }, "requester"},
		"two-step opt-out":       {func(s *Submission) { s.Right, s.TwoStep = OptOutSaleShare, true }, "two_step"},
		"portions, IN-6":         {func(s *Submission) { s.Portions = []string{"A", "K"} }, ""},
		"portions of a copy":     {func(s *Submission) { s.Right, s.Portions = KnowSpecific, []string{"A"} }, "portions"},
		"no category":            {func(s *Submission) { s.Portions = []string{"planted"} }, "portions[0]"},
		"unknown requester":      {func(s *Submission) { s.Requester = "planted" }, "requester"},
		"unknown minor":          {func(s *Submission) { s.Minor = "planted" }, "minor"},
		"stray papers":           {func(s *Submission) { s.NewPapers = true }, "new_papers"},
		"reserved right":         {func(s *Submission) { s.Right = OptOutADMT }, "right"},
		"unknown subject":        {func(s *Submission) { s.Subject = "dog" }, "subject"},
		"no regime":              {func(s *Submission) { s.Regime = "" }, "regime"},
		"unknown right":          {func(s *Submission) { s.Right = "forget" }, "right"},
		"hostile channel":        {func(s *Submission) { s.Channel = "web.>\x00" }, "channel"},
		"hostile tenant":         {func(s *Submission) { s.Tenant = "a\nb" }, "tenant"},
		"no identifiers":         {func(s *Submission) { s.Identifiers = nil }, "identifiers"},
		"only a name":            {func(s *Submission) { s.Identifiers = []Identifier{NewIdentifier(Name, "Maria")} }, "identifiers"},
		"too many":               {func(s *Submission) { s.Identifiers = make([]Identifier, MaxIdentifiers+1) }, "identifiers"},
		"bad identifier": {func(s *Submission) {
			s.Identifiers = append(s.Identifiers, NewIdentifier(Phone, "planted"), NewIdentifier("B ad", "planted"))
		}, "identifiers[1] identifiers[2]"},
		"range for a deletion": {func(s *Submission) { s.Range.Kind = RangeAll }, "range"},
		"unknown range":        {func(s *Submission) { s.Right, s.Range.Kind = KnowSpecific, "some" }, "range.kind"},
		"range without day":    {func(s *Submission) { s.Right, s.Range.Kind = KnowSpecific, RangeFrom }, "range.from"},
		"day without range":    {func(s *Submission) { s.Right, s.Range.From = KnowSpecific, today }, "range.from"},
		"good range":           {func(s *Submission) { s.Right, s.Range = KnowSpecific, Range{RangeFrom, today} }, ""},
		"stray correction":     {func(s *Submission) { s.Corrections = []Correction{{"email", NewSecret("x")}} }, "corrections"},
		"no correction":        {func(s *Submission) { s.Right = Correct }, "corrections"},
		"bad correction": {func(s *Submission) { s.Right, s.Corrections = Correct, []Correction{{"", NewSecret("planted\x00")}} },
			"corrections[0].field corrections[0].value"},
		"good correction": {func(s *Submission) { s.Right, s.Corrections = Correct, []Correction{{"email", NewSecret("x")}} }, ""},
		"all at once":     {func(s *Submission) { *s = Submission{Channel: "!"} }, "regime right channel identifiers"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			c.change(&s)
			err := s.Validate()
			var errs FieldErrors
			if err != nil && !errors.As(err, &errs) {
				t.Fatalf("error is a %T", err)
			}
			var fields []string
			for _, e := range errs {
				fields = append(fields, e.Field)
				if e.Problem == "" || e.Fix == "" {
					t.Errorf("%v lacks a problem or a fix", e)
				}
			}
			if got := strings.Join(fields, " "); got != c.want {
				t.Errorf("fields %q, want %q", got, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "planted") {
				t.Errorf("the error repeats a value: %v", err)
			}
		})
	}
}

func TestDueJSON(t *testing.T) {
	due := terms(Delete).Due
	text, err := json.Marshal(due)
	if err != nil {
		t.Fatal(err)
	}
	var back Due
	if err := json.Unmarshal(text, &back); err != nil || back != due {
		t.Errorf("%s comes back as %+v, %v", text, back, err)
	}
	if bytes.Contains(text, []byte(`"stop"`)) {
		t.Errorf("%s has a clock that is not set", text)
	}
	want := map[string]string{"respond": "2027-01-06", "extended": "2027-02-20"}
	if diff := cmp.Diff(want, due.Dates()); diff != "" {
		t.Errorf("dates (-want +got):\n%s", diff)
	}
}
