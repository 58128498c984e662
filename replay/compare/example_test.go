package compare_test

import (
	"bytes"
	"context"
	"fmt"

	"hilnet/pcaps"
	"hilnet/replay/compare"
)

func ExampleCompare() {
	capture := func() *compare.Capture {
		var b bytes.Buffer
		w, _ := pcaps.NewWriter(&b, pcaps.Section{}, pcaps.WriterConfig{})
		_ = w.Flush()
		r, _ := pcaps.NewReader(&b, pcaps.ReaderConfig{})
		c, _ := compare.Read(context.Background(), r, compare.Config{})
		return c
	}
	report, err := compare.Compare(capture(), capture(), compare.Config{})
	fmt.Println(report.Same, report.Differences, err)
	// Output: true 0 <nil>
}
