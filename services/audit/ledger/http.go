package ledger

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Handler serves the public face of the log, as C2SP tlog-tiles: /checkpoint,
// /tile/L/N[.p/W] and /tile/entries/N[.p/W]. None of it is private.
func (l *Log) Handler(logger *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /checkpoint", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		// A checkpoint is true for ever and stale in a second.
		w.Header().Set("Cache-Control", "no-cache")
		write(w, logger, l.Signed().Note)
	})
	mux.HandleFunc("GET /tile/", func(w http.ResponseWriter, r *http.Request) {
		level, index, width, err := parseTilePath(strings.TrimPrefix(r.URL.Path, "/"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		data, err := l.tile(r, level, index, width)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// The tile may be there a moment later.
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "the log has not grown so far", http.StatusNotFound)
		case err != nil:
			logger.ErrorContext(r.Context(), "serving a tile", "error", err)
			http.Error(w, "the tile can't be read now", http.StatusInternalServerError)
		default:
			w.Header().Set("Content-Type", "application/octet-stream")
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			write(w, logger, data)
		}
	})
	return mux
}

func (l *Log) tile(r *http.Request, level int, index int64, width int) ([]byte, error) {
	if level == entryLevel {
		return l.Entries(r.Context(), index, width)
	}
	return l.Tile(r.Context(), level, index, width)
}

// entryLevel stands for the entry bundles.
const entryLevel = -1

// parseTilePath reads "tile/<L or entries>/<N>[.p/<W>]" (C2SP tlog-tiles). It
// accepts the one right spelling of each tile and no other.
func parseTilePath(path string) (level int, index int64, width int, err error) {
	// x/mod spells tiles with their height and calls entries "data".
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return 0, 0, 0, errors.New("not a tile")
	}
	if entries, isEntries := strings.CutPrefix(rest, "entries/"); isEntries {
		rest = "data/" + entries
	} else if strings.HasPrefix(rest, "data/") {
		return 0, 0, 0, errors.New("not a tile")
	}
	tile, err := tlog.ParseTilePath("tile/8/" + rest)
	if err != nil || tile.L > 63/tileHeight {
		return 0, 0, 0, errors.New("not a tile")
	}
	return tile.L, tile.N, tile.W, nil
}

func write(w http.ResponseWriter, logger *slog.Logger, data []byte) {
	if _, err := w.Write(data); err != nil { //nolint:gosec // digests and signed heads, under a content type that is no page
		logger.Debug("a reader went away", "error", err)
	}
}
