package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/internal/room"
)

func upCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "up", Args: cobra.NoArgs,
		Short: "Run everything on this machine: all rooms, NATS, SQLite and the connectors",
		Long: `Run every room in one process with an embedded NATS server and SQLite, and each
connector as a child process. Everything is kept in one folder, .state, and
picked up again after a restart. Without a configuration file that names
connectors it serves the demo company.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := loadConfig(file)
			if err != nil {
				return err
			}
			return up(cmd.Context(), c, cmd.OutOrStdout(), nil)
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	return cmd
}

// clientFile tells the command line client on the same machine where the API
// is and where its token lies.
type clientFile struct {
	Server    string `json:"server"`
	TokenFile string `json:"token_file"`
	Console   string `json:"console"`
	// Bus is the bus with the user that may ask whom systems hold.
	Bus string `json:"bus"`
}

// up runs everything until ctx is cancelled. ready, when not nil, is called
// once all rooms and connectors work.
func up(ctx context.Context, c config, out io.Writer, ready func(clientFile)) (err error) {
	started := time.Now()
	if c.StateDir, err = filepath.Abs(c.StateDir); err != nil {
		return fmt.Errorf("finding the state folder: %w", err)
	}
	c = c.replaced()
	if err := c.makeKeys(); err != nil {
		return err
	}
	lock, err := lockState(c.StateDir)
	if err != nil {
		return err
	}
	defer lock.Close() //nolint:errcheck // the lock ends with the process
	logFile, logger, err := c.openLog()
	if err != nil {
		return err
	}
	defer logFile.Close() //nolint:errcheck // every line was written already
	if c.HTTP.TokenFile, err = c.localToken(); err != nil {
		return err
	}
	if err := c.migrate(ctx, false); err != nil {
		return err
	}
	children, err := c.children(logger)
	if err != nil {
		return err
	}
	children.out = out
	broker, err := startBroker(c.StateDir, children.names())
	if err != nil {
		return err
	}
	defer broker.stop()
	c.NATS = natsConfig{URL: broker.url, Replicas: 1, AckWait: c.NATS.AckWait}
	rt, err := c.open(ctx, logger, requestsAndBus, nats.UserInfo(roomsUser, broker.passwords[roomsUser]), nats.InProcessServer(broker.server))
	if err != nil {
		return err
	}
	rt.demoCompany = children.company
	client, err := rt.prepare(ctx, children, broker)
	if err != nil {
		return errors.Join(err, rt.shut())
	}
	rt.group.Add("NATS", func(ctx context.Context) error { return broker.watch(ctx, c.StateDir) })
	rt.group.Add("announcing", func(ctx context.Context) error {
		return announceReady(ctx, rt, children, client, out, started, ready)
	})
	return rt.serve(ctx, "habeas")
}

// replaced gives paths that followed from the default state folder their place
// under the real one.
func (c config) replaced() config {
	fresh := config{StateDir: c.StateDir, Log: c.Log, HTTP: c.HTTP, NATS: c.NATS, Intake: c.Intake, Coordinator: c.Coordinator, Delivery: c.Delivery, Connectors: c.Connectors, Console: c.Console, Effect: c.Effect}
	fresh.Audit.Origin, fresh.Audit.WitnessPolicy = c.Audit.Origin, c.Audit.WitnessPolicy
	fresh.Delivery.Packages, fresh.Delivery.SpoolDir = "", ""
	fresh.place()
	return fresh
}

// prepare adds every room and the children to the process.
func (r *runtime) prepare(ctx context.Context, children *children, broker *broker) (clientFile, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", r.HTTP.Addr)
	if err != nil {
		return clientFile{}, fmt.Errorf("listening on %s: %w; is another \"habeas up\" running? set HABEAS_HTTP_ADDR to another address", r.HTTP.Addr, err)
	}
	r.listener, r.once = listener, randomHex(24)
	for _, add := range []func(*runtime, context.Context) error{
		(*runtime).addIntake, (*runtime).addCoordinator, (*runtime).addDelivery, (*runtime).addAudit, (*runtime).addConsole, (*runtime).addEffect,
	} {
		if err := add(r, ctx); err != nil {
			return clientFile{}, errors.Join(err, listener.Close())
		}
	}
	client := clientFile{Server: "http://" + listener.Addr().String(), TokenFile: string(r.HTTP.TokenFile)}
	client.Bus = strings.Replace(broker.url, "://", "://"+listerName+":"+broker.passwords[listerName]+"@", 1)
	client.Console = client.Server + "/login?token=" + r.once
	text, err := json.MarshalIndent(client, "", "  ")
	if err != nil {
		return clientFile{}, errors.Join(fmt.Errorf("describing the API: %w", err), listener.Close())
	}
	if err := os.WriteFile(filepath.Join(r.StateDir, "client.json"), append(text, '\n'), 0o600); err != nil {
		return clientFile{}, errors.Join(fmt.Errorf("writing client.json: %w", err), listener.Close())
	}
	children.prepare(r, broker)
	r.group.Add("connectors", children.run)
	return client, nil
}

// lockState makes sure that one process has the state folder.
func lockState(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("locking the state folder: %w", err)
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("the state folder %s is used by another habeas: %w", dir, err), f.Close())
	}
	return f, nil
}

func (c *config) openLog() (*os.File, *slog.Logger, error) {
	dir := filepath.Join(c.StateDir, "logs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("making the folder for logs: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "habeas.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, nil, fmt.Errorf("opening the log: %w", err)
	}
	logger, err := room.LoggerTo(logWriter{file: f, instead: os.Stderr}, c.Log.Level, c.Log.Format)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	slog.SetDefault(logger)
	return f, logger, nil
}

// logWriter writes to the log file, and where that can't be written, as on a
// full disk, to the terminal: what goes wrong then must not go unsaid.
type logWriter struct{ file, instead io.Writer }

// Write implements [io.Writer].
func (w logWriter) Write(line []byte) (int, error) {
	if n, err := w.file.Write(line); err == nil {
		return n, nil
	}
	return w.instead.Write(line)
}

// localToken makes the API token of this machine on the first start.
func (c *config) localToken() (room.SecretFile, error) {
	if c.HTTP.TokenFile != "" {
		return c.HTTP.TokenFile, nil
	}
	path := filepath.Join(c.Keys.Dir, "api.token")
	_, err := room.KeyFile(path, func() ([]byte, error) { return []byte(randomHex(24) + "\n"), nil })
	return room.SecretFile(path), err
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// roomsUser is the NATS user of the rooms in "habeas up".
const roomsUser = "rooms"

// listerName is the NATS user, and the name of the key, of "habeas drop" when it
// asks systems whom they hold.
const listerName = "drop"

// broker is the embedded NATS server.
type broker struct {
	server    *server.Server
	url       string
	passwords map[string]string
}

// startBroker starts NATS with one user for the rooms and one for each
// connector, with passwords that live as long as the process.
func startBroker(dir string, connectors []string) (*broker, error) {
	b := &broker{passwords: map[string]string{roomsUser: randomHex(16)}}
	users := []*server.User{{Username: roomsUser, Password: b.passwords[roomsUser]}}
	for _, name := range connectors {
		b.passwords[name] = randomHex(16)
		publish, subscribe := wire.Permissions(name)
		users = append(users, &server.User{Username: name, Password: b.passwords[name], Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe},
		}})
	}
	b.passwords[listerName] = randomHex(16)
	users = append(users, &server.User{Username: listerName, Password: b.passwords[listerName], Permissions: &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{wire.PeopleSubject("*")}},
		Subscribe: &server.SubjectPermission{Allow: []string{wire.InboxPrefix(listerName) + ".>", wire.PeopledSubject("*", "*")}},
	}})
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: filepath.Join(dir, "jetstream"),
		Users: users, NoSigs: true, NoLog: true, MaxPayload: 2 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("starting NATS: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, errors.New("starting NATS: not ready after 10 s; see the disk and the folder jetstream in the state folder")
	}
	b.server, b.url = s, s.ClientURL()
	return b, nil
}

// watch ends with an error when the disk is full, whether or not JetStream has
// noticed. It stops when it does, and starting it again in a running server
// leaves clients behind that get nothing any more; started anew, everything is
// picked up where it was.
func (b *broker) watch(ctx context.Context, dir string) error {
	for b.server.JetStreamEnabled() && hasRoom(dir) {
		if !room.Sleep(ctx, time.Second) {
			return nil
		}
	}
	return fmt.Errorf("the disk is full: make room under %s and start habeas again; nothing is lost", dir)
}

// hasRoom reports whether a little can still be written to a folder. Other
// trouble than want of room is not its business.
func hasRoom(dir string) bool {
	f, err := os.CreateTemp(dir, "room-")
	if err != nil {
		return !errors.Is(err, syscall.ENOSPC)
	}
	_, err = f.Write(make([]byte, 64<<10))
	return !errors.Is(errors.Join(err, f.Close(), os.Remove(f.Name())), syscall.ENOSPC)
}

func (b *broker) stop() {
	b.server.Shutdown()
	b.server.WaitForShutdown()
}

// announceReady waits until every room and connector works and says so. A
// connector that does not come up delays only itself, except where somebody
// waits for all.
func announceReady(ctx context.Context, r *runtime, children *children, client clientFile, out io.Writer, started time.Time, ready func(clientFile)) error {
	for !r.allReady() || !children.allUp(ctx, r) {
		if !room.Sleep(ctx, 20*time.Millisecond) {
			return nil
		}
		if time.Since(started) > 30*time.Second {
			if ready != nil || !r.allReady() {
				return fmt.Errorf("not ready after 30 s: %s; see %s", r.notReady(ctx, children), filepath.Join(r.StateDir, "logs"))
			}
			if _, err := fmt.Fprintf(out, "Going on: %s; see %s\n", r.notReady(ctx, children), filepath.Join(r.StateDir, "logs")); err != nil {
				return fmt.Errorf("saying what is missing: %w", err)
			}
			break
		}
	}
	_, err := fmt.Fprintf(out, "Habeas is ready after %.1f s.\n  console  %s\n           (this link signs you in once; after that, paste the token from %s)\n  API      %s/v1   (described at /v1/openapi.json)\n  log      %s%s/checkpoint\n  state    %s\n",
		time.Since(started).Seconds(), client.Console, client.TokenFile, client.Server, client.Server, logPrefix, r.StateDir)
	if err != nil {
		return fmt.Errorf("saying that all is ready: %w", err)
	}
	if ready != nil {
		ready(client)
	}
	return nil
}

func (r *runtime) allReady() bool {
	for _, check := range r.checks {
		if check() != nil {
			return false
		}
	}
	return true
}

// notReady says what is missing, in words.
func (r *runtime) notReady(ctx context.Context, children *children) string {
	for name, check := range r.checks {
		if err := check(); err != nil {
			return fmt.Sprintf("%s: %v", name, err)
		}
	}
	return "connectors still missing: " + fmt.Sprint(children.missing(ctx, r))
}
