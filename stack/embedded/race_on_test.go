//go:build race

package embedded

// raceEnabled: the race detector makes sync.Pool forget, so that allocations
// cannot be counted.
const raceEnabled = true
