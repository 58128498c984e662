// Package stack is an IP and TCP host on gVisor's network stack: the broker's
// side of every run, and a device of the profiles "linux" and, approximately,
// "netx".
//
// gVisor speaks IPv4, IPv6 and TCP. Ethernet, ARP, neighbour discovery, ICMP
// echo, the choice of addresses and of the next hop, and the charging of packet
// pools are this package's own. It is not a router, it has no UDP, and it is not
// the embedded engine: how a small stack resends, delays its ACKs or splits
// segments is not gVisor's to show.
//
// # Two kinds of connection
//
// A [Conn] is a byte stream on callbacks, for programs that live on the loop,
// such as a broker. A [PacketSocket] is a TCP socket in NetX Duo's shape, for
// threads of an rtos.Kernel; it hands out the very packets that arrived and
// keeps those that were sent until the peer has acknowledged them, so that a
// packet pool runs dry as it would on the device.
//
// # IPv6
//
// A host speaks IPv6, beside IPv4 or alone, when [Config] gives it an address,
// has it make addresses of router advertisements (SLAAC) or send such (Advertise).
// It has a link-local address then; interface identifiers are EUI-64. The
// solicitations of others are answered, neighbours in use are probed, routers
// that do not answer give way to others, and lifetimes end. Optional is the
// search for duplicates (DAD), because it delays the first packet by a second or
// more. Absent are MLD (so a switch that forwards multicast only to listeners
// must not stand between), redirects, DHCPv6, temporary addresses, advertised
// MTUs, extension headers of our own, and the confirmation of neighbours by
// TCP's progress. While a host has no address from which a peer can be reached,
// [Host.Dial] and [PacketSocket.Connect] say so at once; [Host.OnAddr6] tells
// when to try again.
//
// # Goroutines and order
//
// Everything here is called on the loop's goroutine, from an event or from a
// Task. gVisor runs a goroutine of its own for each stack; after every frame,
// timer or call that enters gVisor the barrier in barrier.go waits until that
// goroutine has nothing left to do, so that a run in virtual time depends on
// its seed only. Callbacks run in events of the loop, never inside gVisor, and
// may call any method.
//
// Nothing is dropped silently: each packet that goes no further is a drop event
// with a reason in the trace and is counted in [Counters].
//
// # The netx profile is approximate
//
// Of NetX Duo it has the constant retransmission time-out of 1 s, no selective
// acknowledgements, no timestamps and no window scaling, the SYN's option
// bytes, the TTL and hop limit, the window of at most 8192 bytes, PSH on every
// segment with data, the IP identification that counts from 1, the limits of the
// transmit queue and the schedules of ARP and neighbour discovery. It does not
// have the delayed ACK, the SYN schedule (gVisor: 1, 3, 7, … s), nor the
// resending of several segments at one time-out. A PacketSocket resets by a bare
// RST and sends a segment again with the IP identification that it had; a Conn
// does neither.
//
// Reading list: RFC 826, RFC 1122, RFC 791, RFC 792, RFC 9293, RFC 4861, RFC
// 4862, RFC 4443, RFC 6724; gVisor
// pkg/tcpip/transport/tcp/dispatcher.go and pkg/tcpip/stack/stack.go; netxduo
// common/src/nx_arp_*.c, nx_tcp_socket_*.c.
package stack
