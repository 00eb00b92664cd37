package disclosure

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

// Given is one disclosure as a company's own systems report it.
type Given struct {
	// ID is the reporter's name for it. The same recipient and ID is the same
	// disclosure.
	ID         string           `json:"id"`
	At         time.Time        `json:"at"`
	Recipient  string           `json:"recipient"` // the vendor's id in the company's file
	From       string           `json:"from"`      // the connector of the system it came from; may be empty
	Categories []string         `json:"categories"`
	As         tenant.Disclosed `json:"as"`
	Purpose    string           `json:"purpose"`
	// Identifiers are those by which the recipient got the person.
	Identifiers []Identifier `json:"identifiers"`
}

// Identifier is one identifier of a [Given] in clear. It does not reach the
// store.
type Identifier struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// AddMost is how many disclosures one call of [Ledger.Add] takes.
const AddMost = 1000

// identifiersMost is how many identifiers one disclosure may have.
const identifiersMost = 20

// Add puts disclosures on the ledger, all or none, and returns how many rows
// are new: one for each identifier. What is there stays. Errors are
// [request.FieldErrors], which name fields and never values, or the store's.
func (l *Ledger) Add(ctx context.Context, all []Given, now time.Time) (int64, error) {
	if n := len(all); n == 0 || n > AddMost {
		return 0, request.FieldErrors{{Field: "disclosures", Problem: fmt.Sprintf("has %d entries", n), Fix: fmt.Sprintf("send 1 to %d", AddMost)}}
	}
	var errs request.FieldErrors
	ids := make([][]request.Identifier, len(all))
	for i := range all {
		var found request.FieldErrors
		if ids[i], found = l.check(&all[i], now); len(found) > 0 {
			for _, e := range found {
				e.Field = fmt.Sprintf("disclosures[%d].%s", i, e.Field)
				errs = append(errs, e)
			}
		}
	}
	if len(errs) > 0 {
		return 0, errs
	}
	peppers, err := l.Keys.Peppers(ctx)
	if err != nil {
		return 0, err
	}
	var rows []store.Disclosure
	for i := range all {
		rows = append(rows, rowsOf(&all[i], ids[i], peppers)...)
	}
	return l.Store.PutDisclosures(ctx, rows)
}

func rowsOf(g *Given, ids []request.Identifier, peppers suppression.Peppers) []store.Disclosure {
	ref, _ := peppers.Keyed("disclosure", g.Recipient, g.ID)
	var rows []store.Disclosure
	for _, e := range peppers.Entries(ids, store.WhyDeleted, g.At) {
		key, _ := peppers.Keyed("disclosure row", g.Recipient, g.ID, string(e.Digest))
		rows = append(rows, store.Disclosure{
			Key: key, Ref: hex.EncodeToString(ref[:16]), Digest: e.Digest, Pepper: e.Pepper, Recipient: g.Recipient, Connector: g.From,
			Letters: strings.Join(letters(g.Categories), ""), As: string(g.As), Purpose: g.Purpose, At: g.At.UTC().Truncate(time.Microsecond),
		})
	}
	return rows
}

func (l *Ledger) check(g *Given, now time.Time) (ids []request.Identifier, errs request.FieldErrors) {
	wrong := func(bad bool, field, problem, fix string) {
		if bad {
			errs = append(errs, request.FieldError{Field: field, Problem: problem, Fix: fix})
		}
	}
	_, known := l.Book.Recipient(g.Recipient)
	wrong(g.ID == "" || len(g.ID) > 200, "id", "is missing or too long", "send what your system calls this disclosure, up to 200 bytes")
	wrong(g.At.IsZero() || g.At.After(now.Add(24*time.Hour)), "at", "is missing or in the future", "send when the data was given, such as 2026-11-02T10:00:00Z")
	wrong(!known, "recipient", "is not in the company's file", "add it under vendors, with its role, contract and id")
	wrong(!g.As.Valid(), "as", "is no way to give data away", "send business_purpose, sold or shared")
	wrong(len(g.Purpose) > 300, "purpose", "is too long", "send up to 300 bytes, as the consumer would be told")
	wrong(len(g.From) > 40, "from", "is no connector's name", "send the connector's name or nothing")
	wrong(len(g.Categories) == 0 || slices.ContainsFunc(g.Categories, func(c string) bool { return len(c) != 1 || c < "A" || c > "L" }),
		"categories", "are missing or no statutory letters", "send letters A to L")
	wrong(len(g.Identifiers) == 0 || len(g.Identifiers) > identifiersMost, "identifiers", "are missing or too many", fmt.Sprintf("send 1 to %d", identifiersMost))
	for i, one := range g.Identifiers {
		field := fmt.Sprintf("identifiers[%d]", i)
		id, err := request.NewIdentifier(request.Kind(one.Kind), one.Value).Normalize()
		if err != nil {
			errs = append(errs, request.FieldError{Field: field, Problem: "cannot be used", Fix: err.Error()})
			continue
		}
		wrong(!suppression.Usable(id), field, "is a name, which people share", "send an identifier that is the person's alone")
		ids = append(ids, id)
	}
	return ids, errs
}

// lineMost is the longest line of an import.
const lineMost = 64 << 10

// Import reads lines of JSON, one [Given] each, and puts them on the ledger. It
// may be done again with the same file. An error names the first line that can't
// be used; what was read before it stays. It needs constant memory.
func (l *Ledger) Import(ctx context.Context, r io.Reader, now time.Time) (read, added int64, err error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 4096), lineMost)
	batch := make([]Given, 0, AddMost)
	first := int64(1) // line of the batch's first entry
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		n, err := l.Add(ctx, batch, now)
		if err != nil {
			return atLine(err, first)
		}
		read, added, first, batch = read+int64(len(batch)), added+n, first+int64(len(batch)), batch[:0]
		return nil
	}
	for scan.Scan() {
		var g Given
		dec := json.NewDecoder(strings.NewReader(scan.Text()))
		dec.DisallowUnknownFields()
		if dec.Decode(&g) != nil { // the error may quote what was sent
			return read, added, fmt.Errorf("importing disclosures: line %d: %w", first+int64(len(batch)), errLine)
		}
		if batch = append(batch, g); len(batch) == AddMost {
			if err := flush(); err != nil {
				return read, added, fmt.Errorf("importing disclosures: %w", err)
			}
		}
	}
	if err := scan.Err(); err != nil {
		return read, added, fmt.Errorf("importing disclosures: after line %d: %w", first+int64(len(batch))-1, errLine)
	}
	if err := flush(); err != nil {
		return read, added, fmt.Errorf("importing disclosures: %w", err)
	}
	return read, added, nil
}

var errLine = errors.New(`not one disclosure: want {"id": …, "at": …, "recipient": …, "categories": […], "as": …, "identifiers": […]} on a line of at most 64 KiB`)

// atLine says where in a file the fields of a batch are.
func atLine(err error, first int64) error {
	var errs request.FieldErrors
	if !errors.As(err, &errs) {
		return err
	}
	var i int64
	for k := range errs {
		if n, scanErr := fmt.Sscanf(errs[k].Field, "disclosures[%d]", &i); scanErr == nil && n == 1 {
			_, field, _ := strings.Cut(errs[k].Field, "].")
			errs[k].Field = fmt.Sprintf("line %d: %s", first+i, field)
		}
	}
	return errs
}
