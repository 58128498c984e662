package plot_test

import (
	"fmt"
	"io"
	"strings"

	"hilnet/report/page/plot"
)

// A sweep's table becomes a figure: the share of runs that passed, along the
// size of the pool.
func ExampleTable_Plot() {
	const csv = `pool.packets,runs,passed,pass_rate,pass_rate_low,pass_rate_high
8,10,2,0.2,0.057,0.51
16,10,10,1,0.722,1
`
	t, err := plot.ReadTable("pools", strings.NewReader(csv))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(t.Metrics(), t.Plot(io.Discard, plot.TableConfig{}))
	// Output: [pass_rate] <nil>
}
