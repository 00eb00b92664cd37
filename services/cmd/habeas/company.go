package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/internal/room"
)

// company is the demo company's servers, a process that is started again when it
// ends. It keeps its addresses, because the connectors were told them.
type company struct {
	ch           *children
	crm, partner string
	// wait returns when the process has ended; each start has its own.
	wait func() error
}

// startDemo makes the demo company where it is missing and starts its servers.
func (ch *children) startDemo(ctx context.Context) (*company, error) {
	seed := exec.CommandContext(ctx, filepath.Join(ch.bin, "habeas-demo"), "seed", "--dir", ch.demoDir) //nolint:gosec // it lies beside our own program
	if text, err := seed.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making the demo company: %w: %s", err, strings.TrimSpace(string(text)))
	}
	c := &company{ch: ch}
	return c, c.start(ctx)
}

// env is where the connectors find the company.
func (c *company) env() []string {
	return []string{"HABEAS_DEMO_DIR=" + c.ch.demoDir, "HABEAS_DEMO_CRM=" + c.crm, "HABEAS_DEMO_PARTNER=" + c.partner}
}

// start starts the servers, where they were when they ran before.
func (c *company) start(ctx context.Context) error {
	args := []string{"serve", "--dir", c.ch.demoDir}
	if c.crm != "" {
		args = append(args, "--crm-addr", strings.TrimPrefix(c.crm, "http://"), "--partner-addr", strings.TrimPrefix(c.partner, "http://"))
	}
	log, err := os.OpenFile(filepath.Join(c.ch.rt.StateDir, "logs", "demo.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of the demo company: %w", err)
	}
	defer log.Close() //nolint:errcheck // the child writes it
	cmd, stdin, err := childCommand(ctx, filepath.Join(c.ch.bin, "habeas-demo"), args...)
	if err != nil {
		return err
	}
	cmd.Env, cmd.Stderr = append(os.Environ(), "HABEAS_PARENT_PIPE=1"), log
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("starting the demo company: %w", err), stdin.Close())
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var addrs struct{ CRM, Partner string }
	if err != nil || json.Unmarshal(line, &addrs) != nil || addrs.CRM == "" {
		// Without its standard input it ends.
		return errors.Join(errors.New("the demo company's servers did not start; see logs/demo.log"), stdin.Close(), cmd.Wait())
	}
	c.crm, c.partner = addrs.CRM, addrs.Partner
	c.wait = func() error { return errors.Join(cmd.Wait(), stdin.Close()) }
	return nil
}

// keep starts the servers again whenever they end, and says so: the rooms and
// the connectors go on, as with any company whose systems are down for a while.
func (c *company) keep(ctx context.Context) error {
	const shortest, longest = 200 * time.Millisecond, 10 * time.Second
	pause := shortest
	for {
		began := time.Now()
		err := c.wait()
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > longest {
			pause = shortest
		}
		c.ch.logger.WarnContext(ctx, "the demo company's servers ended and are started again", slog.Any("error", err))
		if err := c.say("The demo company's servers ended and are started again; until then its systems count as down. See logs/demo.log"); err != nil {
			return err
		}
		for again := true; again; pause = min(2*pause, longest) {
			if !room.Sleep(ctx, pause) {
				return nil
			}
			if err = c.start(ctx); err != nil {
				c.ch.logger.WarnContext(ctx, "the demo company's servers do not start", slog.Any("error", err), slog.Duration("pause", pause))
			}
			again = err != nil
		}
		c.ch.logger.InfoContext(ctx, "the demo company's servers are up again")
		if err := c.say("The demo company's servers are up again"); err != nil {
			return err
		}
	}
}

// say tells whoever started everything.
func (c *company) say(text string) error {
	if _, err := fmt.Fprintf(c.ch.out, "%s.\n", text); err != nil {
		return fmt.Errorf("saying how the demo company is: %w", err)
	}
	return nil
}
