package traces

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Reading list: github.com/akamai/cell-emulation-util, cellular_emulation.sh.

// AkamaiStep is how long a row of a class holds.
const AkamaiStep = 70 * time.Millisecond

// akamaiRows is how many rows of a class the script plays; one class has a part
// of another row behind.
const akamaiRows = 200

// ReadAkamai reads one of Akamai's classes as CSV: comments with #, a line of
// names, and rows of number, lat (round-trip milliseconds, of which each way has
// half), thru (kbit/s), gap (seconds to the next loss) and loss (per cent in the
// step in which it comes, taken in their own order). As the script does, it
// plays the first 200 rows. file names it in errors.
func ReadAkamai(r io.Reader, file string) (*Conditions, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var rows [][4]float64
	named := false
	n := 0
	for lines.Scan() {
		n++
		text := lines.Text()
		switch {
		case strings.HasPrefix(text, "#"):
			continue
		case !named:
			if text != "i,lat,thru,gap,loss" {
				return nil, fmt.Errorf("%s:%d: %q is not the line of names i,lat,thru,gap,loss", file, n, clip(text))
			}
			named = true
			continue
		case len(rows) == akamaiRows:
			continue
		}
		row, err := akamaiRow(text)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", file, n+1, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no rows", file)
	}
	return akamaiSteps(rows), nil
}

// akamaiRow reads lat, thru, gap and loss.
func akamaiRow(text string) (row [4]float64, err error) {
	cells := strings.Split(text, ",")
	if len(cells) != 5 {
		return row, fmt.Errorf("%d cells instead of 5", len(cells))
	}
	most := [4]float64{float64(2*maxDelay) / 1e6, maxRate / 1e3, 1e9, 100}
	for i, cell := range cells[1:] {
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil || !(v >= 0 && v <= most[i]) {
			return row, fmt.Errorf("%q is not a number between 0 and %v", clip(cell), most[i])
		}
		row[i] = v
	}
	return row, nil
}

// akamaiSteps does what the script does in its first round: it counts the steps
// since the last loss, and when the gap is over, loses in that step and reads
// the gap of the row where it is.
func akamaiSteps(rows [][4]float64) *Conditions {
	c := &Conditions{Duration: time.Duration(len(rows)) * AkamaiStep}
	var gap float64
	count, losses := 0, 0
	for i, row := range rows {
		w := Way{
			Delay:             time.Duration(math.Round(row[0] / 2 * 1e6)),
			RateBitsPerSecond: uint64(max(1, math.Round(row[1]*1e3))),
		}
		switch {
		case i == 0:
			gap = row[2]
		case float64(count)*AkamaiStep.Seconds() >= gap-1e-9:
			w.Loss = rows[losses][3] / 100
			losses++
			gap, count = row[2], 0
		}
		count++
		c.Steps = append(c.Steps, Step{At: time.Duration(i) * AkamaiStep, Up: w, Down: w})
	}
	return c
}
