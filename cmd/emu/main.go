// Command emu runs scenarios: emulated devices, links and brokers, recorded and
// judged.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"hilnet/emu"
)

// Exit codes; every command uses them alike.
const (
	exitPass         = 0
	exitFail         = 1   // an expectation failed
	exitUsage        = 2   // the command line or the scenario is wrong
	exitEnvironment  = 3   // disk, rights, a missing tool
	exitInternal     = 4   // a bug in hilnet
	exitInconclusive = 5   // too late, in real time
	exitInterrupted  = 130 // Ctrl-C
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// After the first signal the default is back, so a second one ends the process.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole command, for tests too.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return (&cli{args: args, stdin: stdin, stdout: stdout, stderr: stderr}).run(ctx)
}

func (c *cli) run(ctx context.Context) (code int) {
	defer func() {
		if r := recover(); r != nil {
			c.internalError(r, debug.Stack())
			code = exitInternal
		}
	}()
	root := c.root()
	root.SetArgs(c.args)
	root.SetIn(c.stdin)
	root.SetErr(c.stderr)
	out := &output{Writer: c.stdout}
	c.stdout = out
	root.SetOut(out)
	if err := root.ExecuteContext(ctx); err != nil {
		return c.report(err)
	}
	if out.err != nil && c.code == exitPass {
		return c.report(&emu.EnvironmentError{Op: "write standard output", Err: out.err})
	}
	return c.code
}

// An output remembers the first error of standard output, which most commands
// have no use for while they print.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// internalError tells of a bug in hilnet and how to see it again.
func (c *cli) internalError(what any, stack []byte) {
	var words strings.Builder
	for _, a := range c.args {
		words.WriteString(" " + emu.Quote(a))
	}
	fmt.Fprintf(c.stderr, "emu: internal error: %v\n\nThis is a bug in hilnet. What repeats it: emu%s\n\n%s", what, &words, stack)
}
