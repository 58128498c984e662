package page

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestARemarkBecomesStageAndWords(t *testing.T) {
	stage, text := remark(` stage=link/up/loss rule="gilbert \"bad\"" reason=loss seed=1 ordinal=17`)
	if stage != "link/up/loss" || text != `loss at link/up/loss (gilbert "bad"), frame 17 of its direction` {
		t.Errorf("%q, %q", stage, text)
	}
	if place("link/up/blackhole") >= place("link/up/loss") || place("link/up/loss") >= place("link/up/queue") || place("link/up/queue") >= place("link/down/delay") {
		t.Error("the places are not in the order of the stages")
	}
}

// FuzzRemark: any comment gives words that are valid UTF-8, in time that its
// length bounds.
func FuzzRemark(f *testing.F) {
	f.Add(` stage=link/up/loss rule="a b" reason=loss seed=1 ordinal=17`)
	f.Add(`stage="`)
	f.Add("===\"\\\x00\xff")
	f.Fuzz(func(t *testing.T, s string) {
		stage, text := remark(s)
		if !utf8.ValidString(text) || len(text) > 4*len(s)+64 {
			t.Errorf("%q", text)
		}
		if at := place(stage); at < 0 || at > 100 {
			t.Errorf("%q is at %d", strings.ToValidUTF8(stage, "?"), at)
		}
	})
}
