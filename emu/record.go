package emu

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"hilnet/link"
	"hilnet/pcaps"
	"hilnet/scenarios"
	"hilnet/sim"
	"hilnet/trace"
)

// files are what a run writes. Without an output folder there are none.
type files struct {
	loop     *sim.Loop
	recorder *pcaps.Recorder
	trace    *trace.Writer
	samples  *trace.Writer // nil without Options.Samples
	traceOut *outputFile
	names    []string
	failed   error // the first error of any file, an *EnvironmentError
	closed   bool
	omit     uint64 // a frame that is not recorded, for sabotage
	// points has the captures of a device's link, and under "" those that
	// everybody's frames are in; looked up only.
	points map[string][]*pcaps.Point
}

// belongs says whose frames a point records.
func (f *files) belongs(p *pcaps.Point, device string) {
	if p != nil {
		f.points[device] = append(f.points[device], p)
	}
}

// secret puts a line of a TLS key log into the captures in which it opens
// something.
func (f *files) secret(device string, line []byte) {
	for _, who := range []string{"", device} {
		for _, p := range f.points[who] {
			f.fail(p.WriteSecret(line))
		}
		if device == "" {
			return
		}
	}
}

// newFiles creates the trace file and makes ready for captures.
func (w *World) newFiles() (*files, error) {
	f := &files{loop: w.loop, points: map[string][]*pcaps.Point{}}
	if w.opt.sabotage == sabotageLostRecord {
		f.omit = sabotagedFrame
	}
	if w.opt.Out == "" {
		return f, w.newSamples(f)
	}
	resolved, err := w.sc.Resolved()
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	f.recorder, err = pcaps.NewRecorder(pcaps.RecorderConfig{
		Run: pcaps.RunInfo{
			Version: Version, Seed: w.sc.Seed,
			Versions: []pcaps.RunVersion{{Name: "go", Version: runtime.Version()}},
			Texts:    w.runTexts(resolved),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("emu: %w", err)
	}
	f.traceOut, err = createOutput(w.opt.Out, w.sc.Name+".trace.jsonl")
	if err != nil {
		return nil, err
	}
	w.onClose(func() error { return f.traceOut.Close() })
	// For a run that ends before Run closes the files: what there is can be read.
	w.onClose(func() error { return f.close(w.loop.Now()) })
	f.names = append(f.names, f.traceOut.name)
	f.trace, err = trace.NewWriter(f.traceOut, trace.Header{
		Hilnet: Version, Go: runtime.Version(), Scenario: w.sc.Name, Seed: w.sc.Seed, Clock: string(w.sc.Clock),
	})
	if err != nil {
		return nil, diskError(err)
	}
	w.trace.Subscribe(func(e *trace.Event) {
		f.trace.Write(e)
		f.fail(f.trace.Err())
	})
	return f, w.newSamples(f)
}

// start dates the beginning of a run in real time, which is now.
func (f *files) start() {
	if f.recorder != nil && f.loop.RealTime() {
		f.recorder.SetEpoch(pcaps.StampOf(sim.WallClock()))
	}
}

// fail stops the run at the first error of a file.
func (f *files) fail(err error) {
	if err == nil || f.failed != nil {
		return
	}
	f.failed = diskError(err)
	f.loop.Cancel(f.failed)
}

const freeSpace = "free some space, choose another folder with --out, or, for a command without one, with TMPDIR"

// maxHeld bounds the files that an error names.
const maxHeld = 10

// held says what is in the files, of which one has failed.
func (f *files) held() string {
	var parts []string
	for _, p := range f.recorder.Points() {
		name, records, readable := p.File()
		part := fmt.Sprintf("%s holds %d frames", filepath.Base(name), records)
		if !readable {
			part += " and then part of one, which could not be cut off"
		}
		parts = append(parts, part)
	}
	parts = append(parts, fmt.Sprintf("%s %d events", filepath.Base(f.traceOut.name), f.trace.Put()))
	if f.samples != nil {
		parts = append(parts, fmt.Sprintf("the samples %d", f.samples.Put()))
	}
	if more := len(parts) - maxHeld; more > 0 {
		parts = append(parts[:maxHeld], fmt.Sprintf("and %d files more", more))
	}
	return strings.Join(parts, ", ")
}

func diskError(err error) error {
	return &EnvironmentError{Op: "write the recording", Err: err, Hint: freeSpace}
}

// captureName is the name of a device's capture at a point, without extension.
// Only where there are several devices does it hold the device's name.
func (w *World) captureName(device string, p scenarios.Point) string {
	if len(w.sc.Devices) == 1 {
		return w.sc.Name + "." + string(p)
	}
	return w.sc.Name + "." + device + "." + string(p)
}

// point creates a capture file, or nothing if the scenario does not want it.
func (w *World) point(name string, p scenarios.Point, reorder time.Duration) (*pcaps.Point, error) {
	if w.files.recorder == nil || !slices.Contains(w.sc.Capture, p) {
		return nil, nil
	}
	path := filepath.Join(w.opt.Out, name+".pcapng")
	point, err := w.files.recorder.CreatePoint(string(p), path, pcaps.PointConfig{Reorder: reorder})
	if err != nil {
		return nil, &EnvironmentError{Op: "create a capture", Err: err, Hint: freeSpace}
	}
	w.files.names = append(w.files.names, path)
	return point, nil
}

// close ends all files and returns the first error of any; the run ended at end.
// Only the first call does something.
func (f *files) close(end sim.Time) error {
	if f.recorder == nil || f.closed {
		return nil
	}
	f.closed = true
	err := errors.Join(f.recorder.Close(end), f.trace.Flush())
	if f.samples != nil {
		err = errors.Join(err, f.samples.Flush())
	}
	if f.failed == nil && err != nil {
		f.failed = diskError(err)
	}
	var env *EnvironmentError
	if errors.As(f.failed, &env) {
		env.Hint = f.held() + "; " + freeSpace
	}
	return f.failed
}

// A senderTap records a direction where its frames come from, with their fate.
type senderTap fateTap

// Entered records the frame; what becomes of it is not known yet.
func (t *senderTap) Entered(_ *link.Direction, f *link.Frame) {
	if f.ID == t.files.omit {
		return
	}
	t.files.fail(t.point.Capture(f.Entered, f.ID, pcaps.Outbound, f.Data, pcaps.FatePending))
}

// Left completes the record of a frame that arrives.
func (t *senderTap) Left(d *link.Direction, f *link.Frame) { (*fateTap)(t).Left(d, f) }

// Dropped completes the record of a frame that does not.
func (t *senderTap) Dropped(d *link.Direction, f *link.Frame, v link.Verdict) {
	(*fateTap)(t).Dropped(d, f, v)
}

// A fateTap completes records that somebody else has made.
type fateTap struct {
	files *files
	point *pcaps.Point
}

// Entered does nothing.
func (t *fateTap) Entered(*link.Direction, *link.Frame) {}

// Left completes the record of a frame that arrives.
func (t *fateTap) Left(_ *link.Direction, f *link.Frame) {
	t.files.fail(t.point.Fate(f.ID, pcaps.Fate{Kind: pcaps.Delivered}))
}

// Dropped completes the record of a frame that does not.
func (t *fateTap) Dropped(d *link.Direction, f *link.Frame, v link.Verdict) {
	t.files.fail(t.point.Fate(f.ID, pcaps.Fate{
		Kind: pcaps.Dropped, Stage: d.Link + "/" + v.Stage, Rule: v.Text, Reason: string(v.Reason), Ordinal: f.Ordinal,
	}))
}

// Duplicated completes the record: it waits for the copy's end too.
func (t *senderTap) Duplicated(d *link.Direction, f *link.Frame, v link.Verdict) {
	(*fateTap)(t).Duplicated(d, f, v)
}

// Corrupted completes the record of a frame that is no longer what was sent.
func (t *senderTap) Corrupted(d *link.Direction, f *link.Frame, v link.Verdict) {
	(*fateTap)(t).Corrupted(d, f, v)
}

// Duplicated completes the record: it waits for the copy's end too.
func (t *fateTap) Duplicated(d *link.Direction, f *link.Frame, v link.Verdict) {
	t.files.fail(t.point.Fate(f.ID, pcaps.Fate{Kind: pcaps.Duplicated, Stage: d.Link + "/" + v.Stage, Ordinal: f.Ordinal}))
}

// Corrupted completes the record of a frame that is no longer what was sent.
func (t *fateTap) Corrupted(d *link.Direction, f *link.Frame, v link.Verdict) {
	t.files.fail(t.point.Fate(f.ID, pcaps.Fate{Kind: pcaps.Corrupted, Stage: d.Link + "/" + v.Stage, Rule: v.Text, Ordinal: f.Ordinal}))
}

// A receiverTap records a direction where its frames arrive.
type receiverTap fateTap

// Entered does nothing.
func (t *receiverTap) Entered(*link.Direction, *link.Frame) {}

// Left records the frame.
func (t *receiverTap) Left(_ *link.Direction, f *link.Frame) {
	t.files.fail(t.point.Capture(t.files.loop.Now(), f.ID, pcaps.Inbound, f.Data, pcaps.FateFinal))
}

// Dropped does nothing: the frame never came here.
func (t *receiverTap) Dropped(*link.Direction, *link.Frame, link.Verdict) {}
