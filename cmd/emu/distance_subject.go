package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/replay/distance"
	"hilnet/scenarios"
	"hilnet/trace"
)

// A subject is a capture with what is known of its run.
type subject struct {
	path    string
	name    string        // in notes
	run     *emu.Recorded // nil: not a run of hilnet's that can be read
	device  string        // its name in the scenario of the run, "" without one
	capture *distance.Capture
	notes   []string // what is not compared, and why
}

func (s *subject) note(format string, args ...any) {
	s.notes = append(s.notes, s.name+": "+fmt.Sprintf(format, args...))
}

// openSubject reads a capture and what is beside it.
func openSubject(ctx context.Context, path string, f *distanceFlags, config distance.Config) (*subject, error) {
	s := &subject{path: path, name: path}
	switch info, err := os.Stat(path); {
	case err != nil: // said by who reads it
	case info.IsDir():
		return nil, usagef("%s is a folder: name a capture in it, NAME.device.pcapng", path)
	case !info.Mode().IsRegular():
		return nil, usagef("%s is no file: save what it gives in one, for a capture is read more than once", path)
	}
	if err := s.recorded(); err != nil {
		return nil, err
	}
	switch {
	case s.run != nil:
		if err := s.ofRun(f, &config); err != nil {
			return nil, err
		}
	case isAddress(f.device) || f.scenario == "":
		config.Device = f.device
	}
	if config.Outages == nil && s.run == nil {
		s.note("when its link was down is not known, so what it did then is not compared")
	}
	return s, s.read(ctx, config)
}

// recorded finds the run that the capture is of.
func (s *subject) recorded() error {
	run, err := emu.ReadRecorded(s.path)
	var refused *emu.RecordedError
	switch {
	case err == nil:
		s.run = run
		if run.Replaced != "" {
			s.note("what it has of the %s was played from a capture, which a model does not know", run.Replaced)
		}
	case errors.Is(err, emu.ErrNoRun):
	case errors.As(err, &refused) && (refused.Err == nil || isScenarioError(refused.Err)):
		s.note("what it was a run of cannot be read here: %s", plain(err))
	default:
		return s.explain(err)
	}
	return nil
}

// read takes what the device did out of the capture.
func (s *subject) read(ctx context.Context, config distance.Config) error {
	in, done, err := pcaps.Open(s.path, pcaps.ReaderConfig{})
	if err != nil {
		return s.explain(err)
	}
	defer done() //nolint:errcheck // only read from
	if s.capture, err = distance.Read(ctx, in, config); err != nil {
		return s.explain(err)
	}
	if p := s.capture.Problem; p != nil {
		s.note("it is damaged or cut, and compared as far as it goes: %s", plain(p))
	}
	if s.capture.Interface == distance.PeerEnd {
		s.note("it was made at the peer's end of the link: what was lost on the way there is missing, and times have the link's delay in them")
	}
	for _, c := range s.capture.NotRead {
		s.note("not read: %s (%d)", c.Reason, c.N)
	}
	return nil
}

// explain says of an error whether the user or the machine is to blame.
func (s *subject) explain(err error) error {
	var refused *emu.RecordedError
	profiles := strings.Join(scenarios.Profile("").Values(), ", ")
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist) && isProfile(s.path):
		return usagef("%s is a profile, and the capture comes first: emu distance RUN %s", s.path, s.path)
	case errors.Is(err, fs.ErrNotExist):
		return usagef("%s: no such file (emu run records captures; profiles are %s)", s.path, profiles)
	case errors.Is(err, fs.ErrPermission):
		return &emu.EnvironmentError{Op: "read the capture", Err: err, Hint: "name a file that you may read"}
	case errors.Is(err, distance.ErrNoDevice):
		return usagef("%s: %s (--device names it by its address or MAC; replay info says who is in the capture)", s.path, plain(err))
	case errors.As(err, &refused):
		return &usageError{err}
	}
	return usagef("%s: %s", s.path, plain(err))
}

func isProfile(name string) bool { return slices.Contains(scenarios.Profile("").Values(), name) }

// ofRun finds the device of a run, and when its link was down.
func (s *subject) ofRun(f *distanceFlags, config *distance.Config) error {
	device := deviceOf(s.run.Scenario, s.path, f.device)
	s.device = device.Name
	switch a := device.Address.Addr(); {
	case isAddress(f.device):
		config.Device = f.device
	case device.Model():
		config.Device = device.MAC.String()
	case a.IsValid():
		config.Device = a.String()
	default:
		config.Device = "" // it has none before it asks for one
	}
	switch named := deviceOf(s.run.Scenario, s.path, ""); {
	case f.device == "" || isAddress(f.device) || f.scenario != "":
	case f.device != device.Name:
		return usagef("--device %s: %s has no device of that name; its devices are %s", f.device, s.run.Scenario.Name, names(s.run.Scenario))
	case f.device != named.Name && strings.Contains(filepath.Base(s.path), "."+named.Name+"."):
		return usagef("--device %s: %s was made at the link of %s", f.device, s.path, named.Name)
	}
	return s.outages(config)
}

// maxNames bounds the devices that an error names.
const maxNames = 10

// names lists the devices of a scenario.
func names(sc *scenarios.Scenario) string {
	var all []string
	for i := range sc.Devices {
		if len(all) == maxNames {
			return fmt.Sprintf("%s and %d more", strings.Join(all, ", "), len(sc.Devices)-maxNames)
		}
		all = append(all, sc.Devices[i].Name)
	}
	return strings.Join(all, ", ")
}

// deviceOf finds the device of a scenario that is named, by its name or an address; or
// whose capture a file is, by the file's name; else the first.
func deviceOf(sc *scenarios.Scenario, path, name string) *scenarios.Device {
	for i := range sc.Devices {
		d := &sc.Devices[i]
		end := func(point scenarios.Point) bool {
			return strings.HasSuffix(path, "."+d.Name+"."+string(point)+".pcapng")
		}
		switch {
		case name == "" && (end(scenarios.PointDevice) || end(scenarios.PointPeer)),
			name != "" && (d.Name == name || strings.EqualFold(d.MAC.String(), name) || d.Address.Addr().String() == name):
			return d
		}
	}
	return &sc.Devices[0]
}

// outages finds in the trace beside a capture when the device's link was down. Without
// a trace it is not known.
func (s *subject) outages(config *distance.Config) error {
	folder, file := filepath.Split(s.path)
	name := strings.TrimSuffix(file, ".pcapng")
	for _, part := range []string{string(scenarios.PointDevice), string(scenarios.PointPeer), s.device} {
		name = strings.TrimSuffix(name, "."+part)
	}
	beside, err := os.Open(filepath.Join(folder, name+".trace.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		s.note("the trace of the run, %s, is not beside it: what the device did in outages is not compared", name+".trace.jsonl")
		return nil
	}
	if err != nil {
		return s.explain(err)
	}
	defer beside.Close()
	in, err := trace.NewReader(beside)
	if err != nil {
		s.note("the trace of the run cannot be read, so what the device did in outages is not compared: %v", err)
		return nil
	}
	sc := s.run.Scenario
	if h := in.Header(); h.Scenario != sc.Name || h.Seed != s.run.Seed {
		s.note("the trace beside it is that of %s with seed %d, another run: what the device did in outages is not compared", h.Scenario, h.Seed)
		return nil
	}
	start := pcaps.VirtualEpoch
	if in.Header().Clock != string(scenarios.Virtual) {
		known := false
		if start, known, err = s.began(); err != nil {
			return err
		}
		if !known {
			s.note("the run was in real time, and the capture lacks its end, which says when it began: what the device did in outages is not compared")
			return nil
		}
	}
	link := ""
	for i := range sc.Links {
		if l := &sc.Links[i]; l.Device == s.device {
			link = l.Name
		}
	}
	if config.Outages, err = distance.ReadOutages(in, s.device, link, start); err != nil {
		config.Outages = nil
		s.note("the trace of the run cannot be read to its end, so what the device did in outages is not compared: %s", plain(err))
	}
	return nil
}

// began returns when the run of the capture began, if that is known.
func (s *subject) began() (pcaps.Stamp, bool, error) {
	in, done, err := pcaps.Open(s.path, pcaps.ReaderConfig{})
	if err != nil {
		return 0, false, s.explain(err)
	}
	defer done() //nolint:errcheck // only read from
	start, known := distance.Began(in)
	return start, known, nil
}
