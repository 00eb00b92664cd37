package row

import (
	"fmt"
	"time"

	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// Value is what a driver is given for one column of one row. The store's own at
// says how it keeps a time that is not zero.
func Value[T any](c Column[T], r *T, at func(time.Time) any) any {
	switch p := c.Ptr(r).(type) {
	case *string:
		return CleanText(*p)
	case *int64:
		return *p
	case *time.Time:
		if p.IsZero() {
			return nil
		}
		return at(*p)
	case *[]byte:
		switch {
		case *p == nil, c.Type == JSON && len(*p) == 0:
			return nil
		case c.Type == JSON:
			return string(CleanJSON(*p))
		default:
			return *p
		}
	default:
		panic(fmt.Sprintf("column %s: unknown type %T", c.Name, p))
	}
}

// nullTime scans a time that may be NULL: a timestamp, or the microseconds since
// 1970.
type nullTime struct{ t *time.Time }

// Scan implements [database/sql.Scanner].
func (n nullTime) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*n.t = time.Time{}
	case time.Time:
		*n.t = v.UTC()
	case int64:
		*n.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("scanning %T into a time", src)
	}
	return nil
}

// Cursor is the answer to a query, as drivers have it.
type Cursor interface {
	Next() bool
	Scan(into ...any) error
	Err() error
}

// Scan reads every row into a new T made of the columns. The caller closes the
// cursor.
func Scan[T any](rows Cursor, columns []Column[T]) ([]T, error) {
	var out []T
	targets := make([]any, len(columns))
	for rows.Next() {
		var r T
		for i, c := range columns {
			targets[i] = c.Ptr(&r)
			if t, ok := targets[i].(*time.Time); ok {
				targets[i] = nullTime{t}
			}
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// Map makes of every row what it stands for.
func Map[R, D any](rows []R, domain func(*R) D) []D {
	out := make([]D, len(rows))
	for i := range rows {
		out[i] = domain(&rows[i])
	}
	return out
}

// TryMap is [Map] for rows that may not be readable.
func TryMap[R, D any](rows []R, domain func(*R) (D, error)) ([]D, error) {
	out := make([]D, len(rows))
	for i := range rows {
		var err error
		if out[i], err = domain(&rows[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// JobsByRequest makes jobs of rows, in their order.
func JobsByRequest(rows []Job) map[request.ID][]store.Job {
	out := make(map[request.ID][]store.Job)
	for i := range rows {
		d := rows[i].Domain()
		out[d.RequestID] = append(out[d.RequestID], d)
	}
	return out
}

// Pointers are the elements of a list where they are, for a store's insert.
func Pointers[T any](list []T) []*T {
	out := make([]*T, len(list))
	for i := range list {
		out[i] = &list[i]
	}
	return out
}
