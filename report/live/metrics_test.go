package live

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/trace"
)

// parse has Prometheus' own parser read an exposition: families with their type,
// samples by name and labels, in their order.
const parse = `
import sys, json
from prometheus_client.parser import text_string_to_metric_families
print(json.dumps([{"Name": f.name, "Type": f.type, "Help": f.documentation,
	"Samples": [{"Name": s.name, "Labels": s.labels, "Value": s.value} for s in f.samples]}
	for f in text_string_to_metric_families(sys.stdin.read())]))
`

type family struct {
	Name, Type, Help string
	Samples          []struct {
		Name   string
		Labels map[string]string
		Value  float64
	}
}

// What /metrics says is what Prometheus' parser reads, names with every kind of
// character included.
func TestPrometheusReadsTheMetrics(t *testing.T) {
	linktest.Require(t, linktest.NeedPrometheus)
	const odd = "a \"quoted\" \\ back\nslash é \xff"
	c := &emu.Counts{
		Now: 1_500_000_000, Missed: 7, Published: 10, Acked: 9, Connected: 2, AckSum: 9 * time.Second,
		Events: map[trace.Kind]uint64{"mqtt.publish": 10, "drop": 3}, Drops: map[trace.DropReason]uint64{"loss": 3},
		Links: []emu.LinkCounts{{Link: odd, Up: true, Bytes: 1234}, {Link: "", Bytes: 1}}, Pools: []emu.PoolLevel{{Device: "device", Free: 5, Low: 1, Wait: 2}},
	}
	c.Links[0].Steps[emu.FrameEntered], c.Links[0].Steps[emu.FrameDropped] = 20, 3
	c.AckBuckets[0], c.AckBuckets[7], c.AckBuckets[len(c.AckBuckets)-1] = 4, 4, 1
	s := stub("")
	s.served.listener = &listener{}
	s.served.requests[4].Add(3)
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", parse)
	text := expose(odd, c, &s.served)
	cmd.Stdin = strings.NewReader(string(text))
	out, err := cmd.CombinedOutput()
	var all []family
	if err != nil || json.Unmarshal(out, &all) != nil {
		t.Fatalf("%v\n%s\n%s", err, out, text)
	}
	got := map[string]float64{}
	lines := 0
	for _, f := range all {
		if f.Help == "" || f.Type == "unknown" || f.Type == "" || len(f.Samples) == 0 {
			t.Errorf("%s: %q of type %q with %d samples", f.Name, f.Help, f.Type, len(f.Samples))
		}
		for _, x := range f.Samples {
			lines++
			labels, _ := json.Marshal(x.Labels)
			key := f.Type + " " + x.Name + string(labels)
			if _, twice := got[key]; twice {
				t.Errorf("%s stands there twice", key)
			}
			got[key] = x.Value
		}
	}
	clean := strings.ToValidUTF8(odd, "\uFFFD")
	label, _ := json.Marshal(map[string]string{"direction": "up", "link": clean, "step": "dropped"})
	for key, want := range map[string]float64{
		"gauge hilnet_run_time_seconds{}":                           1.5,
		"counter hilnet_published_total{}":                          10,
		`counter hilnet_events_total{"kind":"mqtt.publish"}`:        10,
		`counter hilnet_drops_total{"reason":"loss"}`:               3,
		"counter hilnet_frames_total" + string(label):               3,
		`counter hilnet_bytes_total{"direction":"down","link":""}`:  1,
		`histogram hilnet_acknowledge_seconds_bucket{"le":"0.005"}`: 4,
		`histogram hilnet_acknowledge_seconds_bucket{"le":"1"}`:     8,
		`histogram hilnet_acknowledge_seconds_bucket{"le":"60"}`:    8,
		`histogram hilnet_acknowledge_seconds_bucket{"le":"+Inf"}`:  9,
		"histogram hilnet_acknowledge_seconds_count{}":              9,
		"histogram hilnet_acknowledge_seconds_sum{}":                9,
		`gauge hilnet_pool_free_packets{"device":"device"}`:         5,
		"counter hilnet_ui_missed_total{}":                          7,
		`counter hilnet_ui_requests_total{"class":"4xx"}`:           3,
		"gauge hilnet_ui_streams{}":                                 0,
		"counter hilnet_ui_refused_connections_total{}":             0,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", key, v, ok, want)
		}
	}
	if want := strings.Count(string(text), "\n") - strings.Count(string(text), "\n# ") - 1; lines != want {
		t.Errorf("the parser read %d samples of %d:\n%s", lines, want, text)
	}
}
