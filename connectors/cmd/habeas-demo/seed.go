package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/habeas-data/habeas/connectors/demo"
)

// part is one system's share of the company.
type part struct {
	path string // appears complete or not at all; there means done
	make func(ctx context.Context, people int) error
}

func parts(dir string) []part {
	in := func(name string) string { return filepath.Join(dir, name) }
	return []part{
		{in(demo.BillingFile), func(ctx context.Context, n int) error { return demo.SeedBilling(ctx, in(demo.BillingFile), n) }},
		{in(demo.CRMFile), func(ctx context.Context, n int) error { return demo.SeedCRM(ctx, in(demo.CRMFile), n) }},
		{filepath.Join(in(demo.AnalyticsFolder), "events"), func(ctx context.Context, n int) error { return demo.SeedAnalytics(ctx, in(demo.AnalyticsFolder), n) }},
		{in(demo.AdtechFile), func(ctx context.Context, n int) error { return demo.SeedAdtech(ctx, in(demo.AdtechFile), n) }},
		{in(demo.PartnerFile), func(ctx context.Context, n int) error {
			p, err := demo.NewPartner(ctx, dir, n, demo.PartnerOptions{})
			if err != nil {
				return err
			}
			return p.Close()
		}},
		{in("opt-out.key"), func(context.Context, int) error { return makeKey(in("opt-out.key")) }},
	}
}

// seed makes the company's systems at once, each that is not there yet.
func seed(ctx context.Context, dir string, people int, force bool) error {
	if people < 1 {
		return fmt.Errorf("--people is %d: at least 1", people)
	}
	if err := os.MkdirAll(filepath.Join(dir, demo.AnalyticsFolder), 0o700); err != nil { //nolint:gosec // the user names the folder
		return fmt.Errorf("seeding: %w", err)
	}
	var group sync.WaitGroup
	all := parts(dir)
	errs := make([]error, len(all))
	for i, p := range all {
		group.Go(func() { errs[i] = p.seed(ctx, people, force) })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (p part) seed(ctx context.Context, people int, force bool) error {
	if force {
		// SQLite's side files belong to the file that goes.
		for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
			if err := os.RemoveAll(p.path + suffix); err != nil {
				return fmt.Errorf("seeding: %w", err)
			}
		}
	}
	switch _, err := os.Stat(p.path); {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("seeding: %w", err)
	}
	return p.make(ctx, people)
}

// makeKey writes the key of the ad-tech connector's list of opt-outs.
func makeKey(path string) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	part := path + ".part"
	if err := os.WriteFile(part, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	return os.Rename(part, path)
}
