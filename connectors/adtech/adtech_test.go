package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/opendsr"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// bench is a system with a connector, for tests of single rules.
type bench struct {
	*system
	*adtech
}

func newBench(t *testing.T, delay time.Duration) bench {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "adtech.db")
	if err := demo.SeedAdtech(t.Context(), path, 40); err != nil {
		t.Fatal(err)
	}
	s := newSystemAt(t, dir, path, delay)
	_, a := s.open(t, dir)
	return bench{s, a}
}

func (b bench) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if _, err := b.db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

func (b bench) number(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := b.db.QueryRowContext(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func email(n int) sdk.Identifier { return sdk.ID(sdk.Email, demo.PersonAt(n).Email) }

func cookie(n int) sdk.Identifier { return sdk.ID(sdk.CookieID, demo.PersonAt(n).CookieIDs[0]) }

// TestWhoIsReached is the rule for telling people apart.
func TestWhoIsReached(t *testing.T) {
	b := newBench(t, 0)
	shared := sdk.ID(sdk.CookieID, demo.SharedCookie)
	b.exec(t, `INSERT INTO identifiers (kind, value, first_seen, last_seen) VALUES ('cookie_id', 'ck-loose', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z')`)
	for _, c := range []struct {
		name      string
		ids       []sdk.Identifier
		profiles  []int
		loose     bool
		ambiguous bool
	}{
		{name: "e-mail address", ids: []sdk.Identifier{email(demo.Copier)}, profiles: []int{demo.Copier}},
		{name: "address in capitals", ids: []sdk.Identifier{sdk.ID(sdk.Email, strings.ToUpper(demo.PersonAt(demo.Copier).Email))}, profiles: []int{demo.Copier}},
		{name: "account", ids: []sdk.Identifier{sdk.ID(sdk.UserID, demo.PersonAt(demo.Copier).UserID)}, profiles: []int{demo.Copier}},
		{name: "cookie", ids: []sdk.Identifier{cookie(demo.Copier)}, profiles: []int{demo.Copier}},
		{name: "cookie and nothing else known of her", ids: []sdk.Identifier{cookie(demo.CookieOnly)}, profiles: []int{demo.CookieOnly}},
		{name: "unknown address, pseudonymous cookie", ids: []sdk.Identifier{email(demo.EmailOnly), cookie(demo.CookieOnly)}, profiles: []int{demo.CookieOnly}},
		{name: "one of a household", ids: []sdk.Identifier{email(demo.Namesake), shared}, profiles: []int{demo.Namesake}},
		{name: "the other", ids: []sdk.Identifier{shared, email(demo.OtherNamesake)}, profiles: []int{demo.OtherNamesake}},
		{name: "a cookie of no profile", ids: []sdk.Identifier{sdk.ID(sdk.CookieID, "ck-loose")}, loose: true},
		{name: "shared cookie alone", ids: []sdk.Identifier{shared}, ambiguous: true},
		{name: "shared cookie of others", ids: []sdk.Identifier{email(demo.Copier), shared}, ambiguous: true},
		{name: "somebody else's cookie", ids: []sdk.Identifier{email(demo.Copier), cookie(demo.Leaver)}, ambiguous: true},
		{name: "unknown address, somebody's cookie", ids: []sdk.Identifier{email(demo.EmailOnly), cookie(demo.Leaver)}, ambiguous: true},
		{name: "cookies of two", ids: []sdk.Identifier{cookie(demo.Copier), cookie(demo.Leaver)}, ambiguous: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := b.known(t.Context(), sdk.NewPerson(c.ids...))
			if c.ambiguous {
				if !sdk.IsPermanent(err) || sdk.CodeOf(err) != sdk.Ambiguous {
					t.Fatalf("got %v, want a permanent refusal", err)
				}
				if err := b.Erase(t.Context(), sdk.NewPerson(c.ids...)); sdk.CodeOf(err) != sdk.Ambiguous {
					t.Errorf("erasing: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, n := range c.profiles {
				want = append(want, demo.AdtechProfile(n))
			}
			if diff := cmp.Diff(want, r.profileIDs(), cmp.Transformer("sorted", func(s []string) []string { return slices.Sorted(slices.Values(s)) })); diff != "" {
				t.Errorf("profiles (-want +got):\n%s", diff)
			}
			if c.loose != (len(r.profiles) == 0 && len(r.own()) == 1) {
				t.Errorf("reached %d nodes", len(r.own()))
			}
			if slices.ContainsFunc(r.own(), func(n node) bool { return n.value == demo.SharedCookie }) {
				t.Error("a shared cookie was taken for her own")
			}
		})
	}
}

// TestPartnerFirst: while the partner is not done her rows stay, and a restart
// in between, with the clock of the job's retries, sends nothing twice.
func TestPartnerFirst(t *testing.T) {
	b := newBench(t, time.Hour)
	ctx := sdk.WithJobInfo(t.Context(), sdk.JobInfo{JobID: "job-1", Regime: "us-ca-ccpa", Right: "delete", Received: time.Now().Add(-time.Hour), Attempt: 1})
	p := sdk.NewPerson(email(demo.Leaver))
	before, err := b.Locate(ctx, p)
	if err != nil || len(before) == 0 {
		t.Fatalf("located %v, %v", before, err)
	}
	b.partner.Fail(demo.LoseAnswer)
	if err := b.Erase(ctx, p); err == nil || sdk.IsPermanent(err) {
		t.Fatalf("the answer was lost: %v", err)
	}
	_, again := b.open(t, b.dir)
	for range 2 {
		if after, ok := sdk.AsNotYet(again.Erase(ctx, p)); !ok || after > time.Second {
			t.Fatalf("the partner is at work: after %s, %v", after, ok)
		}
	}
	now, err := again.Locate(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, now); diff != "" {
		t.Errorf("rows changed while the partner was at work:\n%s", diff)
	}
	counts, err := b.partner.Requests(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"erasure": 1}, counts); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

// TestCrashAfterPartners: the partner is done and the process died before it
// removed a row of its own.
func TestCrashAfterPartners(t *testing.T) {
	b := newBench(t, 0)
	ctx := sdk.WithJobInfo(t.Context(), sdk.JobInfo{JobID: "job-1", Attempt: 1})
	p := sdk.NewPerson(email(demo.Leaver))
	r, err := b.known(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.notify(ctx, subjectOf(p, r.profiles, r.own()), func(p partner) opendsr.RequestType { return p.onErase }); err != nil {
		t.Fatal(err)
	}
	_, again := b.open(t, b.dir)
	if err := again.Erase(ctx, p); err != nil {
		t.Fatal(err)
	}
	if found, err := again.Locate(ctx, p); err != nil || found != nil {
		t.Errorf("after the erasure: %v, %v", found, err)
	}
	if counts, err := b.partner.Requests(ctx); err != nil || counts["erasure"] != 1 {
		t.Errorf("requests %v, %v; want one erasure", counts, err)
	}
}

// TestGraphGrows: a cookie that appears while the partner works is told too,
// before anything is removed.
func TestGraphGrows(t *testing.T) {
	b := newBench(t, 0)
	p := sdk.NewPerson(email(demo.Leaver))
	r, err := b.known(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	told := subjectOf(p, r.profiles, r.own())
	b.exec(t, `INSERT INTO links (profile_id, kind, value, source, linked_at) VALUES ($1, 'cookie_id', 'ck-late', 'pixel', '2026-01-01T00:00:00Z')`, demo.AdtechProfile(demo.Leaver))
	if err := b.eraseOwn(t.Context(), p, told); !errors.Is(err, errGraphChanged) {
		t.Fatalf("got %v", err)
	}
	if err := b.Erase(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if n := b.number(t, `SELECT COUNT(*) FROM links WHERE value = 'ck-late'`); n != 0 {
		t.Error("the late cookie is still linked")
	}
}

// TestOptOut covers the opt-out of somebody known by a cookie alone, in a
// household, and its life after an erasure.
func TestOptOut(t *testing.T) {
	b := newBench(t, 0)
	ctx := t.Context()
	shared := sdk.NewPerson(sdk.ID(sdk.CookieID, demo.SharedCookie))
	// A browser says no: both who use it are opted out, with all their devices
	// (11 CCR 7025(c)(1)), though nobody could say which of them it was.
	if err := b.OptOut(ctx, shared); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{demo.Namesake, demo.OtherNamesake} {
		if in := b.number(t, `SELECT COUNT(*) FROM audiences WHERE profile_id = $1 AND withdrawn_at IS NULL`, demo.AdtechProfile(n)); in != 0 {
			t.Errorf("person %d is still in %d audiences", n, in)
		}
		for _, id := range append(demo.PersonAt(n).DeviceIDs, demo.PersonAt(n).CookieIDs...) {
			if b.number(t, `SELECT COUNT(*) FROM identifiers WHERE value = $1 AND opted_out_at IS NOT NULL`, id) != 1 {
				t.Errorf("a device or cookie of person %d is not marked", n)
			}
		}
		if in, err := b.OptedOut(ctx, sdk.NewPerson(email(n))); err != nil || !in {
			t.Errorf("person %d by address: %v, %v", n, in, err)
		}
	}
	if n := b.number(t, `SELECT COUNT(*) FROM profiles WHERE opted_out_at IS NOT NULL`); n != 2 {
		t.Errorf("%d profiles are marked, want 2", n)
	}
	// She leaves; what remains still says no, and names nobody.
	her := sdk.NewPerson(email(demo.Namesake))
	if err := b.Erase(ctx, her); err != nil {
		t.Fatal(err)
	}
	if in, err := b.OptedOut(ctx, her); err != nil || !in {
		t.Errorf("after the erasure: %v, %v", in, err)
	}
	if found, err := b.Locate(ctx, her); err != nil || found != nil {
		t.Errorf("after the erasure: %v, %v", found, err)
	}
	// Opted out and then seen on a new device: no longer in force everywhere.
	other := sdk.NewPerson(email(demo.OtherNamesake))
	b.exec(t, `INSERT INTO identifiers (kind, value, first_seen, last_seen) VALUES ('device_id', 'dev-new', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')`)
	b.exec(t, `INSERT INTO links (profile_id, kind, value, source, linked_at) VALUES ($1, 'device_id', 'dev-new', 'app login', '2026-01-01T00:00:00Z')`, demo.AdtechProfile(demo.OtherNamesake))
	if in, err := b.OptedOut(ctx, other); err != nil || in {
		t.Errorf("with a new device: %v, %v", in, err)
	}
	if err := b.OptOut(ctx, other); err != nil {
		t.Fatal(err)
	}
	if in, err := b.OptedOut(ctx, other); err != nil || !in {
		t.Errorf("again: %v, %v", in, err)
	}
}

// TestOptIn takes back what somebody chose who shares a browser: her own devices
// are opted in, and the other person's are not.
func TestOptIn(t *testing.T) {
	b := newBench(t, 0)
	ctx := t.Context()
	if err := b.OptOut(ctx, sdk.NewPerson(sdk.ID(sdk.CookieID, demo.SharedCookie))); err != nil {
		t.Fatal(err)
	}
	her, other := demo.PersonAt(demo.Namesake), demo.PersonAt(demo.OtherNamesake)
	// She names everything, the household's browser not.
	p := sdk.NewPerson(email(demo.Namesake), sdk.ID(sdk.UserID, her.UserID), sdk.ID(sdk.CookieID, her.CookieIDs[0]))
	for range 2 {
		if err := b.OptIn(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	marked := func(value string) bool {
		return b.number(t, `SELECT COUNT(*) FROM identifiers WHERE value = $1 AND opted_out_at IS NOT NULL`, value) > 0
	}
	for _, id := range append(her.DeviceIDs, her.CookieIDs...) {
		if marked(id) {
			t.Error("a device or cookie of hers is still marked")
		}
	}
	for _, id := range append(append(other.DeviceIDs, other.CookieIDs...), demo.SharedCookie) {
		if !marked(id) {
			t.Error("a device or cookie that is not hers alone was opted in")
		}
	}
	for n, want := range map[int]bool{demo.Namesake: false, demo.OtherNamesake: true} {
		if in, err := b.OptedOut(ctx, sdk.NewPerson(email(n))); err != nil || in != want {
			t.Errorf("person %d: opted out %v, %v", n, in, err)
		}
		if got := b.number(t, `SELECT COUNT(*) FROM profiles WHERE profile_id = $1 AND opted_out_at IS NOT NULL`, demo.AdtechProfile(n)) > 0; got != want {
			t.Errorf("person %d: the profile is marked %v", n, got)
		}
	}
	// Nobody knows which of the two a browser's yes is from: it opens the browser
	// and no profile.
	if err := b.OptIn(ctx, sdk.NewPerson(sdk.ID(sdk.CookieID, demo.SharedCookie))); err != nil {
		t.Fatal(err)
	}
	if n := b.number(t, `SELECT COUNT(*) FROM profiles WHERE profile_id = $1 AND opted_out_at IS NOT NULL`, demo.AdtechProfile(demo.OtherNamesake)); n != 1 || marked(demo.SharedCookie) {
		t.Errorf("after a browser's yes the other's profile is marked %d times, the browser %v", n, marked(demo.SharedCookie))
	}
	if n := b.number(t, `SELECT COUNT(*) FROM audiences WHERE withdrawn_at IS NULL AND profile_id = $1`, demo.AdtechProfile(demo.Namesake)); n != 0 {
		t.Error("she was put back into audiences")
	}
}

// TestChoiceOutlivesErasure: a choice made on the site, known by a mark on the
// profile alone, still holds for all her names when she comes back.
func TestChoiceOutlivesErasure(t *testing.T) {
	b := newBench(t, 0)
	b.exec(t, `UPDATE profiles SET opted_out_at = '2026-01-01T00:00:00Z' WHERE profile_id = $1`, demo.AdtechProfile(demo.Copier))
	for n, want := range map[int]bool{demo.Copier: true, demo.Leaver: false} {
		if err := b.Erase(t.Context(), sdk.NewPerson(email(n))); err != nil {
			t.Fatal(err)
		}
		for _, id := range []sdk.Identifier{email(n), cookie(n), sdk.ID(sdk.UserID, demo.PersonAt(n).UserID)} {
			if in, err := b.OptedOut(t.Context(), sdk.NewPerson(id)); err != nil || in != want {
				t.Errorf("person %d by %s: %v, %v", n, id.Kind, in, err)
			}
		}
	}
}

// TestOptOutBeforePartners: the own effect does not wait for a partner.
func TestOptOutBeforePartners(t *testing.T) {
	b := newBench(t, 0)
	b.server.Close()
	p := sdk.NewPerson(cookie(demo.OptOuter))
	if err := b.OptOut(t.Context(), p); err == nil || sdk.IsPermanent(err) {
		t.Errorf("with the partner down: %v", err)
	}
	if in, err := b.OptedOut(t.Context(), p); err != nil || !in {
		t.Errorf("not in force: %v, %v", in, err)
	}
}

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte(strings.Repeat("x", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	const database = "database: {driver: sqlite, dsn: nowhere.db}\nopt_out_key_file: key\n"
	partner := func(more string) string {
		return database + "partners:\n- {name: p, base_url: 'https://p.example/v2', domain: p.example, contract: TPA-1, " + more + "}\n"
	}
	for _, c := range []struct{ name, section, want string }{
		{"nothing", "{}", "database.driver"},
		{"driver", "database: {driver: oracle, dsn: x}", "use sqlite or postgres"},
		{"no dsn", "database: {driver: sqlite}", "dsn and dsn_secret"},
		{"no key", "database: {driver: sqlite, dsn: x}", "opt_out_key_file is missing"},
		{"unknown field", database + "partner: []", "partner"},
		{"no opt_out", partner("identities: [email]"), "opt_out is \"\""},
		{"VN-1 no contract", strings.Replace(partner("opt_out: none, identities: [email]"), "contract: TPA-1, ", "", 1), "contract is missing"},
		{"no identities", partner("opt_out: none"), "both empty"},
		{"identity", partner("opt_out: none, identities: [shoe_size]"), "shoe_size"},
		{"extension", partner("opt_out: none, extension: [email]"), "none of cookie_id"},
		{"auth", partner("opt_out: none, identities: [email], auth: {kind: basic}"), "name of a secret"},
		{"secret", partner("opt_out: none, identities: [email], auth: {kind: bearer, secret: NOT_SET_ANYWHERE}"), "NOT_SET_ANYWHERE"},
		{"roots", partner("opt_out: none, identities: [email], roots_file: key"), "no PEM certificate"},
		{"plain http", strings.ReplaceAll(partner("opt_out: none, identities: [email]"), "https://", "http://"), "must be https"},
		{"callback url", database + "callback: {listen: '0.0.0.0:0'}", "callback.url is missing"},
		{"callback listen", database + "callback: {url: 'https://x.example/'}", "callback.listen is not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env, err := sdk.NewEnv("adtech", filepath.Join(dir, "state"), c.section)
			if err != nil {
				t.Fatal(err)
			}
			env.ConfigFile = filepath.Join(dir, "adtech.yaml")
			_, a, err := open(t.Context(), env)
			if err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
		})
	}
}

// TestDatabaseComesLater: the connector opens without its database, says what
// is wrong with it, and works when it is there.
func TestDatabaseComesLater(t *testing.T) {
	b := newBench(t, 0)
	b.settings.Database.DSN = filepath.Join(b.dir, "later.db")
	_, a := b.open(t, t.TempDir())
	if _, err := a.Locate(t.Context(), sdk.NewPerson(email(demo.Copier))); sdk.CodeOf(err) != sdk.Unavailable {
		t.Errorf("no file: %v", err)
	}
	if err := demo.SeedAdtech(t.Context(), b.settings.Database.DSN, 40); err != nil {
		t.Fatal(err)
	}
	if found, err := a.Locate(t.Context(), sdk.NewPerson(email(demo.Copier))); err != nil || len(found) == 0 {
		t.Errorf("with its file: %v, %v", found, err)
	}
	b.exec(t, `ALTER TABLE links RENAME COLUMN source TO origin`)
	b.settings.Database.DSN = b.dsn
	_, broken := b.open(t, t.TempDir())
	if _, err := broken.Locate(t.Context(), sdk.NewPerson(email(demo.Copier))); sdk.CodeOf(err) != sdk.Configuration || !strings.Contains(err.Error(), "table links") {
		t.Errorf("a column is missing: %v", err)
	}
}

// TestDemoConfiguration opens the connector from the file the demo ships.
func TestDemoConfiguration_KN9(t *testing.T) {
	b := newBench(t, 0)
	if err := os.WriteFile(filepath.Join(b.dir, "opt-out.key"), []byte(strings.Repeat("k", 64)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HABEAS_DEMO_DIR", b.dir)
	t.Setenv("HABEAS_DEMO_PARTNER", b.server.URL)
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "demo", "adtech.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\nconfig:\n")
	if !found {
		t.Fatal("no section config:")
	}
	env, err := sdk.NewEnv("adtech", filepath.Join(b.dir, "state"), section)
	if err != nil {
		t.Fatal(err)
	}
	for _, describe := range []bool{true, false} {
		env.Describe = describe
		m, c, err := open(t.Context(), env)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
		inferences := 0
		for _, s := range m.Stores {
			if slices.ContainsFunc(s.Categories, func(c sdk.Category) bool { return c.Letter == "K" }) {
				inferences++
			}
		}
		if inferences == 0 {
			t.Error("no store says that it holds inferences")
		}
		a, ok := c.(limiting)
		if !ok {
			t.Fatalf("opened %T", c)
		}
		if !describe {
			if err := a.Erase(t.Context(), sdk.NewPerson(email(demo.Copier))); err != nil {
				t.Error(err)
			}
			dump := strings.Join(b.Dump(t), "\n")
			if copier := demo.PersonAt(demo.Copier); strings.Contains(dump, copier.CookieIDs[0]) || strings.Contains(dump, demo.EmailSHA256(copier.Email)) {
				t.Error("a trace is left")
			}
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestWorst orders what partners answer.
func TestWorst(t *testing.T) {
	permanent, plain := sdk.Permanent(errors.New("p")), errors.New("q")
	soon, late := sdk.NotYet(time.Second, nil), sdk.NotYet(time.Hour, nil)
	for i, c := range []struct {
		errs []error
		want error
	}{
		{nil, nil},
		{[]error{nil, late, soon}, soon},
		{[]error{late, plain, nil}, plain},
		{[]error{late, plain, permanent}, permanent},
	} {
		if got := worst(c.errs); !errors.Is(got, c.want) && fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%d: got %v, want %v", i, got, c.want)
		}
	}
}
