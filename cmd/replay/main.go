// Command replay looks into captures: what conversations and MQTT messages are in
// a file, what of it cannot be used and why.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"hilnet/emu"
)

// Exit codes, as those of the command emu.
const (
	exitPass        = 0
	exitFail        = 1   // the capture is cut or damaged; what is before that was shown
	exitUsage       = 2   // the command line is wrong, or the file is no capture
	exitEnvironment = 3   // the file cannot be read, or the output not written
	exitInternal    = 4   // a bug in hilnet
	exitInterrupted = 130 // Ctrl-C
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back, so a second one ends the process.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole command, for tests too.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(stderr, "replay: internal error: %v\n\nThis is a bug in hilnet. What repeats it: replay %q\n\n%s", r, args, debug.Stack())
			code = exitInternal
		}
	}()
	out := &output{Writer: stdout}
	c := &cli{stdout: out, stderr: stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case out.err != nil && (err == nil && c.code == exitPass || errors.Is(err, out.err)):
		return c.report(&emu.EnvironmentError{Op: "write standard output", Err: out.err, Hint: "what was printed is not whole"})
	case err != nil:
		return c.report(err)
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
