package scenarios

import (
	"bytes"
	"errors"
	"path/filepath"
	"reflect"
	"slices"

	"hilnet/link"
	"hilnet/link/netem"
)

// Netem is what a direction does in the words of tc. In a file the string may
// stand alone.
type Netem struct {
	// What follows netem in a call of tc, or the whole call. emu netem says what it does.
	TC string `yaml:"tc" required:"true" min:"1" max:"4096" alt:"delay 40ms 10ms loss 10%" short:"true"`
	// netem: exactly what Linux does, surprises included. correct: what the string seems to say.
	Mode NetemMode `yaml:"mode" default:"netem" alt:"correct"`

	config netem.Config // read when the scenario is checked
	tables netem.Tables
}

// NetemMode says how a netem string is taken.
type NetemMode string

// The modes.
const (
	NetemExact   NetemMode = "netem"
	NetemCorrect NetemMode = "correct"
)

// Values returns the valid modes.
func (NetemMode) Values() []string { return []string{string(NetemExact), string(NetemCorrect)} }

// Exact returns what a netem stage is made of, if there is to be one. The
// scenario has been validated.
func (n *Netem) Exact() (cfg netem.Config, tables netem.Tables, ok bool) {
	if n == nil || n.Mode == NetemCorrect {
		return cfg, tables, false
	}
	return n.config, n.tables, true
}

// beside are the keys that a netem string may stand beside.
var beside = []string{"preset", "netem", "mtu", "police", "states", "trace", "drop_frames"}

// netem reads the string of a direction.
func (c *checker) netem(path string, d *Direction) {
	if d.Netem == nil {
		return
	}
	plain := NewLink("", "").Up
	v, p := reflect.ValueOf(d).Elem(), reflect.ValueOf(&plain).Elem()
	for _, f := range fieldsOf(v.Type()) {
		if !slices.Contains(beside, f.key) && !reflect.DeepEqual(v.FieldByIndex(f.index).Interface(), p.FieldByIndex(f.index).Interface()) {
			c.failf(join(path, f.key), "write it in the netem string, or remove one of them", "%s stands beside netem, which says all of that", f.key)
			return
		}
	}
	path += ".netem"
	n := d.Netem
	fresh := &Netem{TC: n.TC, Mode: n.Mode} // links share what has been read
	cfg, err := netem.Parse(n.TC)
	if err != nil {
		var wrong *netem.SyntaxError
		if errors.As(err, &wrong) && wrong.Hint != "" {
			err = hint(wrong.Hint, "column %d of the string: %s", wrong.Column(), wrong.Message)
		}
		c.fail(path, err)
		return
	}
	folders := append([]string{filepath.Dir(c.s.FilePath(path, "x"))}, netem.TableFolders()...)
	fresh.config = cfg
	before := c.found
	fresh.tables.Delay = c.netemTable(path, cfg.Distribution, folders)
	fresh.tables.Slot = c.netemTable(path, cfg.Slot.Distribution, folders)
	if c.found > before {
		return
	}
	d.Netem = fresh
	if n.Mode == NetemCorrect && cfg.HasSeed {
		c.failf(path, "remove seed, and set that of the scenario", "only netem itself has a seed of its own")
	}
	if n.Mode == NetemCorrect && cfg.Slot.Distribution != "" {
		c.failf(path, "write slot with two times, or mode: netem", "slots with a distribution are netem's alone")
	}
}

// netemTable returns the table of a name, which may be none.
func (c *checker) netemTable(path, name string, folders []string) *netem.Table {
	if name == "" || name == "uniform" {
		return nil
	}
	if t, ok := netem.BuiltIn(name); ok {
		return t
	}
	file := name + netem.TableExt
	where, seen := c.places[file]
	if !seen {
		where = file
	}
	if !seen && !slices.ContainsFunc(c.s.Files, func(f NamedFile) bool { return f.Name == file && f.Data != "" }) {
		var err error
		if where, err = netem.FindTable(name, folders...); err != nil {
			c.fail(path, err)
			return nil
		}
	}
	f := c.file(path, file, where, MaxFile)
	if f == nil {
		return nil
	}
	t, err := netem.ReadTable(bytes.NewReader(f.text), file, name)
	if err != nil {
		c.fail(path, err)
	}
	return t
}

// meaning sets what the string means.
func (n *Netem) meaning(c *link.DirectionConfig) {
	m := n.config.Meaning()
	c.Delay = m.Delay.Mean
	if m.Delay.Jitter > 0 {
		c.Jitter = link.JitterConfig{Spread: m.Delay.Jitter, Correlation: m.Delay.Correlation, Reorder: !m.Delay.KeepOrder}
		if t, ok := link.Builtin(m.Delay.Distribution); ok {
			c.Jitter.Distribution = t
		} else if n.tables.Delay != nil {
			if t, err := link.DistTable(n.tables.Delay.Entries).Distribution(n.tables.Delay.Name); err == nil { // it has entries
				c.Jitter.Distribution = t
			}
		}
	}
	c.LossMarksECN, c.Burst.MarkECN = m.MarkECN, m.MarkECN
	if m.Loss != nil {
		c.Loss, c.LossCorrelation = m.Loss.Probability, m.Loss.Correlation
	}
	if g := m.GilbertElliott; g != nil {
		c.Burst.GilbertElliott = &link.GilbertElliott{P: g.ToBad, R: g.ToGood, LossBad: g.LossBad, LossGood: g.LossGood}
	}
	if s := m.FourState; s != nil {
		c.Burst.FourState = &link.FourState{P13: s.P13, P31: s.P31, P32: s.P32, P23: s.P23, P14: s.P14}
	}
	if p := m.Duplicate; p != nil {
		c.Duplicate = link.Chance{Probability: p.Probability, Correlation: p.Correlation}
	}
	if p := m.Corrupt; p != nil {
		c.Corrupt.Chance = link.Chance{Probability: p.Probability, Correlation: p.Correlation}
	}
	if r := m.Reorder; r != nil && (c.Delay > 0 || c.Jitter.Spread > 0) {
		c.Reorder = link.ReorderConfig{Chance: link.Chance{Probability: r.Probability, Correlation: r.Correlation}, Gap: r.Gap}
	}
	if r := m.Rate; r != nil {
		c.Shaper = link.ShaperConfig{
			RateBitsPerSecond: r.BitsPerSecond, OverheadBytes: r.PacketOverhead, CellBytes: r.CellSize,
			CellOverheadBytes: r.CellOverhead, QueuePackets: r.QueuePackets,
		}
	}
	if s := m.Slot; s != nil {
		c.Slot = link.SlotConfig{Min: s.Min, Max: max(s.Min, s.Max), Packets: int(s.Packets), Bytes: int(s.Bytes)}
	}
}
