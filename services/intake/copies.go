package intake

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/services/internal/vault"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// ApproveCopy lets a copy be handed over that somebody has looked at: the one with the
// digest, and no other that was made since. It ends the request, or lets its answer go
// to the post. Saying it again changes nothing. Errors are [request.ErrNotForReview] and
// [request.ErrCopyOver].
func (r *Room) ApproveCopy(ctx context.Context, id request.ID, digest []byte) error {
	return r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		review := s.Request.Case.Review
		same := len(digest) > 0 && bytes.Equal(s.Request.Package.SHA256, digest)
		switch {
		case review != nil && !review.Approved.IsZero() && same:
			return nil, nil
		case !s.Request.WaitsForReview() || !same:
			return nil, request.ErrNotForReview
		}
		now := r.Now().UTC()
		if !now.Before(review.Until) {
			return nil, request.ErrCopyOver
		}
		ending, err := s.Concluded()
		if err != nil {
			return nil, err
		}
		review.Approved, review.By = now, request.ActorOf(ctx)
		said := &habeasv1.DecisionRecord{Decision: "copy_approved", Facts: factsOf(review)}
		if s.Request.Case.Answer == request.AnswerByMail {
			s.Request.Attention = store.AttentionMail
			return said, nil
		}
		s.Request.Attention = ""
		return said, s.Request.Close(request.Ending{Result: ending})
	})
}

// MakeCopyAgain throws the copy that waits for a look away and has it made again, with
// changes or, when its time is over, without; it waits for a look again. Errors are
// [request.ErrNotForReview] and [request.FieldErrors].
func (r *Room) MakeCopyAgain(ctx context.Context, id request.ID, digest []byte, c request.CopyChanges) error {
	words, err := request.CheckMasked(c.Mask)
	if err != nil {
		return err
	}
	stored, _, err := r.Store.Get(ctx, id)
	if err != nil {
		return err
	}
	if len(stored.WrappedKey) == 0 {
		return request.ErrNotForReview
	}
	key, err := r.Vault.Unwrap(ctx, stored.WrappedKey)
	if err != nil {
		return err
	}
	defer key.Destroy()
	return r.decide(ctx, id, func(s *store.Snapshot) (*habeasv1.DecisionRecord, error) {
		if !s.Request.WaitsForReview() || !bytes.Equal(s.Request.Package.SHA256, digest) {
			return nil, request.ErrNotForReview
		}
		review := s.Request.Case.Review
		if err := leaveOut(review, c.LeftOut); err != nil {
			return nil, err
		}
		if err := mask(review, id, key, words); err != nil {
			return nil, err
		}
		review.Round++
		s.Request.Package, s.Request.Attention = store.Package{}, ""
		return &habeasv1.DecisionRecord{Decision: "copy_made_again", Code: "ccpa-1798.145(k)", Facts: factsOf(review)}, nil
	})
}

// leaveOut adds fields that the copy has texts in.
func leaveOut(review *request.Review, fields []request.FieldPlace) error {
	for i, at := range fields {
		if slices.Contains(review.LeftOut, at) {
			continue
		}
		if !slices.ContainsFunc(review.Texts, func(t request.TextField) bool { return t.FieldPlace == at }) {
			return request.FieldErrors{{Field: fmt.Sprintf("leave_out[%d]", i), Problem: "is no field of the copy that has texts", Fix: "give connector, store and field as the request shows them"}}
		}
		review.LeftOut = append(review.LeftOut, at)
	}
	return nil
}

// mask adds words to those that are sealed with the request.
func mask(review *request.Review, id request.ID, key vault.DataKey, words []string) error {
	if len(words) == 0 {
		return nil
	}
	var all []string
	if len(review.Masked) > 0 {
		plain, err := key.Open(review.Masked, store.ReviewAAD(id))
		if err != nil {
			return fmt.Errorf("reading what is masked in the copy: %w", err)
		}
		if json.Unmarshal(plain, &all) != nil {
			return fmt.Errorf("request %s: what is masked in its copy can't be read", id)
		}
	}
	for _, w := range words {
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	all, err := request.CheckMasked(all) // with those of before they may be too many
	if err != nil {
		return err
	}
	plain, err := json.Marshal(all)
	if err != nil {
		return fmt.Errorf("keeping what is masked in the copy: %w", err)
	}
	review.Masked, review.Words = key.Seal(plain, store.ReviewAAD(id)), len(all)
	return nil
}

// factsOf is what the evidence has of a look: numbers.
func factsOf(review *request.Review) map[string]string {
	return map[string]string{"fields_left_out": strconv.Itoa(len(review.LeftOut)), "words_masked": strconv.Itoa(review.Words), "made_again": strconv.Itoa(review.Round)}
}
