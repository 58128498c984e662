package scenarios

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"hilnet/stack/services"
)

// Services are what the network gives devices before they talk to the broker: a
// host behind the links that has an address of its own.
type Services struct {
	// IPv4 address and prefix length of the host. Default: the last address of the network that the broker, or the TAP, is in.
	Address netip.Prefix `yaml:"address" alt:"10.0.0.200/24"`
	// Addresses by DHCP. Default: none.
	DHCP *DHCPService `yaml:"dhcp"`
	// Addresses of names by DNS. Default: none.
	DNS *DNSService `yaml:"dns"`
	// The time by SNTP. Default: none.
	SNTP *SNTPService `yaml:"sntp"`
}

// DHCPService is a DHCP server. Devices of this file get the address that they
// have by position; whoever else asks gets one of a range.
type DHCPService struct {
	// The first address for clients that are no device of this file. Default: they get none.
	First netip.Addr `yaml:"first" alt:"10.0.0.100"`
	// The last one.
	Last netip.Addr `yaml:"last" alt:"10.0.0.120"`
	// How long an address may be used, in whole seconds. T1 is half of it, T2 seven eighths.
	Lease Duration `yaml:"lease" min:"4s" max:"8760h" default:"1h" alt:"20s"`
	// The gateway that clients are told of. Default: none; the broker's side of the network where the broker is in another one.
	Router netip.Addr `yaml:"router" alt:"10.0.0.7"`
	// The name servers that clients are told of. Default: the services' own, if there is one.
	DNS []netip.Addr `yaml:"dns" max:"5" alt:"[10.0.0.8]"`
	// How long the server takes for an answer.
	Delay Duration `yaml:"delay" max:"1h" default:"0s" alt:"300ms"`
	// What it answers, until the timeline says otherwise. right; off: nobody listens; silent: nothing; nak: it refuses each request; wrong: addresses of another network, 198.51.100.0/24; taken: the broker's address; short: leases of 10 seconds; bare: neither mask, gateway nor name server.
	Answer services.DHCPAnswer `yaml:"answer" default:"right" alt:"nak"`
}

// DNSService is a DNS server. A name that it does not have does not exist.
type DNSService struct {
	// The names that it has.
	Names []DNSName `yaml:"names" max:"1000"`
	// How long the server takes for an answer.
	Delay Duration `yaml:"delay" max:"1h" default:"0s" alt:"300ms"`
	// What it answers, until the timeline says otherwise. right; off: nobody listens, which ICMP says; silent: nothing; nxdomain: no name exists; servfail; refused; empty: the name has no address; wrong: the address 192.0.2.1; truncated: nothing but the advice to ask by TCP; wrong_id: the right answer to another query.
	Answer services.DNSAnswer `yaml:"answer" default:"right" alt:"nxdomain"`
}

// DNSName is a domain name.
type DNSName struct {
	// The name, such as broker.example.
	Name string `yaml:"name" required:"true" min:"1" max:"253" alt:"other.example"`
	// Its IPv4 addresses. Default: the broker's.
	Addresses []netip.Addr `yaml:"addresses" min:"1" max:"8" alt:"[10.0.0.9]"`
	// How long it may be kept, in whole seconds.
	TTL Duration `yaml:"ttl" max:"8760h" default:"60s" alt:"5s"`
}

// SNTPService is a time server. Its time is that of the captures: the machine's
// with clock real.
type SNTPService struct {
	// How long the server takes for an answer.
	Delay Duration `yaml:"delay" max:"1h" default:"0s" alt:"300ms"`
	// What it answers, until the timeline says otherwise. right; off: nobody listens, which ICMP says; silent: nothing; old: the year 2000; kiss: the kiss of death RATE; unsynchronized: a time that nobody may believe.
	Answer services.SNTPAnswer `yaml:"answer" default:"right" alt:"old"`
}

// ServiceName is one of the services.
type ServiceName string

// The services.
const (
	ServiceDHCP ServiceName = services.StageDHCP
	ServiceDNS  ServiceName = services.StageDNS
	ServiceSNTP ServiceName = services.StageSNTP
)

// Values returns the services.
func (ServiceName) Values() []string {
	return []string{string(ServiceDHCP), string(ServiceDNS), string(ServiceSNTP)}
}

// Address4 is how a device gets its IPv4 address. With DHCP the Prefix is what
// the services' server gives it.
type Address4 struct {
	netip.Prefix
	DHCP bool
}

const wordDHCP = "dhcp"

// UnmarshalText reads 10.0.0.2/24 or dhcp.
func (a *Address4) UnmarshalText(text []byte) error {
	word := string(text)
	if word == wordDHCP {
		*a = Address4{DHCP: true}
		return nil
	}
	p, err := parsePrefix4(word)
	if near := nearest(word, []string{wordDHCP}); err != nil && near != "" {
		err = hint(didYouMean(word, []string{near}), "%q is not an IPv4 address with prefix length", word)
	}
	if err == nil {
		*a = Address4{Prefix: p}
	}
	return err
}

// MarshalText writes what UnmarshalText reads.
func (a Address4) MarshalText() ([]byte, error) {
	if a.DHCP {
		return []byte(wordDHCP), nil
	}
	return a.Prefix.MarshalText()
}

// near is the network that devices share with the broker, or with the TAP that
// leads to it.
func (s *Scenario) near() netip.Prefix {
	if s.Broker.Tap != nil && s.Broker.Tap.Address.IsValid() {
		return s.Broker.Tap.Address
	}
	return s.Broker.Address
}

// fillServices sets what the services leave out.
func (s *Scenario) fillServices() {
	v := s.Services
	near := s.near()
	if v == nil || !near.IsValid() || !near.Addr().Is4() {
		return
	}
	if !v.Address.IsValid() {
		v.Address = netip.PrefixFrom(lastHost(near), near.Bits())
	}
	if d := v.DHCP; d != nil {
		if !d.Router.IsValid() && !near.Contains(s.Broker.Address.Addr()) {
			d.Router = near.Addr()
		}
		if d.DNS == nil && v.DNS != nil {
			d.DNS = []netip.Addr{v.Address.Addr()}
		}
	}
	if v.DNS != nil {
		for i := range v.DNS.Names {
			if n := &v.DNS.Names[i]; n.Addresses == nil {
				n.Addresses = []netip.Addr{s.Broker.Address.Addr()}
			}
		}
	}
}

// lastHost is the last address of a network that a host can have.
func lastHost(p netip.Prefix) netip.Addr {
	a := after4(p.Masked().Addr(), 1<<(32-p.Bits())-1)
	if p.Bits() < 31 {
		a = a.Prev()
	}
	return a
}

// NameServers returns whom a device asks for names, not counting those that DHCP
// tells it of.
func (s *Scenario) NameServers(d *Device) []netip.Addr {
	switch {
	case len(d.DNS) > 0:
		return d.DNS
	case !d.Address.DHCP && s.Services != nil && s.Services.DNS != nil:
		return []netip.Addr{s.Services.Address.Addr()}
	}
	return nil
}

// services checks the services, and what devices want of them.
func (c *checker) services() {
	for i := range c.s.Devices {
		c.serviceClient(index("devices", i), &c.s.Devices[i])
	}
	v := c.s.Services
	if v == nil {
		return
	}
	near := c.s.near()
	switch {
	case c.s.Broker.Kind == BrokerCapture:
		c.failf("services", "remove it", "with a recorded broker there is no network to have services in")
		return
	case v.DHCP == nil && v.DNS == nil && v.SNTP == nil:
		c.failf("services", "add dhcp: {}, dns: {names: [{name: broker.example}]} or sntp: {}", "no service is there")
	case !v.Address.Contains(near.Addr()) || !near.Contains(v.Address.Addr()):
		c.failf("services.address", "choose an address in "+near.Masked().String(), "%s is not in the network of %s", v.Address, near)
		return
	}
	foreign := c.s.Broker.Kind.AtEdge() || slices.ContainsFunc(c.s.Devices, func(d Device) bool { return !d.Model() })
	if v.SNTP != nil && !foreign {
		c.failf("services.sntp", "remove it, or add a device that is no model", "no model has an SNTP client")
	}
	if d := v.DHCP; d != nil {
		if d.First.IsValid() && !foreign {
			c.failf("services.dhcp.first", "remove first: and last:, or add a device that is no model", "every client is a device of this file, which has an address")
		}
		c.dhcp(d, near)
	}
	if d := v.DNS; d != nil {
		c.dns(d)
	}
}

// maxRange bounds the addresses that a DHCP server has for strangers.
const maxRange = services.MaxRange

func (c *checker) dhcp(d *DHCPService, near netip.Prefix) {
	const path = "services.dhcp"
	if d.Lease.Std()%time.Second != 0 {
		c.failf(path+".lease", "write whole seconds", "a lease of %s cannot be told to clients", d.Lease)
	}
	switch {
	case !d.First.IsValid() && !d.Last.IsValid():
	case !d.First.IsValid() || !d.Last.IsValid():
		c.failf(path, "add first: and last:", "a range has a first and a last address")
	case !near.Contains(d.First):
		c.failf(path+".first", "choose an address in "+near.Masked().String(), "%s is not in the network", d.First)
	case !near.Contains(d.Last) || d.Last.Less(d.First):
		c.failf(path+".last", "choose a later address in "+near.Masked().String(), "%s to %s is no range in the network", d.First, d.Last)
	case after4(d.First, maxRange).Compare(d.Last) <= 0 && after4(d.First, maxRange).Compare(d.First) > 0:
		c.failf(path+".last", "choose an earlier one", "%s to %s is more than %d addresses", d.First, d.Last, maxRange)
	}
	if d.Router.IsValid() && !near.Contains(d.Router) {
		c.failf(path+".router", "choose an address in "+near.Masked().String(), "clients cannot reach the gateway %s", d.Router)
	}
}

func (c *checker) dns(d *DNSService) {
	seen := map[string]bool{}
	for i, n := range d.Names {
		path := index("services.dns.names", i)
		key := strings.ToLower(n.Name)
		switch {
		case !services.ValidName(n.Name):
			c.failf(path+".name", "write a name such as broker.example: labels of 1 to 63 bytes with dots between them", "%q is not a domain name", n.Name)
		case seen[key]:
			c.failf(path+".name", "remove one of them", "the name %q stands here twice", n.Name)
		case n.TTL.Std()%time.Second != 0:
			c.failf(path+".ttl", "write whole seconds", "a time of %s cannot be told to clients", n.TTL)
		}
		seen[key] = true
	}
}

// serviceClient checks what a device wants of services.
func (c *checker) serviceClient(path string, d *Device) {
	v := c.s.Services
	dhcp, dns := v != nil && v.DHCP != nil, v != nil && v.DNS != nil
	real := c.s.Broker.Kind.AtEdge() // who is there may have servers of its own
	switch {
	case !d.Address.DHCP:
	case d.Model() && d.Profile != ProfileNetX:
		c.failf(path+".address", "set profile: netx, or write an address such as 10.0.0.2/24", "a device of profile %s has no DHCP client", d.Profile)
	case d.Tap != nil && d.Tap.Layer == Layer3:
		c.failf(path+".address", "remove layer: 3, or write an address", "DHCP needs Ethernet, and the interface of %s has none", d.Name)
	case !dhcp && !real:
		c.failf(path+".address", "add services: {dhcp: {}}, or write an address such as 10.0.0.2/24", "nobody would answer the DHCP client of %s", d.Name)
	case d.Gateway.IsValid():
		c.failf(path+".gateway", "write it as router: of services.dhcp", "a device with address: dhcp is told of its gateway")
	}
	switch host := d.MQTT.Host; {
	case host == "":
		if len(d.DNS) > 0 {
			c.failf(path+".dns", "add mqtt: {host: broker.example}, or remove it", "the device %s asks for no name", d.Name)
		}
	case !d.Model():
		c.failf(path+".mqtt.host", "remove it", "hilnet does not say where a device of kind %s connects to", d.Kind)
	case d.Profile != ProfileNetX:
		c.failf(path+".mqtt.host", "set profile: netx, or remove it", "a device of profile %s has no DNS client", d.Profile)
	case !services.ValidName(host):
		c.failf(path+".mqtt.host", "write a name such as broker.example", "%q is not a domain name", host)
	case d.App != "":
		c.failf(path+".mqtt.host", "resolve the name in the application, or write steps", "the application %s connects where it wants", d.App)
	case len(d.DNS) == 0 && !dns && (!d.Address.DHCP || !real && (!dhcp || len(v.DHCP.DNS) == 0)):
		c.failf(path+".mqtt.host", "add services: {dns: {names: [{name: "+host+"}]}}, or dns: with a server to the device", "nobody would resolve the name for %s", d.Name)
	}
}

// serviceAction checks an action on a service.
func (c *checker) serviceAction(path string, a *Action) {
	if a.Do != ServiceAnswer {
		return
	}
	v := c.s.Services
	there := map[ServiceName]bool{}
	if v != nil {
		there[ServiceDHCP], there[ServiceDNS], there[ServiceSNTP] = v.DHCP != nil, v.DNS != nil, v.SNTP != nil
	}
	answers := map[ServiceName][]string{
		ServiceDHCP: services.DHCPAnswer("").Values(), ServiceDNS: services.DNSAnswer("").Values(), ServiceSNTP: services.SNTPAnswer("").Values(),
	}[a.Service]
	switch {
	case a.Service == "":
		c.failf(path, "add service: and one of: "+strings.Join(a.Service.Values(), ", "), "%s lacks the key %q", a.Do, "service")
	case !there[a.Service]:
		c.failf(path+".service", fmt.Sprintf("add services: {%s: {}}", a.Service), "the network has no service %s", a.Service)
	case !slices.Contains(answers, a.Answer):
		c.failf(path+".answer", didYouMean(a.Answer, answers), "%q is no answer of %s: it has %s", a.Answer, a.Service, strings.Join(answers, ", "))
	}
}
