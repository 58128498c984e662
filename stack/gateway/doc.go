// Package gateway lets TCP and UDP of an emulated network leave through the
// sockets of the machine that it runs on, so that a device of the emulated
// network reaches a real server without any rights: a NAT in user space.
//
// Towards the emulated network a [Gateway] is a stack.Host that takes
// connections to every address ([stack.Host.Forward]); towards the machine it is
// a program like any other. A TCP connection is two: the device's ends here, and
// a socket of the machine's goes on. The handshake is answered when that socket
// is connected, and by RST or ICMP when it cannot be. From then on bytes pass,
// each direction ends by itself, what the one side does not take the other is not
// asked for, and a reset on one side is one on the other. So what a link does to
// TCP stays on the link: the real server sees none of it but time.
//
// It is not a router: no packet passes, ICMP neither, and of UDP datagrams only
// those that fit a packet.
//
// # Where connections may lead
//
// Nowhere, but to [Config.To] and the machine's own loopback, which is what the
// gateway's address stands for, and to what [Config.Allow] names. All else is
// answered with ICMP "administratively prohibited".
//
// # Limits
//
// Each TCP connection holds at most [MaxUp] bytes for the machine and [MaxDown]
// for the device beside what gVisor and the kernel hold; there are at most
// Config.Connections of them and [MaxFlows] UDP flows. What goes beyond is
// refused with a reason in the trace, and so is what the machine has no descriptor for.
//
// # Goroutines
//
// New, Counters and Close belong to the goroutine that runs the loop, before or
// after it runs, or within its events. Each connection has a goroutine that reads
// and one that writes; they touch nothing but their socket, what they share under
// a mutex, and Loop.Post. Close returns when all of them have ended.
//
// Reading list: RFC 5382, RFC 4787 (NAT of TCP and UDP), RFC 1812 5.2.7.1; gVisor
// pkg/tcpip/adapters/gonet, for what a bridge between the two must do.
package gateway
