package extract

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// hidden is what a capture does not show of a device, but what its frames hang on.
// The zero value is what Make takes without looking.
type hidden struct {
	wait    time.Duration // from the device's start to what it does first: the phase of its clock of 100 ms
	late    time.Duration // of the recorded broker, against the device's clock ticks
	packets int           // of its pool, 0: not known
	payload int
	holds   []hold
}

// A hold is a time in which the application takes no messages. From its end on it
// looks for some once in a period.
type hold struct {
	from, to int64
	period   time.Duration
}

// maxLooks bounds how often the application looks for messages after a hold.
const maxLooks = 1000

// taking are the acts, with messages taken when the holds let them be; end is the
// capture's.
func (h *hidden) taking(acts []act, end int64) []act {
	if len(h.holds) == 0 {
		return acts
	}
	held := func(at int64) bool {
		return slices.ContainsFunc(h.holds, func(v hold) bool { return at >= v.from })
	}
	all := slices.DeleteFunc(slices.Clone(acts), func(a act) bool { return a.what == take && held(a.at) })
	for i, v := range h.holds {
		until := end
		if i+1 < len(h.holds) {
			until = h.holds[i+1].from
		}
		for n := 0; v.to < until && n < maxLooks; n++ {
			all = append(all, act{at: v.to, what: take})
			v.to += int64(v.period)
		}
	}
	slices.SortStableFunc(all, func(a, b act) int { return cmp.Compare(a.at, b.at) })
	return all
}

// never is the end of a hold without one.
const never = int64(1) << 62

// usualPackets are those of a pool that nothing is known of: enough.
const usualPackets = 500

// pool writes the pool.
func (m *Making) pool() string {
	if m.hidden.packets == 0 {
		return fmt.Sprintf("{packets: %d} # a capture does not tell: write the device's own", usualPackets)
	}
	return fmt.Sprintf("{packets: %d, payload: %dB} # found by trying", m.hidden.packets, m.hidden.payload)
}

// Found tells what was found by trying, sentence by sentence.
func (m *Making) Found() []string {
	g := m.guessed
	switch {
	case g == nil || len(g.capture) == 0:
		return nil
	case g.runs == 0:
		return []string{"The capture is too long for what it does not show to be looked for: cut it to a part."}
	}
	frames := fmt.Sprintf("the device's %d frames", g.usual.frames)
	if g.usual.frames == maxAlike { // those behind them were not compared
		frames = fmt.Sprintf("the first %d frames of the device", g.usual.frames)
	}
	if !g.kept {
		return []string{fmt.Sprintf("Of %s %d come again in a run of the scenario.", frames, g.usual.same)}
	}
	return []string{
		fmt.Sprintf("Of %s %d come again in a run of the scenario, %d before what the capture does not show was looked for.", frames, g.best.same, g.usual.same),
		fmt.Sprintf("Found by trying, in %d runs: %s.", g.runs, m.hidden.brief()),
	}
}

// moment writes a time of the capture.
func moment(at int64) string { return fmt.Sprintf("%.2f s", time.Duration(at).Seconds()) }

// brief is what was found, in a few words.
func (h *hidden) brief() string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if h.packets > 0 {
		say("pool %d × %d B", h.packets, h.payload)
	}
	for _, v := range h.holds {
		if say("nothing taken from %s", moment(v.from)); v.to != never {
			all[len(all)-1] += fmt.Sprintf(" to %s, then each %s", moment(v.to), span(v.period))
		}
	}
	if h.wait > 0 {
		say("clock began %s before", span(h.wait))
	}
	if h.late > 0 {
		say("recording %s behind the clock", span(h.late))
	}
	return strings.Join(all, "; ")
}
