package embedded

import "time"

// NetXDuo returns the profile of NetX Duo 6.4.2 as it is built by default
// (commit bd5d12e9, tag v6.4.2_rel; the file names are those of common/inc and
// common/src). The values were checked against recordings of that build.
func NetXDuo() Profile {
	second := Retry{
		First: time.Second, // NX_TCP_TRANSMIT_TIMER_RATE 1: constant, no RTT is measured (nx_tcp.h)
		Shift: 0,           // NX_TCP_RETRY_SHIFT (nx_tcp.h)
		Max:   10,          // NX_TCP_MAXIMUM_RETRIES (nx_tcp.h)
	}
	return Profile{
		Name: "netx-duo-6.4.2",
		IP: IPProfile{
			FastPeriod:   100 * time.Millisecond, // NX_TCP_FAST_TIMER_RATE 10 (nx_tcp.h, nx_ip_fast_periodic_timer_create.c)
			SlowPeriod:   time.Second,            // NX_IP_PERIODIC_RATE (nx_ip_create.c)
			FirstID:      1,                      // NX_INIT_PACKET_ID (nx_ip_create.c, nx_ip_header_add.c)
			TTL:          128,                    // NX_IP_TIME_TO_LIVE 0x80 (nx_api.h)
			ErrorTTL:     255,                    // nx_icmpv4_send_error_message.c
			MinimumFrame: 60,                     // the driver's choice; Ethernet's minimum
			Reassembly:   15,                     // NX_IPV4_MAX_REASSEMBLY_TIME, or the TTL if larger (nx_ip_fragment_assembly.c)
		},
		ARP: ARPProfile{
			Retry:      10, // NX_ARP_UPDATE_RATE (nx_api.h)
			Retries:    18, // NX_ARP_MAXIMUM_RETRIES (nx_api.h)
			QueueDepth: 4,  // NX_ARP_MAX_QUEUE_DEPTH (nx_api.h, nx_ip_driver_packet_send.c)
			Expire:     0,  // NX_ARP_EXPIRATION_RATE (nx_api.h)
			Entries:    19, // 1,024 bytes of cache, as in the samples, / sizeof(NX_ARP) (nx_arp_enable.c)
			Defend:     10, // NX_ARP_DEFEND_INTERVAL (nx_arp.h)
		},
		TCP: TCPProfile{
			Window:      8192,                           // NXD_MQTT_CLIENT_SOCKET_WINDOW_SIZE (nxd_mqtt_client.h)
			TTL:         128,                            // NX_IP_TIME_TO_LIVE (nx_api.h)
			SYNOptions:  []byte{0x01, 0x01, 0x01, 0x00}, // NX_TCP_OPTION_END (nx_tcp.h, nx_tcp_packet_send_syn.c)
			DefaultMSS:  536,                            // nx_tcp_packet_process.c
			MinimumMSS:  0,                              // NX_TCP_MSS_MINIMUM 128 only with NX_ENABLE_TCP_MSS_CHECK (nx_tcp_packet_process.c)
			PortFirst:   0xC000,                         // NX_SEARCH_PORT_START (nx_api.h, nx_tcp_client_socket_bind.c)
			ISNIncrease: 0x10000,                        // nxd_tcp_client_socket_connect.c

			SYN: second, Data: second, FIN: second,

			AckDelay:     200 * time.Millisecond, // NX_TCP_ACK_TIMER_RATE 5 (nx_tcp.h)
			AckEvery:     0,                      // NX_TCP_ACK_EVERY_N_PACKETS undefined (nx_tcp_socket_state_data_check.c)
			WindowUpdate: 2,                      // nx_tcp_socket_receive.c

			TxQueue:        20,                // NX_TCP_MAXIMUM_TX_QUEUE (nx_tcp.h)
			RxQueue:        20,                // NX_TCP_MAXIMUM_RX_QUEUE (nx_tcp.h), only with NX_ENABLE_LOW_WATERMARK
			MaxOutOfOrder:  0,                 // NX_TCP_MAX_OUT_OF_ORDER_PACKETS undefined (nx_tcp_socket_state_data_check.c)
			DuplicateAcks:  3,                 // nx_tcp_socket_state_ack_check.c
			SegmentLimit:   120 * time.Second, // NX_TCP_MAXIMUM_SEGMENT_LIFETIME (nx_tcp.h)
			FINWait2:       0,                 // nx_tcp_socket_state_fin_wait1.c stops the timer
			ListenRequests: 10,                // NX_MAX_LISTEN_REQUESTS (nx_api.h)
			// RFC 5681 section 3.1, as nx_tcp_socket_state_syn_sent.c has it.
			InitialSegments: func(mss uint32) uint32 {
				switch {
				case mss > 2190:
					return 2
				case mss > 1095:
					return 3
				}
				return 4
			},
		},
	}
}
