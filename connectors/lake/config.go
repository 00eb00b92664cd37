package lake

import (
	"context"
	"fmt"
	"time"

	"github.com/habeas-data/habeas/connectors/internal/declared"
	"github.com/habeas-data/habeas/connectors/sdk"
)

// Config are the settings of a connector that is this engine and a map: the
// "config:" section of its file.
type Config struct {
	// Folder is the local folder that holds the files.
	Folder string `yaml:"folder"`
	// Bucket, in its place, is the address of an S3 bucket; see [Options.Bucket].
	Bucket string `yaml:"bucket"`
	// OldVersions is [Options.OldVersions]; "expire" needs BackupExpiry.
	OldVersions string `yaml:"old_versions"`
	// Map is the file of the [Map], relative to the file of the settings.
	Map string `yaml:"map"`
	// Workers is how many files are read or written at once; zero means one for
	// each processor.
	Workers int `yaml:"workers"`
	// BatchSize, BatchWindow, Cap, Settle, BackupExpiry and After are those of
	// [sdk.Manifest].
	BatchSize    int           `yaml:"batch_size"`
	BatchWindow  time.Duration `yaml:"batch_window"`
	Cap          int64         `yaml:"cap"`
	Settle       time.Duration `yaml:"settle"`
	BackupExpiry time.Duration `yaml:"backup_expiry"`
	After        []string      `yaml:"after"`
}

// Connect is the [sdk.Opener] of every connector made of this engine and a
// map. It reads the settings and the map and touches no data.
func Connect(_ context.Context, env sdk.Env) (sdk.Manifest, sdk.Connector, error) {
	var c Config
	if err := env.Decode(&c); err != nil {
		return sdk.Manifest{}, nil, err
	}
	if err := c.check(); err != nil {
		return sdk.Manifest{}, nil, fmt.Errorf("reading %s: %w", env.ConfigFile, err)
	}
	m, err := ReadMap(declared.Beside(env.ConfigFile, c.Map))
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	l, err := Open(Options{
		Folder: c.Folder, Bucket: c.Bucket, OldVersions: c.OldVersions, State: env.Dir,
		Map: m, Workers: c.Workers, Logger: env.Logger,
	})
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	man := m.Manifest()
	man.BatchSize, man.BatchWindow, man.Cap = c.BatchSize, c.BatchWindow, c.Cap
	man.Settle, man.BackupExpiry, man.After = c.Settle, c.BackupExpiry, c.After
	return man, l, nil
}

func (c Config) check() error {
	switch {
	case c.Folder == "" && c.Bucket == "":
		return fmt.Errorf("config.folder: name the folder that holds the files, or config.bucket the bucket")
	case c.OldVersions == "expire" && c.BackupExpiry <= 0:
		return fmt.Errorf("config.backup_expiry: say when the bucket's lifecycle rules remove older versions, since old_versions is expire")
	case c.Map == "":
		return fmt.Errorf("config.map: name the file of the data map")
	case c.Workers < 0:
		return fmt.Errorf("config.workers: %d is less than 0", c.Workers)
	}
	return nil
}
