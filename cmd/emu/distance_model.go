package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hilnet/emu"
	"hilnet/pcaps"
	"hilnet/replay/distance"
	"hilnet/scenarios"
)

// distanceToModels runs the scenario with each profile, and keeps the nearest.
func (c *cli) distanceToModels(ctx context.Context, a *subject, profiles []string, f *distanceFlags, config distance.Config, d *distanceDocument) error {
	sc, err := f.twinOf(ctx, a)
	if err != nil {
		return err
	}
	if err := f.decide.open(1); err != nil {
		return err
	}
	d.sayOfTwin(a, sc, f)
	folder, err := os.MkdirTemp("", "hilnet-distance-")
	if err != nil {
		return &emu.EnvironmentError{Op: "create a folder for the run", Err: err, Hint: "check TMPDIR"}
	}
	defer os.RemoveAll(folder) //nolint:errcheck // it is nobody's
	d.Notes = append(d.Notes, a.notes...)
	var nearest *subject
	for _, profile := range profiles {
		b, err := c.model(ctx, a, sc, profile, filepath.Join(folder, profile), f, config)
		if err != nil && len(profiles) > 1 && isScenarioError(err) {
			d.Notes = append(d.Notes, fmt.Sprintf("%s is not compared: %s", profile, plain(err)))
			continue
		}
		if err != nil {
			return err
		}
		r, err := distance.Compare(a.capture, b.capture, config)
		if err != nil {
			return err
		}
		if d.Report == nil || r.Distance < d.Report.Distance {
			d.Report, d.B, nearest = r, profile, b
		}
		d.Ranked = append(d.Ranked, distanceTo{profile, r.Distance})
		d.Notes = append(d.Notes, b.notes...)
	}
	if d.Report == nil {
		return usagef("no model can run %s: %s", sc.Name, strings.Join(d.Notes, "; "))
	}
	d.sayOfOutages(nearest)
	slices.SortStableFunc(d.Ranked, func(x, y distanceTo) int { return cmp.Compare(x.Distance, y.Distance) })
	return nil
}

// sayOfTwin notes what is otherwise in the model's run than it was in the recorded one.
func (d *distanceDocument) sayOfTwin(a *subject, sc *scenarios.Scenario, f *distanceFlags) {
	if k := sc.Broker.Kind; k.Real() {
		d.Notes = append(d.Notes, fmt.Sprintf("the broker of %s is real (%s), and that of the model is hilnet's: a part of the distance may be theirs (replay extract --broker recording makes a scenario in which the recorded one answers)", sc.Name, k))
	}
	if a.run != nil && a.run.Followed != "" && f.scenario == "" && f.decide.in == "" {
		d.Notes = append(d.Notes, fmt.Sprintf("the run followed the decision log %s, which is not in the capture, and the model does not: frames that were lost for that make a distance (--decisions %s has the model follow it)", a.run.Followed, emu.Quote(a.run.Followed)))
	}
}

// twinOf returns the scenario that models run.
func (f *distanceFlags) twinOf(ctx context.Context, a *subject) (*scenarios.Scenario, error) {
	sets, err := parseSets(f.sets)
	if err != nil {
		return nil, err
	}
	if f.scenario != "" {
		return load(ctx, f.scenario, sets)
	}
	switch {
	case a.run == nil && f.program != "":
		return nil, usagef("--program takes links and outages from RUN, and %s has no scenario in it that can be read: --scenario names one with links of its own", a.path)
	case a.run == nil:
		return nil, usagef("%s has no scenario in it that can be read: name the one that the model is to run with --scenario (replay extract %s -o mine.yaml makes one of what the device did)", a.path, emu.Quote(a.path))
	}
	sc := a.run.Scenario
	if len(sets) > 0 {
		if sc, err = a.run.With(sets); err != nil {
			return nil, err
		}
	}
	if f.program == "" {
		return sc, nil
	}
	program, err := load(ctx, f.program, nil)
	if err != nil {
		return nil, err
	}
	start, err := a.start()
	if err != nil {
		return nil, err
	}
	sc, err = distance.Program(sc, a.device, program, start)
	if err != nil {
		return nil, usagef("--program %s: %s", f.program, plain(err))
	}
	return sc, nil
}

// start returns when, in the run, the device was first seen to do something: that is
// when its program began.
func (s *subject) start() (time.Duration, error) {
	began, known := pcaps.VirtualEpoch, true
	if s.run.Scenario.Clock == scenarios.Real {
		var err error
		if began, known, err = s.began(); err != nil {
			return 0, err
		}
	}
	if !known || s.capture.First < began {
		s.note("when in the run the device began is not known, for the end of the capture is missing: the model begins with the run")
		return 0, nil
	}
	return s.capture.First.Sub(began), nil
}

// model runs a scenario with a model of the profile in the place of the device, and
// reads what it did.
func (c *cli) model(ctx context.Context, a *subject, sc *scenarios.Scenario, profile, folder string, f *distanceFlags, config distance.Config) (*subject, error) {
	name := a.device
	if f.scenario != "" {
		device := deviceOf(sc, "", f.device)
		if name = device.Name; f.device != "" && f.device != name && !isAddress(f.device) && a.device != f.device {
			return nil, usagef("--device %s: neither %s nor the capture has a device of that name; the devices of %s are %s", f.device, sc.Name, sc.Name, names(sc))
		}
	}
	twin, err := distance.Twin(sc, name, scenarios.Profile(profile))
	switch {
	case errors.Is(err, distance.ErrReal):
		return nil, usagef("%s: name a scenario with a model that does the same, with --program (replay extract %s -o mine.yaml makes one)", plain(err), emu.Quote(a.path))
	case err != nil:
		return nil, err
	}
	s := &subject{name: "the run of the model of " + profile, device: name}
	log := f.decide.log
	if a.run != nil && f.scenario == "" && log == nil {
		log = a.run.Decisions
	}
	result, err := emu.Run(ctx, twin, emu.Options{Out: folder, Apps: c.apps, Decisions: log})
	var another *emu.DecisionsError
	if errors.As(err, &another) && log != nil && log.Header != nil {
		s.note("it goes another way than the decision log, so what becomes of frames is drawn from the seed instead; a list of drops, which fits every run, is followed (%v)", another.Err)
		folder += "-by-seed"
		result, err = emu.Run(ctx, twin, emu.Options{Out: folder, Apps: c.apps})
	}
	switch {
	case err != nil:
		return nil, err
	case result.Verdict == emu.Interrupted:
		return nil, context.Canceled
	}
	s.path = filepath.Join(folder, twin.Name+".device.pcapng")
	if len(twin.Devices) > 1 {
		s.path = filepath.Join(folder, twin.Name+"."+name+".device.pcapng")
	}
	if s.run, err = emu.ReadRecorded(s.path); err != nil {
		return nil, err
	}
	config.Device = deviceOf(twin, "", name).MAC.String()
	if err := s.outages(&config); err != nil {
		return nil, err
	}
	return s, s.read(ctx, config)
}

// isAddress reports whether a text is an IP address or a MAC.
func isAddress(s string) bool {
	_, notIP := netip.ParseAddr(s)
	_, notMAC := net.ParseMAC(s)
	return notIP == nil || notMAC == nil
}
