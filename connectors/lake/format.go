package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// A format reads one kind of file. A columnar one reads the source by
// position; text formats read it from front to back.
type format interface {
	// scan reads src to its end and calls visit for every record that names
	// somebody sought. Anything it can't read is an error.
	scan(ctx context.Context, key string, src source, l *lookup, visit func(*record) error) error
	// rewrite copies src, from its beginning, to dst. For records that name
	// somebody sought, decide says what becomes of them; all others stay as they
	// are.
	rewrite(ctx context.Context, key string, src source, dst io.Writer, l *lookup, decide func(*record) (fate, error)) error
	// fields are the fields of a record as the export shows them.
	fields(rec *record, l *lookup) ([]sdk.Field, error)
}

// fate is what becomes of a record. The zero fate keeps it.
type fate struct {
	drop bool
	// cut are the shared elements that go, by number in record.elems, in order.
	cut []int
}

func newFormat(sm *StoreMap) (format, error) {
	if len(sm.Columns) > 0 && sm.Format != "csv" {
		return nil, errors.New("columns: only CSV needs names for its columns")
	}
	f := &textFormat{compression: sm.Compression}
	switch f.compression {
	case "", "auto", "none", "gzip", "zstd":
	default:
		return nil, fmt.Errorf("compression: %q is none of auto, none, gzip, zstd", f.compression)
	}
	switch sm.Format {
	case "", "jsonl":
		f.dialect = func() dialect { return &jsonl{} }
		if sm.Delimiter != "" {
			return nil, errors.New("delimiter: JSONL has none")
		}
	case "csv":
		delimiter := cmp.Or(sm.Delimiter, ",")
		if len(delimiter) != 1 || strings.ContainsAny(delimiter, "\"\r\n") {
			return nil, fmt.Errorf("delimiter: %q must be one byte, such as \",\", \";\" or \"\\t\"", delimiter)
		}
		if err := checkColumns(sm); err != nil {
			return nil, err
		}
		f.dialect = func() dialect { return &csv{delimiter: delimiter[0], given: sm.Columns} }
	case "parquet":
		switch {
		case sm.Delimiter != "":
			return nil, errors.New("delimiter: Parquet has none")
		case f.compression != "":
			return nil, errors.New("compression: Parquet compresses within; leave it out")
		case len(sm.Shared) > 0:
			return nil, errSharedColumns
		}
		return parquetFormat{}, nil
	default:
		return nil, fmt.Errorf("format: %q is none of jsonl, csv, parquet", sm.Format)
	}
	return f, nil
}

// checkColumns makes sure that columns named by the map have each one name, and
// that identifiers are among them.
func checkColumns(sm *StoreMap) error {
	if len(sm.Columns) == 0 {
		return nil
	}
	for i, name := range sm.Columns {
		if name == "" || slices.Contains(sm.Columns[:i], name) {
			return fmt.Errorf("columns[%d]: %q must be a name, and another than those before", i, name)
		}
	}
	for kind, fields := range sm.Identifiers {
		for _, name := range fields {
			if !slices.Contains(sm.Columns, name) {
				return fmt.Errorf("identifiers.%s: %q is not among the columns", kind, name)
			}
		}
	}
	return nil
}
