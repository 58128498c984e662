package live_test

import (
	"bytes"
	"flag"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hilnet/emu"
	"hilnet/internal/browser"
	"hilnet/internal/linktest"
)

// ready is true when the page has drawn itself and hears of the run.
const ready = "document.documentElement.dataset.ready === 'yes' && hilnet.live.numbers !== null && hilnet.live.hand.can !== null"

// opened opens the page of a run and sees at the end that it logged nothing and
// asked for nothing but what it is served.
func (s *shown) opened(b *browser.Browser, width int) *browser.Page {
	s.t.Helper()
	p := b.Page(width, 900, false)
	p.Open(s.url, ready)
	s.t.Cleanup(func() {
		if all := p.Problems(); len(all) > 0 {
			s.t.Errorf("the page logged %q", all)
		}
		for _, r := range p.Requests() {
			if !strings.HasPrefix(r, s.url) {
				s.t.Errorf("the page asked for %s", r)
			}
		}
	})
	return p
}

var update = flag.Bool("update", false, "rewrite the picture of the docs")

// The picture of the docs is one, and small.
func TestThePictureOfTheDocsIsSmall(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(linktest.Root(t), "docs", "live.png"))
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.DecodeConfig(bytes.NewReader(text))
	if err != nil || picture.Width < 800 || len(text) > 200_000 {
		t.Errorf("docs/live.png: %d bytes, %+v, %v", len(text), picture, err)
	}
}

// pictures, when set, is a folder that pictures of the page go to.
var pictures = os.Getenv("HILNET_PICTURES")

func (s *shown) picture(p *browser.Page, name string, whole bool) {
	s.t.Helper()
	if pictures != "" {
		p.Picture(filepath.Join(pictures, name), whole)
	}
}

// The link is cut and restored by button: the page shows both, and so does the
// run's result.
func TestTheLinkIsCutAndRestoredByButton(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has nothing to find here")
	}
	b := browser.Start(t)
	s := show(t, telemetry, "", "duration: 20s", "duration: 60s")
	s.do(`{"pause":true}`) // a slow machine has time to open the page
	p := s.opened(b, 1280)
	p.Wait("document.getElementById('state').textContent.includes('paused')")
	click := func(selector string) { p.Eval("document.querySelector('"+selector+"').click()", nil) }
	click("#pause")
	p.Wait("hilnet.model.frameCount > 20 && document.querySelector('[data-number=published] .value').textContent > 2")
	click("[data-do=blackhole]")
	p.Wait("document.querySelector('[data-do=blackhole]').textContent === 'restore'")
	p.Wait("hilnet.live.numbers.dropped > 1")
	click("#pause")
	p.Wait("document.getElementById('state').textContent.includes('paused')")
	p.Wait("hilnet.model.bands.some(b => b.track === 'link' && b.state === 'blackhole until undone')")
	s.picture(p, "cut-1280.png", true)
	if *update {
		p.Resize(1120, 1040)
		p.Eval("hilnet.charts.box.scrollIntoView({block: 'end'}); scrollTo(0, 0); new Promise(r => setTimeout(r, 500))", nil)
		p.Picture(filepath.Join(linktest.Root(t), "docs", "live.png"), false)
		p.Resize(1280, 900)
	}
	click("[data-do=blackhole]")
	p.Wait("document.querySelector('[data-do=blackhole]').textContent === 'cut'")
	p.Eval("document.querySelector('[data-level=loss]').value = 'much'", nil)
	click("button[data-do=loss]")
	p.Wait("document.getElementById('told').textContent.includes('much')")
	p.Eval("document.querySelector('[data-level=loss]').value = '30%'", nil)
	click("button[data-do=loss]")
	p.Wait("document.querySelector('[data-clear=loss]').disabled === false && document.getElementById('told').textContent === ''")
	p.Resize(400, 800)
	p.Wait("hilnet.charts.narrow === true")
	var wide bool
	p.Eval("document.documentElement.scrollWidth > innerWidth", &wide)
	if wide {
		t.Error("at 400 pixels the page must be scrolled sideways")
	}
	s.picture(p, "paused-400.png", true)
	p.Resize(1280, 900)
	click("#pause")
	p.Wait("document.getElementById('state').textContent.includes('running')")
	result := s.result()
	p.Wait("document.querySelector('.verdict').textContent.includes('" + string(result.Verdict) + "')")
	s.picture(p, "end-1280.png", true)
	var wrong int // what is over cannot be undone, and its moments can still be shown
	p.Eval("document.querySelectorAll('#hand [data-end], #hand .moment:disabled, #hand button.act:enabled').length + !document.querySelector('#hand .moment')", &wrong)
	if wrong != 0 {
		t.Errorf("%d buttons of a run that is over are wrong", wrong)
	}
	if n := result.Outcome.Drops.Reason["blackhole"]; n == 0 || result.Verdict != emu.Pass {
		t.Errorf("%d frames fell into the hole; %s %+v", n, result.Verdict, result.Checks)
	}
	var checks, frames, sent int
	p.Eval("document.querySelectorAll('#expectations li.ok').length", &checks)
	p.Eval("hilnet.model.frameCount", &frames)
	for _, l := range result.Outcome.Links {
		sent += l.Up.Entered + l.Down.Entered
	}
	if checks != 2 || frames != sent {
		t.Errorf("%d expectations hold; the page has %d frames, the link %d", checks, frames, sent)
	}
}
