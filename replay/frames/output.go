package frames

import (
	"errors"
	"fmt"
	"syscall"

	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/sim"
	"hilnet/tap"
	"hilnet/tap/host"
)

// A Discard is an Output that takes every frame, for measuring.
type Discard struct{}

// Send takes the frames.
func (Discard) Send(frames [][]byte) (int, error) { return len(frames), nil }

// A File is an Output that writes a capture file: what would have gone out, and
// when.
type File struct {
	file  *pcaps.File
	clock func() sim.Time
	start pcaps.Stamp
}

// CreateFile creates a pcapng file of that name. The frame due at time zero is
// stamped start.
func CreateFile(name string, start pcaps.Stamp, clock func() sim.Time) (*File, error) {
	f, err := pcaps.Create(name, pcaps.Section{UserAppl: "hilnet replay frames"}, pcaps.WriterConfig{})
	if err != nil {
		return nil, err
	}
	if _, err := f.AddInterface(pcaps.Interface{LinkType: pcaps.LinkTypeEthernet, Resolution: pcaps.Nanoseconds, Name: "replay"}); err != nil {
		_ = f.Close() // the first error is the one to report
		return nil, err
	}
	return &File{f, clock, start}, nil
}

// Send writes the frames.
func (f *File) Send(frames [][]byte) (int, error) {
	at := f.start + pcaps.Stamp(f.clock())
	for i, data := range frames {
		if err := f.file.WritePacket(&pcaps.Packet{Time: at, Data: data}); err != nil {
			return i, err
		}
	}
	return len(frames), nil
}

// Close ends the file.
func (f *File) Close() error { return f.file.Close() }

// A TAP is an Output that hands frames to the kernel behind a TAP interface, as
// if they had arrived there on a cable. What the kernel sends is counted and
// goes nowhere.
type TAP struct {
	tap      *tap.TAP
	Received uint64 // frames that the kernel sent
}

// OpenTAP opens or makes the TAP interface that cfg names.
func OpenTAP(cfg tap.Config) (*TAP, error) {
	t, err := tap.Open(cfg)
	if err != nil {
		return nil, err
	}
	o := &TAP{tap: t}
	if err := t.Start(link.SinkFunc(func(f *link.Frame) { o.Received++; f.Release() })); err != nil {
		_ = t.Close() // the first error is the one to report
		return nil, err
	}
	return o, nil
}

// Send writes the frames to the TAP.
func (o *TAP) Send(frames [][]byte) (int, error) {
	for i, data := range frames {
		before := o.tap.Counters()
		o.tap.Put(link.CopyFrame(data))
		switch after := o.tap.Counters(); {
		case after.WriteFailed > before.WriteFailed:
			return i, &Refused{Reason: "interface_refused", Err: fmt.Errorf("%s does not take %d bytes: is it up?", o.tap.Name(), len(data))}
		case after.NoCarrier > before.NoCarrier:
			return i, &Refused{Reason: "no_carrier"}
		}
	}
	return len(frames), nil
}

// Name returns the interface's name.
func (o *TAP) Name() string { return o.tap.Name() }

// Close lets go of the interface, which ends when it was made here.
func (o *TAP) Close() error { return o.tap.Close() }

// A NIC is an Output that sends frames on a network interface.
type NIC struct{ nic *host.NIC }

// OpenNIC opens an interface for sending, in a network namespace (empty: the
// process's own).
func OpenNIC(name, namespace string) (*NIC, error) {
	n, err := host.OpenNIC(name, namespace)
	if err != nil {
		return nil, err
	}
	return &NIC{n}, nil
}

// Send sends the frames.
func (o *NIC) Send(frames [][]byte) (int, error) {
	n, err := o.nic.Send(frames)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, syscall.EMSGSIZE):
		err = &Refused{Reason: "longer_than_mtu", Err: fmt.Errorf("%d bytes on an interface with MTU %d", len(frames[n]), o.nic.MTU())}
	case errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.ENXIO):
		err = &Refused{Reason: "interface_down", Err: err}
	case errors.Is(err, host.ErrBusy):
		err = &Refused{Reason: "queue_full", Err: err}
	}
	return n, err
}

// Close ends sending.
func (o *NIC) Close() error { return o.nic.Close() }
