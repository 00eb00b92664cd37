package portal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/habeas-data/habeas/services/intake/verify"
)

// Watch tries the doors from where people come, so that a form that stopped
// working is known within the hour and not after forty days (11 CCR 7004;
// Todd Snyder (2025)). It loads every form in every language and sends a signal
// without an identifier, which makes no request; the one that is made up goes the
// whole way, once a day, with Probe.
type Watch struct {
	// URL is where people reach the portal, and Base the portal's path there.
	URL, Base string
	// Every is how often; 0 means ten minutes.
	Every time.Duration
	// Probe makes the day's request; nil makes none.
	Probe  *Probe
	Client *http.Client
	Logger *slog.Logger
}

const watchEvery = 10 * time.Minute

// wholeWay is the name of the made-up request among the doors.
const wholeWay = "the whole way"

// Run tries the doors until ctx ends and keeps the gauge
// habeas.intake.door.failing: 1 for a door that fails, 0 for one that works. The
// day's request counts as a door.
func (w Watch) Run(ctx context.Context) error {
	gauge, err := otel.Meter("habeas/intake").Int64Gauge("habeas.intake.door.failing", metric.WithDescription("Whether a door did not work when it was last tried."))
	if err != nil {
		return fmt.Errorf("watching the doors: %w", err)
	}
	every := w.Every
	if every <= 0 {
		every = watchEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		tell := func(door string, err error) {
			failing := int64(0)
			if err != nil && ctx.Err() == nil {
				failing = 1
				w.Logger.ErrorContext(ctx, "a door does not work", slog.String("door", door), slog.Any("error", err))
			}
			gauge.Record(ctx, failing, metric.WithAttributes(attribute.String("door", door)))
		}
		for _, d := range w.Doors() {
			tell(d.Path, w.Try(ctx, d))
		}
		if w.Probe != nil {
			tell(wholeWay, w.Probe.Step(ctx))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Door is one thing to try: a page that must hold a text, or the signal.
type Door struct {
	Path, Want string
	Signal     bool
}

// Doors are all doors that can be tried without asking for anything.
func (w Watch) Doors() []Door {
	doors := []Door{{Path: "/signal", Want: `"opted_out":true`, Signal: true}, {Path: "/.well-known/gpc.json", Want: `"gpc":true`}, {Path: "/signal.js", Want: "globalPrivacyControl"}}
	for _, language := range verify.Languages() {
		for _, form := range []string{"opt-out", "limit", "know-specific", "know-categories", "delete", "correct", "allow-sale", "allow-sensitive-use"} {
			doors = append(doors, Door{Path: w.Base + "/" + form + "?lang=" + language, Want: `<button class="primary"`})
		}
	}
	return doors
}

// Try tries one door.
func (w Watch) Try(ctx context.Context, d Door) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if d.Signal {
		method, body = http.MethodPost, strings.NewReader(`{}`)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(w.URL, "/")+d.Path, body)
	if err != nil {
		return fmt.Errorf("trying a door: %w", err)
	}
	if d.Signal {
		req.Header.Set("Sec-GPC", "1")
	}
	client := w.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("trying a door: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return fmt.Errorf("trying a door: %w", err)
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("trying a door: status %d", resp.StatusCode)
	case !strings.Contains(string(text), d.Want):
		return errors.New("trying a door: it opens, and what belongs there is not there")
	}
	return nil
}
