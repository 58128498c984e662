package main

import (
	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/scenarios"
	"hilnet/trace"
)

// Reading list: netxduo nx_api.h, nxd_mqtt_client.h and the functions that return
// the codes; package trace for the kinds; MQTT 3.1.1 section 3.2.2.3.

// statusTexts explain the codes that calls of the client, its socket and its
// pool return.
var statusTexts = []struct {
	status nic.Status
	text   string
}{
	{nic.Success, "The call did what it was asked to do."},
	{nic.NoPacket, "The packet pool was empty, or the socket had nothing to read, for as long as the call was allowed to wait."},
	{nic.Underflow, "A packet is too short for the header that has to be put in front of its data."},
	{nic.Deleted, "What the call waited for was deleted meanwhile."},
	{nic.PoolError, "There is no such packet pool."},
	{nic.PtrError, "A pointer was null that may not be."},
	{nic.WaitError, "A wait was asked for where none is possible, as in an interrupt."},
	{nic.SizeError, "A size is too small or too large."},
	{nic.InvalidPacket, "The packet is not one, or was released already."},
	{nic.WaitAborted, "The wait was ended by another thread."},
	{nic.IPAddressError, "The address is not one that a connection can have."},
	{nic.AlreadyBound, "The socket has a local port already."},
	{nic.PortUnavailable, "Another socket has the local port."},
	{nic.NotBound, "The socket has no local port."},
	{nic.SocketUnbound, "The socket lost its local port while the call waited."},
	{nic.NotCreated, "The socket was not created, or was deleted."},
	{nic.NotClosed, "The socket is not closed, so it cannot connect or listen."},
	{nic.InProgress, "The call goes on in the background."},
	{nic.NotConnected, "The TCP connection is not there, was refused, or did not come up in time."},
	{nic.WindowOverflow, "The peer's window had no room for the data for as long as the call was allowed to wait."},
	{nic.DisconnectFailed, "The TCP connection did not close in time."},
	{nic.StillBound, "The socket still has a local port, so it cannot be deleted."},
	{nic.NoFreePorts, "Every local port is taken."},
	{nic.InvalidPort, "The port number is not one that a connection can have."},
	{nic.TxQueueDepth, "The socket's queue of packets that wait for an acknowledgement was full for as long as the call was allowed to wait, or the fixed MQTT client may hold no more messages."},
	{nic.NotSupported, "The call is not supported in this configuration."},
	{nic.InvalidParameters, "A parameter has a value that the call does not take."},
	{nic.PacketOffsetError, "The offset lies behind the data of the packet."},
	{nic.Continue, "Not an error: there is more to do."},

	{nic.TLSUnknownCipherSuite, "The server chose a cipher suite that the client does not have."},
	{nic.TLSHandshakeFailure, "Something in the TLS handshake failed."},
	{nic.TLSHashMACVerifyFailure, "A TLS record does not verify."},
	{nic.TLSTCPSendFailed, "TCP did not take a TLS record."},
	{nic.TLSInvalidServerCert, "The server's certificate is wrong."},
	{nic.TLSUnknownVersion, "What arrived is not a version of TLS."},
	{nic.TLSUnsupportedVersion, "The server's version of TLS is not supported."},
	{nic.TLSAllocatePacketFailed, "The packet pool had no packet for a TLS record."},
	{nic.TLSAlertReceived, "The server sent a TLS alert: it found something wrong, and its number says what."},
	{nic.TLSIssuerNotFound, "The server's certificate leads to no authority that the client trusts."},
	{nic.TLSCloseNotifyReceived, "The server ended the TLS session in order."},
	{nic.X509CertificateExpired, "The server's certificate is not valid any more, by the device's clock."},
	{nic.X509CertificateNotYetValid, "The server's certificate is not valid yet, by the device's clock."},
	{nic.X509DNSMismatch, "The server's certificate is for another name."},

	{0x10001, "The client is connected already."},
	{0x10002, "The client is not connected, so it cannot publish, subscribe or disconnect."},
	{0x10003, "The client's mutex could not be taken."},
	{0x10004, "A kernel service that the client needs failed."},
	{0x10005, "The connection to the broker could not be made."},
	{0x10006, "The client found no free packet in its pool for as long as it was allowed to wait."},
	{0x10007, "TCP did not take the packet, or the connection was lost."},
	{0x10008, "The broker sent something that the client did not expect."},
	{0x10009, "A parameter has a value that the call does not take."},
	{0x1000A, "No received message waits for message_get."},
	{0x1000B, "The pool for messages is empty."},
	{0x1000C, "The client does not send with quality of service 2."},
	{0x1000D, "The buffer is too small for the message or its topic."},
	{0x1000E, "The client's thread does not run."},
	{0x1000F, "A packet is not MQTT."},
	{0x10010, "A packet is not complete yet: the rest of it comes in another segment."},
	{0x10011, "The client is connecting; connected tells how that ended."},
	{0x10012, "The call is not possible in this state of the client."},
	{0x10080, "The broker refused the connection; a code from 0x10081 on says why."},
	{0x10081, "The broker refused the connection: it does not speak this version of MQTT (CONNACK 1)."},
	{0x10082, "The broker refused the connection: it does not accept the client identifier (CONNACK 2)."},
	{0x10083, "The broker refused the connection: the service is not available (CONNACK 3)."},
	{0x10084, "The broker refused the connection: user name or password are wrong (CONNACK 4)."},
	{0x10085, "The broker refused the connection: the client is not authorized (CONNACK 5)."},
}

// connackTexts explain the status of broker.connected events.
var connackTexts = []string{
	"The broker accepted the connection.",
	"The broker does not speak the version of MQTT that the client asked for.",
	"The broker does not accept the client identifier.",
	"The MQTT service is not available.",
	"User name or password are wrong.",
	"The client is not authorized to connect.",
}

// kindTexts explain the kinds of events in a trace.
var kindTexts = []struct {
	kind trace.Kind
	text string
}{
	{trace.KindDrop, "A frame, packet or message went no further; reason says why, node and stage where."},
	{trace.KindDuplicate, "A link made a second copy of a frame; count is the number of the copy."},
	{trace.KindCorrupt, "A link flipped bits of a frame; count is the first of them, 8 to a byte from the frame's start."},
	{trace.KindMark, "A link marked a frame with ECN's congestion experienced; text says what did."},
	{trace.KindGenerated, "A middlebox on a link sent a frame of its own; text says what it is."},
	{trace.KindLink, "The modem of a link (radio) is idle, waking, connected or sleeping from now on."},
	{trace.KindNIC, "A device's network interface changed its state: link_up, link_down or tx_error."},
	{trace.KindAction, "The scenario's timeline did something, or what it had done for a time ended."},
	{trace.KindPoolEmpty, "Somebody asked a packet pool for a packet and there was none; count is how many ticks it may wait."},
	{trace.KindPoolLow, "A packet pool reached a new minimum; count is the number of free packets."},
	{trace.KindPoolLeak, "The scenario took packets out of a pool, or gave them back (a negative count)."},
	{trace.KindTCP, "The device's TCP did something of note; text says what."},
	{trace.KindARP, "The device's ARP did something of note; text says what."},
	{trace.KindND, "The device's IPv6 neighbour discovery did something of note; text says what."},
	{trace.KindPing, "An ICMP echo was answered, or its answer came."},
	{scenarios.KindBoot, "A device started its application; count is the number of the start, from 1."},
	{scenarios.KindOff, "A device stopped without a word to anybody; text says why."},
	{mqtt.KindState, "The client changed its state; text says to which."},
	{trace.KindConnect, "The application asked the client to connect; count is the keepalive in seconds."},
	{trace.KindTLS, "A TLS handshake ended well; text says with what version and cipher suite, count how long it took in nanoseconds."},
	{trace.KindTLSFailed, "TLS failed; stage is the cause in a word, text says which side found it, count is the number of the peer's alert."},
	{trace.KindConnected, "An attempt to connect ended: status 0 when it succeeded."},
	{trace.KindDisconnected, "The client's session ended; text says why."},
	{trace.KindPublish, "The application published a message: status 0 when the client accepted it."},
	{trace.KindRepublish, "The client sent a message again after it had connected again."},
	{trace.KindAcked, "The broker acknowledged a message; count is the time since the publish call in nanoseconds."},
	{trace.KindSubscribe, "The application asked for a subscription."},
	{trace.KindSubscribed, "The broker answered a request for a subscription."},
	{trace.KindUnsubscribe, "The application asked for the end of a subscription."},
	{mqtt.KindUnsubscribed, "The broker confirmed the end of a subscription."},
	{trace.KindReceived, "A message arrived at the client and waits for message_get; count is how many wait."},
	{trace.KindMessageGet, "The application took a message: status 0 when there was one."},
	{trace.KindPingReq, "The client sent a keepalive request."},
	{trace.KindPingResp, "The broker answered a keepalive request."},
	{trace.KindPingTimeout, "The broker did not answer a keepalive request in time, so the client gives the connection up."},
	{trace.KindWait, "A thread had to wait; stage is the thread, text what for, count how long in nanoseconds."},
	{trace.KindBrokerConnected, "A client connected to the broker; status is the CONNACK return code."},
	{trace.KindBrokerDisconnected, "A client's connection ended at the broker; text says why."},
	{trace.KindBrokerReceived, "A message arrived at the broker."},
	{trace.KindBrokerSent, "The broker sent a message to a subscriber."},
	{trace.KindBrokerAcked, "A subscriber acknowledged a message to the broker."},
	{trace.KindBrokerSubscribed, "The broker granted a subscription."},
	{trace.KindBrokerUnsubscribed, "The broker ended a subscription at the client's request."},
	{trace.KindUnused, "A rule of a link, or a frame on the list of those to drop, never had anything to do by the end of the run."},
	{trace.KindMatch, "A rule of a link chose a message or a frame; text says what it is and what happens to it."},
	{trace.KindUnread, "A rule for MQTT messages cannot see them in a connection, as it carries TLS or something else, or where they begin was lost; text says which."},
	{trace.KindEdge, "What is at the other side of a socket came or went; text says which."},
	{trace.KindGatewayOpen, "A TCP connection has come up through the gateway to this machine's own sockets; count is its number, text says whose and where to."},
	{trace.KindGatewayClose, "A TCP connection through the gateway has ended; count is its number, text says why, up_bytes and down_bytes what it carried."},
	{trace.KindExecStart, "A program that the scenario runs began; count is the number of the start, from 1."},
	{trace.KindExecOutput, "A program that the scenario runs printed a line; stage says where to."},
	{trace.KindExecExit, "A program that the scenario runs ended; status is its exit status, or 128 and the number of the signal that ended it."},
	{trace.KindOracle, "A device did what an oracle of the scenario forbids; stage is the oracle, text says what it saw."},
	{trace.KindApp, "The application, or the scenario's step, said something."},
	{trace.KindCounters, "What a part had counted by the end of the run."},
	{trace.KindSample, "How full a pool or a stage of a link was at a moment; these stand in a file beside the trace, for emu run --report."},
	{trace.KindEnd, "The run ended; count is its length in nanoseconds."},
}
