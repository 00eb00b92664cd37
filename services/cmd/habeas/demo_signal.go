package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// visited is what the signal endpoint answers a page.
type visited struct {
	OptedOut bool   `json:"opted_out"`
	Signal   string `json:"signal"`
}

// visit is what the script on a company's page sends for a visitor who is known
// by a cookie. With signal the browser has Global Privacy Control on. Nobody
// signs in for it.
func visit(ctx context.Context, server, cookie string, signal bool) (visited, error) {
	var v visited
	body, err := json.Marshal(map[string]any{"identifiers": []map[string]string{{"kind": "cookie_id", "value": cookie}}})
	if err != nil {
		return v, fmt.Errorf("visiting: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server+"/signal", bytes.NewReader(body))
	if err != nil {
		return v, fmt.Errorf("visiting: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if signal {
		req.Header.Set("Sec-GPC", "1")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return v, fmt.Errorf("visiting: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return v, fmt.Errorf("visiting: status %d", resp.StatusCode)
	}
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("visiting: reading the answer: %w", err)
	}
	return v, nil
}

// bySignal opts somebody out as their browser does, and returns the request
// that carries it to the systems.
func (s story) bySignal(ctx context.Context, cl *client, person map[string][]string) (string, error) {
	if len(person["cookie_id"]) == 0 {
		return "", errors.New("the demo company knows no cookie of them")
	}
	seen, err := visit(ctx, cl.server, person["cookie_id"][0], true)
	if err != nil {
		return "", err
	}
	if !seen.OptedOut || seen.Signal != "gpc" {
		return "", errors.New("the signal was not honoured")
	}
	var page struct {
		Requests []requestView `json:"requests"`
	}
	if err := cl.call(ctx, http.MethodGet, "/v1/requests?right="+s.right, nil, nil, &page); err != nil {
		return "", err
	}
	if len(page.Requests) != 1 {
		return "", fmt.Errorf("the visit made %d requests, not one", len(page.Requests))
	}
	return page.Requests[0].ID, nil
}

// tellEffect shows in the ad-tech system itself what became of a visitor, and
// that a later visit without the signal changes nothing.
func tellEffect(ctx context.Context, c config, server, cookie string, out io.Writer) error {
	lines, err := dumpLines(ctx, c, "adtech")
	if err != nil {
		return err
	}
	_, profile, _ := strings.Cut(find(lines, "links ", fmt.Sprintf(" value=%q ", cookie)), `profile_id="`)
	profile, _, ok := strings.Cut(profile, `"`)
	if !ok {
		return errors.New("ad-tech knows no profile with this cookie")
	}
	since, optedOut := strings.CutPrefix(after(find(lines, "profiles ", fmt.Sprintf(" profile_id=%q ", profile)), " opted_out_at="), `"`)
	if !optedOut {
		return errors.New("ad-tech still takes this profile for one that may be sold")
	}
	since, _, _ = strings.Cut(since, `"`)
	withdrawn := 0
	for _, l := range lines {
		if !strings.HasPrefix(l, "audiences ") || !strings.Contains(l, fmt.Sprintf(" profile_id=%q ", profile)) {
			continue
		}
		if !strings.Contains(l, " withdrawn_at=") {
			return errors.New("ad-tech still has this profile in a partner's audience")
		}
		withdrawn++
	}
	if _, err := fmt.Fprintf(out, "  ad-tech: profile %s may not be sold since %s; partner audiences it was taken out of: %d\n", profile, since, withdrawn); err != nil {
		return err
	}
	seen, err := visit(ctx, server, cookie, false)
	if err != nil {
		return err
	}
	if !seen.OptedOut {
		return errors.New("a visit without the signal undid the opt-out")
	}
	_, err = fmt.Fprintln(out, "  a later visit without the signal: still opted out")
	return err
}

// find returns the first line that begins and continues as asked.
func find(lines []string, prefix, part string) string {
	for _, l := range lines {
		if strings.HasPrefix(l, prefix) && strings.Contains(l, part) {
			return l
		}
	}
	return ""
}

func after(line, mark string) string {
	_, rest, _ := strings.Cut(line, mark)
	return rest
}

// dumpLines looks into a system of the demo company another way than through
// its connector: every record as a line.
func dumpLines(ctx context.Context, c config, system string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	dump, err := exec.CommandContext(ctx, filepath.Join(filepath.Dir(self), "habeas-demo"), "dump", "--dir", filepath.Join(c.StateDir, "demo"), "--system", system).Output() //nolint:gosec // it lies beside our own program
	if err != nil {
		return nil, fmt.Errorf("looking into %s: %w", system, err)
	}
	return strings.Split(string(dump), "\n"), nil
}
