package emu

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/mqtt/codec"
	"hilnet/pcaps"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// overTLS puts any scenario of the library over TLS.
var overTLS = []scenarios.Set{{Key: "devices[*].mqtt.tls", Value: "{}"}, {Key: "broker.tls", Value: "{}"}}

// openOverTLS opens a scenario of the library over TLS.
func openOverTLS(t *testing.T, name string, more ...scenarios.Set) *scenarios.Scenario {
	t.Helper()
	sc, err := scenarios.OpenWith(name, append(slices.Clone(overTLS), more...))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// A publication is a PUBLISH, as traces and captures know it.
type publication struct {
	client bool // sent by the device
	hash   uint64
}

// readsPublished collects the PUBLISH messages of a capture.
type readsPublished struct {
	t     *testing.T
	all   map[publication]int
	total int
}

func (*readsPublished) Data(*flow.Chunk)    {}
func (*readsPublished) Notice(*flow.Notice) {}
func (r *readsPublished) Message(m *flow.Message) {
	r.total++
	if m.Type != codec.PUBLISH || m.Truncated() {
		return
	}
	var p codec.Packet
	if err := p.Decode(m.Raw); err != nil {
		r.t.Errorf("%x: %v", m.Raw, err)
		return
	}
	r.all[publication{m.Side == m.Conversation.Client, trace.MessageHash(string(p.Publish.Topic), p.Publish.Payload)}]++
}

// publishedIn returns what was published in a capture, read with its own keys, and
// how the conversations in it say they were read.
func publishedIn(t *testing.T, path string) (map[publication]int, []string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader, err := pcaps.NewReader(file, pcaps.ReaderConfig{})
	if err != nil {
		t.Fatal(err)
	}
	keys, r := new(tlsdec.Keys), &readsPublished{t: t, all: map[publication]int{}}
	var said []string
	table, err := flow.New(flow.Config{Secure: func(c *flow.Conversation) flow.Decrypter { return noting{keys.Open(c), &said} }}, r)
	if err != nil {
		t.Fatal(err)
	}
	for n := uint64(1); ; {
		record, err := reader.Next()
		if err != nil {
			break
		}
		if record.Secrets != nil {
			keys.Add(record.Secrets.Data)
		}
		if p := record.Packet; p != nil {
			table.Feed(flow.Frame{Data: p.Data, Link: flow.LinkType(p.LinkType), At: sim.Time(p.Time), Number: n})
			n++
		}
	}
	table.Close()
	return r.all, said
}

// noting is a Decrypter whose last words are kept.
type noting struct {
	flow.Decrypter
	said *[]string
}

// End notes what was read.
func (n noting) End() {
	n.Decrypter.End()
	*n.said = append(*n.said, n.String())
}

// Each scenario of the library that loses frames, cuts the link or takes the broker
// away ends over TLS as it does in clear: by its own expectations. A session that is
// lost is shaken hands for again, and every message of it can be read in the captures.
func TestOutagesAndLossesEndOverTLSAsInClear(t *testing.T) {
	for name, sessions := range map[string]int{ // at least so many
		"link-drop": 1, "keepalive-lost": 2, "broker-restart": 3, "bursty-loss": 2, "pool-outage": 1,
		"nat-timeout": 2, "power-cut": 2, "subway-trace": 1, "nbiot": 1, "radio-keepalive": 1,
	} {
		t.Run(name, func(t *testing.T) {
			r := record(t, openOverTLS(t, name), Options{})
			if all := failed(r.Result); r.Verdict != Pass || len(all) > 0 {
				t.Errorf("%v: %s", r.Verdict, strings.Join(all, "; "))
			}
			shaken := r.count(trace.KindTLS)
			connected := r.count(trace.KindConnected, func(e *trace.Event) bool { return e.Status == 0 })
			if shaken < sessions || shaken < connected || len(r.Outcome.ConservationErrors) > 0 {
				t.Errorf("%d handshakes, %d connections, %v", shaken, connected, r.Outcome.ConservationErrors)
			}
			if n := r.Outcome.Finding["tls_failed"]; n > 0 && name != "keepalive-lost" {
				t.Errorf("%d devices have tls_failed: %+v", n, r.Outcome.Findings)
			}
			readsEveryMessage(t, r)
		})
	}
}

// readsEveryMessage compares the captures at the devices with the trace.
func readsEveryMessage(t *testing.T, r *recording) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, "*device.pcapng"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	seen := map[publication]int{}
	read := 0
	for _, path := range paths {
		all, said := publishedIn(t, path)
		for m, n := range all {
			seen[m] += n
		}
		for _, s := range said {
			if strings.Contains(s, "not decrypted") {
				t.Errorf("%s: %s", filepath.Base(path), s)
			} else if strings.Contains(s, "decrypted") {
				read++
			}
		}
	}
	if read == 0 {
		t.Error("no session was read")
	}
	for i := range r.events {
		e := &r.events[i]
		if own := e.Kind == trace.KindPublish; (own || e.Kind == trace.KindReceived) && e.Status == 0 && seen[publication{own, e.Hash}] == 0 {
			t.Errorf("%v %s: not in the capture", e.T, e.Kind)
		}
	}
}
