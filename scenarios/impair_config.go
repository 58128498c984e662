package scenarios

import (
	"hilnet/link"
)

// Config returns what the direction does to frames. The scenario it belongs to
// has been validated.
func (d *Direction) Config() link.DirectionConfig {
	if d.Netem != nil {
		c := link.DirectionConfig{MTU: d.MTU, Conditions: d.conditions()}
		if d.Netem.Mode == NetemCorrect {
			d.Netem.meaning(&c)
		}
		d.policeConfig(&c)
		return c
	}
	c := link.DirectionConfig{
		Duplicate: d.Duplicate.config(),
		Corrupt: link.CorruptConfig{
			Chance: d.Corrupt.config(), Bits: d.Corrupt.Bits, From: d.Corrupt.From, To: d.Corrupt.To,
			Payload: d.Corrupt.Payload, RepairChecksums: d.Corrupt.Repair,
		},
		MTU:   d.MTU,
		Delay: d.Delay.Std(),
		Jitter: link.JitterConfig{
			Spread: d.Jitter.Spread.Std(), Distribution: d.Jitter.table, Correlation: float64(d.Jitter.Correlation),
			Reorder: d.Jitter.Order == OrderReorder,
		},
	}
	if !d.Jitter.on() {
		c.Jitter = link.JitterConfig{}
	}
	if c.Delay > 0 || d.Jitter.on() { // otherwise there is nothing to overtake
		c.Reorder = link.ReorderConfig{Chance: d.Reorder.config(), Gap: d.Reorder.Gap}
	}
	d.lossConfig(&c)
	d.rateConfig(&c)
	c.Conditions = d.conditions()
	if s := d.Slot; s != nil {
		c.Slot = link.SlotConfig{Min: s.Every.Std(), Max: max(s.Every, s.Most).Std(), Packets: s.Packets, Bytes: int(s.Bytes), Grid: s.Grid}
	}
	return c
}

func (c Chance) config() link.Chance {
	return link.Chance{Probability: float64(c.Share), Correlation: float64(c.Correlation)}
}

func (j *Jitter) on() bool { return j.Spread > 0 || j.table != nil && !j.table.Relative() }

func (d *Direction) lossConfig(c *link.DirectionConfig) {
	l := &d.Loss
	c.LossMarksECN, c.Burst.MarkECN = d.ECN, d.ECN
	switch l.Model {
	case LossIndependent, "":
		c.Loss, c.LossCorrelation = float64(l.Share), float64(l.Correlation)
	case LossGilbertElliott:
		c.Burst.GilbertElliott = l.gilbertElliott()
	case LossFourState:
		c.Burst.FourState = &link.FourState{
			P13: float64(l.P13), P31: float64(l.P31), P32: float64(l.P32), P23: float64(l.P23), P14: float64(l.P14),
		}
	case LossShuffle:
		c.Burst.Shuffle = &link.Shuffle{Lose: l.Lose, Of: l.Of}
	case LossPattern:
		for _, p := range l.Pattern {
			c.Burst.Pattern = append(c.Burst.Pattern, float64(p))
		}
	}
}

// gilbertElliott returns the model that a mean loss, or chances, ask for. With a
// mean loss, what is lost in the two states counts too.
func (l *Loss) gilbertElliott() *link.GilbertElliott {
	g := &link.GilbertElliott{P: float64(l.ToBad), R: float64(l.ToGood), LossBad: 1, LossGood: float64(l.Good)}
	if l.Bad != nil {
		g.LossBad = float64(*l.Bad)
	}
	if l.Share > 0 {
		if simple, err := link.SimpleGilbert(float64(l.Share), l.Run); err == nil { // checked when the scenario was
			g = simple
		}
	}
	return g
}

func (d *Direction) rateConfig(c *link.DirectionConfig) {
	q := &d.Queue
	c.Shaper = link.ShaperConfig{
		RateBitsPerSecond: uint64(d.Rate), OverheadBytes: int(d.Overhead), BurstBytes: int(d.Burst),
		QueuePackets: q.Packets, QueueBytes: int(q.Bytes), CoDelTarget: q.Target.Std(), CoDelInterval: q.Interval.Std(),
		MarkECN: d.ECN, MarkPackets: q.MarkAt,
	}
	switch q.Discipline {
	case DropHead:
		c.Shaper.Discipline = link.DropHead
	case CoDel:
		c.Shaper.Discipline = link.CoDel
	case DropTail:
	}
	if d.Cell != nil {
		c.Shaper.CellBytes, c.Shaper.CellOverheadBytes = int(d.Cell.Payload), int(d.Cell.Overhead)
	}
	c.Shaper.Airtime = points(d.Airtime)
	d.policeConfig(c)
}

func (d *Direction) policeConfig(c *link.DirectionConfig) {
	if p := d.Police; p != nil {
		c.Policer = link.PolicerConfig{RateBitsPerSecond: uint64(p.Rate), BurstBytes: int(p.Burst)}
	}
}

func (d *Direction) conditions() *link.ConditionsConfig {
	if len(d.States) == 0 {
		return nil
	}
	c := &link.ConditionsConfig{}
	for _, s := range d.States {
		c.States = append(c.States, link.Condition{
			Name: s.Name, Loss: float64(s.Loss), Delay: s.Delay.Std(), RateBitsPerSecond: uint64(s.Rate),
			Dwell: s.Dwell.Std(), DwellPackets: s.Packets, Fixed: s.Fixed, Next: s.Next,
		})
	}
	return c
}

// Config returns what the middlebox does.
func (m *Middlebox) Config() link.BoxConfig {
	c := link.BoxConfig{MTU: m.MTU, SilentMTU: m.TooBig == TooBigNone}
	if m.Kind.remembers() {
		c.State = &link.StateConfig{IdleTCP: m.IdleTCP.Std(), IdleUDP: m.IdleUDP.Std(), Reset: m.Reset, MaxConnections: m.Connections}
	}
	return c
}
