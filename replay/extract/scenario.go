package extract

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/scenarios"
	"hilnet/wire"
)

// tick is the clock tick of a model device.
const tick = 10 * time.Millisecond

// ErrNoSession is a capture that does not show what the device's application does.
var ErrNoSession = errors.New("extract: the capture shows no MQTT session of the device that can be read, so there is no scenario to make of it")

// ErrTooMuch is a capture of more than a scenario holds.
var ErrTooMuch = fmt.Errorf("extract: the device does more than %d things, connects more than %d times, or loses more than %d frames: cut the capture to a part of it", maxActs, maxConns, maxEffects)

// maxEffects bounds the single frames that a scenario's link does something to.
const maxEffects = 2000

// A Plan says how to make a scenario.
type Plan struct {
	// Recorded makes the recording itself the broker; otherwise hilnet's broker
	// does what the recorded one did.
	Recorded bool
	// Recording is the path of the capture from the scenario's folder, with Recorded.
	Recording string
	Capture   string // the same from anywhere
	// Chance lets the link lose frames by the fitted model; otherwise it loses those
	// that the capture shows.
	Chance bool
}

// A Making is a scenario in the making.
type Making struct {
	c       *Conditions
	plan    Plan
	session *session
	print   Fingerprint
	name    string
	address [2]netip.Prefix // of the device and the broker; not valid: the defaults
	mac     wire.MAC
	effects []effect
	hidden  hidden
	guessed *guess // what came of looking for it, nil: nobody has looked
}

// An effect is what the link does to a single frame.
type effect struct {
	way     way
	number  uint64 // at the entrance of the link, 0: not known yet
	counted uint64 // the same in the capture, 0: nobody saw the frame
	do      string // drop, delay, duplicate
	by      time.Duration
	what    identity
	at      time.Duration
	words   string
}

// Make begins a scenario that does to the device what the link did.
func (c *Conditions) Make(plan Plan) (*Making, error) {
	t := &tap{k: c.device, device: c.Device}
	if c.Place == atPeer {
		t.up, t.down = int64(c.RTT.Min/2), int64(c.RTT.Min/2)
	}
	m := &Making{c: c, plan: plan, session: sessionOf(t), print: fingerprint(c.device), name: scenarioName(c.base()[0])}
	if s := m.session; !s.broker.IsValid() || len(s.acts) == 0 || s.version == 0 && s.spoken() {
		return nil, t.noSession()
	} else if plan.Recorded && s.secure() != nil {
		return nil, ErrSecureRecording
	}
	const mostComes = 1500
	if s := m.session; len(s.acts) > maxActs || len(s.comes) > maxComes || len(s.conns) > maxConns || len(s.comes) > mostComes {
		return nil, ErrTooMuch
	}
	m.network()
	if !plan.Chance && !plan.Recorded {
		if m.effects = c.effects(); len(m.effects) > maxEffects {
			return nil, ErrTooMuch
		}
	}
	return m, nil
}

// scenarioName makes a name of a file's.
func scenarioName(file string) string {
	base := strings.ToLower(strings.TrimSuffix(file, filepath.Ext(file)))
	var b strings.Builder
	for _, r := range base {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	const longest = 40
	name := strings.Trim(b.String()[:min(b.Len(), longest)], "-")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = strings.TrimSuffix("field-"+name, "-")
	}
	return name
}

// network takes the recorded addresses, where they are in one network.
func (m *Making) network() {
	d, b := m.c.Device, m.session.broker.Addr()
	if !d.Is4() || !b.Is4() || d == b {
		return
	}
	const shortest = 8
	for bits := 30; bits >= shortest; bits-- {
		p := netip.PrefixFrom(d, bits)
		x, y := d.As4(), b.As4()
		if bits <= 24 || bits == 30 { // a usual length
			if p.Masked().Contains(b) && !edge(x, bits) && !edge(y, bits) && bits <= 24 {
				m.address = [2]netip.Prefix{p, netip.PrefixFrom(b, bits)}
				break
			}
		}
	}
	for i := range m.c.device.packets {
		if p := &m.c.device.packets[i]; p.src == d && p.hasMAC {
			m.mac = p.srcMAC
			break
		}
	}
	for i := range m.c.device.packets { // everybody behind a router has one
		if p := &m.c.device.packets[i]; p.hasMAC && p.src.IsValid() && p.src != d && p.srcMAC == m.mac && !p.src.IsUnspecified() {
			m.mac = wire.MAC{}
		}
	}
}

// edge reports whether an address is the first or last of its network, which no
// host has.
func edge(a [4]byte, bits int) bool {
	v := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	host := v & (1<<(32-bits) - 1)
	return host == 0 || host == 1<<(32-bits)-1
}

// quote writes a text as YAML reads it.
func quote(s string) string {
	b, err := json.Marshal(strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		panic(fmt.Sprintf("extract: quote: %v", err)) // no string fails
	}
	return strings.ReplaceAll(string(b), "${", "$${")
}

// Text is the scenario's file.
func (m *Making) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	s := m.session
	line("version: %d\nname: %s\nabout: |", scenarios.Version, m.name)
	for _, l := range m.about() {
		line("  %s", l)
	}
	line("duration: %s", span(m.duration()))
	line("devices:\n  - name: device\n    profile: %s", m.print.Profile)
	if m.plan.Recorded && m.mac != (wire.MAC{}) && !m.mac.IsMulticast() {
		line("    mac: %s", scenarios.MAC(m.mac))
	}
	if m.address[0].IsValid() {
		line("    address: %s", m.address[0])
	}
	const leastMTU, mostMTU, usualMTU = 576, 9000, 1500
	if m.print.mtu >= leastMTU && m.print.mtu <= mostMTU && m.print.mtu != usualMTU {
		line("    mtu: %d", m.print.mtu)
	}
	line("    pool: %s", m.pool())
	if s.qos2 || m.print.Profile == "linux" {
		line("    quirks: none")
	}
	m.client(line)
	if s.pause > 0 {
		line("    reconnect: %s", span(max(s.pause, tick)))
	}
	line("    steps:")
	for _, l := range m.steps() {
		line("      %s", l)
	}
	m.link(line)
	m.broker(line)
	m.timeline(line)
	m.expect(line)
	return b.String()
}

// duration is how long was captured. Where nothing says so, there is time for what
// follows the last frame.
func (m *Making) duration() time.Duration {
	rest := 2 * time.Second
	if k := m.c.device; k.endKnown {
		rest = max(0, k.end.Sub(k.start)-m.c.Duration)
	}
	return (m.hidden.wait + m.c.Duration + rest).Round(100 * time.Millisecond)
}

// span writes a duration that a scenario reads.
func span(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	if d%time.Millisecond == 0 {
		return fmt.Sprintf("%dms", d/time.Millisecond)
	}
	return fmt.Sprintf("%dus", d.Round(time.Microsecond)/time.Microsecond)
}

// client writes the MQTT client.
func (m *Making) client(line func(string, ...any)) {
	s := m.session
	line("    mqtt:")
	if s.clientID != "" {
		line("      client_id: %s", quote(s.clientID))
	}
	line("      keepalive: %ds", s.keepalive)
	if s.secure() != nil {
		line("      tls: {%s}", m.secureKeys())
	}
	if s.version != 0 && !s.clean {
		line("      clean_session: false")
	}
	if s.wait > 0 {
		line("      wait: %s", span(s.wait.Round(tick)))
	}
	if s.hasUser {
		line("      login: {user: %s, password: %s} # the password only has the length of the real one", quote(s.user), quote(strings.Repeat("x", s.password)))
	}
	if w := s.will; w != nil {
		line("      will: {topic: %s, message: %s, qos: %d, retain: %v}", quote(w.topic), quote(strings.Repeat("x", w.message)), w.qos, w.retain)
	}
}

// link writes the link.
func (m *Making) link(line func(string, ...any)) {
	line("links:\n  - name: link\n    device: device")
	if m.plan.Recorded {
		return // what the recorded peer sent has passed it
	}
	for _, w := range ways {
		v := m.c.of(w)
		line("    %s:", w)
		line("      delay: %s", span(max(0, v.Propagation).Round(time.Microsecond)))
		if v.Rate > 0 {
			line("      rate: %dbit", v.Rate)
		}
		if v.Rate > 0 && m.plan.Chance && v.Queue > 0 {
			line("      queue: {bytes: %dB}", max(v.Queue, 1514))
		}
		if m.plan.Chance {
			m.chance(line, v.Model)
			continue
		}
		var drops []effect
		for _, e := range m.effects {
			if e.way == w && e.do == "drop" && e.number > 0 {
				drops = append(drops, e)
			}
		}
		slices.SortFunc(drops, func(a, b effect) int { return int(int64(a.number) - int64(b.number)) })
		if len(drops) > 0 {
			line("      drop_frames:")
		}
		for _, e := range drops {
			line("        - %d # %s", e.number, e.words)
		}
	}
	first := true
	for _, e := range m.effects {
		if e.do == "drop" || e.number == 0 {
			continue
		}
		if first {
			line("    match:")
			first = false
		}
		by := ""
		if e.do == "delay" {
			by = ", by: " + span(e.by)
		}
		line("      - {do: %s, frame: %d, direction: %s%s} # %s", e.do, e.number, e.way, by, e.words)
	}
}

// chance writes the fitted loss model.
func (m *Making) chance(line func(string, ...any), f Model) {
	percent := func(p float64) string { return fmt.Sprintf("%.4g%%", 100*p) }
	switch f.Name {
	case "independent":
		line("      loss: %s", percent(f.Share))
	case "gilbert-elliott":
		line("      loss: {model: gilbert-elliott, to_bad: %s, to_good: %s}", percent(f.ToBad), percent(f.ToGood))
	}
}

// broker writes the broker.
func (m *Making) broker(line func(string, ...any)) {
	line("broker:")
	if m.plan.Recorded {
		start := ""
		if at := m.hidden.wait + m.hidden.late; at > 0 {
			start = ", start: " + span(at)
		}
		line("  kind: capture\n  capture: {file: %s%s}", quote(m.plan.Recording), start)
	} else {
		line("  kind: model")
	}
	if m.session.secure() != nil {
		line("  tls: {%s}", m.brokerKeys())
	}
	if m.address[1].IsValid() {
		line("  address: %s", m.address[1])
	}
	const usualPort = 1883
	if p := m.session.broker.Port(); p != usualPort {
		line("  port: %d", p)
	}
}

// timeline writes what the link and the broker did at their times.
func (m *Making) timeline(line func(string, ...any)) {
	if m.plan.Recorded {
		return
	}
	var all []string
	for _, o := range m.c.Outages {
		way := ""
		if o.Dir != "both" {
			way = ", direction: " + o.Dir
		}
		for_ := ", for: " + span((o.End - o.Start).Round(time.Millisecond))
		if o.NeverPassed {
			for_ = ""
		}
		all = append(all, fmt.Sprintf("{at: %s, do: blackhole%s%s}", span(o.Start.Round(time.Millisecond)), for_, way))
	}
	s := m.session
	for _, a := range s.crash {
		for_ := ""
		if a.to > a.from {
			for_ = ", for: " + span(max(tick, time.Duration(a.to-a.from)-tick).Round(time.Millisecond))
		}
		from := max(0, time.Duration(a.from)-time.Millisecond).Round(time.Millisecond)
		all = append(all, fmt.Sprintf("{at: %s, do: broker_crash%s}", span(from), for_))
	}
	for _, r := range s.refuse {
		from := max(0, time.Duration(r.at)-tick).Round(time.Millisecond)
		all = append(all, fmt.Sprintf("{at: %s, do: broker_refuse, code: %d, for: 1s}", span(from), r.code))
	}
	down := m.c.Down.Propagation
	if m.c.Place == atPeer {
		down = 0
	}
	for _, c := range s.comes {
		size := ""
		if c.size > 0 {
			size = fmt.Sprintf(", size: %dB", c.size)
		}
		at := max(0, time.Duration(c.at)-down).Round(time.Millisecond)
		all = append(all, fmt.Sprintf("{at: %s, do: broker_publish, topic: %s%s, qos: %d, retain: %v}", span(at), quote(c.topic), size, c.qos, c.retain))
	}
	if len(all) > 0 {
		line("timeline:")
	}
	for _, l := range all {
		line("  - %s", l)
	}
}

// expect writes what a healthy session would be.
func (m *Making) expect(line func(string, ...any)) {
	s := m.session
	line("expect: # of a healthy device on this link: what it was like in the field is in about")
	if s.sent > 0 && !m.plan.Recorded {
		line("  - text: every message arrives\n    that: delivered == published")
		if slices.ContainsFunc(s.acts, func(a act) bool { return a.what == codec.PUBLISH && a.pub.qos > 0 }) {
			line("  - text: every message that asks for it is acknowledged\n    that: lost == 0")
		}
	}
	line("  - text: the session lasts until the application ends it\n    that: connects == %d and disconnects == %d", s.opens, s.closes)
	line("  - conservation_errors == 0")
}
