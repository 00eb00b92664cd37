package wire

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
)

// PlanDigest is the digest of a plan: SHA-256 over one line of text for each
// plan line, in the order of the job ids, and then one for each omission, in
// the order of the connectors, each ended by a newline and its fields joined
// by tabs:
//
//	job <job_id> <connector> <connector_version> <manifest_digest> <action number> <kinds> <stores> <stage> <key_id>
//	omit <connector> <reason> <kinds>
//
// A job line has one more field, its excluded stores, when there are any. Kinds
// and stores are joined by commas. No field may contain a tab or newline.
func PlanDigest(p *habeasv1.PlanRecord) [sha256.Size]byte {
	lines := slices.SortedFunc(slices.Values(p.GetLines()), func(a, b *habeasv1.PlanLine) int { return cmp.Compare(a.GetJobId(), b.GetJobId()) })
	omissions := slices.SortedFunc(slices.Values(p.GetOmissions()), func(a, b *habeasv1.PlanOmission) int {
		return cmp.Compare(a.GetConnector(), b.GetConnector())
	})
	h := sha256.New()
	for _, l := range lines {
		_, _ = fmt.Fprintf(h, "job\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%d\t%s\n", l.GetJobId(), l.GetConnector(), l.GetConnectorVersion(),
			l.GetManifestDigest(), l.GetAction(), strings.Join(l.GetKinds(), ","), strings.Join(l.GetStores(), ","), l.GetStage(), l.GetKeyId()+excluded(l)) // a hash never fails
	}
	for _, o := range omissions {
		_, _ = fmt.Fprintf(h, "omit\t%s\t%s\t%s\n", o.GetConnector(), o.GetReason(), strings.Join(o.GetKinds(), ",")) // a hash never fails
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func excluded(l *habeasv1.PlanLine) string {
	if len(l.GetExcluded()) == 0 {
		return ""
	}
	return "\t" + strings.Join(l.GetExcluded(), ",")
}
