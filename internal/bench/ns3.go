package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"hilnet/internal/linktest"
)

const (
	ns3Source = "ns3-bulk.cc"
	ns3Header = "/usr/include/ns3/core-module.h"
)

// ns3 is the peer's run of the same transfer: 50 MB over TCP at 1 Gbit/s, 20 ms
// each way, in writes of so many bytes. Its program is not part of the
// repository: it is looked for in the folder that HILNET_DATA names, and beside it.
func ns3(size int, pcap bool) func(*workshop) (command, error) {
	return func(w *workshop) (command, error) {
		source, err := ns3Program(os.Getenv(linktest.DataEnv))
		if err != nil {
			return command{}, err
		}
		text, err := withWrites(source, size)
		if err != nil {
			return command{}, err
		}
		path, err := w.once(fmt.Sprintf("ns3-%d", size), func(path string) *exec.Cmd {
			args := []string{"-O2", "-std=c++17", "-x", "c++", "-", "-o", path}
			for _, lib := range []string{"core", "network", "internet", "point-to-point", "applications"} {
				args = append(args, "-lns3-"+lib)
			}
			cmd := exec.Command("g++", args...)
			cmd.Stdin = strings.NewReader(text)
			return cmd
		})
		c := command{path: path, dir: w.dir, read: readNS3}
		if pcap {
			c.args = []string{"--pcap=1"}
		}
		return c, err
	}
}

// ns3Program returns the text of the peer's program.
func ns3Program(data string) (string, error) {
	const hint = "rows beside ns-3 need Debian's ns3, libns3-dev and g++, and " + ns3Source + " in the folder bench of, or beside, that of " + linktest.DataEnv
	if _, err := os.Stat(ns3Header); err != nil {
		return "", &absent{"ns-3 is not installed", hint}
	}
	if _, err := exec.LookPath("g++"); err != nil {
		return "", &absent{"g++ is not installed", hint}
	}
	if data == "" {
		return "", &absent{linktest.DataEnv + " is not set", hint}
	}
	for _, dir := range []string{"bench", filepath.Join("..", "bench")} {
		if text, err := os.ReadFile(filepath.Join(data, dir, ns3Source)); err == nil {
			return string(text), nil
		}
	}
	return "", &absent{"there is no " + ns3Source, hint}
}

var sendSize = regexp.MustCompile(`"SendSize",\s*UintegerValue\(\d+\)`)

// withWrites is the program with another size of its writes.
func withWrites(source string, size int) (string, error) {
	if n := len(sendSize.FindAllString(source, -1)); n != 1 {
		return "", fmt.Errorf("%s sets SendSize %d times, want once", ns3Source, n)
	}
	return sendSize.ReplaceAllString(source, fmt.Sprintf(`"SendSize",UintegerValue(%d)`, size)), nil
}

var ns3Line = regexp.MustCompile(`frames=(\d+) recv=(\d+) `)

func readNS3(output string) (map[string]float64, error) {
	m := ns3Line.FindStringSubmatch(output)
	if m == nil || m[2] != strconv.Itoa(bulkBytes) {
		return nil, fmt.Errorf("not the whole transfer of %d bytes: %q", bulkBytes, output)
	}
	frames, err := strconv.ParseFloat(m[1], 64)
	return map[string]float64{"frames": frames}, err
}
