// Command replay looks into captures: what conversations and MQTT messages are in
// a file, what of it cannot be used and why.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit codes, as those of the command emu.
const (
	exitPass        = 0
	exitFail        = 1   // the capture is cut or damaged; what is before that was shown
	exitUsage       = 2   // the command line is wrong, or the file is no capture
	exitEnvironment = 3   // the file cannot be read
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
	c := &cli{stdout: stdout, stderr: stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return c.report(err)
	}
	return c.code
}
