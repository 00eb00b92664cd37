package draft

import (
	"context"

	"github.com/habeas-data/habeas/connectors/sdk"
	"github.com/habeas-data/habeas/connectors/sqlmap"
)

// Open is [sqlmap.Open] for a connector that goes on comparing its map with the
// database, by the names and types of columns, and tells what looks personal
// and is not mapped.
func Open(ctx context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	m, c, err := sqlmap.Open(ctx, env)
	if err == nil {
		compare(c)
	}
	return m, c, err
}

// compare lets a connector of a map tell of columns that look personal.
func compare(c sdk.Connector) {
	compared, ok := c.(interface {
		CompareWith(func(*sqlmap.Map, *sqlmap.Survey) []string)
	})
	if !ok {
		return
	}
	compared.CompareWith(func(m *sqlmap.Map, s *sqlmap.Survey) (out []string) {
		for _, f := range Drift(m, s, Threshold) {
			out = append(out, f.String())
		}
		return out
	})
}
