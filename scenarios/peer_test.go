package scenarios

import (
	"errors"
	"strings"
	"testing"
)

func TestRealBrokersThatCannotBeAreRefused(t *testing.T) {
	const base = `version: 1
name: real
clock: real
duration: 10s
devices:
  - {steps: [connect]}
broker: BROKER
`
	load := func(broker string, change ...string) *Error {
		t.Helper()
		_, err := Load("f.yaml", []byte(strings.NewReplacer(change...).Replace(strings.Replace(base, "BROKER", broker, 1))))
		var e *Error
		if err != nil && !errors.As(err, &e) {
			t.Fatal(err)
		}
		return e
	}
	for _, good := range []string{
		"{kind: gateway}", "{kind: gateway, port: 8883, gateway: {to: broker.example:8883, allow: [192.0.2.0/24, 'a.example:53']}, exec: 'true'}",
		"{kind: socket, socket: {path: /tmp/s}}", "{kind: socket, exec: 'true'}", "{kind: board, board: eth1}",
	} {
		if e := load(good); e != nil {
			t.Errorf("%s: %v", good, e)
		}
	}
	for _, c := range []struct{ broker, change, to, msg, hint string }{
		{"{kind: gateway}", "clock: real\n", "", "this machine's sockets, which know no virtual time", "clock: real"},
		{"{kind: socket, socket: {path: /tmp/s}}", "clock: real\n", "", "needs the real clock", "clock: real"},
		{"{kind: gateway}", "clock: real\n", "clock: real\nspeed: 2\n", "speed 1", "remove speed"},
		{"{kind: gateway, gateway: {to: 127.0.0.1}}", "", "", "lacks its port", "127.0.0.1:1883"},
		{"{kind: gateway, gateway: {to: 127.0.0.0/8:1}}", "", "", "a network, not a host", "127.0.0.1:1883"},
		{"{kind: gateway, gateway: {to: 'a b:1'}}", "", "", "no IPv4 address, network or name", "127.0.0.1:1883"},
		{"{kind: gateway, gateway: {allow: ['10.0.0.9/24']}}", "", "", "write 10.0.0.0/24", "192.0.2.7:8883"},
		{"{kind: gateway, gateway: {allow: [a.example, a.example]}}", "", "", "stands here twice", "remove"},
		{"{kind: model, gateway: {to: 127.0.0.1:1883}}", "", "", "a broker of kind model has no gateway", "kind: gateway"},
		{"{kind: gateway, tap: {}}", "", "", "a broker of kind gateway has no TAP", "kind: tap"},
		{"{kind: gateway, socket: {path: /tmp/s}}", "", "", "has no socket", "kind: socket"},
		{"{kind: model, exec: 'true'}", "", "", "a broker of kind model needs no program", "gateway"},
		{"{kind: gateway, users: [{name: a}]}", "", "", "cannot give a real broker users", "mosquitto_passwd"},
		{"{kind: gateway, limits: {inflight: 1}}", "", "", "has no limits that hilnet could set", "remove"},
		{"{kind: gateway, tls: {}}", "", "", "has no TLS that hilnet could set", "set the real broker up"},
		{"{kind: gateway}", "{steps: [connect]}", "{mqtt: {tls: {}}, steps: [connect]}", "no ca_file", "ca_file"},
		{"{kind: gateway}\ntimeline: [{at: 1s, do: broker_publish, topic: a}]", "", "", "cannot make a real broker publish", "mosquitto_pub"},
		{"{kind: gateway}\ntimeline: [{at: 1s, do: broker_crash}]", "", "", "only hilnet's own broker", "kind: model"},
		{"{kind: gateway}\nexpect: [delivered == 1]", "", "", "delivered is unknown", "acknowledged"},
		{"{kind: socket}", "", "", "nobody would know where the socket of the broker is", "path:"},
		{"{kind: socket, socket: {path: /tmp/s, remote: /tmp/r}}", "", "", "connects to our socket", "dgram"},
		{"{kind: board}", "", "", "a broker of kind board needs the interface", "board:"},
		{"{kind: board, board: 'a b'}", "", "", "not the name of an interface", "ip link"},
		{"{kind: board, board: eth1}", "{steps: [connect]}", "{kind: board, board: eth1}", "taken by broker.board", "its own"},
		{"{kind: socket, socket: {path: /tmp/s}}", "{steps: [connect]}", "{kind: socket, socket: {path: /tmp/s}}", "taken by broker.socket", "its own"},
		{"{kind: socket, socket: {path: /tmp/s}}\nnetwork6: fd00::/64", "", "", "cannot give a real broker its address", "address6"},
	} {
		e := load(c.broker, c.change, c.to)
		if c.change == "" {
			e = load(c.broker)
		}
		if e == nil || !strings.Contains(e.Msg, c.msg) || !strings.Contains(e.Hint, c.hint) || e.Line == 0 {
			t.Errorf("%s:\n%v\nwant %q, hint %q", c.broker, e, c.msg, c.hint)
		}
	}
}

// Where the gateway leads follows the broker's port.
func TestTheGatewaysTargetFollowsThePort(t *testing.T) {
	for broker, want := range map[string]string{
		"{kind: gateway}": "127.0.0.1:1883", "{kind: gateway, port: 1999}": "127.0.0.1:1999", "{kind: gateway, port: 1999, gateway: {to: 'a.example:1'}}": "a.example:1",
	} {
		sc, err := Load("f.yaml", []byte("version: 1\nname: g\nclock: real\nduration: 1s\ndevices: [{steps: [connect]}]\nbroker: "+broker+"\n"))
		if err != nil || sc.Broker.Gateway.To != want {
			t.Errorf("%s: %v, want %s", broker, err, want)
		}
	}
}
