package emu

import (
	"runtime"
	"time"

	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// Samples are levels between the events of a run: how full pools and queues
// are. They stand in a file of their own, in the format of the trace, so that
// the trace is the same with and without them. To take them touches nothing.

const (
	sampleMoments = 4000             // of a run
	sampleLeast   = time.Millisecond // between two moments
)

// Names of the Values of sample events.
const (
	ValueHeld    = "held"    // frames in a stage of a link
	ValueLowest  = "lowest"  // packets free since the last moment, at the least
	ValueWaiting = "waiting" // threads that wait for a packet
)

// A sampler writes the levels that have changed since the last moment.
type sampler struct {
	world *World
	log   *trace.Log
	pools [][3]int64
	held  map[string]uint64 // by the path of a stage; looked up only
}

// newSamples takes levels for those who want them: the file that Options.Samples
// asks for, and who watches.
func (w *World) newSamples(f *files) error {
	if !w.opt.Samples && len(w.watches) == 0 {
		return nil
	}
	s := &sampler{world: w, log: trace.NewLog(w.loop.Now), held: map[string]uint64{}}
	for _, v := range w.watches {
		s.log.Subscribe(v.sample)
	}
	if w.opt.Samples {
		if err := w.newSampleFile(f, s.log); err != nil {
			return err
		}
	}
	step := max(time.Duration(w.sc.Duration)/sampleMoments, sampleLeast)
	var timer *sim.Timer
	timer = w.loop.NewTimer(func() {
		s.take()
		for _, v := range w.watches {
			v.passed(w.loop.Now())
		}
		timer.Reset(w.loop.Now().Add(step))
	})
	timer.Reset(0)
	return nil
}

// newSampleFile creates the file.
func (w *World) newSampleFile(f *files, log *trace.Log) error {
	out, err := createOutput(w.opt.Out, w.sc.Name+".samples.jsonl")
	if err != nil {
		return err
	}
	w.onClose(func() error { return out.Close() })
	f.names = append(f.names, out.name)
	f.samples, err = trace.NewWriter(out, trace.Header{
		Hilnet: Version, Go: runtime.Version(), Scenario: w.sc.Name, Seed: w.sc.Seed, Clock: string(w.sc.Clock),
	})
	if err != nil {
		return diskError(err)
	}
	log.Subscribe(func(e *trace.Event) {
		f.samples.Write(e)
		f.fail(f.samples.Err())
	})
	return nil
}

// take writes what has changed.
func (s *sampler) take() {
	for i, d := range s.world.devices {
		if len(s.pools) == i {
			s.pools = append(s.pools, [3]int64{-1, -1, -1})
		}
		st := d.pool.Stats()
		now := [3]int64{int64(st.Free), int64(d.pool.Lowest()), int64(st.Waiting)}
		if now == s.pools[i] {
			continue
		}
		s.pools[i] = now
		s.log.Emit(trace.Event{
			Kind: trace.KindSample, Node: d.cfg.Name, Stage: scenarios.StagePool,
			Values: []trace.Value{{Name: scenarios.ValueFree, N: now[0]}, {Name: ValueLowest, N: now[1]}, {Name: ValueWaiting, N: now[2]}},
		})
	}
	for _, l := range s.world.links {
		for _, way := range []*cableWay{l.up, l.down} {
			for _, st := range way.path.StageCounters() {
				key := l.Name + "/" + st.Path
				if s.held[key] == st.InFlight {
					continue
				}
				s.held[key] = st.InFlight
				s.log.Emit(trace.Event{
					Kind: trace.KindSample, Node: l.Name, Stage: st.Path,
					Values: []trace.Value{{Name: ValueHeld, N: int64(st.InFlight)}},
				})
			}
		}
	}
}
