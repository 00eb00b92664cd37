package audit

import (
	"net/http"

	"github.com/habeas-data/habeas/services/audit/auditapi"
)

// cosigned serves the newest head that a quorum of witnesses cosigned, with
// their signatures. /checkpoint is the newest head of all, which may be a moment
// ahead of it.
func (r *Room) cosigned(w http.ResponseWriter, req *http.Request) {
	if r.witnesses == nil {
		http.Error(w, "this log has no witnesses", http.StatusNotFound)
		return
	}
	note := r.witnesses.report().Checkpoint
	if note == "" {
		http.Error(w, "no head was cosigned by a quorum of witnesses yet", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	if _, err := w.Write([]byte(note)); err != nil {
		r.logger.DebugContext(req.Context(), "a reader went away", "error", err)
	}
}

// standing says how the witnesses stand. It answers while the log is not open,
// for that may be because of them.
func (r *Room) standing(_ *http.Request, a *answer) error {
	report := &auditapi.Witnesses{QuorumSize: -1}
	if r.witnesses != nil {
		report = r.witnesses.report()
	} else if l, err := r.log(); err == nil {
		report.Size = l.Signed().Size
	}
	return a.line(auditapi.Line{Witnesses: report})
}
