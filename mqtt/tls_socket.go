package mqtt

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"hilnet/nic"
	"hilnet/sim/rtos"
	"hilnet/sim/taskconn"
)

const (
	recordHeader = 5
	// maxRecord is the longest record of TLS 1.2, which allows more than 1.3.
	maxRecord = recordHeader + 16384 + 2048
	// maxPlain is what one record carries.
	maxPlain = 16384
)

// A secureSocket is the client's socket with TLS on it: each Send is a record,
// and each Receive gives what one record carries. All bytes of TLS are in
// packets of the device's pool: a record that arrives stays in the segments'
// packets until it is whole, and what it carries is in packets of its own; a
// record that is sent is in the packet that the client has built, which grows
// by what TLS adds.
type secureSocket struct {
	Socket
	client  *Client
	session *TLSSession
	conn    *taskconn.Conn
	tls     *tls.Conn
	writing *rtos.Mutex

	wait      rtos.Ticks // for each segment of the handshake
	flights   int        // sent in the handshake
	up        bool       // the handshake has ended well
	broken    error      // what ended TLS
	pullError Status     // why the handshake got nothing more
	shaking   bool       // the handshake is under way
	inThread  bool       // the handshake is the client's thread's
	abandoned uint32     // the events for which it was: the thread still has to process them

	held  *nic.Packet // encrypted, in the order of the stream
	used  int         // bytes of held that were read
	plain []byte      // decrypted, for which there is no packet yet
	room  []byte      // what plain is made in
	retry *rtos.Timer // looks again for such a packet, of ModeFixed
}

func newSecureSocket(c *Client, session *TLSSession) *secureSocket {
	s := &secureSocket{Socket: c.tcp, client: c, session: session, writing: rtos.NewMutex(c.kernel, c.cfg.Name+" TLS")}
	s.conn = taskconn.New(taskconn.Config{Fill: s.fill})
	s.tls = tls.Client(s.conn, session.config())
	return s
}

// errNoPacket is a record that could not be sent, for want of a packet or of TCP.
var errNoPacket = errors.New("no packet for a record")

func noPacket(s Status) error { return fmt.Errorf("%w: %v", errNoPacket, s) }

// errNotTaken is a record of the handshake for which TCP had no room.
var errNotTaken = errors.New("TCP did not take a record of the handshake")

// unsent says why a record of the handshake was not sent.
func unsent(s Status) error {
	switch s {
	case nic.NoPacket, PacketPoolFailure:
		return noPacket(s)
	case nic.NotConnected:
		return fmt.Errorf("%w: %v", io.ErrUnexpectedEOF, s)
	}
	return fmt.Errorf("%w: %v", errNotTaken, s)
}

func (s *secureSocket) diagnose(err error) taskconn.Failure {
	f := taskconn.Diagnose(err)
	switch {
	case errors.Is(err, errNoPacket):
		f.Cause = taskconn.CauseNoPacket
	case errors.Is(err, errNotTaken):
		f.Cause = taskconn.CauseRecordLost
	}
	if f.Cause == taskconn.CauseTimeout {
		f.Err = errors.New("nothing came in time")
	}
	return f
}

// pull takes a segment from TCP.
func (s *secureSocket) pull(wait rtos.Ticks) Status {
	p, status := s.Socket.Receive(wait)
	if status != Success {
		return status
	}
	p.SetHolder("TLS record")
	if s.held == nil {
		s.held = p
	} else {
		s.held.Link(p)
	}
	return Success
}

// whole returns the length of the record in front if all of it is there, 0 if
// not. What is no record is whole as it stands: crypto/tls finds the words for it.
func (s *secureSocket) whole() int {
	if s.held == nil {
		return 0
	}
	var header [recordHeader]byte
	n, status := s.held.ExtractOffset(s.used, header[:])
	if status != Success || n < recordHeader {
		return 0
	}
	length := recordHeader + int(binary.BigEndian.Uint16(header[3:]))
	have := s.held.Len() - s.used
	switch {
	case header[0] < 20 || header[0] > 24 || header[1] != 3 || length > maxRecord:
		return have
	case have < length:
		return 0
	}
	return length
}

// feed lets crypto/tls read n bytes. Their packets stay until they are used.
func (s *secureSocket) feed(n int) {
	if cap(s.room) < n {
		s.room = make([]byte, n)
	}
	b := s.room[:n]
	s.held.ExtractOffset(s.used, b)
	s.conn.Feed(b)
	s.used += n
}

// release gives back the packets of records that were read.
func (s *secureSocket) release() {
	if s.held != nil && s.used > 0 {
		s.held = s.held.Advance(s.used, false)
		s.used = 0
	}
}

// flush sends what crypto/tls has written by itself, a segment for each record.
// From the second flight on the device has calculated before.
func (s *secureSocket) flush(wait rtos.Ticks) Status {
	if s.conn.Unsent() == 0 {
		return Success
	}
	s.writing.Get(rtos.WaitForever)
	defer s.writing.Put()
	out := s.conn.Take()
	if !s.up {
		if s.flights++; s.flights == 2 && s.session.HandshakeTime > 0 {
			s.client.kernel.Current().Task().Sleep(s.session.HandshakeTime)
			if s.gone() {
				return nic.NotConnected
			}
		}
	}
	for len(out) > 0 {
		n := len(out)
		if n > recordHeader {
			n = min(n, recordHeader+int(binary.BigEndian.Uint16(out[3:])))
		}
		if status := s.sendRecord(out[:n], wait); status != Success {
			return status
		}
		out = out[n:]
	}
	return Success
}

func (s *secureSocket) sendRecord(record []byte, wait rtos.Ticks) Status {
	p, status := s.client.allocate(wait)
	if status != Success {
		return status
	}
	if status = p.Append(record, s.client.pool, wait); status == Success {
		status = s.Socket.Send(p, wait)
	}
	if status != Success {
		p.Release()
	}
	return status
}

// Send sends what p carries as a record, which p then is. Without room in the
// pool for what TLS adds nothing has happened; without room in TCP the record is
// lost, and with it the session, for the next one cannot verify: as in NetX,
// whose sequence number counts before nx_tcp_socket_send.
func (s *secureSocket) Send(p *nic.Packet, wait rtos.Ticks) Status {
	if !s.up || s.broken != nil {
		return nic.NotConnected
	}
	s.writing.Get(rtos.WaitForever)
	defer s.writing.Put()
	plain := p.AppendTo(nil)
	if grow := s.sealed(len(plain)) - len(plain); grow > 0 {
		if status := p.Append(make([]byte, grow), s.client.pool, wait); status != Success {
			return status
		}
	}
	if s.broken != nil { // while this thread waited
		return nic.NotConnected
	}
	if _, err := s.tls.Write(plain); err != nil {
		s.end(err)
		return nic.NotConnected
	}
	record := s.conn.Take()
	if extra := p.Len() - len(record); extra > 0 {
		p.TrimTail(extra)
	} else if extra < 0 {
		panic(fmt.Sprintf("mqtt: a record of %d bytes for %d bytes in a packet of %d", len(record), len(plain), p.Len()))
	}
	for q := p; q != nil; q = q.Next() {
		record = record[copy(q.Bytes(), record):]
	}
	status := s.Socket.Send(p, wait)
	if status != Success && status != nic.NotConnected {
		s.recordLost(status)
	}
	return status
}

// recordLost tells of a record that TCP did not take. NetX goes on, and the
// server ends the session at the next record; the fixed client ends it itself.
func (s *secureSocket) recordLost(status Status) {
	err := fmt.Errorf("TCP did not take a record that was encrypted already (%v): the next one cannot verify", status)
	s.client.tlsFailed(taskconn.Failure{Cause: taskconn.CauseRecordLost, Local: true, Err: err}, nic.TLSTCPSendFailed)
	if s.client.fixed != nil {
		s.broken = err
		s.client.events.Set(eventDisconnected)
	}
}

// sealed returns how long the records are that carry n bytes.
func (s *secureSocket) sealed(n int) int {
	state := s.tls.ConnectionState()
	total := 0
	for {
		k := min(n, maxPlain)
		total += recordHeader + sealedLength(state.Version, state.CipherSuite, k)
		if n -= k; n <= 0 {
			return total
		}
	}
}

// sealedLength returns the length of an encrypted fragment: RFC 5246 6.2.3, RFC
// 5288 3, RFC 7905 2, RFC 8446 5.2.
func sealedLength(version, suite uint16, n int) int {
	const iv, block, tag, explicit = 16, 16, 16, 8
	mac := 20
	switch suite {
	case tls.TLS_RSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256:
		mac = 32
	case tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:
	case tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:
		return n + tag
	default:
		if version >= tls.VersionTLS13 {
			return n + 1 + tag
		}
		return explicit + n + tag
	}
	return iv + (n+mac+1+block-1)/block*block
}

// Receive returns what the next record carries, in packets of its own.
func (s *secureSocket) Receive(wait rtos.Ticks) (*nic.Packet, Status) {
	for s.up && s.broken == nil {
		if len(s.plain) > 0 {
			return s.packet()
		}
		n := recordHeader
		if k := s.whole(); k > 0 {
			n = k
		}
		if cap(s.plain) < n {
			s.plain = make([]byte, 0, max(n, 512))
		}
		got, err := s.tls.Read(s.plain[:cap(s.plain)])
		s.flush(rtos.NoWait) // an alert, or the answer to a key update
		switch {
		case got > 0:
			s.plain = s.plain[:got]
		case errors.Is(err, taskconn.ErrWouldBlock):
			if status := s.pull(wait); status != Success {
				return nil, status
			}
		default:
			return nil, s.end(err)
		}
	}
	return nil, nic.NotConnected
}

// packet puts what was decrypted into packets. NetX, which does not wait here
// when its client does not, gives the session up if there is none.
func (s *secureSocket) packet() (*nic.Packet, Status) {
	c := s.client
	p, status := c.pool.Allocate(nic.Receive, rtos.NoWait)
	if status == Success {
		if status = p.Append(s.plain, c.pool, rtos.NoWait); status != Success {
			p.Release()
		}
	}
	if status != Success {
		if c.fixed != nil {
			s.again()
			return nil, nic.NoPacket
		}
		return nil, s.end(noPacket(status))
	}
	s.plain = s.plain[:0]
	s.release()
	return p, Success
}

// again has the client's thread look once more with the next tick.
func (s *secureSocket) again() {
	if s.retry != nil && s.retry.Active() {
		return
	}
	s.retry = rtos.NewTimer(s.client.kernel, func() { s.client.events.Set(eventPacketReceive) }, retry, 0)
	s.retry.Activate()
}

// end ends TLS for a reason, and returns its status.
func (s *secureSocket) end(err error) Status {
	if s.broken != nil {
		return nic.NotConnected
	}
	s.broken = err
	if errors.Is(err, io.EOF) {
		return nic.TLSCloseNotifyReceived
	}
	f := s.diagnose(err)
	status := tlsStatus(f)
	s.client.tlsFailed(f, status)
	return status
}

// Disconnect sends a close_notify alert, if the handshake has ended well, and
// closes the connection below: nx_secure_tls_session_end. The peer's alert is
// not waited for.
func (s *secureSocket) Disconnect(wait rtos.Ticks) Status {
	if s.retry != nil {
		s.retry.Delete()
		s.retry = nil
	}
	if s.held != nil {
		s.held.Release()
		s.held, s.used = nil, 0
	}
	s.plain = nil
	if s.shaking && s.inThread {
		s.client.events.Set(eventPacketReceive) // whoever shakes hands looks whether it still should
	}
	if s.up && (s.broken == nil || errors.Is(s.broken, io.EOF)) {
		if err := s.tls.CloseWrite(); err == nil {
			s.flush(wait)
		}
	} else {
		s.flush(rtos.NoWait) // what crypto/tls says of an error
	}
	s.up = false
	return s.Socket.Disconnect(wait)
}
