package extract

import (
	"crypto/tls"
	"fmt"
	"strings"

	"hilnet/mqtt/codec"
)

// about tells where the scenario is from.
func (m *Making) about() []string {
	s, c := m.session, m.c
	all := []string{
		fmt.Sprintf("What replay extract found in %s.", strings.Join(c.base(), " and ")),
		fmt.Sprintf("In the capture: %d of %d messages acknowledged, connections: %d; lost %s frames up and %s down.", s.acked, s.sent, len(s.conns), c.Up.Lost, c.Down.Lost),
	}
	sure := "is like that of the profile"
	if !m.print.Sure {
		sure = "fits no profile well; this is the nearest"
	}
	all = append(all, fmt.Sprintf("The device's stack %s: %s.", sure, m.print.Text))
	return append(append(all, m.Changed()...), m.Found()...)
}

// Changed tells what the scenario has in another form than the capture, sentence by
// sentence.
func (m *Making) Changed() (all []string) {
	const v3, v5 = 3, 5
	switch {
	case m.session.version == v5:
		all = append(all, "The session was MQTT 5; here it is 3.1.1: properties, reason codes and what only MQTT 5 has are left out.")
	case m.session.version == v3:
		all = append(all, "The session was MQTT 3.1; here it is 3.1.1.")
	}
	if n := m.session.filters[codec.SUBSCRIBE] + m.session.filters[codec.UNSUBSCRIBE]; n > 0 {
		all = append(all, fmt.Sprintf("SUBSCRIBE and UNSUBSCRIBE had several filters; here each filter has a message of its own, which makes %d more.", n))
	}
	if t := m.session.secure(); t != nil {
		version, suite := t.Agreed()
		all = append(all, fmt.Sprintf("The session was in %s, %s; certificates here are made for the run, and may be longer or shorter.",
			tls.VersionName(version), tls.CipherSuiteName(suite)))
	}
	switch {
	case m.c.Device.Is6():
		all = append(all, "The capture's addresses are IPv6; here they are IPv4, so each frame is 20 bytes shorter.")
	case !m.address[0].IsValid():
		all = append(all, "Addresses are not those of the capture.")
	}
	return all
}
