package litestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// busyTimeout is how long a connection waits for another one's lock, in milliseconds.
const busyTimeout = 10_000

func waitFor(ctx context.Context, conn *sql.Conn, milliseconds int) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", milliseconds))
	return err
}

// wipe begins the write-ahead log anew when something was destroyed: pages as they
// were before stand in it until others are written over them, and whoever has the
// master key could read there what was destroyed.
//
// It does not wait for long for who reads from the log, and what it can't do now it
// does the next time, also after a restart. So its trouble is nobody's error: what
// was destroyed is committed.
func (s *Store) wipe(ctx context.Context, something bool) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.unwiped = s.unwiped || something
	if s.unwiped && s.truncate(ctx) == nil {
		s.unwiped = false
	}
}

var errRead = errors.New("somebody reads from the log")

func (s *Store) truncate(ctx context.Context) (err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := waitFor(ctx, conn, 250); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, waitFor(context.WithoutCancel(ctx), conn, busyTimeout)) }()
	var busy, inLog, copied int
	if err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &inLog, &copied); err != nil {
		return err
	}
	if busy != 0 {
		return errRead
	}
	return nil
}
