package delivery

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// document is a file among the records, as it goes into the package.
type document struct {
	// name is that in the package; it is made of where it was found and of what
	// is in it, so that it is the same each time a part is read.
	name, mediaType string
	content         []byte
}

// documentTypes are what documents may be, with the ending of each: what is
// none of these could not be searched.
var documentTypes = map[string]string{"text/plain": ".txt", "application/pdf": ".pdf"}

var errNotDocument = errors.New("want a document of text/plain or application/pdf with its content")

// document screens a document. What may never be disclosed, found in its text,
// keeps all of it back. What belongs to others is taken out of plain text; out of
// a PDF nothing can be taken, and who attaches one has seen to that.
func (s *screen) document(name string, raw json.RawMessage) (field, error) {
	var sent struct {
		MediaType string `json:"media_type"`
		Content   string `json:"content"`
		Text      string `json:"text"`
	}
	if json.Unmarshal(raw, &sent) != nil {
		return field{}, errNotDocument
	}
	content, err := base64.StdEncoding.DecodeString(sent.Content)
	end := documentTypes[sent.MediaType]
	if err != nil || end == "" || len(content) == 0 {
		return field{}, errNotDocument
	}
	text, plain := sent.Text, sent.MediaType == "text/plain"
	if plain {
		if text = string(content); !utf8.ValidString(text) {
			return field{}, errNotDocument
		}
	}
	f, err := s.documentText(name, text, plain)
	if err != nil || f.withheld != "" {
		return f, err
	}
	if !plain && len(f.inside) > 0 { // taken out of its text alone
		return field{name: f.name, withheld: f.inside[0], scanned: true}, nil
	}
	if plain {
		masked, _ := textOf(f.value)
		content = []byte(masked)
	}
	sum := sha256.Sum256(content)
	f.file = &document{
		name:      "files/" + s.at[0] + "-" + unfit.ReplaceAllString(s.at[1], "_") + "-" + hex.EncodeToString(sum[:8]) + end,
		mediaType: sent.MediaType, content: content,
	}
	f.value, err = marshal(f.file.name)
	return f, err
}

// documentText screens what can be read in a document.
func (s *screen) documentText(name, text string, mask bool) (field, error) {
	value, err := marshal(text)
	if err != nil {
		return field{}, err
	}
	if mask {
		return s.field(name, value, "")
	}
	kept := *s
	kept.own.off = true
	return kept.field(name, value, "")
}

// writeDocuments adds the documents of all stores, each once.
func (b *build) writeDocuments(ctx context.Context, p *packer) error {
	added := map[string]bool{}
	for _, s := range b.stores {
		if !s.documents {
			continue
		}
		for _, part := range s.parts {
			err := part.each(ctx, b.order.Identity, b.screen, func(r *record) error {
				for _, f := range r.fields {
					if f.file == nil || added[f.file.name] {
						continue
					}
					added[f.file.name] = true
					if err := p.add(f.file.name, f.file.mediaType, func(w io.Writer) error {
						_, err := w.Write(f.file.content)
						return err
					}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
