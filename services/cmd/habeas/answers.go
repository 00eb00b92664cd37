package main

import (
	"cmp"
	"fmt"
	"log/slog"

	"filippo.io/age"

	"github.com/habeas-data/habeas/services/delivery"
	"github.com/habeas-data/habeas/services/regimes"
)

// answers is what delivery makes reports from: the law, the company's file and
// the ledger. Without a file copies are complete, and reports on categories say
// that nothing is recorded of sources, purposes and recipients.
func (r *runtime) answers(identity age.Identity, logger *slog.Logger) (delivery.QueueConfig, error) {
	c := delivery.QueueConfig{Store: r.store, Vault: r.vault, Conn: r.conn, Identity: identity, Review: delivery.ReviewMode(r.Delivery.Review)}
	if !c.Review.Valid() {
		return c, fmt.Errorf("delivery.review: want never, texts or always, not %.20q", r.Delivery.Review)
	}
	set, err := regimes.Load()
	if err != nil {
		return c, err
	}
	c.Regimes = set
	with := r.config
	with.Intake.Tenant = cmp.Or(with.Intake.Tenant, r.demoCompany)
	file, err := with.loadTenant(set, logger)
	if err != nil {
		return c, err
	}
	if file == nil {
		logger.Warn("no company's file is set: reports on categories can't say where data comes from and goes to; set intake.tenant")
		return c, nil
	}
	c.Company = &file.Tenant
	ledger, err := r.ledgerOf(file, set)
	if err != nil {
		return c, err
	}
	c.Ledger = ledger
	return c, nil
}
