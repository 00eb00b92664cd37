package main

import (
	"cmp"
	"slices"

	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
)

// basesOf reads once on what the company's connectors may keep records: the
// regimes' catalogues, and the company's names for their bases where it has a
// file.
func (r *runtime) basesOf() (*tenant.Bases, error) {
	if r.bases != nil {
		return r.bases, nil
	}
	set, err := regimes.Load()
	if err != nil {
		return nil, err
	}
	b := &tenant.Bases{Regimes: set}
	if name := cmp.Or(r.Intake.Tenant, r.demoCompany); name != "" {
		f, err := tenant.Open(name)
		if err != nil {
			return nil, err
		}
		for _, c := range f.Confirmations {
			if !slices.Contains(f.Regimes, c.Regime) || c.By == "" || c.On.IsZero() {
				continue // the linter says so
			}
			if err := set.Confirm(c.Regime); err != nil {
				return nil, err
			}
		}
		b.Named, b.Deletion = f.Bases, f.Deletion
	}
	r.bases = b
	return b, nil
}
