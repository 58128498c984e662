package link

import (
	"errors"
	"fmt"
	"time"

	"hilnet/trace"
)

// Reading list: ipfw(8), "delay profile"; luigirizzo/dummynet, struct dn_profile.

// lostOnAir is the text of a drop.
const lostOnAir = "none of the attempts of its air-time profile got through"

// extraAirtime is how long frames occupy a channel beyond their bits: attempts
// that failed, back-off, waiting for a turn. It is dummynet's delay profile: of
// all frames, the share P of a point takes at most its time, and what is above
// the last point does not get through. Unlike a delay it keeps the channel busy,
// so that frames wait for each other and none overtakes.
type extraAirtime struct {
	times *Distribution // nil: none
	lost  uint64        // draws of drawBits from here on are lost
}

func (a *extraAirtime) set(points []Quantile) {
	*a = extraAirtime{}
	if len(points) == 0 {
		return
	}
	times, err := Quantiles(points)
	if err != nil {
		panic(err) // validate has seen them
	}
	a.times, a.lost = times, threshold(points[len(points)-1].P)
}

func validateAirtime(points []Quantile) error {
	if len(points) == 0 {
		return nil
	}
	if _, err := Quantiles(points); err != nil {
		return fmt.Errorf("air time: %w", err)
	}
	if points[len(points)-1].P == 0 {
		return errors.New("link: an air-time profile that loses every frame; drop them by loss")
	}
	return nil
}

// occupy draws for how long the frame keeps the channel busy beyond its bits, or
// that it is lost: then it is dropped, and takes no time.
func (s *Shaper) occupy(f *Frame) (extra time.Duration, lost bool) {
	if s.profile.times == nil {
		return 0, false
	}
	u := s.env.Stream.At2(f.Ordinal, lane(f, 0))
	if s.env.Choose(f, "airtime", VerbDrop, u>>(64-drawBits) >= s.profile.lost, u) {
		s.env.Drop(f, trace.DropLoss, lostOnAir)
		return 0, true
	}
	return s.env.ChooseDelay(f, time.Duration(s.profile.times.at(u)), u), false
}
