package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"hilnet/internal/linktest"
)

// bursty has what computes with fractions: shares, rates, pauses that are spread.
const bursty = `
version: 1
name: bursty
seed: 3
duration: 60s
devices:
  - {name: n, profile: netx, reconnect: 1s, backoff: {max: 30s, factor: 2, jitter: 20%}, steps: &steps [connect, every: {period: 300ms, do: [publish: {topic: t, payload: "{n} {t}", qos: 1}]}]}
  - {name: l, profile: linux, reconnect: 1s, steps: *steps}
links:
  - {device: n, delay: 50ms, loss: 5%, rate: 200kbit}
  - {device: l, delay: 30ms, loss: 5%}
broker: {kind: model}
timeline: [{at: 20s, do: blackhole, for: 8s, link: link-n}]
`

// The compiler fuses multiplications and additions on arm64 and not on amd64,
// and package math has other code there: what is fused somewhere in the path of
// a draw, a time or a figure gives other bytes here.
func TestAnotherArchitectureWritesTheSameBytes(t *testing.T) {
	linktest.Soak(t)
	const emulator = "qemu-aarch64"
	linktest.Require(t, emulator)
	if runtime.GOOS != "linux" || runtime.GOARCH == "arm64" {
		t.Skip("needs Linux on another architecture than arm64")
	}
	native := []string{build(t)}
	t.Setenv("GOARCH", "arm64")
	t.Setenv("CGO_ENABLED", "0")
	emulated := []string{emulator, build(t)}

	file := write(t, filepath.Join(t.TempDir(), "bursty.yaml"), bursty)
	for _, scenario := range []string{"link-drop", "pool-starved", "connect-v6", "fleet-small", file} {
		files := func(emu []string) map[string]string {
			dir := t.TempDir()
			code, out := finish(t, invoke(emu, "run", scenario, "--out", dir))
			if code != exitPass && code != exitFail {
				t.Fatalf("%s: exit %d\n%s", scenario, code, out)
			}
			return sha256Sums(t, dir)
		}
		if want, got := files(native), files(emulated); len(want) < 2 || !maps.Equal(got, want) {
			t.Errorf("%s: on arm64 %v, want %v", scenario, got, want)
		}
	}
	for _, netem := range []string{
		"delay 100ms 20ms distribution normal loss gemodel 1% 10% 80% 0.1%",
		"delay 50ms 10ms 25% distribution pareto reorder 25% 50% loss 3% 25%",
		"rate 260kbit delay 30ms 5ms distribution paretonormal loss state 1% 20% corrupt 1% duplicate 2%",
	} {
		figures := func(emu []string) string {
			code, out := finish(t, invoke(emu, "netem", netem, "--packets", "20000", "--json"))
			if code != exitPass {
				t.Fatalf("%s: exit %d\n%s", netem, code, out)
			}
			return out
		}
		if want, got := figures(native), figures(emulated); got != want {
			t.Errorf("%s: on arm64\n%s\nwant\n%s", netem, got, want)
		}
	}
}

func invoke(program []string, args ...string) *exec.Cmd {
	cmd := exec.Command(program[0], append(program[1:len(program):len(program)], args...)...)
	cmd.Env = os.Environ()
	return cmd
}
