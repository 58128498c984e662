package emu

import (
	"hilnet/link"
	"hilnet/link/radio"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/stack"
	"hilnet/stack/embedded"
	"hilnet/tap"
	"hilnet/trace"
)

// count writes the counters of all parts into the trace and checks them.
func (w *World) count() {
	for _, d := range w.devices {
		s := d.pool.Stats()
		w.counters(d.cfg.Name, scenarios.StagePool,
			trace.Value{Name: scenarios.ValueTotal, N: int64(s.Total)},
			trace.Value{Name: scenarios.ValueFree, N: int64(s.Free)},
			trace.Value{Name: scenarios.ValueMinFree, N: int64(s.MinFree)},
			trace.Value{Name: scenarios.ValueEmptyRequests, N: int64(s.EmptyRequests)})
		must(d.pool.Check())
		if d.on {
			d.countLeaks()
		}
		w.counters(d.cfg.Name, scenarios.StageNIC, addUp(d.pastNIC, nicValues(d.nic.Counters()))...)
		w.counters(d.cfg.Name, stageStack, addUp(d.pastStack, d.host.counters())...)
	}
	w.recording.count(w)
	for _, fn := range w.counting {
		fn()
	}
	for _, l := range w.links {
		must(l.Check())
		if l.radio != nil {
			c := l.radio.Counters()
			w.counters(l.Name, radio.Name, value("wakes", c.Wakes), value("pages", c.Pages), value("updates", c.Updates), value("sleeps", c.Sleeps),
				value("idle_ms", uint64(c.Idle.Milliseconds())), value("waking_ms", uint64(c.Waking.Milliseconds())),
				value("connected_ms", uint64(c.Connected.Milliseconds())), value("sleeping_ms", uint64(c.Sleeping.Milliseconds())))
		}
		for _, way := range []*cableWay{l.up, l.down} {
			w.linkCounters(l.Name, way.path.Name, way.path.Counters())
			for _, s := range way.path.StageCounters() {
				w.linkCounters(l.Name, s.Path, s.Counters)
			}
		}
	}
}

// onCount has fn called when the counters are written into the trace.
func (w *World) onCount(fn func()) { w.counting = append(w.counting, fn) }

func (w *World) linkCounters(name, stage string, c link.Counters) {
	w.counters(name, stage,
		trace.Value{Name: scenarios.ValueIn, N: int64(c.In)},
		trace.Value{Name: scenarios.ValueDuplicated, N: int64(c.Duplicated)},
		trace.Value{Name: scenarios.ValueGenerated, N: int64(c.Generated)},
		trace.Value{Name: scenarios.ValueOut, N: int64(c.Out)},
		trace.Value{Name: scenarios.ValueDropped, N: int64(c.Dropped)},
		trace.Value{Name: scenarios.ValueInFlight, N: int64(c.InFlight)})
}

func (w *World) counters(node, stage string, values ...trace.Value) {
	w.trace.Emit(trace.Event{Kind: trace.KindCounters, Node: node, Stage: stage, Values: values})
}

// stageStack is a host's TCP/IP stack.
const stageStack = "stack"

func value(name string, n uint64) trace.Value { return trace.Value{Name: name, N: int64(n)} }

// nicValues are a NIC's counters: what it dropped stands in drop events by reason.
func nicValues(c nic.Counters) []trace.Value {
	return []trace.Value{
		value(scenarios.ValueRxFrames, c.RxFrames), value(scenarios.ValueRxBytes, c.RxBytes),
		value(scenarios.ValueTxFrames, c.TxFrames), value(scenarios.ValueTxBytes, c.TxBytes),
		value(scenarios.ValueRxDropped, c.RxNoPacket+c.RxLinkDown+c.RxTooLong+c.RxNoUpper),
		value(scenarios.ValueTxDropped, c.TxLinkDown+c.TxErrors+c.TxTooLong),
		value("state_changes", c.StateChanges),
	}
}

// A gvisorHost is a stack.Host as a machine's host.
type gvisorHost struct{ *stack.Host }

func (h gvisorHost) counters() []trace.Value { return hostValues(h.Counters()) }

func hostValues(c stack.Counters) []trace.Value {
	return []trace.Value{
		value(scenarios.ValueRxFrames, c.RxFrames), value(scenarios.ValueRxBytes, c.RxBytes),
		value(scenarios.ValueTxFrames, c.TxFrames), value(scenarios.ValueTxBytes, c.TxBytes),
		value("drop_events", c.Dropped),
	}
}

// An embeddedHost is a NetX Duo as a machine's host.
type embeddedHost struct{ *embedded.IP }

func (h embeddedHost) counters() []trace.Value {
	c := h.Counters()
	return []trace.Value{
		value(scenarios.ValueRxFrames, c.FramesIn), value(scenarios.ValueTxFrames, c.FramesOut),
		value("drop_events", c.Dropped),
		value("arp_requests", c.ARPRequests), value("arp_replies", c.ARPReplies),
		value("reassembled", c.Reassembled), value("fragments", c.Fragments),
		value("segments_in", c.SegmentsIn), value("segments_out", c.SegmentsOut),
		value("retransmits", c.Retransmits), value("fast_retransmits", c.FastRetransmits),
		value("probes", c.Probes), value("data_acks", c.DataAcks),
		value("resets_in", c.ResetsIn), value("resets_out", c.ResetsOut),
		value("control_not_sent", c.ControlNotSent), value("retry_limits", c.RetryLimits),
	}
}

func switchValues(c link.SwitchCounters) []trace.Value {
	return []trace.Value{
		value(scenarios.ValueFramesIn, c.In), value(scenarios.ValueForwarded, c.Forwarded),
		value(scenarios.ValueDirected, c.Directed), value(scenarios.ValueFlooded, c.Flooded),
		value(scenarios.ValueFiltered, c.Filtered), value(scenarios.ValueMalformed, c.Malformed),
	}
}

func tapValues(c tap.Counters) []trace.Value {
	return []trace.Value{
		value(scenarios.ValueRead, c.Read), value(scenarios.ValueDelivered, c.Delivered),
		value(scenarios.ValueBacklog, c.Backlog), value(scenarios.ValueKernelDropped, c.KernelDropped),
		value(scenarios.ValuePut, c.Put), value(scenarios.ValueWritten, c.Written),
		value(scenarios.ValueWriteFailed, c.WriteFailed), value(scenarios.ValueNoCarrier, c.NoCarrier),
	}
}

// addUp adds two lists of the same counters; the first may be nil.
func addUp(past, now []trace.Value) []trace.Value {
	for i := range past {
		if past[i].Name != now[i].Name {
			panic("emu: " + past[i].Name + " and " + now[i].Name + " are different counters")
		}
		now[i].N += past[i].N
	}
	return now
}

// recording adds up what the capture points counted. Before the recorder is
// closed, nothing is in flight yet.
func (f *files) recording() Recording {
	if f.recorder == nil {
		return Recording{}
	}
	r := Recording{LateFates: f.recorder.LateFates()}
	for _, p := range f.recorder.Points() {
		s := p.Stats()
		r.Captured += s.Captured
		r.Written += s.Written
		r.Lost += s.Lost
		r.InFlight += s.InFlight
		r.Undecided += s.Undecided
	}
	return r
}
