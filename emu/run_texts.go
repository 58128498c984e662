package emu

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"hilnet/link/decisions"
	"hilnet/pcaps"
)

// The names of what a capture's header has beside the scenario, because it decided
// the run too.
const (
	textDrops    = "drops.jsonl" // a list of drops, whole
	textFollowed = "followed"    // the name of a decision log with drops of a list, or of a list that is too long
	textReplaced = "replaced"    // what the caller had put in place of a device or the broker
)

// maxRecordedDrops bounds the list that a header holds, in entries.
const maxRecordedDrops = 20_000

// runTexts are what a run's captures say of it.
func (w *World) runTexts(scenario []byte) []pcaps.RunText {
	all := []pcaps.RunText{{Name: w.sc.Name + ".yaml", Text: string(scenario)}}
	switch l := w.opt.Decisions; {
	case !l.HasList(): // a log without a list says what the seed says
	case l.Header == nil && len(l.List()) <= maxRecordedDrops:
		var b strings.Builder
		for _, d := range l.List() {
			line, err := json.Marshal(d)
			if err != nil {
				panic(fmt.Sprintf("emu: a drop of texts and numbers: %v", err))
			}
			b.Write(append(line, '\n'))
		}
		all = append(all, pcaps.RunText{Name: textDrops, Text: b.String()})
	default:
		all = append(all, pcaps.RunText{Name: textFollowed, Text: filepath.Base(l.Name)})
	}
	switch {
	case w.opt.Device != nil:
		all = append(all, pcaps.RunText{Name: textReplaced, Text: "device"})
	case w.opt.Broker != nil:
		all = append(all, pcaps.RunText{Name: textReplaced, Text: "broker"})
	}
	return all
}

// hearTexts takes what else decided the recorded run.
func (r *Recorded) hearTexts(all []pcaps.RunText) (err error) {
	for _, text := range all {
		switch text.Name {
		case textDrops:
			if r.Decisions, err = decisions.Read("the list of drops in "+r.Path, strings.NewReader(text.Text)); err != nil {
				return &RecordedError{Path: r.Path, Reason: "the list of drops in it cannot be read", Err: err}
			}
		case textFollowed:
			r.Followed = text.Text
		case textReplaced:
			r.Replaced = text.Text
		}
	}
	return nil
}
