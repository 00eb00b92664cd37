package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/request"
)

// reviewOptions are the flags of "habeas request review".
type reviewOptions struct {
	by, mask       string
	leaveOut       []string
	approve, again bool
}

func reviewCommand(flags *clientFlags) *cobra.Command {
	var o reviewOptions
	cmd := &cobra.Command{
		Use: "review ID", Short: "Look at a copy before it is handed over", Args: one("ID"),
		Long: `Show how a copy stands that somebody must look at before it is handed over
(delivery.review), and decide. Take it with "habeas request download ID --review", read
its texts, and let it go with --approve; or have it made again without what is about
other people: words that are masked wherever they stand, from a file with one a line,
and fields that are left out. Then it waits for another look. With --again alone it
is made again as it was, such as when its time was over.`,
		Example: `  habeas request review 0197…
  habeas request review 0197… --mask names.txt --leave-out crm/notes/body
  habeas request review 0197… --approve --by ana`,
		RunE: func(cmd *cobra.Command, args []string) error { return flags.review(cmd, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.by, "by", "", "who decides; a token of one's own acts under its own name")
	f.StringVar(&o.mask, "mask", "", `a file with names and words of others, one a line, or - for standard input`)
	f.StringArrayVar(&o.leaveOut, "leave-out", nil, "a field to leave out, CONNECTOR/STORE/FIELD; may be given more than once")
	f.BoolVar(&o.approve, "approve", false, "hand the copy over")
	f.BoolVar(&o.again, "again", false, "make the copy again")
	return cmd
}

func (f *clientFlags) review(cmd *cobra.Command, id string, o reviewOptions) error {
	changes := o.again || o.mask != "" || len(o.leaveOut) > 0
	if o.approve && changes {
		return errors.New("--approve: what is to be masked or left out needs the copy made again; look at that one, and approve it")
	}
	c, err := f.open()
	if err != nil {
		return err
	}
	v, err := c.viewOf(cmd.Context(), http.MethodGet, requestPath(id), nil, nil)
	if err != nil {
		return err
	}
	if !o.approve && !changes {
		return f.showReview(cmd.OutOrStdout(), v)
	}
	if v.Review == nil || !v.Review.Waits {
		return request.ErrNotForReview
	}
	body := map[string]any{"decision": "approve", "sha256": v.Review.SHA256}
	if changes {
		body["decision"] = "again"
		if body["mask"], err = readWords(o.mask, cmd.InOrStdin()); err != nil {
			return err
		}
		if body["leave_out"], err = parsePlaces(o.leaveOut); err != nil {
			return err
		}
	}
	if v, err = c.viewOf(cmd.Context(), http.MethodPost, requestPath(id, "/copy"), actorHeader(o.by), body); err != nil {
		return err
	}
	return f.showReview(cmd.OutOrStdout(), v)
}

// answeredView is a request as it was answered, and read.
type answeredView struct {
	intake.View
	raw json.RawMessage
}

func (c *client) viewOf(ctx context.Context, method, path string, header map[string]string, body any) (v answeredView, err error) {
	if err := c.call(ctx, method, path, header, body, &v.raw); err != nil {
		return v, err
	}
	if err := json.Unmarshal(v.raw, &v.View); err != nil {
		return v, fmt.Errorf("reading the answer: %w", err)
	}
	return v, nil
}

// mostWords bounds the file of words to mask.
const mostWords = 1 << 20

// readWords reads one name or word a line. They are other people's: no error repeats one.
func readWords(file string, stdin io.Reader) ([]string, error) {
	words := []string{}
	if file == "" {
		return words, nil
	}
	in := stdin
	if file != "-" {
		opened, err := os.Open(file) //nolint:gosec // the operator names the file
		if err != nil {
			return nil, fmt.Errorf("--mask: %w", err)
		}
		defer func() { _ = opened.Close() }() // it was read
		in = opened
	}
	text, err := io.ReadAll(io.LimitReader(in, mostWords+1))
	if err != nil {
		return nil, fmt.Errorf("--mask: %w", err)
	}
	if len(text) > mostWords {
		return nil, fmt.Errorf("--mask: the file has more than %d bytes; give names and words, one a line", mostWords)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" {
			words = append(words, line)
		}
	}
	return words, nil
}

func parsePlaces(texts []string) ([]request.FieldPlace, error) {
	places := []request.FieldPlace{}
	for _, text := range texts {
		connector, rest, found := strings.Cut(text, "/")
		at := strings.LastIndexByte(rest, '/')
		if !found || at < 1 || connector == "" || at == len(rest)-1 {
			return nil, fmt.Errorf("--leave-out: want CONNECTOR/STORE/FIELD, such as crm/notes/body, not %.80q", text)
		}
		places = append(places, request.FieldPlace{Connector: connector, Store: rest[:at], Field: rest[at+1:]})
	}
	return places, nil
}

func (f *clientFlags) showReview(w io.Writer, answer answeredView) error {
	if f.json {
		_, err := fmt.Fprintf(w, "%s\n", answer.raw)
		return err
	}
	var b strings.Builder
	v := answer.Review
	switch {
	case v == nil:
		b.WriteString("no copy of this request needs a look, or it is not made yet\n")
	case v.Waits:
		fmt.Fprintf(&b, "the copy waits for a look, until %s at most\n", v.Until.Format("2006-01-02 15:04 UTC"))
		for _, t := range v.Texts {
			fmt.Fprintf(&b, "  texts in %s: %d\n", t.FieldPlace, t.Count)
		}
	case v.Approved != nil:
		fmt.Fprintf(&b, "the copy was let go on %s%s\n", v.Approved.Format("2006-01-02 15:04 UTC"), prefixed(" by ", v.By))
	default:
		b.WriteString("the copy is being made again, and waits for another look then\n")
	}
	if v != nil && v.Round > 0 {
		fmt.Fprintf(&b, "made again: %d; words masked: %d\n", v.Round, v.Masked)
		for _, at := range v.LeftOut {
			fmt.Fprintf(&b, "  left out %s\n", at)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
