package mqtt_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	cases := vectors.Client(t)
	matched, seen := 0, map[string]bool{}
	for i := range cases {
		c := &cases[i]
		clause := vectorsDecided[c.Name]
		seen[c.Name] = true
		end, err := playVector(t, options{mode: mqtt.ModeFixed}, c)
		if err == nil {
			err = judge(c, end)
		}
		switch {
		case err == nil && clause != "":
			t.Errorf("%s: matches: take it off the list", c.Name)
		case err == nil:
			matched++
		case clause != "":
			t.Logf("%s: %v; %s", c.Name, err, clause)
		default:
			t.Errorf("%s: %v", c.Name, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(vectorsDecided)) {
		if !seen[name] {
			t.Errorf("%s is no case", name)
		}
	}
	t.Logf("%d of %d cases match, %d are decided by the standard", matched, len(seen), len(vectorsDecided))
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
	w.app(func(*rtos.Thread) {
		if !w.c.Connect(server, 60, true, 500).OK() {
			return
		}
		switch c.Command {
		case "":
		case "publish-1", "publish-2":
			refused = w.c.Publish("test/publish", []byte("message"), false, c.Command[8]-'0', 500)
		case "unsubscribe":
			refused = w.c.Unsubscribe("test/subscribe")
		default:
			t.Errorf("%s: unknown command %q", c.Name, c.Command)
		}
	})
	if err := expect(vectorConnect); err != nil {
		return mistaken, err
	}
	if c.Connack {
		w.segment([]byte{0x20, 2, 0, 0})
	}
	for _, m := range c.Messages {
		switch {
		case !w.connected:
		case m.Direction == vectors.Send:
			w.segment(m.Bytes)
		default:
			err := expect(m.Bytes)
			if refused == mqtt.QoS2NotSupported {
				return unable, nil
			}
			if err != nil {
				return mistaken, err
			}
		}
	}
	w.run(0.005)
	if !w.connected {
		return closes, nil
	}
	if len(in) > 0 {
		return mistaken, fmt.Errorf("% x beyond what was expected", in)
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
	failed := 0
	cases := vectors.Client(t)
	for i := range cases {
		end, err := playVector(t, options{}, &cases[i])
		if err != nil || judge(&cases[i], end) != nil {
			failed++
		}
	}
	if failed < 80 {
		t.Errorf("only %d cases see it", failed)
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
