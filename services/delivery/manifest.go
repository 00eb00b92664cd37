package delivery

import (
	"encoding/json"
	"io"
	"time"
)

// manifest is manifest.json.
type manifest struct {
	SchemaVersion string          `json:"schema_version"`
	RequestID     string          `json:"request_id"`
	Regime        string          `json:"regime"`
	Right         string          `json:"right"`
	Received      time.Time       `json:"received"`
	Made          time.Time       `json:"made"`
	LookBack      lookBack        `json:"look_back"`
	Complete      bool            `json:"complete"`
	Files         []File          `json:"files"` // all but this one
	Stores        []manifestStore `json:"stores"`
	Withheld      []Withheld      `json:"withheld"`
	Notes         []manifestNote  `json:"notes"`
	Missing       []manifestGap   `json:"missing"`
	CSV           string          `json:"csv,omitempty"`
}

// lookBack is the period the package covers.
type lookBack struct {
	Since *time.Time `json:"since"` // null means everything
	Until time.Time  `json:"until"`
}

// Withheld is an item that the person does not get, by its type. The person
// learns that it was collected (11 CCR 7024(d)).
type Withheld struct {
	Connector string `json:"connector"`
	Store     string `json:"store"`
	Field     string `json:"field,omitempty"`
	Kind      string `json:"kind"`
	Count     int64  `json:"count,omitempty"` // values; 0 when the connector did not say
	Basis     string `json:"basis"`
	FoundBy   string `json:"found_by"` // "connector", "content scan" or "exception"
	// Reason is why, where that is for the person to know beyond the rule.
	Reason string `json:"reason,omitempty"`
}

type manifestStore struct {
	Connector  string   `json:"connector"`
	Store      string   `json:"store"`
	Categories []string `json:"categories"`
	Count      int64    `json:"record_count"`
	File       string   `json:"file,omitempty"`
}

type manifestNote struct {
	Kind       NoteKind   `json:"kind"`
	Connector  string     `json:"connector,omitempty"`
	Store      string     `json:"store,omitempty"`
	Categories []string   `json:"categories,omitempty"`
	Count      int64      `json:"count,omitempty"`
	Reason     string     `json:"reason"`
	Basis      string     `json:"basis,omitempty"`
	Until      *time.Time `json:"until,omitempty"`
}

type manifestGap struct {
	Connector string `json:"connector"`
	State     string `json:"state"`
	Reason    string `json:"reason,omitempty"`
}

const csvNote = "CSV files are RFC 4180 in UTF-8 with a byte order mark. Text that a spreadsheet would run as a formula has an apostrophe before it; data.json has every value as it is."

func writeManifest(w io.Writer, b *build, files []File) error {
	o := b.order
	m := manifest{
		SchemaVersion: SchemaVersion, RequestID: o.RequestID, Regime: o.Regime, Right: o.Right,
		Received: o.ReceivedAt.UTC(), Made: b.made, LookBack: lookBack{Since: timeOrNil(o.Since), Until: b.made},
		Complete: len(o.Missing) == 0, Files: files,
		Stores: []manifestStore{}, Withheld: append([]Withheld{}, b.report.Withheld...), Notes: []manifestNote{}, Missing: []manifestGap{},
	}
	for _, s := range b.report.Stores {
		ms := manifestStore{Connector: s.Connector, Store: s.Store, Categories: s.letters, Count: s.Count}
		if s.data != nil {
			ms.File, m.CSV = s.data.csv, csvNote
		}
		m.Stores = append(m.Stores, ms)
	}
	for _, n := range o.Notes {
		m.Notes = append(m.Notes, manifestNote{
			Kind: n.Kind, Connector: n.Connector, Store: n.Store, Categories: n.Categories, Count: n.Count,
			Reason: n.Reason, Basis: n.Basis, Until: timeOrNil(n.Until),
		})
	}
	for _, g := range o.Missing {
		m.Missing = append(m.Missing, manifestGap(g))
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(m)
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
