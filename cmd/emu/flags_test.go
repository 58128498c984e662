package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"hilnet/emu"
	"hilnet/internal/linktest"
	"hilnet/mqtt"
	"hilnet/sim"
)

// A flagCase shows what a flag does: the pattern is found in the exit code, the
// output and the names of the files of the command with the flag, and not of the
// command without it. With an exclamation mark it is the other way round.
type flagCase struct{ without, with, pattern string }

// flagCases has an entry for each flag of each command. Those that are not here
// are in flagTests.
var flagCases = map[string]flagCase{
	"run seed":         {"run clean-link", "--seed 77", `again +emu run clean-link --seed 77`},
	"run out":          {"run clean-link", "--out there", `(?m)^file there/clean-link.peer.pcapng$`},
	"run set":          {"run clean-link", "--set pool.packets=20", `low-water mark 17 of 20`},
	"run json":         {"run clean-link", "--json", `"published": 50`},
	"run junit":        {"run clean-link", "--junit r.xml", `(?m)^file r.xml$`},
	"run report":       {"run clean-link", "--report r.html", `(?m)^file r.html$`},
	"run max-lateness": {"run clean-link --set clock=real --set duration=300ms", "--max-lateness 1ns", `exit 5`},
	"run quiet":        {"run clean-link", "--quiet", `!published`},
	"run verbose":      {"run clean-link keepalive-lost", "--verbose", `low-water mark`},
	"run progress":     {"run clean-link", "--progress json", `"done": ?1`},

	"sweep set":      {"sweep clean-link", "--set pool.packets=8,16", `(?m)^8 +1 +100 %`},
	"sweep seeds":    {"sweep clean-link", "--seeds 3", `3 of 3 runs passed`},
	"sweep seed":     {"sweep link-drop --set pool.packets=16", "--seed 5", `emu run link-drop .*--seed 5`},
	"sweep shard":    {"sweep clean-link --seeds 4", "--shard 1/2", `2 of 2 runs passed`},
	"sweep resume":   {"sweep clean-link --seeds 2 --out-file old.jsonl", "--resume", `exit 0`},
	"sweep out-file": {"sweep clean-link", "--out-file new.jsonl", `(?m)^file new.jsonl$`},
	"sweep csv":      {"sweep clean-link", "--csv new.csv", `(?m)^file new.csv$`},
	"sweep report":   {"sweep clean-link", "--report s.html", `(?m)^file s.html$`},
	"sweep format":   {"sweep clean-link", "--format json", `"format": "hilnet-sweep-summary/1"`},
	"sweep metric":   {"sweep clean-link", "--metric connects", `passed.* connects`},
	"sweep failures": {"sweep link-drop --set pool.packets=16", "--failures 0", `!emu run link-drop`},
	"sweep find":     {"sweep clean-link --set pool.packets=8,16", "--find pool.packets", `(?m)^8 +12768 B +[0-9]+ +0 +1 of 1 +79.3 %$`},
	"sweep quiet":    {"sweep clean-link", "--quiet", `!runs passed`},
	"sweep progress": {"sweep clean-link", "--progress plain", `1 of 1 runs, 100 %`},

	"explore set":      {"explore idle-sensor --max 5", "--set duration=1s", `idle-sensor, seed 1: (9|1[0-9]) frames`},
	"explore seed":     {"explore idle-sensor --max 5", "--seed 77", `idle-sensor, seed 77`},
	"explore pairs":    {"explore idle-sensor --max 5", "--pairs 7", `; 7 pairs, `},
	"explore max":      {"explore idle-sensor", "--max 5", `; 5 lost one by one`},
	"explore format":   {"explore idle-sensor", "--format csv", `(?m)^1,link,up,6,10.000,PINGREQ,fail,`},
	"explore json":     {"explore idle-sensor --max 5", "--json", `"format": "hilnet-explore/1"`},
	"explore out":      {"explore idle-sensor --max 5", "--out found.json", `(?m)^file found.json$`},
	"explore report":   {"explore idle-sensor --max 5", "--report x.html", `(?m)^file x.html$`},
	"explore quiet":    {"explore idle-sensor --max 5", "--quiet", `!lost one by one`},
	"explore progress": {"explore idle-sensor --max 5", "--progress plain", `5 of 5 runs, 100 %`},

	"shrink set":      {"shrink idle-sensor", "--set link.up.drop_frames=[6]", `1 of 1 lost frames are enough`},
	"shrink seed":     {"shrink idle-sensor --set link.loss=5%", "--seed 3", `(?m)^seed: 3$`},
	"shrink out":      {"shrink idle-sensor --set link.up.drop_frames=[6]", "--out small.yaml", `(?m)^file small.yaml$`},
	"shrink expect":   {"shrink idle-sensor --set link.up.drop_frames=[6]", "--expect conservation", `nothing that --expect "conservation" means fails`},
	"shrink max-runs": {"shrink idle-sensor --set link.up.drop_frames=[6,7,8]", "--max-runs 3", `--max-runs ended the search`},
	"shrink json":     {"shrink idle-sensor --set link.up.drop_frames=[6]", "--json", `"what": "PINGREQ"`},
	"shrink progress": {"shrink idle-sensor --set link.up.drop_frames=[6]", "--progress plain", `runs, 100 %`},

	"doctor json": {"doctor", "--json", `"needed": true`},

	"merge out-file": {"merge old.jsonl", "--out-file new.jsonl", `(?m)^file new.jsonl$`},
	"merge csv":      {"merge old.jsonl", "--csv new.csv", `(?m)^file new.csv$`},
	"merge report":   {"merge old.jsonl", "--report m.html", `(?m)^file m.html$`},
	"merge format":   {"merge old.jsonl", "--format json", `"format": "hilnet-sweep-summary/1"`},
	"merge metric":   {"merge old.jsonl", "--metric connects", `passed.* connects`},
	"merge failures": {"merge failed.jsonl", "--failures 0", `!emu run link-drop`},
	"merge find":     {"merge failed.jsonl", "--find pool.packets", `(?m)^none +- `},
	"merge quiet":    {"merge old.jsonl", "--quiet", `!runs passed`},
	"merge partial":  {"merge half.jsonl", "--partial", `exit 0`},

	"validate set":      {"validate clean-link", "--set duration=77s", `expectations, 77s`},
	"run decisions-out": {"run clean-link", "--decisions-out log.jsonl", `file log.jsonl`},

	"validate quiet":      {"validate clean-link", "--quiet", `!clean-link`},
	"list json":           {"list", "--json", `"name": "clean-link"`},
	"list all":            {"list", "--all", `(?m)^pool-deadlock +The pool is full`},
	"show resolved":       {"show clean-link", "--resolved", `mac: `},
	"show set":            {"show clean-link", "--set pool.packets=20", `packets: 20`},
	"explain json":        {"explain rx_pool_empty", "--json", `"name": "rx_pool_empty"`},
	"quirks json":         {"quirks copy_drop", "--json", `"part": "client"`},
	"presets json":        {"presets geo", "--json", `"basis": "published"`},
	"conformance packets": {"conformance --packets 12000", "--packets 10000", `blocks with another number lost +10000 `},
	"conformance seed":    {"conformance --packets 10000", "--seed 5", `wrong, seed 5`},
	"conformance json":    {"conformance --packets 10000", "--json", `"statistic": "mean run"`},

	"netem json":    {"netem delay 1ms --packets 100", "--json", `"canonical": "delay 1ms"`},
	"netem packets": {"netem delay 1ms --packets 200", "--packets 100", `(?m)^100 packets of`},
	"netem every":   {"netem delay 1ms --packets 100", "--every 7ms", `one each 7ms`},
	"netem size":    {"netem delay 1ms --packets 100", "--size 77", `packets of 77 B`},
	"netem seed":    {"netem loss 50% --packets 100", "--seed 5", `one each 10ms, seed 5`},
	"broker listen": {"broker --for 20ms", "--listen 127.0.0.2:0", `listening on 127\.0\.0\.2:`},
	"broker expose": {"broker --for 20ms --listen 0.0.0.0:0", "--expose", `listening on`},
	"broker state":  {"broker --for 20ms --listen 127.0.0.1:0", "--state s.json", `(?m)^file s.json$`},
	"broker trace":  {"broker --for 20ms --listen 127.0.0.1:0", "--trace t.jsonl", `(?m)^file t.jsonl$`},
	"run keylog":    {"run tls-expired", "--keylog keys.log", `(?m)^file keys.log$`},
	"schema result": {"schema", "--result", `conservation_errors`},
	"version":       {"", "--version", `(?m)^hilnet ` + emu.Version + `$`},
	"init device":   {"init -", "--device linux", `(?m)^    profile: linux$`},
	"init pool":     {"init -", "--pool 7x256", `(?m)^    pool: {packets: 7, payload: 256B}$`},
	"init link":     {"init -", "--link geo", `(?m)^  - preset: geo$`},
	"init cut":      {"init -", "--cut 77s", `do: blackhole, for: 1m17s`},
	"init broker":   {"init -", "--broker tap", `(?m)^  kind: tap$`},
	"init ask":      {"init -", "--ask", `Stack of the device`},
	"version json":  {"version", "--json", `"hilnet": `},
}

// flagTests show what a table cannot.
var flagTests = map[string]func(*testing.T){
	"run parallel":     func(t *testing.T) { sideBySide(t, "run", "one.yaml", "two.yaml") },
	"sweep parallel":   func(t *testing.T) { sideBySide(t, "sweep", "one.yaml", "--seeds", "2") },
	"explore parallel": func(t *testing.T) { severalAtOnce(t, "explore") },
	"shrink parallel":  func(t *testing.T) { severalAtOnce(t, "shrink") },
	"sweep verify":     runsTwice,
	"netem tables":     ownTable,
	"broker for":       brokerEnds,
	"run decisions":    dropsAFrame,
	"run from":         repeatsARecording,
	"run ui":           showsARun,
	"run ui-stay":      staysInSight,
	"broker tls-cert":  brokerSpeaksTLS,
	"broker tls-key":   brokerSpeaksTLS,
	"broker client-ca": brokerAsksForCertificates,
	"broker keylog":    brokerLogsKeys,
	"certs names":      certificateFlags,
	"certs days":       certificateFlags,
	"certs ecdsa":      certificateFlags,
	"certs force":      certificatesStay,
	"plot out":         drawsARun,
	"plot show":        drawnByTheOthers,
	"plot device":      drawnByTheOthers,
	"plot from":        drawnByTheOthers,
	"plot to":          drawnByTheOthers,
	"plot width":       drawnByTheOthers,
	"plot metric":      drawsASweep,
	"plot along":       drawnByTheOthers,
	"report out":       reportsElsewhere,

	"distance scenario":  distanceFlag("field.pcap netx", "--scenario 2a-dead-link-8s", `(?m)^distance [0-9.]+, `),
	"distance device":    distanceFlag("field.pcap netx --scenario 2a-dead-link-8s", "--device 192.0.2.9", `no frame of the device 192\.0\.2\.9`),
	"distance set":       distanceFlag("a/clean-link.device.pcapng netx", "--set mqtt.keepalive=7s", `not within 0`),
	"distance within":    distanceFlag("field.pcap netx --scenario 2a-dead-link-8s", "--within 50", `exit 0`),
	"distance tolerance": distanceFlag("field.pcap netx --scenario 2a-dead-link-8s", "--tolerance 0s", `(?m)^retransmission +retries +0\.`),
	"distance contents":  distanceFlag("field.pcap netx --scenario 2a-dead-link-8s", "--contents", `payload 8 bytes [0-9a-f]{8}`),
	"distance max":       distanceFlag("field.pcap netx --scenario 2a-dead-link-8s", "--max 0", `!changed \(`),
	"distance program":   distanceFlag("a/clean-link.device.pcapng netx", "--program idle-sensor", `(?m)^mqtt +messages +[1-9]`),
	"distance decisions": distanceFlag("a/clean-link.device.pcapng netx", "--decisions drops.jsonl", `(?m)^retransmission +retries `),
	"distance keylog":    distanceFlag("a/clean-link.device.pcapng netx", "--keylog field.pcap", `it holds no secret of a TLS session`),
	"distance json":      distanceFlag("field.pcap netx --scenario 2a-dead-link-8s", "--json", `"format": "hilnet-distance"`),

	"report quiet": reportsQuietly,

	"tap create owner":  tapFlags,
	"tap create bridge": tapFlags,
	"tap create netns":  tapFlags,
	"tap list netns":    tapFlags,
	"tap list json":     tapFlags,
	"tap delete netns":  tapFlags,
}

// drawnByTheOthers stands for a flag of emu plot that drawsARun and drawsASweep
// use as well.
func drawnByTheOthers(*testing.T) {}

// tapFlags stands for a flag of emu tap, which TestTAPsAreMadeListedAndDeleted
// uses where there are TAPs.
func tapFlags(t *testing.T) { linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns) }

// No flag parses and does nothing: a flag that is in none of the tables fails.
func TestEveryFlagDoesSomething(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	seen := map[string]bool{}
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		name := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "emu"), " ")
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return // TestEveryCommandHasHelpWithExamples
			}
			key := strings.TrimPrefix(name+" "+f.Name, " ")
			seen[key] = true
			switch c, ok := flagCases[key]; {
			case ok:
				t.Run(key, c.check)
			case flagTests[key] != nil:
				t.Run(key, flagTests[key])
			default:
				t.Errorf("emu %s --%s: nothing here shows what it does", name, f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk((&cli{}).root())
	for _, key := range slices.Concat(slices.Sorted(maps.Keys(flagCases)), slices.Sorted(maps.Keys(flagTests))) {
		if !seen[key] {
			t.Errorf("emu has no flag %q any more", key)
		}
	}
}

func (c flagCase) check(t *testing.T) {
	pattern, inverse := strings.CutPrefix(c.pattern, "!")
	re := regexp.MustCompile(pattern)
	without, with := shown(t, strings.Fields(c.without)), shown(t, append(strings.Fields(c.without), strings.Fields(c.with)...))
	if re.MatchString(without) != inverse || re.MatchString(with) == inverse {
		t.Errorf("%s: looked for %s\nwithout:\n%s\nwith:\n%s", c.with, c.pattern, without, with)
	}
}

// shown runs a command in a folder with a few results and returns all that a
// user sees of it.
func shown(t *testing.T, args []string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, prepare := range [][]string{
		{"sweep", "clean-link", "--seeds", "2", "--out-file", "old.jsonl", "--quiet"},
		{"sweep", "clean-link", "--seeds", "2", "--out-file", "half.jsonl", "--shard", "1/2", "--quiet"},
		{"sweep", "link-drop", "--set", "pool.packets=16", "--out-file", "failed.jsonl", "--quiet"},
	} {
		if slices.ContainsFunc(args, func(a string) bool { return slices.Contains(prepare, a) && strings.HasSuffix(a, ".jsonl") }) {
			call(t, prepare...)
		}
	}
	code, stdout, stderr := call(t, args...)
	text := fmt.Sprintf("exit %d\n%s%s", code, stdout, stderr)
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		text += "file " + filepath.ToSlash(path) + "\n"
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

const appFile = `
version: 1
name: NAME
duration: 1s
devices: [{app: meets}]
broker: {kind: model}
expect: [duration == 1s]
`

// withApp runs a command on one.yaml and two.yaml, whose devices have an App.
func withApp(t *testing.T, app emu.App, args ...string) (int, string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(name+".yaml", []byte(strings.Replace(appFile, "NAME", name, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	c := &cli{args: args, stdout: &out, stderr: &out, apps: map[string]emu.App{"meets": app}}
	return c.run(t.Context()), out.String()
}

// sideBySide shows that --parallel is how many runs go on at a moment: two Apps
// that wait for each other meet if it is 2 and do not if it is 1.
func sideBySide(t *testing.T, args ...string) {
	for _, c := range []struct {
		parallel string
		met      int32
		patience time.Duration
	}{{"2", 2, time.Minute}, {"1", 0, 50 * time.Millisecond}} {
		var met atomic.Int32
		door := make(chan struct{})
		app := func(*sim.Task, *mqtt.Client) {
			select {
			case door <- struct{}{}:
				met.Add(1)
			case <-door:
				met.Add(1)
			case <-time.After(c.patience):
			}
		}
		code, out := withApp(t, app, append(args, "--parallel", c.parallel)...)
		if code != exitPass || met.Load() != c.met {
			t.Errorf("--parallel %s: %d met, exit %d\n%s", c.parallel, met.Load(), code, out)
		}
	}
}

// runsTwice shows that --verify 2 does every second run twice, and sees the one
// that differs.
func runsTwice(t *testing.T) {
	for _, c := range []struct {
		flags []string
		runs  int32
	}{{nil, 4}, {[]string{"--verify", "2"}, 6}, {[]string{"--verify", "1"}, 8}} {
		var runs atomic.Int32
		app := func(*sim.Task, *mqtt.Client) { runs.Add(1) }
		code, out := withApp(t, app, append([]string{"sweep", "one.yaml", "--seeds", "4"}, c.flags...)...)
		if code != exitPass || runs.Load() != c.runs {
			t.Errorf("%v: %d runs, exit %d\n%s", c.flags, runs.Load(), code, out)
		}
	}
	var runs atomic.Int32
	moody := func(t *sim.Task, c *mqtt.Client) {
		if runs.Add(1)%2 == 0 {
			c.Publish("t", nil, false, 0, 0)
		}
	}
	if code, out := withApp(t, moody, "sweep", "one.yaml", "--verify", "1"); code != exitInternal {
		t.Errorf("two runs differ, exit %d\n%s", code, out)
	}
}

// brokerEnds shows that --for ends the broker, which nothing else does here.
func brokerEnds(t *testing.T) {
	if code, out, _ := call(t, "broker", "--listen", "127.0.0.1:0", "--for", "30ms"); code != exitPass || !strings.Contains(out, "listening on 127.0.0.1:") {
		t.Errorf("exit %d\n%s", code, out)
	}
	for _, wrong := range []string{"--for -1s", "--listen nonsense", "--listen 192.0.2.1:0", "two scenarios", "tap-mosquitto", "--state .", "--state bad.json"} {
		t.Chdir(t.TempDir())
		if err := os.WriteFile("bad.json", []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out, _ := call(t, append([]string{"broker", "--for", "1s"}, strings.Fields(wrong)...)...); code != exitUsage {
			t.Errorf("%s: exit %d\n%s", wrong, code, out)
		}
	}
}

// Commands that have no flag do something as well.
func TestEveryCommandPrintsWhatItIsFor(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"completion bash", "complete"},
		{"completion zsh", "#compdef emu"},
		{"completion fish", "complete -c emu"},
		{"help run", "run runs built-in scenarios"},
		{"explain rx_pool_empty", "rx_pool_empty"},
		{"netem loss 1% --packets 1000", "lost"},
		{"conformance --packets 10000", "rows"},
		{"schema", `"$schema"`},
		{"version", emu.Version},
		{"list", "link-drop"},
		{"show link-drop", "name: link-drop"},
		{"validate link-drop", "link-drop: valid"},
	} {
		if code, out, _ := call(t, strings.Fields(c.args)...); code != exitPass || !strings.Contains(out, c.want) {
			t.Errorf("emu %s: exit %d, looked for %q in\n%s", c.args, code, c.want, out)
		}
	}
}

// ownTable shows that --tables is where a distribution is looked for.
func ownTable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine.dist"), []byte("8192"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"netem", "delay 10ms 1ms distribution mine", "--packets", "100"}
	if code, _, _ := call(t, args...); code != exitUsage {
		t.Errorf("without the folder: exit %d", code)
	}
	if code, out, _ := call(t, append(args, "--tables", dir)...); code != exitPass || !strings.Contains(out, "most 11ms") {
		t.Errorf("exit %d\n%s", code, out)
	}
}
