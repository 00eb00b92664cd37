package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// Entry is the published text of a leaf: it names the envelope by its SHA-256
// and says nothing else. The envelope's salt makes the digest hide what is
// under it.
func Entry(digest [sha256.Size]byte) []byte {
	const prefix = "habeas/v1 sha256 "
	entry := make([]byte, len(prefix)+hex.EncodedLen(len(digest))+1)
	copy(entry, prefix)
	hex.Encode(entry[len(prefix):], digest[:])
	entry[len(entry)-1] = '\n'
	return entry
}

// tileID names a hash tile of height 8.
type tileID struct {
	level int
	index int64
}

// edge is the right side of the tree: for each level the hashes of the last
// tile that is not full. It is all that is needed to append.
type edge struct {
	size   int64
	levels [][]tlog.Hash
}

// edgeTiles lists the tiles that hold the edge of a tree of the given size.
func edgeTiles(size int64) []tileID {
	var ids []tileID
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		if n := size >> (tileHeight * level); n%tileWidth != 0 {
			ids = append(ids, tileID{level, n / tileWidth})
		}
	}
	return ids
}

// newEdge rebuilds the edge of a tree from its tiles and refuses tiles that do
// not have exactly the hashes the size asks for.
func newEdge(size int64, tiles map[tileID][]byte) (*edge, error) {
	e := &edge{size: size}
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		n := size >> (tileHeight * level)
		e.levels = append(e.levels, nil)
		if n%tileWidth == 0 {
			continue
		}
		data := tiles[tileID{level, n / tileWidth}]
		if int64(len(data)) != n%tileWidth*tlog.HashSize {
			return nil, fmt.Errorf("tile %d/%d has %d bytes, a log of %d leaves needs %d: %w",
				level, n/tileWidth, len(data), size, n%tileWidth*tlog.HashSize, ErrCorrupt)
		}
		e.levels[level] = parseHashes(data)
	}
	return e, nil
}

// clone lets an append be tried without losing the edge it started from.
func (e *edge) clone() *edge {
	c := &edge{size: e.size, levels: make([][]tlog.Hash, len(e.levels))}
	for i, hashes := range e.levels {
		c.levels[i] = append(make([]tlog.Hash, 0, tileWidth), hashes...)
	}
	return c
}

// add appends one leaf and puts every tile it filled into changed.
func (e *edge) add(leaf tlog.Hash, changed map[tileID][]byte) {
	hash, index := leaf, e.size
	e.size++
	for level := 0; ; level++ {
		if level == len(e.levels) {
			e.levels = append(e.levels, nil)
		}
		e.levels[level] = append(e.levels[level], hash)
		if len(e.levels[level]) < tileWidth {
			return
		}
		index /= tileWidth
		changed[tileID{level, index}] = formatHashes(e.levels[level])
		hash = subtree(e.levels[level])
		e.levels[level] = e.levels[level][:0]
	}
}

// flush puts the tiles that are not full into changed.
func (e *edge) flush(before int64, changed map[tileID][]byte) {
	for level, hashes := range e.levels {
		shift := tileHeight * level
		if len(hashes) > 0 && e.size>>shift != before>>shift {
			changed[tileID{level, e.size >> shift / tileWidth}] = formatHashes(hashes)
		}
	}
}

// root is the Merkle tree hash (RFC 6962, section 2.1).
func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		return emptyRoot
	}
	var root tlog.Hash
	started := false
	for _, hashes := range e.levels {
		// The tile's hashes fall into perfect subtrees, the smallest on the right.
		for rest := len(hashes); rest > 0; {
			width := rest & -rest
			hash := subtree(hashes[rest-width : rest])
			if started {
				root = tlog.NodeHash(hash, root)
			} else {
				root, started = hash, true
			}
			rest -= width
		}
	}
	return root
}

var emptyRoot = tlog.Hash(sha256.Sum256(nil))

// subtree is the root over 1, 2, 4 … 256 hashes.
func subtree(hashes []tlog.Hash) tlog.Hash {
	if len(hashes) == 1 {
		return hashes[0]
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

func formatHashes(hashes []tlog.Hash) []byte {
	data := make([]byte, 0, len(hashes)*tlog.HashSize)
	for _, h := range hashes {
		data = append(data, h[:]...)
	}
	return data
}

func parseHashes(data []byte) []tlog.Hash {
	hashes := make([]tlog.Hash, 0, tileWidth)
	for ; len(data) >= tlog.HashSize; data = data[tlog.HashSize:] {
		hashes = append(hashes, tlog.Hash(data[:tlog.HashSize]))
	}
	return hashes
}
