package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/parquet-go/parquet-go"
	schema "github.com/parquet-go/parquet-go/format"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// parquetFormat reads Parquet files. A search reads the columns that hold
// identifiers and, of row groups with somebody sought, the type and the time;
// other columns are not touched.
type parquetFormat struct{}

const (
	// readAhead is how much one request of a column reads.
	readAhead = 1 << 20
	// valuesAtOnce is how many values of a column are held at once.
	valuesAtOnce = 1024
)

// parquetFile is one open file and what the map means in it.
type parquetFile struct {
	*parquet.File
	key   string
	src   source
	leafs []leafUse
	// hidden are the items withheld, by number of the column.
	hidden map[int]int
}

// leafUse is a column that the map mentions.
type leafUse struct {
	column *parquet.Column
	node   *node
}

func openParquet(key string, src source, l *lookup) (*parquetFile, error) {
	file, err := parquet.OpenFile(src, src.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(readAhead))
	if err != nil {
		return nil, unreadable(key, err)
	}
	f := &parquetFile{File: file, key: key, src: src, hidden: make(map[int]int)}
	if file.Metadata().EncryptionAlgorithm.Value != nil {
		return nil, misfit("%s is encrypted, and this program has no key for it", key)
	}
	for _, g := range file.Metadata().RowGroups {
		for i := range g.Columns {
			if g.Columns[i].FilePath != "" {
				return nil, misfit("%s keeps columns in another file", key)
			}
		}
	}
	found := make(map[*node]bool)
	if err := f.walk(file.Root(), l.fields, found); err != nil {
		return nil, misfit("%s: %w", key, err)
	}
	return f, missing(key, l.fields, found)
}

// unreadable is the error for a file that does not read as Parquet; one of the
// storage stays as it is, worth another try.
func unreadable(key string, err error) error {
	for _, known := range []error{errConflict, errVanished, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return fmt.Errorf("reading %s: %w", key, err)
		}
	}
	if sdk.CodeOf(err) != "" {
		return fmt.Errorf("reading %s: %w", key, err)
	}
	// What the library says may quote what it read.
	return misfit("%s is not a whole Parquet file that this program can read", key)
}

// missing refuses a file without a column that holds an identifier: it may have
// another name there, so nobody could be told to be absent.
func missing(key string, n *node, found map[*node]bool) error {
	for _, c := range n.children {
		if c.kind >= 0 && !found[c] {
			return misfit("%s has no column %s, which the map says holds an identifier", key, c.path)
		}
		if err := missing(key, c, found); err != nil {
			return err
		}
	}
	return nil
}

// walk finds the columns below a group that node n's children mean.
func (f *parquetFile) walk(group *parquet.Column, n *node, found map[*node]bool) error {
	for _, c := range group.Columns() {
		m := n.child([]byte(c.Name()))
		if m == nil {
			continue
		}
		if err := f.use(c, m, found); err != nil {
			return err
		}
	}
	return nil
}

// use finds the columns that node n means, looking through lists and maps.
func (f *parquetFile) use(c *parquet.Column, n *node, found map[*node]bool) error {
	found[n] = true
	if n.withheld >= 0 {
		f.hide(c, n.withheld)
	}
	if c.Leaf() {
		if n.kind < 0 && n.leads {
			return fmt.Errorf("column %s is a value where the map expects a group with an identifier", n.path)
		}
		if n.kind >= 0 && !isIdentifier(c) {
			return fmt.Errorf("column %s is a %s, which holds no identifier", n.path, c.Type())
		}
		f.leafs = append(f.leafs, leafUse{column: c, node: n})
		return nil
	}
	switch inner := element(c); {
	case inner == nil:
	case inner.Leaf():
		return f.use(inner, n, found)
	default:
		c = inner
	}
	if n.kind >= 0 && len(n.children) == 0 {
		return fmt.Errorf("column %s is a group where the map expects an identifier", n.path)
	}
	return f.walk(c, n, found)
}

// element is the column of a list's elements or of a map's entries; nil for any
// other group. The names between are the format's, not the map's.
func element(c *parquet.Column) *parquet.Column {
	logical := c.Type().LogicalType()
	columns := c.Columns()
	if logical == nil || len(columns) != 1 || !columns[0].Repeated() {
		return nil
	}
	inner := columns[0]
	switch logical.Value.(type) {
	case *schema.MapType:
		return inner
	case *schema.ListType:
		// Old writers leave out the level between (LogicalTypes.md, backward
		// compatibility of lists).
		if !inner.Leaf() && len(inner.Columns()) == 1 && inner.Name() != "array" && inner.Name() != c.Name()+"_tuple" {
			return inner.Columns()[0]
		}
		return inner
	}
	return nil
}

func (f *parquetFile) hide(c *parquet.Column, item int) {
	if c.Leaf() {
		f.hidden[c.Index()] = item
	}
	for _, below := range c.Columns() {
		f.hide(below, item)
	}
}

// rowHits are the rows of one row group that name somebody sought, in order.
type rowHits struct {
	rows   []int64
	record map[int64]*record
}

// find searches one row group. base is the number of the file's rows before it.
func (f *parquetFile) find(ctx context.Context, group parquet.RowGroup, base int64, l *lookup) (rowHits, error) {
	hits := rowHits{record: make(map[int64]*record)}
	var buf []byte
	for _, use := range f.leafs {
		if use.node.kind < 0 {
			continue
		}
		err := f.values(ctx, group, use.column, func(row int64, v parquet.Value) error {
			buf = appendText(buf[:0], use.column, v)
			if l.find(use.node.kind, buf) == nil {
				return nil
			}
			rec := hits.record[row]
			if rec == nil {
				rec = &record{number: base + row + 1, row: true}
				hits.record[row] = rec
				hits.rows = append(hits.rows, row)
			}
			l.take(rec, &node{kind: use.node.kind}, buf, -1)
			return nil
		})
		if err != nil {
			return rowHits{}, err
		}
	}
	slices.Sort(hits.rows)
	if len(hits.rows) == 0 {
		return hits, nil
	}
	return hits, f.describe(ctx, group, l, hits)
}

// describe adds their type and time to the records found.
func (f *parquetFile) describe(ctx context.Context, group parquet.RowGroup, l *lookup, hits rowHits) error {
	var buf []byte
	for _, use := range f.leafs {
		if !use.node.typ && !use.node.time {
			continue
		}
		err := f.values(ctx, group, use.column, func(row int64, v parquet.Value) error {
			rec := hits.record[row]
			if rec == nil {
				return nil
			}
			if use.node.typ {
				buf = appendText(buf[:0], use.column, v)
				l.take(rec, &node{kind: -1, typ: true}, buf, -1)
			}
			if use.node.time {
				buf = appendTime(buf[:0], use.column, v, l.when)
				l.take(rec, &node{kind: -1, time: true}, buf, -1)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// values calls each for every value of a column that is not null, with its row
// in the group. Values are valid until each returns.
func (f *parquetFile) values(ctx context.Context, group parquet.RowGroup, c *parquet.Column, each func(row int64, v parquet.Value) error) error {
	return f.raw(ctx, group.ColumnChunks()[c.Index()], group.NumRows(), func(first int64, values []parquet.Value) error {
		row := first
		for _, v := range values {
			if v.RepetitionLevel() == 0 {
				row++
			}
			if v.IsNull() {
				continue
			}
			if err := each(row, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// raw calls each for all values of a column chunk, a batch at a time, with the
// row that the last value before the batch was in. It fails unless the chunk
// has the rows its group says: a search must see all of them.
func (f *parquetFile) raw(ctx context.Context, chunk parquet.ColumnChunk, rows int64, each func(before int64, values []parquet.Value) error) (err error) {
	r := parquet.NewColumnChunkValueReader(chunk)
	defer func() {
		if closeErr := r.Close(); closeErr != nil && err == nil {
			err = unreadable(f.key, closeErr)
		}
	}()
	row := int64(-1)
	buf := make([]parquet.Value, valuesAtOnce)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, readErr := r.ReadValues(buf)
		if n > 0 {
			if err := each(row, buf[:n]); err != nil {
				return err
			}
		}
		for _, v := range buf[:n] {
			if v.RepetitionLevel() == 0 {
				row++
			}
		}
		switch {
		case errors.Is(readErr, io.EOF):
			if row+1 != rows {
				return misfit("%s: a column has %d rows where its group has %d", f.key, row+1, rows)
			}
			return nil
		case readErr != nil:
			return unreadable(f.key, readErr)
		}
	}
}

func (parquetFormat) scan(ctx context.Context, key string, src source, l *lookup, visit func(*record) error) error {
	f, err := openParquet(key, src, l)
	if err != nil {
		return err
	}
	var base int64
	for _, group := range f.RowGroups() {
		hits, err := f.find(ctx, group, base, l)
		if err != nil {
			return err
		}
		if err := f.visit(ctx, group, hits, visit); err != nil {
			return err
		}
		base += group.NumRows()
	}
	return nil
}

// visit shows the records found, each with a way to its values.
func (f *parquetFile) visit(ctx context.Context, group parquet.RowGroup, hits rowHits, visit func(*record) error) (err error) {
	cursor := &rowCursor{file: f, group: group, ctx: ctx}
	defer func() { err = errors.Join(err, cursor.close()) }()
	for _, row := range hits.rows {
		rec := hits.record[row]
		rec.parquet = &parquetRow{cursor: cursor, row: row}
		if err := visit(rec); err != nil {
			return err
		}
		delete(hits.record, row)
	}
	return nil
}

// parquetRow is a way to the values of a row.
type parquetRow struct {
	cursor *rowCursor
	row    int64
}

// rowCursor reads rows of one group in order, skipping those not asked for.
type rowCursor struct {
	ctx   context.Context //nolint:containedctx // the cursor ends with the visit it was made for
	file  *parquetFile
	group parquet.RowGroup
	rows  parquet.Rows // nil until a row is asked for
	buf   []parquet.Row
	first int64 // the row that buf begins with
	n     int
}

func (c *rowCursor) at(row int64) (parquet.Row, error) {
	if c.rows == nil {
		c.rows, c.buf = c.group.Rows(), make([]parquet.Row, 32)
	}
	for row >= c.first+int64(c.n) {
		if err := c.ctx.Err(); err != nil {
			return nil, err
		}
		c.first += int64(c.n)
		var err error
		c.n, err = c.rows.ReadRows(c.buf)
		if c.n == 0 && err != nil {
			return nil, unreadable(c.file.key, err)
		}
	}
	return c.buf[row-c.first], nil
}

func (c *rowCursor) close() error {
	if c.rows == nil {
		return nil
	}
	if err := c.rows.Close(); err != nil {
		return unreadable(c.file.key, err)
	}
	return nil
}

// fields names every column by its path. One that repeats has a list.
func (parquetFormat) fields(rec *record, l *lookup) ([]sdk.Field, error) {
	cursor := rec.parquet.cursor
	row, err := cursor.at(rec.parquet.row)
	if err != nil {
		return nil, err
	}
	var fields []sdk.Field
	for c := range leafColumns(cursor.file.Root()) {
		var list []any
		repeats := c.MaxRepetitionLevel() > 0
		for _, v := range row {
			if v.Column() == c.Index() && (!v.IsNull() || !repeats) {
				list = append(list, shown(c, v))
			}
		}
		field := sdk.Field{Name: pathOf(c)}
		item, withheld := cursor.file.hidden[c.Index()]
		switch {
		case withheld && slices.ContainsFunc(list, func(v any) bool { return v != nil }):
			field.Value = sdk.Withheld(l.withheldAs[item])
		case repeats:
			if field.Value, err = listText(list); err != nil {
				return nil, err
			}
		case len(list) > 0:
			field.Value = list[0]
		}
		fields = append(fields, field)
	}
	return fields, nil
}
