package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/proto/wire"
)

// testFlags are the choices of habeas-connector test.
type testFlags struct {
	identifiers, config, natsURL, listen, report string
	erase, optOut, noCrash                       bool
	patience                                     time.Duration
}

func testCommand() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test NAME --identifiers FILE [flags] [-- PROGRAM ARGS...]",
		Short: "Test a connector in any language over the bus, as the coordinator would meet it",
		Long: `Test a connector in any language over the bus, as the coordinator would meet it.

The tool starts a NATS server of its own, with a user that has a connector's
permissions and nothing else, and plays the coordinator. The connector is

    -- PROGRAM ARGS...   started by the tool, told where the bus is by HABEAS_NATS_URL,
                         HABEAS_NATS_USER, HABEAS_NATS_PASSWORD_FILE, HABEAS_STATE_DIR
                         and HABEAS_COORDINATOR_KEY;
    --config FILE        a connector from a YAML alone, started the same way;
    neither              started by you: the tool prints what it needs to know.

FILE says who is in the system:

    person: {email: ann@example.com}       # is found; erased if --erase is given
    others: [{email: bob@example.com}]     # are found, and left alone
    stranger: {email: no@example.invalid}  # is not found; made up if left out

With --erase, a connector that the tool started is also killed in the middle of
the erasure and started again, unless --no-crash is given.

With --report FILE the result is written as JSON. Put into a connector's state
directory as conformance.json, the connector announces it, and the console shows it.

The exit code is 0 when every promise that could be checked is kept, 1 when one
is not, and 2 when the test could not be held.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTest(cmd.Context(), args[0], args[1:], f, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.identifiers, "identifiers", "", "YAML file that says who is in the system")
	flags.StringVar(&f.config, "config", "", "a connector's YAML, to run it from that alone")
	flags.StringVar(&f.natsURL, "nats", "", "a bus that is there already, reached with the coordinator's rights")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:0", "address of the tool's own bus")
	flags.BoolVar(&f.erase, "erase", false, "also test erasure: the person will be gone")
	flags.BoolVar(&f.optOut, "opt-out", false, "also test opting out: the person will be opted out")
	flags.BoolVar(&f.noCrash, "no-crash", false, "don't kill the connector in the middle of the erasure")
	flags.StringVar(&f.report, "report", "", "write the result to a file; as conformance.json in a connector's state directory it is announced")
	flags.DurationVar(&f.patience, "patience", 30*time.Second, "how long to wait for each answer")
	if err := cmd.MarkFlagRequired("identifiers"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

// cast is who is in the system, as kind and value.
type cast struct {
	Person   map[string]string   `yaml:"person"`
	Others   []map[string]string `yaml:"others"`
	Stranger map[string]string   `yaml:"stranger"`
}

func readCast(file string) (cast, error) {
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return cast{}, fmt.Errorf("reading the identifiers: %w", err)
	}
	var c cast
	if err := yaml.UnmarshalWithOptions(text, &c, yaml.Strict()); err != nil {
		return cast{}, fmt.Errorf("reading %s: %s", file, yaml.FormatError(err, false, false))
	}
	if len(c.Person) == 0 {
		return cast{}, fmt.Errorf("reading %s: person: at least one identifier is needed", file)
	}
	return c, nil
}

func runTest(ctx context.Context, name string, program []string, f testFlags, out, errOut io.Writer) (err error) {
	if err := wire.CheckName(name); err != nil {
		return err
	}
	people, err := readCast(f.identifiers)
	if err != nil {
		return err
	}
	coordinator, err := wire.NewSealKey()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "habeas-connector-test-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	own, access, err := f.ownBus(filepath.Join(dir, "bus"), name)
	if err != nil {
		return err
	}
	if own != nil {
		defer own.stop()
	}
	js, disconnect, err := f.join(ctx, own, name)
	if err != nil {
		return err
	}
	defer disconnect()
	if f.config != "" {
		if program, err = fromYAML(f.config); err != nil {
			return err
		}
	}
	log := watchLog(errOut, people)
	start := func() (*child, error) { return startProgram(ctx, program, access, dir, coordinator.Public(), log) }
	child, err := start()
	if err != nil {
		return err
	}
	e := &examiner{
		js: js, name: name, coordinator: coordinator, people: people, erase: f.erase, optOut: f.optOut, patience: f.patience, out: out,
	}
	if child == nil {
		if err := access.tell(out, dir, coordinator.Public()); err != nil {
			return err
		}
	} else if !f.noCrash {
		e.crash = func(context.Context) (err error) {
			if err := child.kill(); err != nil {
				return err
			}
			child, err = start()
			return err
		}
	}
	if err := examine(ctx, e); err != nil {
		return errors.Join(err, child.stop())
	}
	if own != nil {
		e.check(ctx, "it keeps to its permissions on the bus", own.refusals.check)
	}
	if child != nil {
		e.check(ctx, "it ends when it is told to", func(context.Context) error { return child.stop() })
		e.check(ctx, "its log names nobody", log.check)
	}
	if err := e.report(f.report); err != nil {
		return err
	}
	return e.verdict()
}

// ownBus is the tool's own bus and what a connector needs to join it; nothing where
// one is there already.
func (f *testFlags) ownBus(dir, name string) (*bus, busAccess, error) {
	if f.natsURL != "" {
		return nil, busAccess{}, nil
	}
	own, err := startBus(f.listen, dir, name)
	if err != nil {
		return nil, busAccess{}, err
	}
	return own, own.access, nil
}

// join reaches the bus with the coordinator's rights and makes what the connector
// reads from.
func (f *testFlags) join(ctx context.Context, own *bus, name string) (js jetstream.JetStream, disconnect func(), err error) {
	url, options := f.natsURL, wire.StreamOptions{}
	if own != nil {
		// A job whose connector was killed comes again soon.
		url, options.AckWait = own.coordinatorURL, 3*time.Second
	}
	conn, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to the bus: %w", err)
	}
	if js, err = jetstream.New(conn); err == nil {
		err = wire.EnsureStreams(ctx, js, options)
	}
	if err == nil {
		err = wire.EnsureConnector(ctx, js, name, options)
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return js, conn.Close, nil
}

// fromYAML is the program of a connector that is made from a YAML alone.
func fromYAML(config string) ([]string, error) {
	self, err := os.Executable()
	return []string{self, "run", config}, err
}
