package emu

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"hilnet/nic"
	"hilnet/tap/socket"
)

// setLinkPatience is how long QEMU's monitor may take.
const setLinkPatience = 10 * time.Second

// maxMonitor bounds the changes that wait for QEMU's monitor.
const maxMonitor = 64

// A monitor pulls the cable inside QEMU, beside the loop, one change after the other.
// It has happened when QEMU says so. A QEMU that is off is told when it starts: it
// starts with its cable plugged in.
type monitor struct {
	dut    *dut
	down   bool // as the timeline has it
	wanted chan order
}

// An order is one change, for the QEMU that was started then.
type order struct {
	up    bool
	start int
}

// useMonitor has link_down pull the cable inside QEMU.
func (d *dut) useMonitor() error {
	w, q := d.world, d.cfg.QMP
	if q.Path == "" {
		lease, err := w.takeLease()
		if err != nil {
			return err
		}
		q.Path = filepath.Join(lease.Folder(), d.cfg.Name+".qmp")
	}
	m := &monitor{dut: d, wanted: make(chan order, maxMonitor)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for o := range m.wanted {
			limited, stop := context.WithTimeout(ctx, setLinkPatience)
			err := socket.SetLink(limited, q.Path, q.Device, o.up)
			stop()
			switch {
			case ctx.Err() != nil: // the run has ended
			case err == nil:
				if !w.loop.Post(func() { d.changed(nic.LinkDown, !o.up) }) {
					m.broken(errors.New("the run is overloaded"))
				}
			case !w.loop.Post(func() { m.failed(o, err) }):
				m.broken(err) // nobody can be asked whether it matters
			}
		}
	}()
	w.onClose(func() error {
		close(m.wanted)
		cancel()
		<-done
		return nil
	})
	d.monitor, d.setLink = m, m.set
	return nil
}

// set is what the timeline asks for.
func (m *monitor) set(up bool) error {
	m.down = !up
	if p := m.dut.program; p != nil && !p.runs() {
		m.dut.changed(nic.LinkDown, m.down)
		return nil // begun sees to the rest
	}
	return m.ask(up)
}

// begun is called when QEMU was started.
func (m *monitor) begun() {
	if !m.down {
		return
	}
	if err := m.ask(false); err != nil {
		m.broken(err)
	}
}

func (m *monitor) ask(up bool) error {
	select {
	case m.wanted <- order{up, m.start()}:
		return nil
	default:
		return errors.New("QEMU's monitor does not keep up")
	}
}

// start is how often QEMU was started.
func (m *monitor) start() int {
	if m.dut.program == nil {
		return 0
	}
	return m.dut.program.starts
}

// failed ends the run because of an order, unless the power was cut meanwhile, or
// QEMU has ended: then it is no failure that its monitor is gone, and the cable is as
// the timeline has it.
func (m *monitor) failed(o order, err error) {
	if p := m.dut.program; p == nil || p.starts == o.start && p.runs() {
		m.broken(err)
		return
	}
	m.dut.changed(nic.LinkDown, m.down)
}

func (m *monitor) broken(err error) {
	m.dut.world.loop.Cancel(&EnvironmentError{Op: "pull the cable of " + m.dut.cfg.Name, Err: err})
}
