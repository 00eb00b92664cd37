package delivery

import (
	"context"
	"strings"
	"time"

	"github.com/habeas-data/habeas/services/regimes/tenant"
	"github.com/habeas-data/habeas/services/request"
	"github.com/habeas-data/habeas/services/request/store"
)

// addPerson adds what is the person's own: her identifiers, her statements, and
// what of hers was given away.
func (g *gathering) addPerson(ctx context.Context) error {
	if len(g.req.WrappedKey) > 0 && len(g.req.Sealed) > 0 {
		key, err := g.config.Vault.Unwrap(ctx, g.req.WrappedKey)
		if err != nil {
			return err
		}
		g.o.Own, err = key.OpenIdentifiers(g.req.ID, g.req.Sealed)
		key.Destroy()
		if err != nil {
			return err
		}
	}
	digests, err := g.config.Store.PeopleOf(ctx, g.req.ID)
	if err != nil {
		return err
	}
	related, err := g.config.Store.Related(ctx, digests)
	if err != nil {
		return err
	}
	past := onceEach(related)
	if !g.o.CategoriesOnly {
		if err := g.addStatements(ctx, past); err != nil {
			return err
		}
	}
	return g.addDisclosures(ctx, past)
}

func onceEach(related []store.Related) []request.Past {
	var out []request.Past
	seen := map[request.ID]bool{}
	for _, p := range related {
		if !seen[p.ID] {
			seen[p.ID] = true
			out = append(out, p.Past)
		}
	}
	return out
}

// addStatements adds what the person had said about disputed fields in any of
// her requests (11 CCR 7023(f)(3)); of two about one field the later.
func (g *gathering) addStatements(ctx context.Context, past []request.Past) error {
	at := map[string]int{}
	for _, p := range past {
		if !p.Case.Stated {
			continue
		}
		req, _, err := g.config.Store.Get(ctx, p.ID)
		if err != nil {
			return err
		}
		key, err := g.config.Vault.Unwrap(ctx, req.WrappedKey)
		if err != nil {
			return err
		}
		said, err := key.OpenStatements(p.ID, req.Statements)
		key.Destroy()
		if err != nil {
			return err
		}
		for _, s := range said {
			i, again := at[s.Field]
			if !again {
				i = len(g.o.Statements)
				at[s.Field], g.o.Statements = i, append(g.o.Statements, Statement{})
			}
			g.o.Statements[i] = Statement{Field: s.Field, Text: s.Value}
		}
	}
	return nil
}

// addDisclosures adds to whom what was given. What is sold or shared all the
// time was not of a person who had opted out before the range began and stayed
// out; what the ledger says of her in person was, whatever she chose.
func (g *gathering) addDisclosures(ctx context.Context, past []request.Past) error {
	if g.config.Ledger == nil {
		return nil
	}
	given, err := g.config.Ledger.Given(ctx, g.located, g.o.Own, g.o.Since, g.now())
	if err != nil {
		return err
	}
	g.o.Recorded = true
	out := outSince(past)
	for i := range given {
		e := &given[i]
		if e.Standing && e.As != tenant.ForBusiness && !out.IsZero() && !out.After(g.o.Since) {
			continue
		}
		for _, letter := range e.Categories {
			g.o.Disclosures = append(g.o.Disclosures, Disclosure{
				Category: letter, To: g.say(e.Recipient.Kind), ThirdParty: e.Recipient.Role == tenant.ThirdParty, Sense: Sense(e.As), Purpose: g.say(e.Purpose),
			})
		}
	}
	return nil
}

// outSince is since when the person has been opted out without a break, or
// zero when she is not.
func outSince(past []request.Past) (since time.Time) {
	for _, p := range past {
		switch {
		case p.Right == request.OptInSaleShare && p.Result == request.ResultComplete && p.Received.After(since):
			since = time.Time{}
		case p.Right == request.OptOutSaleShare && p.Result == request.ResultComplete && since.IsZero():
			since = p.Received
		}
	}
	return since
}

// say is a text of the company's file in the person's language.
func (g *gathering) say(text string) string {
	if g.config.Company == nil {
		return text
	}
	return g.config.Company.Say(g.words.language, text)
}

// addCompany adds what the company's file says of practices and exceptions.
func (g *gathering) addCompany() {
	if g.config.Company == nil {
		return
	}
	g.o.Practices = companyPractices{company: g.config.Company, language: g.words.language}
	for _, n := range g.config.Company.NamesOthers {
		if connector, name, ok := strings.Cut(n.Store, "/"); ok {
			g.o.NamesOthers = append(g.o.NamesOthers, NamesOthers{Connector: connector, Store: name, Fields: n.Fields})
		}
	}
	if g.o.CategoriesOnly || g.config.Regimes == nil || !g.req.Terms.Ruled() {
		return
	}
	rules, err := g.config.Regimes.At(g.req.Regime, g.req.Terms.Due.Received)
	if err != nil {
		return // without rules there are no exceptions
	}
	for _, w := range g.config.Company.Withhold {
		e, err := rules.Exception(request.KnowSpecific, w.Code)
		connector, name, ok := strings.Cut(w.Store, "/")
		if err != nil || !ok || w.What == "" || e.Check(w.Facts) != nil {
			continue // no basis: it is disclosed, and the linter says why
		}
		g.o.Withholdings = append(g.o.Withholdings, Withholding{
			Connector: connector, Store: name, Field: w.Field, When: w.When, What: g.say(w.What), Reason: e.Text.In(g.words.language), Basis: e.Citation,
		})
	}
}

// companyPractices reads practices from the company's file.
type companyPractices struct {
	company  *tenant.Tenant
	language string
}

// At implements [Practices].
func (c companyPractices) At(category, connector, name string) []Practice {
	var out []Practice
	for _, p := range c.company.PracticesAt(category, connector, name) {
		out = append(out, Practice{Sources: c.said(p.Sources), Purposes: c.said(p.Purposes), SalePurposes: c.said(p.SalePurposes)})
	}
	return out
}

func (c companyPractices) said(texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = c.company.Say(c.language, text)
	}
	return out
}
