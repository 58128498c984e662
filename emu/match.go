package emu

import (
	"fmt"

	"hilnet/link"
	"hilnet/link/match"
	"hilnet/scenarios"
)

// match gives a link its rules.
func (w *World) match(l *link.Link, cfg *scenarios.Link) error {
	if len(cfg.Match) == 0 {
		return nil
	}
	rules := make([]match.Rule, len(cfg.Match))
	for i := range cfg.Match {
		rules[i] = cfg.Match[i].Rule()
	}
	m, err := match.New(match.Config{
		Loop: w.loop, Trace: w.trace, Rules: rules, MQTTPorts: []uint16{uint16(w.sc.Broker.Port)},
	})
	if err == nil {
		err = m.Attach(l)
	}
	if err != nil {
		return fmt.Errorf("emu: %w", err)
	}
	w.matchers = append(w.matchers, m)
	return nil
}

// unusedRules ends the rules of all links and returns, in words, which of them
// never had anything to do.
func (w *World) unusedRules() []string {
	var all []string
	for _, m := range w.matchers {
		all = append(all, m.Finish()...)
	}
	w.deciding.report(w.trace)
	return append(all, w.deciding.notes()...)
}
