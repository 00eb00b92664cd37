// Package droptest plays California's deletion platform at its edge, as version
// 1.2.0 of its API is documented, with its faults: preparing, throttling, one
// download at a time, names of files that count once, and answers that are lost.
package droptest

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/habeas-data/habeas/services/drop"
)

// Key is the key the platform takes.
const Key = "test-key"

// Platform is the platform. Its fields are read under Lock.
type Platform struct {
	sync.Mutex
	// Answers are the statuses of every item that was answered, in order.
	Answers map[string][]drop.Status
	// Fault is asked before a call, by its path: what it says happens.
	Fault func(path string) Fault

	pending []download
	open    map[string]bool // items of the open download without a status
	name    string
	files   map[string]bool
}

// Fault is how a call goes wrong.
type Fault int

// The faults.
const (
	None     Fault = iota
	NotDone        // the connection breaks and nothing has happened
	Lost           // it has happened and the answer is lost
	Busy           // 429
	Broken         // 500
	NotReady       // 202
)

type download struct {
	name  string
	items []drop.Item
	gone  []drop.Item
}

// Give makes a download ready: items to answer, and withdrawn ones.
func (p *Platform) Give(name string, items, removed []drop.Item) {
	p.Lock()
	defer p.Unlock()
	p.pending = append(p.pending, download{name, items, removed})
}

// Waiting is how many items of the open download have no status.
func (p *Platform) Waiting() int {
	p.Lock()
	defer p.Unlock()
	return len(p.open)
}

// ServeHTTP implements [http.Handler].
func (p *Platform) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	p.Lock()
	defer p.Unlock()
	if p.Answers == nil {
		p.Answers, p.files = make(map[string][]drop.Status), make(map[string]bool)
	}
	fault := None
	if p.Fault != nil {
		fault = p.Fault(req.URL.Path)
	}
	switch fault {
	case NotDone:
		panic(http.ErrAbortHandler)
	case Busy:
		w.Header().Set("Retry-After", "30")
		say(w, http.StatusTooManyRequests, "slow down")
		return
	case Broken:
		say(w, http.StatusInternalServerError, "try again")
		return
	case NotReady:
		w.Header().Set("Retry-After", "60")
		say(w, http.StatusAccepted, "being prepared")
		return
	}
	var done func()
	switch {
	case req.Header.Get("X-API-KEY") != Key:
		done = func() { say(w, http.StatusForbidden, "no such key") }
	case req.Method == http.MethodGet && req.URL.Path == "/data/download":
		done = p.download(w)
	case req.Method == http.MethodPost && (req.URL.Path == "/data/upload" || req.URL.Path == "/data/amend"):
		done = p.upload(w, req)
	default:
		done = func() { say(w, http.StatusNotFound, "no such call") }
	}
	if fault == Lost {
		panic(http.ErrAbortHandler)
	}
	done()
}

func say(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // the caller is gone
}

func (p *Platform) download(w http.ResponseWriter) func() {
	switch {
	case len(p.open) > 0:
		return func() { say(w, http.StatusConflict, "the previous download has not been fully answered") }
	case len(p.pending) == 0:
		return func() { say(w, http.StatusOK, "nothing new") }
	}
	next := p.pending[0]
	p.pending, p.name, p.open = p.pending[1:], next.name, make(map[string]bool)
	for _, i := range next.items {
		p.open[i.ID] = true
	}
	text, err := Archive(next.name, next.items, next.gone)
	return func() {
		if err != nil {
			say(w, http.StatusInternalServerError, "making the archive")
			return
		}
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", `attachment; filename="`+next.name+`_DROP.zip"`)
		_, _ = w.Write(text) // the caller is gone
	}
}

// Archive is a download as the platform makes it.
func Archive(name string, items, removed []drop.Item) ([]byte, error) {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, of := range append(drop.Lists(), drop.ListRemoved) {
		f, err := z.Create(fmt.Sprintf("%s_%s.csv", name, of))
		if err != nil {
			return nil, err
		}
		head, rows := "ID,Hash", items
		if of == drop.ListRemoved {
			head, rows = "ID,Hash,ListType", removed
		}
		if _, err := fmt.Fprintln(f, head); err != nil {
			return nil, err
		}
		for _, i := range rows {
			line := i.ID + "," + string(i.Hash)
			switch {
			case of == drop.ListRemoved:
				line += "," + string(i.List)
			case i.List != of:
				continue
			}
			if _, err := fmt.Fprintln(f, line); err != nil {
				return nil, err
			}
		}
	}
	err := z.Close()
	return out.Bytes(), err
}

func (p *Platform) upload(w http.ResponseWriter, req *http.Request) func() {
	amend := strings.HasSuffix(req.URL.Path, "amend")
	if !amend && len(p.open) == 0 {
		return func() { say(w, http.StatusConflict, "No active download is waiting for responses") }
	}
	type file struct {
		FileName string `json:"fileName"`
		Message  string `json:"message,omitempty"`
	}
	answer := struct {
		Message  string `json:"message"`
		Accepted []file `json:"accepted"`
		Rejected []file `json:"rejected"`
	}{Message: "taken"}
	in, err := req.MultipartReader()
	for err == nil {
		part, next := in.NextPart()
		if next != nil {
			if next != io.EOF {
				err = next
			}
			break
		}
		rows, broken := csv.NewReader(part).ReadAll()
		name := part.FileName()
		switch {
		case broken != nil || part.FormName() != "files":
			answer.Rejected = append(answer.Rejected, file{name, "File could not be read as UTF-8 CSV"})
		case len(rows) == 0 || strings.Join(rows[0], ",") != "Id,Status":
			answer.Rejected = append(answer.Rejected, file{name, "Invalid CSV header. Expected: Id,Status."})
		case p.files[name]:
			answer.Rejected = append(answer.Rejected, file{name, "A file with this name was already uploaded for the current download. Use a unique suffix and try again"})
		default:
			p.files[name] = true
			answer.Accepted = append(answer.Accepted, file{FileName: name})
			for _, r := range rows[1:] {
				if !amend && !p.open[r[0]] {
					continue // rows are checked later, by mail
				}
				delete(p.open, r[0])
				p.Answers[r[0]] = append(p.Answers[r[0]], drop.Status(r[1][0]-'0'))
			}
		}
	}
	code := http.StatusAccepted
	if err != nil || len(answer.Accepted) == 0 {
		code = http.StatusBadRequest
	}
	return func() {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(answer) // the caller is gone
	}
}

// Given are the statuses that an item was answered, in order.
func (p *Platform) Given(id string) []drop.Status {
	p.Lock()
	defer p.Unlock()
	return slices.Clone(p.Answers[id])
}

// String lists the last status of every answered item, by ID.
func (p *Platform) String() string {
	p.Lock()
	defer p.Unlock()
	var lines []string
	for id, given := range p.Answers {
		lines = append(lines, fmt.Sprintf("%s %d", id, given[len(given)-1]))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}
