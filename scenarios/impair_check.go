package scenarios

import (
	"bytes"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"hilnet/link"
)

// links checks what the links do to frames.
func (c *checker) links() {
	for i := range c.s.Links {
		l, path := &c.s.Links[i], index("links", i)
		for _, way := range []struct {
			path string
			d    *Direction
		}{{path + ".up", &l.Up}, {path + ".down", &l.Down}} {
			c.trace(way.path, way.d)
			c.direction(way.path, way.d)
		}
		c.radio(path+".radio", l.Radio)
		if l.Middlebox != nil {
			c.middlebox(path+".middlebox", l.Middlebox)
		}
	}
}

// direction checks one way of a link, and reads the files that it names.
func (c *checker) direction(path string, d *Direction) {
	before := c.found
	if c.netem(path, d); c.found > before {
		return
	}
	c.jitter(path+".jitter", &d.Jitter)
	c.sorted(path+".airtime", d.Airtime)
	if n := len(d.Airtime); n > 0 && d.Airtime[n-1].Share == 0 {
		c.failf(index(path+".airtime", n-1)+".share", "make it larger, or use loss: 100%", "a profile that ends at 0%% lets no frame through")
	}
	c.loss(path+".loss", &d.Loss)
	if d.Reorder.Share > 0 && d.Delay == 0 && !d.Jitter.on() && (d.Trace == nil || d.Trace.read.Conditions == nil) {
		c.failf(path+".reorder", "add delay: 50ms", "without a delay there is nothing that a frame could overtake")
	}
	if t := d.Corrupt.To; t > 0 && t <= d.Corrupt.From {
		c.failf(path+".corrupt.to", "make it larger than from", "no byte is between %d and %d", d.Corrupt.From, t)
	}
	if d.Police != nil && d.Police.Rate == 0 {
		c.failf(path+".police.rate", "write a rate, or remove police", "an unlimited rate drops nothing")
	}
	if q := &d.Queue; q.Discipline != CoDel && (q.Target > 0 || q.Interval > 0) {
		c.failf(path+".queue", "add discipline: codel, or remove them", "target and interval are codel's, and the discipline is %s", q.Discipline)
	}
	if s := d.Slot; s != nil {
		switch {
		case s.Most > 0 && s.Most < s.Every:
			c.failf(path+".slot.most", "make it at least "+s.Every.String(), "%s is less than every, %s", s.Most, s.Every)
		case s.Grid && s.Most > s.Every:
			c.failf(path+".slot.most", "remove it, or grid", "a grid has one distance")
		case !s.Grid && s.Packets == 0 && s.Bytes == 0:
			c.failf(path+".slot", "add packets: 1, or grid: true", "a group without a number of packets or bytes never ends")
		}
	}
	c.states(path+".states", d.States)
	if c.found > before {
		return
	}
	if cfg := d.Config(); cfg.Validate() != nil {
		c.fail(path, cfg.Validate())
	}
}

func (c *checker) jitter(path string, j *Jitter) {
	j.table = nil
	name := j.Distribution
	switch builtin, ok := link.Builtin(name); {
	case len(j.Quantiles) > 0:
		if j.Spread > 0 {
			c.failf(path+".quantiles", "remove spread", "quantiles are delays already, and take no spread")
			return
		}
		if name != "" && name != "uniform" {
			c.failf(path+".distribution", "remove it, or quantiles", "a jitter has either quantiles or a distribution")
			return
		}
		c.quantiles(path+".quantiles", j)
	case name == "" || name == "uniform":
	case ok:
		j.table = builtin
	case strings.HasSuffix(name, ".dist"):
		c.distribution(path+".distribution", j)
	default:
		c.failf(path+".distribution", didYouMean(name, []string{"uniform", "normal", "pareto", "paretonormal"}),
			"%q is neither uniform, normal, pareto or paretonormal nor the name of a .dist file", name)
	}
	if j.Spread == 0 && len(j.Quantiles) == 0 && (j.table != nil || j.Correlation > 0 || j.Order == OrderReorder) {
		c.failf(path, "add spread: 20ms", "a jitter without a spread is none")
	}
}

func (c *checker) quantiles(path string, j *Jitter) {
	key := &j.Quantiles[0]
	if t := c.tables[key]; t != nil {
		j.table = t
		return
	}
	if !c.sorted(path, j.Quantiles) {
		return
	}
	t, err := link.Quantiles(points(j.Quantiles))
	if err != nil {
		c.fail(path, err)
		return
	}
	j.table, c.tables[key] = t, t
}

// sorted reports whether shares rise and delays do not fall.
func (c *checker) sorted(path string, all []Quantile) bool {
	for i, q := range all[min(1, len(all)):] {
		was := all[i]
		switch at := index(path, i+1); {
		case q.Share <= was.Share:
			c.failf(at+".share", "sort them", "the share %s is not above the one before it, %s", q.Share, was.Share)
			return false
		case q.Delay < was.Delay:
			c.failf(at+".delay", "sort them", "the delay %s is below the one before it, %s", q.Delay, was.Delay)
			return false
		}
	}
	return true
}

// points returns quantiles as a link takes them.
func points(all []Quantile) []link.Quantile {
	var got []link.Quantile
	for _, q := range all {
		got = append(got, link.Quantile{P: float64(q.Share), D: q.Delay.Std()})
	}
	return got
}

// distribution reads one of tc's files.
func (c *checker) distribution(path string, j *Jitter) {
	f := c.file(path, j.Distribution, c.s.FilePath(path, j.Distribution), MaxFile)
	if f == nil {
		return
	}
	if f.table == nil {
		table, err := link.ReadDist(bytes.NewReader(f.text), j.Distribution)
		if err == nil {
			f.table, err = table.Distribution(filepath.Base(j.Distribution))
		}
		if err != nil {
			c.fail(path, err)
			return
		}
	}
	j.table = f.table
}

// lossKeys are the keys that each model of loss takes.
var lossKeys = map[LossModel][]string{
	LossIndependent:    {"share", "correlation"},
	LossGilbertElliott: {"share", "run", "to_bad", "to_good", "bad", "good"},
	LossFourState:      {"p13", "p31", "p32", "p23", "p14"},
	LossShuffle:        {"lose", "of"},
	LossPattern:        {"pattern"},
}

func (c *checker) loss(path string, l *Loss) {
	v, model := reflect.ValueOf(l).Elem(), l.Model
	if model == "" {
		model = LossIndependent
	}
	for _, f := range fieldsOf(v.Type()) {
		if f.key != "model" && !v.FieldByIndex(f.index).IsZero() && !slices.Contains(lossKeys[model], f.key) {
			c.failf(join(path, f.key), "its keys are "+strings.Join(lossKeys[model], ", "), "the model %s does nothing with %q", model, f.key)
			return
		}
	}
	switch model {
	case LossIndependent:
	case LossGilbertElliott:
		c.gilbertElliott(path, l)
	case LossFourState:
		if l.P13+l.P14 > 1 || l.P31+l.P32 > 1 {
			c.failf(path, "make them smaller", "p13 + p14 and p31 + p32 are shares of one state, and must not exceed 100%%")
		} else if l.P13+l.P14 == 0 {
			c.failf(path, "add p13: 1%", "the model four-state without p13 and p14 loses nothing")
		}
	case LossShuffle:
		if l.Lose == 0 || l.Lose > l.Of {
			c.failf(path, "write lose: 1 and of: 10", "it is not possible to lose %d of %d frames", l.Lose, l.Of)
		}
	case LossPattern:
		if len(l.Pattern) == 0 {
			c.failf(path, "add pattern: [1%, 50%, 0%]", "the model pattern lacks its pattern")
		}
	}
}

func (c *checker) gilbertElliott(path string, l *Loss) {
	switch {
	case l.Share > 0 && (l.ToBad > 0 || l.ToGood > 0 || l.Good > 0 || l.Bad != nil):
		c.failf(path, "remove share and run, or the others", "a Gilbert-Elliott loss has either a mean (share, run) or chances (to_bad, to_good, bad, good)")
	case l.Share > 0 && l.Run == 0:
		c.failf(path, "add run: 3", "a mean loss needs the mean length of a run of losses")
	case l.Share > 0:
		if _, err := link.SimpleGilbert(float64(l.Share), l.Run); err != nil {
			c.failf(path+".share", "make share smaller or run longer", "a mean loss of %s is not possible in runs of %v", l.Share, l.Run)
		}
	case l.Run > 0:
		c.failf(path+".run", "add share: 2%", "run needs the mean loss")
	case l.ToBad == 0 && l.Good == 0:
		c.failf(path, "add to_bad: 1% and to_good: 25%, or share: 2% and run: 4", "this Gilbert-Elliott loss loses nothing")
	}
}

func (c *checker) states(path string, states []State) {
	if len(states) == 0 {
		return
	}
	byPackets := states[0].Packets > 0
	for i, s := range states {
		p := index(path, i)
		switch {
		case s.Dwell > 0 && s.Packets > 0:
			c.failf(p, "remove one of them", "a state holds for a time or for a number of frames")
		case len(states) == 1:
		case byPackets && s.Packets == 0:
			c.failf(p, "add packets: 100", "all states count frames, as the first one does")
		case !byPackets && s.Dwell == 0:
			c.failf(p, "add dwell: 1s", "a state lacks how long it holds")
		}
		if len(s.Next) == 0 {
			continue
		}
		sum := 0.0
		for j, w := range s.Next {
			if w < 0 || w > 1e9 || j == i && w != 0 {
				c.failf(p+".next", "write 0 or more, and 0 for the state itself", "the weight %v of state %d", w, j)
			}
			sum += w
		}
		if len(s.Next) != len(states) || len(states) > 1 && sum == 0 {
			c.failf(p+".next", "write one weight for each state", "%d weights for %d states", len(s.Next), len(states))
		}
	}
}

func (c *checker) middlebox(path string, m *Middlebox) {
	if !m.Kind.remembers() && (m.IdleTCP > 0 || m.IdleUDP > 0 || m.Reset || m.Connections > 0) {
		c.failf(path, "make it kind: nat or kind: firewall", "a %s does not remember connections", m.Kind)
	}
	if m.Kind == BoxRouter && m.MTU == 0 {
		c.failf(path, "add mtu: 1280", "a router without a limit does nothing")
	}
	if m.TooBig != "" && m.MTU == 0 {
		c.failf(path+".too_big", "add mtu: 1280, or remove it", "nothing is too big without mtu")
	}
}
