package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// traces is an OpenTelemetry collector: which services spoke in which trace.
type traces struct {
	mu       sync.Mutex
	services map[string][]string
	text     strings.Builder // everything that was sent, to look for identifiers
}

func (c *traces) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "unreadable", http.StatusBadRequest)
		return
	}
	if r.URL.Path != "/v1/traces" {
		return
	}
	sent := &collector.ExportTraceServiceRequest{}
	if err := proto.Unmarshal(body, sent); err != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(body)
	for _, resource := range sent.GetResourceSpans() {
		service := ""
		for _, kv := range resource.GetResource().GetAttributes() {
			if kv.GetKey() == "service.name" {
				service = kv.GetValue().GetStringValue()
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				id := hex.EncodeToString(span.GetTraceId())
				if !slices.Contains(c.services[id], service) {
					c.services[id] = append(c.services[id], service)
				}
			}
		}
	}
}

// One trace, whose id is the request's, joins intake, coordinator, every
// connector and audit, and names nobody.
func TestOneTraceJoinsAll(t *testing.T) {
	c := &traces{services: map[string][]string{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	f := newFleet(t, twoDatabases(t), companySize)
	w := &wish{person: people(t, f.bin, 0, companySize)["person-12"], right: "delete", kinds: []string{"email"}, key: "traced"}
	f.submit(t, w)
	trace := strings.ReplaceAll(w.id, "-", "")
	eventually(t, patience, "the trace of the request", func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, want := range []string{"intake", "coordinator", "audit", "billing", "crm", "analytics", "adtech"} {
			if !slices.ContainsFunc(c.services[trace], func(s string) bool { return strings.Contains(s, want) }) {
				return fmt.Errorf("%s is not in it; there are %v", want, c.services[trace])
			}
		}
		return nil
	})
	eventually(t, time.Minute, "the request to be closed", func() error {
		v, err := f.get(t.Context(), w.id)
		if err == nil && v.State != "closed" {
			err = fmt.Errorf("it is %s", v.State)
		}
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if leaked := plant([]*wish{w}).in([]byte(c.text.String())); leaked != "" {
		t.Errorf("a span holds the person's %s", leaked)
	}
}
