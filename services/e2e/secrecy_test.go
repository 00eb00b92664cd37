package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// planted finds identifiers of people in bytes, however they are spelt.
type planted struct {
	// byStart has the needles by their first two bytes.
	byStart [1 << 16][]needle
}

type needle struct {
	text []byte
	kind string
}

func plant(wishes []*wish) *planted {
	p := &planted{}
	for _, w := range wishes {
		for kind, values := range w.person {
			if kind == "systems" {
				continue
			}
			for _, v := range values {
				p.add(kind, v)
			}
		}
	}
	return p
}

// add looks for a value as it is, in hexadecimal digits (as PostgreSQL prints
// bytes), in Base64 at each of the three places it can have there, and for its
// plain digest, which anybody can make of a guess.
func (p *planted) add(kind, v string) {
	digest := sha256.Sum256([]byte(strings.ToLower(v)))
	for _, text := range []string{v, strings.ToLower(v), url.QueryEscape(v), hex.EncodeToString([]byte(v)), hex.EncodeToString(digest[:]), string(digest[:])} {
		p.addText(kind, []byte(text))
	}
	p.addText(kind, []byte(hex.EncodeToString([]byte(hex.EncodeToString(digest[:])))))
	for shift := range 3 {
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString(append(make([]byte, shift), v...))
			// The characters at the ends also depend on the neighbours.
			p.addText(kind, []byte(text[(shift*8+5)/6:len(text)-1]))
		}
	}
}

func (p *planted) addText(kind string, text []byte) {
	same := &p.byStart[int(text[0])<<8|int(text[1])]
	for _, have := range *same {
		if bytes.Equal(have.text, text) {
			return
		}
	}
	*same = append(*same, needle{text, kind})
}

// in returns the kind of the first identifier in the bytes, with its
// surroundings; empty when there is none. It only reads what nobody writes, and
// would take minutes under the race detector's eyes.
//
//go:norace
func (p *planted) in(text []byte) string {
	for i := 0; i+1 < len(text); i++ {
		for _, n := range p.byStart[int(text[i])<<8|int(text[i+1])] {
			if bytes.HasPrefix(text[i:], n.text) {
				return fmt.Sprintf("%s in %q", n.kind, text[max(0, i-60):min(len(text), i+len(n.text)+20)])
			}
		}
	}
	return ""
}

// files looks for identifiers in every file below a folder.
func (p *planted) files(t *testing.T, root string) {
	t.Helper()
	count := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a running server tidies up
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if found := p.in(text); found != "" {
			t.Errorf("%s has an identifier: %s", path, found)
		}
		count++
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if count == 0 {
		t.Errorf("there is nothing in %s", root)
	}
}

// database looks for identifiers in every row of every table.
func (p *planted) database(t *testing.T, dsn string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // only read from
	rows, err := conn.Query(t.Context(), `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, table := range tables {
		var text bytes.Buffer
		tag, err := conn.PgConn().CopyTo(t.Context(), &text, "COPY "+table+" TO STDOUT")
		if err != nil {
			t.Fatalf("reading %s: %v", table, err)
		}
		total += tag.RowsAffected()
		if found := p.in(text.Bytes()); found != "" {
			t.Errorf("table %s has an identifier: %s", table, found)
		}
	}
	if total == 0 {
		t.Error("the database is empty")
	}
}

// checkSecrecy looks for the people of the wishes in everything that is ours:
// logs, JetStream's files, state folders and databases.
func (f *fleet) checkSecrecy(t *testing.T, wishes []*wish) {
	t.Helper()
	p := plant(wishes)
	p.files(t, f.dir)
	for _, dsn := range f.databases {
		p.database(t, dsn)
		// What the server itself wrote down, where it is the test's own.
		if u, err := url.Parse(dsn); err == nil && u.Query().Get("host") != "" {
			p.files(t, filepath.Join(u.Query().Get("host"), "log"))
		}
	}
}
