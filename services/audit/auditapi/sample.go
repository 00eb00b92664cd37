package auditapi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
)

// Sample chooses up to n of the leaves, the same for everybody who knows the
// period's closing root (hex) and the word: those with the smallest SHA-256 of
//
//	habeas sample v1\n<root>\n<word>\n<leaf number>\n
//
// smallest first. Nobody knew the root before the last leaf was in, so neither
// side can have chosen; a larger sample begins with the smaller. Whoever fears
// that the company tried out heads adds a word that it could not know.
func Sample(root, word string, leaves []int64, n int) []int64 {
	type ticket struct {
		leaf int64
		sum  [sha256.Size]byte
	}
	tickets := make([]ticket, len(leaves))
	for i, leaf := range leaves {
		tickets[i] = ticket{leaf, sha256.Sum256(fmt.Appendf(nil, "habeas sample v1\n%s\n%s\n%d\n", root, word, leaf))}
	}
	slices.SortFunc(tickets, func(a, b ticket) int {
		return cmp.Or(bytes.Compare(a.sum[:], b.sum[:]), cmp.Compare(a.leaf, b.leaf))
	})
	out := make([]int64, 0, min(n, len(tickets)))
	for _, t := range tickets[:min(max(n, 0), len(tickets))] {
		out = append(out, t.leaf)
	}
	return out
}
