package row

import "github.com/habeas-data/habeas/services/request/store"

// Changes are the rows to write after a decision.
type Changes struct {
	Requests []*Request
	Changed  []*Job
	Added    []*Job
	Records  []*store.Record
	Notices  []store.Notice
	// Onward are rows to write again, NewOnward rows to add.
	Onward, NewOnward []*Onward
	// Suppress are entries to add, Unsuppress entries to take away.
	Suppress, Unsuppress []store.Suppressed
	Retained             []store.Retained
	Incidents            []store.Incident
}

// Of gathers what was changed in snaps and gives changed requests their next
// version.
func Of(snaps []*store.Snapshot) (Changes, error) {
	var c Changes
	for _, s := range snaps {
		if s.Changed {
			s.Request.Version++
			r, err := OfRequest(&s.Request)
			if err != nil {
				return c, err
			}
			c.Requests = append(c.Requests, r)
		}
		for i := range s.Jobs {
			switch {
			case i >= s.Stored:
				// Ids are no order: they come from the clocks of several machines.
				added := OfJob(&s.Jobs[i])
				added.Place = int64(i)
				c.Added = append(c.Added, added)
			case s.ChangedJobs[i]:
				c.Changed = append(c.Changed, OfJob(&s.Jobs[i]))
			}
		}
		for i := range s.Onward {
			switch {
			case i >= s.StoredOnward:
				c.NewOnward = append(c.NewOnward, OfOnward(&s.Onward[i]))
			case s.ChangedOnward[i]:
				c.Onward = append(c.Onward, OfOnward(&s.Onward[i]))
			}
		}
		c.Notices = append(c.Notices, s.Notices...)
		c.Suppress, c.Unsuppress = append(c.Suppress, s.Suppress...), append(c.Unsuppress, s.Unsuppress...)
		c.Incidents = append(c.Incidents, s.Incidents...)
		c.Retained = append(c.Retained, s.Retained...)
		for i := range s.Records {
			c.Records = append(c.Records, &s.Records[i])
		}
	}
	return c, nil
}
