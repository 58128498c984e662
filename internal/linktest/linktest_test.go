package linktest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/internal/linktest"
)

// recorder is a test that notes how it was ended.
type recorder struct {
	testing.TB
	ended string
}

type endOfTest struct{}

func (r *recorder) Helper() {}
func (r *recorder) Skipf(format string, args ...any) {
	r.ended = "skip: " + fmt.Sprintf(format, args...)
	panic(endOfTest{})
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.ended = "fail: " + fmt.Sprintf(format, args...)
	panic(endOfTest{})
}

func outcome(t *testing.T, fn func(testing.TB)) (ended string) {
	t.Helper()
	r := &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(endOfTest); !ok {
				panic(p)
			}
			ended = r.ended
		}
	}()
	fn(r)
	return "ran"
}

func TestAMissingNeedSkipsUnlessItIsRequired(t *testing.T) {
	const absent = "no-such-program-anywhere"
	need := func(tb testing.TB) { linktest.Require(tb, absent) }
	t.Setenv(linktest.RequireEnv, "tun,other")
	if got := outcome(t, need); !strings.HasPrefix(got, "skip: needs "+absent) {
		t.Errorf("not required: %q, want a skip that names it", got)
	}
	t.Setenv(linktest.RequireEnv, "tun,"+absent)
	if got := outcome(t, need); !strings.HasPrefix(got, "fail: ") || !strings.Contains(got, absent) {
		t.Errorf("required: %q, want a failure that names it", got)
	}
	if got := outcome(t, func(tb testing.TB) { linktest.Require(tb, "go") }); got != "ran" {
		t.Errorf("a program that is there: %q", got)
	}
}

func TestDataMustBeThereWhenItsFolderIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.pcap"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := func(tb testing.TB) { linktest.Data(tb, "captures/none.pcap") }

	t.Setenv(linktest.DataEnv, dir)
	if got := linktest.Data(t, "a.pcap"); got != filepath.Join(dir, "a.pcap") {
		t.Errorf("found %s", got)
	}
	if got := outcome(t, missing); !strings.HasPrefix(got, "fail: ") {
		t.Errorf("absent from the folder: %q, want a failure", got)
	}
	t.Setenv(linktest.DataEnv, "")
	if got := linktest.Data(t, "go.mod"); got != filepath.Join(linktest.Root(t), "go.mod") {
		t.Errorf("found %s in the repository", got)
	}
	if got := outcome(t, missing); !strings.HasPrefix(got, "skip: ") {
		t.Errorf("no folder named: %q, want a skip", got)
	}
	t.Setenv(linktest.RequireEnv, "data")
	if got := outcome(t, missing); !strings.HasPrefix(got, "fail: ") {
		t.Errorf("data required: %q, want a failure", got)
	}
}
