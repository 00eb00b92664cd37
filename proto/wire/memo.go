package wire

import (
	"crypto/sha256"
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

	mu   sync.RWMutex
	all  map[K]V
	ring []K
	next int
}

func (m *memo[K, V]) get(k K) (V, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok := m.all[k]
	return v, ok
}

func (m *memo[K, V]) put(k K, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
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
