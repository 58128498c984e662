package emu

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
	"hilnet/scenarios"
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
	r := &readsPublished{t: t, all: map[publication]int{}}
	var said []string
	readSecure(t, path, r, func(_ *flow.Conversation, d flow.Decrypter) flow.Decrypter { return noting{d, &said} })
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
			if n := r.Outcome.Finding["tls_failed"]; n > 0 {
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

// overTLSDiffers are the scenarios of groups that end otherwise over TLS, with the
// reason: a broker that sends a record for each MQTT packet brings each by itself.
var overTLSDiffers = map[string]string{
	"4a-pool8x256-qos0-flood":      "each message is in a record of its own, so none is copied out of a segment with several",
	"any-segment-is-duplicate-ack": "the handshake is frames too",
	"chain-tail-lost":              "CONNACK is in a record of its own",
	"connack-with-data":            "CONNACK is in a record of its own",
	"copy-drop":                    "each message is in a record of its own, so none is copied",
	"copy-whole-rest":              "each message is in a record of its own, so none is copied",
	"half-open-retransmit":         "each try to connect takes a handshake longer, so they are fewer",
	"no-ack-every-second-segment":  "records are longer than what they carry, so segments are more",
	"pool-deadlock":                "each message is in a record of its own, so none is copied while the mutex is held",
	"out-of-order-starves-pool":    "not possible: a rule of its link looks at MQTT messages",
	"pubcomp-stale-id":             "not possible: as the last one",
	"window-from-old-ack":          "not possible: as the last one",
}

// NetX Duo runs its MQTT regression tests in clear and over TLS. The scenarios of
// their names, those of the recordings and of single bugs end over TLS as in clear,
// but for those whose reasons are known.
func TestGroupsEndOverTLSAsInClear(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	n := 0
	for _, e := range scenarios.Library() {
		if e.Group == "" || e.Group == "hil" {
			continue
		}
		n++
		why := overTLSDiffers[e.Name]
		sc, err := scenarios.OpenWith(e.Name, overTLS)
		if err != nil {
			if !strings.HasPrefix(why, "not possible") || !strings.Contains(err.Error(), "MQTT messages cannot be seen") {
				t.Errorf("%s: %v", e.Name, err)
			}
			continue
		}
		w, err := New(sc, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if all := failed(r); (len(all) > 0) != (why != "") || len(r.Outcome.ConservationErrors) > 0 {
			t.Errorf("%s (%q): %s", e.Name, why, strings.Join(all, "; "))
		}
	}
	if n < 60 {
		t.Errorf("only %d scenarios", n)
	}
}
