package pack

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// growth is a consistency proof, right or wrong.
type growth struct {
	Name     string   `json:"name"`
	Old      int64    `json:"old"`
	New      int64    `json:"new"`
	OldRoot  []byte   `json:"-"`
	NewRoot  []byte   `json:"-"`
	Path     [][]byte `json:"-"`
	Holds    bool     `json:"holds"`
	HexRoots []string `json:"roots"`
	HexPath  []string `json:"path"`
}

// stunted are the ways in which a growth is put wrong: those of the vectors that
// transparency-dev/merkle publishes, and some more.
var stunted = map[string]func(*growth){
	"as it is":                func(*growth) {},
	"old size plus one":       func(g *growth) { g.Old++ },
	"old size less one":       func(g *growth) { g.Old-- },
	"old size with a bit":     func(g *growth) { g.Old ^= 2 },
	"new size doubled":        func(g *growth) { g.New *= 2 },
	"new size halved":         func(g *growth) { g.New /= 2 },
	"new size plus one":       func(g *growth) { g.New++ },
	"sizes the other way":     func(g *growth) { g.Old, g.New = g.New, g.Old },
	"old size zero":           func(g *growth) { g.Old = 0 },
	"wrong old root":          func(g *growth) { g.OldRoot = flip(g.OldRoot) },
	"wrong new root":          func(g *growth) { g.NewRoot = flip(g.NewRoot) },
	"swapped roots":           func(g *growth) { g.OldRoot, g.NewRoot = g.NewRoot, g.OldRoot },
	"empty proof":             func(g *growth) { g.Path = nil },
	"trailing garbage":        func(g *growth) { g.Path = append(slices.Clone(g.Path), make([]byte, 32)) },
	"preceding garbage":       func(g *growth) { g.Path = append([][]byte{make([]byte, 32)}, g.Path...) },
	"trailing old root":       func(g *growth) { g.Path = append(slices.Clone(g.Path), g.OldRoot) },
	"preceding old root":      func(g *growth) { g.Path = append([][]byte{g.OldRoot}, g.Path...) },
	"trailing new root":       func(g *growth) { g.Path = append(slices.Clone(g.Path), g.NewRoot) },
	"preceding new root":      func(g *growth) { g.Path = append([][]byte{g.NewRoot}, g.Path...) },
	"first hash twice":        func(g *growth) { g.Path = append(slices.Clone(g.Path[:min(1, len(g.Path))]), g.Path...) },
	"truncated":               func(g *growth) { g.Path = g.Path[:max(len(g.Path)-1, 0)] },
	"without its first hash":  func(g *growth) { g.Path = g.Path[min(1, len(g.Path)):] },
	"turned round":            func(g *growth) { g.Path = slices.Clone(g.Path); slices.Reverse(g.Path) },
	"a bit of the first hash": func(g *growth) { g.bit(0) },
	"a bit of the next hash":  func(g *growth) { g.bit(1) },
	"a bit of the last hash":  func(g *growth) { g.bit(len(g.Path) - 1) },
}

func (g *growth) bit(i int) {
	if i >= 0 && i < len(g.Path) {
		g.Path = slices.Clone(g.Path)
		g.Path[i] = flip(g.Path[i])
	}
}

// spoil makes the growth wrong in every way, and lets an implementation that is
// not ours say what holds.
func (g growth) spoil() []growth {
	var all []growth
	for name, spoil := range stunted {
		one := g
		one.Name += ", " + name
		spoil(&one)
		// A proof of growth from nothing says nothing; packs have none.
		one.Holds = one.Old > 0 && one.New > 0 && proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(one.Old), uint64(one.New), one.Path, one.OldRoot, one.NewRoot) == nil
		one.HexRoots = []string{hex.EncodeToString(one.OldRoot), hex.EncodeToString(one.NewRoot)}
		for _, h := range one.Path {
			one.HexPath = append(one.HexPath, hex.EncodeToString(h))
		}
		all = append(all, one)
	}
	return all
}

// publishedGrowth are the consistency proofs that transparency-dev/merkle
// publishes as test vectors; the others there are these five, spoiled.
func publishedGrowth(t *testing.T) []growth {
	t.Helper()
	const (
		root1, root2, root5 = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=", "+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=", "Tju7H3tHjc/nH7YxYxUZo7yhLJrvyhYSv85ME6hiZNQ="
		root6, root7, root8 = "duZ9rbzfHhDht03cYIq9L5jfsW+851J3tSMqEn8gh+8=", "3bib5AOAnjJXUNPSY814kpwpQreUKjS3fhIslZSnTIw=", "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
		leaf1, leaf4, leaf6 = "lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=", "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=", "sIaT7C5yFZcTBkHoIR5+7cy0wmQTlj7ubB4u0W/7Gl8="
		node23, node45      = "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=", "DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o="
		node67, node0123    = "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=", "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc="
		node4567            = "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ="
	)
	var all []growth
	for _, v := range []struct {
		old, size        int64
		oldRoot, newRoot string
		path             []string
	}{
		{1, 1, root1, root1, nil},
		{1, 8, root1, root8, []string{leaf1, node23, node4567}},
		{6, 8, root6, root8, []string{node45, node67, node0123}},
		{2, 5, root2, root5, []string{node23, leaf4}},
		{6, 7, root6, root7, []string{node45, leaf6, node0123}},
	} {
		g := growth{Name: fmt.Sprintf("published, %d to %d", v.old, v.size), Old: v.old, New: v.size, OldRoot: unbase64(t, v.oldRoot), NewRoot: unbase64(t, v.newRoot)}
		for _, h := range v.path {
			g.Path = append(g.Path, unbase64(t, h))
		}
		if proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(g.Old), uint64(g.New), g.Path, g.OldRoot, g.NewRoot) != nil {
			t.Fatalf("%s does not hold", g.Name)
		}
		all = append(all, g)
	}
	return all
}

// growths are the published proofs and those between trees of many sizes, each
// spoiled in every way.
func growths(t *testing.T) []growth {
	t.Helper()
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = hashes[x]
		}
		return out, nil
	})
	random := rand.New(rand.NewPCG(7, 8))
	roots := []tlog.Hash{{}}
	var all []growth
	for size := int64(1); size <= 70; size++ {
		stored, err := tlog.StoredHashes(size-1, fmt.Appendf(nil, "leaf %d", size-1), reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, stored...)
		root, err := tlog.TreeHash(size, reader)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root)
		for _, old := range []int64{1, size, 1 + random.Int64N(size), 1 + random.Int64N(size)} {
			path, err := tlog.ProveTree(size, old, reader)
			if err != nil {
				t.Fatal(err)
			}
			g := growth{Name: fmt.Sprintf("%d to %d", old, size), Old: old, New: size, OldRoot: slices.Clone(roots[old][:]), NewRoot: slices.Clone(root[:])}
			for _, h := range path {
				g.Path = append(g.Path, slices.Clone(h[:]))
			}
			all = append(all, g.spoil()...)
		}
	}
	for _, g := range publishedGrowth(t) {
		all = append(all, g.spoil()...)
	}
	return all
}

func TestConsistencyAgainstMerkle(t *testing.T) {
	held := 0
	for _, g := range growths(t) {
		path := make([]tlog.Hash, len(g.Path))
		for i, h := range g.Path {
			path[i] = tlog.Hash(h)
		}
		if holds := checkConsistency(path, g.Old, tlog.Hash(g.OldRoot), g.New, tlog.Hash(g.NewRoot)) == nil; holds != g.Holds {
			t.Errorf("%s: holds is %t, want %t", g.Name, holds, g.Holds)
		}
		if g.Holds {
			held++
		}
	}
	if held < 285 {
		t.Errorf("only %d proofs hold", held)
	}
}

const growthDriver = `
import json, sys
import verify
for g in json.load(sys.stdin):
    try:
        roots = [bytes.fromhex(r) for r in g["roots"]]
        verify.check_consistent(g["old"], g["new"], *roots, [bytes.fromhex(h) for h in g["path"] or []])
        holds = True
    except verify.Refused:
        holds = False
    if holds != g["holds"]:
        print(g["name"], "holds is", holds)
`

func TestPythonConsistencyAgainstMerkle(t *testing.T) { pythonAgrees(t, growthDriver, growths(t)) }
