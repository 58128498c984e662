package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"hilnet/internal/linktest"
	"hilnet/mqtt/codec"
	"hilnet/replay/play"
	"hilnet/replay/script"
)

// mqttCaptures are the captures of other people's MQTT sessions.
func mqttCaptures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt", "*.pcap"))
	if err != nil || len(files) < 20 {
		t.Fatal(len(files), err)
	}
	return files
}

// freeAddress is an address of this machine that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startMosquitto starts a real broker, with more settings of its listener, and returns
// where it listens.
func startMosquitto(t testing.TB, settings ...string) string {
	t.Helper()
	linktest.Require(t, "mosquitto")
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest stderr\nlog_type all\n", port)
	text += strings.Join(settings, "\n") + "\n"
	if os.Geteuid() == 0 {
		text += "user root\n"
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	linktest.Start(t, exec.Command("mosquitto", "-c", conf)).WaitFor(t, "running")
	return address
}

// callPlay calls replay play --json.
func callPlay(t testing.TB, args ...string) (int, *play.Report, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), append([]string{"play", "--json"}, args...), &out, &errs)
	if code == exitUsage || code == exitEnvironment {
		return code, nil, errs.String()
	}
	var d playDocument
	if err := json.Unmarshal(out.Bytes(), &d); err != nil || d.Format != play.Format {
		t.Fatalf("%v: exit %d: %s%s", err, code, out.String(), errs.String())
	}
	if strings.Contains(out.String(), "null") {
		t.Errorf("a list is null:\n%s", out.String())
	}
	return code, d.Report, errs.String()
}

// Broker and client of this machine, in real time, at the times of the capture.
func TestARealPlayKeepsTheTimesOfTheCapture(t *testing.T) {
	broker := startMosquitto(t)
	file := filepath.Join(linktest.Root(t), "replay", "testdata", "mqtt", "suricata-mqtt311-sub-userpass.pcap")
	code, r, _ := callPlay(t, file, "--as", "client", "--against", broker, "--speed", "2")
	if code != exitPass || r.Elapsed < time.Second || r.Gaps.Count != 3 || r.Gaps.Median > 100*time.Millisecond {
		t.Errorf("exit %d: %v, %+v", code, r.Elapsed, r.Gaps)
	}
}

// mosquittoArgs is the call of mosquitto_pub or mosquitto_sub that does what the
// client of a conversation did, nil when neither can.
func mosquittoArgs(t testing.TB, c *script.Conversation, address string) []string {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	args := []string{"-h", host, "-p", port, "-V", map[uint8]string{3: "mqttv31", 4: "mqttv311", 5: "mqttv5"}[c.Version]}
	var publish, subscribe []string
	var began, ended time.Duration
	published := 0
	for i := range c.Events {
		e := &c.Events[i]
		if e.From != script.Client || e.Kind != script.Message {
			continue
		}
		f, err := script.Parse(e.Raw, c.Version)
		if err != nil || e.Type == 0 {
			return nil
		}
		switch e.Type {
		case codec.CONNECT:
			began = e.At
			args = append(args, "-k", fmt.Sprint(f.Connect.KeepAlive))
			if len(f.Connect.ClientID) > 0 {
				args = append(args, "-i", string(f.Connect.ClientID))
			}
			if f.Connect.Flags&script.FlagUser != 0 {
				args = append(args, "-u", string(f.Connect.User), "-P", string(f.Connect.Password))
			}
			if k := &f.Connect; k.Flags&script.FlagWill != 0 {
				args = append(args, "--will-topic", string(k.WillTopic), "--will-payload", string(k.Will), "--will-qos", fmt.Sprint(k.Flags>>3&3))
				if k.Flags&0x20 != 0 {
					args = append(args, "--will-retain")
				}
			}
			if f.Connect.Flags&0x02 == 0 {
				args = append(args, "-c")
			}
		case codec.PUBLISH:
			if f.Flags&1 != 0 {
				publish = append(publish, "-r")
			}
			if published++; f.Flags>>1&3 == 3 {
				return nil
			}
			payload := filepath.Join(t.TempDir(), "payload")
			if err := os.WriteFile(payload, f.Payload, 0o644); err != nil {
				t.Fatal(err)
			}
			publish = append(publish, "-t", string(f.Topic), "-q", fmt.Sprint(f.Flags>>1&3), "-f", payload)
		case codec.SUBSCRIBE:
			for _, filter := range f.Filters {
				subscribe = append(subscribe, "-t", string(filter.Topic), "-q", fmt.Sprint(filter.Options&3))
			}
		case codec.UNSUBSCRIBE:
			for _, filter := range f.Filters {
				subscribe = append(subscribe, "-U", string(filter.Topic))
			}
		case codec.DISCONNECT:
			ended = e.At
		}
	}
	switch {
	case published == 1 && subscribe == nil:
		return append(append([]string{"mosquitto_pub"}, args...), publish...)
	case published == 0 && subscribe != nil:
		seconds := max(1, int((ended-began).Round(time.Second)/time.Second))
		return append(append(append([]string{"mosquitto_sub"}, args...), subscribe...), "-W", fmt.Sprint(seconds))
	}
	return nil
}

// An announced is the standard error of a player that says where it listens.
type announced struct {
	bytes.Buffer
	at chan string
}

func (a *announced) Write(p []byte) (int, error) {
	if _, address, ok := strings.Cut(string(p), "listening on "); ok {
		a.at <- strings.TrimSpace(address)
	}
	return a.Buffer.Write(p)
}

// serve plays a file as the broker and has somebody be the client.
func serve(t testing.TB, file string, client func(address string), args ...string) (code int, r *play.Report, errs string) {
	t.Helper()
	said := &announced{at: make(chan string, 1)}
	var out bytes.Buffer
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		code = run(t.Context(), append([]string{"play", "--json", file, "--as", "broker", "--against", "127.0.0.1:0", "--accept", "20s"}, args...), &out, said)
	}()
	select {
	case address := <-said.at:
		client(address)
		<-ended
	case <-ended:
	}
	var d playDocument
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		return code, nil, said.String()
	}
	return code, d.Report, said.String()
}

// A row is what came of a capture, for the table of the manual.
type row struct{ file, version, client, ours, theirs string }

// cell says what came of a play, and whether it is what the captures are here for.
func cell(code int, r *play.Report, errs string) (text string, ok bool) {
	switch {
	case r == nil:
		_, why, _ := strings.Cut(errs, "conversation 1: ")
		why, _, _ = strings.Cut(strings.TrimSpace(why), "; choose others")
		if it, yes := strings.CutPrefix(why, "hilnet's client cannot do what the recorded one did: "); yes {
			return "cannot " + it, code == exitUsage
		}
		return "refused: " + why, code == exitUsage
	case r.Reproduced == 1 && r.Conversations[0].Verdict != play.Diverged:
		return "to the end", true
	}
	return string(r.Verdict), false
}

// Every session of the captures is played to its end: as the client against a real
// broker; as the broker against hilnet's client, and against mosquitto's own clients
// where they can do what the recorded one did, else against the other player. The
// manual has the table of it.
func TestEveryCaptureIsPlayedToItsEnd(t *testing.T) {
	linktest.Require(t, "mosquitto_pub", "mosquitto_sub")
	broker, files := startMosquitto(t), mqttCaptures(t)
	rows := make([]row, len(files))
	var wait sync.WaitGroup
	limit := make(chan struct{}, 8) // most of them only wait
	for n, file := range files {
		c := readScriptOf(t, file).Conversations[0]
		at := &rows[n]
		*at = row{file: strings.TrimSuffix(filepath.Base(file), ".pcap"), version: mqttName(c.Version)}
		synthetic := []string{}
		if c.Flags.Midstream {
			synthetic = []string{"--synthetic"}
		}
		failed := func(what, got string) { t.Errorf("%s, %s: %s", at.file, what, got) }
		var ok bool
		// One after the other: many of them are one client.
		if at.client, ok = cell(callPlay(t, append([]string{file, "--as", "client", "--against", broker, "--timing", "fast", "--wait", "10s"}, synthetic...)...)); !ok {
			failed("client", at.client)
		}
		wait.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			ok := false
			if at.ours, ok = cell(callPlay(t, file, "--as", "broker", "--against", "model", "--set", "link.delay=20ms")); !ok {
				failed("broker against the model", at.ours)
			}
			if why := c.Unplayable(script.Broker, true); why != "" {
				at.theirs = "refused: " + why
				return
			}
			who := "the other player"
			code, r, errs := serve(t, file, func(address string) {
				if args := mosquittoArgs(t, c, address); args != nil {
					who = args[0]
					_, _ = exec.Command(args[0], args[1:]...).CombinedOutput() // mosquitto_sub -W ends with 27
					return
				}
				callPlay(t, append([]string{file, "--as", "client", "--against", address}, synthetic...)...)
			}, append([]string{"--wait", "10s"}, synthetic...)...)
			if at.theirs, ok = cell(code, r, errs); !ok {
				failed("broker against "+who, fmt.Sprintf("exit %d, %+v %s", code, r, errs))
			}
			at.theirs += " (" + who + ")"
			if len(synthetic) > 0 {
				at.client, at.theirs = at.client+", with `--synthetic`", at.theirs+", with `--synthetic`"
			}
		})
	}
	wait.Wait()
	var b strings.Builder
	b.WriteString("\n| capture | version | as the client, against mosquitto | as the broker, against hilnet's client | as the broker, against another client |\n|---|---|---|---|---|\n")
	real := 0
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", strings.TrimPrefix(r.file, "suricata-"), r.version, r.client, r.ours, r.theirs)
		if strings.Contains(r.theirs, "mosquitto_") {
			real++
		}
	}
	if real < 18 {
		t.Errorf("only %d sessions against mosquitto's clients", real)
	}
	linktest.Section(t, *update, "replay.md", "<!-- captures: go test ./cmd/replay -update -->\n", "<!-- end of captures -->\n", b.String()+"\n", "go test ./cmd/replay -update")
}

func readScriptOf(t testing.TB, file string) *script.Script {
	t.Helper()
	s, err := readScript(t.Context(), file, &playFlags{ports: []uint{1883}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Ctrl-C ends a play with a report of what there was.
func TestAnInterruptedPlayReportsAndEndsWith130(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	var out, errs bytes.Buffer
	code := run(ctx, []string{"play", mqttCaptures(t)[0], "--as", "broker", "--against", freeAddress(t)}, &out, &errs)
	if code != exitInterrupted || !strings.Contains(out.String(), "because     interrupted") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
}
