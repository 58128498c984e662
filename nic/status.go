package nic

import "fmt"

// A Status is the result of a NetX call, with NetX's numbers: the NX_ codes of
// nx_api.h and, from 0x10000 on, the NXD_MQTT_ codes of nxd_mqtt_client.h,
// which share one number space. Zero is success.
type Status uint32

// The NX_ codes that this project's parts return.
const (
	Success           Status = 0x00
	NoPacket          Status = 0x01 // the pool is empty, or a socket has nothing to read
	Underflow         Status = 0x02
	Deleted           Status = 0x05
	PoolError         Status = 0x06
	PtrError          Status = 0x07
	WaitError         Status = 0x08
	SizeError         Status = 0x09
	InvalidPacket     Status = 0x12
	WaitAborted       Status = 0x1A
	IPAddressError    Status = 0x21
	AlreadyBound      Status = 0x22
	PortUnavailable   Status = 0x23
	NotBound          Status = 0x24
	SocketUnbound     Status = 0x26
	NotCreated        Status = 0x27
	NotClosed         Status = 0x35
	InProgress        Status = 0x37
	NotConnected      Status = 0x38
	WindowOverflow    Status = 0x39
	DisconnectFailed  Status = 0x41
	StillBound        Status = 0x42
	NoFreePorts       Status = 0x45
	InvalidPort       Status = 0x46
	TxQueueDepth      Status = 0x49
	NotSupported      Status = 0x4B
	InvalidParameters Status = 0x4D
	PacketOffsetError Status = 0x53
	Continue          Status = 0x55
	NoMoreEntries     Status = 0x17
	NotAvailable      Status = 0x1D // TX_NOT_AVAILABLE: the mutex was not free in time
	NotSuccessful     Status = 0x43
)

// The codes of the DHCP and DNS clients, from nxd_dhcp_client.h and nxd_dns.h.
const (
	DHCPAlreadyStarted    Status = 0x93
	DNSNoServer           Status = 0xA1
	DNSQueryFailed        Status = 0xA3
	DNSMalformedPacket    Status = 0xA6
	DNSBadIDError         Status = 0xA7
	DNSParamError         Status = 0xA8
	DNSPacketCreateError  Status = 0xAA
	DNSServerAuthError    Status = 0xAC
	DNSMismatchedResponse Status = 0xAE
	DNSDuplicateEntry     Status = 0xAF
)

// The codes of NetX Secure, from nx_secure_tls.h and nx_secure_x509.h.
const (
	TLSUnknownCipherSuite      Status = 0x105
	TLSHandshakeFailure        Status = 0x107
	TLSHashMACVerifyFailure    Status = 0x108
	TLSTCPSendFailed           Status = 0x109
	TLSInvalidServerCert       Status = 0x10C
	TLSUnknownVersion          Status = 0x10F
	TLSUnsupportedVersion      Status = 0x110
	TLSAllocatePacketFailed    Status = 0x111
	TLSAlertReceived           Status = 0x114
	TLSIssuerNotFound          Status = 0x11B
	TLSCloseNotifyReceived     Status = 0x127
	X509CertificateExpired     Status = 0x193
	X509CertificateNotYetValid Status = 0x194
	X509DNSMismatch            Status = 0x195
)

// statusNames holds every code a user may see in a trace, MQTT's included, so
// that a number has one name wherever it is printed.
var statusNames = map[Status]string{
	Success: "NX_SUCCESS", NoPacket: "NX_NO_PACKET", Underflow: "NX_UNDERFLOW", Deleted: "NX_DELETED",
	PoolError: "NX_POOL_ERROR", PtrError: "NX_PTR_ERROR", WaitError: "NX_WAIT_ERROR", SizeError: "NX_SIZE_ERROR",
	InvalidPacket: "NX_INVALID_PACKET", WaitAborted: "NX_WAIT_ABORTED", IPAddressError: "NX_IP_ADDRESS_ERROR",
	AlreadyBound: "NX_ALREADY_BOUND", PortUnavailable: "NX_PORT_UNAVAILABLE", NotBound: "NX_NOT_BOUND",
	SocketUnbound: "NX_SOCKET_UNBOUND", NotCreated: "NX_NOT_CREATED", NotClosed: "NX_NOT_CLOSED",
	InProgress: "NX_IN_PROGRESS", NotConnected: "NX_NOT_CONNECTED", WindowOverflow: "NX_WINDOW_OVERFLOW",
	DisconnectFailed: "NX_DISCONNECT_FAILED", StillBound: "NX_STILL_BOUND", NoFreePorts: "NX_NO_FREE_PORTS",
	InvalidPort: "NX_INVALID_PORT", TxQueueDepth: "NX_TX_QUEUE_DEPTH", NotSupported: "NX_NOT_SUPPORTED",
	InvalidParameters: "NX_INVALID_PARAMETERS", PacketOffsetError: "NX_PACKET_OFFSET_ERROR", Continue: "NX_CONTINUE",
	NoMoreEntries: "NX_NO_MORE_ENTRIES", NotAvailable: "TX_NOT_AVAILABLE", NotSuccessful: "NX_NOT_SUCCESSFUL",

	DHCPAlreadyStarted: "NX_DHCP_ALREADY_STARTED", DNSNoServer: "NX_DNS_NO_SERVER", DNSQueryFailed: "NX_DNS_QUERY_FAILED",
	DNSMalformedPacket: "NX_DNS_MALFORMED_PACKET", DNSBadIDError: "NX_DNS_BAD_ID_ERROR", DNSParamError: "NX_DNS_PARAM_ERROR",
	DNSPacketCreateError: "NX_DNS_PACKET_CREATE_ERROR", DNSServerAuthError: "NX_DNS_SERVER_AUTH_ERROR",
	DNSMismatchedResponse: "NX_DNS_MISMATCHED_RESPONSE", DNSDuplicateEntry: "NX_DNS_DUPLICATE_ENTRY",

	TLSUnknownCipherSuite: "NX_SECURE_TLS_UNKNOWN_CIPHERSUITE", TLSHandshakeFailure: "NX_SECURE_TLS_HANDSHAKE_FAILURE",
	TLSHashMACVerifyFailure: "NX_SECURE_TLS_HASH_MAC_VERIFY_FAILURE", TLSTCPSendFailed: "NX_SECURE_TLS_TCP_SEND_FAILED",
	TLSInvalidServerCert: "NX_SECURE_TLS_INVALID_SERVER_CERT", TLSUnknownVersion: "NX_SECURE_TLS_UNKNOWN_TLS_VERSION",
	TLSUnsupportedVersion: "NX_SECURE_TLS_UNSUPPORTED_TLS_VERSION", TLSAllocatePacketFailed: "NX_SECURE_TLS_ALLOCATE_PACKET_FAILED",
	TLSAlertReceived: "NX_SECURE_TLS_ALERT_RECEIVED", TLSIssuerNotFound: "NX_SECURE_TLS_ISSUER_CERTIFICATE_NOT_FOUND",
	TLSCloseNotifyReceived: "NX_SECURE_TLS_CLOSE_NOTIFY_RECEIVED", X509CertificateExpired: "NX_SECURE_X509_CERTIFICATE_EXPIRED",
	X509CertificateNotYetValid: "NX_SECURE_X509_CERTIFICATE_NOT_YET_VALID", X509DNSMismatch: "NX_SECURE_X509_CERTIFICATE_DNS_MISMATCH",

	0x10001: "NXD_MQTT_ALREADY_CONNECTED", 0x10002: "NXD_MQTT_NOT_CONNECTED", 0x10003: "NXD_MQTT_MUTEX_FAILURE",
	0x10004: "NXD_MQTT_INTERNAL_ERROR", 0x10005: "NXD_MQTT_CONNECT_FAILURE", 0x10006: "NXD_MQTT_PACKET_POOL_FAILURE",
	0x10007: "NXD_MQTT_COMMUNICATION_FAILURE", 0x10008: "NXD_MQTT_SERVER_MESSAGE_FAILURE",
	0x10009: "NXD_MQTT_INVALID_PARAMETER", 0x1000A: "NXD_MQTT_NO_MESSAGE", 0x1000B: "NXD_MQTT_PACKET_POOL_EMPTY",
	0x1000C: "NXD_MQTT_QOS2_NOT_SUPPORTED", 0x1000D: "NXD_MQTT_INSUFFICIENT_BUFFER_SPACE",
	0x1000E: "NXD_MQTT_CLIENT_NOT_RUNNING", 0x1000F: "NXD_MQTT_INVALID_PACKET", 0x10010: "NXD_MQTT_PARTIAL_PACKET",
	0x10011: "NXD_MQTT_CONNECTING", 0x10012: "NXD_MQTT_INVALID_STATE",
	0x10080: "NXD_MQTT_ERROR_CONNECT_RETURN_CODE", 0x10081: "NXD_MQTT_ERROR_UNACCEPTABLE_PROTOCOL",
	0x10082: "NXD_MQTT_ERROR_IDENTIFYIER_REJECTED", 0x10083: "NXD_MQTT_ERROR_SERVER_UNAVAILABLE",
	0x10084: "NXD_MQTT_ERROR_BAD_USERNAME_PASSWORD", 0x10085: "NXD_MQTT_ERROR_NOT_AUTHORIZED",
}

// OK reports whether the call succeeded.
func (s Status) OK() bool { return s == Success }

// String returns NetX's name of the code, and its number if it has none.
func (s Status) String() string {
	if name, ok := statusNames[s]; ok {
		return name
	}
	return fmt.Sprintf("0x%X", uint32(s))
}
