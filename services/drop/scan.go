package drop

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/suppression"
)

// Filing asks the coordinator for one thing for one person.
type Filing struct {
	// Key makes the effect one: the same key gives the same request.
	Key         string
	Right       request.Right
	Identifiers []request.Identifier
}

// Filer files requests and returns their ids, in order. Filing the same keys
// again gives the same ids.
type Filer func(ctx context.Context, filings []Filing) ([]string, error)

const (
	outcomeDone   = "done"
	outcomeExempt = "exempt"
	outcomeUndone = "undone"

	scanMatching = "matching"
	scanOver     = "over"
)

// ErrPeopleChanged says that the file of people changed while it was read
// twice; the next run begins the matching anew.
var ErrPeopleChanged = errors.New("the file of people changed during the session")

// scan holds everything the company holds against every item, and files what
// follows. It can be broken off anywhere and done again.
type scan struct {
	*Ledger
	id      string
	peppers suppression.Peppers
}

// openScan goes on with the scan that is not over, or begins one, unless that of
// the batch is over.
func (l *Ledger) openScan(ctx context.Context, batch string, now time.Time) (s scan, state string, err error) {
	s.Ledger = l
	if s.peppers, err = l.Keys.Peppers(ctx); err != nil {
		return s, "", err
	}
	err = l.inTx(ctx, "opening the scan", func(tx *sql.Tx) error {
		var of string
		err := tx.QueryRowContext(ctx, `SELECT id, batch, state FROM drop_scan WHERE ended = 0 ORDER BY started LIMIT 1`).Scan(&s.id, &of, &state)
		switch {
		case err == nil && of == batch:
			return nil
		case err == nil: // a batch has come meanwhile: its items are to be matched too
			state = scanMatching
			_, err = tx.ExecContext(ctx, `UPDATE drop_scan SET batch = $2, state = $3 WHERE id = $1`, s.id, batch, state)
			return err
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		// The items of a batch are matched once; what is left of it is to upload.
		var over int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM drop_scan WHERE batch = $1 AND batch <> ''`, batch).Scan(&over); err != nil || over > 0 {
			state = scanOver
			return err
		}
		s.id, state = strconv.FormatInt(now.UnixMicro(), 36), scanMatching
		_, err = tx.ExecContext(ctx, `INSERT INTO drop_scan (id, batch, state, started, ended) VALUES ($1, $2, $3, $4, 0)`, s.id, batch, state, now.UnixMicro())
		return err
	})
	return s, state, err
}

// retry prepares anew what was not carried through: its filing gets a new key,
// and the people are matched again, as they are now.
func (s scan) retry(ctx context.Context) (again bool, err error) {
	err = s.inTx(ctx, "trying again", func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE drop_filing SET request = '', outcome = '', attempt = attempt + 1 WHERE scan = $1 AND outcome = 'undone'`, s.id)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if again = n > 0; err != nil || !again {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE drop_scan SET state = 'matching' WHERE id = $1`, s.id)
		return err
	})
	return again, err
}

func (s scan) person(h Holding) []byte { return s.peppers.KeyedEvery("drop person", h.Key)[0] }

// match records which people which items name, from the beginning.
func (s scan) match(ctx context.Context, people io.Reader) error {
	if _, err := s.DB.ExecContext(ctx, `DELETE FROM drop_match WHERE scan = $1`, s.id); err != nil {
		return fmt.Errorf("clearing the matches: %w", err)
	}
	return inChunks(people, func(some []Holding) error {
		found, err := s.lookup(ctx, s.peppers, some)
		if err != nil {
			return err
		}
		var rows []any
		for i, h := range some {
			exempt := 0
			if h.Exempt {
				exempt = 1
			}
			for _, item := range found[i] {
				rows = append(rows, s.id, item, s.person(h), exempt)
			}
		}
		for len(rows) > 0 {
			part := rows[:min(len(rows), width/4*4)]
			rows = rows[len(part):]
			//nolint:gosec // what is added is parameters
			if _, err := s.DB.ExecContext(ctx, `INSERT INTO drop_match (scan, item, person, exempt) VALUES `+marks(1, len(part)/4, 4)+` ON CONFLICT DO NOTHING`, part...); err != nil {
				return fmt.Errorf("recording matches: %w", err)
			}
		}
		return nil
	})
}

func inChunks(people io.Reader, take func([]Holding) error) error {
	some := make([]Holding, 0, chunk)
	err := ReadPeople(people, func(h Holding) error {
		if some = append(some, h); len(some) < chunk {
			return nil
		}
		err := take(some)
		some = some[:0]
		return err
	})
	if err == nil && len(some) > 0 {
		err = take(some)
	}
	return err
}

// filingRound is how many people are filed for together: their identifiers are
// gathered from all that the company holds before any is asked for.
const filingRound = 50_000

// file asks for what follows from the matches: an erasure where an item names
// one person, an opt-out of all where it names several. What is to be filed is
// stored before it is. The people are read once for each round.
func (s scan) file(ctx context.Context, read func(func(io.Reader) error) error, file Filer) error {
	// Who is wanted for nothing any more is not waited for.
	if _, err := s.DB.ExecContext(ctx, `DELETE FROM drop_filing WHERE scan = $1 AND request = ''
		AND NOT EXISTS (SELECT 1 FROM drop_match m WHERE m.scan = drop_filing.scan AND m.person = drop_filing.person)`, s.id); err != nil {
		return fmt.Errorf("clearing filings: %w", err)
	}
	if _, err := s.DB.ExecContext(ctx, `INSERT INTO drop_filing (scan, person, action, attempt, request, outcome)
		SELECT DISTINCT w.scan, w.person, w.action, 0, '', '' FROM (SELECT m.scan, m.person, CASE WHEN n.people > 1 THEN 'opt_out_sale_share' WHEN m.exempt = 1 THEN '' ELSE 'delete' END AS action
			FROM drop_match m JOIN (SELECT item, count(*) AS people FROM drop_match WHERE scan = $1 GROUP BY item) n ON n.item = m.item WHERE m.scan = $1) w
		WHERE w.action <> '' ON CONFLICT DO NOTHING`, s.id); err != nil {
		return fmt.Errorf("storing what to file: %w", err)
	}
	for after := []byte{}; after != nil; {
		var err error
		if after, err = s.fileRound(ctx, after, read, file); err != nil {
			return err
		}
	}
	var missing int
	if err := s.DB.QueryRowContext(ctx, `SELECT count(*) FROM drop_filing WHERE scan = $1 AND request = ''`, s.id).Scan(&missing); err != nil {
		return fmt.Errorf("counting what was filed: %w", err)
	}
	if missing > 0 {
		return fmt.Errorf("filing requests: %d matches of people who are not in it any more: %w; run the session again", missing, ErrPeopleChanged)
	}
	if _, err := s.DB.ExecContext(ctx, `UPDATE drop_scan SET state = 'waiting' WHERE id = $1`, s.id); err != nil {
		return fmt.Errorf("recording the filing: %w", err)
	}
	return nil
}

// fileRound files for the next people after a place, and returns the place of
// the last of them; nil when there was nobody left. Somebody whom several sources
// hold is asked for by what all of them know her by: one alone might not reach
// what the others hold.
func (s scan) fileRound(ctx context.Context, after []byte, read func(func(io.Reader) error) error, file Filer) ([]byte, error) {
	wanted := make(map[string][]request.Identifier)
	var order [][]byte
	if err := s.each(ctx, `SELECT DISTINCT person FROM drop_filing WHERE scan = $1 AND request = '' AND person > $2 ORDER BY person LIMIT `+strconv.Itoa(filingRound), []any{s.id, after},
		func(rows *sql.Rows) error {
			var person []byte
			if err := rows.Scan(&person); err != nil {
				return err
			}
			wanted[string(person)] = nil
			order = append(order, person)
			return nil
		}); err != nil || len(order) == 0 {
		return nil, err
	}
	met := make(map[string]bool, len(order))
	if err := read(func(people io.Reader) error {
		return ReadPeople(people, func(h Holding) error {
			p := string(s.person(h))
			if ids, is := wanted[p]; is {
				met[p] = true
				for _, id := range h.identifiers() {
					if !slices.Contains(ids, id) {
						ids = append(ids, id)
					}
				}
				wanted[p] = ids
			}
			return nil
		})
	}); err != nil {
		return nil, err
	}
	last := order[len(order)-1]
	order = slices.DeleteFunc(order, func(p []byte) bool { return !met[string(p)] })
	for some := range slices.Chunk(order, chunk) {
		if err := s.fileSome(ctx, some, wanted, file); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (s scan) fileSome(ctx context.Context, some [][]byte, wanted map[string][]request.Identifier, file Filer) error {
	args := []any{s.id}
	for _, p := range some {
		args = append(args, p)
	}
	var filings []Filing
	var persons [][]byte
	if err := s.each(ctx, `SELECT person, action, attempt FROM drop_filing WHERE scan = $1 AND request = '' AND person IN `+list(2, len(some))+` ORDER BY person, action`, args,
		func(rows *sql.Rows) error {
			var person []byte
			var action string
			var attempt int
			if err := rows.Scan(&person, &action, &attempt); err != nil {
				return err
			}
			f := Filing{Right: request.Right(action), Identifiers: wanted[string(person)]}
			// With what is asked in the key, a person whose values changed between a
			// crash and the next run is a new request and not a conflict.
			parts := []string{s.id, hex.EncodeToString(person), action, strconv.Itoa(attempt)}
			for _, id := range f.Identifiers {
				parts = append(parts, string(id.Kind), id.Reveal())
			}
			f.Key = "drop-" + hex.EncodeToString(s.peppers.KeyedEvery("drop filing", parts...)[0])
			filings, persons = append(filings, f), append(persons, person)
			return nil
		}); err != nil {
		return fmt.Errorf("reading what to file: %w", err)
	}
	if len(filings) == 0 {
		return nil
	}
	ids, err := file(ctx, filings)
	if err != nil {
		return fmt.Errorf("filing requests: %w", err)
	}
	return s.inTx(ctx, "recording what was filed", func(tx *sql.Tx) (err error) {
		set, err := tx.PrepareContext(ctx, `UPDATE drop_filing SET request = $4 WHERE scan = $1 AND person = $2 AND action = $3`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, set.Close()) }()
		for i, f := range filings {
			if _, err := set.ExecContext(ctx, s.id, persons[i], string(f.Right), ids[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Progress is how far the filed requests have come.
type Progress struct {
	// Open are not answered yet; Undone ended without what was asked and are
	// filed again by the next run.
	Open, Undone int64
}

// settle takes the outcomes of closed requests, and only then gives items the
// status that follows.
func (s scan) settle(ctx context.Context, batch string, now time.Time) (p Progress, err error) {
	if err := s.outcomes(ctx); err != nil {
		return p, err
	}
	err = s.inTx(ctx, "settling items", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `UPDATE drop_item SET status = v.status FROM (
				SELECT m.item, CASE
					WHEN count(*) > 1 AND min(CASE WHEN o.outcome = 'done' THEN 1 ELSE 0 END) = 1 THEN 4
					WHEN count(*) > 1 THEN 0
					WHEN min(m.exempt) = 1 OR min(d.outcome) = 'exempt' THEN 2
					WHEN min(d.outcome) = 'done' THEN 3
					ELSE 0 END AS status
				FROM drop_match m
				LEFT JOIN drop_filing d ON d.scan = m.scan AND d.person = m.person AND d.action = 'delete'
				LEFT JOIN drop_filing o ON o.scan = m.scan AND o.person = m.person AND o.action = 'opt_out_sale_share'
				WHERE m.scan = $1 GROUP BY m.item) AS v
			WHERE drop_item.id = v.item AND v.status <> 0 AND drop_item.removed = 0 AND drop_item.part = ''`, s.id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE drop_item SET status = 5 WHERE batch = $2 AND status = 0
			AND (removed = 1 OR NOT EXISTS (SELECT 1 FROM drop_match m WHERE m.scan = $1 AND m.item = drop_item.id))`, s.id, batch); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(sum(CASE WHEN outcome = '' THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN outcome = 'undone' THEN 1 ELSE 0 END), 0) FROM drop_filing WHERE scan = $1`, s.id).
			Scan(&p.Open, &p.Undone); err != nil || p != (Progress{}) {
			return err
		}
		for _, q := range []string{`DELETE FROM drop_match WHERE scan = $1`, `DELETE FROM drop_filing WHERE scan = $1`} {
			if _, err := tx.ExecContext(ctx, q, s.id); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `UPDATE drop_scan SET state = 'over', ended = $2 WHERE id = $1`, s.id, now.UnixMicro())
		return err
	})
	return p, err
}

// outcomes records how filed requests ended. An erasure by which nothing was
// erased and nothing is kept found nobody in any system, though the company's
// own file has them: that is no deletion, and the people are matched anew.
func (s scan) outcomes(ctx context.Context) error {
	const closed = `UPDATE drop_filing SET outcome = $2 WHERE scan = $1 AND outcome = '' AND EXISTS (SELECT 1 FROM request r WHERE r.id = drop_filing.request AND r.state = 'closed' AND `
	const erased = `EXISTS (SELECT 1 FROM job j WHERE j.request_id = drop_filing.request AND j.action = 'erase' AND j.state = `
	for _, q := range []struct{ outcome, where string }{
		{outcomeUndone, `r.result IN ('partial', 'cancelled'))`},
		{outcomeUndone, `r.result = 'denied') AND action <> 'delete'`},
		{outcomeExempt, `r.result = 'denied')`},
		{outcomeDone, `1 = 1) AND action <> 'delete'`},
		{outcomeDone, `1 = 1) AND ` + erased + `'done')`},
		{outcomeUndone, `1 = 1) AND NOT ` + erased + `'retained')`},
	} {
		if _, err := s.DB.ExecContext(ctx, closed+q.where, s.id, q.outcome); err != nil {
			return fmt.Errorf("reading outcomes: %w", err)
		}
	}
	return s.keptOutcomes(ctx)
}

// keptOutcomes tells erasures that left what the law wants kept from those that
// found nothing else.
func (s scan) keptOutcomes(ctx context.Context) error {
	erased := make(map[string]bool)
	if err := s.each(ctx, `SELECT f.request, j.outcome FROM drop_filing f JOIN request r ON r.id = f.request AND r.state = 'closed'
		JOIN job j ON j.request_id = f.request AND j.action = 'erase' AND j.state = 'retained' WHERE f.scan = $1 AND f.outcome = ''`, []any{s.id},
		func(rows *sql.Rows) error {
			var id string
			var text []byte
			if err := rows.Scan(&id, &text); err != nil {
				return err
			}
			var o habeasv1.Outcome
			if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, &o); err != nil {
				return fmt.Errorf("reading an outcome: %w", err)
			}
			some := erased[id]
			for _, one := range o.GetStores() {
				some = some || one.GetLocatedCount() > one.GetKeptCount()
			}
			erased[id] = some
			return nil
		}); err != nil {
		return fmt.Errorf("reading outcomes: %w", err)
	}
	for id, some := range erased {
		outcome := outcomeExempt
		if some {
			outcome = outcomeDone
		}
		if _, err := s.DB.ExecContext(ctx, `UPDATE drop_filing SET outcome = $3 WHERE scan = $1 AND request = $2 AND outcome = ''`, s.id, id, outcome); err != nil {
			return fmt.Errorf("recording outcomes: %w", err)
		}
	}
	return nil
}
