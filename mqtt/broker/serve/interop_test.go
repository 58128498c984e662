package serve_test

import (
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"hilnet/internal/linktest"
	"hilnet/mqtt/broker/serve"
)

// mosquitto runs mosquitto_pub or mosquitto_sub against the server.
func mosquitto(t *testing.T, s *served, tool, args string) *linktest.Process {
	t.Helper()
	host, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	return linktest.Start(t, exec.Command(tool, append([]string{"-V", "311", "-h", host, "-p", port}, strings.Fields(args)...)...))
}

// waitSaid is linktest's Wait for a client that ends well.
func waitSaid(t *testing.T, p *linktest.Process) string {
	t.Helper()
	out, err := p.Wait(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.TrimSpace(out)
}

// mosquitto_pub and mosquitto_sub at each quality of service, to one who is there,
// to one who comes later (retained), and to one who was away (a session).
func TestMosquittosClientsTalkThroughTheBroker(t *testing.T) {
	linktest.Require(t, "mosquitto_pub", "mosquitto_sub")
	s := start(t, serve.Config{})
	for qos := range 3 {
		topic := fmt.Sprintf("m/%d", qos)
		waitSaid(t, mosquitto(t, s, "mosquitto_pub", fmt.Sprintf("-r -q %d -t %s/kept -m retained", qos, topic)))
		sub := mosquitto(t, s, "mosquitto_sub", fmt.Sprintf("-q %d -t m/+/kept -T m/x/kept -F %%t=%%p -C %d", qos, qos+1))
		if got := waitSaid(t, sub); strings.Count(got, "\n") != qos || !strings.HasSuffix(got, topic+"/kept=retained") {
			t.Errorf("QoS %d: retained: %q", qos, got)
		}
		if qos == 0 {
			continue // nobody keeps QoS 0 for those who are away
		}
		away := fmt.Sprintf("-i away%d -c -q %d -t %s/live", qos, qos, topic)
		waitSaid(t, mosquitto(t, s, "mosquitto_sub", away+" -E")) // subscribes, and goes
		for i := range 3 {
			waitSaid(t, mosquitto(t, s, "mosquitto_pub", fmt.Sprintf("-q %d -t %s/live -m %d", qos, topic, i)))
		}
		if got := waitSaid(t, mosquitto(t, s, "mosquitto_sub", away+" -C 3")); got != "0\n1\n2" {
			t.Errorf("QoS %d: away: %q", qos, got)
		}
	}
}

// paho's Go client at each quality of service, both ways, 20 messages in order.
func TestPahoTalksThroughTheBroker(t *testing.T) {
	s := start(t, serve.Config{})
	done := func(what string, token paho.Token) {
		t.Helper()
		if !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatalf("%s: %v", what, token.Error())
		}
	}
	for _, clean := range []bool{true, false} {
		for qos := range byte(3) {
			got := make(chan string, 100)
			opt := paho.NewClientOptions().AddBroker("tcp://" + s.addr).SetClientID(fmt.Sprintf("paho-%v-%d", clean, qos)).
				SetCleanSession(clean).SetProtocolVersion(4).SetAutoReconnect(false)
			c := paho.NewClient(opt)
			done("connect", c.Connect())
			topic := fmt.Sprintf("p/%v/%d", clean, qos)
			done("subscribe", c.Subscribe(topic+"/+", qos, func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) }))
			for i := range 20 {
				done("publish", c.Publish(topic+"/x", qos, false, fmt.Sprint(i)))
			}
			for i := range 20 {
				select {
				case text := <-got:
					if text != fmt.Sprint(i) {
						t.Fatalf("%s: message %d is %q", topic, i, text)
					}
				case <-time.After(patience):
					t.Fatalf("%s: message %d did not come", topic, i)
				}
			}
			done("unsubscribe", c.Unsubscribe(topic+"/+"))
			c.Disconnect(100)
		}
	}
	will := make(chan string, 1)
	watcher := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + s.addr).SetClientID("watcher"))
	done("connect", watcher.Connect())
	done("subscribe", watcher.Subscribe("will", 1, func(_ paho.Client, m paho.Message) { will <- string(m.Payload()) }))
	var sock net.Conn
	lost := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://"+s.addr).SetClientID("lost").SetAutoReconnect(false).SetWill("will", "gone", 1, false).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (c net.Conn, err error) {
			sock, err = net.Dial("tcp", s.addr)
			return sock, err
		}))
	done("connect", lost.Connect())
	sock.Close()
	select {
	case text := <-will:
		if text != "gone" {
			t.Errorf("the will says %q", text)
		}
	case <-time.After(patience):
		t.Error("no will")
	}
	watcher.Disconnect(100)
}
