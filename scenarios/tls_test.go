package scenarios

import (
	"strings"
	"testing"
)

func tlsText(device, broker string) string {
	return "version: 1\nname: x\ndevices: [{" + device + "steps: [connect]}]\nbroker: {" + broker + "}\n"
}

func TestTLSThatCannotBeIsRefused(t *testing.T) {
	for _, tc := range []struct{ device, broker, want string }{
		{"mqtt: {tls: {}}, ", "", "add tls: {} to the broker"},
		{"", "tls: {}", "add tls: {}"},
		{"mqtt: {tls: {min_version: \"1.3\", max_version: \"1.2\"}}, ", "tls: {}", "is older than the oldest"},
		{"mqtt: {tls: {}}, ", "tls: {min_version: \"1.3\", max_version: \"1.2\"}", "is older than the oldest"},
		{"mqtt: {tls: {ca_file: ca.pem}}, ", "tls: {}", "made for the run"},
		{"mqtt: {tls: {ciphers: [TLS_NULL]}}, ", "tls: {}", "TLS_NULL"},
		{"mqtt: {tls: {}}, ", "kind: capture, capture: {file: x}", "a recording cannot speak TLS"},
	} {
		if _, err := Load("x.yaml", []byte(tlsText(tc.device, tc.broker))); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "x.yaml:") {
			t.Errorf("%s %s: %v, want %q", tc.device, tc.broker, err, tc.want)
		}
	}
	for _, tc := range []struct{ device, want string }{
		{"{}", "it has no ca_file"},
		{"{ca_file: a, certificate: valid}", "write cert_file: and key_file:"},
		{"{ca_file: a, cert_file: b}", "goes with its private key"},
	} {
		text := tlsText("mqtt: {tls: "+tc.device+"}, ", "kind: tap") + "clock: real\n"
		if _, err := Load("x.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.device, err, tc.want)
		}
	}
}

func TestTLSDefaultsDependOnTheProfile(t *testing.T) {
	s, err := Load("x.yaml", []byte(tlsText("profile: netx, mqtt: {tls: {}}, ", "tls: {}")))
	if err != nil || s.Broker.Port != 8883 || s.Devices[0].MQTT.TLS.MaxVersion != TLS12 || len(s.Devices[0].MQTT.TLS.Ciphers) != 1 {
		t.Errorf("%v, %+v", err, s)
	}
	s, err = Load("x.yaml", []byte(tlsText("profile: linux, mqtt: {tls: {}}, ", "tls: {}, port: 1885")))
	if err != nil || s.Broker.Port != 1885 || s.Devices[0].MQTT.TLS.MaxVersion != TLS13 || s.Broker.TLS.MaxVersion.Number() != 0x0304 {
		t.Errorf("%v, %+v", err, s)
	}
	link := strings.Replace(tlsText("mqtt: {tls: {}}, ", "tls: {}, port: 1885"), "broker:", "links: [{match: [{do: drop, message: PUBLISH, nth: 1}]}]\nbroker:", 1)
	if _, err := Load("x.yaml", []byte(link)); err == nil || !strings.Contains(err.Error(), "the devices speak TLS") {
		t.Errorf("a rule for messages in TLS: %v", err)
	}
}
