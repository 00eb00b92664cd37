package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/services/audit"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/request/store/litestore"
	"github.com/habeas-data/habeas/services/request/store/pgstore"
)

// database is a store that keeps what the rooms and the doors need.
type database interface {
	store.Store
	store.Doors
	store.Post
	store.Tokens
	store.Disclosures
	store.Onwards
}

// openStore opens the store a DSN names.
func openStore(ctx context.Context, dsn string) (database, error) {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return litestore.Open(ctx, path)
	}
	return pgstore.Open(ctx, dsn)
}

func migrateStore(ctx context.Context, dsn string, down bool) error {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return litestore.Migrate(ctx, path, down)
	}
	return pgstore.Migrate(ctx, dsn, down)
}

func migrateCommand() *cobra.Command {
	var file string
	var down bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the databases to this version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			if err := c.makeDirs(); err != nil {
				return err
			}
			if err := c.migrate(cmd.Context(), down); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "databases migrated")
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	cmd.Flags().BoolVar(&down, "down", false, "take back the last migration of each database instead")
	return cmd
}

func (c *config) migrate(ctx context.Context, down bool) error {
	dsn, err := c.Store.dsn()
	if err != nil {
		return err
	}
	if err := migrateStore(ctx, dsn, down); err != nil {
		return err
	}
	if dsn, err = c.Audit.Store.dsn(); err != nil {
		return err
	}
	direction := "up"
	if down {
		direction = "down"
	}
	return audit.Migrate(ctx, dsn, direction)
}
