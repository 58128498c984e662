package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"hilnet/sim/taskconn"
	"hilnet/trace"
)

// A watched connection looks for alerts in what it reads.
type watched struct {
	net.Conn
	alerts *taskconn.Alerts
}

// Read reads from the connection.
func (w watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.alerts.Watch(p[:n])
	return n, err
}

// tlsFailure returns what went wrong in TLS, nil if it was TCP, or the peer's end.
func (c *conn) tlsFailure(err error) *taskconn.Failure {
	t, ok := c.sock.(*tls.Conn)
	if !ok {
		return nil
	}
	f := c.seen.Explain(taskconn.Diagnose(err))
	if t.ConnectionState().HandshakeComplete && (f.Cause == taskconn.CauseClosed || isTCP(err)) {
		return nil
	}
	return &f
}

// isTCP reports whether an error is of the connection below TLS.
func isTCP(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "read"
}

// tlsFailed tells why TLS ended.
func (s *Server) tlsFailed(c *conn, f *taskconn.Failure) {
	if f == nil {
		return
	}
	s.log.Emit(trace.Event{
		Kind: trace.KindTLSFailed, Node: "broker", Client: s.b.Client(c.id), Stage: string(f.Cause), Count: int64(f.Alert),
		Text: fmt.Sprintf("%v: %v", c.raw.RemoteAddr(), f),
	})
}
