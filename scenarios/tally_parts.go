package scenarios

import "hilnet/trace"

// nodeTap is the node of a TAP's counters; their stage is the interface's name.
const nodeTap = "tap"

// part takes a counters event of a NIC, the switch, the TAP or the gateway, and reports
// whether it is one.
func (t *Tally) part(e *trace.Event) bool {
	i, isDevice := t.names[e.Node]
	switch _, isTap := e.Value(ValueRead); {
	case isDevice && e.Stage == StageNIC:
		n := &t.devices[i].NIC
		take(e, into{ValueRxFrames, &n.RxFrames}, into{ValueRxBytes, &n.RxBytes}, into{ValueTxFrames, &n.TxFrames},
			into{ValueTxBytes, &n.TxBytes}, into{ValueRxDropped, &n.RxDropped}, into{ValueTxDropped, &n.TxDropped})
	case !isDevice && e.Stage == StageSwitch:
		s := &t.net
		take(e, into{ValueFramesIn, &s.FramesIn}, into{ValueForwarded, &s.Forwarded}, into{ValueDirected, &s.Directed},
			into{ValueFlooded, &s.Flooded}, into{ValueFiltered, &s.Filtered}, into{ValueMalformed, &s.Malformed})
	case !isDevice && isTap && e.Node == nodeTap:
		p := &t.tap
		take(e, into{ValueRead, &p.Read}, into{ValueDelivered, &p.Delivered}, into{ValueBacklog, &p.Backlog},
			into{ValueKernelDropped, &p.KernelDropped}, into{ValuePut, &p.Put}, into{ValueWritten, &p.Written},
			into{ValueWriteFailed, &p.WriteFailed}, into{ValueNoCarrier, &p.NoCarrier})
	case !isDevice && e.Stage == StageGateway:
		g := &t.gate
		take(e, into{ValueRequested, &g.Requested}, into{ValueOpened, &g.Opened}, into{ValueRefused, &g.Refused},
			into{ValueUnreachable, &g.Unreachable}, into{ValueProhibited, &g.Prohibited}, into{ValueLimited, &g.Limited},
			into{ValueGivenUp, &g.GivenUp}, into{ValueOpenAtEnd, &g.OpenAtEnd}, into{ValueMaxOpen, &g.MaxOpen},
			into{ValueUpBytes, &g.UpBytes}, into{ValueDownBytes, &g.DownBytes}, into{ValueUndelivered, &g.Undelivered},
			into{ValueFlows, &g.Flows}, into{ValueDatagrams, &g.Datagrams}, into{ValueDatagramsBack, &g.DatagramsBack})
	default:
		return false
	}
	return true
}

// into says which number of an event goes where.
type into struct {
	name string
	to   *int
}

func take(e *trace.Event, all ...into) {
	for _, v := range all {
		n, _ := e.Value(v.name)
		*v.to = int(n)
	}
}

// exec takes an event of a program.
func (t *Tally) exec(e *trace.Event) {
	i, ok := t.names[e.Node]
	if !ok {
		return // the broker's
	}
	x := &t.devices[i].Exec
	switch e.Kind {
	case trace.KindExecStart:
		x.Starts++
	case trace.KindExecOutput:
		x.Lines++
	case trace.KindExecExit:
		x.Exits, x.Status = x.Exits+1, int(e.Status)
		if m := &t.devices[i].moments; m.room("exec.exits", t.own) {
			m.add("exec.exits", Moment{e.T, e.Seq, "the program ended: " + e.Text}, t.own)
		}
	}
}
