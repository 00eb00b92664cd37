package store

import (
	"bytes"
	"crypto/rand"
	"slices"
	"time"
)

// Tied is one known digest with the profile it belongs to.
type Tied struct {
	Digest     []byte
	Profile    string
	CarriedBy  string
	OptedOutAt time.Time
}

// Tying is what a visit changes among the profiles. Both stores decide it here,
// so that they decide alike.
type Tying struct {
	// Profile is where all given digests belong from now on; Merge are the
	// profiles that it takes in.
	Profile string
	Merge   []string
	// Add are the digests that were not known.
	Add [][]byte
	// OptedOutAt is how Profile stands from now on; zero for in.
	OptedOutAt time.Time
	// Changed is false when there is nothing to write.
	Changed bool
	Choice  Choice
}

// Tie decides what a visit with the given digests changes, when known are
// those of them that the store has. A visit that neither opts out nor ties
// anything together leaves no trace.
func Tie(digests [][]byte, known []Tied, out bool, at time.Time) Tying {
	var t Tying
	for _, k := range known {
		if !k.OptedOutAt.IsZero() && (t.OptedOutAt.IsZero() || k.OptedOutAt.Before(t.OptedOutAt)) {
			t.OptedOutAt = k.OptedOutAt
		}
		if k.Profile != t.Profile && !slices.Contains(t.Merge, k.Profile) {
			if t.Profile == "" {
				t.Profile = k.Profile
			} else {
				t.Merge = append(t.Merge, k.Profile)
			}
		}
	}
	has := func(d []byte) bool {
		return slices.ContainsFunc(known, func(k Tied) bool { return bytes.Equal(k.Digest, d) })
	}
	for _, d := range digests {
		if !has(d) && !slices.ContainsFunc(t.Add, func(a []byte) bool { return bytes.Equal(a, d) }) {
			t.Add = append(t.Add, d)
		}
	}
	optsOut := out && t.OptedOutAt.IsZero()
	if optsOut {
		t.OptedOutAt = at
	}
	nothing := t.Profile == "" && !out && len(t.Add) < 2
	t.Changed = !nothing && (optsOut || len(t.Add) > 0 || len(t.Merge) > 0)
	if t.Changed && t.Profile == "" {
		t.Profile = rand.Text()
	}
	t.Choice.OptedOutAt = t.OptedOutAt
	if t.OptedOutAt.IsZero() {
		return t
	}
	t.Choice.Uncarried = slices.Clone(t.Add)
	for _, k := range known {
		if k.CarriedBy == "" {
			t.Choice.Uncarried = append(t.Choice.Uncarried, k.Digest)
		}
	}
	slices.SortFunc(t.Choice.Uncarried, bytes.Compare)
	return t
}
