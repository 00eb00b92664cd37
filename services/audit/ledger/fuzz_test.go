package ledger

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// Every tile has one path, and whatever is read as one is in range.
func FuzzTilePath(f *testing.F) {
	for _, path := range []string{"tile/0/000", "tile/1/x001/x234/067.p/5", "tile/entries/000.p/255", "tile/data/000", "tile/8/0/000", "tile/0/00", "tile/-1/000"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		level, index, width, err := parseTilePath(path)
		if err != nil {
			return
		}
		if level < entryLevel || level > 7 || index < 0 || width < 1 || width > tileWidth {
			t.Fatalf("%q is level %d, index %d, width %d", path, level, index, width)
		}
		want := tlog.Tile{H: tileHeight, L: level, N: index, W: width}.Path()
		want = strings.Replace(want, fmt.Sprintf("tile/%d/", tileHeight), "tile/", 1)
		if level == entryLevel {
			want = strings.Replace(want, "tile/data/", "tile/entries/", 1)
		}
		if want != path {
			t.Fatalf("%q is read as %q", path, want)
		}
	})
}
