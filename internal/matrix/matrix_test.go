package matrix

import (
	"strings"
	"testing"
)

const page = `Before.

<!-- begin fruit -->

| kind | red | green |
| --- | --- | --- |
| apple | 1 of 1 | 2 of 2 |
| pear | 3 of 3 | 4 of 4 |

<!-- end fruit -->

After.
`

func fruit() *Matrix {
	m := New("fruit", []string{"kind"}, []string{"red", "green"})
	m.Row("apple")
	m.Row("pear")
	return m
}

func TestAPageHoldsWhatWasRun(t *testing.T) {
	m := fruit()
	m.Set("1 of 1", "red", "apple")
	m.Set("4 of 4", "green", "pear")
	if got, err := m.merge(page, false); err != nil || got != page {
		t.Errorf("%v\n%s", err, got)
	}
	if _, err := m.merge(page, true); err == nil || !strings.Contains(err.Error(), "apple | green was not run") {
		t.Errorf("a part is taken for the whole: %v", err)
	}
}

func TestAPageThatDiffersIsSeen(t *testing.T) {
	m := fruit()
	m.Set("3 of 4", "green", "pear")
	if got, err := m.merge(page, false); err != nil || got != strings.Replace(page, "4 of 4", "3 of 4", 1) {
		t.Errorf("%v\n%s", err, got)
	}
	for why, text := range map[string]string{
		"a cell is missing": strings.Replace(page, "2 of 2", "", 1),
		"a row is missing":  strings.Replace(page, "| apple | 1 of 1 | 2 of 2 |\n", "", 1),
		"a mark is missing": strings.Replace(page, "<!-- end fruit -->", "", 1),
	} {
		if _, err := fruit().merge(text, false); err == nil {
			t.Errorf("%s, and nobody notices", why)
		}
	}
	extra := strings.Replace(page, "| pear |", "| plum | 1 | 1 |\n| pear |", 1)
	if got, err := fruit().merge(extra, false); err != nil || got != page {
		t.Errorf("a row that nothing stands for: %v\n%s", err, got)
	}
}
