package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// CRMOptions are the settings of a CRM server.
type CRMOptions struct {
	// Path is the file the state is kept in; empty keeps it in memory.
	Path string
	// Delay is how long the deletion of a contact takes after it was accepted.
	Delay time.Duration
	// Rate is how many requests a second are answered before 429; zero means
	// any number. Burst is how many at once.
	Rate  float64
	Burst int
	// PageSize is the most records on a page; zero means 50.
	PageSize int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// CRM is the demo company's customer relations system: a JSON API with an API
// key, cursors, a rate limit and deletions that take their time. What it
// answered is in its file first.
type CRM struct {
	o       CRMOptions
	mux     *http.ServeMux
	limiter *rate.Limiter

	mu        sync.Mutex
	records   map[string]*crmEntry
	byContact map[string][]string // contact to record ids, its own first
	deletions map[string]*crmDeletion
	optOuts   map[string]bool // by kind and digest of the value
	limits    map[string]bool // the same, of the use of sensitive records
	version   int
	faults    []CRMFault
	faultOn   string

	saving sync.Mutex
	saved  int
}

// crmEntry is a record with its text in the file.
type crmEntry struct {
	CRMRecord
	text []byte
}

// crmDeletion is work that was accepted. Contact is empty once it is done.
type crmDeletion struct {
	ID      string    `json:"id"`
	Contact string    `json:"contact,omitempty"`
	Due     time.Time `json:"due"`
	Done    bool      `json:"done"`
}

// crmState is the file, save that records are written one by one.
type crmState struct {
	Deletions []*crmDeletion `json:"deletions"`
	OptOuts   []string       `json:"opt_outs"`
	Limits    []string       `json:"sensitive_limits,omitempty"`
	Records   []CRMRecord    `json:"records"`
}

// NewCRM makes a CRM in memory that knows those of the first n people who are
// in it.
func NewCRM(n int) *CRM {
	c := emptyCRM(CRMOptions{})
	c.fill(n)
	return c
}

// OpenCRM opens the CRM kept in o.Path, and makes it with those of the first n
// people who are in it when the file is missing.
func OpenCRM(n int, o CRMOptions) (*CRM, error) {
	c := emptyCRM(o)
	f, err := os.Open(o.Path)
	switch {
	case o.Path == "" || errors.Is(err, os.ErrNotExist):
		c.fill(n)
		return c, c.save()
	case err != nil:
		return nil, fmt.Errorf("opening the CRM: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	var s crmState
	if err := json.NewDecoder(bufio.NewReader(f)).Decode(&s); err != nil {
		return nil, fmt.Errorf("reading %s: %w", filepath.Base(o.Path), err)
	}
	for _, r := range s.Records {
		c.put(r)
	}
	for _, d := range s.Deletions {
		c.deletions[d.ID] = d
	}
	for _, k := range s.OptOuts {
		c.optOuts[k] = true
	}
	for _, k := range s.Limits {
		c.limits[k] = true
	}
	return c, nil
}

// SeedCRM makes the CRM's file at path and leaves one that exists alone.
func SeedCRM(ctx context.Context, path string, n int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := OpenCRM(n, CRMOptions{Path: path})
	return err
}

// DumpCRM returns everything in a CRM's file, one record a line, in order.
func DumpCRM(path string) ([]string, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("looking for the CRM: %w", err)
	}
	c, err := OpenCRM(0, CRMOptions{Path: path})
	if err != nil {
		return nil, err
	}
	return c.Dump(), nil
}

func emptyCRM(o CRMOptions) *CRM {
	if o.PageSize <= 0 {
		o.PageSize = 50
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &CRM{
		o: o, records: map[string]*crmEntry{}, byContact: map[string][]string{},
		deletions: map[string]*crmDeletion{}, optOuts: map[string]bool{}, limits: map[string]bool{}, version: 1,
	}
	if o.Rate > 0 {
		c.limiter = rate.NewLimiter(rate.Limit(o.Rate), max(o.Burst, 1))
	}
	c.routes()
	return c
}

func (c *CRM) fill(n int) {
	for p := range People(n) {
		if p.InCRM {
			for _, r := range CRMRecords(p) {
				c.put(r)
			}
		}
	}
	for _, r := range crmShared(n) {
		c.put(r)
	}
}

// Add puts records into the CRM past its API.
func (c *CRM) Add(records ...CRMRecord) error {
	c.mu.Lock()
	for _, r := range records {
		c.put(r)
	}
	c.mu.Unlock()
	return c.save()
}

// put stores a record. The caller holds mu, or is alone.
func (c *CRM) put(r CRMRecord) {
	e := &crmEntry{CRMRecord: r}
	text, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("demo: a CRM record that is not JSON: %v", err)) // records are made here
	}
	e.text = text
	if old := c.records[r.ID]; old != nil {
		c.unlink(old)
	}
	c.records[r.ID] = e
	for _, contact := range r.Contacts {
		c.byContact[contact] = append(c.byContact[contact], r.ID)
	}
	c.version++
}

// unlink takes a record out of the lists it is in.
func (c *CRM) unlink(e *crmEntry) {
	delete(c.records, e.ID)
	for _, contact := range e.Contacts {
		c.byContact[contact] = slices.DeleteFunc(c.byContact[contact], func(id string) bool { return id == e.ID })
		if len(c.byContact[contact]) == 0 {
			delete(c.byContact, contact)
		}
	}
	c.version++
}

// leave takes a record from one contact, and away when it was the last.
func (c *CRM) leave(e *crmEntry, contact string) {
	rest := slices.DeleteFunc(slices.Clone(e.Contacts), func(id string) bool { return id == contact })
	c.unlink(e)
	if len(rest) > 0 {
		r := e.CRMRecord
		r.Contacts = rest
		c.put(r)
	}
}

// settle finishes the deletions whose time has come. What still hangs under a
// contact stays behind, out of the API's sight: deleting a contact does not
// delete what was written about it. Lead scores and photos go with it.
func (c *CRM) settle() {
	now := c.o.Now()
	for _, d := range c.deletions {
		if d.Done || d.Due.After(now) {
			continue
		}
		for _, id := range slices.Clone(c.byContact[d.Contact]) {
			if e := c.records[id]; e.Kind == "contacts" || e.Kind == "scores" || e.Kind == "photos" {
				c.unlink(e)
			}
		}
		d.Done, d.Contact = true, ""
		c.version++
	}
}

// Dump returns everything the CRM holds, one record a line, in order.
func (c *CRM) Dump() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle()
	var lines []string
	for _, e := range c.records {
		lines = append(lines, string(e.text))
	}
	for k := range c.optOuts {
		lines = append(lines, "opt-out "+k)
	}
	for k := range c.limits {
		lines = append(lines, "limit "+k)
	}
	for _, d := range c.deletions {
		lines = append(lines, fmt.Sprintf("deletion %s %s done=%t", d.ID, d.Contact, d.Done))
	}
	slices.Sort(lines)
	return lines
}

// save writes the state to the file, unless somebody already wrote this
// version of it. The file is replaced whole, so that a crash leaves the old or
// the new one.
func (c *CRM) save() error {
	if c.o.Path == "" {
		return nil
	}
	c.mu.Lock()
	want := c.version
	c.mu.Unlock()
	c.saving.Lock()
	defer c.saving.Unlock()
	if c.saved >= want {
		return nil
	}
	c.mu.Lock()
	texts := make([][]byte, 0, len(c.records))
	for _, id := range slices.Sorted(maps.Keys(c.records)) {
		texts = append(texts, c.records[id].text)
	}
	head, err := json.Marshal(crmState{Deletions: slices.Collect(maps.Values(c.deletions)), OptOuts: slices.Sorted(maps.Keys(c.optOuts)), Limits: slices.Sorted(maps.Keys(c.limits))})
	version := c.version
	c.mu.Unlock()
	if err == nil {
		err = writeCRM(c.o.Path, head, texts)
	}
	if err != nil {
		return fmt.Errorf("saving the CRM: %w", err)
	}
	c.saved = version
	return nil
}

func writeCRM(path string, head []byte, texts [][]byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".crm-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what went wrong before matters more
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = io.WriteString(w, strings.TrimSuffix(string(head), "null}")+"[\n")
	for i, t := range texts {
		if err == nil {
			_, err = w.Write(t)
		}
		if err == nil && i < len(texts)-1 {
			_, err = io.WriteString(w, ",\n")
		}
	}
	if err == nil {
		_, err = io.WriteString(w, "\n]}\n")
	}
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// CRMFault is one way for the CRM to misbehave, for tests.
type CRMFault int

// The faults. Each strikes one request and is then used up.
const (
	CRMWell      CRMFault = iota
	CRMRefuse             // 503, nothing done
	CRMBreak              // the connection breaks, nothing done
	CRMLose               // done, and the connection breaks before the answer
	CRMTruncate           // done, and the answer is cut in the middle
	CRMFailAfter          // done, and 502 says otherwise
	CRMBusy               // 429 with Retry-After: 1, nothing done
	CRMHang               // no answer until the client gives up, nothing done
)

// Fail makes the next requests with the given method (empty: any) suffer the
// faults, in order.
func (c *CRM) Fail(method string, faults ...CRMFault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faultOn, c.faults = method, slices.Clone(faults)
}

func (c *CRM) fault(r *http.Request) CRMFault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) == 0 || c.faultOn != "" && c.faultOn != r.Method {
		return CRMWell
	}
	f := c.faults[0]
	c.faults = c.faults[1:]
	return f
}
