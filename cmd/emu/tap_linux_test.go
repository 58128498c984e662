package main

import (
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// The commands and flags of emu tap, in a namespace of the test's own.
func TestTAPsAreMadeListedAndDeleted(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns)
	ns := linktest.Namespace(t)
	works := func(want string, args ...string) {
		t.Helper()
		if code, out, errs := call(t, args...); code != exitPass || !strings.Contains(out, want) {
			t.Errorf("emu %v: %d\n%s%s\nwant %q", args, code, out, errs, want)
		}
	}
	fails := func(code int, want string, args ...string) {
		t.Helper()
		if got, out, errs := call(t, args...); got != code || !strings.Contains(errs, want) {
			t.Errorf("emu %v: %d\n%s%s\nwant %d and %q", args, got, out, errs, code, want)
		}
	}
	works("there is no TAP", "tap", "list", "--netns", ns.Name)
	works("dut0 is there and up", "tap", "create", "dut0", "--netns", ns.Name, "--owner", "4242", "--bridge", "br7")
	works("dut0  4242   br7     yes  no      -", "tap", "list", "--netns", ns.Name)
	works(`"owner": 4242`, "tap", "list", "--netns", ns.Name, "--json")
	if got := ns.Run("ip", "-d", "link", "show", "dut0"); !strings.Contains(got, "master br7") {
		t.Errorf("it is not in the bridge: %s", got)
	}
	fails(exitEnvironment, "there is an interface dut0 already", "tap", "create", "dut0", "--netns", ns.Name)
	if _, _, errs := call(t, "tap", "create", "dut0", "--netns", ns.Name); strings.Contains(errs, "emu doctor") {
		t.Errorf("doctor knows nothing of an interface that is there: %s", errs)
	}
	fails(exitEnvironment, "not a TAP", "tap", "delete", "lo", "--netns", ns.Name)
	fails(exitEnvironment, "no network namespace", "tap", "list", "--netns", "there-is-none")
	fails(exitUsage, "no such user", "tap", "create", "dut1", "--owner", "nobody-here", "--netns", ns.Name)
	fails(exitUsage, `did you mean "create"`, "tap", "creat")
	fails(exitUsage, "at most 15", "tap", "create", "a-name-that-is-too-long", "--netns", ns.Name)
	works("dut0 is deleted", "tap", "delete", "dut0", "--netns", ns.Name)
	works("there is no TAP", "tap", "list", "--netns", ns.Name)
}

// Root has all that emu doctor asks for where the other tests run;
// saysThatItMayNotOpenATap asks for somebody else.
func TestTheDoctorSaysWhatIsMissing(t *testing.T) {
	linktest.Require(t, linktest.NeedTUN, linktest.NeedNetns)
	if code, out, errs := call(t, "doctor"); code != exitPass || !strings.Contains(out, "making a bridge") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
}
