package demo

import (
	"net/http"
	"slices"
)

func (c *CRM) putLimit(r *http.Request) (int, any, error) {
	kind, value, err := chooser(r)
	if err != nil {
		return 0, nil, err
	}
	c.limits[optOutKey(kind, value)] = true
	c.setChoice(kind, value, "sensitive_use", "limited")
	return http.StatusNoContent, nil, nil
}

func (c *CRM) showLimit(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	for _, kind := range []string{"email", "phone"} {
		if v := q.Get(kind); v != "" {
			return http.StatusOK, map[string]any{"limited": c.limits[optOutKey(kind, v)]}, nil
		}
	}
	return 0, nil, errCRMFilter
}

func (c *CRM) dropLimit(r *http.Request) (int, any, error) {
	q := r.URL.Query()
	for _, kind := range []string{"email", "phone"} {
		if v := q.Get(kind); v != "" {
			if key := optOutKey(kind, v); c.limits[key] {
				delete(c.limits, key)
				c.setChoice(kind, v, "sensitive_use", "allowed")
			}
			return http.StatusNoContent, nil, nil
		}
	}
	return 0, nil, errCRMFilter
}

// targets is the use of sensitive records that people can limit: which contacts
// a campaign gets because of the type of an identity document they gave. Whoever
// limited it is in none.
func (c *CRM) targets(r *http.Request) (int, any, error) {
	document := r.URL.Query().Get("document")
	if document == "" {
		return 0, nil, errCRMFilter
	}
	ids := []string{}
	for _, e := range c.records {
		if e.Kind != "documents" || e.Fields["type"] != document {
			continue
		}
		for _, id := range e.Contacts {
			if contact := c.records[id]; contact != nil && !c.limited(contact) && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	return http.StatusOK, map[string]any{"contacts": ids}, nil
}

func (c *CRM) limited(contact *crmEntry) bool {
	for _, kind := range []string{"email", "phone"} {
		if v, _ := contact.Fields[kind].(string); v != "" && c.limits[optOutKey(kind, v)] {
			return true
		}
	}
	return false
}
