package mqtt_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/linktest"
	"hilnet/internal/vectors"
	"hilnet/mqtt"
	"hilnet/mqtt/codec"
	"hilnet/sim/rtos"
)

var update = flag.Bool("update", false, "rewrite the generated parts of the documents")

// vectorsDecided are the cases that the fixed client does not match, and the
// clause of MQTT 3.1.1 that says otherwise.
var vectorsDecided = map[string]string{}

func TestVectors(t *testing.T) {
	vectors.Run(t, vectors.Client(t), vectorsDecided, func(c *vectors.Case) error { return matches(t, options{mode: mqtt.ModeFixed}, c) })
}

// matches plays a case with a client and says what is not as the case wants it.
func matches(t *testing.T, o options, c *vectors.Case) error {
	end, err := playVector(t, o, c)
	if err == nil {
		err = judge(c, end)
	}
	return err
}

// An ending is what a client has made of a case.
type ending string

const (
	closes   ending = "closes"            // the connection is closed
	alive    ending = "stays"             // it goes on, and a PUBLISH is acknowledged
	deaf     ending = "stays, but deaf"   // it goes on, and nothing is answered any more
	unable   ending = "cannot"            // the command of the case is refused
	mistaken ending = "answers otherwise" // not the bytes that the case expects
)

func judge(c *vectors.Case, got ending) error {
	want := alive
	if c.Disconnect {
		want = closes
	}
	if got != want {
		return fmt.Errorf("%s, want %s", got, want)
	}
	return nil
}

// vectorConnect is the CONNECT of all cases.
var vectorConnect = codec.AppendConnect(nil, &codec.Connect{CleanSession: true, KeepAlive: 60, ClientID: []byte("fuzzish")})

// playVector is the server of one case. The client connects again as soon as
// its connection ends, but the case is over then.
func playVector(t *testing.T, o options, c *vectors.Case) (ending, error) {
	t.Helper()
	o.id = "fuzzish"
	w := newWire(t, o)
	w.quiet = true
	var in []byte // from the client
	w.raw = func(b []byte) { in = append(in, b...) }
	expect := func(want []byte) error {
		w.run(0.005)
		if !bytes.HasPrefix(in, want) {
			return fmt.Errorf("received % x, want % x", in, want)
		}
		in = in[len(want):]
		return nil
	}
	var refused mqtt.Status
	var unknown error
	w.app(func(*rtos.Thread) {
		if !w.c.Connect(server, 60, true, 500).OK() {
			return
		}
		switch c.Command {
		case "":
		case "publish-0", "publish-1", "publish-2":
			refused = w.c.Publish("test/publish", []byte("message"), false, c.Command[8]-'0', 500)
		case "subscribe":
			refused = w.c.Subscribe("test/subscribe", 0)
		case "unsubscribe":
			refused = w.c.Unsubscribe("test/subscribe")
		default:
			unknown = fmt.Errorf("unknown command %q", c.Command)
		}
	})
	if err := expect(vectorConnect); err != nil {
		return mistaken, err
	}
	if c.Connack {
		w.segment([]byte{0x20, 2, 0, 0})
	}
	for _, m := range c.Messages {
		switch m.Direction {
		case vectors.Send:
			if w.connected {
				w.segment(m.Bytes)
			}
		case vectors.Receive:
			err := expect(m.Bytes)
			if refused == mqtt.QoS2NotSupported {
				return unable, nil
			}
			if err != nil {
				return mistaken, err
			}
		default:
			return mistaken, fmt.Errorf("a case for a client with a message of type %q", m.Direction)
		}
		if unknown != nil {
			return mistaken, unknown
		}
	}
	w.run(0.005)
	if len(in) > 0 {
		return mistaken, fmt.Errorf("% x beyond what was expected", in)
	}
	if !w.connected {
		return closes, nil
	}
	w.segment(publish("alive check", "payload", 1, 65535))
	if w.run(0.005); w.connected && expect([]byte{0x40, 2, 0xFF, 0xFF}) == nil {
		return alive, nil
	}
	if !w.connected {
		return closes, nil
	}
	return deaf, nil
}

// A client that lets anything pass must not: NetX's with its bugs is one.
func TestVectorsSeeALenientClient(t *testing.T) {
	if n := vectors.Misses(vectors.Client(t), func(c *vectors.Case) error { return matches(t, options{}, c) }); n < 80 {
		t.Errorf("only %d cases see it", n)
	}
}

// The table in docs/mqtt.md is what NetX's client does with the same bytes.
func TestWhatANetXLikeDeviceSwallows(t *testing.T) {
	generated(t, "docs/mqtt.md", "what a NetX-like device swallows", swallowed(t))
}

func swallowed(t *testing.T) string {
	type group struct {
		name    string
		n       map[ending]int
		cases   int
		details []string
	}
	var groups []*group
	cases := vectors.Client(t)
	must, swallowed := 0, 0
	for i := range cases {
		c := &cases[i]
		if c.Further {
			continue // the page is about those that come with hilnet
		}
		file, name, _ := strings.Cut(c.Name, ": ")
		if len(groups) == 0 || groups[len(groups)-1].name != file {
			groups = append(groups, &group{name: file, n: map[ending]int{}})
		}
		g := groups[len(groups)-1]
		end, _ := playVector(t, options{}, c)
		g.cases++
		g.n[end]++
		if c.Disconnect {
			must++
		}
		if err := judge(c, end); err != nil {
			if c.Disconnect && (end == alive || end == deaf) {
				swallowed++
			}
			if _, rest, ok := strings.Cut(name, ": "); ok {
				name = rest
			}
			g.details = append(g.details, fmt.Sprintf("%s (%s)", name, end))
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Of %d packets after which the standard wants the connection closed, the client of NetX Duo 6.4.2 swallows %d.\n\n", must, swallowed)
	columns := []ending{closes, alive, deaf, mistaken, unable}
	fmt.Fprintf(&b, "| packet | cases |")
	for _, e := range columns {
		fmt.Fprintf(&b, " %s |", e)
	}
	b.WriteString(" differs from the standard in |\n|---|---|---|---|---|---|---|---|\n")
	for _, g := range groups {
		fmt.Fprintf(&b, "| %s | %d |", g.name, g.cases)
		for _, e := range columns {
			fmt.Fprintf(&b, " %d |", g.n[e])
		}
		fmt.Fprintf(&b, " %s |\n", strings.Join(g.details, "; "))
	}
	return b.String()
}

// generated compares the part of a document between two marks with what it
// should be, and rewrites it with -update.
func generated(t *testing.T, name, mark, want string) {
	t.Helper()
	path := filepath.Join(linktest.Root(t), filepath.FromSlash(name))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- begin "+mark+" -->\n", "<!-- end "+mark+" -->"
	head, rest, ok := strings.Cut(string(text), begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no marks of %q", name, mark)
	}
	if want = "\n" + want + "\n"; got == want {
		return
	}
	if !*update {
		t.Fatalf("%s is out of date: go test ./mqtt -update\nhas:\n%s\nwant:\n%s", name, got, want)
	}
	if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o600); err != nil {
		t.Fatal(err)
	}
}
