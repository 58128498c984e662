package nic_test

import (
	"bytes"
	"strings"
	"testing"

	"hilnet/nic"
)

// letters returns n letters, a, b, c ...
func letters(n int) []byte { return []byte(strings.Repeat("abcdefghijklmnopqrstuvwxyz", n/26+1)[:n]) }

func TestAppendIsAllOrNothing(t *testing.T) {
	d := newDevice(t, 10, 4)
	p := d.alloc(t, 4)
	p.Append(letters(3), d.pool, 0)
	if status := p.Append(letters(34), d.pool, 0); status != nic.NoPacket {
		t.Fatalf("3 left and 3 packets of 10 took 34 bytes: %v", status)
	}
	if p.Len() != 3 || p.Packets() != 1 || d.pool.Free() != 3 {
		t.Errorf("after the refusal: %d bytes in %d packets, %d free", p.Len(), p.Packets(), d.pool.Free())
	}
	if status := p.Append(letters(33), d.pool, 0); !status.OK() || p.Packets() != 4 || p.Len() != 36 {
		t.Errorf("%v: %d bytes in %d packets", status, p.Len(), p.Packets())
	}
	if want := append(letters(3), letters(33)...); !bytes.Equal(p.AppendTo(nil), want) {
		t.Errorf("contents %s", p.AppendTo(nil))
	}
}

func TestChainOfA1514ByteFrameInA256BytePoolHasSixPackets(t *testing.T) {
	d := newDevice(t, 256, 8)
	p := d.alloc(t, nic.Receive)
	p.Extend(nic.DefaultRXOffset)
	p.Trim(nic.DefaultRXOffset)
	if p.Append(letters(1514), d.pool, 0); p.Packets() != 6 {
		t.Errorf("%d packets", p.Packets())
	}
}

func TestCopyKeepsHeadroomAndPacksData(t *testing.T) {
	d := newDevice(t, 10, 20)
	p := d.alloc(t, 4)
	p.Append(letters(20), d.pool, 0) // 6+10+4
	p.Trim(8)                        // 0+8+4: the first packet is empty
	copy(p.Headroom(), "ID")
	c, status := p.Copy(d.pool, 0)
	if !status.OK() || string(c.AppendTo(nil)) != "ijklmnopqrst" {
		t.Fatalf("%v %s", status, c.AppendTo(nil))
	}
	if string(c.Headroom()[:2]) != "ID" || len(c.Headroom()) != 10 || c.Packets() != 3 {
		t.Errorf("headroom %q, %d packets", c.Headroom(), c.Packets())
	}
	empty := d.alloc(t, 0)
	if _, status := empty.Copy(d.pool, 0); status != nic.InvalidPacket {
		t.Errorf("copy of nothing: %v", status)
	}
	small, err := nic.NewPool(nil, nil, nic.PoolConfig{Payload: 8, Packets: 9})
	if err != nil {
		t.Fatal(err)
	}
	if _, status := p.Copy(small, 0); status != nic.InvalidPacket || small.Free() != 9 {
		t.Errorf("headroom of 10 copied into packets of 8: %v, %d free", status, small.Free())
	}
}

func TestCopyGivesBackWhatItTookWhenThePoolRunsDry(t *testing.T) {
	d := newDevice(t, 10, 5)
	p := d.alloc(t, 0)
	p.Append(letters(30), d.pool, 0)
	if _, status := p.Copy(d.pool, 0); status != nic.NoPacket || d.pool.Free() != 2 {
		t.Errorf("%v, %d free", status, d.pool.Free())
	}
}

func TestPrependTakesHeadroom(t *testing.T) {
	d := newDevice(t, 40, 1)
	p := d.alloc(t, nic.PhysicalHeader)
	p.Append([]byte("data"), d.pool, 0)
	copy(p.Prepend(14), "ethernetheader")
	if got := string(p.Bytes()); got != "ethernetheaderdata" || p.Len() != 18 {
		t.Errorf("%q", got)
	}
	if p.Prepend(3) != nil || p.Len() != 18 {
		t.Error("2 bytes of headroom gave 3")
	}
}

func TestAdvanceReleasesUsedPackets(t *testing.T) {
	d := newDevice(t, 10, 8)
	p := d.alloc(t, 0)
	p.Append(letters(26), d.pool, 0)
	rest := p.Advance(12, false)
	if string(rest.AppendTo(nil)) != "mnopqrstuvwxyz" || rest.Len() != 14 || d.pool.Free() != 6 {
		t.Errorf("%s, %d free", rest.AppendTo(nil), d.pool.Free())
	}
	more := d.alloc(t, 0)
	more.Append([]byte("!"), d.pool, 0)
	rest.Link(more)
	if string(rest.AppendTo(nil)) != "mnopqrstuvwxyz!" {
		t.Errorf("linked: %s", rest.AppendTo(nil))
	}
	if rest.Advance(15, false) != nil || d.pool.Free() != 8 {
		t.Errorf("used up: %d free", d.pool.Free())
	}
}

func TestLinkBehindAForgottenTailLosesTheMiddle(t *testing.T) {
	d := newDevice(t, 10, 8)
	p := d.alloc(t, 0)
	p.Append(letters(26), d.pool, 0)
	rest := p.Advance(12, true) // 8 + 6 bytes, end unknown
	more := d.alloc(t, 0)
	more.Append([]byte("!"), d.pool, 0)
	rest.Link(more)
	if got := string(rest.AppendTo(nil)); got != "mnopqrst!" || rest.Len() != 15 {
		t.Errorf("%s, length %d", got, rest.Len())
	}
	if n, status := rest.ExtractOffset(10, make([]byte, 5)); status != nic.PacketOffsetError {
		t.Errorf("behind the gap: %d %v", n, status)
	}
	if _, status := rest.Copy(d.pool, 0); status != nic.InvalidPacket {
		t.Errorf("copy: %v", status)
	}
	if rest.Release(); d.pool.Free() != 7 {
		t.Errorf("%d free: the lost packet cannot come back", d.pool.Free())
	}
}

func TestExtractOffsetInAnEmptyPacket(t *testing.T) {
	d := newDevice(t, 10, 1)
	p := d.alloc(t, 0)
	if n, status := p.ExtractOffset(0, make([]byte, 2)); n != 0 || !status.OK() {
		t.Errorf("at 0: %d %v", n, status)
	}
	if _, status := p.ExtractOffset(1, make([]byte, 2)); status != nic.PacketOffsetError {
		t.Errorf("at 1: %v", status)
	}
}

func TestStatusNames(t *testing.T) {
	for status, want := range map[nic.Status]string{
		0: "NX_SUCCESS", nic.InProgress: "NX_IN_PROGRESS", 0x10005: "NXD_MQTT_CONNECT_FAILURE", 0x12345: "0x12345",
	} {
		if status.String() != want {
			t.Errorf("%#x is %s", uint32(status), status)
		}
	}
}
