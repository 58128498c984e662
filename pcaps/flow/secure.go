package flow

// A Decrypter reads the TLS of one conversation.
type Decrypter interface {
	// Data takes the next bytes that a side sent and gives emit, at once, what
	// they carry for the application.
	Data(side Side, data []byte, emit func(plain []byte))
	// Gap says that bytes of a side are missing.
	Gap(side Side)
	// End says that the conversation has ended.
	End()
	// String says what was read, or why it was not.
	String() string
}

// messages looks for MQTT messages in the next chunk of a stream, or in what its
// TLS carries.
func (h *half) messages(c *Chunk) {
	if s := h.secure(c); s != nil {
		s.Data(h.side, c.Data, func(plain []byte) {
			inner := *c
			inner.Data, inner.Offset, inner.Trimmed = plain, h.plainOff, false
			h.plainOff += int64(len(plain))
			h.framer.data(&inner)
		})
		return
	}
	h.framer.data(c)
}

// secure returns who reads the conversation's TLS. Its first byte decides: that
// is a handshake's, in a stream whose start was seen.
func (h *half) secure(c *Chunk) Decrypter {
	conn, ask := h.conn, h.table.config.Secure
	if ask == nil || conn.Secure != nil || conn.Protocol != ProtocolUndecided {
		return conn.Secure
	}
	const handshake = 22
	if !h.synSeen || c.Offset != 0 || len(c.Data) < 3 || c.Data[0] != handshake || judgeHead(c.Data) != headTLS {
		return nil
	}
	if conn.Secure = ask(&conn.Conversation); conn.Secure == nil {
		return nil
	}
	for i := range conn.half {
		f := &conn.half[i].framer
		f.decide(ProtocolTLS, EvidenceTLSRecord)
	}
	return conn.Secure
}
