package console

import (
	"bufio"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/habeas-data/habeas/proto/wire"
)

// cpu is how long this process has computed.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Two hundred pages that are open cost next to nothing while nothing changes:
// under a twentieth of one core, and that with the clients, and with what the
// pages fetch every five minutes, in the same process.
func TestIdlePagesCostNothing(t *testing.T) {
	d := newDesk(t)
	d.company(t)
	const open, every, over = 200, 300, 5 * time.Second
	heard := make(chan struct{}, open)
	begun := make(chan struct{}, open)
	for range open {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.server.URL+"/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			res, err := d.client.Do(req)
			if err != nil {
				return // the test has failed, or ended
			}
			defer res.Body.Close()
			lines := bufio.NewScanner(res.Body)
			for lines.Scan() {
				switch line := lines.Text(); {
				case strings.HasPrefix(line, "retry: "):
					begun <- struct{}{}
				case line == "event: change":
					heard <- struct{}{}
				}
			}
		}()
	}
	all := func(c <-chan struct{}, what string) {
		t.Helper()
		late := time.After(time.Minute)
		for i := range open {
			select {
			case <-c:
			case <-late:
				t.Fatalf("%d of %d pages %s", i, open, what)
			}
		}
	}
	all(begun, "are open")
	d.hint(t, wire.HintSubject(Name)) // one change on the bus reaches all of them
	all(heard, "heard of a change")

	before, began := cpu(t), time.Now()
	rest := time.NewTimer(over)
	defer rest.Stop()
	fetch := time.NewTicker(time.Second * every / open)
	defer fetch.Stop()
	for waiting := true; waiting; {
		select {
		case <-fetch.C:
			d.fetch(t, "/live")
		case <-rest.C:
			waiting = false
		}
	}
	share := float64(cpu(t)-before) / float64(time.Since(began))
	t.Logf("%d open pages cost %.2f%% of a core", open, 100*share)
	if most := 0.05; share > most && !raceEnabled {
		t.Errorf("%d open pages cost %.1f%% of a core, want at most %.0f%%", open, 100*share, 100*most)
	}
}
