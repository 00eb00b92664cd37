package drop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Screen is the memory of every item ever received: the platform gives each
// once. New data is held against it before it is taken into use, so that a
// person who asked before the broker knew them is deleted when it comes to know
// them, and the new status is reported at the next session (11 CCR 7613(c)).
// It may be used by several goroutines.
//
// What it holds is personal data; keep what [Screen.Save] writes accordingly.
type Screen struct {
	mu     sync.Mutex
	items  map[string]*screened // by ID
	byHash map[key][]string     // IDs of items that are screened for
}

type key struct {
	list List
	hash Hash
}

// screened is one item and how it stands. An item whose person has withdrawn
// stays, without its hash, so that the trail has no gap.
type screened struct {
	ID      string `json:"id"`
	List    List   `json:"list"`
	Hash    Hash   `json:"hash,omitempty"`
	Status  Status `json:"status"`
	Report  bool   `json:"report,omitempty"` // Status is not reported yet
	Removed bool   `json:"removed,omitempty"`
	Version string `json:"version"`
}

// ErrScreen says that a stored screen cannot be used.
var ErrScreen = errors.New("not a stored screen")

// NewScreen returns a screen that knows nothing.
func NewScreen() *Screen {
	return &Screen{items: make(map[string]*screened), byHash: make(map[key][]string)}
}

// Keep remembers a batch with the answers given for it. Remembering again what
// is known changes nothing. The error is [ErrCoverage] of [Cover], and then
// nothing is remembered.
func (s *Screen) Keep(batch []Item, answers []Answer) error {
	if err := Cover(batch, answers); err != nil {
		return err
	}
	given := make(map[string]Status, len(answers))
	for _, a := range answers {
		given[a.ID] = a.Status
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range batch {
		if s.items[item.ID] == nil {
			s.put(&screened{ID: item.ID, List: item.List, Hash: item.Hash, Status: given[item.ID], Version: Version})
		}
	}
	return nil
}

func (s *Screen) put(one *screened) {
	s.items[one.ID] = one
	if !one.Removed {
		k := key{one.List, one.Hash}
		s.byHash[k] = append(s.byHash[k], one.ID)
	}
}

// Remove stops screening for items whose people have withdrawn, and forgets
// their hashes. Items that are not known are passed over.
func (s *Screen) Remove(removed []Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range removed {
		one := s.items[item.ID]
		if one == nil || one.Removed {
			continue
		}
		k := key{one.List, one.Hash}
		s.byHash[k] = slices.DeleteFunc(s.byHash[k], func(id string) bool { return id == one.ID })
		if len(s.byHash[k]) == 0 {
			delete(s.byHash, k)
		}
		one.Hash, one.Report, one.Removed = "", false, true
	}
}

// Check returns the IDs of the items that name a person, sorted: nothing of
// them may be sold or shared, and what is not exempt is deleted.
func (s *Screen) Check(p Person) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := make(map[string]bool)
	for list, hashes := range p.Hashes() {
		for _, h := range hashes {
			for _, id := range s.byHash[key{list, h}] {
				found[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Found records what was done about an item after its first answer, to be
// reported at the next session. It reports whether the status is news; an item
// that is not screened for has none.
func (s *Screen) Found(id string, status Status) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.items[id]
	if one == nil || one.Removed || !status.Valid() || one.Status == status {
		return false
	}
	one.Status, one.Report = status, true
	return true
}

// News returns the statuses to report at the next session, by ID.
func (s *Screen) News() []Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var news []Answer
	for _, id := range slices.Sorted(maps.Keys(s.items)) {
		if one := s.items[id]; one.Report {
			news = append(news, Answer{one.ID, one.Status})
		}
	}
	return news
}

// Reported marks statuses as taken by the platform. One that has changed again
// meanwhile stays news.
func (s *Screen) Reported(answers []Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range answers {
		if one := s.items[a.ID]; one != nil && one.Status == a.Status {
			one.Report = false
		}
	}
}

// Save writes everything the screen knows, one line for each item, by ID.
func (s *Screen) Save(w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	for _, id := range slices.Sorted(maps.Keys(s.items)) {
		if err := enc.Encode(s.items[id]); err != nil {
			return fmt.Errorf("saving the screen: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("saving the screen: %w", err)
	}
	return nil
}

// LoadScreen reads what [Screen.Save] wrote. The error is [ErrScreen] with the
// line, or one of r; it carries no hash.
func LoadScreen(r io.Reader) (*Screen, error) {
	s := NewScreen()
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		one := &screened{}
		dec := json.NewDecoder(strings.NewReader(lines.Text()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(one); err != nil || !idShape.MatchString(one.ID) || !one.Status.Valid() ||
			one.Removed != (one.Hash == "") || !one.Removed && !hashShape.MatchString(string(one.Hash)) || !slices.Contains(Lists(), one.List) {
			return nil, fmt.Errorf("loading the screen: line %d: %w", n, ErrScreen)
		}
		if s.items[one.ID] != nil {
			return nil, fmt.Errorf("loading the screen: line %d: item %s is there twice: %w", n, one.ID, ErrScreen)
		}
		s.put(one)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("loading the screen: %w", err)
	}
	return s, nil
}
