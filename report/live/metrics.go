package live

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"hilnet/emu"
)

// An exposition is numbers in the text format of Prometheus.
type exposition struct{ bytes.Buffer }

// family begins a metric.
func (x *exposition) family(name, kind, help string) {
	fmt.Fprintf(x, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

var labelEscape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// number adds a sample; labels are pairs of a name and a value.
func (x *exposition) number(name string, v float64, labels ...string) {
	x.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		fmt.Fprintf(x, `%s%s="%s"`, sep, labels[i], labelEscape.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")))
	}
	if len(labels) > 0 {
		x.WriteByte('}')
	}
	x.WriteString(" " + strconv.FormatFloat(v, 'g', -1, 64) + "\n")
}

// one is a metric with one sample.
func (x *exposition) one(name, kind, help string, v float64) {
	x.family(name, kind, help)
	x.number(name, v)
}

// steps are the names of what happens to a frame.
var steps = []struct {
	step emu.FrameStep
	name string
}{{emu.FrameEntered, "entered"}, {emu.FrameLeft, "left"}, {emu.FrameDropped, "dropped"}, {emu.FrameDuplicated, "duplicated"}, {emu.FrameCorrupted, "corrupted"}}

// expose writes the numbers of a run and of its server.
func expose(scenario string, c *emu.Counts, s *served) []byte {
	x := &exposition{}
	flag := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	x.family("hilnet_run_info", "gauge", "The run: always 1.")
	x.number("hilnet_run_info", 1, "scenario", scenario, "hilnet", emu.Version)
	x.one("hilnet_run_ended", "gauge", "Whether the run is over.", flag(c.Ended))
	x.one("hilnet_run_time_seconds", "gauge", "Time of the run.", c.Now.Seconds())
	x.one("hilnet_published_total", "counter", "Publish calls that went well.", float64(c.Published))
	x.one("hilnet_acknowledged_total", "counter", "Messages that the broker acknowledged.", float64(c.Acked))
	x.one("hilnet_connected_total", "counter", "MQTT connections that devices got.", float64(c.Connected))
	x.latency(c)
	x.family("hilnet_events_total", "counter", "Events of the trace by kind.")
	for _, k := range slices.Sorted(maps.Keys(c.Events)) {
		x.number("hilnet_events_total", float64(c.Events[k]), "kind", string(k))
	}
	x.family("hilnet_drops_total", "counter", "Frames, packets and messages that were dropped, by reason.")
	for _, k := range slices.Sorted(maps.Keys(c.Drops)) {
		x.number("hilnet_drops_total", float64(c.Drops[k]), "reason", string(k))
	}
	way := map[bool]string{true: "up", false: "down"}
	x.family("hilnet_frames_total", "counter", "Frames of a link by what happened to them; of the links beyond the first, link is empty.")
	for _, l := range c.Links {
		for _, step := range steps {
			x.number("hilnet_frames_total", float64(l.Steps[step.step]), "link", l.Link, "direction", way[l.Up], "step", step.name)
		}
	}
	x.family("hilnet_bytes_total", "counter", "Bytes of the frames that entered a link.")
	for _, l := range c.Links {
		x.number("hilnet_bytes_total", float64(l.Bytes), "link", l.Link, "direction", way[l.Up])
	}
	for _, m := range []struct {
		name, help string
		of         func(*emu.PoolLevel) int64
	}{
		{"hilnet_pool_free_packets", "Free packets of a device's pool.", func(p *emu.PoolLevel) int64 { return p.Free }},
		{"hilnet_pool_lowest_packets", "The fewest packets that were free so far.", func(p *emu.PoolLevel) int64 { return p.Low }},
		{"hilnet_pool_waiting_threads", "Threads that wait for a packet.", func(p *emu.PoolLevel) int64 { return p.Wait }},
	} {
		x.family(m.name, "gauge", m.help)
		for i := range c.Pools {
			x.number(m.name, float64(m.of(&c.Pools[i])), "device", c.Pools[i].Device)
		}
	}
	x.one("hilnet_ui_missed_total", "counter", "Moments of the run that the page does not show, as the run was faster.", float64(c.Missed))
	s.expose(x)
	return x.Bytes()
}

// latency writes the histogram of acknowledgements.
func (x *exposition) latency(c *emu.Counts) {
	const name = "hilnet_acknowledge_seconds"
	x.family(name, "histogram", "Time from the publish call to the acknowledgement.")
	sum := uint64(0)
	for i, bound := range emu.AckBounds() {
		sum += c.AckBuckets[i]
		x.number(name+"_bucket", float64(sum), "le", strconv.FormatFloat(bound.Seconds(), 'g', -1, 64))
	}
	x.number(name+"_bucket", float64(c.Acked), "le", "+Inf")
	x.number(name+"_sum", c.AckSum.Seconds())
	x.number(name+"_count", float64(c.Acked))
}

// expose writes the numbers of the server itself.
func (s *served) expose(x *exposition) {
	x.family("hilnet_ui_requests_total", "counter", "Requests by the class of their answer.")
	for class := 1; class < len(s.requests); class++ {
		x.number("hilnet_ui_requests_total", float64(s.requests[class].Load()), "class", strconv.Itoa(class)+"xx")
	}
	x.one("hilnet_ui_streams", "gauge", "Pages that listen.", float64(s.streams.Load()))
	x.one("hilnet_ui_lost_messages_total", "counter", "Messages that pages did not get, as they were late or slow.", float64(s.lost.Load()))
	x.one("hilnet_ui_cut_streams_total", "counter", "Pages that were cut off.", float64(s.cut.Load()))
	if l := s.listener; l != nil {
		x.one("hilnet_ui_connections", "gauge", "Open connections.", float64(l.open.Load()))
		x.one("hilnet_ui_refused_connections_total", "counter", "Connections beyond the limit.", float64(l.refused.Load()))
	}
}
