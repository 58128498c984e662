// Package embedded is a small device's TCP/IP: Ethernet, ARP, IPv4 with
// reassembly, ICMP echo, UDP and TCP, working on the packets of a [nic.Pool] the
// way the stacks of microcontrollers do. How such a stack holds, queues, drops
// and sends packets again is what decides whether a device survives a bad link,
// so the engine follows one real stack, NetX Duo 6.4.2, function by function,
// and keeps its numbers in a [Profile].
//
// It is not a good TCP: it has no SACK, no RTT estimate and no window scale
// unless its profile says so, and its faults are those of the original, each a
// switch in [Quirks] where a better way is built in too. It has no IPv6, does
// not forward, does not fragment what it sends, and does not loop back.
//
// # Threads
//
// NetX processes frames and timers in an IP thread of the highest priority and
// guards its state with one mutex. Code between two waits takes no time here,
// so the thread would run to its end before anyone else anyway: frames and
// timers are handled at once, in interrupt context, and what they make ready
// runs afterwards, by priority. A frame that arrives while a call of the
// application is inside the engine is handled when that call leaves it, before
// it returns, as when the thread that held the mutex puts it. [Config.Latency]
// delays the thread a little, so that frames of a burst are handled together.
//
// Everything belongs to the goroutine that runs the loop. Calls with a wait
// option other than [rtos.NoWait] wait if the caller is a thread of the kernel;
// from interrupt context they never wait. Notify functions are called in
// interrupt context and should only set event flags.
//
// # Packets
//
// Each packet that the engine holds names its holder (see [IP.Holdings]): the
// TCP transmit queue until its last byte is acknowledged, the receive queue
// until the application takes it, segments out of order until the gap is
// filled, the ARP queue until an answer or the 18th retry, the reassembly list
// until its timer ends. What the engine drops, and control packets that it
// cannot send because the pool is empty, are events in the trace.
//
// Reading list: NetX Duo 6.4.2, common/src: nx_ip_thread_entry.c,
// nx_tcp_packet_process.c, nx_tcp_socket_packet_process.c,
// nx_tcp_socket_state_*.c, nx_tcp_socket_send_internal.c,
// nx_tcp_socket_receive.c, nx_tcp_socket_retransmit.c,
// nx_tcp_fast_periodic_processing.c, nx_tcp_packet_send_*.c,
// nx_tcp_socket_disconnect.c, nx_ip_driver_packet_send.c, nx_ip_header_add.c,
// nx_ip_fragment_assembly.c, nx_arp_*.c, nx_icmpv4_*.c, nx_udp_*.c;
// RFC 9293 (TCP), RFC 5681 and RFC 6582 (congestion control), RFC 1122,
// RFC 826 (ARP), RFC 791 (IPv4), RFC 792 (ICMP).
package embedded
