package page

import (
	"fmt"
	"strconv"
	"strings"

	"hilnet/mqtt/codec"
	"hilnet/pcaps"
	"hilnet/pcaps/flow"
)

// messages is a tap as its Table sees it.
type messages tap

// Data does nothing: messages are enough.
func (m *messages) Data(*flow.Chunk) {}

// Notice does nothing: the analysis tells of these.
func (m *messages) Notice(*flow.Notice) {}

// maxMessage bounds the words of a message.
const maxMessage = 200

// Message names the frames that bring a message.
func (m *messages) Message(msg *flow.Message) {
	name := msg.Type.String()
	if !msg.Truncated() {
		name = codec.Summary(msg.Raw)
	}
	if len(name) > maxMessage {
		name = strings.ToValidUTF8(name[:maxMessage], "") + "…"
	}
	t := (*tap)(m)
	if t.first && t.point != PointPeer {
		t.b.message(t.lane, msg)
	}
	put := func(frame uint64, text string) {
		// The frame being fed is not in rows' caller yet, but its row is.
		if frame <= uint64(t.cut) || frame > uint64(t.cut+len(t.rows)) {
			return
		}
		if r := t.rows[frame-1-uint64(t.cut)]; r != nil && t.sentHere(r) {
			r.mqtt = append(r.mqtt, text)
		}
	}
	put(msg.FirstFrame, name)
	if msg.LastFrame != msg.FirstFrame {
		put(msg.LastFrame, "end of "+msg.Type.String())
	}
}

// sentHere reports whether this capture knows best what a frame brings: that of
// its sender does, or the only one.
func (t *tap) sentHere(r *row) bool {
	up := r.flags&FlagUp != 0
	return t.first && !t.b.live || up == (t.point == PointDevice)
}

// fate notes what the link did to a frame.
func (t *tap) fate(r *row, p *pcaps.Packet) {
	if !t.out {
		return
	}
	for _, v := range p.Verdicts {
		if v.Kind == pcaps.VerdictTC && v.Result == pcaps.TCActShot {
			r.flags |= FlagLost
			t.sum.Lost++
		}
	}
	var why []string
	for _, c := range p.Comments {
		kind, rest, ok := strings.Cut(string(c), ":")
		switch {
		case ok && kind == pcaps.Dropped.String():
			stage, text := remark(rest)
			r.place = place(stage)
			why = append(why, "lost: "+text)
		case ok && kind == pcaps.Corrupted.String():
			_, text := remark(rest)
			r.flags |= FlagCorrupt
			why = append(why, "damaged: "+text)
		case ok && kind == pcaps.Duplicated.String():
			_, text := remark(rest)
			why = append(why, "doubled: "+text)
		default:
			if strings.HasPrefix(string(c), "in flight") {
				r.flags |= FlagInFlight
			}
			if kind == "undecided" {
				r.flags |= FlagUndecided
			}
			why = append(why, strings.ToValidUTF8(string(c), "\uFFFD"))
		}
	}
	if len(why) > 0 {
		r.why = strings.Join(why, "; ")
	}
}

// remark reads " stage=… rule=… reason=… seed=… ordinal=…" and returns the stage
// and the words for a person.
func remark(s string) (stage, text string) {
	fields := map[string]string{} // looked up only
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " ") {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		value := rest
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			value, _ = strconv.Unquote(quoted)
			s = rest[len(quoted):]
		} else {
			value, s, _ = strings.Cut(rest, " ")
		}
		fields[key] = value
	}
	stage = fields["stage"]
	text = stage
	if r := fields["reason"]; r != "" {
		text = r + " at " + stage
	}
	if r := fields["rule"]; r != "" {
		text += " (" + r + ")"
	}
	if n := fields["ordinal"]; n != "" {
		text += fmt.Sprintf(", frame %s of its direction", n)
	}
	return stage, strings.ToValidUTF8(text, "\uFFFD")
}

// places say how far from its sender a frame is in a stage of a link, in percent
// of the way, in the order of the stages.
var places = []struct {
	stage string
	at    int
}{
	{"blackhole", 22},
	{"drop_frames", 26}, {"listed", 26},
	{"match", 30},
	{"box", 36}, {"mtu", 36}, {"policer", 38},
	{"loss", 42}, {"radio", 44},
	{"duplicate", 48}, {"corrupt", 50},
	{"netem", 54},
	{"queue", 62}, {"rate", 66}, {"trace", 66},
	{"delay", 76},
}

// place is that of a stage such as link/up/loss.
func place(stage string) int {
	last := stage[strings.LastIndexByte(stage, '/')+1:]
	for _, p := range places {
		if strings.HasPrefix(last, p.stage) {
			return p.at
		}
	}
	return 50
}
