package demo

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"time"
)

// crmError is an answer that says no.
type crmError struct {
	status int
	code   string
	text   string
}

func (e crmError) Error() string { return e.text }

var (
	errCRMUnknown  = crmError{http.StatusNotFound, "not_found", "there is no such record"}
	errCRMBody     = crmError{http.StatusBadRequest, "bad_body", "the body is not what this address takes"}
	errCRMCursor   = crmError{http.StatusBadRequest, "bad_cursor", "the cursor is not one of ours"}
	errCRMFilter   = crmError{http.StatusBadRequest, "bad_filter", "say email, phone, customer_number or user_id"}
	errCRMContract = crmError{http.StatusConflict, "open_contract", "the contact has a contract that runs on"}
)

type crmHandler func(r *http.Request) (status int, body any, err error)

func (c *CRM) routes() {
	c.mux = http.NewServeMux()
	for pattern, h := range map[string]crmHandler{
		"GET /v1/contacts":                        c.search,
		"GET /v1/contacts/{id}":                   c.show,
		"PATCH /v1/contacts/{id}":                 c.patch,
		"DELETE /v1/contacts/{id}":                c.drop,
		"GET /v1/contacts/{id}/{kind}":            c.children,
		"DELETE /v1/contacts/{id}/{kind}/{child}": c.detach,
		"GET /v1/deletions":                       c.findDeletions,
		"GET /v1/deletions/{id}":                  c.showDeletion,
		"PUT /v1/opt-outs":                        c.putOptOut,
		"GET /v1/opt-outs":                        c.showOptOut,
		"DELETE /v1/opt-outs":                     c.dropOptOut,
		"PUT /v1/sensitive-limits":                c.putLimit,
		"GET /v1/sensitive-limits":                c.showLimit,
		"DELETE /v1/sensitive-limits":             c.dropLimit,
		"GET /v1/campaign-targets":                c.targets,
	} {
		c.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { c.answer(w, r, h) })
	}
}

// ServeHTTP implements [http.Handler].
func (c *CRM) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("X-Api-Key")), []byte(CRMKey)) != 1 {
		reply(w, http.StatusUnauthorized, errorBody("no_key", "send the API key as X-Api-Key"))
		return
	}
	if c.limiter != nil && !c.limiter.Allow() {
		w.Header().Set("Retry-After", "1")
		reply(w, http.StatusTooManyRequests, errorBody("slow_down", "too many requests"))
		return
	}
	switch c.fault(r) {
	case CRMWell:
		c.mux.ServeHTTP(w, r)
	case CRMRefuse:
		reply(w, http.StatusServiceUnavailable, errorBody("down", "try later"))
	case CRMBusy:
		w.Header().Set("Retry-After", "1")
		reply(w, http.StatusTooManyRequests, errorBody("slow_down", "too many requests"))
	case CRMBreak:
		panic(http.ErrAbortHandler)
	case CRMHang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case CRMFailAfter:
		c.mux.ServeHTTP(httptest.NewRecorder(), r)
		reply(w, http.StatusBadGateway, errorBody("gateway", "the answer was lost"))
	case CRMLose:
		c.mux.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	case CRMTruncate:
		c.truncate(w, r)
	}
}

// truncate promises the whole answer and sends half of it.
func (c *CRM) truncate(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	c.mux.ServeHTTP(rec, r)
	maps.Copy(w.Header(), rec.Header())
	w.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
	w.WriteHeader(rec.Code)
	half := rec.Body.Bytes()[:rec.Body.Len()/2]
	if _, err := w.Write(half); err == nil {
		_ = http.NewResponseController(w).Flush() // the client is about to be cut off anyway
	}
	panic(http.ErrAbortHandler)
}

func errorBody(code, text string) any {
	return map[string]any{"error": map[string]string{"code": code, "message": text}}
}

// answer runs h and, when it changed something, saves before it answers.
func (c *CRM) answer(w http.ResponseWriter, r *http.Request, h crmHandler) {
	c.mu.Lock()
	c.settle()
	status, body, err := h(r)
	c.mu.Unlock()
	if serr := c.save(); serr != nil {
		reply(w, http.StatusInternalServerError, errorBody("storage", "the change was not saved"))
		return
	}
	if e, no := err.(crmError); no { //nolint:errorlint // handlers return it bare
		reply(w, e.status, errorBody(e.code, e.text))
		return
	}
	reply(w, status, body)
}

func reply(w http.ResponseWriter, status int, body any) {
	if body == nil {
		w.WriteHeader(status)
		return
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the client has gone; there is nobody to tell
}

// shown is a record as the API shows it.
func (e *crmEntry) shown() map[string]any {
	m := maps.Clone(e.Fields)
	m["id"] = e.ID
	return m
}

func (c *CRM) search(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	var found []*crmEntry
	asked := false
	for field, fields := range map[string][]string{
		"email": {"email"}, "phone": {"phone", "home_phone"},
		"customer_number": {"customer_number"}, "user_id": {"user_id"},
	} {
		want := q.Get(field)
		if want == "" {
			continue
		}
		asked = true
		for _, e := range c.records {
			if e.Kind == "contacts" && slices.ContainsFunc(fields, func(f string) bool {
				have, _ := e.Fields[f].(string)
				return strings.EqualFold(have, want)
			}) {
				found = append(found, e)
			}
		}
	}
	if !asked {
		return 0, nil, errCRMFilter
	}
	return c.page(r, found)
}

// page answers with one page of records, in the order of their ids.
func (c *CRM) page(r *http.Request, all []*crmEntry) (int, any, error) {
	slices.SortFunc(all, func(a, b *crmEntry) int { return strings.Compare(a.ID, b.ID) })
	q := r.URL.Query()
	size := c.o.PageSize
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		size = min(size, n)
	}
	if cursor := q.Get("cursor"); cursor != "" {
		last, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil {
			return 0, nil, errCRMCursor
		}
		all = slices.DeleteFunc(all, func(e *crmEntry) bool { return e.ID <= string(last) })
	}
	next := any(nil)
	if len(all) > size {
		all = all[:size]
		next = base64.RawURLEncoding.EncodeToString([]byte(all[size-1].ID))
	}
	results := []any{}
	for _, e := range all {
		results = append(results, e.shown())
	}
	return http.StatusOK, map[string]any{"results": results, "paging": map[string]any{"next": next}}, nil
}

// contact finds the contact a request is about.
func (c *CRM) contact(r *http.Request) (*crmEntry, error) {
	e := c.records[r.PathValue("id")]
	if e == nil || e.Kind != "contacts" {
		return nil, errCRMUnknown
	}
	return e, nil
}

func (c *CRM) show(r *http.Request) (int, any, error) {
	e, err := c.contact(r)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, e.shown(), nil
}

func (c *CRM) patch(r *http.Request) (int, any, error) {
	e, err := c.contact(r)
	if err != nil {
		return 0, nil, err
	}
	var change map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<16)).Decode(&change); err != nil {
		return 0, nil, errCRMBody
	}
	updated := e.CRMRecord
	updated.Fields = maps.Clone(e.Fields)
	for k, v := range change {
		if _, known := updated.Fields[k]; !known {
			return 0, nil, errCRMBody
		}
		updated.Fields[k] = v
	}
	c.put(updated)
	return http.StatusOK, c.records[e.ID].shown(), nil
}

func (c *CRM) drop(r *http.Request) (int, any, error) {
	e, err := c.contact(r)
	if err != nil {
		return 0, nil, err
	}
	for _, id := range c.byContact[e.ID] {
		if d := c.records[id]; d.Kind == "deals" && d.Fields["stage"] == "open" {
			return 0, nil, errCRMContract
		}
	}
	for _, d := range c.deletions {
		if d.Contact == e.ID {
			return http.StatusAccepted, deletionBody(d), nil
		}
	}
	d := &crmDeletion{ID: fmt.Sprintf("del_%06d", len(c.deletions)+1), Contact: e.ID, Due: c.o.Now().Add(c.o.Delay)}
	c.deletions[d.ID] = d
	c.version++
	return http.StatusAccepted, deletionBody(d), nil
}

func deletionBody(d *crmDeletion) any { return map[string]any{"deletion": deletionShown(d)} }

func deletionShown(d *crmDeletion) map[string]any {
	status := "queued"
	if d.Done {
		status = "done"
	}
	return map[string]any{"id": d.ID, "status": status, "due": d.Due.UTC().Format(time.RFC3339)}
}

func (c *CRM) children(r *http.Request) (int, any, error) {
	e, err := c.contact(r)
	if err != nil {
		return 0, nil, err
	}
	kind := r.PathValue("kind")
	if !slices.Contains(crmKinds, kind) {
		return 0, nil, errCRMUnknown
	}
	var found []*crmEntry
	for _, id := range c.byContact[e.ID] {
		if child := c.records[id]; child.Kind == kind {
			found = append(found, child)
		}
	}
	return c.page(r, found)
}

func (c *CRM) detach(r *http.Request) (int, any, error) {
	child := c.records[r.PathValue("child")]
	contact := r.PathValue("id")
	if child == nil || child.Kind != r.PathValue("kind") || child.Kind == "contacts" || !slices.Contains(child.Contacts, contact) {
		return 0, nil, errCRMUnknown
	}
	c.leave(child, contact)
	return http.StatusNoContent, nil, nil
}

func (c *CRM) findDeletions(r *http.Request) (int, any, error) {
	results := []any{}
	for _, d := range c.deletions {
		if d.Contact != "" && d.Contact == r.URL.Query().Get("contact") {
			results = append(results, deletionShown(d))
		}
	}
	return http.StatusOK, map[string]any{"results": results}, nil
}

func (c *CRM) showDeletion(r *http.Request) (int, any, error) {
	d := c.deletions[r.PathValue("id")]
	if d == nil {
		return 0, nil, errCRMUnknown
	}
	return http.StatusOK, deletionBody(d), nil
}

// optOutKey remembers a choice without the address it was made for.
func optOutKey(kind, value string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + strings.ToLower(value)))
	return hex.EncodeToString(sum[:])
}

func (c *CRM) putOptOut(r *http.Request) (int, any, error) {
	kind, value, err := chooser(r)
	if err != nil {
		return 0, nil, err
	}
	c.optOuts[optOutKey(kind, value)] = true
	c.setChoice(kind, value, "sharing", "opted out")
	return http.StatusNoContent, nil, nil
}

// chooser reads whom a choice is about: an address or a number.
func chooser(r *http.Request) (kind, value string, err error) {
	var choice struct {
		Email string `json:"email"`
		Phone string `json:"phone"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<16)).Decode(&choice); err != nil || (choice.Email == "") == (choice.Phone == "") {
		return "", "", errCRMBody
	}
	if choice.Phone != "" {
		return "phone", choice.Phone, nil
	}
	return "email", choice.Email, nil
}

// setChoice writes a choice on the contacts it is about.
func (c *CRM) setChoice(kind, value, field, choice string) {
	c.version++
	for _, e := range c.records {
		if have, _ := e.Fields[kind].(string); e.Kind == "contacts" && strings.EqualFold(have, value) {
			updated := e.CRMRecord
			updated.Fields = maps.Clone(e.Fields)
			updated.Fields[field] = choice
			c.put(updated)
		}
	}
}

func (c *CRM) dropOptOut(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	for _, kind := range []string{"email", "phone"} {
		if v := q.Get(kind); v != "" {
			if key := optOutKey(kind, v); c.optOuts[key] {
				delete(c.optOuts, key)
				c.setChoice(kind, v, "sharing", "opted in")
			}
			return http.StatusNoContent, nil, nil
		}
	}
	return 0, nil, errCRMFilter
}

func (c *CRM) showOptOut(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	for _, kind := range []string{"email", "phone"} {
		if v := q.Get(kind); v != "" {
			return http.StatusOK, map[string]any{"opted_out": c.optOuts[optOutKey(kind, v)]}, nil
		}
	}
	return 0, nil, errCRMFilter
}
