package page

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/report"
	"hilnet/scenarios"
	"hilnet/trace"
)

// A Source is what a page of a run is made of: the files of a run, by their
// names.
type Source struct {
	// Captures of the run, those of devices and peers. NAME.device.pcapng has its
	// peer's beside it without being named.
	Captures []string
	// Trace and Samples may be missing: what they hold is then not on the page,
	// which says so.
	Trace, Samples string
	// Scenario is nil when it is to be taken from the captures.
	Scenario *scenarios.Scenario
	// Run is the result, nil when it is to be made of the trace again.
	Run *report.Run
}

// Beside completes a source that has captures only with what stands beside the
// first of them.
func Beside(captures ...string) Source {
	s := Source{Captures: captures}
	if len(captures) == 0 {
		return s
	}
	base := run(captures[0])
	exists := func(name string) bool { info, err := os.Stat(name); return err == nil && info.Mode().IsRegular() }
	// The name of a run in a fleet has the device's behind it.
	for name := base; name != "" && s.Trace == ""; name = parent(name) {
		if exists(name + ".trace.jsonl") {
			s.Trace = name + ".trace.jsonl"
		}
		if exists(name + ".samples.jsonl") {
			s.Samples = name + ".samples.jsonl"
		}
	}
	for _, c := range captures {
		if p, ok := strings.CutSuffix(c, ".device.pcapng"); ok && exists(p+".peer.pcapng") && !slices.Contains(s.Captures, p+".peer.pcapng") {
			s.Captures = append(s.Captures, p+".peer.pcapng")
		}
	}
	return s
}

// run is a capture's name without point and extension.
func run(capture string) string {
	name, _ := strings.CutSuffix(capture, filepath.Ext(capture))
	for _, p := range []Point{PointDevice, PointPeer} {
		name, _ = strings.CutSuffix(name, "."+string(p))
	}
	return name
}

// parent cuts the last part off a name, or returns "".
func parent(name string) string {
	base := filepath.Base(name)
	i := strings.LastIndexByte(base, '.')
	if i <= 0 {
		return ""
	}
	return name[:len(name)-len(base)+i]
}

// Read reads what a source has and returns the Builder of its page.
func (s *Source) Read() (*Builder, error) {
	info, err := s.look()
	if err != nil {
		return nil, err
	}
	head := Head{Kind: "run", Hilnet: emu.Version, Missing: []string{}, Findings: []Remedy{}}
	b := NewBuilder(head)
	sc := s.Scenario
	if sc == nil {
		sc = b.scenarioOf(info)
	}
	b.lanes(sc, s.Captures)
	if sc != nil {
		if text, err := sc.Resolved(); err == nil {
			b.head.Scenario = string(text)
		}
	}
	b.head.Versions = versions(info)
	if err := b.readCaptures(s, info); err != nil {
		return nil, err
	}
	if err := b.readTrace(s, sc, info); err != nil {
		return nil, err
	}
	b.readSamples(s)
	b.finish(info)
	return b, nil
}

// What the captures say of themselves.
type captureInfo struct {
	run   *pcaps.RunInfo // nil: not hilnet's
	epoch pcaps.Stamp
	end   pcaps.Stamp
}

// look reads the ends of the first capture.
func (s *Source) look() (*captureInfo, error) {
	info := &captureInfo{epoch: math.MinInt64}
	if len(s.Captures) == 0 {
		return info, nil
	}
	r, closeFile, err := pcaps.Open(s.Captures[0], pcaps.ReaderConfig{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Captures[0], err)
	}
	defer closeFile() // only read from
	first := pcaps.Stamp(math.MinInt64)
	for {
		record, err := r.Next()
		if err != nil {
			break // Capture tells of it
		}
		switch {
		case record.Section != nil && info.run == nil:
			if run, ok := pcaps.ParseRunInfo(record.Section); ok {
				info.run = &run
			}
		case record.Packet != nil:
			if first == math.MinInt64 {
				first = record.Packet.Time
			}
			info.end = max(info.end, record.Packet.Time)
		case record.Statistics != nil && record.Statistics.Fields&pcaps.FieldStartTime != 0 && info.run != nil:
			info.epoch = record.Statistics.StartTime
			info.end = max(info.end, record.Statistics.EndTime)
		}
	}
	if info.epoch == math.MinInt64 && info.run != nil && first >= pcaps.VirtualEpoch && first < pcaps.VirtualEpoch+farFuture {
		info.epoch = pcaps.VirtualEpoch // a recording that was cut
	}
	if info.epoch == math.MinInt64 {
		info.epoch = max(first, 0)
	}
	return info, nil
}

// farFuture is longer than any run in virtual time.
const farFuture = pcaps.Stamp(300 * 24 * 3600 * 1e9)

// scenarioOf reads the scenario that a capture carries.
func (b *Builder) scenarioOf(info *captureInfo) *scenarios.Scenario {
	if info.run == nil || len(info.run.Texts) == 0 {
		b.missing("the capture does not carry its scenario: verdict, expectations and findings")
		return nil
	}
	text := info.run.Texts[0]
	b.head.Scenario = text.Text
	sc, err := scenarios.Load(text.Name, []byte(text.Text))
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		b.missing("the scenario in the capture cannot be read by this version (%s): verdict, expectations and findings", first)
		return nil
	}
	return sc
}

func versions(info *captureInfo) []Named {
	all := []Named{}
	if info.run == nil {
		return all
	}
	all = append(all, Named{"hilnet", info.run.Version})
	for _, v := range info.run.Versions {
		all = append(all, Named{v.Name, v.Version})
	}
	return all
}

// lanes makes a lane of each device that has a capture, or, without a scenario,
// of each capture.
func (b *Builder) lanes(sc *scenarios.Scenario, captures []string) {
	b.head.Lanes = []Lane{}
	switch {
	case sc == nil && len(captures) == 1:
		b.head.Lanes = append(b.head.Lanes, Lane{Device: "client", Link: "network", Peer: "server"})
	case sc == nil:
		for _, c := range captures {
			name := filepath.Base(run(c))
			if b.lane(name) < 0 {
				b.head.Lanes = append(b.head.Lanes, Lane{Device: name, Link: "network", Peer: "peer"})
			}
		}
	default:
		for i := range sc.Devices {
			d := &sc.Devices[i]
			lane := Lane{Device: d.Name, Link: "link", Peer: "broker", Total: int(d.Pool.Packets)}
			for k := range sc.Links {
				if sc.Links[k].Device == d.Name {
					lane.Link = sc.Links[k].Name
				}
			}
			b.head.Lanes = append(b.head.Lanes, lane)
			if _, taken := b.clients[d.MQTT.ClientID]; !taken && i < MaxLanes {
				b.clients[d.MQTT.ClientID] = i
			}
		}
	}
	if n := len(b.head.Lanes); n > MaxLanes {
		b.missing("%d of %d devices: the page shows the first %d", n-MaxLanes, n, MaxLanes)
		b.head.Lanes = b.head.Lanes[:MaxLanes]
	}
}

// readCaptures reads the captures, those of devices first.
func (b *Builder) readCaptures(s *Source, info *captureInfo) error {
	type file struct {
		path  string
		lane  int
		point Point
	}
	var files []file
	skipped := 0
	for _, c := range s.Captures {
		f := file{path: c, lane: 0, point: PointOther}
		name, _ := strings.CutSuffix(filepath.Base(c), filepath.Ext(c))
		if info.run != nil {
			if rest, ok := strings.CutSuffix(name, "."+string(PointDevice)); ok {
				name, f.point = rest, PointDevice
			} else if rest, ok := strings.CutSuffix(name, "."+string(PointPeer)); ok {
				name, f.point = rest, PointPeer
			}
		}
		if strings.HasSuffix(name, ".broker") && info.run != nil {
			f.lane, f.point = b.brokerLane(), PointPeer
		} else if len(b.head.Lanes) > 1 {
			f.lane = slices.IndexFunc(b.head.Lanes, func(l Lane) bool { return name == l.Device || strings.HasSuffix(name, "."+l.Device) })
		}
		if f.lane < 0 {
			skipped++
			continue
		}
		files = append(files, f)
	}
	if skipped > 0 {
		b.missing("%d captures of devices that the page does not show", skipped)
	}
	slices.SortStableFunc(files, func(a, b file) int { return cmp.Compare(a.point, b.point) }) // device, other, peer
	for _, f := range files {
		err := b.Capture(f.path, f.lane, f.point, info.epoch)
		var cut *pcaps.TruncatedError
		var bad *pcaps.FormatError
		switch {
		case errors.As(err, &cut), errors.As(err, &bad):
			b.missing("%s, behind what could be read: %v", filepath.Base(f.path), err)
		case err != nil:
			return err
		}
	}
	return nil
}

// brokerLane is that of the capture at the broker's port, where all devices pass.
func (b *Builder) brokerLane() int {
	const all = "all devices"
	if i := b.lane(all); i >= 0 {
		return i
	}
	b.head.Lanes = append(b.head.Lanes, Lane{Device: all, Link: "network", Peer: "broker"})
	return len(b.head.Lanes) - 1
}

// readTrace reads the trace and, without a result, judges it again.
func (b *Builder) readTrace(s *Source, sc *scenarios.Scenario, info *captureInfo) error {
	if s.Run != nil {
		b.head.Run, b.head.Judged = *s.Run, s.Run.Outcome != nil
	} else {
		b.head.Run = report.Run{Scenario: filepath.Base(b.nameOf(s)), Verdict: emu.Interrupted}
		if info.run != nil {
			b.head.Run.Seed = info.run.Seed
		} else {
			b.head.Foreign = true
		}
	}
	if s.Trace == "" {
		b.missing("the trace, NAME.trace.jsonl beside the captures: what applications, pools, brokers and the timeline did; verdict, expectations, findings, latency; drops inside the devices")
		return nil
	}
	f, err := os.Open(s.Trace)
	if err != nil {
		return fmt.Errorf("page: %w", err)
	}
	defer f.Close() // only read from
	r, err := trace.NewReader(f)
	if err != nil {
		return fmt.Errorf("page: %s: %w", filepath.Base(s.Trace), err)
	}
	b.traced = true
	b.dropCurves()
	if s.Run != nil || sc == nil {
		for {
			e, err := r.Read()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					b.missing("the trace behind what could be read: %v", err)
				}
				return nil
			}
			b.Event(&e)
		}
	}
	result, err := emu.Judge(sc, r, b.Event)
	if result == nil {
		return fmt.Errorf("page: %s: %w", filepath.Base(s.Trace), err)
	}
	if err != nil {
		b.missing("the trace behind what could be read: %v", err)
	}
	b.head.Run, b.head.Judged = report.NewRun(result, result.Source), true
	return nil
}

func (b *Builder) nameOf(s *Source) string {
	if len(s.Captures) > 0 {
		return run(s.Captures[0])
	}
	return "run"
}

// dropCurves forgets what was counted by captures, which the trace counts better.
func (b *Builder) dropCurves() {
	b.pending, b.count = map[messageID]bool{}, map[int]int{}
	b.series = slices.DeleteFunc(b.series, func(c *curve) bool {
		drop := strings.HasSuffix(c.name, "/mqtt")
		if drop {
			delete(b.byName, c.name)
		}
		return drop
	})
}

// readSamples reads the levels.
func (b *Builder) readSamples(s *Source) {
	const lost = "levels of pools and queues between their extremes: emu run --report writes them, in NAME.samples.jsonl beside the trace"
	if s.Samples == "" {
		b.missing("%s", lost)
		return
	}
	f, err := os.Open(s.Samples)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			b.missing("%s: %v", filepath.Base(s.Samples), err)
		} else {
			b.missing("%s", lost)
		}
		return
	}
	defer f.Close() // only read from
	r, err := trace.NewReader(f)
	for err == nil {
		var e trace.Event
		if e, err = r.Read(); err == nil && e.Kind == trace.KindSample {
			b.Sample(&e)
		}
	}
	if !errors.Is(err, io.EOF) {
		b.missing("%s: %v", filepath.Base(s.Samples), err)
	}
}
