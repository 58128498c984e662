package scenarios

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// MaxDevices bounds the devices of a scenario, those that count stands for
// included: fewer than the broker takes and a switch learns.
const MaxDevices = 16_000

// numberMark becomes the number of a device in its entry.
const numberMark = "{i}"

// origin tells which entry of the file each device and link came from, where
// that is not the one with its own number.
type origin struct {
	devices, links []int
	entries        []string // the name of the entry of each device
}

// path returns the path in the file of the value that has a path here.
func (o *origin) path(path string) string {
	for _, l := range []struct {
		list string
		from []int
	}{{"devices[", o.devices}, {"links[", o.links}} {
		rest, ok := strings.CutPrefix(path, l.list)
		if !ok || l.from == nil {
			continue
		}
		number, tail, _ := strings.Cut(rest, "]")
		if n, err := strconv.Atoi(number); err == nil && n < len(l.from) {
			return l.list + strconv.Itoa(l.from[n]) + "]" + tail
		}
	}
	return path
}

// expand replaces each entry of devices by the devices that it stands for, and
// each link of such an entry by theirs.
func (c *checker) expand() {
	s := c.s
	total := 0
	for i := range s.Devices {
		d := &s.Devices[i]
		total += d.Count
		c.template(index("devices", i), d)
	}
	if total > MaxDevices {
		c.failf("devices", "make them fewer", "%d devices are more than %d", total, MaxDevices)
	}
	if len(c.errs) > 0 {
		return
	}
	entries := s.Devices
	s.Devices = nil
	from, changed, names := []int{}, false, []string{}
	first := make([]int, len(entries)) // the first device of each entry
	for n := range entries {
		first[n] = len(s.Devices)
		for i := range entries[n].Count {
			s.Devices = append(s.Devices, entries[n].number(i))
			from, names = append(from, n), append(names, plainName(entries[n].Name))
		}
		changed = changed || entries[n].Count > 1
	}
	s.number()
	if s.origin.entries == nil {
		s.origin.entries = names
		if names[0] == "" {
			for i := 0; i < len(names) && from[i] == 0; i++ {
				names[i] = defaultDevice
			}
		}
	}
	if !changed {
		return
	}
	s.origin.devices = compose(from, s.origin.devices)
	c.expandLinks(entries, first)
}

// compose returns where what came from an entry came from originally.
func compose(from, before []int) []int {
	if before == nil {
		return from
	}
	for i, n := range from {
		if n < len(before) {
			from[i] = before[n]
		}
	}
	return from
}

// number gives a name to devices that have none.
func (s *Scenario) number() {
	for i := range s.Devices {
		if d := &s.Devices[i]; d.Name == "" {
			d.Name = defaultDevice
			if i > 0 {
				d.Name = fmt.Sprintf("%s-%d", defaultDevice, i+1)
			}
		}
	}
}

// template checks an entry that stands for several devices.
func (c *checker) template(path string, d *Device) {
	if d.Count < 2 {
		return
	}
	if id := d.MQTT.ClientID; id != "" && !strings.Contains(id, numberMark) {
		c.failf(path+".mqtt.client_id", "write "+id+"-"+numberMark+", or leave it out",
			"%d devices with one client identifier would push each other out of the broker", d.Count)
	}
	c.template6(path, d)
	if d.Address.IsValid() && d.Address.Addr().Is4() && !d.Address.Contains(after4(d.Address.Addr(), d.Count-1)) {
		c.failf(path+".address", "choose a larger network, or an earlier address", "%d devices from %s on do not fit into %s", d.Count, d.Address.Addr(), d.Address.Masked())
	}
}

// number returns the device number i, from 0, that an entry stands for.
func (d *Device) number(i int) Device {
	if d.Count == 1 && !mentions(reflect.ValueOf(d).Elem()) {
		return *d
	}
	one := clone(reflect.ValueOf(*d)).Interface().(Device)
	one.Count = 1
	if d.Count > 1 && one.Name != "" && !strings.Contains(one.Name, numberMark) {
		one.Name += "-" + numberMark
	}
	substitute(reflect.ValueOf(&one).Elem(), strconv.Itoa(i+1))
	if one.MAC != (MAC{}) {
		one.MAC = one.MAC.after(i)
	}
	if one.Address.IsValid() {
		one.Address.Prefix = netip.PrefixFrom(after4(one.Address.Addr(), i), one.Address.Bits())
	}
	if p := one.Address6.Prefix; p.IsValid() {
		one.Address6.Prefix = netip.PrefixFrom(after6(p.Addr(), i), p.Bits())
	}
	return one
}

var stringType = reflect.TypeFor[string]()

// mentions reports whether a text below v holds the mark of a number.
func mentions(v reflect.Value) bool {
	found := false
	texts(v, func(s reflect.Value) { found = found || strings.Contains(s.String(), numberMark) })
	return found
}

// substitute writes a number into the texts below v.
func substitute(v reflect.Value, number string) {
	texts(v, func(s reflect.Value) { s.SetString(strings.ReplaceAll(s.String(), numberMark, number)) })
}

// texts calls fn for each text below v.
func texts(v reflect.Value, fn func(reflect.Value)) {
	switch {
	case v.Type() == stringType:
		fn(v)
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			texts(v.Elem(), fn)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			texts(v.Index(i), fn)
		}
	case v.Kind() == reflect.Struct && !isScalar(v.Type()):
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				texts(v.Field(i), fn)
			}
		}
	}
}

// after returns the address n behind m, in its last three bytes.
func (m MAC) after(n int) MAC {
	low := (int(m[3])<<16 | int(m[4])<<8 | int(m[5])) + n
	m[3], m[4], m[5] = byte(low>>16), byte(low>>8), byte(low)
	return m
}

// after4 returns the IPv4 address n behind a.
func after4(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// expandLinks gives each device of an entry a link like the one that the entry
// has. A link that names one of the devices counts before it.
func (c *checker) expandLinks(entries []Device, first []int) {
	s := c.s
	own := map[string]bool{}
	known := s.deviceSet()
	for _, l := range s.Links {
		if known[l.Device] {
			own[l.Device] = true
		}
	}
	links := s.Links
	s.Links = nil
	var from []int
	for n := range links {
		l := &links[n]
		e := slices.IndexFunc(entries, func(d Device) bool { return d.Count > 1 && d.Name == l.Device && d.Name != "" })
		if l.Device == "" && len(entries) == 1 {
			e = 0
		}
		if e < 0 || entries[e].Count < 2 || l.Device != "" && own[l.Device] {
			s.Links, from = append(s.Links, *l), append(from, n)
			continue
		}
		for i := range entries[e].Count {
			d := &s.Devices[first[e]+i]
			if own[d.Name] {
				continue
			}
			one := *l
			one.Device = d.Name
			if one.Name != "" && !strings.Contains(one.Name, numberMark) {
				one.Name += "-" + numberMark
			}
			one.Name = strings.ReplaceAll(one.Name, numberMark, strconv.Itoa(i+1))
			s.Links, from = append(s.Links, one), append(from, n)
		}
	}
	s.origin.links = compose(from, s.origin.links)
}
