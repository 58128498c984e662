package scenarios

import (
	"bytes"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"hilnet/link/radio"
	"hilnet/link/traces"
)

// A Trace is what a real link was seen to do. In a file its name may stand alone.
type Trace struct {
	// A trace that comes with hilnet, or the path of a file from this one: with the extension .jsonl it has conditions (delay, rate and loss over time), with .csv one of Akamai's classes, otherwise it is a packet-delivery trace as mahimahi has them.
	Of string `yaml:"of" required:"true" min:"1" max:"4096" alt:"nyc-4g-subway" short:"true"`
	// Where in the trace the run begins.
	Start Duration `yaml:"start" max:"8760h" default:"0s" alt:"5s"`
	// What comes behind its end. false: the trace begins again. true: the last conditions stay; of a packet-delivery trace nothing, and frames are dropped (trace_ended).
	Once bool `yaml:"once" default:"false" alt:"true"`

	read traces.Trace // when the scenario is checked
}

// Read returns the trace that is named. The scenario has been validated.
func (t *Trace) Read() traces.Trace { return t.read }

// Play returns how conditions are played.
func (t *Trace) Play() traces.PlayConfig {
	return traces.PlayConfig{Start: t.Start.Std(), Once: t.Once}
}

// Delivery returns how a packet-delivery trace is played on the direction.
func (d *Direction) Delivery() traces.DeliverConfig {
	return traces.DeliverConfig{
		Start: d.Trace.Start.Std(), Once: d.Trace.Once,
		QueuePackets: d.Queue.Packets, QueueBytes: int(d.Queue.Bytes), DropHead: d.Queue.Discipline == DropHead,
	}
}

// Traced returns the direction as it is in a step of its trace.
func (d Direction) Traced(w *traces.Way) Direction {
	d.Delay, d.Rate = Duration(w.Delay), Rate(w.RateBitsPerSecond)
	d.Loss = Loss{Model: LossIndependent, Share: Percent(w.Loss)}
	return d
}

// maxTrace bounds a trace's file, in bytes.
const maxTrace = 32 << 20

// The keys that say what a trace says.
var (
	deliveryKeys   = []string{"netem", "rate", "overhead", "cell", "burst"}
	conditionsKeys = []string{"netem", "delay", "loss", "rate"}
)

// trace reads the trace of a link's direction and checks what stands beside it.
func (c *checker) trace(path string, d *Direction) {
	if d.Trace == nil {
		return
	}
	where := path + ".trace"
	fresh := *d.Trace // links share what has been read
	var ok bool
	if fresh.read, ok = c.readTrace(where+".of", fresh.Of); !ok {
		return
	}
	d.Trace = &fresh
	keys, length := deliveryKeys, Duration(0)
	if o := fresh.read.Opportunities; o != nil {
		length = Duration(o.Round())
	} else {
		keys, length = conditionsKeys, Duration(fresh.read.Conditions.Duration)
	}
	if fresh.Start >= length {
		c.failf(where+".start", "begin earlier", "the trace %s is over after %s", fresh.Of, length)
	}
	plain := NewLink("", "").Up
	v, p := reflect.ValueOf(d).Elem(), reflect.ValueOf(&plain).Elem()
	for _, f := range fieldsOf(v.Type()) {
		if slices.Contains(keys, f.key) && !reflect.DeepEqual(v.FieldByIndex(f.index).Interface(), p.FieldByIndex(f.index).Interface()) {
			where := join(path, f.key)
			if d.Preset != "" {
				where = path + ".preset"
			}
			c.failf(where, "remove one of them", "%s stands beside trace, which says that", f.key)
		}
	}
	if q := &d.Queue; fresh.read.Opportunities != nil && (q.Discipline == CoDel || q.MarkAt > 0) {
		c.failf(path+".queue", "write drop-tail or drop-head", "the queue of a packet-delivery trace has neither codel nor marks")
	}
}

// readTrace returns the trace of that name, from the library or a file.
func (c *checker) readTrace(path, name string) (t traces.Trace, ok bool) {
	var names []string
	for _, e := range traces.Library() {
		names = append(names, e.Name)
	}
	if slices.Contains(names, name) {
		t, err := traces.Load(name)
		if err != nil {
			c.fail(path, err)
		}
		return t, err == nil
	}
	if !strings.ContainsAny(name, `./\`) { // no file either: a name that is written wrong
		c.failf(path, didYouMean(name, names), "no trace is called %q", name)
		return t, false
	}
	f := c.file(path, name, c.s.FilePath(path, name), maxTrace)
	if f == nil {
		return t, false
	}
	if f.trace == (traces.Trace{}) {
		var err error
		text := bytes.NewReader(f.text)
		switch filepath.Ext(name) {
		case ".jsonl":
			f.trace.Conditions, err = traces.ReadConditions(text, name)
		case ".csv":
			f.trace.Conditions, err = traces.ReadAkamai(text, name)
		default:
			f.trace.Opportunities, err = traces.ReadOpportunities(text, name)
		}
		if err != nil {
			f.trace = traces.Trace{}
			c.fail(path, err)
			return t, false
		}
	}
	return f.trace, true
}

// A Radio is the state machine of a cellular modem at the device's end of a link:
// connected, idle, and asleep. Without a key it is always connected.
type Radio struct {
	// The connection ends when no frame has passed for so long. Default: never.
	Inactivity Duration `yaml:"inactivity" min:"1ms" max:"400h" alt:"700ms"`
	// Time from idle to connected, when the device wants to send or has been paged.
	Wake Duration `yaml:"wake" max:"400h" default:"0s" alt:"1700ms"`
	// While idle, the time from a paging occasion to the next (the DRX or eDRX cycle): what comes down waits for one. Default: the device listens always.
	Paging Duration `yaml:"paging" min:"1ms" max:"400h" alt:"5120ms"`
	// When the first paging occasion comes, from the start of the run.
	Offset Duration `yaml:"offset" max:"400h" default:"0s" alt:"900ms"`
	// With sleep: how long an idle device listens for pages before it sleeps (T3324).
	Active Duration `yaml:"active" max:"400h" default:"0s" alt:"3s"`
	// How long it sleeps in power saving mode (T3412): it cannot be paged then, wakes by itself behind it, and whenever it has something to send. Default: it never sleeps.
	Sleep Duration `yaml:"sleep" min:"1ms" max:"400h" alt:"4s"`
	// While connected, how often the device listens when it has been quiet for so long. Default: always.
	ConnectedDRX Duration `yaml:"connected_drx" min:"1ms" max:"400h" alt:"800ms"`
	// Frames that wait in each way, 1 to 65536; what comes then is dropped.
	Queue int `yaml:"queue" min:"1" max:"65536" default:"64" alt:"1"`
}

// Config returns what the radio does.
func (r *Radio) Config() radio.Config {
	return radio.Config{
		Inactivity: r.Inactivity.Std(), Wake: r.Wake.Std(), Paging: r.Paging.Std(), Offset: r.Offset.Std(),
		Active: r.Active.Std(), Sleep: r.Sleep.Std(), ConnectedDRX: r.ConnectedDRX.Std(), Queue: r.Queue,
	}
}

func (c *checker) radio(path string, r *Radio) {
	switch {
	case r == nil:
	case r.Inactivity == 0 && r.ConnectedDRX == 0:
		c.failf(path, "add inactivity: 10s, or connected_drx: 320ms", "a radio that is always connected and always listens does nothing")
	case r.Inactivity == 0 && (r.Wake|r.Paging|r.Offset|r.Active|r.Sleep) != 0:
		c.failf(path, "add inactivity: 10s", "wake, paging, active and sleep need inactivity, or the radio never leaves its connection")
	case r.Offset > 0 && r.Paging == 0:
		c.failf(path+".offset", "add paging: 2560ms", "an offset without paging occasions")
	case r.Active > 0 && r.Sleep == 0:
		c.failf(path+".active", "add sleep: 1h", "an active time without a sleep behind it")
	default:
		cfg := r.Config()
		if err := cfg.Validate(); err != nil {
			c.fail(path, err)
		}
	}
}
