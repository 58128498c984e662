package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// A Destination is where connections may lead: hosts and a port. The zero value
// is none.
type Destination struct {
	Prefix netip.Prefix // the hosts, unless Name says them
	Name   string       // of a host, for the machine to resolve
	Port   uint16       // 0: every port
}

// maxName is the longest name of a host (RFC 1035 2.3.4).
const maxName = 253

// ParseDestination reads HOST or HOST:PORT. HOST is an IPv4 address, a network
// such as 192.0.2.0/24, or a name; without PORT every port is meant.
func ParseDestination(text string) (Destination, error) {
	host, port, found := strings.Cut(text, ":")
	var d Destination
	if found {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return d, fmt.Errorf("gateway: %q: the port is a number from 1 to 65535", text)
		}
		d.Port = uint16(n)
	}
	if p, err := netip.ParsePrefix(host); err == nil {
		if !p.Addr().Is4() {
			return d, fmt.Errorf("gateway: %q: networks are of IPv4", text)
		}
		if p != p.Masked() {
			return d, fmt.Errorf("gateway: %q is an address in a network: write %v", host, p.Masked())
		}
		d.Prefix = p
		return d, nil
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Is4() {
		d.Prefix = netip.PrefixFrom(a, a.BitLen())
		return d, nil
	}
	if !isName(host) {
		return d, fmt.Errorf("gateway: %q is no IPv4 address, network or name of a host", host)
	}
	d.Name = host
	return d, nil
}

// isName reports whether text can be the name of a host (RFC 1123 2.1): what
// looks like an address is none.
func isName(text string) bool {
	if text == "" || len(text) > maxName {
		return false
	}
	labels := strings.Split(strings.TrimSuffix(text, "."), ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			letter := c|0x20 >= 'a' && c|0x20 <= 'z'
			if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

// String returns what ParseDestination reads.
func (d Destination) String() string {
	text := d.Name
	switch {
	case text != "":
	case !d.Prefix.IsValid():
		return "nowhere"
	case d.Prefix.IsSingleIP():
		text = d.Prefix.Addr().String()
	default:
		text = d.Prefix.String()
	}
	if d.Port != 0 {
		text += ":" + strconv.Itoa(int(d.Port))
	}
	return text
}

// ParseTarget reads where connections to the gateway's own address and port lead:
// ADDRESS:PORT or NAME:PORT.
func ParseTarget(text string) (Destination, error) {
	d, err := ParseDestination(text)
	switch {
	case err != nil:
		return d, err
	case d.Port == 0:
		return d, fmt.Errorf("gateway: %q lacks its port", text)
	case d.Name == "" && !d.Prefix.IsSingleIP():
		return d, fmt.Errorf("gateway: %q is a network, not a host", text)
	case d.Name == "" && !d.Prefix.Addr().IsGlobalUnicast() && !d.Prefix.Addr().IsLoopback() && !d.Prefix.Addr().IsLinkLocalUnicast():
		return d, fmt.Errorf("gateway: %q is not the address of a host", text)
	}
	return d, nil
}

// errProhibited says that a destination is not one that the gateway was told of.
var errProhibited = errors.New("not allowed: the gateway leads to loopback and to what its configuration allows")

// A policy says where on the machine, or beyond, a connection leads.
type policy struct {
	own, own6 netip.Addr // the gateway's
	port      uint16     // at its own addresses, that leads to to
	to        string
	allow     []Destination
	lookup    func(ctx context.Context, name string) ([]netip.Addr, error)
}

func lookup(ctx context.Context, name string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip4", name)
}

// target returns what to dial for a destination in the emulated network. It may
// ask the machine's resolver.
func (p *policy) target(ctx context.Context, dst netip.AddrPort) (string, error) {
	if dst.Addr() == p.own || dst.Addr() == p.own6 {
		if dst.Port() == p.port {
			return p.to, nil
		}
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(dst.Port()))), nil
	}
	for _, d := range p.allow {
		if (d.Port == 0 || d.Port == dst.Port()) && d.Name == "" && d.Prefix.Contains(dst.Addr()) {
			return dst.String(), nil
		}
	}
	var failed error
	for _, d := range p.allow {
		if d.Name == "" || d.Port != 0 && d.Port != dst.Port() {
			continue
		}
		addrs, err := p.lookup(ctx, d.Name)
		failed = errors.Join(failed, err)
		for _, a := range addrs {
			if a.Unmap() == dst.Addr() {
				return dst.String(), nil
			}
		}
	}
	if failed != nil {
		return "", fmt.Errorf("%w (%w)", errProhibited, failed)
	}
	return "", errProhibited
}
