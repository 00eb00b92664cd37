package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func sampleCommand() *cobra.Command {
	var listen, variable string
	cmd := &cobra.Command{
		Use:   "sample FILE [flags] -- PROGRAM ARGS...",
		Short: "Serve a JSON file as a REST API while a program runs",
		Long: `Serve a JSON file as a REST API while a program runs: something to try a
specification on before there is an account with the vendor.

FILE holds an object of lists of records, each with an id:

    {"contacts": [{"id": "c1", "email": "ann@example.com"}]}

GET /v1/contacts?email=… answers {"items": […]} with the records that have those
values, GET /v1/contacts/c1 one record, and DELETE removes it. A request needs
"Authorization: Bearer" and any key. The file itself is never changed.`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := readSample(args[0])
			if err != nil {
				return err
			}
			return serveWhile(cmd.Context(), api, listen, variable, args[1:], cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "where to serve")
	cmd.Flags().StringVar(&variable, "env", "API_URL", "the program's environment variable for the address")
	return cmd
}

// sampleAPI is a file of records in memory.
type sampleAPI struct {
	mu      sync.Mutex
	records map[string][]map[string]any
}

func readSample(file string) (*sampleAPI, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("reading the sample: %w", err)
	}
	api := &sampleAPI{}
	if err := json.Unmarshal(text, &api.records); err != nil {
		return nil, fmt.Errorf("reading %s: want an object of lists of records: %w", file, err)
	}
	for name, list := range api.records {
		for i, r := range list {
			if id, ok := r["id"].(string); !ok || id == "" {
				return nil, fmt.Errorf("reading %s: %s[%d]: id is missing", file, name, i)
			}
		}
	}
	return api, nil
}

// serveWhile serves the API until the program ends.
func serveWhile(ctx context.Context, api *sampleAPI, listen, variable string, program []string, out, errOut io.Writer) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("serving the sample: %w", err)
	}
	server := &http.Server{Handler: api.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	cmd := exec.CommandContext(ctx, program[0], program[1:]...) //nolint:gosec // the operator names the program
	cmd.Env = append(os.Environ(), variable+"=http://"+l.Addr().String())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, errOut
	ran := cmd.Run()
	err = server.Close()
	if s := <-served; !errors.Is(s, http.ErrServerClosed) {
		err = errors.Join(err, s)
	}
	if exit, ok := errors.AsType[*exec.ExitError](ran); ok && exit.ExitCode() == exitFound {
		ran = finding("the program's checks found something")
	}
	return errors.Join(ran, err)
}

func (a *sampleAPI) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/{list}", a.search)
	mux.HandleFunc("GET /v1/{list}/{id}", a.one)
	mux.HandleFunc("DELETE /v1/{list}/{id}", a.remove)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || key == "" {
			answer(w, http.StatusUnauthorized, map[string]any{"error": "a key is missing"})
			return
		}
		w.Header().Set("X-Request-Id", rand.Text())
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // whoever asked has gone
}

func (a *sampleAPI) search(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	list, ok := a.records[r.PathValue("list")]
	if !ok {
		answer(w, http.StatusNotFound, map[string]any{"error": "there is no such list"})
		return
	}
	items := []map[string]any{}
	for _, record := range list {
		matches := true
		for field, values := range r.URL.Query() {
			matches = matches && strings.EqualFold(fmt.Sprint(record[field]), values[0])
		}
		if matches {
			items = append(items, record)
		}
	}
	answer(w, http.StatusOK, map[string]any{"items": items})
}

func (a *sampleAPI) one(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, record := range a.records[r.PathValue("list")] {
		if record["id"] == r.PathValue("id") {
			answer(w, http.StatusOK, record)
			return
		}
	}
	answer(w, http.StatusNotFound, map[string]any{"error": "there is no such record"})
}

func (a *sampleAPI) remove(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name, id := r.PathValue("list"), r.PathValue("id")
	for i, record := range a.records[name] {
		if record["id"] == id {
			a.records[name] = append(a.records[name][:i:i], a.records[name][i+1:]...)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	answer(w, http.StatusNotFound, map[string]any{"error": "there is no such record"})
}
