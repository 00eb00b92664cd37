package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
)

func demoCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "demo", Args: cobra.NoArgs,
		Short: "Show a copy, a report, a deletion and an opt-out from beginning to end, and check the evidence",
		Long: `Start everything as "habeas up" does, in a folder of its own, submit requests of
four different people of the demo company, one of them by nothing but a visit
with Global Privacy Control on, show them being carried out, download the package
and the report, export the evidence, check it with a program that trusts only
public keys, look into the systems another way, and end.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), file, cmd.OutOrStdout()) },
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	return cmd
}

func runDemo(ctx context.Context, file string, out io.Writer) (err error) {
	c, err := loadConfig(file)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "habeas-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo: %w", err)
	}
	c.StateDir, c.HTTP.Addr, c.HTTP.TokenFile = filepath.Join(dir, "state"), "127.0.0.1:0", ""
	if _, err := fmt.Fprintln(out, "The demo starts everything, tells its stories and ends by itself, and with it the addresses\nbelow. To look around in the console, use make up, which runs until you stop it."); err != nil {
		return fmt.Errorf("saying how long the demo lasts: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var told error
	finished := false
	var group room.Group
	group.Add("habeas up", func(ctx context.Context) error {
		return up(ctx, c, out, func(client clientFile) {
			defer stop()
			told = tellStory(ctx, c, client, dir, out)
			finished = true
		})
	})
	err = group.Run(ctx)
	if err = errors.Join(told, err); err == nil && !finished {
		err = errors.New("the demo was interrupted")
	}
	if err != nil {
		return fmt.Errorf("%w\nwhat happened is in %s", err, dir)
	}
	_, err = fmt.Fprintf(out, "\nEverything above is in %s: the package, the evidence and the logs. The demo\ncompany has ended with the demo; make up starts one to look around in.\n", dir)
	return err
}

// story is one person's request in the demo.
type story struct {
	person, right, says string
	signal              bool // it is made by a visit with Global Privacy Control on
}

var stories = []story{
	{person: "copier", right: "know_specific", says: "Somebody asks for a copy of everything held on them"},
	{person: "namesake", right: "know_categories", says: "Somebody asks which kinds of data are held on them, and who gets them"},
	{person: "leaver", right: "delete", says: "Somebody asks to be erased"},
	{person: "opt_outer", right: "opt_out_sale_share", says: "Somebody known only by a cookie visits with Global Privacy Control on", signal: true},
}

func tellStory(ctx context.Context, c config, local clientFile, dir string, out io.Writer) error {
	token, err := room.SecretFile(local.TokenFile).Read()
	if err != nil {
		return err
	}
	cl := &client{server: local.Server, token: token.Reveal(), http: &http.Client{}}
	cast, err := demoCast(ctx)
	if err != nil {
		return err
	}
	ids := make([]string, len(stories))
	for i, s := range stories {
		submit := s.submit
		if s.signal {
			submit = s.bySignal
		}
		id, err := submit(ctx, cl, cast[s.person])
		if err != nil {
			return fmt.Errorf("%s: %w", s.right, err)
		}
		ids[i] = id
		if _, err := fmt.Fprintf(out, "\n%s.\n  request %s (%s)\n", s.says, id, s.right); err != nil {
			return err
		}
	}
	for i, s := range stories {
		if _, err := fmt.Fprintf(out, "\n%s\n", s.right); err != nil {
			return err
		}
		v, err := follow(ctx, cl, ids[i], out)
		if err != nil {
			return fmt.Errorf("%s: %w", s.right, err)
		}
		if err := tellOutcome(out, v); err != nil {
			return err
		}
	}
	if err := tellEffect(ctx, c, local.Server, cast["opt_outer"]["cookie_id"][0], out); err != nil {
		return fmt.Errorf("the opt-out has no effect: %w", err)
	}
	if err := tellPackage(ctx, cl, ids[0], filepath.Join(dir, "package.zip"), out); err != nil {
		return err
	}
	report := filepath.Join(dir, "report.zip")
	if _, err := cl.download(ctx, requestPath(ids[1], "/package"), report); err != nil {
		return fmt.Errorf("downloading the report: %w", err)
	}
	if err := tellReport(report, out); err != nil {
		return err
	}
	for i, s := range stories {
		if err := tellEvidence(ctx, cl, ids[i], filepath.Join(dir, "evidence-"+s.right), filepath.Join(c.StateDir, "keys", "public"), out); err != nil {
			return fmt.Errorf("evidence of %s: %w", s.right, err)
		}
	}
	return lookAgain(ctx, c, cast["leaver"], out)
}

// cast is the identifiers of the people in the stories, by kind.
type cast map[string]map[string][]string

// demoCast asks the demo company who its people are.
func demoCast(ctx context.Context) (cast, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding our own program: %w", err)
	}
	text, err := exec.CommandContext(ctx, filepath.Join(filepath.Dir(self), "habeas-demo"), "people").Output() //nolint:gosec // it lies beside our own program
	if err != nil {
		return nil, fmt.Errorf("asking the demo company for its people: %w", err)
	}
	var people cast
	if err := json.Unmarshal(text, &people); err != nil {
		return nil, fmt.Errorf("reading the demo company's people: %w", err)
	}
	return people, nil
}

func (s story) submit(ctx context.Context, cl *client, person map[string][]string) (string, error) {
	if len(person["email"]) == 0 {
		return "", errors.New("the demo company knows no e-mail address of them")
	}
	body := map[string]any{
		"right": s.right, "channel": "web", "identifiers": []map[string]string{{"kind": "email", "value": person["email"][0]}},
		"verification": map[string]string{"method": "account_login", "level": "reasonably_high"},
	}
	if strings.HasPrefix(s.right, "know_") {
		body["everything"] = true
	}
	var v requestView
	err := cl.call(ctx, http.MethodPost, "/v1/requests", nil, body, &v)
	return v.ID, err
}

// follow shows a request's progress, a line for each change, until it is
// closed.
func follow(ctx context.Context, cl *client, id string, out io.Writer) (requestView, error) {
	shown := map[string]bool{}
	line := func(text string) error {
		if shown[text] {
			return nil
		}
		shown[text] = true
		_, err := fmt.Fprintf(out, "  %s\n", text)
		return err
	}
	deadline := time.Now().Add(90 * time.Second)
	for {
		var v requestView
		if err := cl.call(ctx, http.MethodGet, requestPath(id), nil, nil, &v); err != nil {
			return v, err
		}
		before := map[string]int{}
		for _, j := range v.Jobs {
			work := fmt.Sprintf("%-10s %-8s", j.Connector, j.Action)
			again := ""
			if before[work]++; before[work] > 1 {
				again = fmt.Sprintf(" (%d)", before[work]) // asked once more, by what was found meanwhile
			}
			if err := line(strings.TrimRight(fmt.Sprintf("%s %-10s %s%s", work, j.State, counts(j), again), " ")); err != nil {
				return v, err
			}
		}
		if v.Attention != "" {
			return v, fmt.Errorf("a person must look: %s", v.Attention)
		}
		if v.State == "closed" {
			return v, line(v.State + ", " + v.Result + ", and every record of it is in the log")
		}
		if time.Now().After(deadline) {
			return v, fmt.Errorf("not closed after 90 s: it is %s and waits for %s", v.State, strings.Join(v.Waiting, ", "))
		}
		if !room.Sleep(ctx, 30*time.Millisecond) {
			return v, ctx.Err()
		}
	}
}

func counts(j jobView) string {
	var located, kept, exported int64
	for _, s := range j.Stores {
		located, kept, exported = located+s.Located, kept+s.Kept, exported+s.Exported
	}
	switch {
	case len(j.Stores) == 0:
		return ""
	case j.Action == "export":
		return fmt.Sprintf("located %d, copied %d", located, exported)
	case j.Action == "erase":
		return fmt.Sprintf("located %d, kept %d", located, kept)
	default:
		return fmt.Sprintf("located %d", located)
	}
}

// tellOutcome says what was erased, what was kept and why.
func tellOutcome(out io.Writer, v requestView) error {
	if v.Right != "delete" {
		return nil
	}
	type kept struct{ basis, until string }
	reasons := map[kept]int64{}
	rules, err := regimes.Load()
	if err != nil {
		return err
	}
	bases := tenant.Bases{Regimes: rules}
	var erased int64
	for _, j := range v.Jobs {
		if j.Action != "erase" || j.State != "done" && j.State != "retained" {
			continue
		}
		for _, s := range j.Stores {
			erased += s.Located - s.Kept - s.Remaining
			if s.Kept > 0 {
				reasons[kept{inWords(&bases, v, tenant.Claim{Connector: j.Connector, Store: s.Store, Basis: s.Basis}), s.Until}] += s.Kept
			}
		}
	}
	if _, err := fmt.Fprintf(out, "  erased %s\n", countOf(erased)); err != nil {
		return err
	}
	var lines []string
	for k, n := range reasons {
		lines = append(lines, fmt.Sprintf("  kept   %s until %s: %s\n", countOf(n), k.until, k.basis))
	}
	slices.Sort(lines)
	_, err = io.WriteString(out, strings.Join(lines, ""))
	return err
}

// inWords is why records are kept, as the law's catalogue says it to people; a
// basis that it has no words for is named.
func inWords(bases *tenant.Bases, v requestView, claim tenant.Claim) string {
	rules, err := bases.Regimes.At(v.Regime, request.DateOf(v.ReceivedAt, time.UTC))
	if err != nil {
		return claim.Basis // an own regime of the company's
	}
	e, ok := bases.Means(rules, request.Right(v.Right), claim)
	if !ok {
		return claim.Basis
	}
	return strings.TrimSuffix(e.Text.In("en"), ".") + " (" + e.Citation + ")"
}

func countOf(n int64) string {
	if n == 1 {
		return "1 record"
	}
	return fmt.Sprintf("%d records", n)
}

func tellPackage(ctx context.Context, cl *client, id, file string, out io.Writer) error {
	size, err := cl.download(ctx, requestPath(id, "/package"), file)
	if err != nil {
		return fmt.Errorf("downloading the package: %w", err)
	}
	z, err := zip.OpenReader(file)
	if err != nil {
		return fmt.Errorf("opening the package: %w", err)
	}
	defer z.Close() //nolint:errcheck // only read from
	if _, err := fmt.Fprintf(out, "\nThe package, %d bytes:\n", size); err != nil {
		return err
	}
	for _, f := range z.File {
		if _, err := fmt.Fprintf(out, "  %8d  %s\n", f.UncompressedSize64, f.Name); err != nil {
			return err
		}
	}
	return nil
}

// lookAgain looks into every system another way than through its connector and
// fails when the erased person is still there beyond what is kept.
func lookAgain(ctx context.Context, c config, person map[string][]string, out io.Writer) error {
	if _, err := fmt.Fprintln(out, "\nLooking for the erased person in the systems themselves:"); err != nil {
		return err
	}
	for _, system := range demoConnectors {
		lines, err := dumpLines(ctx, c, system)
		if err != nil {
			return err
		}
		found := 0
		for _, line := range lines {
			for _, kind := range []string{"email", "phone", "device_id", "cookie_id"} {
				if slices.ContainsFunc(person[kind], func(v string) bool { return strings.Contains(line, v) }) {
					found++
				}
			}
		}
		if _, err := fmt.Fprintf(out, "  %-10s %d records name them\n", system, found); err != nil {
			return err
		}
		if found > 0 {
			return fmt.Errorf("%s still holds the erased person", system)
		}
	}
	return nil
}
