package scenarios

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// run fills in the scenario and checks it. Later checks rely on what earlier
// ones have found to be in order.
func (c *checker) run() {
	c.ranges(reflect.ValueOf(c.s).Elem(), "")
	if len(c.errs) > 0 {
		return
	}
	c.expand()
	if len(c.errs) > 0 {
		return
	}
	c.groups()
	c.s.fill()
	c.general()
	c.names()
	c.dropFrames()
	c.broker()
	c.brokerTLS()
	for i := range c.s.Devices {
		c.device(index("devices", i), &c.s.Devices[i])
	}
	c.addresses()
	c.addresses6()
	c.services()
	c.realNames()
	c.links()
	if len(c.errs) > 0 {
		return
	}
	for i := range c.s.Links {
		for j := range c.s.Links[i].Match {
			c.match(index(index("links", i)+".match", j), &c.s.Links[i].Match[j], c.released(c.s.Links[i].Name))
		}
	}
	for i := range c.s.Timeline {
		c.action(index("timeline", i), &c.s.Timeline[i])
	}
	c.labels()
	c.overlaps()
	for i := range c.s.Expect {
		c.expectation(index("expect", i)+".that", c.s.Expect[i].That)
	}
	if len(c.errs) == 0 {
		c.dropUnnamed()
	}
}

// MaxCaptured bounds the devices that have captures of their own: files that are
// open at a time.
const MaxCaptured = 1000

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

const nameHint = "use lower-case letters, digits and hyphens"

// dropFrames sees that the frames to drop have numbers.
func (c *checker) dropFrames() {
	for i := range c.s.Links {
		l := &c.s.Links[i]
		for _, way := range []struct {
			key    string
			frames []uint64
		}{{"up", l.Up.DropFrames}, {"down", l.Down.DropFrames}} {
			if k := slices.Index(way.frames, 0); k >= 0 {
				path := index(join(join(index("links", i), way.key), "drop_frames"), k)
				c.fail(path, hint("write 1 for the first frame", "there is no frame 0: they are counted from 1"))
			}
			seen := make(map[uint64]bool, len(way.frames))
			for k, n := range way.frames {
				if seen[n] {
					path := index(join(join(index("links", i), way.key), "drop_frames"), k)
					c.fail(path, hint("remove one of them", "frame %d stands here twice", n))
				}
				seen[n] = true
			}
		}
	}
}

func (c *checker) general() {
	s := c.s
	if !namePattern.MatchString(s.Name) {
		c.failf("name", nameHint, "%q is not a name", s.Name)
	}
	if n := s.Network; n.IsValid() {
		switch {
		case !n.Addr().Is4() || n.Bits() < 8 || n.Bits() > 30:
			c.failf("network", "write a network such as 10.0.0.0/24, with a prefix length from 8 to 30", "%s is not a network for a broker and devices", n)
		case n != n.Masked():
			c.failf("network", "write "+n.Masked().String(), "%s is an address in a network, not a network", n)
		case s.Broker.Kind == BrokerTap:
			c.failf("network", "remove it, and set broker.tap.address", "with a real broker the TAP's address says what the network is")
		case !n.Contains(s.Broker.Address.Addr()):
			c.failf("broker.address", "choose one in the network, or remove it", "%s is not in the network %s", s.Broker.Address.Addr(), n)
		}
	}
	if s.Speed != 1 && s.Clock != Real {
		c.failf("speed", "add clock: real, or remove speed", "virtual time has no speed: it is as fast as the machine allows")
	}
	for i, p := range s.Capture {
		if slices.Contains(s.Capture[:i], p) {
			c.failf(index("capture", i), "remove one of them", "the capture point %s stands here twice", p)
		}
		if p != PointBroker && !s.Broker.Kind.AtEdge() && len(s.Devices) > MaxCaptured {
			c.failf(index("capture", i), "write capture: [broker], one file for all", "%d devices would have a capture each, which is more than %d files", len(s.Devices), MaxCaptured)
		}
	}
}

// names checks that devices and links have different names and belong together.
func (c *checker) names() {
	taken := map[string]string{"broker": "the broker"}
	take := func(path, name, what string) {
		switch other, found := taken[name]; {
		case !namePattern.MatchString(name):
			c.failf(path, nameHint, "%q is not a name", name)
		case found:
			c.failf(path, "give each its own name", "the name %q is taken by %s", name, other)
		default:
			taken[name] = what
		}
	}
	var devices []string
	for i, d := range c.s.Devices {
		take(index("devices", i)+".name", d.Name, index("devices", i))
		devices = append(devices, d.Name)
	}
	linked, known := map[string]string{}, c.s.deviceSet()
	for i, l := range c.s.Links {
		path := index("links", i)
		if l.Device == "" {
			c.failf(path, "add device: and one of: "+some(devices), "with several devices a link must say to which it belongs")
			continue
		}
		take(path+".name", l.Name, path)
		if !known[l.Device] {
			c.failf(path+".device", didYouMean(l.Device, devices), "no device is called %q", l.Device)
		} else if other, found := linked[l.Device]; found {
			c.failf(path+".device", "a device has one link", "the device %s has the link %s already", l.Device, other)
		}
		linked[l.Device] = l.Name
	}
}

var interfacePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func (c *checker) broker() {
	b := &c.s.Broker
	for i, u := range b.Users {
		path := index("broker.users", i)
		if b.Kind.Real() {
			c.failf("broker.users", "tell the real broker, as mosquitto_passwd does", "hilnet cannot give a real broker users")
			break
		}
		if b.Kind == BrokerCapture {
			c.failf("broker.users", "remove it", "a recorded broker has answered already, whoever asks")
			break
		}
		for _, f := range slices.Concat(u.Publish, u.Subscribe) {
			c.topicFilter(path, f)
		}
		if slices.ContainsFunc(b.Users[:i], func(other User) bool { return other.Name == u.Name }) {
			c.failf(path+".name", "remove one of them", "the user %q stands here twice", u.Name)
		}
	}
	if b.Kind != BrokerModel {
		var standard Broker
		setDefaults(valueOf(&standard))
		for _, k := range []struct {
			key string
			set bool
		}{
			{"state", b.State != ""}, {"keep_state", b.KeepState},
			{"limits", b.Limits != standard.Limits},
		} {
			if k.set {
				c.failf("broker."+k.key, "remove it", "a broker of kind %s has no %s that hilnet could set", b.Kind, k.key)
			}
		}
	}
	c.recording()
	c.peer()
}

// recording checks a peer of kind capture. Its file is read when the run is made.
func (c *checker) recording() {
	b := &c.s.Broker
	switch {
	case b.Kind != BrokerCapture:
		if b.Capture != nil {
			c.failf("broker.capture", "add kind: capture, or remove capture", "a broker of kind %s has no recording", b.Kind)
		}
		return
	case b.Capture == nil:
		c.failf("broker.kind", "add capture: {file: recording.pcapng}", "a broker of kind capture needs a recording")
		return
	case len(c.s.Devices) > 1:
		c.failf("broker.kind", "keep one device", "a recorded broker answers one device, and there are %d", len(c.s.Devices))
	}
	if b.Capture.Device[0]&1 != 0 {
		c.failf("broker.capture.device", "the second digit must be even", "%s is a group address", b.Capture.Device)
	}
	if b.Capture.Start >= c.s.Duration {
		c.failf("broker.capture.start", "make the run longer, or let it begin earlier", "the recording begins at %s, and the run ends at %s", b.Capture.Start, c.s.Duration)
	}
}

func (c *checker) device(path string, d *Device) {
	if d.MAC[0]&1 != 0 {
		c.failf(path+".mac", "the second digit must be even", "%s is a group address", d.MAC)
	}
	c.start(path, d)
	if !d.Model() {
		c.real(path, d)
		return
	}
	c.modelOnly(path, d)
	if d.Pool.Packets > 0 && d.Pool.Memory > 0 {
		c.failf(path+".pool", "remove one of them", "a pool has either packets or memory")
	}
	if d.Pool.Memory > 0 && d.Pool.Memory < 2*d.Pool.Payload {
		c.failf(path+".pool.memory", "give it more memory or a smaller payload", "%s holds not even two packets of %s", d.Pool.Memory, d.Pool.Payload)
	}
	c.quirks(path+".quirks", d)
	m := &d.MQTT
	if m.Keepalive.Std()%time.Second != 0 {
		c.failf(path+".mqtt.keepalive", "MQTT knows whole seconds only", "keepalive %s is not a whole number of seconds", m.Keepalive)
	}
	if m.Will != nil {
		c.topicName(path+".mqtt.will.topic", m.Will.Topic)
	}
	if !d.Quirks.Fixed() {
		const advice = "NetX's client keeps nothing: remove it, or write quirks: none"
		if m.OfflineQueue > 0 {
			c.failf(path+".mqtt.offline_queue", advice, "an offline queue for a client with quirks")
		}
		if m.Persist {
			c.failf(path+".mqtt.persist", advice, "a kept session for a client with quirks")
		}
	}
	if b := d.Backoff; b != nil {
		switch {
		case d.Reconnect == 0:
			c.failf(path+".backoff", "add reconnect: with the first pause", "a back-off without reconnect")
		case b.Max < Duration(d.Reconnect):
			c.failf(path+".backoff.max", "make it longer, or reconnect shorter", "the longest pause, %s, is shorter than the first, %s", b.Max, Duration(d.Reconnect))
		}
	}
	switch {
	case d.App != "" && len(d.Steps) > 0:
		c.failf(path+".app", "remove one of them", "a device has either steps or an app")
	case d.App == "" && len(d.Steps) == 0:
		c.failf(path, "add steps: or app:", "the device %s does nothing", d.Name)
	case d.App != "" && d.Reconnect > 0:
		c.failf(path+".reconnect", "connect again in the app", "reconnect is what steps do when a connection ends; an app decides for itself")
	case d.App != "" && !interfacePattern.MatchString(d.App):
		c.failf(path+".app", "use letters, digits, hyphens and dots", "%q is not the name of an app", d.App)
	}
	c.steps(path+".steps", d.Steps)
}

// some lists names for a person: of a fleet's, the first ones.
func some(names []string) string {
	const most = 10
	if more := len(names) - most; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

func linkNames(s *Scenario) []string {
	all := make([]string, len(s.Links))
	for i, l := range s.Links {
		all[i] = l.Name
	}
	return all
}

func deviceNames(s *Scenario) []string {
	all := make([]string, len(s.Devices))
	for i, d := range s.Devices {
		all[i] = d.Name
	}
	return all
}
