package host

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// sendAtOnce is the most frames that one system call sends.
const sendAtOnce = 64

// sendBuffer is the socket's buffer: what waits for a slow interface.
const sendBuffer = 4 << 20

// patience is how long one frame waits for room in the interface's queue, in
// milliseconds.
const patience = 1000

// A NIC is a network interface that raw frames are sent on (packet(7)). It does
// not receive.
type NIC struct {
	name  string
	index int
	mtu   int
	fd    int

	messages [sendAtOnce]message
	vectors  [sendAtOnce]unix.Iovec
	wake     []unix.PollFd
}

// A message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
	_      uint32
}

// OpenNIC opens the interface of that name in the network namespace of that name
// (empty: the process's own). It needs CAP_NET_RAW.
func OpenNIC(name, namespace string) (*NIC, error) {
	n := &NIC{name: name, fd: -1}
	if err := inNamespace(namespace, n.open); err != nil {
		return nil, err
	}
	return n, nil
}

func (n *NIC) open() (err error) {
	link, err := net.InterfaceByName(n.name)
	if err != nil {
		return fmt.Errorf("host: interface %q: %w", n.name, err)
	}
	if n.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return fmt.Errorf("host: a raw socket on %q: %w", n.name, err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(n.fd) // the first error is the one to report
		}
	}()
	// Protocol 0: nothing is received.
	if err := unix.Bind(n.fd, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
		return fmt.Errorf("host: bind to %q: %w", n.name, err)
	}
	if err := unix.SetsockoptInt(n.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer); err != nil {
		// Without CAP_NET_ADMIN the system's limit holds: sends wait a little more.
		_ = unix.SetsockoptInt(n.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendBuffer)
	}
	n.index, n.mtu = link.Index, link.MTU
	n.wake = []unix.PollFd{{Fd: int32(n.fd), Events: unix.POLLOUT}}
	return nil
}

// Name returns the interface's name.
func (n *NIC) Name() string { return n.name }

// MTU returns the longest packet behind the Ethernet header.
func (n *NIC) MTU() int { return n.mtu }

// ErrBusy is why a frame was not sent that found no room in time.
var ErrBusy = errors.New("the interface's queue stayed full")

// Send sends frames in order and returns how many the kernel took. When that is
// not all of them, the error is why it did not take the next: a syscall.Errno,
// such as EMSGSIZE for one that is too long or ENETDOWN, or ErrBusy.
func (n *NIC) Send(frames [][]byte) (sent int, err error) {
	for sent < len(frames) {
		group := frames[sent:min(len(frames), sent+sendAtOnce)]
		k, err := n.sendGroup(group)
		sent += k
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (n *NIC) sendGroup(frames [][]byte) (int, error) {
	for i, f := range frames {
		if len(f) == 0 {
			return i, unix.EINVAL
		}
		n.vectors[i].Base = &f[0]
		n.vectors[i].SetLen(len(f))
		n.messages[i].header.Iov = &n.vectors[i]
		n.messages[i].header.SetIovlen(1)
	}
	for {
		k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(n.fd), uintptr(unsafe.Pointer(&n.messages)), uintptr(len(frames)), 0, 0, 0)
		runtime.KeepAlive(frames)
		switch {
		case errno == 0:
			return int(k), nil // the error of the frame behind them comes with the next call
		case errno == unix.EINTR:
		case errno == unix.EAGAIN || errno == unix.ENOBUFS:
			ready, err := unix.Poll(n.wake, patience)
			if ready == 0 && err == nil {
				return 0, ErrBusy
			}
		default:
			return 0, errno
		}
	}
}

// Close closes the socket.
func (n *NIC) Close() error { return unix.Close(n.fd) }

// inNamespace runs fn on a thread in a network namespace. The thread is given
// back only when it has returned to where it was; otherwise it ends with its
// goroutine, so that no other code ever runs in the wrong namespace.
func inNamespace(name string, fn func() error) error {
	if name == "" {
		return fn()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- visit(name, fn)
	}()
	return <-result
}

// visit is inNamespace on a locked thread.
func visit(name string, fn func() error) error {
	own, err := netns.Get()
	if err != nil {
		return fmt.Errorf("host: own namespace: %w", err)
	}
	defer own.Close()
	other, err := netns.GetFromName(name)
	if err != nil {
		return fmt.Errorf("host: namespace %q: %w", name, err)
	}
	defer other.Close()
	if err := netns.Set(other); err != nil {
		return fmt.Errorf("host: enter namespace %q: %w", name, err)
	}
	err = fn()
	if netns.Set(own) == nil {
		runtime.UnlockOSThread()
	}
	return err
}
