package taskconn_test

import (
	"fmt"
	"io"
	"time"

	"hilnet/sim"
	"hilnet/sim/taskconn"
)

// A reader on a Task, and events that bring what it reads.
func Example() {
	loop := sim.NewLoop(sim.Config{})
	defer loop.Close()
	var conn *taskconn.Conn
	loop.Go("reader", func(t *sim.Task) {
		conn = taskconn.OnTask(t, taskconn.Config{})
		data, err := io.ReadAll(conn)
		fmt.Printf("%v after %v: %q\n", err, time.Duration(loop.Now()), data)
	})
	loop.After(time.Second, func() { conn.Feed([]byte("hel")) })
	loop.After(2*time.Second, func() { conn.Feed([]byte("lo")) })
	loop.After(3*time.Second, func() { conn.Fail(io.EOF) })
	if err := loop.Run(sim.Never); err != nil {
		fmt.Println(err)
	}
	// Output: <nil> after 3s: "hello"
}
