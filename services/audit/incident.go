package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/habeas-data/habeas/services/audit/cosign"
	"github.com/habeas-data/habeas/services/audit/ledger"
)

// incidentFile is in the state folder, which is not restored together with the
// database. Lines are added to it and never changed.
const incidentFile = "witness-incidents.jsonl"

// incident is that a witness knows another history of the log.
type incident struct {
	Time    time.Time `json:"time"`
	Witness string    `json:"witness"`
	// Key is the witness's public key.
	Key string `json:"key"`
	// Kind is "fork": the witness saw other leaves than those the head begins
	// with; or "rolled_back": it saw more leaves than the log has.
	Kind string `json:"kind"`
	// Head is the head that was refused.
	Head string `json:"head"`
	// Size is how many leaves the witness says that it saw.
	Size int64 `json:"size"`
}

func (i *incident) words() string {
	if i.Kind == "rolled_back" {
		return fmt.Sprintf("Witness %s has seen %d leaves of this log, which the log does not have: it was restored from an older copy, or is another one.", i.Witness, i.Size)
	}
	return fmt.Sprintf("Witness %s has seen other leaves than those this log has now: its history was changed.", i.Witness)
}

// cause is the error that stops the log.
func (i *incident) cause() error {
	reason := ledger.ErrForked
	if i.Kind == "rolled_back" {
		reason = ledger.ErrRolledBack
	}
	return fmt.Errorf("%s It is on record in %s: %w: %w", i.words(), incidentFile, errWitness, reason)
}

// stop puts on record that a witness knows another history, and returns the
// error that stops the log. What can't be put on record stops it all the same.
func (w *witnesses) stop(one cosign.Witness, head ledger.SignedHead, size int64, kind string) error {
	i := &incident{Time: time.Now().UTC(), Witness: one.Name, Key: one.Key, Kind: kind, Head: string(head.Note), Size: size}
	w.mu.Lock()
	w.stopped = i
	w.touch()
	w.mu.Unlock()
	return errors.Join(i.cause(), w.record(i))
}

func (w *witnesses) record(i *incident) error {
	line, err := json.Marshal(i)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(w.room.config.StateDir, incidentFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
			// A line that a crash cut off before stays alone.
			_, err = f.Write([]byte("\n" + string(line) + "\n"))
			err = errors.Join(err, f.Sync(), f.Close())
		}
	}
	if err != nil {
		return fmt.Errorf("putting an incident on record: %w", err)
	}
	return nil
}

// incidents reads what was put on record. A line that a crash cut off was not on
// record, and the witness says the same when it is asked again.
func (w *witnesses) incidents() (all []incident, err error) {
	text, err := os.ReadFile(filepath.Join(w.room.config.StateDir, incidentFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the incidents on record: %w", err)
	}
	for line := range bytes.Lines(text) {
		var i incident
		if json.Unmarshal(line, &i) == nil {
			all = append(all, i)
		}
	}
	return all, nil
}

// refused returns an error while the database has a history that a witness of
// the policy refused. It does not when another history was put in its place, or
// a person took the witness out of the policy.
func (w *witnesses) refused(ctx context.Context, l *ledger.Log) error {
	all, err := w.incidents()
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, one := range w.policy.Witnesses {
		named[one.Key] = true
	}
	for _, i := range all {
		if !named[i.Key] {
			continue
		}
		still, err := i.holds(ctx, l)
		if err != nil {
			return err
		}
		if still {
			w.mu.Lock()
			w.stopped = &i
			w.mu.Unlock()
			return i.cause()
		}
	}
	w.mu.Lock()
	w.stopped = nil
	w.mu.Unlock()
	return nil
}

// holds reports whether the log still is as the witness refused it.
func (i *incident) holds(ctx context.Context, l *ledger.Log) (bool, error) {
	size, err := l.Size(ctx)
	if err != nil {
		return false, err
	}
	if i.Kind == "rolled_back" {
		return size < i.Size, nil
	}
	head, err := l.ParseHead([]byte(i.Head))
	if err != nil {
		return false, fmt.Errorf("reading the incidents on record: %w", err)
	}
	return l.Contains(ctx, head)
}
