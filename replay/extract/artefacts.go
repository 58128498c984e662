package extract

import (
	"fmt"
	"time"
)

// largestFrame is the longest frame of Ethernet with a few tags.
const largestFrame = 1522

// artefacts tells what the capturing itself did.
func (c *Conditions) artefacts(k *Capture) {
	add := func(kind string, n int, first *packet, text string) {
		if n > 0 {
			c.Artefacts = append(c.Artefacts, Artefact{time.Duration(first.at), k.File, first.frame, kind, n, fmt.Sprintf(text, n)})
		}
	}
	var twins, giants, back, cut int
	var firstTwin, firstGiant, firstBack, firstCut *packet
	note := func(n *int, first **packet, p *packet) {
		if *n++; *first == nil {
			*first = p
		}
	}
	last := map[uint32]int64{} // by interface; looked up only
	for i := range k.packets {
		p := &k.packets[i]
		if p.twin {
			note(&twins, &firstTwin, p)
		}
		if p.len > largestFrame && p.conn != 0 {
			note(&giants, &firstGiant, p)
		}
		if p.body == 0 && (p.conn != 0 || p.src.IsValid() && !p.arp) {
			note(&cut, &firstCut, p)
		}
		if at, ok := last[p.lane]; ok && p.at < at {
			note(&back, &firstBack, p)
		}
		last[p.lane] = p.at
	}
	add("duplicates", twins, firstTwin, "%d frames are copies of one less than 1ms before: the tap doubled them, or the network did; they are left out")
	add("offload", giants, firstGiant, "%d frames are larger than Ethernet takes: captured where the network card still has to cut them, or has put them together; losses of their parts cannot be told")
	add("time", back, firstBack, "%d frames have an earlier time than the one before: delays and order are not to be trusted")
	add("cut", cut, firstCut, "%d frames were not captured whole: a payload that changed on the way is not seen, and messages may be missing")
	if k.Problem != "" {
		c.Artefacts = append(c.Artefacts, Artefact{File: k.File, Kind: "damaged", Count: 1, Text: k.Problem})
	}
}
