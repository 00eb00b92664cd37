package clickhouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// mutationRow is one row of system.mutations on one server.
type mutationRow struct {
	Table   string `json:"tbl"`
	Command string `json:"command"`
	Left    int64  `json:"parts_to_do"`
	Done    int    `json:"is_done"`
	Reason  string `json:"reason"`
}

// states are the mutations that name the table of identifiers, server by
// server.
type states [][]mutationRow

// mutations asks every server what it knows of our mutations: each replica
// rewrites its own parts, and knows of its own only.
func (c *Connector) mutations(ctx context.Context, l *live) (states, error) {
	reason := "''"
	if l.reasons {
		reason = "latest_fail_reason"
	}
	text := fmt.Sprintf("SELECT concat(database, '.', table) AS tbl, command, parts_to_do, is_done, %s AS reason FROM system.mutations WHERE position(command, '%s') > 0", reason, c.set.Keys.Table)
	var all states
	for _, s := range c.servers {
		one, err := query[mutationRow](ctx, s, text, nil, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// state is how far a run's mutation of one table is, over all servers.
type state struct {
	done   bool
	left   int64
	reason string // the server's error code, when rewriting a part failed
}

// of sums up a run's mutations of a table. A replica that does not know of one
// that another has is behind. servers is how many must know of it.
func (all states) of(r *run, s *store, servers int) (st state, sent bool) {
	st.done = true
	for _, rows := range all {
		known := false
		for _, row := range rows {
			if row.Table != s.spec.Table || !strings.Contains(row.Command, r.id) {
				continue
			}
			known, sent = true, true
			if row.Done == 1 {
				continue
			}
			st.done = false
			st.left = max(st.left, row.Left)
			if row.Reason != "" {
				st.reason = "unknown"
				if m := codeForm.FindStringSubmatch(row.Reason); m != nil {
					st.reason = m[1]
				}
			}
		}
		if !known && s.replicated && servers > 1 {
			st.done = false
		}
	}
	return st, sent
}

// over reports whether nobody needs a run any more: its mutations have ended,
// or it is old and has none.
func (all states) over(r *run) bool {
	sent := false
	for _, rows := range all {
		for _, row := range rows {
			if strings.Contains(row.Command, r.id) {
				sent = true
				if row.Done == 0 {
					return false
				}
			}
		}
	}
	return sent && r.seconds > beginning || r.seconds > abandoned
}

// unhide has the server rewrite what lightweight deletes of somebody else's
// have hidden and a mutation does not see. Servers that have no such deletes
// have nothing to do.
func (c *Connector) unhide(ctx context.Context, l *live, people []sdk.Person) error {
	if !l.settings[maskSetting] {
		return nil
	}
	for _, s := range l.stores {
		if s.provider() {
			continue
		}
		look, _ := c.seek(s, people)
		if len(look) == 0 {
			continue
		}
		hidden, err := c.hidden(ctx, s, look)
		if err != nil {
			return err
		}
		if !hidden {
			continue
		}
		pending, err := query[struct {
			N int64 `json:"n"`
		}](ctx, c.servers[0], fmt.Sprintf("SELECT count() AS n FROM system.mutations WHERE concat(database, '.', table) = '%s' AND is_done = 0 AND position(command, 'APPLY DELETED MASK') > 0", s.spec.Table), nil, nil)
		if err != nil || len(pending) != 1 {
			return orUnanswered(ctx, err)
		}
		if pending[0].N == 0 {
			if err := c.servers[0].do(ctx, "ALTER TABLE "+s.spec.Table+" APPLY DELETED MASK", nil, ""); err != nil {
				return fmt.Errorf("store %s: rows are hidden by a lightweight delete and still there, and the server won't apply it: %w", s.spec.Name, err)
			}
		}
		return sdk.NotYet(c.pause, fmt.Errorf("store %s: rows hidden by a lightweight delete are being removed", s.spec.Name))
	}
	return nil
}

// hidden reports whether more of the people's rows are there than are seen.
func (c *Connector) hidden(ctx context.Context, s *store, look sought) (bool, error) {
	var n [2]int64
	for mask := range n {
		count, err := query[struct {
			N int64 `json:"habeas_count"`
		}](ctx, c.servers[0], "SELECT count() AS habeas_count FROM "+s.spec.Table+" WHERE "+s.condition(), settings{maskSetting: fmt.Sprint(mask)}, look)
		if err != nil || len(count) != 1 {
			return false, orUnanswered(ctx, err)
		}
		n[mask] = count[0].N
	}
	return n[0] > n[1], nil
}
