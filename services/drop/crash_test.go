package drop_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

var errCrash = errors.New("the process is gone")

// crasher breaks a run off after some statements, before or after the statement
// has its effect. Afterwards nothing works until it is put off.
type crasher struct {
	on    bool
	left  int
	after bool
}

func (c *crasher) do(fn func() error) error {
	if !c.on {
		return fn()
	}
	if c.left--; c.left >= 0 {
		return fn()
	}
	if c.left == -1 && c.after {
		if err := fn(); err != nil {
			return err
		}
	}
	return errCrash
}

type shakyConnector struct {
	dsn   string
	crash *crasher
}

func (s *shakyConnector) Connect(context.Context) (driver.Conn, error) {
	in, err := s.Driver().Open("file:" + s.dsn + "?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=synchronous(off)")
	if err != nil {
		return nil, err
	}
	return &shakyConn{in, s.crash}, nil
}

func (s *shakyConnector) Driver() driver.Driver {
	db, err := sql.Open("sqlite", "")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	return db.Driver()
}

type shakyConn struct {
	driver.Conn
	crash *crasher
}

func (c *shakyConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (res driver.Result, err error) {
	err = c.crash.do(func() (err error) { res, err = c.Conn.(driver.ExecerContext).ExecContext(ctx, q, args); return err })
	return res, err
}

func (c *shakyConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (rows driver.Rows, err error) {
	var open driver.Rows
	err = c.crash.do(func() (err error) {
		open, err = c.Conn.(driver.QueryerContext).QueryContext(ctx, q, args)
		return err
	})
	if err != nil && open != nil {
		return nil, errors.Join(err, open.Close())
	}
	return open, err
}

func (c *shakyConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &shakyTx{tx, c.crash}, nil
}

type shakyTx struct {
	driver.Tx
	crash *crasher
}

func (t *shakyTx) Commit() error {
	done := false
	err := t.crash.do(func() error { done = true; return t.Tx.Commit() })
	if err != nil && !done {
		return errors.Join(err, t.Tx.Rollback())
	}
	return err
}
