package vectors

import (
	"maps"
	"slices"
	"testing"
)

// A Player plays a case with the peer under test and returns what it does wrong,
// if anything.
type Player func(c *Case) error

// play plays a case that can be read.
func (p Player) play(c *Case) error {
	if c.Err != nil {
		return c.Err
	}
	return p(c)
}

// Run plays all cases. Each must match, or stand in decided, by its name, with the
// clause of the standard that wants something else than the case does; what stands
// there and matches, or is no case, is an error too.
func Run(t *testing.T, cases []Case, decided map[string]string, player Player) {
	t.Helper()
	matched, seen := 0, map[string]bool{}
	for i := range cases {
		c := &cases[i]
		clause := decided[c.Name]
		seen[c.Name] = true
		err := player.play(c)
		switch {
		case err == nil && clause != "":
			t.Errorf("%s: matches: take it off the list", c.Name)
		case err == nil:
			matched++
		case clause != "":
			t.Logf("%s: %v; %s", c.Name, err, clause)
		default:
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(decided)) {
		if !seen[name] {
			t.Errorf("%s is no case", name)
		}
	}
	t.Logf("%d of %d cases match, %d are decided by the standard", matched, len(cases), len(decided))
}

// Misses returns how many cases a peer fails that is known to be wrong: few of
// them mean that the cases do not see it.
func Misses(cases []Case, player Player) (n int) {
	for i := range cases {
		if player.play(&cases[i]) != nil {
			n++
		}
	}
	return n
}
