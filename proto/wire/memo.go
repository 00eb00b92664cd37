package wire

import (
	"crypto/sha256"
	"errors"
	"sync"
)

// Where several rooms run in one process, each record would be read and its
// signature checked by each. These remember what was done already, by digest
// of the whole envelope; they forget the oldest, and a miss costs the work and
// nothing else.
var (
	// parsed are the last records that were read here.
	parsed = memo[[sha256.Size]byte, *Record]{most: 4096}
	// checked are the envelopes whose signature was found to hold, or was made,
	// here, each under one key.
	checked = memo[checkedKey, struct{}]{most: 32_768}
)

// checkedKey is an envelope and the key it holds under.
type checkedKey struct {
	envelope [sha256.Size]byte
	keyID    string
}

// memo is a map that keeps its newest entries.
type memo[K comparable, V any] struct {
	most int

	mu   sync.Mutex
	all  map[K]V
	ring []K
	next int
	// making are the entries that somebody is working on now.
	making map[K]*making[V]
}

type making[V any] struct {
	done  chan struct{}
	value V
	err   error
}

// do returns the entry, or makes it with work, which depends on nothing but
// the key. Of those who ask at the same time one works and the others wait.
// An error is not kept.
func (m *memo[K, V]) do(k K, work func() (V, error)) (V, error) {
	m.mu.Lock()
	if v, ok := m.all[k]; ok {
		m.mu.Unlock()
		return v, nil
	}
	if other := m.making[k]; other != nil {
		m.mu.Unlock()
		<-other.done
		return other.value, other.err
	}
	mine := &making[V]{done: make(chan struct{}), err: errUnfinished}
	if m.making == nil {
		m.making = make(map[K]*making[V])
	}
	m.making[k] = mine
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.making, k)
		if mine.err == nil {
			m.keep(k, mine.value)
		}
		close(mine.done)
	}()
	mine.value, mine.err = work()
	return mine.value, mine.err
}

// errUnfinished is what those who waited get when the work panicked.
var errUnfinished = errors.New("reading a record was cut off")

func (m *memo[K, V]) put(k K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(k, v)
}

// keep adds an entry and forgets the oldest. The caller holds the lock.
func (m *memo[K, V]) keep(k K, v V) {
	if m.all == nil {
		m.all = make(map[K]V)
	}
	if _, ok := m.all[k]; ok {
		return
	}
	if len(m.ring) < m.most {
		m.ring = append(m.ring, k)
	} else {
		delete(m.all, m.ring[m.next])
		m.ring[m.next] = k
		m.next = (m.next + 1) % m.most
	}
	m.all[k] = v
}
