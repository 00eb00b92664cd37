package records

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request/store"
)

// Text is something people were shown or that decided about them: a form, the
// words on it, a regime, a notice, a company's own file. It holds nothing
// personal.
type Text struct {
	Kind, Name, Version string
	Content             []byte
}

// History keeps what texts said from when on, in the store and, by digest, in
// the log of evidence, so that what a person saw at the time can be shown later
// and nobody can have changed it since.
type History struct {
	Store  store.Records
	Signer *wire.Signer
	By     string           // who brought the texts: a release, such as "habeas 1.4"
	Now    func() time.Time // nil is the machine's
}

// Declare records the texts that are in force from now on, and returns how many
// of them are new. One that says what was in force already changes nothing. The
// records are published like any other that the log does not have yet.
func (h History) Declare(ctx context.Context, texts []Text) (fresh int, err error) {
	now := time.Now
	if h.Now != nil {
		now = h.Now
	}
	at := now().UTC()
	for _, t := range texts {
		sum := sha256.Sum256(t.Content)
		rec, err := h.Signer.Sign(&habeasv1.VersionRecord{
			Kind: t.Kind, Name: t.Name, TextVersion: t.Version, TextSha256: sum[:], EffectTime: timestamppb.New(at),
		}, "", nil)
		if err != nil {
			return fresh, fmt.Errorf("recording %s %s: %w", t.Kind, t.Name, err)
		}
		isNew, err := h.Store.PutVersion(ctx, store.Version{
			Kind: t.Kind, Name: t.Name, Version: t.Version, Digest: sum[:], Content: t.Content, At: at, By: h.By,
		}, []store.Record{{Digest: rec.Digest[:], Type: string(rec.Type), Issuer: rec.Issuer(), Envelope: rec.Envelope, CreatedAt: at}})
		if err != nil {
			return fresh, fmt.Errorf("recording %s %s: %w", t.Kind, t.Name, err)
		}
		if isNew {
			fresh++
		}
	}
	return fresh, nil
}

var versionLine = regexp.MustCompile(`(?m)^version: "?([^"\n]+)"?$`)

// Files reads every file of fsys as a text of one kind. Its version is what a
// line "version:" says, where there is one.
func Files(kind string, fsys fs.FS) ([]Text, error) {
	var texts []Text
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		t := Text{Kind: kind, Name: name, Content: content}
		if m := versionLine.FindSubmatch(content); m != nil {
			t.Version = string(m[1])
		}
		texts = append(texts, t)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the texts of kind %s: %w", kind, err)
	}
	return texts, nil
}
