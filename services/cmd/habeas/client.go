package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/internal/room"
)

// client calls the API for the command line.
type client struct {
	server string
	token  string
	http   *http.Client
}

// clientFlags are where the API is: flags, then the environment, then what
// "habeas up" wrote into its state folder.
type clientFlags struct {
	server, tokenFile, state string
	json                     bool
}

func (f *clientFlags) add(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.server, "server", os.Getenv("HABEAS_SERVER"), "address of the API; HABEAS_SERVER")
	flags.StringVar(&f.tokenFile, "token-file", os.Getenv("HABEAS_TOKEN_FILE"), "file with the API token; HABEAS_TOKEN_FILE")
	flags.StringVar(&f.state, "state", orElse(os.Getenv("HABEAS_STATE_DIR"), ".state"), `state folder of a "habeas up" on this machine`)
	flags.BoolVar(&f.json, "json", false, "print JSON")
}

func orElse(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func (f *clientFlags) open() (*client, error) {
	if f.server == "" {
		text, err := os.ReadFile(filepath.Join(f.state, "client.json"))
		if err != nil {
			return nil, fmt.Errorf("finding the API: %w; start \"habeas up\" in this folder, or give --server and --token-file", err)
		}
		var local clientFile
		if err := json.Unmarshal(text, &local); err != nil {
			return nil, fmt.Errorf("reading client.json: %w", err)
		}
		f.server, f.tokenFile = local.Server, orElse(f.tokenFile, local.TokenFile)
	}
	token, err := room.SecretFile(f.tokenFile).Read()
	if err != nil {
		return nil, err
	}
	return &client{server: strings.TrimRight(f.server, "/"), token: token.Reveal(), http: &http.Client{}}, nil
}

// call sends a JSON body and decodes a JSON answer; either may be nil.
func (c *client) call(ctx context.Context, method, path string, headers map[string]string, body, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the call: %w", err)
		}
		content = bytes.NewReader(text)
	}
	resp, err := c.do(ctx, method, path, headers, content)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.server, err)
	}
	return nil
}

func (c *client) do(ctx context.Context, method, path string, headers map[string]string, content io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, content)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", c.server, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w; is it running?", c.server, errors.Unwrap(err))
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		return nil, problemError(resp)
	}
	return resp, nil
}

// problemError turns problem+json into a sentence for a terminal.
func problemError(resp *http.Response) (err error) {
	var p struct {
		Title, Detail string
		Errors        []struct{ Message, Location string }
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil {
		return fmt.Errorf("the API answered %s", resp.Status)
	}
	var text strings.Builder
	text.WriteString(orElse(p.Detail, p.Title))
	const shown = 10
	if more := len(p.Errors) - shown; more > 0 {
		p.Errors = p.Errors[:shown]
		defer func() { err = fmt.Errorf("%w\n  and %d more", err, more) }()
	}
	for _, e := range p.Errors {
		text.WriteString("\n  " + strings.TrimPrefix(e.Location, "body.") + ": " + e.Message)
	}
	return errors.New(text.String())
}

// download saves what path gives into a file that appears only when whole.
func (c *client) download(ctx context.Context, path, file string) (size int64, err error) {
	resp, err := c.do(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	tmp, err := os.CreateTemp(filepath.Dir(file), ".download-*")
	if err != nil {
		return 0, fmt.Errorf("saving %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	size, err = io.Copy(tmp, resp.Body)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return 0, fmt.Errorf("saving %s: %w", file, err)
	}
	return size, os.Rename(tmp.Name(), file)
}

// requestView is the part of a request the command line shows.
type requestView struct {
	ID         string            `json:"id"`
	Right      string            `json:"right"`
	State      string            `json:"state"`
	Result     string            `json:"result"`
	ReasonCode string            `json:"reason_code"`
	Reason     string            `json:"reason"`
	Regime     string            `json:"regime"`
	Channel    string            `json:"channel"`
	AnswerBy   string            `json:"answer_by"`
	Due        map[string]string `json:"due"`
	Kinds      []string          `json:"kinds"`
	Attention  string            `json:"attention"`
	Waiting    []string          `json:"waiting"`
	Jobs       []jobView         `json:"jobs"`
	ReceivedAt time.Time         `json:"received_at"`
	CreatedAt  time.Time         `json:"created_at"`
	ClosedAt   *time.Time        `json:"closed_at"`
}

type jobView struct {
	Connector string      `json:"connector"`
	Action    string      `json:"action"`
	State     string      `json:"state"`
	Attempt   int         `json:"attempt"`
	Code      string      `json:"code"`
	Message   string      `json:"message"`
	Stores    []storeView `json:"stores"`
	NextAt    *time.Time  `json:"next_at"`
}

type storeView struct {
	Store string `json:"store"`
	// Category is the letter of Civ. Code 1798.140(v)(1) that tells parts of a store
	// apart.
	Category  string `json:"category"`
	Located   int64  `json:"located"`
	Remaining int64  `json:"remaining"`
	Kept      int64  `json:"kept"`
	Exported  int64  `json:"exported"`
	Basis     string `json:"basis"`
	// Deidentified are records that stay as nobody's.
	Deidentified int64 `json:"deidentified"`
	// Emptied and Masked are records that stay without what was in them about the
	// person; Standing and Anew those of a choice that was in force, and was not.
	Emptied  int64  `json:"emptied"`
	Masked   int64  `json:"masked"`
	Standing int64  `json:"standing"`
	Anew     int64  `json:"anew"`
	Until    string `json:"until"`
}

func requestPath(id string, more ...string) string {
	return "/v1/requests/" + url.PathEscape(id) + strings.Join(more, "")
}

// one is for a command about one thing, which its use calls by this name.
func one(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("want one %s and have %d: %s", name, len(args), cmd.UseLine())
		}
		return nil
	}
}
