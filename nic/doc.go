// Package nic is the memory and the network interface of a constrained device:
// packet pools with the semantics of NetX Duo's NX_PACKET_POOL, packets and
// chains of them, and a virtual NIC between a stack and its link.
//
// It is not a stack: it knows no protocol. Its rules for full, empty and broken
// are the ones firmware meets: a thread may wait for a packet, a driver may
// not, a release may be wrong, and nothing is dropped without a reason in the
// trace.
//
// Everything belongs to the goroutine that runs the loop. Calls that may wait
// do so for the kernel's current thread; in interrupt context they never wait.
//
// Reading list: NetX Duo 6.4.2, common/inc/nx_api.h and common/src:
// nx_packet_pool_create.c, nxe_packet_pool_create.c, nx_packet_allocate.c,
// nx_packet_release.c, nx_packet_transmit_release.c, nx_packet_data_append.c,
// nx_packet_copy.c, nx_packet_data_extract_offset.c; nx_ram_network_driver.c.
package nic
