// Package services is a host of the emulated network that gives devices what
// they need before they can talk to a broker: an address by DHCP, addresses of
// names by DNS, the time by SNTP. Each service can be switched off and on, be
// slow, and lie: see [DHCPAnswer], [DNSAnswer] and [SNTPAnswer].
//
// A [Host] is a station at a switch, behind the links of the devices, so that
// what impairs a link impairs its answers too. It answers ARP, ICMP echo, and
// datagrams to the services it has; other ports are closed. It is not a host
// with a stack: it opens no connection, sends nothing that nobody asked for,
// reassembles no fragments, and keeps no ARP cache, because each answer goes to
// the Ethernet address that asked. Its DNS server speaks UDP only; connections
// are reset. Its DHCP server knows a client by its Ethernet address, whatever
// its client identifier, serves no relay agents and no BOOTP, and does not ping
// an address before it offers it.
//
// It runs in virtual and in real time alike, belongs to the goroutine that runs
// the loop, starts no goroutine, and draws no random number: the same requests
// at the same times have the same answers. What it does not answer is an event
// in the trace, as is what it does.
//
// Reading list: RFC 2131 and RFC 2132 (DHCP), RFC 1035 (DNS), RFC 5905 and RFC
// 4330 (SNTP), RFC 826 (ARP), RFC 792 (ICMP), RFC 9293 3.5.2 (resets).
package services
