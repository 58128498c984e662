package mqtt

import (
	"net/netip"

	"hilnet/nic"
	"hilnet/sim/rtos"
)

// A Socket is the TCP client socket below the client, with NetX's packet-native
// calls. It may be used for one connection after another. Calls that may wait
// do so for the kernel's current thread; with NoWait they never do.
type Socket interface {
	// Connect binds any free port and opens a connection. With NoWait it
	// returns InProgress and goes on by itself.
	Connect(server netip.AddrPort, wait rtos.Ticks) nic.Status
	// Send sends the chain p. On Success the socket owns p and releases it when
	// the peer's TCP has acknowledged it; otherwise the caller still owns it.
	Send(p *nic.Packet, wait rtos.Ticks) nic.Status
	// Receive returns the next segment's data, positioned at the TCP payload,
	// which the caller then owns; NoPacket if there is none (in time), another
	// status if there will never be one.
	Receive(wait rtos.Ticks) (*nic.Packet, nic.Status)
	// Disconnect closes the connection: with NoWait by a RST, else by a FIN
	// handshake for which it waits at most wait, and gives up then.
	Disconnect(wait rtos.Ticks) nic.Status
	// Unbind gives the port back.
	Unbind() nic.Status
	// Delete ends the socket; StillBound if it was not unbound.
	Delete() nic.Status

	// The notifies are called in interrupt context (by rtos.Kernel.Interrupt, if
	// it is a thread's call that leads to one): when data arrived, when the
	// connection ended other than by Disconnect (also one that never came to
	// be), and when a connection was established.
	ReceiveNotify(fn func())
	DisconnectNotify(fn func())
	EstablishNotify(fn func())
}

// A Status is the result of a call, with NetX's numbers.
type Status = nic.Status

// The NXD_MQTT_ codes. Calls also return codes of NetX itself: nic.PtrError,
// nic.InvalidPort, nic.InProgress, nic.NotSupported.
const (
	Success                   Status = 0
	AlreadyConnected          Status = 0x10001
	NotConnected              Status = 0x10002
	MutexFailure              Status = 0x10003
	InternalError             Status = 0x10004
	ConnectFailure            Status = 0x10005
	PacketPoolFailure         Status = 0x10006
	CommunicationFailure      Status = 0x10007
	ServerMessageFailure      Status = 0x10008
	InvalidParameter          Status = 0x10009
	NoMessage                 Status = 0x1000A
	PacketPoolEmpty           Status = 0x1000B // never returned
	QoS2NotSupported          Status = 0x1000C
	InsufficientBufferSpace   Status = 0x1000D
	ClientNotRunning          Status = 0x1000E // never returned
	InvalidPacket             Status = 0x1000F
	PartialPacket             Status = 0x10010
	Connecting                Status = 0x10011
	InvalidState              Status = 0x10012
	ErrorConnectReturnCode    Status = 0x10080 // plus the return code of the CONNACK:
	ErrorUnacceptableProtocol Status = 0x10081
	ErrorIdentifierRejected   Status = 0x10082
	ErrorServerUnavailable    Status = 0x10083
	ErrorBadUsernamePassword  Status = 0x10084
	ErrorNotAuthorized        Status = 0x10085
)
