// Package draft proposes a data map for a live SQL database, and finds the
// personal columns that a map in use does not have.
//
// Its guesses come from names, declared types and a sample of values, and each
// says how sure it is. They save typing; what is personal data, whose a row is
// and what the law keeps is for a person to say. A sampled value never leaves
// the package: not in a draft, not in an error.
package draft
