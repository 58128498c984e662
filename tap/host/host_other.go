//go:build !linux

package host

import (
	"errors"
	"syscall"
	"time"
)

// A Namespace is a network namespace: on Linux only.
type Namespace struct{}

// OpenNamespace returns errors.ErrUnsupported, but for the process's own.
func OpenNamespace(name string) (*Namespace, error) {
	if name == "" {
		return &Namespace{}, nil
	}
	return nil, errors.ErrUnsupported
}

// NewNamespace returns errors.ErrUnsupported.
func NewNamespace() (*Namespace, error) { return nil, errors.ErrUnsupported }

// Name returns the empty name.
func (n *Namespace) Name() string { return "" }

// Own reports true.
func (n *Namespace) Own() bool { return true }

// Path returns the empty path.
func (n *Namespace) Path() string { return "" }

// Do runs fn.
func (n *Namespace) Do(fn func() error) error { return fn() }

// SetGateway returns errors.ErrUnsupported.
func (n *Namespace) SetGateway(string, string) error { return errors.ErrUnsupported }

// Close does nothing.
func (n *Namespace) Close() error { return nil }

// A Lease is what a run has taken of the machine: on Linux only.
type Lease struct{}

// TakeLease returns errors.ErrUnsupported.
func TakeLease() (*Lease, error) { return nil, errors.ErrUnsupported }

// CleanUp does nothing.
func CleanUp() ([]string, error) { return nil, nil }

// ID returns the empty text.
func (l *Lease) ID() string { return "" }

// Folder returns the empty path.
func (l *Lease) Folder() string { return "" }

// End does nothing.
func (l *Lease) End() error { return nil }

// A Bridge joins a TAP to another interface: on Linux only.
type Bridge struct{}

// NewBridge returns errors.ErrUnsupported.
func NewBridge(*Lease, *Namespace) (*Bridge, error) { return nil, errors.ErrUnsupported }

// Ours returns the empty name.
func (b *Bridge) Ours() string { return "" }

// Name returns the empty name.
func (b *Bridge) Name() string { return "" }

// JoinTAP returns errors.ErrUnsupported.
func (b *Bridge) JoinTAP(string, int, int) error { return errors.ErrUnsupported }

// JoinNIC returns errors.ErrUnsupported.
func (b *Bridge) JoinNIC(string, int) error { return errors.ErrUnsupported }

// JoinOurs returns errors.ErrUnsupported.
func (b *Bridge) JoinOurs() error { return errors.ErrUnsupported }

// SetOther returns errors.ErrUnsupported.
func (b *Bridge) SetOther(bool) error { return errors.ErrUnsupported }

// Other returns the empty name.
func (b *Bridge) Other() string { return "" }

// Dropped returns errors.ErrUnsupported.
func (b *Bridge) Dropped() (uint64, error) { return 0, errors.ErrUnsupported }

// Whole returns errors.ErrUnsupported.
func (b *Bridge) Whole() error { return errors.ErrUnsupported }

// Close does nothing.
func (b *Bridge) Close() error { return nil }

// A ProcessConfig says what to run.
type ProcessConfig struct {
	Command   string
	Env       []string
	Namespace *Namespace
	RunID     string
	Output    func(stream string, line []byte, cut int)
	Exited    func(status int, text string)
}

// A Process is a program in a process group of its own: on Linux only.
type Process struct{}

// StartProcess returns errors.ErrUnsupported.
func StartProcess(ProcessConfig) (*Process, error) { return nil, errors.ErrUnsupported }

// Done returns nil.
func (p *Process) Done() <-chan struct{} { return nil }

// Signal does nothing.
func (p *Process) Signal(syscall.Signal) {}

// Stop does nothing.
func (p *Process) Stop(time.Duration) error { return nil }

// Kill does nothing.
func (p *Process) Kill() error { return nil }

// A TAPInfo is a TAP interface of the machine.
type TAPInfo struct {
	Name   string
	Owner  int
	Bridge string
	Up     bool
	InUse  bool
	Addrs  []string
}

// CreateTAP returns errors.ErrUnsupported.
func CreateTAP(*Namespace, string, int, string) error { return errors.ErrUnsupported }

// ListTAPs returns errors.ErrUnsupported.
func ListTAPs(*Namespace) ([]TAPInfo, error) { return nil, errors.ErrUnsupported }

// DeleteTAP returns errors.ErrUnsupported.
func DeleteTAP(*Namespace, string) error { return errors.ErrUnsupported }

// Examine says that real devices need Linux.
func Examine() []Check {
	return []Check{{
		Name: "Linux", For: "devices of kind tap and board, and brokers of kind tap", Text: "this is another system",
		Fix: "run emu on Linux; virtual time works here",
	}}
}
