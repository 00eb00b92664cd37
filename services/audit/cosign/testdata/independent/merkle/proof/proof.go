// Package proof stands in for a version of github.com/transparency-dev/merkle
// that was never published: the witness asks for it. Consistency proofs are
// checked by golang.org/x/mod, which is neither the witness's code nor this
// project's. Proofs of subtrees, which tests do not use, are refused.
package proof

import (
	"errors"

	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// VerifyConsistency checks that the newer tree begins with the older one.
func VerifyConsistency(_ rfc6962.Hasher, size1, size2 uint64, proof [][]byte, root1, root2 []byte) error {
	if size1 == 0 || size1 == size2 {
		if len(proof) != 0 || size1 == size2 && string(root1) != string(root2) {
			return errors.New("a proof where there is none to give, or two roots of one size")
		}
		return nil
	}
	path := make(tlog.TreeProof, len(proof))
	for i, h := range proof {
		if len(h) != tlog.HashSize {
			return errors.New("a hash of another size")
		}
		path[i] = tlog.Hash(h)
	}
	return tlog.CheckTree(path, int64(size2), tlog.Hash(root2), int64(size1), tlog.Hash(root1))
}

// VerifySubtreeConsistency refuses.
func VerifySubtreeConsistency(rfc6962.Hasher, uint64, uint64, uint64, [][]byte, []byte, []byte) error {
	return errors.New("proofs of subtrees are not checked here")
}
