package mqtt_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hilnet/emu/certs"
	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/sim"
	"hilnet/sim/rtos"
	"hilnet/sim/taskconn"
	"hilnet/trace"
)

// secureServer is the certificate of a server, and who signed it.
var secureServer = sync.OnceValues(func() (*tls.Certificate, *x509.Certificate) {
	valid := certs.Validity{From: time.Unix(0, 0), Until: time.Unix(1<<33, 0)}
	random := taskconn.NewRand(1, "secure server")
	key, err := certs.NewECDSA(random)
	if err != nil {
		panic(err)
	}
	ca, err := certs.NewAuthority(random, "ca", key, valid)
	if err != nil {
		panic(err)
	}
	cert, err := ca.Issue(certs.Request{Name: "b", Server: true, Key: key, Valid: valid})
	if err != nil {
		panic(err)
	}
	return cert, ca.Certificate
})

// A secureWire is a wire with a TLS server at its end.
type secureWire struct {
	*wire
	conn   *tls.Conn
	up     bool // the handshake has ended
	closed bool
}

// newSecureWire puts a server on a wire whose segments have so many bytes. silent:
// it never says anything.
func newSecureWire(w *wire, version uint16, size int, silent bool) *secureWire {
	s := &secureWire{wire: w}
	cert, _ := secureServer()
	var pipe *taskconn.Conn
	task := w.loop.NewTask("server", func(*sim.Task) {
		defer func() { s.closed = true }()
		if s.conn.Handshake() != nil {
			return
		}
		s.up = true
		for b := make([]byte, 4096); ; {
			n, err := s.conn.Read(b)
			if err != nil {
				return
			}
			if n > 0 && b[0]>>4 == byte(codec.CONNECT) {
				_, _ = s.conn.Write(codec.AppendConnack(nil, codec.Connack{}))
			}
		}
	})
	pipe = taskconn.OnTask(task, taskconn.Config{Wrote: func() {
		for out := pipe.Take(); len(out) > 0 && !silent; {
			n := min(len(out), size)
			if w.connected {
				w.segment(out[:n])
			}
			out = out[n:]
		}
	}})
	s.conn = tls.Server(pipe, &tls.Config{
		Rand: taskconn.NewRand(1, "server"), Time: func() time.Time { return time.Unix(1<<30, 0) }, Certificates: []tls.Certificate{*cert},
		MaxVersion: version, CurvePreferences: []tls.CurveID{tls.X25519}, SessionTicketsDisabled: true,
	})
	w.raw = pipe.Feed
	task.Start()
	return s
}

// connectSecurely calls SecureConnect.
func (s *secureWire) connectSecurely(version uint16, wait rtos.Ticks) {
	_, ca := secureServer()
	s.say("secure_connect %v", s.c.SecureConnect(netip.MustParseAddrPort("10.0.0.1:8883"), func(_ *mqtt.Client, t *mqtt.TLSSession) mqtt.Status {
		t.Rand, t.Time, t.Trusted = taskconn.NewRand(1, "client"), func() time.Time { return time.Unix(1<<30, 0) }, []*x509.Certificate{ca}
		t.MaxVersion, t.CipherSuites = version, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		return mqtt.Success
	}, 0, true, wait))
}

// FuzzSecureReceive feeds a client any bytes over TLS: instead of the server's
// handshake, behind it in place of records, and within records. It must not panic,
// and without quirks it must not lose a packet.
func FuzzSecureReceive(f *testing.F) {
	if err := taskconn.Repeatable(); err != nil {
		f.Fatal(err)
	}
	const instead, behind, within = 0, 1, 2
	for _, seed := range [][]byte{
		{}, []byte("\x16\x03\x03\x00\x04\x0e\x00\x00\x00"), []byte("\x17\x03\x03\xff\xff"), []byte("\x15\x03\x03\x00\x02\x02\x28"), []byte("HTTP/1.1 400"),
		[]byte("\x14\x03\x03\x00\x01\x01"), []byte("\x17\x03\x03\x00\x00\x17\x03\x03\x00\x00"), []byte("\x18\x03\x03\x40\x01"),
		publish("t", "x", 1, 7), {0x30, 0x80, 0x80, 0x80, 0x80, 1},
	} {
		for mode := range uint8(3) {
			f.Add(seed, mode, uint8(200), len(seed)%2 == 0, len(seed)%3 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, mode, cut uint8, newest, hurried bool) {
		if len(data) > 4096 {
			return
		}
		quirks, version, wait := mqtt.NoQuirks(), uint16(tls.VersionTLS12), rtos.Ticks(500)
		if newest {
			version = tls.VersionTLS13
		}
		if hurried {
			wait = rtos.NoWait
		}
		w := newWire(t, options{payload: 128, packets: 64, quirks: &quirks})
		w.quiet = true
		s := newSecureWire(w, version, int(cut)+1, mode%3 == instead)
		w.app(func(*rtos.Thread) {
			s.connectSecurely(version, wait)
			w.c.Subscribe("t", 1)
			w.c.Publish("t", []byte("x"), false, 1, 10)
		})
		w.run(0.1)
		if mode%3 == within {
			if s.up && !s.closed && len(data) > 0 {
				_, _ = s.conn.Write(data)
			}
			data = nil
		}
		for i := 0; len(data) > 0; i++ {
			piece := data[:min(int(cut)+1, len(data))]
			data = data[len(piece):]
			w.at(float64(200+10*i), func() {
				if w.connected {
					w.segment(piece)
				}
			})
		}
		w.run(1)
		w.app(func(*rtos.Thread) { w.read() })
		w.run(60)
		w.app(func(*rtos.Thread) { w.c.Delete() })
		w.run(10)
		w.free(64)
	})
}

// What FuzzSecureReceive starts from: a handshake in segments of any size.
func TestASecureSessionComesInAnySegments(t *testing.T) {
	if err := taskconn.Repeatable(); err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, wait := range []rtos.Ticks{500, rtos.NoWait} {
			for _, size := range []int{40, 200, 1460} {
				quirks := mqtt.NoQuirks()
				w := newWire(t, options{payload: 128, packets: 64, quirks: &quirks})
				w.quiet = true
				s := newSecureWire(w, version, size, false)
				w.app(func(*rtos.Thread) { s.connectSecurely(version, wait) })
				w.run(1)
				if !s.up || w.c.State() != mqtt.StateConnected {
					t.Errorf("%s, wait %d, segments of %d bytes: %v, the server's handshake has ended: %v", tls.VersionName(version), int32(wait), size, w.c.State(), s.up)
				}
				w.app(func(*rtos.Thread) { w.c.Disconnect(); w.c.Delete() })
				w.run(10)
				w.free(64)
			}
		}
	}
}

// What is no TLS ends the handshake at once, and its cause is told.
func TestAServerThatSpeaksNoTLSIsNamed(t *testing.T) {
	for data, cause := range map[string]taskconn.Cause{
		"HTTP/1.1 400 Bad Request\r\n\r\n": taskconn.CauseNotTLS, "\x20\x02\x00\x00\x00": taskconn.CauseNotTLS,
		"\x16\x03\x03\xff\xff": taskconn.CauseNotTLS, "\x17\x03\x03\x00\x01x": taskconn.CauseNotTLS, "\x15\x03\x03\x00\x02\x02\x28": taskconn.CauseRefused,
	} {
		for _, wait := range []rtos.Ticks{500, rtos.NoWait} {
			quirks := mqtt.NoQuirks()
			w := newWire(t, options{payload: 128, packets: 16, quirks: &quirks})
			w.quiet = true
			s := newSecureWire(w, tls.VersionTLS12, 1460, true)
			w.app(func(*rtos.Thread) { s.connectSecurely(tls.VersionTLS12, wait) })
			w.at(100, func() { w.segment([]byte(data)) })
			w.run(0.2)
			if e := w.kinds(trace.KindTLSFailed); len(e) != 1 || e[0].Stage != string(cause) || w.c.State() != mqtt.StateIdle {
				t.Errorf("%q, wait %d: %v, %v", data, int32(wait), e, w.c.State())
			}
			w.free(16)
		}
	}
}
