package delivery

import (
	"bufio"
	"context"
	_ "embed" // the schema
	"io"
	"time"
)

// SchemaVersion is the version of the package's layout and of its files.
const SchemaVersion = "1"

// dataSchema describes data.json, as JSON Schema; it goes into every package.
//
//go:embed data.schema.json
var dataSchema []byte

// dataHead is data.json but for its systems.
type dataHead struct {
	SchemaVersion  string            `json:"schema_version"`
	RequestID      string            `json:"request_id"`
	Regime         string            `json:"regime"`
	Right          string            `json:"right"`
	Received       time.Time         `json:"received"`
	Made           time.Time         `json:"made"`
	Since          *time.Time        `json:"since"`
	Language       string            `json:"language"`
	CategoriesOnly bool              `json:"categories_only"`
	Categories     []categoryReport  `json:"categories"`
	Information    information       `json:"information"`
	Statements     []statementReport `json:"statements"`
}

type dataStore struct {
	Connector  string   `json:"connector"`
	Store      string   `json:"store"`
	Categories []string `json:"categories"`
	Count      int64    `json:"record_count"`
}

// writeData streams data.json.
func writeData(ctx context.Context, out io.Writer, b *build) error {
	w := bufio.NewWriterSize(out, 64<<10)
	head, err := marshal(b.head())
	if err != nil {
		return err
	}
	_, _ = w.Write(head[:len(head)-1]) // the first error of a bufio.Writer stays until Flush
	_, _ = w.WriteString(`,"stores":[`)
	for i, s := range b.report.Stores {
		start, err := marshal(dataStore{Connector: s.Connector, Store: s.Store, Categories: s.letters, Count: s.Count})
		if err != nil {
			return err
		}
		if i > 0 {
			_, _ = w.WriteString(",")
		}
		_, _ = w.WriteString("\n")
		if s.data == nil {
			_, _ = w.Write(start)
			continue
		}
		_, _ = w.Write(start[:len(start)-1])
		_, _ = w.WriteString(`,"records":[`)
		if err := writeRecords(ctx, w, s.data, b); err != nil {
			return err
		}
		_, _ = w.WriteString("]}")
	}
	_, _ = w.WriteString("]}\n")
	return w.Flush()
}

func writeRecords(ctx context.Context, w *bufio.Writer, s *storeData, b *build) error {
	first := true
	var line []byte
	for _, p := range s.parts {
		err := p.each(ctx, b.order.Identity, b.screen, func(r *record) error {
			line = line[:0]
			if !first {
				line = append(line, ',')
			}
			first = false
			line = append(line, "\n{\"category\":\""...)
			line = append(line, r.category...) // a letter, or nothing
			line = append(line, "\",\"fields\":"...)
			line = appendFields(line, r.fields)
			line = append(line, '}')
			_, err := w.Write(line)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// appendFields appends fields as one JSON object, in their order.
func appendFields(line []byte, fields []field) []byte {
	line = append(line, '{')
	for i, f := range fields {
		if i > 0 {
			line = append(line, ',')
		}
		name, err := marshal(f.name)
		if err != nil {
			panic(err) // a string can always be marshalled
		}
		line = append(append(line, name...), ':')
		if f.withheld != "" {
			line = append(line, withheldJSON(f.withheld, f.basis)...)
			continue
		}
		line = append(line, f.value...)
	}
	return append(line, '}')
}
