package flow

import "hilnet/mqtt/codec"

// This file cuts a stream whose boundaries are known into messages.

// cut finds the messages in c, which begins at a boundary or within a message.
func (f *framer) cut(c *Chunk) {
	b := c.Data
	for pos := 0; pos < len(b); {
		if !f.open {
			h, ok, err := codec.ParseHeader(b[pos:])
			if err != nil {
				f.malformed(c, pos)
				return
			}
			f.start(c, pos)
			if ok && h.Len() <= len(b)-pos {
				f.want, f.have = h.Len(), h.Len()
				f.emit(c, b[pos:pos+min(h.Len(), f.half.table.config.MaxMessage)], pos+h.Len() < len(b))
				pos += h.Len()
				continue
			}
			f.raw = f.raw[:0]
		}
		n, err := f.collect(b[pos:])
		if err != nil {
			f.malformed(c, pos)
			return
		}
		pos += n
		if f.want > 0 && f.have == f.want {
			f.complete(c, pos < len(b))
		}
	}
}

// start opens the message whose first byte is c.Data[pos].
func (f *framer) start(c *Chunk, pos int) {
	f.open, f.want, f.have, f.missing, f.full = true, 0, 0, 0, false
	f.coalesced = pos > 0
	f.begun = Message{
		Type: codec.Type(c.Data[pos] >> 4), Flags: c.Data[pos] & 0x0F,
		Offset: c.Offset + int64(pos), FirstFrame: c.Frame, FirstAt: c.At,
	}
}

// collect adds bytes of b to the open message and says how many.
func (f *framer) collect(b []byte) (n int, err error) {
	for f.want == 0 && n < len(b) {
		f.store(b[n : n+1])
		n++
		h, ok, err := codec.ParseHeader(f.raw)
		if err != nil {
			return n, err
		}
		if ok {
			f.want = h.Len()
		}
	}
	if f.want > 0 {
		k := min(f.want-f.have, len(b)-n)
		f.store(b[n : n+k])
		n += k
	}
	return n, nil
}

// store keeps bytes of the open message as far as there is room. The header is
// always kept: its five bytes are not worth a limit.
func (f *framer) store(b []byte) {
	f.have += len(b)
	if room := max(f.half.table.config.MaxMessage, codec.MaxHeader) - len(f.raw); room < len(b) {
		b = b[:max(room, 0)]
		defer func() { f.full = true }()
	}
	if f.full || len(b) == 0 {
		return
	}
	if f.want == 0 {
		f.half.table.mem.used -= cap(f.raw)
		f.raw = append(f.raw, b...)
		f.half.table.mem.used += cap(f.raw)
		return
	}
	raw, ok := f.half.table.mem.extend(f.raw, b)
	f.raw = raw
	f.full = !ok
}

func (f *framer) complete(c *Chunk, more bool) {
	f.emit(c, f.raw, more)
	if m := &f.half.table.mem; cap(f.raw) > keepRaw && m.used > m.limit/2 {
		m.drop(&f.raw)
	}
}

// emit hands out the open message, whose last byte came with c.
func (f *framer) emit(c *Chunk, raw []byte, more bool) {
	h, t := f.half, f.half.table
	f.open = false
	f.note(raw)
	h.pub.Messages[f.begun.Type&15]++
	f.count++
	m := &t.message
	*m = f.begun
	m.Conversation, m.Side = &h.conn.Conversation, h.side
	m.Index, m.Len, m.Raw, m.Missing = f.count, f.want, raw, f.missing
	m.Version = h.conn.MQTTVersion
	m.LastFrame, m.LastAt = c.Frame, c.At
	m.ReadyFrame, m.ReadyAt = c.ReadyFrame, c.ReadyAt
	m.Coalesced, m.Resumed = f.coalesced || more, f.resumed
	t.out.Message(m)
}

// note takes from a message what it tells about the conversation.
func (f *framer) note(raw []byte) {
	c, side := f.half.conn, f.half.side
	switch f.begun.Type {
	case codec.CONNECT:
		if v := connectVersion(raw); v != 0 {
			c.MQTTVersion = v
		}
		c.claim(side, RoleByMQTT)
	case codec.SUBSCRIBE, codec.UNSUBSCRIBE, codec.PINGREQ:
		c.claim(side, RoleByMQTT)
	case codec.CONNACK, codec.SUBACK, codec.UNSUBACK, codec.PINGRESP:
		c.claim(side.Peer(), RoleByMQTT)
	case codec.PUBLISH, codec.PUBACK, codec.PUBREC, codec.PUBREL, codec.PUBCOMP, codec.DISCONNECT:
	}
}

// malformed ends the search in a stream that cannot be cut at c.Data[pos:].
func (f *framer) malformed(c *Chunk, pos int) {
	offset := c.Offset + int64(pos)
	if f.open {
		offset = f.begun.Offset
	}
	f.open = false
	f.lose(offset, ReasonMalformed)
	f.half.pub.LostBytes += c.End() - offset
}

// abandon reports that the open message will not be completed.
func (f *framer) abandon(reason Reason) {
	f.open = false
	f.half.table.tell(f.half.conn, Notice{
		Kind: NoticeUnfinished, Side: f.half.side, Offset: f.begun.Offset, Len: int64(f.want), Reason: reason,
	})
}
