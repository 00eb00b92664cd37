package clickhouse

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// The table of identifiers has a partition for each run: dropping one takes
// the identifiers away at once, on every replica, without a mutation. Its
// replaced parts go after a second.
const keysTable = `CREATE TABLE IF NOT EXISTS %s (run String, kind String, value String, started DateTime) ENGINE = %s PARTITION BY run ORDER BY (kind, value) SETTINGS old_parts_lifetime = 1`

// makeKeys makes the table of identifiers on every server.
func (c *Connector) makeKeys(ctx context.Context) error {
	for _, s := range c.servers {
		if err := s.do(ctx, fmt.Sprintf(keysTable, c.set.Keys.Table, c.set.Keys.Engine), nil, ""); err != nil {
			return fmt.Errorf("making the table of identifiers (config.keys): %w", err)
		}
	}
	return nil
}

// run is people who are being erased together.
type run struct {
	id      string
	values  map[sdk.Kind]map[string]bool
	seconds int64 // since it began, by the server's clock
}

// has reports whether a person's identifiers, those that matter here, are all
// in the run.
func (r *run) has(c *Connector, p sdk.Person, kinds []sdk.Kind) bool {
	for _, k := range kinds {
		for _, v := range p.Values(k) {
			if v = c.m.Normalise.Value(k, v); v != "" && !r.values[k][v] {
				return false
			}
		}
	}
	return true
}

// person is everybody in the run, as if they were one.
func (r *run) person() sdk.Person {
	var ids []sdk.Identifier
	for k, values := range r.values {
		for v := range values {
			ids = append(ids, sdk.ID(k, v))
		}
	}
	return sdk.NewPerson(ids...)
}

type keyRow struct {
	Run     string `json:"run"`
	Kind    string `json:"kind"`
	Value   string `json:"value"`
	Seconds int64  `json:"seconds"`
}

// runs reads every run there is. They are few: one for each batch under way.
func (c *Connector) runs(ctx context.Context) ([]*run, error) {
	all, err := query[keyRow](ctx, c.servers[0], "SELECT run, kind, value, toInt64(now()) - toInt64(started) AS seconds FROM "+c.set.Keys.Table, nil, nil)
	if err != nil {
		return nil, err
	}
	byID := map[string]*run{}
	var runs []*run
	for _, row := range all {
		r := byID[row.Run]
		if r == nil {
			r = &run{id: row.Run, values: map[sdk.Kind]map[string]bool{}}
			byID[row.Run] = r
			runs = append(runs, r)
		}
		r.add(sdk.Kind(row.Kind), row.Value)
		r.seconds = max(r.seconds, row.Seconds)
	}
	slices.SortFunc(runs, func(a, b *run) int { return strings.Compare(a.id, b.id) })
	return runs, nil
}

func (r *run) add(k sdk.Kind, v string) {
	if r.values[k] == nil {
		r.values[k] = map[string]bool{}
	}
	r.values[k][v] = true
}

// begin writes the identifiers of a new run, on all replicas or not at all, in
// one block. Nothing is sent that needs them before this has succeeded.
func (c *Connector) begin(ctx context.Context, l *live, people []sdk.Person, kinds []sdk.Kind) (*run, error) {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails: it ends the program instead
	r := &run{id: hex.EncodeToString(id[:]), values: map[sdk.Kind]map[string]bool{}}
	for _, p := range people {
		for _, k := range kinds {
			for _, v := range p.Values(k) {
				if v = c.m.Normalise.Value(k, v); v != "" {
					r.add(k, v)
				}
			}
		}
	}
	now, err := query[struct {
		Now int64 `json:"now"`
	}](ctx, c.servers[0], "SELECT toInt64(now()) AS now", nil, nil)
	if err != nil || len(now) != 1 {
		return nil, orUnanswered(ctx, err)
	}
	var data strings.Builder
	for k, values := range r.values {
		for v := range values {
			fmt.Fprintf(&data, "%s\t%s\t%s\t%d\n", r.id, k, tsv.Replace(v), now[0].Now)
		}
	}
	set := settings{"max_insert_block_size": "1048576"}
	if len(c.servers) > 1 && l.settings[quorumSetting] {
		set[quorumSetting] = strconv.Itoa(len(c.servers))
	}
	statement := "INSERT INTO " + c.set.Keys.Table + " (run, kind, value, started) FORMAT TabSeparated"
	if err := c.servers[0].do(ctx, statement, set, data.String()); err != nil {
		return nil, fmt.Errorf("writing the run's identifiers: %w", err)
	}
	return r, nil
}

func orUnanswered(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	return unanswered(ctx)
}

// end drops a run's identifiers. A run that is gone already is fine.
func (c *Connector) end(ctx context.Context, r *run) error {
	if err := c.servers[0].do(ctx, "ALTER TABLE "+c.set.Keys.Table+" DROP PARTITION '"+r.id+"'", nil, ""); err != nil {
		return fmt.Errorf("dropping a run's identifiers: %w", err)
	}
	return nil
}
