// Package linktest is what tests need from the machine they run on: a TAP
// device, network namespaces, mosquitto, tshark, shared data. Only tests import it.
//
// A test says what it needs with [Require], or by using a function here that
// does. Where the need is not met the test skips with the reason, unless the
// environment names the need in HILNET_REQUIRE (a list with commas): there it
// fails, so that a green run that should have covered it has covered it.
package linktest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// The environment variables that tests read.
const (
	RequireEnv = "HILNET_REQUIRE" // needs whose absence is a failure
	DataEnv    = "HILNET_DATA"    // folder with data too large for the repository
	SoakEnv    = "HILNET_SOAK"    // run the long tests too
)

// Needs that are not the name of a program on the PATH.
const (
	NeedTUN   = "tun"   // /dev/net/tun and the right to create an interface
	NeedNetns = "netns" // the right to create a network namespace, and ip
	NeedData  = "data"  // the folder that HILNET_DATA names
	NeedLwIP  = "lwip"  // lwIP's headers and library, Debian's liblwip-dev
	NeedIPXE  = "ipxe"  // iPXE as a kernel image, Debian's ipxe
	// NeedPrometheus is Prometheus' own parser for Python, Debian's python3-prometheus-client.
	NeedPrometheus = "prometheus"
	NeedUBoot      = "u-boot" // U-Boot for QEMU's PC, Debian's u-boot-qemu
)

// Require skips the test when the machine lacks a need, or fails it where
// HILNET_REQUIRE names that need. A need is one of the constants above or a
// program, such as "tshark".
func Require(t testing.TB, needs ...string) {
	t.Helper()
	for _, need := range needs {
		if err := missing(need); err != nil {
			absent(t, need, err.Error())
		}
	}
}

// Required reports whether HILNET_REQUIRE names the need.
func Required(need string) bool {
	return slices.Contains(strings.Split(os.Getenv(RequireEnv), ","), need)
}

// absent ends the test as HILNET_REQUIRE says.
func absent(t testing.TB, need, why string) {
	t.Helper()
	if Required(need) {
		t.Fatalf("%s names %q, and this machine lacks it: %s", RequireEnv, need, why)
	}
	t.Skipf("needs %s: %s", need, why)
}

func missing(need string) error {
	switch need {
	case NeedTUN:
		return missingTUN()
	case NeedNetns:
		return missingNetns()
	case NeedData:
		if os.Getenv(DataEnv) == "" {
			return fmt.Errorf("%s is not set", DataEnv)
		}
		return nil
	case NeedLwIP:
		_, err := os.Stat("/usr/include/lwip/lwip/tcpip.h")
		return err
	case NeedIPXE:
		_, err := os.Stat("/usr/lib/ipxe/ipxe.lkrn")
		return err
	case NeedPrometheus:
		_, err := os.Stat("/usr/lib/python3/dist-packages/prometheus_client/parser.py")
		return err
	case NeedUBoot:
		_, err := os.Stat("/usr/lib/u-boot/qemu-x86/u-boot.rom")
		return err
	}
	_, err := exec.LookPath(need)
	return err
}

// Data returns the path of a file or folder in the folder that HILNET_DATA
// names, or else in the repository. Where it is in neither, the test skips, or
// fails if HILNET_DATA is set: then the data ought to be there.
func Data(t testing.TB, path string) string {
	t.Helper()
	dir := os.Getenv(DataEnv)
	for _, root := range []string{dir, Root(t)} {
		if root == "" {
			continue
		}
		full := filepath.Join(root, filepath.FromSlash(path))
		if _, err := os.Stat(full); err == nil {
			return full
		}
	}
	if dir != "" {
		t.Fatalf("%s is set, and %s is neither there nor in the repository", DataEnv, path)
	}
	absent(t, NeedData, path+" is not in the repository and "+DataEnv+" is not set")
	return ""
}

// started is the folder the tests began in: their package's, also when one of them changes it later.
var started, errStarted = os.Getwd()

// Root returns the repository's folder, with -trimpath too.
func Root(t testing.TB) string {
	t.Helper()
	if errStarted != nil {
		t.Fatalf("linktest: %v", errStarted)
	}
	for dir := started; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatalf("linktest: no go.mod above %s", started)
		}
	}
}

// Soak skips the test unless HILNET_SOAK is set: it takes longer than a check may.
func Soak(t testing.TB) {
	t.Helper()
	if os.Getenv(SoakEnv) == "" {
		t.Skipf("takes long: set %s=1, or run make soak", SoakEnv)
	}
}

// NoLeaks fails the test if goroutines are left at its end that were not there
// when NoLeaks was called.
func NoLeaks(t testing.TB) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		if err := goleak.Find(before); err != nil {
			t.Errorf("goroutines leak: %v", err)
		}
	})
}
