package emu

import (
	"fmt"
	"slices"
	"strings"

	"hilnet/link"
	"hilnet/trace"
)

// A frameDropper drops the frames that a scenario names for one way of a link.
type frameDropper struct {
	way   *link.Direction
	drops map[uint64]bool // by number, true once it was dropped; looked up only
	list  []uint64        // sorted
}

// dropFrames puts the stage into the way, where the matches stand.
func (w *World) dropFrames(way *link.Direction, frames []uint64) error {
	if len(frames) == 0 {
		return nil
	}
	d := &frameDropper{way: way, drops: make(map[uint64]bool, len(frames))}
	for _, n := range frames {
		d.list = append(d.list, uint64(n))
		d.drops[uint64(n)] = false
	}
	slices.Sort(d.list)
	d.list = slices.Compact(d.list)
	w.droppers = append(w.droppers, d)
	err := way.Add(link.AtMatch, "drop_frames", func(e *link.Env) link.Stage {
		return func(next link.Sink) link.Sink {
			return link.SinkFunc(func(f *link.Frame) {
				if _, listed := d.drops[f.Ordinal]; !listed {
					next.Put(f)
					return
				}
				d.drops[f.Ordinal] = true
				e.Drop(f, trace.DropListed, fmt.Sprintf("frame %d %s is in drop_frames", f.Ordinal, way.Name))
			})
		}
	})
	if err != nil {
		return fmt.Errorf("emu: %w", err)
	}
	return nil
}

// unusedDrops tells of named frames that never came.
func (w *World) unusedDrops() []string {
	const most = 5
	var names []string
	for _, d := range w.droppers {
		for _, n := range d.list {
			if !d.drops[n] {
				names = append(names, fmt.Sprintf("%s %s frame %d", d.way.Link, d.way.Name, n))
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more", more))
	}
	return []string{"drop_frames names frames that never came: " + strings.Join(names, ", ")}
}
