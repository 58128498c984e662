package scenarios

import (
	"errors"
	"strings"
	"testing"

	"hilnet/trace"
)

// What nobody can tell is an error when the file is loaded, not a zero that an
// expectation takes for a number.
func TestNumbersThatNobodyTellsAreRefused(t *testing.T) {
	const (
		real  = "{name: dut, kind: socket, socket: {path: /tmp/s}}"
		both  = real + "\n  - {name: own, steps: [connect]}"
		run   = "{name: dut, kind: socket, exec: qemu}"
		model = "{kind: model}"
		peer  = "{kind: gateway}"
	)
	for _, c := range []struct{ devices, broker, expect, msg, hint string }{
		{real, model, "lost == 0", "lost is unknown: hilnet does not see into a real device", "delivered, connects"},
		{real, model, "acknowledged == 20", "does not see into a real device", "delivered, connects"},
		{real, model, `device("dut").pool.min_free > 0`, "pool is unknown", "delivered, connects"},
		{both, model, `device("dut").latency_max < 1s`, "latency_max is unknown", "delivered, connects"},
		{both, peer, `device("dut").connects == 1`, "connects is unknown", "findings, drops or exec.status"},
		{real, peer, "connects == 1", "connects is unknown", "findings, drops or exec.status"},
		{real, peer, "delivered == 1", "does not see what arrives at a real broker", "findings, drops or exec.status"},
		{both, peer, "delivered == 1", "does not see what arrives at a real broker", "use acknowledged"},
		{real, model, "devices[0].lost == 0", "lost is unknown", "delivered, connects"},
		{both, model, "devices[0].acknowledged == 0", "acknowledged is unknown", "delivered, connects"},
		{real, model, "all(devices, .lost == 0)", "lost is unknown", "delivered, connects"},
		{both, peer, "devices[0].connects == 1", "connects is unknown", "findings, drops or exec.status"},
		{both, model, `device("dut").exec.status == 0`, "exec is unknown: hilnet starts no program here", "add exec:"},
		{real, model, "reboots == 0", "reboots is unknown", "add exec:"},
		{run, model, `device("dut").exec.status == 0 and reboots == 0 and any(devices, .exec.exits == 1)`, "", ""},
		{both, model, "devices[1].lost == 0 and reboots == 0 and all(devices, .delivered > 0)", "", ""},
		{both, peer, `all(devices, .name == "dut" or .lost == 0 or .published == .acknowledged)`, "lost is unknown", "use acknowledged"},
		{both, peer, `all(devices, .name == "dut" or .published == .acknowledged)`, "", ""},
		{real, model, `connects == 1 and delivered > 0 and disconnects == 0 and device("dut").duplicated == 0 and findings == 0`, "", ""},
		{both, model, `lost == 0 and acknowledged == published and device("own").pool.min_free > 0`, "", ""},
	} {
		text := strings.Replace(realScenario(c.devices, ""), "{kind: model}", c.broker, 1)
		_, err := Load("f.yaml", []byte(text+"expect: ['"+c.expect+"']\n"))
		var e *Error
		switch {
		case c.msg == "":
			if err != nil {
				t.Errorf("%s: %v", c.expect, err)
			}
		case !errors.As(err, &e) || !strings.Contains(e.Msg, c.msg) || !strings.Contains(e.Hint, c.hint):
			t.Errorf("%s: %v, want %q and the hint %q", c.expect, err, c.msg, c.hint)
		}
	}
}

// Of a real device hilnet's broker tells when it came and went; a model says so
// itself, and is not counted twice.
func TestTheBrokerTellsOfARealDevicesConnections(t *testing.T) {
	came := func(client string, status uint32) trace.Event {
		return trace.Event{Kind: trace.KindBrokerConnected, Node: "broker", Client: client, Status: status}
	}
	went := func(client string) trace.Event {
		return trace.Event{Kind: trace.KindBrokerDisconnected, Node: "broker", Client: client, Text: "DISCONNECT received"}
	}
	const real = "{name: dut, kind: socket, socket: {path: /tmp/s}, mqtt: {client_id: sensor-7}}"
	alone, err := Load("f.yaml", []byte(realScenario(real, "")))
	if err != nil {
		t.Fatal(err)
	}
	r := &script{T: t, s: alone, tally: NewTally(alone)}
	o := r.add(came("sensor-7", 5), came("sensor-7", 0), went("sensor-7"), came("sensor-7", 0), went(""), came("nobody", 0)).tally.Outcome()
	if d := o.Devices[0]; d.Connects != 2 || d.Reconnects != 1 || d.ConnectErrors != 1 || d.Disconnects != 1 {
		t.Errorf("the device: %+v", d.Traffic)
	}
	if o.Connects != 3 {
		t.Errorf("all: %+v", o.Traffic)
	}
	mixed, err := Load("f.yaml", []byte(realScenario(real+"\n  - {name: own, steps: [connect]}", "")))
	if err != nil {
		t.Fatal(err)
	}
	r = &script{T: t, s: mixed, tally: NewTally(mixed)}
	o = r.add(came("own", 0), trace.Event{Kind: trace.KindConnected, Node: "own", Client: "own"}, came("sensor-7", 0), came("renamed", 0)).tally.Outcome()
	if o.Connects != 2 || o.Devices[0].Connects != 1 || o.Devices[1].Connects != 1 {
		t.Errorf("mixed: %+v", o.Traffic)
	}
}
