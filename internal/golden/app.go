package golden

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"hilnet/mqtt"
	"hilnet/nic"
	"hilnet/sim"
	"hilnet/sim/rtos"
)

// An App makes the recorded application's calls at their recorded ticks and
// writes the log that it would write.
type App struct {
	Kernel *rtos.Kernel
	Pool   *nic.Pool
	Client *mqtt.Client
	Log    []string
}

// Attach sets the client's notifies, which write to the log.
func (a *App) Attach() {
	a.Client.ConnectNotify = func(_ *mqtt.Client, s mqtt.Status) { a.say("cb connect_notify status=%#x", uint32(s)) }
	a.Client.AckReceiveNotify = func(_ *mqtt.Client, typ uint8, id uint16, _ *nic.Packet) {
		a.say("cb ack_notify type=%d id=%d", typ, id)
	}
	a.Client.ReceiveNotifySet(func(_ *mqtt.Client, depth int) { a.say("cb receive_notify depth=%d", depth) })
	a.Client.DisconnectNotifySet(func(*mqtt.Client) { a.say("cb disconnect_notify") })
}

func (a *App) say(format string, args ...any) { a.Log = append(a.Log, fmt.Sprintf(format, args...)) }

// Run makes the calls of the steps.
func (a *App) Run(th *rtos.Thread, steps []Step) {
	for _, s := range steps {
		words, args := s.Args()
		if !a.acts(s.Text) {
			continue
		}
		if now := a.Kernel.Now(); s.Tick > uint32(now) {
			th.Sleep(rtos.Ticks(s.Tick) - now)
		}
		a.step(s.Text, words, args)
	}
}

// On makes the calls of the steps on a Task, at their ticks of the run: as the
// application of a scenario, which has no pool to ask.
func (a *App) On(task *sim.Task, steps []Step) {
	for _, s := range steps {
		if words, args := s.Args(); a.acts(s.Text) && !strings.HasPrefix(s.Text, "pool[") {
			task.SleepUntil(max(task.Now(), sim.Time(time.Duration(s.Tick)*tick)))
			a.step(s.Text, words, args)
		}
	}
}

// acts reports whether a line is something that the application does.
func (a *App) acts(text string) bool {
	return strings.HasPrefix(text, "call ") || strings.Contains(text, ", call delete") ||
		strings.HasPrefix(text, "message_get ") || strings.HasPrefix(text, "pool[") && !strings.HasPrefix(text, "pool[mon]")
}

func (a *App) step(text string, words []string, args map[string]string) {
	switch {
	case strings.HasPrefix(text, "pool["):
		label, _, _ := strings.Cut(text, "]")
		s := a.Pool.Stats()
		a.say("%s] total=%d free=%d empty_requests=%d empty_suspensions=%d invalid_releases=%d", label,
			s.Total, s.Free, s.EmptyRequests, s.EmptySuspensions, s.InvalidReleases)
	case words[0] == "message_get":
		topic, message := make([]byte, 1000), make([]byte, 10000)
		t, m, s := a.Client.MessageGet(topic, message)
		if s != mqtt.Success {
			a.say("message_get %#x", uint32(s))
			return
		}
		a.say("message_get ok topic=%s len=%d", topic[:t], m)
	case strings.Contains(text, "call delete"):
		a.say("call delete")
		a.ret("delete", a.Client.Delete())
	default:
		a.call(words[1], words, args)
	}
}

func (a *App) call(name string, words []string, args map[string]string) {
	wait := rtos.Ticks(number(args["wait"]))
	switch name {
	case "connect":
		a.ret(name, a.Client.Connect(netip.MustParseAddrPort(args["host"]), uint32(number(args["keepalive"])), args["clean"] == "1", wait))
	case "subscribe":
		a.ret(name, a.Client.Subscribe(words[2], uint8(number(args["qos"]))))
	case "publish":
		payload := []byte(strings.Repeat("x", number(args["len"])))
		a.ret(name, a.Client.Publish(args["topic"], payload, false, uint8(number(args["qos"])), wait))
	case "disconnect":
		a.ret(name, a.Client.Disconnect())
	default:
		panic("golden: the recorded application calls " + name)
	}
}

func (a *App) ret(name string, s mqtt.Status) { a.say("ret %s %#x", name, uint32(s)) }

func number(s string) int {
	if s == "" {
		return 0 // the call has no such argument
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(fmt.Sprintf("golden: %q is not a number", s))
	}
	return n
}

// Threads splits a log into what the application's thread wrote and what the
// client's callbacks wrote: on the recording machine they ran side by side, so
// which of two lines of the same moment came first is chance.
func Threads(log []string) (app, callbacks []string) {
	for _, line := range log {
		if strings.HasPrefix(line, "cb ") {
			callbacks = append(callbacks, line)
		} else {
			app = append(app, line)
		}
	}
	return app, callbacks
}

// AppLog returns the lines of a recording's log that App writes too.
func (r *Recording) AppLog() []string {
	var out []string
	for _, s := range r.Steps {
		text := s.Text
		switch {
		case strings.HasPrefix(text, "pool[mon]"), text == "ret create 0x0":
			continue
		case strings.HasPrefix(text, "pool["):
			text, _, _ = strings.Cut(text, " rx_alloc_fail=")
		case strings.HasPrefix(text, "message_get ok"):
			text, _, _ = strings.Cut(text, " head=")
		case strings.Contains(text, ", call delete"):
			text = "call delete"
		case strings.HasPrefix(text, "ret "), strings.HasPrefix(text, "cb "), strings.HasPrefix(text, "message_get "), text == "call delete":
		default:
			continue
		}
		out = append(out, text)
	}
	return out
}
