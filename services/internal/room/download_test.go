package room_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/services/internal/room"
)

func TestDownload(t *testing.T) {
	broken := errors.New("the log can't be read")
	half := strings.Repeat("half", 16<<10) // more than is held back
	for name, c := range map[string]struct {
		write  func(context.Context, io.Writer) error
		status int
		body   string
		cut    bool // the reader is told that something is missing
	}{
		"whole": {func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "all"); return err }, http.StatusOK, "all", false},
		"none":  {func(context.Context, io.Writer) error { return broken }, http.StatusServiceUnavailable, "not now\n", false},
		"part": {func(_ context.Context, w io.Writer) error {
			if _, err := io.WriteString(w, half); err != nil {
				return err
			}
			return broken
		}, http.StatusOK, half, true},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			room.Download{
				Type: "application/zip", Name: "a.zip", Write: c.write, Logger: slog.New(slog.DiscardHandler),
				Fail: func(err error) {
					if !errors.Is(err, broken) {
						t.Errorf("%s: failed with %v", name, err)
					}
					http.Error(w, "not now", http.StatusServiceUnavailable)
				},
			}.Send(w, req)
		}))
		resp, err := server.Client().Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != c.status || (err != nil) != c.cut || string(body) != c.body && !(c.cut && strings.HasPrefix(c.body, string(body))) {
			t.Errorf("%s: %d and %d bytes, %v, want %d and %d", name, resp.StatusCode, len(body), err, c.status, len(c.body))
		}
		if attached := resp.Header.Get("Content-Disposition") == `attachment; filename="a.zip"` && resp.Header.Get("Content-Type") == "application/zip"; attached != (name != "none") {
			t.Errorf("%s: sent as %v", name, resp.Header)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	}
}
