package notice

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	habeasv1 "github.com/habeas-data/habeas/proto/gen/go/habeas/v1"
	"github.com/habeas-data/habeas/proto/wire"
	"github.com/habeas-data/habeas/services/regimes"
	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// gather collects what a notice speaks of, and in which language.
func (r *Room) gather(ctx context.Context, n store.Notice, req *store.Request, jobs []store.Job) (f facts, offers []regimes.Offer, language string, err error) {
	language = req.Case.Language
	if !slices.Contains(Languages, language) {
		language = Languages[0]
	}
	due := req.Terms.Due
	f = facts{
		ID: req.ID, Company: r.Company, Contact: r.Contact, Policy: r.Policy, Portal: r.Portal, Link: r.Link(req.ID),
		Received: due.Received, Due: due.Answer(), Extended: due.Extended, NoReask: due.NoReask,
	}
	if e := req.Request.Extension; e != nil && n.Kind == store.NoticeExtension {
		f.Reason = e.Reason
	}
	if req.Ending == nil {
		return f, nil, language, nil
	}
	if e := req.Ending; n.Kind == store.NoticeDenial {
		f.Reason = e.Reason
	}
	if n.Kind == store.NoticeAnswer {
		if err := r.answer(&f, n, req, jobs, language); err != nil {
			return f, nil, language, err
		}
		if err := r.addRecipients(ctx, &f, req); err != nil {
			return f, nil, language, err
		}
	}
	if !req.Terms.Ruled() {
		return f, nil, language, nil
	}
	rules, err := r.Regimes.At(req.Regime, due.Received)
	if err != nil {
		return f, nil, language, err
	}
	if n.Kind == store.NoticeDenial {
		d, err := rules.Denial(req.Right(), req.Ending.Code)
		if err != nil {
			return f, nil, language, err
		}
		f.Denial, offers = d.Text.In(language), d.Offers
		_, f.Appeal = rules.Appeal()
	}
	return f, offers, language, nil
}

// answer sums up what was done. Of several jobs of one connector what each
// erased adds up, and what is kept is what the last one saw.
func (r *Room) answer(f *facts, n store.Notice, req *store.Request, jobs []store.Job, language string) error {
	rules, err := r.Regimes.At(req.Regime, req.Terms.Due.Received)
	if err != nil {
		return err
	}
	loc, err := time.LoadLocation(req.Terms.Due.Zone)
	if err != nil {
		return fmt.Errorf("time zone of request %s: %w", req.ID, err)
	}
	if req.HandsOver() && r.PackageTTL > 0 {
		// The package was made before the notice was due; that this is written later,
		// after trouble, keeps the package no longer.
		made := r.Now()
		if n.CreatedAt.Before(made) {
			made = n.CreatedAt
		}
		until := made.Add(r.PackageTTL)
		if v := req.Case.Review; v != nil && v.Until.Before(until) {
			until = v.Until // it waited for a look
		}
		// The last day on all of which it can be had.
		f.PackageUntil = request.DateOf(until, loc).AddDays(-1)
	}
	last := map[string]int{} // of each connector
	for i := range jobs {
		if jobs[i].Action == request.ActionErase {
			last[jobs[i].Connector] = i
		}
	}
	for i := range jobs {
		j := &jobs[i]
		o := &habeasv1.Outcome{}
		if j.Action != request.ActionErase || len(j.Outcome) == 0 || protojson.Unmarshal(j.Outcome, o) != nil {
			continue
		}
		for _, s := range o.GetStores() {
			f.Erased += max(0, wire.Removed(s))
			f.Deidentified += s.GetDeidentifiedCount()
			f.Emptied += s.GetEmptiedCount()
			f.Masked += s.GetMaskedCount()
			if last[j.Connector] != i {
				continue
			}
			for _, k := range wire.Kept(s) {
				if err := r.addKept(f, rules, req.Right(), j.Connector, s, k, loc, language); err != nil {
					return err
				}
			}
		}
	}
	if req.Ending.Result == request.ResultPartial && req.Ending.Reason != "" && req.Case.Answer != request.AnswerByMail {
		f.Missing = append(f.Missing, req.Ending.Reason)
	}
	return nil
}

// addRecipients sums up who else was told, and explains why somebody was not
// (11 CCR 7022(b)(3)).
func (r *Room) addRecipients(ctx context.Context, f *facts, req *store.Request) error {
	if req.Case.Onward == nil {
		return nil
	}
	all, err := r.Store.OnwardOf(ctx, req.ID)
	if err != nil {
		return err
	}
	for i := range all {
		if o := &all[i]; o.Basis == request.BasisSource {
			f.Sources = append(f.Sources, r.nameOf(o.Recipient))
			continue
		}
		switch o := &all[i]; o.State {
		case request.OnwardExcused:
			f.Untold = append(f.Untold, o.Explanation)
		case request.OnwardAcknowledged:
			f.Confirmed++
			f.Told++
		case request.OnwardTold:
			f.Told++
		}
	}
	return nil
}

// nameOf is what the person is told a company is called.
func (r *Room) nameOf(id string) string {
	if r.Name != nil {
		if name := r.Name(id); name != "" {
			return name
		}
	}
	return id
}

// addKept explains what stays: in the regime's words where it has any for the
// basis, and with the basis itself in any case.
func (r *Room) addKept(f *facts, rules regimes.Rules, right request.Right, connector string, s *habeasv1.StoreCount, by *habeasv1.Kept, loc *time.Location, language string) error {
	w := r.words[language]
	why, err := w.say("kept_otherwise", f)
	if err != nil {
		return err
	}
	k := kept{Count: by.GetCount(), Why: why, Law: by.GetBasis()}
	bases := tenant.Bases{Regimes: r.Regimes}
	if r.Bases != nil {
		bases.Named = r.Bases.Named
	}
	if e, ok := bases.Means(rules, right, tenant.Claim{Connector: connector, Store: s.GetStore(), Basis: by.GetBasis()}); ok {
		k.Why, k.Law = strings.TrimSuffix(e.Text.In(language), "."), e.Citation
		if law := bases.Fact(tenant.Claim{Connector: connector, Store: s.GetStore(), Basis: by.GetBasis(), Facts: by.GetFacts()}, regimes.NeedsLegalRef); law != "" {
			k.Law += ": " + law
		}
	}
	if letter := s.GetCategory(); letter != "" {
		if k.Category, err = w.say("category_"+letter, f); err != nil {
			return err
		}
	}
	if t := wire.KeptUntil(by); !t.IsZero() {
		k.Until = request.DateOf(t, loc)
	}
	f.Kept = append(f.Kept, k)
	return nil
}
