package demo

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the ad-tech system's database driver
)

// AdtechSchema is the ad-tech system's database: an identity graph of profiles
// and the cookies and devices they were seen on, what was inferred of each
// profile, the audiences it was put into for partners, and the choices people
// made. It is plain SQL that SQLite and PostgreSQL both take. Times are
// RFC 3339 in UTC.
var AdtechSchema = []string{
	`CREATE TABLE profiles (
		profile_id TEXT PRIMARY KEY, user_id TEXT, email_sha256 TEXT, region TEXT,
		created_at TEXT NOT NULL, last_seen TEXT NOT NULL, opted_out_at TEXT)`,
	`CREATE UNIQUE INDEX profiles_user ON profiles (user_id)`,
	`CREATE INDEX profiles_email ON profiles (email_sha256)`,
	`CREATE TABLE identifiers (
		kind TEXT NOT NULL, value TEXT NOT NULL, platform TEXT, os TEXT, browser TEXT, screen TEXT,
		first_seen TEXT NOT NULL, last_seen TEXT NOT NULL, opted_out_at TEXT, PRIMARY KEY (kind, value))`,
	`CREATE TABLE links (
		profile_id TEXT NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL,
		linked_at TEXT NOT NULL, PRIMARY KEY (profile_id, kind, value))`,
	`CREATE INDEX links_identifier ON links (kind, value)`,
	`CREATE TABLE inferences (
		inference_id TEXT PRIMARY KEY, profile_id TEXT NOT NULL, attribute TEXT NOT NULL, value TEXT NOT NULL,
		score INTEGER NOT NULL, made_at TEXT NOT NULL)`,
	`CREATE INDEX inferences_profile ON inferences (profile_id)`,
	`CREATE TABLE audiences (
		audience TEXT NOT NULL, profile_id TEXT NOT NULL, partner TEXT NOT NULL, added_at TEXT NOT NULL,
		withdrawn_at TEXT, PRIMARY KEY (audience, profile_id, partner))`,
	`CREATE INDEX audiences_profile ON audiences (profile_id)`,
	`CREATE TABLE opt_outs (opt_out_id TEXT PRIMARY KEY, source TEXT NOT NULL, recorded_at TEXT NOT NULL)`,
	`CREATE TABLE opt_out_keys (
		digest TEXT NOT NULL, opt_out_id TEXT NOT NULL, PRIMARY KEY (digest, opt_out_id))`,
	`CREATE INDEX opt_out_keys_choice ON opt_out_keys (opt_out_id)`,
}

// AdtechTables are the tables of [AdtechSchema].
var AdtechTables = []string{"profiles", "identifiers", "links", "inferences", "audiences", "opt_outs", "opt_out_keys"}

var (
	interests = []string{"small business", "outdoor", "home office", "family travel", "photography", "local food"}
	segments  = []string{"trial-abandoners", "spring-campaign", "high-intent", "lookalike-owners"}
	browsers  = []string{"Firefox 128", "Chrome 127", "Safari 17", "Edge 126"}
	systems   = []string{"Windows 11", "macOS 14.5", "Ubuntu 24.04"}
)

// SharedCookie is the cookie of the browser that Namesake and OtherNamesake
// share at home; it belongs to neither alone.
const SharedCookie = "ck-household-cedar-court"

// SeedAdtech makes the ad-tech database at path with those of the first n
// people whom ad-tech knows. The file appears complete or not at all.
func SeedAdtech(ctx context.Context, path string, n int) (err error) {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("seeding ad-tech: %w", err)
	}
	db, err := sql.Open("sqlite", sqliteFile(part, "synchronous(off)", "journal_mode(memory)"))
	if err != nil {
		return fmt.Errorf("seeding ad-tech: %w", err)
	}
	db.SetMaxOpenConns(1)
	err = fillAdtech(ctx, db, n)
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("seeding ad-tech: %w", err)
	}
	return nil
}

func fillAdtech(ctx context.Context, db *sql.DB, n int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it has nothing to do
	for _, statement := range AdtechSchema {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	for p := range People(n) {
		if !p.InAdtech {
			continue
		}
		if err := InsertAdtech(ctx, tx, p); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// InsertAdtech writes one person into the ad-tech database. db may be a
// transaction. OptOuter and CookieOnly get a profile that no e-mail address or
// account is known for. The household's shared cookie comes with the namesakes.
func InsertAdtech(ctx context.Context, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, p Person) error {
	h := mix(uint64(p.N) ^ 0xad)
	pick := func(list []string, salt uint64) string { return list[mix(h^salt)%uint64(len(list))] }
	at := func(days uint64) string { return p.Joined.AddDate(0, 0, int(days)).Format(time.RFC3339) }
	profile := AdtechProfile(p.N)

	var failed error
	exec := func(query string, args ...any) {
		if failed == nil {
			_, failed = db.ExecContext(ctx, query, args...)
		}
	}
	var user, email any
	if p.N != OptOuter && p.N != CookieOnly {
		user, email = p.UserID, EmailSHA256(p.Email)
	}
	exec(`INSERT INTO profiles (profile_id, user_id, email_sha256, region, created_at, last_seen) VALUES ($1, $2, $3, $4, $5, $6)`,
		profile, user, email, "US-CA "+p.City, at(0), at(40))

	see := func(kind, value, platform, system, browser, source string) {
		exec(`INSERT INTO identifiers (kind, value, platform, os, browser, screen, first_seen, last_seen)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (kind, value) DO NOTHING`,
			kind, value, platform, system, browser, "1440x900", at(0), at(40))
		exec(`INSERT INTO links (profile_id, kind, value, source, linked_at) VALUES ($1, $2, $3, $4, $5)`,
			profile, kind, value, source, at(1))
	}
	for i, cookie := range p.CookieIDs {
		see("cookie_id", cookie, "web", pick(systems, uint64(i)+1), pick(browsers, uint64(i)+4), "pixel")
	}
	if p.N == Namesake || p.N == OtherNamesake {
		see("cookie_id", SharedCookie, "web", systems[0], browsers[0], "pixel")
	}
	if p.N != OptOuter {
		for i, device := range p.DeviceIDs {
			if mix(h^uint64(i+9))%2 == 0 {
				see("device_id", device, "ios", "iOS 17", "", "app login")
			} else {
				see("device_id", device, "android", "Android 14", "", "app login")
			}
		}
	}
	for i := range 1 + h%3 {
		exec(`INSERT INTO inferences (inference_id, profile_id, attribute, value, score, made_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			fmt.Sprintf("inf_%d_%d", p.N, i), profile, "interest", interests[(h>>8+i)%uint64(len(interests))], 40+mix(h^i)%60, at(20))
	}
	for i := range 1 + h%2 {
		exec(`INSERT INTO audiences (audience, profile_id, partner, added_at) VALUES ($1, $2, $3, $4)`,
			segments[(h>>16+i)%uint64(len(segments))], profile, PartnerName, at(21))
	}
	if p.N%11 == 0 {
		exec(`INSERT INTO audiences (audience, profile_id, partner, added_at) VALUES ($1, $2, $3, $4)`, SensitiveAudience, profile, PartnerName, at(22))
	}
	return failed
}

// SensitiveAudience is made from the precise places that profiles were seen at,
// which is sensitive personal information (Civ. Code 1798.140(ae)(1)(C)).
const SensitiveAudience = "near-clinics"

// AdtechProfile is the id of a person's ad-tech profile.
func AdtechProfile(n int) string { return fmt.Sprintf("prf_%010x", mix(uint64(n)^0x9f)&0xffffffffff) }

// EmailSHA256 is how advertising systems know an e-mail address: lower-case
// hex SHA-256 of the address, trimmed and in lower case.
func EmailSHA256(address string) string {
	sum := sha256.Sum256([]byte(strings.ToLower(strings.TrimSpace(address))))
	return hex.EncodeToString(sum[:])
}
