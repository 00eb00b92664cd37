package demo

import (
	"fmt"
	"time"
)

// CRMKey is the API key of the demo company's CRM. It protects invented people.
const CRMKey = "demo-crm-key"

// CRMHomePhone is the landline of the two people who share a name and a
// household.
const CRMHomePhone = "+15105550199"

// CRMRecord is one record of the CRM. A contact is a record of kind "contacts"
// that belongs to itself; everything else belongs to one contact or more.
type CRMRecord struct {
	Kind     string         `json:"kind"`
	ID       string         `json:"id"`
	Contacts []string       `json:"contacts"`
	Fields   map[string]any `json:"fields"`
}

// crmKinds are the kinds of records that hang under a contact.
var crmKinds = []string{"notes", "activities", "deals", "scores", "photos", "documents"}

// CRMOpenContract reports whether person n has a contract that runs on: such a
// contact cannot be deleted until it ends.
func CRMOpenContract(n int) bool { return n%7 == 0 }

// CRMContractEnds is when open contracts end.
var CRMContractEnds = time.Date(2031, 6, 30, 0, 0, 0, 0, time.UTC)

// CRMContact is the id of person n's contact.
func CRMContact(n int) string { return fmt.Sprintf("con_%010x", mix(uint64(n)^0xc3)&0xffffffffff) }

// CRMRecords makes what the CRM holds of a person: the contact (categories A
// and I), notes and activities (A), deals (D), lead scores (K), photos (H) and
// documents (A, and L for the identity document's number).
func CRMRecords(p Person) []CRMRecord {
	h := mix(uint64(p.N) ^ 0xc4)
	contact := CRMContact(p.N)
	at := func(days uint64) string { return p.Joined.AddDate(0, 0, int(days)).Format(time.RFC3339) }
	var all []CRMRecord
	add := func(kind string, fields map[string]any) *CRMRecord {
		id := fmt.Sprintf("%s_%s_%d", kind[:3], contact[4:], len(all))
		all = append(all, CRMRecord{Kind: kind, ID: id, Contacts: []string{contact}, Fields: fields})
		return &all[len(all)-1]
	}
	c := add("contacts", map[string]any{
		"first_name": p.First, "last_name": p.Last, "email": p.Email, "phone": p.Phone, "home_phone": nil,
		"company": p.Company, "title": p.Title, "social": fmt.Sprintf("https://social.example/@%s.%d", asciiLower(p.First), p.N),
		"customer_number": p.CustomerID, "user_id": p.UserID, "source": "web form", "language": "en-US",
		"created_at": at(0), "sharing": "allowed",
	})
	c.ID = contact
	switch p.N {
	case EmailOnly:
		c.Fields["phone"], c.Fields["customer_number"], c.Fields["user_id"] = nil, nil, nil
	case Namesake, OtherNamesake:
		c.Fields["home_phone"] = CRMHomePhone
	}
	for i := range 1 + h%3 {
		add("notes", map[string]any{"text": fmt.Sprintf("%s of %s prefers to be called before nine (file %d-%d)", p.First, p.Company, p.N, i), "author": "sales", "created_at": at(3 + i*20)})
	}
	for i, kind := range []string{"call", "email", "meeting", "form"}[:1+h>>8%4] {
		add("activities", map[string]any{"type": kind, "subject": fmt.Sprintf("%s with %s %s about plan %d", kind, p.First, p.Last, p.N), "at": at(5 + uint64(i)*11)})
	}
	add("scores", map[string]any{"model": "lead-score-2", "score": h >> 16 % 100, "segment": []string{"likely to upgrade", "price sensitive", "at risk"}[h>>24%3], "computed_at": at(40)})
	add("photos", map[string]any{"role": "avatar", "url": fmt.Sprintf("https://photos.example/%s.jpg", contact), "uploaded_at": at(2)})
	if h>>32%2 == 0 {
		add("deals", map[string]any{"title": fmt.Sprintf("Starter plan for %s %d", p.Last, p.N), "stage": "won", "amount_cents": 4900, "contract_ends": Epoch.Format(time.DateOnly)})
	}
	if CRMOpenContract(p.N) {
		ends := CRMContractEnds.Format(time.DateOnly)
		add("deals", map[string]any{"title": fmt.Sprintf("Annual plan for %s %d", p.Last, p.N), "stage": "open", "amount_cents": 118800, "contract_ends": ends})
		add("documents", map[string]any{"type": "signed contract", "number": nil, "signature": fmt.Sprintf("signed by %s %s for account %s", p.First, p.Last, p.CustomerID), "contract_ends": ends, "created_at": at(30)})
	}
	if h>>40%3 == 0 {
		add("documents", map[string]any{"type": "identity document", "number": fmt.Sprintf("D%07d", mix(h^9)%1e7), "signature": nil, "contract_ends": nil, "created_at": at(1)})
	}
	return all
}

// crmShared are records of several people: a visit to the household of the two
// who share a name.
func crmShared(n int) []CRMRecord {
	if n <= OtherNamesake {
		return nil
	}
	return []CRMRecord{CRMVisit()}
}

// CRMVisit is the activity that belongs to both people of one household.
func CRMVisit() CRMRecord {
	return CRMRecord{
		Kind: "activities", ID: "act_household_visit", Contacts: []string{CRMContact(Namesake), CRMContact(OtherNamesake)},
		Fields: map[string]any{"type": "visit", "subject": "Visit to a household with two accounts", "at": "2024-05-02T10:00:00Z"},
	}
}
