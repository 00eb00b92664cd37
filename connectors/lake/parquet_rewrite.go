package lake

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	schema "github.com/parquet-go/parquet-go/format"
)

const parquetMagic = "PAR1"

// rewrite copies the bytes of row groups that name nobody and writes the others
// anew without their rows, group for group. The file's description (schema,
// codecs, key-value pairs, the name of the program that made it) is the old
// one; only sizes, offsets and statistics change.
func (parquetFormat) rewrite(ctx context.Context, key string, src source, dst io.Writer, l *lookup, decide func(*record) (fate, error)) error {
	f, err := openParquet(key, src, l)
	if err != nil {
		return err
	}
	out := &parquetWriter{file: f, dst: bufio.NewWriterSize(dst, bufferSize)}
	if err := out.write([]byte(parquetMagic)); err != nil {
		return err
	}
	var base int64
	for i, group := range f.RowGroups() {
		hits, err := f.find(ctx, group, base, l)
		if err != nil {
			return err
		}
		base += group.NumRows()
		var drop []int64
		for _, row := range hits.rows {
			what, err := decide(hits.record[row])
			if err != nil {
				return err
			}
			if what.drop {
				drop = append(drop, row)
			}
		}
		switch {
		case len(drop) == 0:
			err = out.copyGroup(ctx, i)
		case int64(len(drop)) < group.NumRows():
			err = out.writeGroup(ctx, i, group, drop)
		} // else nothing of the group is left
		if err != nil {
			return err
		}
	}
	return out.finish()
}

// parquetWriter writes one new version of a file.
type parquetWriter struct {
	file   *parquetFile
	dst    *bufio.Writer
	at     int64
	groups []schema.RowGroup
	// index are the page indexes of the groups, written behind the last.
	index [][]chunkIndex
}

// chunkIndex are the page indexes of one column chunk, ready to be written;
// nil where there are none.
type chunkIndex struct{ columns, offsets []byte }

func (w *parquetWriter) write(p []byte) error {
	n, err := w.dst.Write(p)
	w.at += int64(n)
	return err
}

// copyGroup copies a row group byte for byte.
func (w *parquetWriter) copyGroup(ctx context.Context, i int) error {
	group := w.file.Metadata().RowGroups[i]
	group.Columns = slices.Clone(group.Columns)
	index := make([]chunkIndex, len(group.Columns))
	begin := w.at
	for j := range group.Columns {
		if err := ctx.Err(); err != nil {
			return err
		}
		c := &group.Columns[j]
		start := chunkStart(&c.MetaData)
		shift := w.at - start
		if err := w.copyBytes(start, c.MetaData.TotalCompressedSize); err != nil {
			return err
		}
		var err error
		if index[j], err = w.oldIndex(c, shift); err != nil {
			return err
		}
		moveChunk(c, shift)
	}
	if err := w.copyFilters(&group); err != nil {
		return err
	}
	w.add(group, index, begin)
	return nil
}

func (w *parquetWriter) copyBytes(start, size int64) error {
	if start < 0 || size < 0 || start+size > w.file.Size() {
		return misfit("%s says that a column lies outside of it", w.file.key)
	}
	buf := make([]byte, min(size, readAhead))
	for end := start + size; start < end; {
		piece := buf[:min(int64(len(buf)), end-start)]
		if n, err := w.file.src.ReadAt(piece, start); n < len(piece) {
			return unreadable(w.file.key, err)
		}
		if err := w.write(piece); err != nil {
			return err
		}
		start += int64(len(piece))
	}
	return nil
}

// copyFilters copies Bloom filters; one whose size is not given is left out.
func (w *parquetWriter) copyFilters(group *schema.RowGroup) error {
	for j := range group.Columns {
		m := &group.Columns[j].MetaData
		from, size := m.BloomFilterOffset, int64(m.BloomFilterLength)
		m.BloomFilterOffset, m.BloomFilterLength = 0, 0
		if from == 0 || size == 0 {
			continue
		}
		m.BloomFilterOffset, m.BloomFilterLength = w.at, int32(size) //nolint:gosec // it was one before
		if err := w.copyBytes(from, size); err != nil {
			return err
		}
	}
	return nil
}

// chunkStart is where the first page of a column chunk is.
func chunkStart(m *schema.ColumnMetaData) int64 {
	if d := m.DictionaryPageOffset; d > 0 && d < m.DataPageOffset {
		return d
	}
	return m.DataPageOffset
}

func moveChunk(c *schema.ColumnChunk, shift int64) {
	for _, offset := range []*int64{&c.FileOffset, &c.MetaData.DataPageOffset, &c.MetaData.IndexPageOffset, &c.MetaData.DictionaryPageOffset} {
		if *offset > 0 {
			*offset += shift
		}
	}
}

// oldIndex reads the page indexes of a column chunk that moves.
func (w *parquetWriter) oldIndex(c *schema.ColumnChunk, shift int64) (chunkIndex, error) {
	var index chunkIndex
	read := func(offset int64, size int32) ([]byte, error) {
		if offset <= 0 || size <= 0 || offset+int64(size) > w.file.Size() {
			return nil, nil
		}
		buf := make([]byte, size)
		if n, err := w.file.src.ReadAt(buf, offset); n < len(buf) {
			return nil, unreadable(w.file.key, err)
		}
		return buf, nil
	}
	text, err := read(c.OffsetIndexOffset, c.OffsetIndexLength)
	if err != nil || text == nil {
		return index, err
	}
	if index.offsets, err = w.movedIndex(text, shift); err != nil {
		return index, err
	}
	index.columns, err = read(c.ColumnIndexOffset, c.ColumnIndexLength)
	return index, err
}

// movedIndex writes anew where the pages of a chunk are that has moved.
func (w *parquetWriter) movedIndex(text []byte, shift int64) ([]byte, error) {
	var pages schema.OffsetIndex
	if err := thrift.Unmarshal(&thrift.CompactProtocol{}, text, &pages); err != nil {
		return nil, unreadable(w.file.key, err)
	}
	for i := range pages.PageLocations {
		pages.PageLocations[i].Offset += shift
	}
	return marshal(&pages)
}

func marshal(v any) ([]byte, error) {
	text, err := thrift.Marshal(&thrift.CompactProtocol{}, v)
	if err != nil {
		return nil, fmt.Errorf("writing a description: %w", err)
	}
	return text, nil
}

// add puts a group that was written at begin into the file's description.
func (w *parquetWriter) add(group schema.RowGroup, index []chunkIndex, begin int64) {
	if group.FileOffset > 0 {
		group.FileOffset = begin
	}
	if n := len(w.groups); n <= 1<<15-1 {
		group.Ordinal = int16(n)
	}
	w.groups, w.index = append(w.groups, group), append(w.index, index)
}

// writeGroup writes a row group without some of its rows, column by column.
func (w *parquetWriter) writeGroup(ctx context.Context, i int, group parquet.RowGroup, drop []int64) error {
	old := &w.file.Metadata().RowGroups[i]
	begin := w.at
	// The library writes a file of its own, of which only the row group is kept.
	body := &groupBody{w: w, skip: int64(len(parquetMagic))}
	pw := parquet.NewWriter(body, w.groupOptions(old)...)
	columns := pw.ColumnWriters()
	for j, chunk := range group.ColumnChunks() {
		if err := w.writeColumn(ctx, chunk, group.NumRows(), drop, columns[j]); err != nil {
			return err
		}
	}
	if err := pw.Flush(); err != nil {
		return err
	}
	body.tail = new(bytes.Buffer)
	if err := pw.Close(); err != nil {
		return err
	}
	groups := pw.File().Metadata().RowGroups
	if want := group.NumRows() - int64(len(drop)); len(groups) != 1 || groups[0].NumRows != want {
		return fmt.Errorf("writing %s: a row group came out with other rows than it should", w.file.key)
	}
	shift := begin - int64(len(parquetMagic))
	next := *old
	next.NumRows, next.TotalByteSize, next.TotalCompressedSize = groups[0].NumRows, groups[0].TotalByteSize, 0
	next.Columns = slices.Clone(groups[0].Columns)
	index := make([]chunkIndex, len(next.Columns))
	for j := range next.Columns {
		c := &next.Columns[j]
		if c.MetaData.Codec != old.Columns[j].MetaData.Codec {
			return misfit("%s: row groups of column %s are compressed in different ways", w.file.key, strings.Join(c.MetaData.PathInSchema, "."))
		}
		next.TotalCompressedSize += c.MetaData.TotalCompressedSize
		c.MetaData.KeyValueMetadata = old.Columns[j].MetaData.KeyValueMetadata
		if old.Columns[j].OffsetIndexOffset > 0 {
			var err error
			if index[j], err = body.index(c, shift); err != nil {
				return err
			}
		}
		moveChunk(c, shift)
		if c.MetaData.BloomFilterOffset > 0 {
			c.MetaData.BloomFilterOffset += shift
		}
	}
	w.add(next, index, begin)
	return nil
}

// dictionaryLimit is how large a column's dictionary gets before the rest of a
// row group is written plain, as the format's first writer has it.
const dictionaryLimit = 1 << 20

// groupOptions make the library write a group as the old one was written.
func (w *parquetWriter) groupOptions(old *schema.RowGroup) []parquet.WriterOption {
	version := 1
	var filters []parquet.BloomFilterColumn
	for j := range old.Columns {
		m := &old.Columns[j].MetaData
		for _, pages := range m.EncodingStats {
			if pages.PageType == schema.DataPageV2 {
				version = 2
			}
		}
		if m.BloomFilterOffset > 0 {
			filters = append(filters, parquet.SplitBlockFilter(10, m.PathInSchema...))
		}
	}
	return []parquet.WriterOption{
		w.file.Schema(), parquet.WriteBufferSize(0), parquet.DataPageVersion(version),
		parquet.DictionaryMaxBytes(dictionaryLimit), parquet.BloomFilters(filters...),
	}
}

// writeColumn writes the values of one column chunk that are not in rows to
// drop. It hands over whole rows, and keeps of the last, which may go on in the
// next batch, a copy.
func (w *parquetWriter) writeColumn(ctx context.Context, chunk parquet.ColumnChunk, rows int64, drop []int64, dst *parquet.ColumnWriter) error {
	var last []parquet.Value
	kept := make([]parquet.Value, 0, valuesAtOnce)
	next := 0 // in drop: the first row not before the current one
	err := w.file.raw(ctx, chunk, rows, func(row int64, values []parquet.Value) error {
		kept = append(kept[:0], last...)
		start := 0 // in kept: where the last row begins
		for _, v := range values {
			if v.RepetitionLevel() == 0 {
				row++
				start = len(kept)
			}
			for next < len(drop) && drop[next] < row {
				next++
			}
			if next == len(drop) || drop[next] != row {
				kept = append(kept, v)
			}
		}
		tail := make([]parquet.Value, 0, len(kept)-start)
		for _, v := range kept[start:] {
			tail = append(tail, v.Clone())
		}
		last = tail
		if start == 0 {
			return nil
		}
		_, err := dst.WriteRowValues(kept[:start])
		return err
	})
	if err != nil || len(last) == 0 {
		return err
	}
	_, err = dst.WriteRowValues(last)
	return err
}

// groupBody passes on the row group of a file that the library writes, without
// what comes before it, and keeps what comes after it.
type groupBody struct {
	w       *parquetWriter
	skip    int64
	written int64
	tail    *bytes.Buffer // nil until the row group is written
}

func (b *groupBody) Write(p []byte) (int, error) {
	if b.tail != nil {
		return b.tail.Write(p)
	}
	b.written += int64(len(p))
	k := min(b.skip, int64(len(p)))
	b.skip -= k
	if err := b.w.write(p[k:]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// index takes the page indexes of a column chunk out of the tail.
func (b *groupBody) index(c *schema.ColumnChunk, shift int64) (index chunkIndex, err error) {
	part := func(offset int64, size int32) []byte {
		from := offset - b.written
		if size <= 0 || from < 0 || from+int64(size) > int64(b.tail.Len()) {
			return nil
		}
		return b.tail.Bytes()[from : from+int64(size)]
	}
	text := part(c.OffsetIndexOffset, c.OffsetIndexLength)
	if text == nil {
		return index, nil
	}
	index.columns = part(c.ColumnIndexOffset, c.ColumnIndexLength)
	index.offsets, err = b.w.movedIndex(text, shift)
	return index, err
}

// finish writes the page indexes, those of one kind together, and the file's
// description.
func (w *parquetWriter) finish() error {
	err := w.eachChunk(func(c *schema.ColumnChunk, index chunkIndex) (err error) {
		c.ColumnIndexOffset, c.ColumnIndexLength, err = w.writeIndex(index.columns)
		return err
	})
	if err != nil {
		return err
	}
	err = w.eachChunk(func(c *schema.ColumnChunk, index chunkIndex) (err error) {
		c.OffsetIndexOffset, c.OffsetIndexLength, err = w.writeIndex(index.offsets)
		return err
	})
	if err != nil {
		return err
	}
	meta := *w.file.Metadata()
	meta.RowGroups, meta.NumRows = w.groups, 0
	for i := range w.groups {
		meta.NumRows += w.groups[i].NumRows
	}
	footer, err := marshal(&meta)
	if err != nil {
		return err
	}
	footer = binary.LittleEndian.AppendUint32(footer, uint32(len(footer))) //nolint:gosec // a footer
	if err := w.write(append(footer, parquetMagic...)); err != nil {
		return err
	}
	return w.dst.Flush()
}

func (w *parquetWriter) eachChunk(do func(c *schema.ColumnChunk, index chunkIndex) error) error {
	for i := range w.groups {
		for j := range w.groups[i].Columns {
			if err := do(&w.groups[i].Columns[j], w.index[i][j]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *parquetWriter) writeIndex(text []byte) (offset int64, size int32, err error) {
	if text == nil {
		return 0, 0, nil
	}
	offset = w.at
	return offset, int32(len(text)), w.write(text) //nolint:gosec // of one column chunk
}

var errSharedColumns = errors.New("shared: elements of lists can't be taken out of Parquet; a row goes whole")
