package serve_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"hilnet/internal/linktest"
	"hilnet/internal/matrix"
	"hilnet/link"
	"hilnet/mqtt/broker/serve"
	"hilnet/sim"
	"hilnet/tap"
)

var update = flag.Bool("update", false, "run all clients against the broker, and rewrite docs/interop.md")

// matrixMessages is how many messages go each way that is tried.
const matrixMessages = 15

const (
	clientAddress = "10.0.0.1/24"
	brokerAddress = "10.0.0.2/24"
)

// A site is a namespace for clients and one for the broker, joined by a link of
// ours that loses: each end is a TAP interface, and TCP is the kernel's.
type site struct {
	clients, broker *linktest.Net
	addr            string
}

func newSite(t *testing.T, loss float64) *site {
	t.Helper()
	s := &site{clients: linktest.Namespace(t), broker: linktest.Namespace(t)}
	ready, ended := make(chan error, 1), make(chan error, 1)
	var loop *sim.Loop
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ended <- s.carry(loss, &loop, ready)
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		loop.Post(loop.Stop)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	srv, err := serve.New(serve.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	s.broker.Do(func() (err error) {
		l, err = net.Listen("tcp4", "0.0.0.0:1883")
		return err
	})
	s.addr = netip.MustParsePrefix(brokerAddress).Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() {
		_, err := srv.Serve(ctx, l)
		served <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

// carry is the link, until the loop is stopped.
func (s *site) carry(loss float64, at **sim.Loop, ready chan<- error) error {
	pacer, err := sim.NewRealPacer(1)
	if err != nil {
		ready <- err
		return err
	}
	loop := sim.NewLoop(sim.Config{Pacer: pacer, Seed: 1})
	defer func() { _ = loop.Close() }()
	*at = loop
	way := link.DirectionConfig{Loss: loss, Delay: 2 * time.Millisecond}
	cable, err := link.New(link.World{Loop: loop, IDs: new(link.IDs)}, link.Config{Name: "cable", Up: way, Down: way})
	if err != nil {
		ready <- err
		return err
	}
	if err := loop.StartPacer(); err != nil {
		ready <- err
		return err
	}
	var taps []*tap.TAP
	for _, end := range []struct{ ns, address string }{{s.clients.Name, clientAddress}, {s.broker.Name, brokerAddress}} {
		d, err := tap.Open(tap.Config{Address: netip.MustParsePrefix(end.address), Namespace: end.ns, Loop: loop, Clock: pacer.Now})
		if err != nil {
			ready <- err
			return err
		}
		defer func() { _ = d.Close() }()
		taps = append(taps, d)
	}
	cable.Connect(taps[0], taps[1])
	for i, into := range []link.Sink{cable.Up, cable.Down} {
		if err := taps[i].Start(into); err != nil {
			ready <- err
			return err
		}
	}
	ready <- nil
	return loop.Run(sim.Time(10 * time.Minute))
}

// A matrixCase is one client program at one quality of service on one link.
type matrixCase struct {
	client string // mosquitto or paho
	qos    int
}

func (c matrixCase) column() string { return fmt.Sprintf("%s, QoS %d", c.client, c.qos) }

// What the clients do, as the rows of the table say it.
const (
	live     = "clean session, subscribed"
	kept     = "kept session, subscribed"
	away     = "kept session, away"
	retained = "retained message"
	will     = "will"
)

var everything = []string{live, kept, away, retained, will}

// mosquitto_pub, mosquitto_sub and paho's Go client talk through our broker over a
// link that loses nothing, and over one that loses 5 % of the frames each way.
func TestTheClientsOfOthersTalkThroughTheBroker(t *testing.T) {
	linktest.Require(t, "tun", "netns", "mosquitto_pub", "mosquitto_sub", "stdbuf")
	whole := *update || os.Getenv(linktest.SoakEnv) != ""
	var columns []string
	var cases []matrixCase
	for _, client := range []string{"mosquitto", "paho"} {
		for qos := range 3 {
			c := matrixCase{client, qos}
			columns = append(columns, c.column())
			cases = append(cases, c)
		}
	}
	table := matrix.New("others' clients", []string{"what", "loss"}, columns)
	losses := []string{"0%", "5%"}
	for _, what := range everything {
		for _, loss := range losses {
			table.Row(what, loss)
		}
	}
	for _, loss := range losses {
		t.Run("loss "+loss, func(t *testing.T) {
			s := newSite(t, map[string]float64{"0%": 0, "5%": 0.05}[loss])
			for _, c := range cases {
				for _, what := range everything {
					if short := c.qos == 2 && (what == live || what == will) == (loss == "5%"); !whole && !short {
						continue
					}
					topic := fmt.Sprintf("%s/%d/%s", c.client, c.qos, strings.NewReplacer(" ", "-", ",", "").Replace(what))
					got := s.play(t, c, what, topic)
					table.Set(got, c.column(), what, loss)
					if want := expected(c.qos, what); got != want {
						t.Errorf("%s, %s, loss %s: %s, want %s", c.column(), what, loss, got, want)
					}
				}
			}
		})
	}
	if !t.Failed() {
		table.Check(t, "docs/interop.md", whole, *update)
	}
}

// expected is what MQTT promises.
func expected(qos int, what string) string {
	switch {
	case what == retained || what == will:
		return "1 of 1"
	case what == away && qos == 0:
		return "none kept" // [MQTT-3.1.2-5] leaves it open; this broker keeps none
	}
	return fmt.Sprintf("%d of %d", matrixMessages, matrixMessages)
}

// numbered are the payloads of a case.
func numbered() (all []string) {
	for i := range matrixMessages {
		all = append(all, fmt.Sprintf("message %d", i+1))
	}
	return all
}

// judge compares what came with what was sent, order included.
func judge(t *testing.T, what string, got, want []string) string {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
	return fmt.Sprintf("%d of %d", len(got), len(want))
}

func (s *site) play(t *testing.T, c matrixCase, what, topic string) string {
	t.Helper()
	if c.client == "paho" {
		return s.playPaho(t, c, what, topic)
	}
	return s.playMosquitto(t, c, what, topic)
}

// tool starts mosquitto_pub or mosquitto_sub among the clients.
func (s *site) tool(t *testing.T, stdin, name, args string) (*linktest.Process, *exec.Cmd) {
	t.Helper()
	// Into a pipe they say what they do at their end only, unless stdbuf is in front.
	cmd := s.clients.Command("stdbuf", append([]string{"-oL", name, "-V", "311", "-h", s.addr}, strings.Fields(args)...)...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	return linktest.Start(t, cmd), cmd
}

func (s *site) run(t *testing.T, stdin, name, args string) string {
	t.Helper()
	p, _ := s.tool(t, stdin, name, args)
	return waitSaid(t, p)
}

func (s *site) playMosquitto(t *testing.T, c matrixCase, what, topic string) string {
	t.Helper()
	qos := fmt.Sprintf("-q %d -t %s", c.qos, topic)
	name := "-i " + strings.ReplaceAll(topic, "/", "-")
	publish := func() { s.run(t, strings.Join(numbered(), "\n")+"\n", "mosquitto_pub", qos+" -l") }
	// subscribed starts a subscriber that says so, and ends after n messages.
	subscribed := func(args string, n int) *linktest.Process {
		p, _ := s.tool(t, "", "mosquitto_sub", fmt.Sprintf("%s -d -C %d %s", qos, n, args))
		p.WaitFor(t, "Subscribed (mid: 1)")
		return p
	}
	payloads := func(out string) (all []string) { // -d says much else
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "message ") || strings.HasPrefix(line, "single") {
				all = append(all, strings.TrimSpace(line))
			}
		}
		return all
	}
	switch what {
	case live, kept:
		args := map[string]string{live: "", kept: name + " -c"}[what]
		sub := subscribed(args, matrixMessages)
		publish()
		return judge(t, topic, payloads(waitSaid(t, sub)), numbered())
	case away:
		s.run(t, "", "mosquitto_sub", qos+" "+name+" -c -E")
		if c.qos == 0 { // what comes live is the first
			s.publishPaho(t, topic)
			sub := subscribed(name+" -c", 1)
			s.run(t, "", "mosquitto_pub", qos+" -m single")
			if got := payloads(waitSaid(t, sub)); len(got) != 1 || got[0] != "single" {
				t.Errorf("%s: %q", topic, got)
			}
			return "none kept"
		}
		publish()
		return judge(t, topic, strings.Split(s.run(t, "", "mosquitto_sub", fmt.Sprintf("%s %s -c -C %d", qos, name, matrixMessages)), "\n"), numbered())
	case retained:
		s.run(t, "", "mosquitto_pub", qos+" -r -m single")
		return judge(t, topic, []string{s.run(t, "", "mosquitto_sub", qos+" -C 1")}, []string{"single"})
	}
	sub := subscribed("", 1)
	dying, cmd := s.tool(t, "", "mosquitto_sub", fmt.Sprintf("-d -t nothing --will-topic %s --will-payload single --will-qos %d", topic, c.qos))
	dying.WaitFor(t, "Subscribed (mid: 1)")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	return judge(t, topic, payloads(waitSaid(t, sub)), []string{"single"})
}

// dial connects from the clients' namespace.
func (s *site) dial(sock *net.Conn) paho.OpenConnectionFunc {
	return func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		err := s.clients.Try(func() (err error) {
			*sock, err = net.DialTimeout("tcp4", s.addr+":1883", patience)
			return err
		})
		return *sock, err
	}
}

func pahoDone(t *testing.T, what string, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("%s: %v", what, token.Error())
	}
}

// paho connects a client and subscribes, and returns what it hears.
func (s *site) paho(t *testing.T, id string, clean bool, set func(*paho.ClientOptions), subscribe string, qos int) (paho.Client, *net.Conn, chan string) {
	t.Helper()
	got, sock := make(chan string, 10*matrixMessages), new(net.Conn)
	options := paho.NewClientOptions().AddBroker("tcp://" + s.addr + ":1883").SetClientID(id).SetCleanSession(clean).
		SetProtocolVersion(4).SetAutoReconnect(false).SetCustomOpenConnectionFn(s.dial(sock)).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { got <- string(m.Payload()) })
	if set != nil {
		set(options)
	}
	c := paho.NewClient(options)
	pahoDone(t, "connect", c.Connect())
	if subscribe != "" {
		pahoDone(t, "subscribe", c.Subscribe(subscribe, byte(qos), nil))
	}
	return c, sock, got
}

// publishPaho publishes at QoS 0, and returns when the broker has it all.
func (s *site) publishPaho(t *testing.T, topic string) {
	t.Helper()
	c, _, _ := s.paho(t, "before", true, nil, "", 0)
	for _, text := range numbered() {
		pahoDone(t, "publish", c.Publish(topic, 0, false, text))
	}
	pahoDone(t, "a round trip", c.Subscribe("none", 0, nil))
	c.Disconnect(100)
}

// heard takes n messages.
func heard(t *testing.T, got <-chan string, n int) (all []string) {
	t.Helper()
	for range n {
		select {
		case text := <-got:
			all = append(all, text)
		case <-time.After(patience):
			t.Errorf("message %d did not come", len(all)+1)
			return all
		}
	}
	return all
}

func (s *site) playPaho(t *testing.T, c matrixCase, what, topic string) string {
	t.Helper()
	qos, id := byte(c.qos), strings.ReplaceAll(topic, "/", "-")
	publisher, _, _ := s.paho(t, id+"-pub", true, nil, "", 0)
	defer publisher.Disconnect(100)
	publish := func(texts []string, retain bool) {
		for _, text := range texts {
			pahoDone(t, "publish", publisher.Publish(topic, qos, retain, text))
		}
	}
	single := []string{"single"}
	switch what {
	case live, kept:
		sub, _, got := s.paho(t, id, what == live, nil, topic, c.qos)
		defer sub.Disconnect(100)
		publish(numbered(), false)
		return judge(t, topic, heard(t, got, matrixMessages), numbered())
	case away:
		sub, _, _ := s.paho(t, id, false, nil, topic, c.qos)
		sub.Disconnect(100)
		publish(numbered(), false)
		if c.qos == 0 {
			pahoDone(t, "a round trip", publisher.Subscribe(topic+"/none", 0, nil)) // the broker has seen all that
		}
		sub, _, got := s.paho(t, id, false, nil, "", 0)
		defer sub.Disconnect(100)
		if c.qos == 0 {
			publish(single, false)
			judge(t, topic, heard(t, got, 1), single)
			return "none kept"
		}
		return judge(t, topic, heard(t, got, matrixMessages), numbered())
	case retained:
		publish(single, true)
		pahoDone(t, "a round trip", publisher.Subscribe(topic+"/none", 0, nil))
		sub, _, got := s.paho(t, id, true, nil, topic, c.qos)
		defer sub.Disconnect(100)
		return judge(t, topic, heard(t, got, 1), single)
	}
	sub, _, got := s.paho(t, id, true, nil, topic, c.qos)
	defer sub.Disconnect(100)
	_, sock, _ := s.paho(t, id+"-dying", true, func(o *paho.ClientOptions) { o.SetWill(topic, "single", qos, false) }, "", 0)
	_ = (*sock).Close() // without DISCONNECT
	return judge(t, topic, heard(t, got, 1), single)
}
