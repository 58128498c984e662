package stack

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/log"
	"gvisor.dev/gvisor/pkg/refs"
)

// Every test must close its hosts: a buffer of gVisor's or a goroutine that is
// left over fails the package.
func TestMain(m *testing.M) {
	refs.SetLeakMode(refs.LeaksPanic)
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		code = 1
	}
	refs.DoLeakCheck()
	os.Exit(code)
}

// gVisor's packages hold on to the first logger, so that one must be silent.
func TestGVisorLogsNothing(t *testing.T) {
	before := log.Log()
	newWorld(t, 1).hosts(Linux(), Linux())
	if _, silent := log.Log().Emitter.(quiet); !silent || log.Log() != before {
		t.Errorf("gVisor logs to a %T", log.Log().Emitter)
	}
}
