package wire

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

func TestMemoKeepsTheNewest(t *testing.T) {
	m := memo[int, int]{most: 3}
	made := 0
	get := func(k int) int {
		v, err := m.do(k, func() (int, error) { made++; return k * 10, nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, k := range []int{1, 2, 3, 1, 4, 4} { // 4 pushes 1 out
		if get(k) != k*10 {
			t.Errorf("%d is %d", k, get(k))
		}
	}
	if made != 4 || len(m.all) != 3 {
		t.Errorf("made %d and kept %d, want 4 and 3", made, len(m.all))
	}
	if get(1); made != 5 {
		t.Error("the oldest was not forgotten")
	}
}

// TestMemoWorksOnce: of many who ask at the same time one works; all get what
// came of it, an error too, which the next one tries again.
func TestMemoWorksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memo[string, int]{most: 3}
		broken := errors.New("broken")
		for _, want := range []error{broken, nil} {
			var work, got atomic.Int64
			gate := make(chan struct{})
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					v, err := m.do("key", func() (int, error) {
						work.Add(1)
						<-gate
						return 7, want
					})
					if v != 7 || !errors.Is(err, want) {
						t.Errorf("got %d, %v", v, err)
					}
					got.Add(1)
				})
			}
			synctest.Wait() // all are waiting for one
			close(gate)
			wg.Wait()
			if work.Load() != 1 || got.Load() != 20 {
				t.Errorf("%d worked and %d got an answer", work.Load(), got.Load())
			}
		}
	})
}

func TestMemoSurvivesAPanic(t *testing.T) {
	m := memo[string, int]{most: 3}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = m.do("key", func() (int, error) { panic("out of luck") })
	}()
	if v, err := m.do("key", func() (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("after a panic: %d, %v", v, err)
	}
}
