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
	"syscall"
)

// Exit codes; every command uses them alike.
const (
	exitPass        = 0
	exitFail        = 1   // an expectation failed
	exitUsage       = 2   // the command line or the scenario is wrong
	exitEnvironment = 3   // disk, rights, a missing tool
	exitInternal    = 4   // a bug in hilnet
	exitInterrupted = 130 // Ctrl-C
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal the default is back, so a second one ends the process.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole command, for tests too.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() {
		if r := recover(); r != nil {
			fmt.Fprintf(stderr, "emu: internal error: %v\n\nThis is a bug in hilnet. What repeats it: emu", r)
			for _, a := range args {
				fmt.Fprintf(stderr, " %s", a)
			}
			fmt.Fprintf(stderr, "\n\n%s", debug.Stack())
			code = exitInternal
		}
	}()
	c := &cli{stdin: stdin, stdout: stdout, stderr: stderr}
	root := c.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return c.report(err)
	}
	return c.code
}
