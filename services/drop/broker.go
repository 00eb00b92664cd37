package drop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Broker runs sessions: it fetches the lists, holds what the company has against
// them and against everything received before, has done what follows, and
// answers for every item. It stores each step before it acts, so that a run that
// was broken off anywhere is simply run again.
type Broker struct {
	Ledger   *Ledger
	Platform *Platform
	File     Filer
	// People opens the company's own file of whom it holds data on.
	People func() (io.ReadCloser, error)
	// Spool is the folder for a download until it is read.
	Spool string
	// Rows is how many answers one uploaded file has; 0 is 100,000.
	Rows int
	// Wait is how long a run waits for requests that are not answered.
	Wait time.Duration
	// Poll is how often it looks meanwhile; 0 is 2 s.
	Poll time.Duration
	Now  func() time.Time
}

// Report is what a run came to.
type Report struct {
	Batch string `json:"batch,omitempty"` // the download that was worked on
	Progress
	// Unreported items have no status yet, or one that the platform lacks.
	Unreported int64 `json:"unreported"`
	// Files are those a person has to upload by hand.
	Files []string `json:"files,omitempty"`
}

// Whole reports whether nothing is left to do.
func (r Report) Whole() bool { return r.Open == 0 && r.Undone == 0 && r.Unreported == 0 }

// Session does everything a session asks for, through the platform's API.
func (b *Broker) Session(ctx context.Context) (Report, error) {
	if err := b.Ledger.send(ctx, b.Platform, b.Now()); err != nil {
		return Report{}, b.failed(ctx, err)
	}
	if err := b.fetch(ctx); err != nil {
		return Report{}, b.failed(ctx, err)
	}
	r, err := b.work(ctx)
	if err != nil {
		return r, err
	}
	if err := b.Ledger.prepare(ctx, r.Batch, b.rows(), b.Now()); err != nil {
		return r, err
	}
	if err := b.Ledger.send(ctx, b.Platform, b.Now()); err != nil {
		return r, b.failed(ctx, err)
	}
	if err := b.Ledger.accessed(ctx, b.Now(), accessWorked); err != nil {
		return r, err
	}
	r.Unreported, err = b.Ledger.unreported(ctx)
	return r, err
}

// failed records that the automated link did not work: when that lasts, the
// agency is to be told in writing (11 CCR 7612(b)(1)).
func (b *Broker) failed(ctx context.Context, err error) error {
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRefused) || errors.Is(err, ErrOpenBatch) {
		return errors.Join(err, b.Ledger.accessed(context.WithoutCancel(ctx), b.Now(), accessFailed))
	}
	return err
}

// fetch gets a download, unless one is open.
func (b *Broker) fetch(ctx context.Context) error {
	open, err := b.Ledger.OpenBatch(ctx)
	if err != nil {
		return err
	}
	waiting, err := filepath.Glob(filepath.Join(b.Spool, "*.zip"))
	if err != nil {
		return fmt.Errorf("looking for a download: %w", err)
	}
	if len(waiting) == 0 && open != nil {
		if open.State == batchReading {
			return fmt.Errorf("%s was not read to its end and is gone: give it again with --lists: %w", open.Name, ErrOpenBatch)
		}
		return nil
	}
	if len(waiting) == 0 {
		path, err := b.Platform.Download(ctx, b.Spool)
		switch {
		case errors.Is(err, ErrOpenBatch):
			return fmt.Errorf("%w: none is open here; get it from the platform's pages and give it with --lists", err)
		case err != nil:
			return err
		case path == "":
			return b.Ledger.accessed(ctx, b.Now(), accessDone)
		}
		waiting = []string{path}
	}
	name, err := b.Ledger.Take(ctx, waiting[0], "api", b.Now())
	before := false
	if errors.Is(err, ErrBatch) {
		if before, err = b.Ledger.has(ctx, name); err == nil && !before {
			return nil // another one is open: that is answered first, and this one is nowhere else
		}
	}
	if err != nil {
		return err
	}
	// It names people; the ledger has it now.
	if err := os.Remove(waiting[0]); err != nil {
		return fmt.Errorf("removing the download: %w", err)
	}
	if before && open == nil {
		return b.fetch(ctx) // it was a leftover, and there may be something new
	}
	return nil
}

// ByHand works on an archive that a person downloaded, "" to go on with one, and
// writes the answers to a folder, from which a person uploads them;
// [Broker.Uploaded] says that they did.
func (b *Broker) ByHand(ctx context.Context, archive, folder string) (Report, error) {
	if archive != "" {
		if _, err := b.Ledger.Take(ctx, archive, "hand", b.Now()); err != nil {
			return Report{}, err
		}
	}
	r, err := b.work(ctx)
	if err != nil {
		return r, err
	}
	if err := b.Ledger.prepare(ctx, r.Batch, b.rows(), b.Now()); err != nil {
		return r, err
	}
	parts, err := b.Ledger.ready(ctx)
	if err != nil {
		return r, err
	}
	for _, p := range parts {
		path := filepath.Join(folder, p.Name)
		if err := b.writeFile(ctx, p.Name, path); err != nil {
			return r, err
		}
		r.Files = append(r.Files, path)
	}
	r.Unreported, err = b.Ledger.unreported(ctx)
	return r, err
}

func (b *Broker) writeFile(ctx context.Context, name, path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return fmt.Errorf("writing answers: %w", err)
	}
	return errors.Join(b.Ledger.write(ctx, name, f), f.Sync(), f.Close())
}

// Uploaded records that a person uploaded a file of answers by hand. The error
// is [ErrBatch] when no such file waits.
func (b *Broker) Uploaded(ctx context.Context, name string) error {
	parts, err := b.Ledger.ready(ctx)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if p.Name == name {
			return b.Ledger.sent(ctx, name, b.Now())
		}
	}
	return fmt.Errorf("no file %.100q waits to be uploaded: %w", name, ErrBatch)
}

// Look holds what the company has against everything received, between
// sessions, and has done what follows; the next session reports it (11 CCR
// 7613(c)).
func (b *Broker) Look(ctx context.Context) (Report, error) {
	r, err := b.work(ctx)
	if err == nil {
		r.Unreported, err = b.Ledger.unreported(ctx)
	}
	return r, err
}

func (b *Broker) rows() int {
	if b.Rows == 0 {
		return 100_000
	}
	return b.Rows
}

// work matches, files and settles.
func (b *Broker) work(ctx context.Context) (r Report, err error) {
	open, err := b.Ledger.OpenBatch(ctx)
	if err != nil {
		return r, err
	}
	if open != nil {
		if open.State == batchReading {
			return r, fmt.Errorf("%s is not read to its end: %w", open.Name, ErrBatch)
		}
		r.Batch = open.Name
	}
	s, state, err := b.Ledger.openScan(ctx, r.Batch, b.Now())
	if err != nil {
		return r, err
	}
	if state == scanOver {
		return r, nil
	}
	again, err := s.retry(ctx)
	if err != nil {
		return r, err
	}
	if again || state == scanMatching {
		if err := b.withPeople(func(people io.Reader) error { return s.match(ctx, people) }); err != nil {
			return r, err
		}
		if err := s.file(ctx, b.withPeople, b.File); err != nil {
			return r, err
		}
	}
	for until := b.Now().Add(b.Wait); ; {
		if r.Progress, err = s.settle(ctx, r.Batch, b.Now()); err != nil || r.Open == 0 || !b.Now().Before(until) {
			return r, err
		}
		poll := b.Poll
		if poll == 0 {
			poll = 2 * time.Second
		}
		if !sleep(ctx, poll) {
			return r, ctx.Err()
		}
	}
}

func (b *Broker) withPeople(fn func(io.Reader) error) (err error) {
	people, err := b.People()
	if err != nil {
		return fmt.Errorf("opening the file of people: %w", err)
	}
	defer func() { err = errors.Join(err, people.Close()) }()
	return fn(people)
}

func (l *Ledger) unreported(ctx context.Context) (n int64, err error) {
	if err := l.DB.QueryRowContext(ctx, `SELECT count(*) FROM drop_item WHERE status <> reported OR reported = 0`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting items without an answer: %w", err)
	}
	return n, nil
}
