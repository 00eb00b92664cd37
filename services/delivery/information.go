package delivery

import (
	"cmp"
	"slices"
	"strings"
)

// information is what the law wants told of the categories beyond what was
// collected (Civ. Code 1798.110, 1798.115; 11 CCR 7024(k)): who got which.
// Sources and purposes are with each category.
type information struct {
	// Recorded says that the company wrote down whom it gives what. Where it did
	// not, empty lists mean nothing.
	Recorded bool `json:"recorded"`
	// ThirdParties are the categories of third parties that got any of it.
	ThirdParties []string `json:"third_parties"`
	// Sold is what was sold or shared, and Disclosed what was disclosed for a
	// business purpose; each with the categories of those who got it.
	Sold      []soldReport      `json:"sold_or_shared"`
	Disclosed []disclosedReport `json:"disclosed_for_business_purpose"`
	// Inferences are the stores with conclusions drawn about the person.
	Inferences []inferenceReport `json:"inferences"`
}

// soldReport is one row of the matrix of sale and sharing.
type soldReport struct {
	Letter     string   `json:"letter"`
	Name       string   `json:"name"`
	SoldTo     []string `json:"sold_to"`
	SharedWith []string `json:"shared_with"`
	Purposes   []string `json:"purposes"`
}

// disclosedReport is one row of the matrix of disclosure.
type disclosedReport struct {
	Letter   string   `json:"letter"`
	Name     string   `json:"name"`
	To       []string `json:"to"`
	Purposes []string `json:"purposes"`
}

type inferenceReport struct {
	Connector string `json:"connector"`
	Store     string `json:"store"`
	Count     int64  `json:"record_count"`
}

// inferenceLetter is the category of Civ. Code 1798.140(v)(1)(K).
const inferenceLetter = "K"

// addInformation makes the matrices of what went where.
func (r *report) addInformation() {
	in := &r.Information
	*in = information{Recorded: r.Order.Recorded, ThirdParties: []string{}, Sold: []soldReport{}, Disclosed: []disclosedReport{}, Inferences: []inferenceReport{}}
	for i := range r.Order.Disclosures {
		in.add(&r.Order.Disclosures[i], r.words)
	}
	for i := range r.Categories {
		c := &r.Categories[i]
		sold := slices.IndexFunc(in.Sold, func(s soldReport) bool { return s.Letter == c.Letter })
		if sold < 0 {
			c.SalePurposes = nil // what the company does with others' is not hers
			continue
		}
		c.SalePurposes = join(c.SalePurposes, in.Sold[sold].Purposes...)
	}
	slices.Sort(in.ThirdParties)
	slices.SortFunc(in.Sold, func(a, b soldReport) int { return cmp.Compare(a.Letter, b.Letter) })
	slices.SortFunc(in.Disclosed, func(a, b disclosedReport) int { return cmp.Compare(a.Letter, b.Letter) })
	for _, s := range r.Stores {
		if n := s.count(inferenceLetter, r.Order.Located); slices.Contains(s.letters, inferenceLetter) && n > 0 {
			in.Inferences = append(in.Inferences, inferenceReport{Connector: s.Connector, Store: s.Store, Count: n})
		}
	}
}

func (in *information) add(d *Disclosure, w *words) {
	if d.ThirdParty || d.Sense != ForBusiness {
		in.ThirdParties = join(in.ThirdParties, d.To)
	}
	var purposes []string
	if d.Purpose != "" {
		purposes = []string{d.Purpose}
	}
	if d.Sense == ForBusiness {
		i := slices.IndexFunc(in.Disclosed, func(c disclosedReport) bool { return c.Letter == d.Category })
		if i < 0 {
			i = len(in.Disclosed)
			in.Disclosed = append(in.Disclosed, disclosedReport{Letter: d.Category, Name: w.categoryName(d.Category), To: []string{}, Purposes: []string{}})
		}
		c := &in.Disclosed[i]
		c.To, c.Purposes = join(c.To, d.To), join(c.Purposes, purposes...)
		return
	}
	i := slices.IndexFunc(in.Sold, func(c soldReport) bool { return c.Letter == d.Category })
	if i < 0 {
		i = len(in.Sold)
		in.Sold = append(in.Sold, soldReport{Letter: d.Category, Name: w.categoryName(d.Category), SoldTo: []string{}, SharedWith: []string{}, Purposes: []string{}})
	}
	c := &in.Sold[i]
	c.Purposes = join(c.Purposes, purposes...)
	if d.Sense == Sold {
		c.SoldTo = join(c.SoldTo, d.To)
	} else {
		c.SharedWith = join(c.SharedWith, d.To)
	}
}

// statementReport is a statement as it stands in the package.
type statementReport struct {
	Field string `json:"field"`
	Text  string `json:"text"`
	// Stores are where the field is, as "connector: store".
	Stores []string `json:"stores"`
}

// addStatements puts each statement with the items it is about.
func (r *report) addStatements(statements []statementReport) {
	r.Statements = []statementReport{}
	for _, said := range statements {
		said.Stores = []string{}
		for i := range r.Stores {
			if s := &r.Stores[i]; s.data != nil && slices.ContainsFunc(s.data.columns, func(c string) bool { return isAbout(said.Field, s.Store, c) }) {
				said.Stores = append(said.Stores, s.Connector+": "+s.Store)
				s.Statements = append(s.Statements, said)
			}
		}
		r.Statements = append(r.Statements, said)
	}
}

// isAbout reports whether a disputed field is a column of a store: by its name,
// such as "phone" or "contacts.phone", or as the data category that the portal
// offers, such as "user.contact.phone_number", which has many names.
func isAbout(disputed, store, column string) bool {
	if strings.EqualFold(disputed, column) || strings.EqualFold(disputed, store+"."+column) {
		return true
	}
	category, ok := strings.CutPrefix(disputed, "user.")
	if !ok {
		return false
	}
	kind, have := nameWords(category[strings.LastIndex(category, ".")+1:]), nameWords(column)
	return len(have) > 0 && (!slices.ContainsFunc(have, func(w string) bool { return !slices.Contains(kind, w) }) ||
		!slices.ContainsFunc(kind, func(w string) bool { return !slices.Contains(have, w) }))
}
