package plot_test

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hilnet/report/page/plot"
)

const sweep = `pool.packets,link.loss,runs,passed,pass_rate,pass_rate_low,pass_rate_high,latency_p95_mean,latency_p95_low,latency_p95_high,latency_p95_min,latency_p95_max,latency_p95_n
4,0,10,0,0,0,0.278,,,,,,0
8,0,10,5,0.5,0.2366,0.7634,2000000000,1500000000,2500000000,1,2,10
12,0,10,10,1,0.722,1,1000000000,1000000000,1000000000,1,2,10
4,2%,10,0,0,0,0.278,,,,,,0
8,2%,10,2,0.2,0.0567,0.5098,3000000000,2500000000,3500000000,1,2,10
12,2%,10,9,0.9,0.596,0.982,2000000000,1900000000,2100000000,1,2,10
`

func table(t testing.TB, text string) *plot.Table {
	t.Helper()
	tab, err := plot.ReadTable("sweep", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestTheTableOfASweepBecomesCurvesWithIntervals(t *testing.T) {
	var out bytes.Buffer
	cfg := plot.TableConfig{Metrics: []string{"pass_rate", "latency_p95"}}
	if err := table(t, sweep).Plot(&out, cfg); err != nil {
		t.Fatal(err)
	}
	svg := out.String()
	wellFormed(t, svg)
	for _, want := range []string{">runs that passed [%]<", ">latency p95 [s]<", ">pool.packets<", ">link.loss 0<", ">link.loss 2%<", ">4<", ">8<", ">12<"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the figure lacks %s", want)
		}
	}
	// Bars go from the low to the high end of the interval: 0.2366 and 0.7634 of
	// the height that 0 to 100 % have.
	ticks := map[string]float64{}
	for _, m := range regexp.MustCompile(`<text x="58" y="([0-9.]+)" [^>]*>([0-9]+)</text>`).FindAllStringSubmatch(svg, -1) {
		if _, known := ticks[m[2]]; !known {
			ticks[m[2]], _ = strconv.ParseFloat(m[1], 64)
		}
	}
	height := ticks["0"] - ticks["100"]
	zero := ticks["0"] - 0.36*11
	low, high, found := zero-0.2366*height, zero-0.7634*height, false
	for _, m := range regexp.MustCompile(` ([0-9.]+)h6m-3 0V([0-9.]+)m-3 0h6`).FindAllStringSubmatch(svg, -1) {
		from, _ := strconv.ParseFloat(m[1], 64)
		to, _ := strconv.ParseFloat(m[2], 64)
		found = found || math.Abs(from-low) < 0.2 && math.Abs(to-high) < 0.2
	}
	if !found {
		t.Errorf("no bar from %.1f to %.1f", low, high)
	}
	var again bytes.Buffer
	if err := table(t, sweep).Plot(&again, cfg); err != nil || again.String() != svg {
		t.Errorf("the same table has another figure (%v)", err)
	}
	out.Reset()
	none := regexp.MustCompile(`,[0-9]+,[0-9]+,[0-9]+,1,2,10`).ReplaceAllString(sweep, ",,,,,,0")
	if err := table(t, none).Plot(&out, plot.TableConfig{Metrics: []string{"latency_p95"}}); err != nil || !strings.Contains(out.String(), ">no run has a value<") {
		t.Errorf("a metric that no run has: %v", err)
	}
	out.Reset()
	if err := table(t, sweep).Plot(&out, plot.TableConfig{Along: "link.loss"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), ">pool.packets 12<") || !strings.Contains(out.String(), ">link.loss [%]<") {
		t.Error("the curves do not go along the other key")
	}
}

func TestTablesThatAreNoneAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "has no table",
		"a,b\n1,2\n":                         "is not the table of a sweep",
		sweep[:strings.Index(sweep, "\n")+1]: "has no rows",
		strings.Replace(sweep, "8,0,10,5,0.5", "8,0,10,5,half", 1):        `row 3: "half" is not a number`,
		strings.Replace(sweep, "8,0,10,5,0.5", "8,0,10,5,NaN", 1):         `row 3: "NaN" is not a number`,
		strings.Replace(sweep, "8,0,10,5,0.5,", "8,0,10,5,", 1):           "wrong number of fields",
		"runs,passed,pass_rate,pass_rate_low,pass_rate_high\n1,1,1,1,1\n": "over seeds only",
	} {
		tab, err := plot.ReadTable("sweep", strings.NewReader(text))
		if err == nil {
			err = tab.Plot(io.Discard, plot.TableConfig{})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	for _, c := range []struct {
		cfg  plot.TableConfig
		want string
	}{
		{plot.TableConfig{Along: "nothing"}, `no key "nothing"; there are pool.packets, link.loss`},
		{plot.TableConfig{Metrics: []string{"nothing"}}, `no metric "nothing"; there are pass_rate, latency_p95`},
		{plot.TableConfig{Width: 1}, "a width of 1"},
		{plot.TableConfig{Metrics: make([]string, 9)}, "9 metrics"},
	} {
		if err := table(t, sweep).Plot(io.Discard, c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	var many strings.Builder
	many.WriteString("a,b,runs,passed,pass_rate,pass_rate_low,pass_rate_high\n")
	for i := range 7 {
		fmt.Fprintf(&many, "1,%d,1,1,1,1,1\n", i)
	}
	if err := table(t, many.String()).Plot(io.Discard, plot.TableConfig{}); err == nil || !strings.Contains(err.Error(), "more than 6 curves") {
		t.Errorf("%v", err)
	}
}

func FuzzReadTable(f *testing.F) {
	f.Add(sweep, "latency_p95", "link.loss")
	f.Add("a,runs,passed,pass_rate,pass_rate_low,pass_rate_high\n1ms,1,1,1,0,1e300\n", "pass_rate", "")
	f.Add("a,runs,passed,pass_rate,pass_rate_low,pass_rate_high\n-1e308,1,1,-1e308,-1e308,1e308\n1e308,1,1,1,1,1\n", "", "a")
	f.Fuzz(func(t *testing.T, text, metric, along string) {
		tab, err := plot.ReadTable("x", strings.NewReader(text))
		if err != nil {
			return
		}
		var out bytes.Buffer
		if tab.Plot(&out, plot.TableConfig{Metrics: []string{metric}, Along: along}) == nil && strings.Contains(out.String(), "NaN") {
			t.Errorf("a number that is none:\n%s", out.String())
		}
	})
}
