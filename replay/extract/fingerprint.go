package extract

import (
	"fmt"
	"strings"

	"hilnet/wire"
)

// A Fingerprint is what the device's SYN tells of its TCP/IP stack.
type Fingerprint struct {
	Profile string // of a scenario: netx or linux
	Sure    bool   // all that is known of the profile's SYN fits
	Text    string // what was seen
	mtu     int
}

// fingerprint looks at the first SYN of the device.
func fingerprint(k *Capture) Fingerprint {
	for i := range k.packets {
		p := &k.packets[i]
		if p.way != up || p.conn == 0 || !p.has(wire.TCPSyn) || p.has(wire.TCPAck) {
			continue
		}
		f := Fingerprint{Profile: "netx", mtu: int(p.mss) + wire.IPv4HeaderLen + wire.TCPHeaderLen}
		var seen []string
		for _, o := range []struct {
			on   bool
			name string
		}{{p.hasTS, "timestamps"}, {p.permitsSACK, "SACK"}, {p.hasScale, "window scale"}} {
			if o.on {
				seen = append(seen, o.name)
			}
		}
		f.Text = fmt.Sprintf("SYN with TTL %d, window %d, MSS %d, %s", p.ttl, p.window, p.mss, listed(seen))
		// NetX Duo has none of these options; its window and TTL are configured, and
		// its demos and golden recordings have 8192 and 128.
		const ttlNetX = 128
		if len(seen) > 0 {
			f.Profile = "linux"
			const ttlLinux = 64
			f.Sure = p.hasTS && p.permitsSACK && p.hasScale && p.ttl <= ttlLinux
			return f
		}
		f.Sure = p.ttl <= ttlNetX && p.ttl > ttlNetX/2 && p.df && p.window%1024 == 0
		return f
	}
	return Fingerprint{Profile: "netx", Text: "no SYN of the device"}
}

func listed(names []string) string {
	if len(names) == 0 {
		return "no timestamps, SACK or window scale"
	}
	return strings.Join(names, ", ")
}
