package console

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/habeas-data/habeas/services/console/access"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// reviewView is how a copy stands that somebody looks at before it is handed over.
type reviewView struct {
	// Waits says that it is made and not decided, May that who looks may decide, and
	// Known that there is a delivery room to get it from.
	Waits, May, Known bool
	// Copy names the one that waits, so that no other is approved in its place.
	Copy  string
	Until moment
	Over  bool
	Texts []textRow
	// LeftOut, Words and Round are what earlier looks found.
	LeftOut []string
	Words   int
	Round   int
	// Approved is set once it was let go.
	Approved moment
	By       string
}

// textRow is a field of the copy that has texts.
type textRow struct {
	Connector, Store, Field, Records string
	// Value is what the form sends; none where the field can't be left out by itself.
	Value          string
	LeftOut, Typed bool
}

// unnamedField stands for fields whose names are not shown.
const unnamedField = "…"

func (r *Room) reviewOf(of *store.Request, who access.Identity) *reviewView {
	v := of.Case.Review
	if v == nil {
		return nil
	}
	out := &reviewView{Words: v.Words, Round: v.Round, Approved: momentOf(v.Approved), By: v.By}
	for _, at := range v.LeftOut {
		out.LeftOut = append(out.LeftOut, at.String())
	}
	if !of.WaitsForReview() {
		return out
	}
	out.Waits, out.May, out.Known = true, who.May(access.Handle), r.config.Answers != nil
	out.Copy, out.Until, out.Over = hex.EncodeToString(of.Package.SHA256), momentOf(v.Until), !r.config.Now().Before(v.Until)
	for _, t := range v.Texts {
		row := textRow{Connector: t.Connector, Store: t.Store, Field: t.Field, Records: number(t.Count), LeftOut: slices.Contains(v.LeftOut, t.FieldPlace)}
		if t.Field != unnamedField {
			row.Value = placeText(t.FieldPlace)
		}
		out.Texts = append(out.Texts, row)
	}
	return out
}

// placeText is a field as the form sends it; names may hold anything.
func placeText(at request.FieldPlace) string {
	return url.PathEscape(at.Connector) + "/" + url.PathEscape(at.Store) + "/" + url.PathEscape(at.Field)
}

func parsePlace(text string) (at request.FieldPlace, ok bool) {
	parts := strings.Split(text, "/")
	if len(parts) != 3 {
		return at, false
	}
	for i, into := range []*string{&at.Connector, &at.Store, &at.Field} {
		var err error
		if *into, err = url.PathUnescape(parts[i]); err != nil {
			return at, false
		}
	}
	return at, true
}

// copyToReview gives out a copy to be looked at, which is on record by now.
func (r *Room) copyToReview(w http.ResponseWriter, req *http.Request) {
	r.giveOut(w, req, "copy", (*store.Request).WaitsForReview, request.ErrNotForReview)
}

// reviewCopy lets a copy be handed over, or has it made again.
func (r *Room) reviewCopy(w http.ResponseWriter, req *http.Request) {
	r.act(w, req, "copy", func(ctx context.Context, id request.ID) error {
		digest, err := hex.DecodeString(req.PostFormValue("copy"))
		if err != nil || len(digest) == 0 {
			return request.ErrNotForReview
		}
		changes := request.CopyChanges{Mask: strings.Split(strings.ReplaceAll(req.PostFormValue("mask"), "\r", ""), "\n")}
		for _, text := range req.PostForm["leave-out"] {
			at, ok := parsePlace(text)
			if !ok {
				return request.ErrNotForReview
			}
			changes.LeftOut = append(changes.LeftOut, at)
		}
		if req.PostFormValue("decision") != "approve" {
			return r.config.Act.MakeCopyAgain(ctx, id, digest, changes)
		}
		if len(changes.LeftOut) > 0 || strings.TrimSpace(req.PostFormValue("mask")) != "" {
			return request.FieldErrors{{Field: "approve", Problem: "would hand over what you marked", Fix: "have the copy made again, or take the marks away"}}
		}
		return r.config.Act.ApproveCopy(ctx, id, digest)
	})
}
