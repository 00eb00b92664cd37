package mailbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/habeas-data/habeas/services/internal/room"
)

// Run looks into the mailbox until ctx ends. A server that is away is waited
// for.
func (r *Room) Run(ctx context.Context) error {
	poll := r.Poll
	if poll <= 0 {
		poll = time.Minute
	}
	for {
		if _, err := r.Look(ctx); err != nil && ctx.Err() == nil {
			r.Logger.WarnContext(ctx, "looking into the mailbox; trying again", slog.Any("error", err))
		}
		if !room.Sleep(ctx, poll) {
			return nil
		}
	}
}

// lookTimeout bounds one look into the mailbox.
const lookTimeout = 5 * time.Minute

// Look takes a request from every message that was not read, and marks it read
// once the request is stored. It returns how many there were.
func (r *Room) Look(ctx context.Context) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	client, err := r.connect(ctx)
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() }) // ends what waits for the server
	defer stop()
	defer client.Close() //nolint:errcheck // whatever was to be said to the server is said
	if _, err := client.Select(r.Folder, nil).Wait(); err != nil {
		return 0, errors.New("mailbox.folder: the server has no such folder, or does not let us in")
	}
	found, err := client.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagSeen}}, nil).Wait()
	if err != nil {
		return 0, errors.New("searching the mailbox: the server refuses")
	}
	for _, uid := range found.AllUIDs() {
		if err := r.takeOne(ctx, client, uid); err != nil {
			return n, err
		}
		n++
	}
	return n, client.Logout().Wait()
}

// connect signs in. Errors do not repeat what the server said.
func (r *Room) connect(ctx context.Context) (*imapclient.Client, error) {
	host, _, err := net.SplitHostPort(r.Addr)
	if err != nil {
		return nil, errors.New("mailbox.addr: want host:port")
	}
	var conn net.Conn
	if r.Plain {
		conn, err = (&net.Dialer{Timeout: 20 * time.Second}).DialContext(ctx, "tcp", r.Addr)
	} else {
		conn, err = (&tls.Dialer{Config: &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", r.Addr)
	}
	if err != nil {
		return nil, fmt.Errorf("connecting to the mailbox: %w", err)
	}
	password, err := r.PasswordFile.Read()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	client := imapclient.New(conn, nil)
	if err := client.Login(r.User, password.Reveal()).Wait(); err != nil {
		return nil, errors.Join(errors.New("signing in to the mailbox: check mailbox.user and mailbox.password_file"), client.Close())
	}
	return client, nil
}

// takeOne takes one message. What can't be read is flagged for a person and
// marked read, so that it does not hold up the rest.
func (r *Room) takeOne(ctx context.Context, client *imapclient.Client, uid imap.UID) error {
	set := imap.UIDSetNum(uid)
	flags := []imap.Flag{imap.FlagSeen}
	switch err := r.fetch(ctx, client, set); {
	case ForAPerson(err):
		r.Logger.WarnContext(ctx, "a message in the mailbox can't be taken as a request; a person must look", slog.Any("error", err))
		flags = append(flags, imap.FlagFlagged)
	case err != nil:
		return err
	}
	if err := client.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: flags}, nil).Close(); err != nil {
		return errors.New("marking a message as read: the server refuses")
	}
	return nil
}

// fetch reads one message and takes it. Its size is asked for first: what is read
// is read into memory.
func (r *Room) fetch(ctx context.Context, client *imapclient.Client, set imap.UIDSet) error {
	gone := errors.New("reading a message: the server does not give it")
	sizes, err := client.Fetch(set, &imap.FetchOptions{InternalDate: true, RFC822Size: true}).Collect()
	switch {
	case err != nil || len(sizes) != 1:
		return gone
	case sizes[0].RFC822Size > maxMessage:
		return ErrLarge
	}
	section := &imap.FetchItemBodySection{Peek: true}
	fetched, err := client.Fetch(set, &imap.FetchOptions{BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil || len(fetched) != 1 {
		return gone
	}
	_, err = r.Take(ctx, fetched[0].FindBodySection(section), sizes[0].InternalDate)
	return err
}
