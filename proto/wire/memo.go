package wire

import (
	"crypto/sha256"
	"sync"
)

// checked remembers which signatures were found to hold, or were made, in this
// process: where several rooms run in one, each record's signature is checked
// once. It holds digests of whole envelopes, each with the key it holds under,
// and forgets the oldest; a miss costs a check and nothing else.
var checked memo

const memoSize = 32_768

type memoKey struct {
	envelope [sha256.Size]byte
	keyID    string
}

type memo struct {
	mu   sync.RWMutex
	set  map[memoKey]struct{}
	ring []memoKey
	next int
}

func (m *memo) has(k memoKey) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.set[k]
	return ok
}

func (m *memo) add(k memoKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.set == nil {
		m.set = make(map[memoKey]struct{})
	}
	if _, ok := m.set[k]; ok {
		return
	}
	if len(m.ring) < memoSize {
		m.ring = append(m.ring, k)
	} else {
		delete(m.set, m.ring[m.next])
		m.ring[m.next] = k
		m.next = (m.next + 1) % memoSize
	}
	m.set[k] = struct{}{}
}
