package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/habeas-data/habeas/services/audit/auditapi"
	"github.com/habeas-data/habeas/services/audit/pack"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/request"
)

// mountEvidence serves evidence packs to whoever has a token for them.
func (r *runtime) mountEvidence() {
	source := r.logClient()
	r.mounts["/v1/requests/{id}/evidence"] = r.protect(evidenceHandler(source, r.logger))
	r.mounts["GET /v1/requests/{id}/certificate"] = r.protect(certificateHandler(source, r.logger))
	r.mounts["GET /v1/evidence"] = r.protect(periodHandler(source, r.logger))
}

// mountLog lets callers into the log who have a token for it, where the audit room
// is another process. That room has no way into the database with the tokens: it is
// asked with the deployment's own.
func (r *runtime) mountLog() error {
	if r.Audit.URL == "" {
		return nil
	}
	target, err := url.Parse(r.Audit.URL)
	if err != nil {
		return fmt.Errorf("audit.url: %w", err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Path, p.Out.URL.RawPath = strings.TrimPrefix(p.In.URL.Path, logPrefix), ""
			p.SetURL(target)
			p.Out.Header.Set("Authorization", "Bearer "+r.token)
		},
		FlushInterval: -1, // a period is streamed
		ErrorHandler: func(w http.ResponseWriter, req *http.Request, err error) {
			r.logger.WarnContext(req.Context(), "asking the audit room", slog.Any("error", err))
			http.Error(w, "the log can't be reached now; try again", http.StatusBadGateway)
		},
	}
	r.mounts[logPrefix+"/v1/"] = r.protect(proxy)
	return nil
}

// evidenceHandler serves GET /v1/requests/{id}/evidence: the evidence pack of a
// request as a zip, the same files "habeas evidence export" writes.
func evidenceHandler(source *auditapi.Client, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id, err := request.ParseID(req.PathValue("id"))
		if err != nil {
			http.Error(w, "no such request", http.StatusNotFound)
			return
		}
		sendFile(w, req, logger, "application/zip", "evidence-"+string(id)+".zip", func(ctx context.Context, out io.Writer) error {
			return requestPack(ctx, source, string(id), out)
		})
	})
}

// certificateHandler serves GET /v1/requests/{id}/certificate: what the records of
// a request say, as a PDF.
func certificateHandler(source *auditapi.Client, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		id, err := request.ParseID(req.PathValue("id"))
		if err != nil {
			http.Error(w, "no such request", http.StatusNotFound)
			return
		}
		sendFile(w, req, logger, "application/pdf", "certificate-"+string(id)+".pdf", func(ctx context.Context, out io.Writer) error {
			return logPages{source}.Certificate(ctx, id, out)
		})
	})
}

// periodHandler serves GET /v1/evidence?from=&to=: the evidence pack of a period
// as a zip, written while it is read from the log.
func periodHandler(source *auditapi.Client, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		from, to := req.URL.Query().Get("from"), req.URL.Query().Get("to")
		if !isDay(from) || !isDay(to) || from >= to {
			http.Error(w, "from and to: want days as yyyy-mm-dd, the first before the second", http.StatusBadRequest)
			return
		}
		sendFile(w, req, logger, "application/zip", "evidence-"+from+"-to-"+to+".zip", func(ctx context.Context, out io.Writer) error {
			return periodPack(ctx, source, from, to, out)
		})
	})
}

func isDay(text string) bool {
	_, err := request.ParseDate(text)
	return err == nil
}

// sendFile answers with what write writes. An error before the first byte is
// answered; after it the connection breaks, and a zip lacks its end.
func sendFile(w http.ResponseWriter, req *http.Request, logger *slog.Logger, typ, name string, write func(context.Context, io.Writer) error) {
	room.Download{Type: typ, Name: name, Write: write, Logger: logger, Fail: func(err error) {
		if errors.Is(err, auditapi.ErrNotFound) {
			http.Error(w, "the log has no records of this", http.StatusNotFound)
			return
		}
		logger.ErrorContext(req.Context(), "gathering evidence", slog.Any("error", err))
		http.Error(w, "the evidence can't be gathered now", http.StatusServiceUnavailable)
	}}.Send(w, req)
}

// requestPack writes the pack of a request as a zip, once it is made and checked.
func requestPack(ctx context.Context, source *auditapi.Client, id string, out io.Writer) error {
	z := pack.NewZip(out)
	if err := pack.ExportTo(ctx, source, id, z); err != nil {
		return err
	}
	return z.Close()
}

// periodPack writes the pack of a period as a zip.
func periodPack(ctx context.Context, source *auditapi.Client, from, to string, out io.Writer) error {
	z := pack.NewZip(out)
	if _, err := pack.ExportPeriod(ctx, source, from, to, z); err != nil {
		return err
	}
	return z.Close()
}
