//go:build !race

package console

// raceEnabled says that the race detector slows everything down.
const raceEnabled = false
