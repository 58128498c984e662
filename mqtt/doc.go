// Package mqtt is NetX Duo's MQTT 3.1.1 client, version 6.4.2, in Go: its
// functions, status codes, thread, mutex, one-second timer and queues of pool
// packets, so that firmware written against it meets here what it meets on a
// board, bugs included. Each known bug is a switch in [Quirks].
//
// With ModeFixed it is a client with the same functions that keeps to the
// standard instead: QoS 2 both ways, sessions over reconnects and resets,
// subscriptions made again, and a closed connection for a broker that breaks a
// rule. Websockets and the cloud helper are modelled in neither mode (the
// functions exist and say so).
//
// Both connect over TLS too ([Client.SecureConnect]), which is crypto/tls on the
// client's thread and the packets of its pool: see package taskconn.
//
// # Threads
//
// The client owns one thread of the device's kernel. Its functions are called
// from threads of the same kernel, which may have to wait in them; from
// interrupt context they panic. Callbacks run in the client's thread, or in the
// caller's during a blocking Connect or Disconnect, always with the client's
// recursive mutex held: they may call the client, and if they wait, everybody
// who needs the client waits too.
//
// # Packets
//
// Everything sent and received is packets of one pool. A published QoS 1
// message takes two (one in TCP until it is acknowledged there, one until the
// broker's PUBACK), a received one stays in the packets it came in until
// MessageGet.
//
// Reading list: NetX Duo 6.4.2 (commit bd5d12e9), addons/mqtt/nxd_mqtt_client.c
// and .h; OASIS MQTT Version 3.1.1.
package mqtt
