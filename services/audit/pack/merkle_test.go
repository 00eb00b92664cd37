package pack

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"
)

// claim is an inclusion proof, right or wrong.
type claim struct {
	Name  string   `json:"name"`
	Index int64    `json:"index"`
	Size  int64    `json:"size"`
	Leaf  []byte   `json:"-"`
	Path  [][]byte `json:"-"`
	Root  []byte   `json:"-"`
	Hex   struct {
		Leaf string   `json:"leaf"`
		Path []string `json:"path"`
		Root string   `json:"root"`
	} `json:"hex"`
	Holds bool `json:"holds"`
}

// spoiled are the ways in which a claim is put wrong. Some leave it right by
// chance; an independent implementation says which.
var spoiled = map[string]func(*claim){
	"as it is":             func(*claim) {},
	"index plus one":       func(c *claim) { c.Index++ },
	"index less one":       func(c *claim) { c.Index-- },
	"index with a bit":     func(c *claim) { c.Index ^= 2 },
	"index is the size":    func(c *claim) { c.Index = c.Size },
	"size doubled":         func(c *claim) { c.Size *= 2 },
	"size halved":          func(c *claim) { c.Size /= 2 },
	"size plus one":        func(c *claim) { c.Size++ },
	"size zero":            func(c *claim) { c.Size = 0 },
	"other leaf":           func(c *claim) { c.Leaf = flip(c.Leaf) },
	"other root":           func(c *claim) { c.Root = flip(c.Root) },
	"root for leaf":        func(c *claim) { c.Leaf = c.Root },
	"leaf for root":        func(c *claim) { c.Root = c.Leaf },
	"no path":              func(c *claim) { c.Path = nil },
	"path without end":     func(c *claim) { c.Path = c.Path[:max(len(c.Path)-1, 0)] },
	"path without start":   func(c *claim) { c.Path = c.Path[min(1, len(c.Path)):] },
	"root after the path":  func(c *claim) { c.Path = append(slices.Clone(c.Path), c.Root) },
	"root before the path": func(c *claim) { c.Path = append([][]byte{c.Root}, c.Path...) },
	"path turned round":    func(c *claim) { c.Path = slices.Clone(c.Path); slices.Reverse(c.Path) },
	"a bit of the path": func(c *claim) {
		if c.Path = slices.Clone(c.Path); len(c.Path) > 0 {
			c.Path[len(c.Path)/2] = flip(c.Path[len(c.Path)/2])
		}
	},
}

func flip(hash []byte) []byte {
	hash = slices.Clone(hash)
	hash[3] ^= 16
	return hash
}

// claims are proofs over trees of many sizes, each spoiled in every way, with
// the verdict of an implementation that is not ours.
func claims(t *testing.T) []claim {
	t.Helper()
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = hashes[x]
		}
		return out, nil
	})
	random := rand.New(rand.NewPCG(3, 4))
	var all []claim
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
		for _, index := range []int64{0, size - 1, random.Int64N(size)} {
			path, err := tlog.ProveRecord(size, index, reader)
			if err != nil {
				t.Fatal(err)
			}
			leaf := tlog.RecordHash(fmt.Appendf(nil, "leaf %d", index))
			c := claim{Name: fmt.Sprintf("leaf %d of %d", index, size), Index: index, Size: size, Leaf: leaf[:], Root: root[:]}
			for _, h := range path {
				c.Path = append(c.Path, slices.Clone(h[:]))
			}
			all = append(all, c.spoil()...)
		}
	}
	for _, c := range published(t) {
		all = append(all, c.spoil()...)
	}
	return all
}

// spoil makes the claim wrong in every way.
func (c claim) spoil() []claim {
	var all []claim
	for name, spoil := range spoiled {
		one := c
		one.Name += ", " + name
		spoil(&one)
		one.Holds = one.Index >= 0 && proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(one.Index), uint64(one.Size), one.Leaf, one.Path, one.Root) == nil
		one.Hex.Leaf, one.Hex.Root = hex.EncodeToString(one.Leaf), hex.EncodeToString(one.Root)
		for _, h := range one.Path {
			one.Hex.Path = append(one.Hex.Path, hex.EncodeToString(h))
		}
		all = append(all, one)
	}
	return all
}

// published are the inclusion proofs that transparency-dev/merkle publishes as
// test vectors. They are over the eight leaves which Certificate Transparency
// has used since RFC 6962; the other vectors there are these five, spoiled.
func published(t *testing.T) []claim {
	t.Helper()
	const (
		leaf0, leaf1, leaf2, leaf5 = "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=", "lqKW0iTyhcZ77pPDD4owkVfw2qNdxbh+QQt4YwoJz8c=",
			"ApjRIpBtz8EIkstTpzmS/FufST6kybrbJ7eRtBJ6f+c=", "QnGia+DYqE8L1UyMMC58s6O10fpngKQLzOKHNHfatlg="
		leaf4               = "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms="
		node01, node23      = "+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=", "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4="
		node67              = "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA="
		root3, root4, root5 = "rra8/idLcKFPsGel5VeCZNsPqbUa9eC6FZFY8yngbnc=", "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=", "Tju7H3tHjc/nH7YxYxUZo7yhLJrvyhYSv85ME6hiZNQ="
		node4567, root8     = "a0eq8p7jwq+a+Im8H7klTavTEXfxYjLdaqsDXKOb9uQ=", "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
	)
	var all []claim
	for _, v := range []struct {
		index, size int64
		leaf, root  string
		path        []string
	}{
		{0, 1, leaf0, leaf0, nil},
		{0, 8, leaf0, root8, []string{leaf1, node23, node4567}},
		{5, 8, leaf5, root8, []string{leaf4, node67, root4}},
		{2, 3, leaf2, root3, []string{node01}},
		{1, 5, leaf1, root5, []string{leaf0, node23, leaf4}},
	} {
		c := claim{Name: fmt.Sprintf("published leaf %d of %d", v.index, v.size), Index: v.index, Size: v.size, Leaf: unbase64(t, v.leaf), Root: unbase64(t, v.root)}
		for _, h := range v.path {
			c.Path = append(c.Path, unbase64(t, h))
		}
		if proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(c.Index), uint64(c.Size), c.Leaf, c.Path, c.Root) != nil {
			t.Fatalf("%s does not hold", c.Name)
		}
		all = append(all, c)
	}
	return all
}

func unbase64(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestInclusionAgainstMerkle(t *testing.T) {
	held := 0
	for _, c := range claims(t) {
		path := make([]tlog.Hash, len(c.Path))
		for i, h := range c.Path {
			path[i] = tlog.Hash(h)
		}
		if holds := checkInclusion(path, c.Index, tlog.Hash(c.Leaf), c.Size, tlog.Hash(c.Root)) == nil; holds != c.Holds {
			t.Errorf("%s: holds is %t, want %t", c.Name, holds, c.Holds)
		}
		if c.Holds {
			held++
		}
	}
	if held < 210 {
		t.Errorf("only %d claims hold", held)
	}
}

const merkleDriver = `
import json, sys
import verify
for c in json.load(sys.stdin):
    try:
        path = [bytes.fromhex(h) for h in c["hex"]["path"] or []]
        root = verify.root_of(c["index"], c["size"], bytes.fromhex(c["hex"]["leaf"]), path)
        holds = root.hex() == c["hex"]["root"]
    except verify.Refused:
        holds = False
    if holds != c["holds"]:
        print(c["name"], "holds is", holds)
`

func TestPythonInclusionAgainstMerkle(t *testing.T) { pythonAgrees(t, merkleDriver, claims(t)) }

// pythonAgrees has verify.py judge the cases; the driver prints each that it judges
// in another way.
func pythonAgrees[C any](t *testing.T, driver string, cases []C) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"verify.py": verifyScript, "driver.py": []byte(driver)} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	input, err := json.Marshal(cases)
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	command := exec.CommandContext(t.Context(), "python3", filepath.Join(dir, "driver.py"))
	command.Stdin = bytes.NewReader(input)
	if out, err := command.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
