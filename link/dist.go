package link

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Reading list: iproute2 tc/q_netem.c, get_distribution.

// The bounds of a tc distribution file and the scale of its numbers.
const (
	MaxDistEntries = 16384 // TCA_NETEM_DELAY_DIST of iproute2
	DistScale      = 8192  // one standard deviation
	maxDistLine    = 1 << 20
)

// A DistTable is a tc distribution file: quantiles at equal distances, in units
// of a spread divided by DistScale.
type DistTable []int16

// ReadDist reads a tc distribution file (.dist): integers between white space,
// decimal or as C writes them, and lines that begin with '#'. Errors name file, line and column.
func ReadDist(r io.Reader, file string) (DistTable, error) {
	var t DistTable
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxDistLine)
	n := 0
	for lines.Scan() {
		n++
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		for column := 0; column < len(line); {
			if strings.IndexByte(" \t\r\v\f", line[column]) >= 0 {
				column++
				continue
			}
			end := column
			for end < len(line) && strings.IndexByte(" \t\r\v\f", line[end]) < 0 {
				end++
			}
			v, err := strconv.ParseInt(line[column:end], 0, 16)
			if err != nil {
				return nil, fmt.Errorf("link: %s:%d:%d: %.20q is not an integer from -32768 to 32767", file, n, column+1, line[column:end])
			}
			if len(t) == MaxDistEntries {
				return nil, fmt.Errorf("link: %s:%d:%d: more than %d numbers", file, n, column+1, MaxDistEntries)
			}
			t = append(t, int16(v))
			column = end
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("link: %s:%d: %w", file, n+1, err)
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("link: %s: a distribution without numbers", file)
	}
	return t, nil
}

// AppendTo appends the table as a file that ReadDist reads.
func (t DistTable) AppendTo(b []byte) []byte {
	for i, v := range t {
		b = strconv.AppendInt(b, int64(v), 10)
		if i%8 == 7 || i == len(t)-1 {
			b = append(b, '\n')
			continue
		}
		b = append(b, ' ')
	}
	return b
}

// Distribution returns the table as a distribution: each of its numbers is as
// likely as the others, with straight lines between their mid-points. Its mean
// and standard deviation are those of the numbers, which need not be 0 and 1.
func (t DistTable) Distribution(name string) (*Distribution, error) {
	if len(t) == 0 {
		return nil, fmt.Errorf("link: distribution %s without numbers", name)
	}
	values := make([]int64, len(t))
	for i, v := range t {
		values[i] = int64(v) << unit / DistScale
	}
	slices.Sort(values)
	return newDistribution(name, true, midpoints(values)), nil
}
