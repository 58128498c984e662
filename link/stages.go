package link

import "hilnet/trace"

// A Blackhole swallows every frame while it is on, and nobody is told. It
// stands at the entrance: frames that are already inside the link arrive.
type Blackhole struct {
	env *Env
	on  bool
}

// Set switches the blackhole.
func (b *Blackhole) Set(on bool) { b.on = on }

// On reports whether the blackhole swallows frames.
func (b *Blackhole) On() bool { return b.on }

func (b *Blackhole) stage(next Sink) Sink {
	return SinkFunc(func(f *Frame) {
		if b.on {
			b.env.Drop(f, trace.DropBlackhole, "blackhole")
			return
		}
		next.Put(f)
	})
}

// A Loss drops each frame with the same probability: independently of all
// others, or with a correlation from one to the next.
type Loss struct {
	env         *Env
	probability float64 // as it was set
	correlation float64
	mark        bool
	chance      chance
}

// Set changes the probability, 0 to 1.
func (l *Loss) Set(p float64) error {
	c := Chance{p, l.correlation}
	if err := c.validate("loss"); err != nil {
		return err
	}
	l.probability = p
	l.chance.set(c)
	return nil
}

func (l *Loss) set(p, correlation float64, mark bool) {
	l.probability, l.correlation, l.mark = p, correlation, mark
	l.chance.set(Chance{p, correlation})
}

func (l *Loss) stage(next Sink) Sink {
	return SinkFunc(func(f *Frame) {
		if l.chance.hit(l.env, "", VerbDrop, l.env.Stream, f) {
			if l.mark && markCE(l.env, f, "loss") {
				next.Put(f)
				return
			}
			l.env.Drop(f, trace.DropLoss, "")
			return
		}
		next.Put(f)
	})
}

// A duplicator sends frames twice.
type duplicator struct {
	env    *Env
	chance chance
}

func (d *duplicator) stage(next Sink) Sink {
	return SinkFunc(func(f *Frame) {
		if f.Copy == 0 && d.chance.hit(d.env, "", VerbDuplicate, d.env.Stream, f) {
			next.Put(d.env.Duplicate(f, 1)) // the copy first, as netem's
		}
		next.Put(f)
	})
}
