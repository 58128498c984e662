package services

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"hilnet/sim"
	"hilnet/trace"
	"hilnet/wire"
)

// SNTPConfig configures the SNTP server.
type SNTPConfig struct {
	// Wall is the time of day at a time of the run.
	Wall   func(sim.Time) time.Time
	Delay  time.Duration
	Answer SNTPAnswer
}

// OldTime is when the clock of SNTPOld began, at the start of the run: one whose
// battery was empty.
var OldTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// Of a server that has its time from a reference clock's server.
const (
	stratum   = 2
	precision = -20 // log2 seconds: about a microsecond
)

type sntpServer struct {
	host   *Host
	cfg    SNTPConfig
	answer SNTPAnswer
}

func newSNTP(h *Host, cfg SNTPConfig) (*sntpServer, error) {
	if cfg.Answer == "" {
		cfg.Answer = SNTPRight
	}
	switch {
	case cfg.Wall == nil:
		return nil, errors.New("services: sntp: no clock")
	case !slices.Contains(cfg.Answer.Values(), string(cfg.Answer)):
		return nil, fmt.Errorf("services: sntp: unknown answer %q", cfg.Answer)
	}
	return &sntpServer{host: h, cfg: cfg, answer: cfg.Answer}, checkDelay(StageSNTP, cfg.Delay)
}

// SetSNTP changes what the SNTP server does. It panics without one.
func (h *Host) SetSNTP(a SNTPAnswer) { h.sntp.answer = a }

// serve answers a request, or says why it does not. Its message leaves after the
// delay, with the time at which the request arrived: the client's clock is
// wrong by half of the delay then.
func (s *sntpServer) serve(r *request) (trace.DropReason, string) {
	m, _, err := wire.ParseNTP(r.payload)
	switch {
	case err != nil:
		return trace.DropMalformed, err.Error()
	case m.Mode() != wire.NTPClient || m.Version() < 1 || m.Version() > 4:
		return trace.DropUnknown, fmt.Sprintf("NTP version %d, mode %d", m.Version(), m.Mode())
	}
	now := s.host.loop.Now()
	wall := s.cfg.Wall(now)
	f := wire.NTPFields{
		Version: m.Version(), Mode: wire.NTPServer, Poll: m.Poll(), Precision: precision,
		Stratum: stratum, Reference: s.host.Addr().As4(),
	}
	text := ""
	switch s.answer {
	case SNTPSilent:
		s.host.served(StageSNTP, r, fmt.Sprintf("request of %v: no answer", r.src))
		return "", ""
	case SNTPOld:
		wall = OldTime.Add(time.Duration(now))
	case SNTPKiss:
		f.Stratum, f.Leap, f.Reference, text = 0, wire.NTPLeapUnsynchronized, [4]byte{'R', 'A', 'T', 'E'}, "kiss of death, RATE, "
	case SNTPUnsync:
		f.Stratum, f.Leap, text = 16, wire.NTPLeapUnsynchronized, "unsynchronized, "
	}
	at := wire.NTPTimeOf(wall)
	f.ReferenceTime, f.Originate, f.Receive, f.Transmit = at, m.Transmit(), at, at
	b := make([]byte, wire.NTPLen)
	wire.PutNTP(b, f)
	s.host.served(StageSNTP, r, fmt.Sprintf("request of %v: %s%s", r.src, text, wall.UTC().Format("2006-01-02T15:04:05.000Z")))
	s.host.answer(StageSNTP, s.cfg.Delay, r.mac, wire.NTPPort, r.src, b)
	return "", ""
}
