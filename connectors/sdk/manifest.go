package sdk

import "time"

// Manifest is what a connector declares about itself and its system. Abilities
// are not declared: the runtime reads them off the connector's type.
type Manifest struct {
	// Name is the connector's name on the bus: lower-case letters, digits and
	// hyphens, starting with a letter, at most 40 bytes.
	Name string
	// Version is the connector's own version, recorded in every proof.
	Version string
	// Accepts are the identifier kinds by which the system can find a person.
	Accepts []Kind
	// Yields are the kinds that Resolve can add.
	Yields []Kind
	// Stores are the stores searched, each with what it holds.
	Stores []Store
	// After names connectors whose erasure must be finished before this one's
	// begins, because they need identifiers that live here.
	After []string
	// Tier places the connector in the order of a deletion.
	Tier Tier
	// Settle is how long after an act the system may still show the old state.
	Settle time.Duration
	// BatchSize and BatchWindow bound how many people a [BatchEraser] is handed
	// at once and how long the first of them may wait for company. Zero turns
	// batching off.
	BatchSize   int
	BatchWindow time.Duration
	// Cap is the blast radius: the most records one person may plausibly have.
	// Locating more erases nothing and asks a person. Zero means no cap.
	Cap int64
	// BackupExpiry is how long the system's backups keep erased data
	// (11 CCR 7022(d)); zero means it keeps no backups.
	BackupExpiry time.Duration
	// Contract refers to the agreement with a third party, for those that are.
	Contract string
	// Digest identifies the data map or settings the connector acts by, as
	// lower-case hex SHA-256. A job planned under another digest erases
	// nothing (plan_changed). Empty means the version alone.
	Digest string
	// Facts says where the knowledge of the system comes from: "primary" (its
	// own documents or a run against it), "secondary" (somebody else's word),
	// or nothing. It and Notes change nothing the connector does and are no part
	// of its digest.
	Facts string `json:"-"`
	// Notes are what an operator should know before trusting what the connector
	// reports.
	Notes []string `json:"-"`
}

// Store is one table, collection or resource in the system.
type Store struct {
	// Name is the store's name as in [Found].
	Name string
	// Categories are the categories of personal information it holds.
	Categories []Category
	// Role is the company's role for these records.
	Role Role
	// Source is where the records come from.
	Source Source `json:",omitempty"`
	// NotSearched is set when the store is not searched for a request to know.
	NotSearched *NotSearched `json:",omitempty"`
	// Retains are the bases on which records of the store may be kept when the
	// person is erased. What is declared is held against the law before anything
	// is erased; what is not, when it is reported.
	Retains []Retention `json:",omitempty"`
	// Deidentifies says that erasing deidentifies the store's records instead of
	// removing them (Civ. Code 1798.140(m)). They are reported as that, and the
	// coordinator asks for it only of a company that says it meets the law's test.
	Deidentifies bool `json:",omitempty"`
	// Empties says that erasing takes everything about the person out of the
	// store's records and leaves the records. Masks says that it writes over what
	// is in them with values made without a key, or with one that nobody has. They
	// are reported as emptied or masked, and never as erased. At most one of
	// Deidentifies, Empties and Masks may be said.
	Empties bool `json:",omitempty"`
	Masks   bool `json:",omitempty"`
}

// Retention is a basis on which a store may keep records.
type Retention struct {
	// Basis is the code, as in [Keep].
	Basis string
	// Ends says that every record kept on it has an end.
	Ends bool
	// Facts are what the basis needs, as in [Keep].
	Facts Facts
}

// Source is where records come from.
type Source string

// The sources. The zero Source is FromConsumer.
const (
	FromConsumer Source = "consumer"
	Acquired     Source = "acquired" // bought or got from others: out of a deletion's reach until 2026 (Civ. Code 1798.105(a))
)

// NotSearched says why a store is not searched for a request to know. All four
// conditions of 11 CCR 7024(c) must hold; a store for which one does not is
// searched.
type NotSearched struct {
	NotSearchable    bool   // it is not kept in a searchable or reasonably accessible format
	LegalPurposeOnly bool   // it is kept solely for legal or compliance purposes
	NoCommercialUse  bool   // it is not sold and not used for any commercial purpose
	Described        string // the categories of records that may hold the person's data, as the consumer is told
}

// Category is a category of personal information.
type Category struct {
	// Letter is the statutory category, "A" to "L" (Civ. Code 1798.140(v)(1)).
	Letter string
	// Data is the finer data category, in the dotted words of the fideslang
	// taxonomy, such as "user.contact.email".
	Data string
}

// Role is the capacity in which the company holds records.
type Role string

// The roles. The zero Role is Business.
const (
	Business        Role = "business"
	ServiceProvider Role = "service_provider" // held for a customer: not erased by the company's own request (11 CCR 7050)
)

// Tier orders a deletion, so that nothing flows back in between: third
// parties, then the company's own stores, then the stores that hold identity.
type Tier int

// The tiers. The zero Tier is OwnStore.
const (
	OwnStore      Tier = 0
	ThirdParty    Tier = -1
	IdentityStore Tier = 1
)
