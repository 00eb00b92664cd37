package sqlmap

import (
	"context"
	"database/sql"
	"errors"
	"regexp"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Preview is what an erasure would do, and did not.
type Preview struct {
	// Found is what [Connector.Locate] reports.
	Found []sdk.Found
	// Statements are the statements in the order they would run, the same text
	// once. They have placeholders and no values.
	Statements []Statement
}

// Statement is one statement of a [Preview].
type Statement struct {
	SQL string
	// Writes is set for a statement that would change rows, and was not run.
	Writes bool
	// Runs is how often it runs, Rows how many rows it would change in all.
	Runs int
	Rows int64
}

// Preview finds out what erasing a person would do, in a transaction that can
// only read: everything up to the first change happens as it would, and what
// would change rows is written down instead.
func (c *Connector) Preview(ctx context.Context, person sdk.Person) (*Preview, error) {
	p := &Preview{}
	person = c.known(person)
	if len(person.Kinds()) == 0 {
		return p, ctx.Err()
	}
	err := c.within(ctx, false, func(ctx context.Context, plan *plan, q querier) error {
		r := &rehearsal{q: q, preview: p}
		reaches, err := plan.look(ctx, r, []sdk.Person{person}, false)
		if err != nil {
			return err
		}
		p.Found = plan.found(reaches[0], person.Since())
		fates, err := plan.settle(ctx, r, reaches[0], ownersOf(reaches), func(int) bool { return false })
		if err != nil {
			return err
		}
		return plan.remove(ctx, r, reaches[0], fates)
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// rehearsal is a querier that reads and does not write.
type rehearsal struct {
	q       querier
	preview *Preview
}

// QueryContext implements querier.
func (r *rehearsal) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	r.note(query, false, 0)
	return r.q.QueryContext(ctx, query, args...)
}

var errRehearsal = errors.New("a preview does not write")

// ExecContext implements querier. Every change goes through changeAll; one that
// does not is refused.
func (*rehearsal) ExecContext(context.Context, string, ...any) (sql.Result, error) {
	return nil, errRehearsal
}

// askAll implements pipeline.
func (r *rehearsal) askAll(ctx context.Context, questions []question) error {
	for _, s := range questions {
		r.note(s.text, false, 0)
	}
	return ask(ctx, r.q, questions)
}

// changeAll implements pipeline: it takes note of what would change.
func (r *rehearsal) changeAll(_ context.Context, effects []effect) error {
	for _, s := range effects {
		r.note(s.text, true, int64(s.rows))
	}
	return nil
}

// rowList is the list of placeholders that SQLite is given, as long as there
// are rows.
var rowList = regexp.MustCompile(`(\(0(?:, \?)+\))(?:, \(\d+(?:, \?)+\))+`)

func (r *rehearsal) note(query string, writes bool, rows int64) {
	query = rowList.ReplaceAllString(query, "$1, …")
	for i := range r.preview.Statements {
		if s := &r.preview.Statements[i]; s.SQL == query && s.Writes == writes {
			s.Runs++
			s.Rows += rows
			return
		}
	}
	r.preview.Statements = append(r.preview.Statements, Statement{SQL: query, Writes: writes, Runs: 1, Rows: rows})
}
