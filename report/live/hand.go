package live

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"hilnet/emu"
	"hilnet/report/page"
	"hilnet/scenarios"
	"hilnet/sim"
)

// An order is the body of POST /do: one of its keys.
type order struct {
	Begin json.RawMessage `json:"begin"` // an entry of the timeline, as in a scenario
	End   *int            `json:"end"`   // the number of what is to end
	Pause *bool           `json:"pause"`
}

// errOrder is a body that is none.
var errOrder = errors.New(`send one of {"begin": {"do": "blackhole", …}}, {"end": 1} and {"pause": true}`)

// readOrder reads the body of POST /do.
func readOrder(body []byte) (*order, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var o order
	if err := d.Decode(&o); err != nil {
		return nil, fmt.Errorf("%w: %v", errOrder, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w, and nothing behind it", errOrder)
	}
	n := 0
	for _, has := range []bool{len(o.Begin) > 0 && string(o.Begin) != "null", o.End != nil, o.Pause != nil} {
		if has {
			n++
		}
	}
	if n != 1 {
		return nil, errOrder
	}
	return &o, nil
}

// do does what the body of POST /do asks for.
func (v *View) do(body []byte) (any, error) {
	o, err := readOrder(body)
	if err != nil {
		return nil, err
	}
	if v.session == nil {
		return nil, errors.New(v.why)
	}
	done := map[string]any{}
	switch {
	case o.End != nil:
		err = v.session.End(*o.End)
	case o.Pause != nil:
		err = v.session.Pause(*o.Pause)
	default:
		var a *scenarios.Action
		if a, err = scenarios.ParseAction(o.Begin); err == nil && a.Do == scenarios.Impair {
			err = errors.New("impair may name files of this machine, so it stands in files only; loss, delay and rate can be set by hand")
		}
		if err == nil {
			done["id"], err = v.session.Begin(*a)
		}
	}
	v.tellHand()
	if err != nil {
		return nil, errors.New(plain(err))
	}
	return done, nil
}

// plain is an error without the place in a file that a scenario's has.
func plain(err error) string {
	var all scenarios.Errors
	var no *emu.RefusedError
	switch {
	case errors.As(err, &all):
		lines := make([]string, len(all))
		for i, e := range all {
			if lines[i] = e.Msg; e.Hint != "" {
				lines[i] += " (" + e.Hint + ")"
			}
		}
		return strings.Join(lines, "\n")
	case errors.As(err, &no):
		return no.Why
	}
	return err.Error()
}

// scenario writes the scenario with what was done by hand.
func (v *View) scenario() ([]byte, error) {
	if v.session == nil {
		return nil, errors.New(v.why)
	}
	text, err := v.session.Scenario()
	if err != nil {
		return nil, errors.New(plain(err))
	}
	return text, nil
}

// handState is what can be done, and what was.
type handState struct {
	Can        bool         `json:"can"`
	Why        string       `json:"why,omitempty"` // it cannot
	Pause      bool         `json:"pause"`         // it can stand still
	WhyNoPause string       `json:"why_no_pause,omitempty"`
	Paused     bool         `json:"paused"`
	Pools      bool         `json:"pools"`
	Broker     bool         `json:"broker"` // it is hilnet's
	Devices    []handDevice `json:"devices"`
	Entries    []handEntry  `json:"entries"`
}

type handDevice struct {
	Name string `json:"name"`
	Link string `json:"link"`
}

type handEntry struct {
	ID     int      `json:"id"`
	Do     string   `json:"do"`
	Text   string   `json:"text"`
	Device string   `json:"device,omitempty"`
	Link   string   `json:"link,omitempty"`
	Where  string   `json:"where,omitempty"`
	At     sim.Time `json:"at"`
	Until  sim.Time `json:"until,omitempty"`
	Holds  bool     `json:"holds"`
}

func (v *View) state() *handState {
	s := &handState{Can: v.session != nil, Why: v.why, Entries: []handEntry{}, Devices: []handDevice{}, Broker: v.sc.Broker.Kind == scenarios.BrokerModel}
	for i := range v.sc.Devices {
		d := &v.sc.Devices[i]
		s.Pools = s.Pools || d.Model() && d.Pool.Packets > 0
		if i < page.MaxLanes {
			if l := v.sc.DeviceLink(d.Name); l != nil {
				s.Devices = append(s.Devices, handDevice{d.Name, l.Name})
			}
		}
	}
	if v.session == nil {
		return s
	}
	if err := v.session.CanPause(); err != nil {
		s.WhyNoPause = plain(err)
	} else {
		s.Pause = true
	}
	s.Paused = v.session.Paused()
	for _, e := range v.session.Entries() {
		one := handEntry{ID: e.ID, Do: string(e.Action.Do), Text: e.Text, Device: e.Action.Device, Link: e.Action.Link, At: e.At, Until: e.Until, Holds: e.Holds}
		if len(v.sc.Devices) > 1 {
			one.Where = e.Action.Link + e.Action.Device // one of them
		}
		s.Entries = append(s.Entries, one)
	}
	return s
}

// tellHand tells the pages what holds, if that is news.
func (v *View) tellHand() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if text := mustJSON(v.state()); !bytes.Equal(text, v.hand) {
		v.hand = text
		v.server.hub.set("hand", text)
	}
}
