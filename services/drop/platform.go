package drop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The platform's answers that callers tell apart.
var (
	// ErrOpenBatch: the platform gives nothing new before every item of the last
	// download has its status.
	ErrOpenBatch = errors.New("the platform waits for answers to an earlier download")
	// ErrRefused: the key is wrong, or no list is selected for it.
	ErrRefused = errors.New("the platform refuses this key")
	// ErrUploaded: a file of this name has arrived before.
	ErrUploaded = errors.New("the platform has this file already")
	// ErrNoneWaits: no download waits for answers.
	ErrNoneWaits = errors.New("no download waits for answers")
	// ErrRejected: the platform did not take a file.
	ErrRejected = errors.New("the platform rejected a file")
	// ErrUnavailable: the platform could not be reached, or gave no usable answer.
	ErrUnavailable = errors.New("the platform can't be used now")
)

// Platform is the platform's API, version 1.2.0, with the broker's own key.
type Platform struct {
	// URL is where it is, without a slash at its end.
	URL string
	// Key is the broker's key; it leaves in the header of calls alone.
	Key string
	// HTTP makes the calls; it must not follow redirects, which would carry the
	// key elsewhere. Nil makes one.
	HTTP *http.Client
	// Tries is how often a call is made that the platform puts off; 0 is 120.
	Tries int
	// Pause waits; nil waits on the clock. It reports whether the time passed.
	Pause func(ctx context.Context, d time.Duration) bool
}

const (
	pauseMost     = 10 * time.Minute
	answerBytes   = 1 << 20
	downloadBytes = 16 << 30
)

var archiveName = regexp.MustCompile(`[0-9]{8}_[0-9]{4}_DROP\.zip$`)

// Download fetches what is new into a file of folder and returns its path; ""
// says that nothing is new. The file is there whole or not at all. The platform
// gives a download once: what is lost on the way must be fetched from its pages
// by hand, and the next call is [ErrOpenBatch]. Errors are [ErrOpenBatch],
// [ErrRefused] and [ErrUnavailable].
func (p *Platform) Download(ctx context.Context, folder string) (path string, err error) {
	resp, err := p.call(ctx, func() (*http.Request, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/data/download", nil)
		if err == nil {
			req.Header.Set("Accept", "application/zip, application/json")
		}
		return req, err
	})
	if err != nil {
		return "", fmt.Errorf("downloading the lists: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusConflict:
		return "", fmt.Errorf("downloading the lists: %w", ErrOpenBatch)
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return "", fmt.Errorf("downloading the lists: %s: %w; check the key and the lists selected on the platform's pages", resp.Status, ErrRefused)
	default:
		return "", fmt.Errorf("downloading the lists: %s: %w", resp.Status, ErrUnavailable)
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/json":
		return "", nil
	case err != nil || kind != "application/zip" && kind != "application/octet-stream":
		return "", fmt.Errorf("downloading the lists: neither a zip nor JSON: %w", ErrUnavailable)
	}
	name := "download.zip"
	if _, params, err := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); err == nil && archiveName.MatchString(params["filename"]) {
		name = archiveName.FindString(params["filename"])
	}
	return saveWhole(filepath.Join(folder, name), resp.Body)
}

// saveWhole writes a file that is there whole or not at all, also after a power
// cut.
func saveWhole(path string, from io.Reader) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".download-*")
	if err != nil {
		return "", fmt.Errorf("saving the lists: %w", err)
	}
	n, err := io.Copy(f, io.LimitReader(from, downloadBytes+1))
	switch {
	case err != nil:
		err = fmt.Errorf("receiving the lists: %w: %w; if it was given out, get it from the platform's pages by hand", ErrUnavailable, err)
	case n > downloadBytes:
		err = fmt.Errorf("receiving the lists: more than any download can be: %w", ErrArchive)
	default:
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", fmt.Errorf("saving the lists: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("saving the lists: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return "", fmt.Errorf("saving the lists: %w", err)
	}
	return path, nil
}

// Upload sends a file of answers, to "upload" for an open download or to "amend"
// for what was answered before. Errors are [ErrUploaded], [ErrNoneWaits],
// [ErrRejected], [ErrRefused] and [ErrUnavailable]; after the last the file may
// have arrived.
func (p *Platform) Upload(ctx context.Context, kind, name string, content func(io.Writer) error) (err error) {
	resp, err := p.call(ctx, func() (*http.Request, error) {
		out, in := io.Pipe()
		form := multipart.NewWriter(in)
		go func() {
			part, err := form.CreateFormFile("files", name)
			if err == nil {
				err = content(part)
			}
			if err == nil {
				err = form.Close()
			}
			in.CloseWithError(err) // never fails
		}()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/data/"+kind, out)
		if err != nil {
			return nil, errors.Join(err, out.Close())
		}
		req.Header.Set("Content-Type", form.FormDataContentType())
		req.Header.Set("Accept", "application/json")
		return req, nil
	})
	if err != nil {
		return fmt.Errorf("uploading %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	var answer struct {
		Message  string `json:"message"`
		Accepted []struct {
			FileName string `json:"fileName"`
		} `json:"accepted"`
		Rejected []struct {
			Message string `json:"message"`
		} `json:"rejected"`
	}
	switch resp.StatusCode {
	case http.StatusAccepted, http.StatusBadRequest:
	case http.StatusConflict:
		return fmt.Errorf("uploading %s: %w", name, ErrNoneWaits)
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return fmt.Errorf("uploading %s: %s: %w", name, resp.Status, ErrRefused)
	default:
		return fmt.Errorf("uploading %s: %s: %w", name, resp.Status, ErrUnavailable)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerBytes)).Decode(&answer); err != nil {
		return fmt.Errorf("uploading %s: reading the answer: %w: %w", name, ErrUnavailable, err)
	}
	for _, a := range answer.Accepted {
		if a.FileName == name {
			return nil
		}
	}
	said := answer.Message
	if len(answer.Rejected) > 0 { // one file was sent
		said = answer.Rejected[0].Message
	}
	if strings.Contains(said, "already uploaded") {
		return fmt.Errorf("uploading %s: %w", name, ErrUploaded)
	}
	return fmt.Errorf("uploading %s: %.200q: %w", name, said, ErrRejected)
}

// call makes a call until the platform does not put it off any more.
func (p *Platform) call(ctx context.Context, build func() (*http.Request, error)) (*http.Response, error) {
	client, tries, pause := p.HTTP, p.Tries, p.Pause
	if client == nil {
		client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if tries == 0 {
		tries = 120
	}
	if pause == nil {
		pause = sleep
	}
	for try := 1; ; try++ {
		req, err := build()
		if err != nil {
			return nil, err
		}
		req.Header.Set("X-API-KEY", p.Key)
		resp, err := client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, errors.Unwrap(err))
		}
		var wait time.Duration
		switch resp.StatusCode {
		case http.StatusAccepted:
			if req.Method != http.MethodGet {
				return resp, nil // it is the answer to an upload
			}
			wait = time.Minute
		case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable:
			wait = 30 * time.Second
		default:
			return resp, nil
		}
		if err := resp.Body.Close(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && n >= 0 {
			wait = min(time.Duration(n)*time.Second, pauseMost)
		}
		if try >= tries {
			return nil, fmt.Errorf("%s after %d calls: %w", resp.Status, try, ErrUnavailable)
		}
		if !pause(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
