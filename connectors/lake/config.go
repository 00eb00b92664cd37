package lake

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// Version is the version of connectors made of this engine and a map.
const Version = "0.1.0"

// Config are the settings of a connector that is this engine and a map.
type Config struct {
	// Folder is the local folder that holds the files.
	Folder string `yaml:"folder"`
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

// Connector opens a Lake as the settings say and tells its manifest under the
// given name. dir is the folder of the settings file.
func (c Config) Connector(name, dir string, logger *slog.Logger) (sdk.Manifest, *Lake, error) {
	switch {
	case c.Folder == "":
		return sdk.Manifest{}, nil, errors.New("config.folder: name the folder that holds the files")
	case c.Map == "":
		return sdk.Manifest{}, nil, errors.New("config.map: name the file of the data map")
	case c.Workers < 0:
		return sdk.Manifest{}, nil, fmt.Errorf("config.workers: %d is less than 0", c.Workers)
	}
	file := c.Map
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	m, err := ReadMap(file)
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	man := m.Manifest()
	man.Name, man.Version = name, Version
	man.BatchSize, man.BatchWindow, man.Cap = c.BatchSize, c.BatchWindow, c.Cap
	man.Settle, man.BackupExpiry, man.After = c.Settle, c.BackupExpiry, c.After
	if err := man.Validate(); err != nil {
		return sdk.Manifest{}, nil, err
	}
	l, err := Open(Options{Folder: c.Folder, Map: m, Workers: c.Workers, Logger: logger})
	if err != nil {
		return sdk.Manifest{}, nil, err
	}
	return man, l, nil
}
