package emu

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"hilnet/scenarios"
	"hilnet/sim"
	taphost "hilnet/tap/host"
	"hilnet/trace"
)

// Limits of a program's output in the trace.
const (
	maxLinesPerSecond = 10_000
	maxLinesWaiting   = 10_000
)

// stopGrace is how long a program may take to end at the end of the run.
const stopGrace = time.Second

// A program is what the key exec of a device, or of the broker, runs.
type program struct {
	world  *World
	node   string // whose events these are
	cfg    taphost.ProcessConfig
	starts int
	proc   *taphost.Process
	ending chan error // of one whose power was cut; nil: none
	begun  func()     // called after each start; may be nil
	news   news

	said   string // the last line that it printed
	failed string // how it ended by itself the first time, if not well

	// The power of a device that is a program.
	startAt sim.Time
	boot    time.Duration
	cuts    int
	epoch   int
}

// news is what a program's goroutines hand to the loop.
type news struct {
	mu      sync.Mutex // guards the rest
	events  []trace.Event
	posted  bool
	lines   int // in the second that began at
	second  sim.Time
	dropped int
}

// newProgram makes a program that nobody has started yet.
func (w *World) newProgram(node string, e *scenarios.Exec, ns *taphost.Namespace, env []string) (*program, error) {
	lease, err := w.takeLease()
	if err != nil {
		return nil, err
	}
	p := &program{world: w, node: node}
	w.programs = append(w.programs, p)
	p.cfg = taphost.ProcessConfig{
		Command: e.Command, Namespace: ns, RunID: lease.ID(),
		Env: append(env, "HILNET_PORT="+fmt.Sprint(w.sc.Broker.Port), "HILNET_BROKER="+w.sc.Broker.Address.Addr().String(),
			"HILNET_FOLDER="+lease.Folder()),
		Output: p.printed, Exited: p.exited,
	}
	w.onStop(p.end)
	w.onClose(p.end) // where the run does not come to its end
	return p, nil
}

// startProgram has the device's program start when the scenario says so.
func (d *dut) startProgram(ns *taphost.Namespace) error {
	if d.cfg.Exec == nil {
		return nil
	}
	c := d.cfg
	env := []string{
		"HILNET_DEVICE=" + c.Name, "HILNET_CLIENT=" + c.MQTT.ClientID, "HILNET_MAC=" + c.MAC.String(),
		"HILNET_ADDRESS=" + c.Address.Addr().String(), fmt.Sprintf("HILNET_PREFIX=%d", c.Address.Bits()),
	}
	if c.Gateway.IsValid() {
		env = append(env, "HILNET_GATEWAY="+c.Gateway.String())
	}
	switch {
	case c.Tap != nil:
		env = append(env, "HILNET_TAP="+c.Tap.Name)
	case c.Socket != nil:
		env = append(env, "HILNET_SOCKET="+c.Socket.Path)
		if c.Socket.Remote != "" {
			env = append(env, "HILNET_REMOTE="+c.Socket.Remote)
		}
	case c.Board != nil:
		env = append(env, "HILNET_NIC="+c.Board.NIC)
	}
	if c.QMP != nil {
		env = append(env, "HILNET_QMP="+c.QMP.Path)
	}
	var err error
	if d.program, err = d.world.newProgram(c.Name, c.Exec, ns, env); err != nil {
		return err
	}
	if d.monitor != nil {
		d.program.begun = d.monitor.begun
	}
	d.program.boot = c.Boot.Std()
	d.program.startAt = startTime(d.world.sc.Seed, c)
	d.world.onStart(func() error {
		d.program.plan(time.Duration(d.program.startAt), d.program.start)
		return nil
	})
	return nil
}

// plan has fn called after a time unless the power changes before.
func (p *program) plan(after time.Duration, fn func()) {
	p.epoch++
	epoch := p.epoch
	p.world.loop.After(after, func() {
		if p.epoch == epoch {
			fn()
		}
	})
}

// start starts the program; one that still runs is ended first.
func (p *program) start() {
	p.kill()
	p.starts++
	w := p.world
	if p.node != brokerNode {
		w.trace.Emit(trace.Event{Kind: scenarios.KindBoot, Node: p.node, Count: int64(p.starts)})
	}
	w.trace.Emit(trace.Event{Kind: trace.KindExecStart, Node: p.node, Count: int64(p.starts), Text: p.cfg.Command})
	proc, err := taphost.StartProcess(p.cfg)
	if err != nil {
		w.loop.Cancel(&EnvironmentError{Op: "start the program of " + p.node, Err: err})
		return
	}
	p.proc = proc
	if p.begun != nil {
		p.begun()
	}
}

// runs reports whether the program was started and has not ended.
func (p *program) runs() bool {
	if p.proc == nil {
		return false
	}
	select {
	case <-p.proc.Done():
		return false
	default:
		return true
	}
}

// kill ends the program as a power cut does, and waits for its end.
func (p *program) kill() {
	if p.proc != nil {
		p.cut()
	}
	if p.ending != nil {
		if err := <-p.ending; err != nil {
			p.world.loop.Cancel(&EnvironmentError{Op: "end the program of " + p.node, Err: err})
		}
		p.ending = nil
		p.tell()
	}
}

// cut begins to end the program, beside the loop: what it has left in other groups
// must be looked for.
func (p *program) cut() {
	proc, ending := p.proc, make(chan error, 1)
	p.proc, p.ending = nil, ending
	go func() { ending <- proc.Kill() }()
}

// off takes the power away.
func (p *program) off(why string) {
	p.epoch++
	if p.proc == nil {
		return
	}
	p.world.trace.Emit(trace.Event{Kind: scenarios.KindOff, Node: p.node, Text: why})
	p.cut() // start waits for the end
}

// reset restarts the program. One that is off stays off.
func (p *program) reset(why string) {
	if p.cuts > 0 || p.starts == 0 {
		return
	}
	p.off(why)
	p.plan(p.boot, p.start)
}

// powerCut takes the power away; powerBack gives it back when no other cut lasts.
func (p *program) powerCut() {
	p.cuts++
	p.off("power cut")
}

func (p *program) powerBack() {
	if p.cuts--; p.cuts == 0 {
		p.plan(max(p.boot, p.startAt.Sub(p.world.loop.Now())), p.start)
	}
}

// end ends the program with the run. It may be called again.
func (p *program) end() error {
	p.epoch++
	var err error
	if p.ending != nil {
		err = <-p.ending
	}
	if p.proc != nil {
		err = errors.Join(err, p.proc.Stop(stopGrace))
	}
	p.proc, p.ending = nil, nil
	p.tell()
	if err != nil {
		return &EnvironmentError{Op: "end the program of " + p.node, Err: err}
	}
	return nil
}

// printed takes a line, on a goroutine of the process.
func (p *program) printed(stream string, line []byte, cut int) {
	p.add(trace.Event{
		Kind: trace.KindExecOutput, Node: p.node, Stage: stream, Text: strings.ToValidUTF8(string(line), "\uFFFD"), Len: cut,
	}, false)
}

// exited is told of the end, on a goroutine of the process.
func (p *program) exited(status int, text string) {
	p.add(trace.Event{Kind: trace.KindExecExit, Node: p.node, Status: uint32(status), Text: text}, true)
}

// add hands an event to the loop; lines are limited, what must be told is not.
func (p *program) add(e trace.Event, must bool) {
	n := &p.news
	n.mu.Lock()
	defer n.mu.Unlock()
	now := p.world.pacer.Now()
	if now.Sub(n.second) >= time.Second {
		n.second, n.lines = now, 0
	}
	if n.lines++; !must && (n.lines > maxLinesPerSecond || len(n.events) >= maxLinesWaiting) {
		n.dropped++
		return
	}
	n.events = append(n.events, e)
	if !n.posted {
		n.posted = p.world.loop.Post(p.tell)
	}
}

// tell puts into the trace what the program's goroutines have handed over.
func (p *program) tell() {
	n := &p.news
	n.mu.Lock()
	events, dropped := n.events, n.dropped
	n.events, n.dropped, n.posted = nil, 0, false
	n.mu.Unlock()
	for _, e := range events {
		if p.proc != nil { // nobody has ended it
			p.heed(&e)
		}
		p.world.trace.Emit(e)
	}
	if dropped > 0 {
		p.world.trace.Emit(trace.Event{
			Kind: trace.KindDrop, Node: p.node, Stage: "exec", Reason: trace.DropExecOutput,
			Text: "the program prints too much", Values: []trace.Value{{Name: scenarios.ValueFrames, N: int64(dropped)}},
		})
	}
}

// maxSaid bounds what a note quotes of a program, in characters.
const maxSaid = 200

// heed remembers how a program failed, and what it said last.
func (p *program) heed(e *trace.Event) {
	switch {
	case e.Kind == trace.KindExecOutput && strings.TrimSpace(e.Text) != "":
		p.said = e.Text
	case e.Kind == trace.KindExecExit && e.Status != 0 && p.failed == "":
		p.failed = fmt.Sprintf("%s at %v", e.Text, time.Duration(p.world.loop.Now()).Round(time.Millisecond))
	}
}

// note says that the program ended by itself with an error, which explains most
// of what is missing in the numbers of its device.
func (p *program) note() (note string, failed bool) {
	if p.failed == "" {
		return "", false
	}
	note = fmt.Sprintf("the program of %s failed: %s", p.node, p.failed)
	if said := []rune(p.said); len(said) > maxSaid {
		note += "; it said last: " + string(said[:maxSaid]) + "…"
	} else if len(said) > 0 {
		note += "; it said last: " + p.said
	}
	return note, true
}
