package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/aftercare"
	"github.com/habeas-data/habeas/services/audit"
	"github.com/habeas-data/habeas/services/console"
	"github.com/habeas-data/habeas/services/coordinator"
	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/intake"
	"github.com/habeas-data/habeas/services/internal/room"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
	"github.com/habeas-data/habeas/services/suppression"
)

func (r *runtime) addIntake(ctx context.Context) error {
	if err := r.openIntake(); err != nil {
		return err
	}
	if err := r.declare(ctx); err != nil {
		return err
	}
	return r.addDoors(ctx)
}

func (r *runtime) openIntake() error {
	signer, err := r.signer("intake", r.instance)
	if err != nil {
		return err
	}
	set, err := regimes.Load()
	if err != nil {
		return err
	}
	pepper, err := r.pepper()
	if err != nil {
		return err
	}
	company, err := r.loadTenant(set, r.logger)
	if err != nil {
		return err
	}
	bases, err := r.basesOf()
	if err != nil {
		return err
	}
	config := intake.Config{
		Training: training(company, r.store), Approvers: r.Intake.Approvers, PlanApprovers: r.Intake.PlanApprovers,
		Store: r.store, Regimes: set, Vault: r.vault, Signer: signer, Conn: r.conn, JS: r.js, Pepper: pepper,
		Regime: r.Intake.Regime, Bases: bases, Logger: r.logger.With("room", "intake"),
	}
	if company != nil {
		config.SellsOrShares, config.PolicyURL = company.SellsOrShares, company.Policy.URL
		for _, c := range company.Channels {
			config.Channels = append(config.Channels, request.Channel(c))
		}
		if len(config.Channels) > 0 { // the API is how the company's own programs hand requests in
			config.Channels = append(config.Channels, request.ChannelAPI)
		}
	}
	in := intake.New(config)
	r.intake = in
	api := in.API(version())
	r.mounts["/v1/"] = r.protect(api)
	after := &aftercare.Service{Store: r.store, Tell: r.tellIncident}
	list := &suppression.List{Store: r.store, Vault: r.vault, Noticed: after.Noticed}
	if err := r.addLedger(company, set); err != nil {
		return err
	}
	r.mounts["POST /v1/kept:check"] = r.protect(list.UseHandler(r.logger.With("room", "intake")))
	r.mounts["POST /v1/suppression:check"] = r.protect(list.Handler(r.logger.With("room", "intake")))
	lists, err := ledgerOf(r.store, r.vault)
	if err != nil {
		return err
	}
	r.mounts["POST /v1/drop:check"] = r.protect(lists.CheckHandler(r.logger.With("room", "intake")))
	r.mounts["POST /v1/suppression:release"] = r.protect(list.ReleaseHandler(r.logger.With("room", "intake")))
	r.mounts["/v1/tokens"] = r.protect(named(r.guard.Keeper.Handler(r.logger.With("room", "intake"), "api")))
	r.mounts["/v1/tokens/{id}"] = r.mounts["/v1/tokens"]
	for pattern, h := range after.Handlers(r.logger.With("room", "intake")) {
		r.mounts[pattern] = r.protect(h)
	}
	r.mounts["/v1/openapi.json"] = api
	r.mounts["/v1/openapi.yaml"] = api
	return nil
}

// tellIncident lets integrations know of an incident, once; it is stored.
func (r *runtime) tellIncident(i store.Incident) {
	msg, err := aftercare.EventMessage("intake", i)
	if err == nil {
		_, err = r.js.PublishMsgAsync(msg)
	}
	if err != nil {
		r.logger.Warn("telling of an incident", slog.String("incident", i.ID), slog.Any("error", err))
	}
}

// addConsole adds the pages for staff. Alone in a process it acts through an
// intake of its own, without the API.
func (r *runtime) addConsole(context.Context) error {
	if r.intake == nil {
		if err := r.openIntake(); err != nil {
			return err
		}
		clear(r.mounts)
		r.mountEvidence()
		if err := r.mountLog(); err != nil {
			return err
		}
	}
	var evidence console.Evidence
	if r.log.here != nil || r.Audit.URL != "" {
		evidence = logPages{r.logClient()}
	}
	seal, err := room.SealKey(r.Keys.Dir, "console")
	if err != nil { // of an installation that is older than the key
		r.logger.Warn("the console has no seal key, so it can't show the tasks of connectors whose work people do; run \"habeas keys\" where the private keys are", slog.Any("error", err))
		seal = wire.SealKey{}
	}
	desk, err := r.recipientDesk()
	if err != nil {
		return err
	}
	c, err := console.New(console.Config{
		Seal: seal, Recipients: desk, Answers: r.mailAnswers(),
		Bases: r.intake.Bases, Regime: r.Intake.Regime,
		Evidence: evidence, Tokens: r.guard.Keeper,
		Store: r.store, Conn: r.conn, Act: r.intake, Token: r.token, Once: r.once, Login: r.Console.Login, AuditURL: logPrefix, Logger: r.logger.With("room", "console"),
	})
	if err != nil {
		return err
	}
	r.close = append(r.close, c.Close)
	r.mounts["/"] = c.Handler()
	return nil
}

// pepper is the key of the digests that tell a repeated submission from a clash.
func (c *config) pepper() ([]byte, error) {
	secret, err := c.Intake.PepperFile.Read()
	if err != nil {
		return nil, err
	}
	if secret != "" {
		return []byte(secret.Reveal()), nil
	}
	return room.KeyFile(filepath.Join(c.Keys.Dir, "intake.pepper.key"), func() ([]byte, error) {
		key := make([]byte, 32)
		rand.Read(key) // never fails
		return []byte(hex.EncodeToString(key) + "\n"), nil
	})
}

func (r *runtime) addCoordinator(context.Context) error {
	signer, err := r.signer("coordinator", r.instance)
	if err != nil {
		return err
	}
	seal, err := room.SealKey(r.Keys.Dir, "coordinator")
	if err != nil {
		return err
	}
	keys, err := r.roomKeys()
	if err != nil {
		return err
	}
	recipient, err := r.exportRecipient()
	if err != nil {
		return err
	}
	ledger, err := r.openLedger()
	if err != nil {
		return err
	}
	bases, err := r.basesOf()
	if err != nil {
		return err
	}
	c := r.Coordinator
	approve, err := planRights(c.Approve)
	if err != nil {
		return err
	}
	co, err := coordinator.New(coordinator.Config{
		Ledger: ledger, Bases: bases,
		Store: r.store, Conn: r.conn, JS: r.js, Vault: r.vault, Signer: signer, SealKey: seal, ExportRecipient: recipient,
		RoomKeys: keys, Streams: r.streams(), Logger: r.logger.With("room", "coordinator"),
		Rules: coordinator.Rules{Patience: c.Patience, Lease: c.Lease, Retry: c.Retry, Attempts: c.Attempts, EraseHold: c.EraseHold, ShredAfter: c.ShredAfter, Rechecks: c.Rechecks, Approve: approve},
	})
	if err != nil {
		return err
	}
	r.group.Add("coordinator", co.Run)
	r.checks["coordinator"] = co.Ready
	return r.addAlarms()
}

func (r *runtime) addDelivery(context.Context) error {
	identity, err := r.exportIdentity()
	if err != nil {
		return err
	}
	logger := r.logger.With("room", "delivery")
	d, err := delivery.New(delivery.Config{
		Source: delivery.JetStream(r.js), Packages: r.Delivery.Packages, SpoolDir: r.Delivery.SpoolDir,
		Company: r.Delivery.Company, TTL: r.Delivery.TTL, Logger: logger,
	})
	if err != nil {
		return err
	}
	answers, err := r.answers(identity, logger)
	if err != nil {
		return err
	}
	queue, err := delivery.NewQueue(answers)
	if err != nil {
		return err
	}
	r.checks["delivery"] = d.Ready
	r.group.Add("delivery", func(ctx context.Context) error { return d.Run(ctx, queue) })
	r.delivery = d.Handler(queue)
	r.mounts["/v1/requests/{id}/package"] = r.protect(r.delivery)
	r.mounts["/v1/requests/{id}/package/review"] = r.protect(r.delivery)
	return nil
}

// logKeyFile holds the log's public key in note format.
const logKeyFile = "log.vkey"

// logPrefix is where the log is served beside other rooms.
const logPrefix = "/log"

func (r *runtime) addAudit(context.Context) error {
	signer, err := r.signer("audit", r.instance)
	if err != nil {
		return err
	}
	keys, err := r.roomKeys()
	if err != nil {
		return err
	}
	dsn, err := r.Audit.Store.dsn()
	if err != nil {
		return err
	}
	config := audit.Config{
		JS: r.js, Streams: r.streams(), DSN: dsn, StateDir: r.Audit.StateDir, Origin: r.Audit.Origin, Signer: signer,
		Token: r.token, Logger: r.logger,
	}
	if config.Policy, err = loadPolicy(r.Audit.WitnessPolicy); err != nil {
		return err
	}
	for _, name := range roomNames {
		config.Authorities = append(config.Authorities, keys[name])
	}
	a, err := audit.New(config)
	if err != nil {
		return err
	}
	path := filepath.Join(r.Keys.Public, logKeyFile)
	if err := os.WriteFile(path, []byte(a.VerifierKey()+"\n"), 0o644); err != nil { //nolint:gosec // a public key is for everybody
		return fmt.Errorf("publishing the log's key: %w", err)
	}
	r.group.Add("audit", a.Run)
	r.checks["audit"] = a.Ready
	r.log.here = a.Handler()
	r.mounts[logPrefix+"/"] = http.StripPrefix(logPrefix, a.Handler())
	// Whoever may take evidence away need not have the deployment's own token.
	r.mounts[logPrefix+"/v1/"] = r.protect(http.StripPrefix(logPrefix, withToken(a.Handler(), r.token)))
	r.mountEvidence()
	return nil
}

// roomCommands run one room each, for production.
func roomCommands() []*cobra.Command {
	rooms := []struct {
		name, short string
		need        needs
		add         func(*runtime, context.Context) error
	}{
		{"intake", "Run the intake room: the API", requestsAndBus, (*runtime).addIntake},
		{"coordinator", "Run a coordinator", requestsAndBus, (*runtime).addCoordinator},
		{"delivery", "Run the delivery room: packages", requestsAndBus, (*runtime).addDelivery},
		{"audit", "Run the audit room: the transparency log", busOnly, (*runtime).addAudit},
		{"console", "Run the console", requestsAndBus, (*runtime).addConsole},
	}
	var out []*cobra.Command
	for _, d := range rooms {
		var file string
		cmd := &cobra.Command{
			Use: d.name, Short: d.short, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				c, err := loadConfig(file)
				if err != nil {
					return err
				}
				logger, err := room.Logger(c.Log.Level, c.Log.Format)
				if err != nil {
					return err
				}
				if err := c.requireMasterKey(d.need); err != nil {
					return err
				}
				r, err := c.open(cmd.Context(), logger, d.need)
				if err != nil {
					return err
				}
				if err := d.add(r, cmd.Context()); err != nil {
					return errors.Join(err, r.shut())
				}
				return r.serve(cmd.Context(), "habeas-"+d.name)
			},
		}
		cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
		out = append(out, cmd)
	}
	return out
}
