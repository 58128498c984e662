package scenarios

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"hilnet/link"
)

// Defaults that other values decide about.
const (
	defaultDevice  = "device"
	defaultLink    = "link"
	defaultPackets = 16
	defaultBroker  = "10.0.0.1/24"
)

// NewScenario returns a scenario with every default set and one device, for
// scenarios that are made in Go. Its one device has no steps yet.
func NewScenario(name string) *Scenario {
	s := &Scenario{}
	setDefaults(reflect.ValueOf(s).Elem())
	s.Version, s.Name = Version, name
	s.Devices = []Device{NewDevice()}
	return s
}

// NewDevice returns a device with every default set that does not depend on
// others.
func NewDevice() Device {
	var d Device
	setDefaults(reflect.ValueOf(&d).Elem())
	return d
}

// NewLink returns a link that changes nothing.
func NewLink(name, device string) Link {
	l := Link{Name: name, Device: device}
	setDefaults(reflect.ValueOf(&l).Elem())
	return l
}

// Validate fills in the defaults that depend on other values, such as names and
// addresses, and checks the scenario as Load does. Call it on a scenario that
// was made or changed in Go; calling it again changes nothing. The error is of
// type Errors.
func (s *Scenario) Validate() error {
	if errs := s.complete(); len(errs) > 0 {
		return errs
	}
	return nil
}

// ErrorAt returns an error about the value at a path, such as devices[0].app,
// with its position when the scenario was loaded from a file.
func (s *Scenario) ErrorAt(path, msg, what string) *Error {
	return newError(s.place(path), path, hint(what, "%s", msg))
}

// FilePath returns where to find the file that the value at path names: a
// relative name begins in the folder of the scenario file that holds the value.
func (s *Scenario) FilePath(path, name string) string {
	text := s.place(path).text
	if filepath.IsAbs(name) || text == nil || strings.HasPrefix(text.file, setFile) {
		return name
	}
	return filepath.Join(filepath.Dir(text.file), name)
}

// place returns where the value at path, or the nearest thing around it, was read.
func (s *Scenario) place(path string) place { return s.src.place(s.origin.path(path)) }

// place returns where the value at path stands, or the nearest thing around it.
func (s *source) place(path string) place {
	if s == nil {
		return place{}
	}
	for {
		if p, ok := s.places[path]; ok {
			return p
		}
		// What holds for both ways of a link may stand in the link itself.
		for _, way := range []string{".up.", ".down."} {
			if p, ok := s.places[strings.Replace(path, way, ".", 1)]; ok && strings.HasPrefix(path, "links[") && strings.Contains(path, way) {
				return p
			}
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return s.places[""]
		}
		path = path[:i]
	}
}

func (s *Scenario) complete() Errors {
	c := newChecker(s)
	c.run()
	return c.errs
}

// fill sets what was left out and depends on other values.
func (s *Scenario) fill() {
	s.fillBroker()
	s.fillTLS()
	s.Broker.fillPeer()
	for i := range s.Devices {
		d := &s.Devices[i]
		if d.MAC == (MAC{}) {
			d.MAC = MAC{2, 0, 0, 0, byte((i + 2) >> 8), byte(i + 2)}
		}
		d.fillReal(i)
		if d.Model() && d.Pool.Packets == 0 && d.Pool.Memory == 0 {
			d.Pool.Packets = defaultPackets
		}
		if d.MQTT.ClientID == "" {
			d.MQTT.ClientID = d.Name
		}
	}
	s.fillAddresses()
	s.fillAddresses6()
	s.fillServices()
	s.fillLinks()
	s.fillFleet()
	for i := range s.Timeline {
		s.fillAction(&s.Timeline[i])
	}
	for i := range s.Expect {
		if e := &s.Expect[i]; e.Text == "" {
			e.Text = e.That
		}
	}
}

func (s *Scenario) fillBroker() {
	b := &s.Broker
	if b.Kind == BrokerTap && b.Tap == nil {
		b.Tap = &Tap{}
		setDefaults(reflect.ValueOf(b.Tap).Elem())
	}
	switch {
	case b.Address.IsValid():
	case b.Tap != nil:
		b.Address = b.Tap.Address
	case s.Network.IsValid():
		b.Address = netip.PrefixFrom(after4(s.Network.Masked().Addr(), 1), s.Network.Bits())
	default:
		b.Address = netip.MustParsePrefix(defaultBroker)
	}
}

// fillAddresses gives each device without an address the next one behind the
// broker's or the TAP's that nobody has.
func (s *Scenario) fillAddresses() {
	from := s.Broker.Address
	if s.Broker.Tap != nil && s.Broker.Tap.Address.IsValid() {
		from = s.Broker.Tap.Address
	}
	if !from.Addr().Is4() {
		return // an error that addresses reports
	}
	taken := map[netip.Addr]bool{from.Addr(): true, s.Broker.Address.Addr(): true}
	for i := range s.Devices {
		taken[s.Devices[i].Address.Addr()] = true
	}
	next := from.Addr()
	for i := range s.Devices {
		if d := &s.Devices[i]; !d.Address.IsValid() {
			for taken[next] {
				next = after4(next, 1)
			}
			d.Address.Prefix = netip.PrefixFrom(next, from.Bits())
			taken[next] = true
		}
	}
}

// fillLinks names the links and gives one to each device that has none.
func (s *Scenario) fillLinks() {
	name := func(device string) string {
		if len(s.Devices) == 1 {
			return defaultLink
		}
		return defaultLink + "-" + device
	}
	has, stray, known := map[string]bool{}, false, s.deviceSet()
	for i := range s.Links {
		l := &s.Links[i]
		if l.Device == "" && len(s.Devices) == 1 {
			l.Device = s.Devices[0].Name
		}
		if l.Name == "" && l.Device != "" {
			l.Name = name(l.Device)
		}
		has[l.Device] = true
		stray = stray || !known[l.Device]
	}
	for _, d := range s.Devices {
		if !has[d.Name] && !stray { // a stray link is an error; another one would only hide it
			s.Links = append(s.Links, NewLink(name(d.Name), d.Name))
			has[d.Name] = true
		}
	}
}

// deviceSet returns the names of the devices.
func (s *Scenario) deviceSet() map[string]bool {
	set := make(map[string]bool, len(s.Devices))
	for i := range s.Devices {
		set[s.Devices[i].Name] = true
	}
	return set
}

// fillFleet sets what the number of devices decides.
func (s *Scenario) fillFleet() {
	fleet := len(s.Devices) > MaxShared
	switch {
	case s.Access != "":
	case fleet:
		s.Access = AccessIsolated
	default:
		s.Access = AccessShared
	}
	switch {
	case s.Capture != nil: // an empty list is one
	case fleet:
		s.Capture = []Point{PointBroker}
	default:
		s.Capture = []Point{PointDevice, PointPeer}
	}
}

func (s *Scenario) fillAction(a *Action) {
	if takes, _ := a.Do.takes("link"); takes {
		if a.Link == "" && len(s.Links) == 1 && !a.several() {
			a.Link = s.Links[0].Name
		}
	}
	if a.Way == "" {
		a.Way = Both
	}
	if a.Do == BrokerCrash && a.State == "" {
		a.State = StateKept
	}
	if takes, _ := a.Do.takes("device"); takes && a.Device == "" && !a.several() && len(s.Devices) == 1 {
		a.Device = s.Devices[0].Name
	}
}

// CheckAction fills in what an action left out, as Load does for the timeline,
// and checks it against a complete scenario. The error is of type Errors.
func (s *Scenario) CheckAction(a *Action) error {
	c := newChecker(&Scenario{Devices: s.Devices, Links: s.Links, Broker: s.Broker, Services: s.Services, Duration: s.Duration, Files: s.Files, Timeline: s.Timeline, src: s.src, origin: s.origin})
	s.fillAction(a)
	c.ranges(reflect.ValueOf(a).Elem(), "action")
	if a.Do == AddMatch {
		c.failf("action", "put it into the timeline", "a rule counts from the beginning of connections, so it must be known when the run begins")
	}
	if len(c.errs) == 0 {
		c.group("action", a)
	}
	if len(c.errs) == 0 {
		c.action("action", a)
	}
	if len(c.errs) > 0 {
		return c.errs
	}
	return nil
}

// Device returns the device of that name, or nil.
func (s *Scenario) Device(name string) *Device {
	if i := slices.IndexFunc(s.Devices, func(d Device) bool { return d.Name == name }); i >= 0 {
		return &s.Devices[i]
	}
	return nil
}

// Link returns the link of that name, or nil.
func (s *Scenario) Link(name string) *Link {
	if i := slices.IndexFunc(s.Links, func(l Link) bool { return l.Name == name }); i >= 0 {
		return &s.Links[i]
	}
	return nil
}

// DeviceLink returns the link of a device, or nil.
func (s *Scenario) DeviceLink(device string) *Link {
	if i := slices.IndexFunc(s.Links, func(l Link) bool { return l.Device == device }); i >= 0 {
		return &s.Links[i]
	}
	return nil
}

// Summary returns the first line of About.
func (s *Scenario) Summary() string {
	line, _, _ := strings.Cut(s.About, "\n")
	return line
}

// A checker collects what is wrong with a scenario.
type checker struct {
	s    *Scenario
	errs Errors

	found int // errors, those that are not repeated included

	places map[string]string // where the files are that keys name, by name
	tables map[*Quantile]*link.Distribution

	remembered map[*Action]targets
	byName     map[string]*Link // made when first asked for, of a complete scenario
}

// link returns the link of that name, or nil.
func (c *checker) link(name string) *Link {
	if c.byName == nil {
		c.byName = make(map[string]*Link, len(c.s.Links))
		for i := range c.s.Links {
			c.byName[c.s.Links[i].Name] = &c.s.Links[i]
		}
	}
	return c.byName[name]
}

func newChecker(s *Scenario) *checker {
	return &checker{s: s, places: map[string]string{}, tables: map[*Quantile]*link.Distribution{}}
}

func (c *checker) fail(path string, err error) {
	c.found++
	e := newError(c.s.place(path), path, err)
	// The devices of one entry share its place, and so do both ways of a link: what
	// is wrong there is said once.
	if (c.s.origin.devices != nil || strings.HasPrefix(path, "links[")) && slices.ContainsFunc(c.errs, func(o *Error) bool {
		return e.Line > 0 && o.File == e.File && o.Line == e.Line && o.Column == e.Column
	}) {
		return
	}
	if len(c.errs) < MaxErrors {
		c.errs = append(c.errs, e)
	}
}

func (c *checker) failf(path, what, format string, args ...any) {
	c.fail(path, hint(what, format, args...))
}

// ranges checks enums, min and max of all fields of a struct, for scenarios that
// no decoder has checked.
func (c *checker) ranges(v reflect.Value, path string) {
	switch {
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			c.ranges(v.Elem(), path)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			c.ranges(v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	case v.Type().Implements(enumType) && v.Kind() == reflect.String:
		if err := setText(reflect.New(v.Type()).Elem(), v.String()); err != nil {
			c.fail(path, err)
		}
	case v.Type() == reflect.TypeFor[Percent]():
		if err := v.Interface().(Percent).check(); err != nil {
			c.fail(path, err)
		}
	case v.CanInt() && v.Int() < 0:
		c.fail(path, hint("write 0 or more, without a sign", "a negative value"))
	case v.Kind() == reflect.Struct && !isScalar(v.Type()):
		for _, f := range fieldsOf(v.Type()) {
			c.fieldRange(v.FieldByIndex(f.index), join(path, f.key), &f)
		}
		if a, ok := v.Addr().Interface().(*Action); ok {
			if fv, f, ok := a.value(); ok {
				c.fieldRange(fv, join(path, f.key), &f)
			}
		}
	}
}

func (c *checker) fieldRange(v reflect.Value, path string, f *field) {
	if v.IsZero() && !f.required && f.def == "" {
		return // left out
	}
	before := len(c.errs)
	c.ranges(v, path)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if len(c.errs) == before && (f.min != "" || f.max != "") {
		if err := f.checkRange(v); err != nil {
			c.fail(path, err)
		}
	}
}
