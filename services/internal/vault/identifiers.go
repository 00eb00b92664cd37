package vault

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/habeas-data/habeas/services/request"
)

// SealIdentifiers encrypts a person's identifiers for storage with a request.
func (d DataKey) SealIdentifiers(id request.ID, ids []request.Identifier) []byte {
	pairs := Pairs(ids)
	plain, err := json.Marshal(pairs)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	defer clear(plain)
	return d.Seal(plain, identifiersAAD(id))
}

// OpenIdentifiers reads what SealIdentifiers made for the same request.
func (d DataKey) OpenIdentifiers(id request.ID, sealed []byte) ([]request.Identifier, error) {
	return d.openPairs("identifiers", id, sealed, identifiersAAD(id))
}

func (d DataKey) openPairs(what string, id request.ID, sealed, aad []byte) ([]request.Identifier, error) {
	plain, err := d.Open(sealed, aad)
	if err != nil {
		return nil, fmt.Errorf("%s of request %s: %w", what, id, err)
	}
	defer clear(plain)
	var pairs [][2]string
	if err := json.Unmarshal(plain, &pairs); err != nil {
		return nil, errors.New(what + " of request " + string(id) + ": not a list of pairs")
	}
	ids := make([]request.Identifier, len(pairs))
	for i, p := range pairs {
		ids[i] = request.NewIdentifier(request.Kind(p[0]), p[1])
	}
	return ids, nil
}

// SealKept encrypts the identifiers one connector was given, to be kept after
// the request's own are destroyed, for the one purpose of doing again what a
// restored system forgot. They open nowhere else.
func (d DataKey) SealKept(id request.ID, connector string, ids []request.Identifier) []byte {
	plain, err := json.Marshal(Pairs(ids))
	if err != nil {
		panic(err) // strings can always be encoded
	}
	defer clear(plain)
	return d.Seal(plain, keptAAD(id, connector))
}

// OpenKept reads what SealKept made for the same request and connector.
func (d DataKey) OpenKept(id request.ID, connector string, sealed []byte) ([]request.Identifier, error) {
	return d.openPairs("kept identifiers", id, sealed, keptAAD(id, connector))
}

func keptAAD(id request.ID, connector string) []byte {
	return []byte("kept_subject/" + connector + "/" + string(id))
}

func identifiersAAD(id request.ID) []byte { return []byte("request.identifiers/" + string(id)) }

// Pairs gives identifiers as kind and value, as [DataKey.Commitment] takes
// them.
func Pairs(ids []request.Identifier) [][2]string {
	pairs := make([][2]string, len(ids))
	for i, id := range ids {
		pairs[i] = [2]string{string(id.Kind), id.Reveal()}
	}
	return pairs
}

// SealCorrections encrypts the fields to put right for storage with a request.
func (d DataKey) SealCorrections(id request.ID, corrections []request.Correction) []byte {
	return d.sealFields("request.corrections/"+string(id), corrections)
}

// OpenCorrections reads what SealCorrections made for the same request.
func (d DataKey) OpenCorrections(id request.ID, sealed []byte) ([]request.Correction, error) {
	return d.openFields("request.corrections/"+string(id), sealed)
}

// SealStatements encrypts what the consumer wants said about disputed fields.
func (d DataKey) SealStatements(id request.ID, statements []request.Correction) []byte {
	return d.sealFields("request.statements/"+string(id), statements)
}

// OpenStatements reads what SealStatements made for the same request.
func (d DataKey) OpenStatements(id request.ID, sealed []byte) ([]request.Correction, error) {
	return d.openFields("request.statements/"+string(id), sealed)
}

func (d DataKey) sealFields(place string, fields []request.Correction) []byte {
	pairs := make([][2]string, len(fields))
	for i, f := range fields {
		pairs[i] = [2]string{f.Field, f.Value.Reveal()}
	}
	plain, err := json.Marshal(pairs)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	defer clear(plain)
	return d.Seal(plain, []byte(place))
}

func (d DataKey) openFields(place string, sealed []byte) ([]request.Correction, error) {
	plain, err := d.Open(sealed, []byte(place))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	defer clear(plain)
	var pairs [][2]string
	if err := json.Unmarshal(plain, &pairs); err != nil {
		return nil, errors.New(place + ": not a list of pairs")
	}
	fields := make([]request.Correction, len(pairs))
	for i, p := range pairs {
		fields[i] = request.Correction{Field: p[0], Value: request.NewSecret(p[1])}
	}
	return fields, nil
}
