// Command habeas-demo makes and runs the demo company: a few thousand invented
// people in a billing database, a CRM, analytics files and an ad-tech database
// with an advertising partner behind it.
//
//	habeas-demo seed  --dir DIR [--people N] [--force]
//	habeas-demo serve --dir DIR [--crm-addr ADDR] [--partner-addr ADDR]
//	habeas-demo dump  --dir DIR --system billing|crm|analytics|adtech|partner
//	habeas-demo people [--first N --count N]
//
// All state is in DIR and survives a restart. The servers are for this machine:
// they have no TLS, and the partner's certificate authority is made up.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/habeas-data/habeas/connectors/demo"
)

const usage = `usage:
  habeas-demo seed  --dir DIR [--people N] [--force]
  habeas-demo serve --dir DIR [--crm-addr ADDR] [--partner-addr ADDR]
  habeas-demo people [--first N --count N]
  habeas-demo dump  --dir DIR --system ` + "billing|crm|analytics|adtech|partner"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("HABEAS_PARENT_PIPE") == "1" {
		ctx = untilEOF(ctx, os.Stdin)
	}
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		stop()
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(os.Stderr, "habeas-demo: %v\n", err)
		}
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// untilEOF returns a context that ends when r does: with the parent process.
func untilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, r) // the end matters, and not what came
	}()
	return ctx
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("habeas-demo "+args[0], flag.ContinueOnError)
	dir := flags.String("dir", "", "the company's folder")
	var act func() error
	switch args[0] {
	case "seed":
		people := flags.Int("people", demo.Size, "how many people the company knows")
		force := flags.Bool("force", false, "make an existing company anew")
		act = func() error { return seed(ctx, *dir, *people, *force) }
	case "serve":
		o := serveOptions{}
		flags.StringVar(&o.crmAddr, "crm-addr", "127.0.0.1:0", "where the CRM listens")
		flags.StringVar(&o.partnerAddr, "partner-addr", "127.0.0.1:0", "where the partner listens")
		flags.DurationVar(&o.crmDelay, "crm-delay", 300*time.Millisecond, "how long the CRM takes to delete a contact")
		flags.DurationVar(&o.partnerDelay, "partner-delay", 500*time.Millisecond, "how long the partner takes for a request")
		flags.Float64Var(&o.crmRate, "crm-rate", 250, "requests a second the CRM answers; 0 means any number")
		flags.IntVar(&o.people, "people", demo.Size, "how many people, when the folder has not been seeded")
		act = func() error { return serve(ctx, *dir, o, stdout) }
	case "dump":
		system := flags.String("system", "", "one of "+strings.Join(demo.Systems, ", "))
		act = func() error {
			out := bufio.NewWriter(stdout)
			return errors.Join(demo.Dump(ctx, out, *dir, *system), out.Flush())
		}
	case "people":
		first := flags.Int("first", 0, "number of the first ordinary person to print")
		count := flags.Int("count", 0, "how many ordinary people to print")
		act = func() error { return people(stdout, *first, *count) }
	default:
		return errors.New(usage)
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *dir == "" && args[0] != "people" {
		return errors.New("--dir is missing: name the company's folder")
	}
	return act()
}
