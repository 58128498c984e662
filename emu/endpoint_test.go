package emu_test

import (
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/link"
	"hilnet/scenarios"
)

// What stands in place of a device sends and gets frames through the link, which
// is recorded; and a scenario that needs what is replaced is refused.
func TestAnEndpointStandsInPlaceOfADevice(t *testing.T) {
	arrived := 0
	device := func(e emu.Endpoint) (link.Sink, error) {
		e.Loop.After(0, func() {
			f := link.NewFrame(60)
			copy(f.Data, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1})
			e.Out.Put(f)
		})
		return link.SinkFunc(func(f *link.Frame) {
			arrived++ // the broker's ARP reply
			f.Release()
			e.Loop.Stop()
		}), nil
	}
	r, err := emu.Run(t.Context(), library(t, "clean-link"), emu.Options{Device: device, Out: t.TempDir()})
	if err != nil || arrived != 1 || r.Recording.Captured != 4 || r.ModelBroker || r.Outcome.ConservationErrorCount != 0 {
		t.Errorf("%v, %d frames, %+v", err, arrived, r)
	}
}

func TestAnEndpointIsRefusedWhereItCannotStand(t *testing.T) {
	nobody := func(emu.Endpoint) (link.Sink, error) { return link.SinkFunc(func(f *link.Frame) { f.Release() }), nil }
	for _, c := range []struct {
		text string
		opt  emu.Options
		want string
	}{
		{"devices: [{count: 2, steps: [connect]}]\nbroker: {kind: model}", emu.Options{Device: nobody}, "2 devices"},
		{"devices: [{profile: linux, address6: fd00::2/64, steps: [connect]}]\nbroker: {kind: model, address6: fd00::1/64}", emu.Options{Device: nobody}, "IPv4 only"},
		{"devices: [{steps: [connect]}]\nbroker: {kind: model}\ntimeline: [{at: 1s, do: power_cut, for: 1s}]", emu.Options{Device: nobody}, "timeline[0]: power_cut"},
		{"devices: [{steps: [connect]}]\nbroker: {kind: model}\ntimeline: [{at: 1s, do: broker_publish, topic: t}]", emu.Options{Broker: nobody}, "timeline[0]: broker_publish"},
		{"devices: [{mac: '02:4e:58:00:00:02', address: 10.50.0.2/24, steps: [connect]}]\nbroker: {kind: capture, address: 10.50.0.1/24, capture: {file: x}}", emu.Options{Broker: nobody}, "kind capture"},
	} {
		sc, err := scenarios.Load("x.yaml", []byte("version: 1\nname: x\nduration: 2s\n"+c.text+"\n"))
		if err != nil {
			t.Errorf("%s: %v", c.want, err)
			continue
		}
		if _, err := emu.New(sc, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q: %v", c.want, err)
		}
	}
}
