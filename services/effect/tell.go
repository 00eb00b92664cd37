package effect

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/request/store"
)

// Keeper keeps records of no request until the log has them.
type Keeper interface {
	PutRecords(ctx context.Context, records []store.Record) error
}

// File puts what was seen on record. It is published and logged like every
// other record.
func File(ctx context.Context, k Keeper, signer *wire.Signer, rec *habeasv1.EffectRecord) error {
	signed, err := signer.Sign(rec, "", nil)
	if err != nil {
		return fmt.Errorf("recording what the browser saw: %w", err)
	}
	err = k.PutRecords(ctx, []store.Record{{
		Digest: signed.Digest[:], Type: string(signed.Type), Issuer: signed.Issuer(), Envelope: signed.Envelope, CreatedAt: rec.GetEndTime().AsTime(),
	}})
	if err != nil {
		return fmt.Errorf("recording what the browser saw: %w", err)
	}
	return nil
}

// words say a result to a person.
var words = map[string]string{
	Effective: "effective", NoEffect: "NO EFFECT", NotTested: "NOT TESTED",
}

// Tell writes what was seen for a person to read.
func Tell(w io.Writer, rec *habeasv1.EffectRecord) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "who opted out\tresult\tpage\tother companies contacted\n")
	for _, v := range rec.GetVisits() {
		way, result := v.GetWay(), words[v.GetResult()]
		switch {
		case way == wayNone && v.GetResult() == Effective:
			way, result = "nobody", ""
		case way == wayNone:
			way = "nobody"
		}
		for i, p := range v.GetPages() {
			if i > 0 {
				way, result = "", ""
			}
			hosts := strings.Join(p.GetHosts(), ", ")
			if hosts == "" {
				hosts = "none"
			}
			if len(p.GetExcused()) > 0 {
				hosts += " (service providers: " + strings.Join(p.GetExcused(), ", ") + ")"
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", way, result, p.GetUrl(), hosts)
		}
		if len(v.GetPages()) == 0 {
			fmt.Fprintf(out, "%s\t%s\t\t\n", way, result)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing what the browser saw: %w", err)
	}
	for _, v := range rec.GetVisits() {
		if v.GetProblem() != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", v.GetWay(), v.GetProblem()); err != nil {
				return fmt.Errorf("writing what the browser saw: %w", err)
			}
		}
	}
	return nil
}

// Verdict is nil when every opt-out has its effect, and says otherwise what is
// wrong.
func Verdict(rec *habeasv1.EffectRecord) error {
	var wrong []string
	for _, v := range rec.GetVisits() {
		if v.GetResult() != Effective {
			wrong = append(wrong, fmt.Sprintf("%s: %s", v.GetWay(), words[v.GetResult()]))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("opting out does not have its effect, or it could not be tested (%s)", strings.Join(wrong, "; "))
}
