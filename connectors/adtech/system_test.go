package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/habeas-data/habeas/connectors/demo"
	"github.com/habeas-data/habeas/connectors/internal/pgtest"
	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sdk/sdktest"
)

// system is one ad-tech database with one partner behind it.
type system struct {
	dir      string
	driver   string
	dsn      string
	db       *sql.DB
	partner  *demo.Partner
	server   *httptest.Server
	settings settings
}

var _ sdktest.Breaker = (*system)(nil)

func newSystem(t testing.TB) sdktest.System {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "adtech.db")
	if err := demo.SeedAdtech(t.Context(), path, 0); err != nil {
		t.Fatal(err)
	}
	return newSystemAt(t, dir, path, 0)
}

// newSystemAt is a system over an SQLite file that is there.
func newSystemAt(t testing.TB, dir, path string, delay time.Duration) *system {
	t.Helper()
	db, err := sql.Open("sqlite", sqliteDSN(path, "rw"))
	if err != nil {
		t.Fatal(err)
	}
	return withPartner(t, &system{dir: dir, driver: "sqlite", dsn: path, db: db}, delay)
}

// newPostgres is newSystem with the graph in PostgreSQL.
func newPostgres(t testing.TB) sdktest.System {
	t.Helper()
	dsn := pgtest.New(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range demo.AdtechSchema {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return withPartner(t, &system{dir: t.TempDir(), driver: "postgres", dsn: dsn, db: db}, 0)
}

// withPartner completes a system with a partner that takes delay for a request.
func withPartner(t testing.TB, s *system, delay time.Duration) *system {
	t.Helper()
	var err error
	if s.partner, err = demo.NewPartner(t.Context(), s.dir, 0, demo.PartnerOptions{Delay: delay}); err != nil {
		t.Fatal(err)
	}
	s.server = httptest.NewServer(s.partner)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.partner.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		s.server.Close()
		if err := s.partner.Close(); err != nil {
			t.Error(err)
		}
		if err := s.db.Close(); err != nil {
			t.Error(err)
		}
	})
	key := filepath.Join(s.dir, "opt-out.key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.settings.Database.Driver, s.settings.Database.DSN = s.driver, s.dsn
	s.settings.OptOutKeyFile = key
	s.settings.SensitiveAudiences = []string{demo.SensitiveAudience}
	s.settings.Callback.Listen = "127.0.0.1:0"
	s.settings.Poll.Min, s.settings.Poll.Max, s.settings.Poll.Patience = 10*time.Millisecond, time.Second, time.Second
	s.settings.Partners = []partnerSetting{{
		Name: demo.PartnerName, BaseURL: s.server.URL + "/v2", Domain: demo.PartnerDomain,
		RootsFile: filepath.Join(s.dir, "partner-ca.pem"), Identities: []string{"email_sha256", "device_id"},
		Extension: []string{"cookie_id"}, OptOut: "suppress", Contract: "brightfield-dpa-2026",
	}}
	return s
}

// open builds the connector; each has a ledger of its own directory, as each
// instance of the program has.
func (s *system) open(t testing.TB, dir string) (sdk.Manifest, *adtech) {
	t.Helper()
	manifest, a, err := build(t.Context(), s.settings, host{
		name: "adtech", version: "test", dir: dir, log: slog.Default(),
		secret: func(string) (sdk.Secret, error) { return "", nil },
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return manifest, a
}

// Open implements [sdktest.System].
func (s *system) Open(t testing.TB) (sdk.Manifest, sdk.Connector) {
	manifest, a := s.open(t, s.dir)
	return manifest, s.settings.able(a)
}

// Plant implements [sdktest.System]. Every household of two shares a cookie.
func (s *system) Plant(t testing.TB, n int) sdktest.Planted {
	t.Helper()
	p := demo.PersonAt(1000 + n)
	if err := demo.InsertAdtech(t.Context(), s.db, p); err != nil {
		t.Fatal(err)
	}
	if err := s.partner.PlantPartner(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	profile, household := demo.AdtechProfile(p.N), fmt.Sprintf("ck-household-%d", n/2)
	for _, statement := range []string{
		`INSERT INTO identifiers (kind, value, platform, first_seen, last_seen) VALUES ('cookie_id', $1, 'web', '2025-01-01T00:00:00Z', '2025-01-02T00:00:00Z') ON CONFLICT (kind, value) DO NOTHING`,
		`INSERT INTO links (kind, value, profile_id, source, linked_at) VALUES ('cookie_id', $1, $2, 'pixel', '2025-01-01T00:00:00Z')`,
	} {
		args := []any{household, profile}
		if _, err := s.db.ExecContext(t.Context(), statement, args[:strings.Count(statement, "$")]...); err != nil {
			t.Fatal(err)
		}
	}
	// The neighbour is there from the start, so that the cookie is shared
	// whoever is planted first.
	if _, err := s.db.ExecContext(t.Context(), `INSERT INTO links (kind, value, profile_id, source, linked_at)
		VALUES ('cookie_id', $1, $2, 'pixel', '2025-01-01T00:00:00Z') ON CONFLICT DO NOTHING`, household, fmt.Sprintf("prf_flatmate_%d", n/2)); err != nil {
		t.Fatal(err)
	}
	planted := sdktest.Planted{
		Person: sdk.NewPerson(sdk.ID(sdk.Email, p.Email), sdk.ID(sdk.UserID, p.UserID), sdk.ID(sdk.CookieID, p.CookieIDs[0])),
		Traces: []string{p.Email, p.UserID, profile},
		Stores: map[string]int64{storeProfiles: 1, storeIdentifiers: int64(len(p.CookieIDs) + len(p.DeviceIDs)), storeLinks: int64(len(p.CookieIDs) + len(p.DeviceIDs) + 1)},
	}
	for _, cookie := range p.CookieIDs {
		planted.Yields = append(planted.Yields, sdk.ID(sdk.CookieID, cookie))
		planted.Traces = append(planted.Traces, cookie)
	}
	for _, device := range p.DeviceIDs {
		planted.Yields = append(planted.Yields, sdk.ID(sdk.DeviceID, device))
		planted.Traces = append(planted.Traces, device)
	}
	for _, table := range []string{storeInferences, storeAudiences} {
		var rows int64
		if err := s.db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+table+" WHERE profile_id = $1", profile).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		planted.Stores[table] = rows
	}
	return planted
}

// Dump implements [sdktest.System]: the ad-tech tables, the partner's whole
// database and the connector's own ledger, by plain SQL.
func (s *system) Dump(t testing.TB) []string {
	t.Helper()
	s.settle(t)
	lines := dumpTables(t, s.db, demo.AdtechTables...)
	for path, tables := range map[string][]string{
		"partner.db": {"people", "requests", "callbacks"},
		"opendsr.db": {"opendsr_requests"},
	} {
		if _, err := os.Stat(filepath.Join(s.dir, path)); err != nil {
			continue // not opened yet
		}
		db, err := sql.Open("sqlite", sqliteDSN(filepath.Join(s.dir, path), "rw"))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, dumpTables(t, db, tables...)...)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return lines
}

// settle waits until the partner has told what it has to tell now, so that what it sends
// by itself is not taken for what a call changed. A partner that stands still keeps nobody.
func (s *system) settle(t testing.TB) {
	t.Helper()
	path := filepath.Join(s.dir, "partner.db")
	if _, err := os.Stat(path); err != nil {
		return // not opened yet
	}
	db, err := sql.Open("sqlite", sqliteDSN(path, "rw"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tick, enough := time.NewTicker(5*time.Millisecond), time.After(5*time.Second)
	defer tick.Stop()
	for {
		var due int
		err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM callbacks WHERE next_at <= ?", time.Now().UnixNano()).Scan(&due)
		if err != nil || due == 0 {
			return // where the table is not there, nothing is sent
		}
		select {
		case <-tick.C:
		case <-enough:
			return
		}
	}
}

// Break implements [sdktest.Breaker].
func (s *system) Break(t testing.TB) {
	t.Helper()
	s.server.CloseClientConnections()
	s.partner.Fail(demo.NoSuchIdentity, demo.NoSuchIdentity, demo.NoSuchIdentity)
	for _, table := range []string{"links", "opt_out_keys"} {
		if _, err := s.db.ExecContext(t.Context(), "DROP TABLE "+table); err != nil {
			t.Fatal(err)
		}
	}
}

func dumpTables(t testing.TB, db *sql.DB, tables ...string) []string {
	t.Helper()
	var lines []string
	for _, table := range tables {
		more, err := demo.DumpTable(t.Context(), db, table)
		if err != nil {
			if strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "does not exist") {
				continue // broken on purpose
			}
			t.Fatal(err)
		}
		lines = append(lines, more...)
	}
	return lines
}
