package lake

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/habeas-data/habeas/connectors/sdk"
)

// benchLake has 16 files of 4 MB; every person of 100,000 has some lines.
func benchLake(b *testing.B) (*Lake, string, int64) {
	b.Helper()
	dir := b.TempDir()
	var size int64
	for day := range 16 {
		var text strings.Builder
		for i := 0; text.Len() < 4<<20; i++ {
			n := (i*16 + day) * 7919 % 100_000
			fmt.Fprintf(&text, `{"type":"view","at":"2026-01-%02dT10:00:00Z","user":{"id":"usr_%012d","plan":"team"},"device":{"id":"dev-%016d"},"page":"/features/time-tracking","context":{"os":"macOS 14.5","browser":"Firefox 128","clicks":[{"x":%d,"y":12}]}}`+"\n", day+1, n, n, i)
		}
		put(b, dir, fmt.Sprintf("events/dt=2026-01-%02d/a.jsonl", day+1), text.String())
		size += int64(text.Len())
	}
	l, err := Open(Options{Folder: dir, Map: mustMap(b, testMap), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	return l, dir, size
}

func benchPeople(n int) []sdk.Person {
	var people []sdk.Person
	for i := range n {
		people = append(people, sdk.NewPerson(sdk.ID(sdk.UserID, fmt.Sprintf("usr_%012d", i)), sdk.ID(sdk.DeviceID, fmt.Sprintf("dev-%016d", i))))
	}
	return people
}

// BenchmarkLocate shows that many people cost about what one does.
func BenchmarkLocate(b *testing.B) {
	l, _, size := benchLake(b)
	for _, n := range []int{1, 100, 10_000} {
		people := benchPeople(n)
		b.Run(fmt.Sprintf("people=%d", n), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				if _, err := l.LocateBatch(b.Context(), people); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkErase finds and rewrites; the files are put back before each pass.
// Somebody of one, and of 10,000, is in every file.
func BenchmarkErase(b *testing.B) {
	l, dir, size := benchLake(b)
	saved := map[string][]byte{}
	for _, name := range names(b, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			b.Fatal(err)
		}
		data = append(data, `{"type":"view","user":{"id":"usr_000000000000"}}`+"\n"...)
		saved[name] = data
	}
	for _, n := range []int{1, 10_000} {
		people := benchPeople(n)
		b.Run(fmt.Sprintf("people=%d", n), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				b.StopTimer()
				for name, data := range saved {
					if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				if errs := l.EraseBatch(b.Context(), people); errs != nil {
					b.Fatal(errs)
				}
			}
		})
	}
}
