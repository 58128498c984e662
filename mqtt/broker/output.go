package broker

// Output is something to do on a connection: write Data, or close.
type Output struct {
	Conn ConnID
	// Data is one whole MQTT packet, or empty.
	Data []byte
	// Close asks to close the connection once all Data has gone (FIN), Abort to
	// reset it at once. The Broker has forgotten the connection by then.
	Close, Abort bool
}

// pending is an Output whose Data is arena[from:to].
type pending struct {
	conn         *conn
	from, to     int
	close, abort bool
}

// maxSpare is the largest output buffer that is kept for the next time.
const maxSpare = 1 << 20

// Outputs returns what there is to do since the last call, in order. The
// result and its Data are valid until the next call of Outputs; other methods
// may be called meanwhile.
func (b *Broker) Outputs() []Output {
	clear(b.outputs)
	b.outputs = b.outputs[:0]
	for i := range b.pending {
		p := &b.pending[i]
		p.conn.undrained -= p.to - p.from
		b.outputs = append(b.outputs, Output{Conn: p.conn.id, Data: b.arena[p.from:p.to:p.to], Close: p.close, Abort: p.abort})
		p.conn = nil
	}
	b.pending = b.pending[:0]
	if cap(b.drained) > maxSpare {
		b.drained = nil
	}
	b.arena, b.drained = b.drained[:0], b.arena
	return b.outputs
}

func (b *Broker) push(p pending) { b.pending = append(b.pending, p) }

// sent makes an Output of what has been appended to the arena since start.
func (b *Broker) sent(c *conn, start int) {
	c.undrained += len(b.arena) - start
	b.push(pending{conn: c, from: start, to: len(b.arena)})
}
