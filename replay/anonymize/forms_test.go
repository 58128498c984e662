package anonymize_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"hilnet/pcaps"
)

// unwrapped is data, and what is in it in hexadecimal, in base64 or in UTF-16, one
// behind the other.
func unwrapped(data []byte) []byte {
	all := append(bytes.Clone(data), 0)
	runs(data, func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }, 2*letters, func(run []byte) {
		for from := range 2 {
			part := run[from:]
			b := make([]byte, len(part)/2)
			n, _ := hex.Decode(b, part[:len(part)&^1]) // it is hexadecimal
			all = append(append(all, b[:n]...), 0)
		}
	})
	sextet := func(c byte) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("+/-_", c) >= 0
	}
	runs(data, sextet, 2*letters*2/3, func(run []byte) {
		run = bytes.ReplaceAll(bytes.ReplaceAll(run, []byte("-"), []byte("+")), []byte("_"), []byte("/"))
		for from := range 4 {
			part := run[from:]
			b := make([]byte, len(part))
			n, _ := base64.RawStdEncoding.Decode(b, part[:len(part)&^3]) // it is base64
			all = append(append(all, b[:n]...), 0)
		}
	})
	for from := range 2 {
		for at := from; at+1 < len(data); at += 2 {
			if data[at] == 0 && data[at+1] != 0 { // from 0 or from 1: of either byte order
				all = append(all, data[at+1])
			} else if all[len(all)-1] != 0 {
				all = append(all, 0)
			}
		}
		all = append(all, 0)
	}
	return all
}

// runs yields every row of at least so many bytes that are alike.
func runs(data []byte, alike func(byte) bool, least int, yield func([]byte)) {
	from := 0
	for at := 0; at <= len(data); at++ {
		if at < len(data) && alike(data[at]) {
			continue
		}
		if at-from >= least {
			yield(data[from:at])
		}
		from = at + 1
	}
}

// foundForms returns what of the texts of data is in got in another form: as it is, in
// hexadecimal, in base64, in UTF-16.
func foundForms(t testing.TB, data, got []byte) (found []string) {
	rest := append(payloads(packetsOf(t, got)), strip(got)...)
	for _, k := range known {
		rest = bytes.ReplaceAll(rest, []byte(k), []byte{0})
	}
	there := map[string]bool{}
	windows(unwrapped(rest), letters, func(w string) { there[w] = true })
	windows(unwrapped(append(payloads(packetsOf(t, data)), strip(data)...)), letters, func(w string) {
		if there[w] {
			found = append(found, fmt.Sprintf("%q is still there, in some form", w))
			there[w] = false
		}
	})
	return found
}

// shapes are what a text may look like in a file.
func shapes(s string) map[string][]byte {
	le, be := []byte{}, []byte{}
	for _, u := range utf16.Encode([]rune(s)) {
		le, be = append(le, byte(u), byte(u>>8)), append(be, byte(u>>8), byte(u))
	}
	return map[string][]byte{
		"as it is": []byte(s), "hexadecimal": []byte(hex.EncodeToString([]byte(s))), "HEXADECIMAL": []byte(strings.ToUpper(hex.EncodeToString([]byte(s)))),
		"base64": []byte(base64.StdEncoding.EncodeToString([]byte(s))), "base64 behind one": []byte(base64.URLEncoding.EncodeToString([]byte("." + s))),
		"base64 behind two": []byte(base64.StdEncoding.EncodeToString([]byte(".." + s))), "UTF-16 little": le, "UTF-16 big": be,
	}
}

// No text of any capture is in its copy, whether as it is or in hexadecimal, base64 or
// UTF-16.
func TestNoOtherFormOfTheOriginalIsFound(t *testing.T) {
	for _, path := range corpus(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := anonymized(t, newAnonymizer(t), data)
		for _, leak := range foundForms(t, data, got) {
			t.Errorf("%s: %s", path, leak)
		}
	}
}

// A teller makes frames.
type teller struct {
	t      *testing.T
	frames [][]byte
}

func (m *teller) datagram(port layers.UDPPort, all ...gopacket.SerializableLayer) {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: addrA, DstIP: addrB}
	udp := &layers.UDP{SrcPort: port, DstPort: port}
	_ = udp.SetNetworkLayerForChecksum(ip)
	m.frames = append(m.frames, frameOf(m.t, append([]gopacket.SerializableLayer{ethernet(layers.EthernetTypeIPv4), ip, udp}, all...)...))
}

// stream opens a connection and sends the pieces.
func (m *teller) stream(client, server layers.TCPPort, pieces ...[]byte) {
	seq := uint32(100)
	for i := -1; i < len(pieces); i++ {
		tcp := &layers.TCP{SrcPort: client, DstPort: server, Seq: seq, SYN: i < 0, ACK: i >= 0, PSH: i >= 0, Window: 1000}
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: addrA, DstIP: addrB}
		_ = tcp.SetNetworkLayerForChecksum(ip)
		var data []byte
		if seq++; i >= 0 {
			data = pieces[i]
			seq += uint32(len(data)) - 1
		}
		m.frames = append(m.frames, frameOf(m.t, ethernet(layers.EthernetTypeIPv4), ip, tcp, gopacket.Payload(data)))
	}
}

// say has b in frames of every protocol.
func (m *teller) say(b []byte, name, word string, port layers.TCPPort) {
	m.datagram(53, &layers.DNS{
		ID: 1, Questions: []layers.DNSQuestion{{Name: []byte("x" + strings.ReplaceAll(strings.ReplaceAll(string(b), "\x00", "-"), "=", "")), Type: layers.DNSTypeTXT, Class: layers.DNSClassIN}},
		Answers: []layers.DNSResourceRecord{{Name: []byte("t"), Type: layers.DNSTypeTXT, Class: layers.DNSClassIN, TXTs: [][]byte{b}}},
	})
	for _, p := range []layers.UDPPort{5353, 137, 123, 514, 5683, 40000} {
		m.datagram(p, gopacket.Payload(b))
	}
	arp := &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: 1, SourceHwAddress: macA, SourceProtAddress: addrA, DstHwAddress: macB, DstProtAddress: addrB}
	m.frames = append(m.frames,
		frameOf(m.t, ethernet(0x88cc), gopacket.Payload(b)),
		append(frameOf(m.t, ethernet(layers.EthernetTypeARP), arp), b...),
		frameOf(m.t, ethernet(layers.EthernetTypeIPv4), &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: addrA, DstIP: addrB}, &layers.ICMPv4{TypeCode: 0x800}, gopacket.Payload(b)))
	dhcp := &layers.DHCPv4{Operation: layers.DHCPOpRequest, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: 9, ClientHWAddr: macA}
	for _, o := range []layers.DHCPOpt{layers.DHCPOptHostname, layers.DHCPOptDomainName, layers.DHCPOptClassID, layers.DHCPOptVendorOption, layers.DHCPOptClientID, 81, 224} {
		dhcp.Options = append(dhcp.Options, layers.NewDHCPOption(o, b))
	}
	m.datagram(67, dhcp)
	text := func(b []byte) string { return string(append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)) }
	message := func(first byte, body string) []byte {
		return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
	}
	connect := text([]byte("MQTT")) + "\x04\xc6\x00\x3c" + text(b) + text(b) + text(b) + text(b) + text(b)
	publish := text([]byte("a/"+string(b)+"/b")) + `{"` + string(b) + `":"` + string(b) + `"}`
	m.stream(port, 1883, message(0x10, connect), message(0x30, publish), message(0x82, "\x00\x01"+text(b)+"\x00"))
	m.stream(port+1, 80, []byte("GET /"+string(b)+" HTTP/1.1\r\nHost: "+name+"\r\nAuthorization: Basic "+base64.StdEncoding.EncodeToString([]byte(word+":"+word))+"\r\n\r\n"))
}

// everywhere is a capture that names one text in every place that a capture has, in
// every form.
func everywhere(t *testing.T, word string) []byte {
	t.Helper()
	var texts []string
	var comments [][]byte
	m, port := &teller{t: t}, layers.TCPPort(50000)
	for name, b := range shapes(word) {
		texts, comments = append(texts, string(b)), append(comments, b)
		m.say(b, name, word, port)
		port += 2
	}
	client, server := handshake(t, word)
	m.stream(port, 8883, client...)
	for _, piece := range server { // the other way, as another connection: who sends what does not matter here
		port++
		m.stream(port, 8883, piece)
	}
	var out bytes.Buffer
	w, err := pcaps.NewWriter(&out, pcaps.Section{UserAppl: word, Hardware: word, OS: word, Comments: texts}, pcaps.WriterConfig{})
	if err != nil {
		t.Fatal(err)
	}
	write := func(r *pcaps.Record) {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	joined := strings.Join(texts, " ")
	write(&pcaps.Record{Interface: &pcaps.Interface{LinkType: pcaps.LinkTypeEthernet, Name: word, Description: texts[0], Hardware: word, Filter: "host " + word, Comments: texts}})
	write(&pcaps.Record{Names: &pcaps.Names{DNSName: word, Comments: texts}})
	write(&pcaps.Record{Custom: &pcaps.Custom{PEN: 4711, Data: []byte(joined + strings.Repeat("\x00", 4-len(joined)%4))}})
	for i, f := range m.frames {
		write(&pcaps.Record{Packet: &pcaps.Packet{Time: pcaps.Stamp(i) * 1e6, Data: f, OriginalLen: len(f), Comments: comments[:1+i%len(texts)]}})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// handshake is what both sides of a TLS handshake send in which the word is the server's
// name, and everything in its certificate.
func handshake(t *testing.T, word string) (client, server [][]byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := pkix.Name{CommonName: word, Organization: []string{word}, Locality: []string{word}}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: name, Issuer: name, DNSNames: []string{word + ".example"}, NotAfter: time.Unix(1<<32, 0)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	wires := [2]*tapped{{Conn: a}, {Conn: b}}
	over := make(chan error, 1)
	go func() {
		over <- tls.Server(wires[1], &tls.Config{MaxVersion: tls.VersionTLS12, NextProtos: []string{"mqtt"}, Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: k}}}).Handshake()
	}()
	if err := tls.Client(wires[0], &tls.Config{MaxVersion: tls.VersionTLS12, ServerName: word + ".example", NextProtos: []string{"mqtt"}, InsecureSkipVerify: true}).Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	return wires[0].sent, wires[1].sent
}

// A tapped connection keeps what is written.
type tapped struct {
	net.Conn
	sent [][]byte
}

func (c *tapped) Write(b []byte) (int, error) {
	c.sent = append(c.sent, bytes.Clone(b))
	return c.Conn.Write(b)
}

// Wherever a capture names something, and in whatever form, its copy does not.
func TestATextThatIsEverywhereIsNowhereInTheCopy(t *testing.T) {
	const word = "Kornblume7Zwieback"
	data := everywhere(t, word)
	got, report := anonymized(t, newAnonymizer(t), data)
	if report.Messages < 3*8 {
		t.Errorf("only %d messages were understood", report.Messages)
	}
	if report.Problem != nil || len(packetsOf(t, got)) != len(packetsOf(t, data)) || !bytes.Contains(data, []byte(word+".example")) {
		t.Fatalf("%d packets of %d: %+v", len(packetsOf(t, got)), len(packetsOf(t, data)), report)
	}
	for name, b := range shapes(word) {
		if !bytes.Contains(data, b) {
			t.Errorf("%s: it is not in the original", name)
		}
		if bytes.Contains(bytes.ToLower(got), bytes.ToLower(b)) {
			t.Errorf("%s: it is still in the file", name)
		}
	}
	for _, leak := range foundForms(t, data, got) {
		t.Error(leak)
	}
}

// The search finds a text in each form, wherever in a frame or a comment it stands.
func TestTheSearchFindsEachForm(t *testing.T) {
	const word = "Kornblume7Zwieback"
	original := captureOf(t, frameOf(t, ethernet(0x88b5), gopacket.Payload(word)))
	for name, b := range shapes(word) {
		for shift := range 4 {
			copied := captureOf(t, frameOf(t, ethernet(0x88b5), gopacket.Payload(append(bytes.Repeat([]byte("."), shift), b...))))
			if len(foundForms(t, original, copied)) == 0 {
				t.Errorf("%s, %d bytes behind: nothing is found", name, shift)
			}
		}
	}
	if found := foundForms(t, original, captureOf(t, frameOf(t, ethernet(0x88b5), gopacket.Payload("another text without it")))); len(found) > 0 {
		t.Errorf("found in a good copy: %v", found)
	}
}
