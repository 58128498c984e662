//go:build !linux

package host

import "errors"

// A NIC is a network interface that raw frames are sent on: on Linux only.
type NIC struct{}

// ErrBusy is why a frame was not sent that found no room in time.
var ErrBusy = errors.New("the interface's queue stayed full")

// OpenNIC returns errors.ErrUnsupported.
func OpenNIC(string, string) (*NIC, error) { return nil, errors.ErrUnsupported }

// Name returns the interface's name.
func (n *NIC) Name() string { return "" }

// MTU returns the longest packet behind the Ethernet header.
func (n *NIC) MTU() int { return 0 }

// Send returns errors.ErrUnsupported.
func (n *NIC) Send([][]byte) (int, error) { return 0, errors.ErrUnsupported }

// Close does nothing.
func (n *NIC) Close() error { return nil }
