package main

import (
	"strings"
	"testing"
	"time"

	"hilnet/replay/play"
	"hilnet/replay/script"
)

// However long the peer is to be waited for, the time that a play may take does not run
// over into the past; what there are no numbers for is refused.
func TestALongWaitDoesNotOverflow(t *testing.T) {
	s := &script.Script{Conversations: []*script.Conversation{{End: 100 * time.Hour}}}
	for _, wait := range []time.Duration{time.Second, 300_000 * time.Hour, play.MaxWait} {
		f := playFlags{speed: 1, wait: wait, accept: wait}
		if got, want := f.longest(s), min(8000*time.Hour, 401*time.Hour+11*min(wait, 800*time.Hour)); got != want {
			t.Errorf("--wait %v: %v, want %v", wait, got, want)
		}
	}
	file := testCapture(t, "suricata-mqtt311-pub-qos2.pcap")
	for _, wait := range []string{"300000h", "876000h"} {
		if code, r, errs := callPlay(t, file, "--as", "client", "--against", "model", "--wait", wait, "--accept", wait); code != exitPass || r == nil || r.Reproduced != 1 {
			t.Errorf("%s: exit %d: %+v %s", wait, code, r, errs)
		}
	}
	for _, flag := range []string{"--wait", "--accept"} {
		if code, _, errs := callPlay(t, file, "--as", "client", "--against", "model", flag, "876001h"); code != exitUsage || !strings.Contains(errs, "up to 876000h") {
			t.Errorf("%s: exit %d: %s", flag, code, errs)
		}
	}
}
