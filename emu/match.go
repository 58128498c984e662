package emu

import (
	"fmt"
	"slices"

	"hilnet/link"
	"hilnet/link/match"
	"hilnet/scenarios"
)

// match gives a link its rules.
func (w *World) match(l *link.Link, cfg *scenarios.Link) error {
	var rules []match.Rule
	for i := range cfg.Match {
		rules = append(rules, cfg.Match[i].Rule())
	}
	var later []*timelineRule
	for i := range w.sc.Timeline {
		if a := &w.sc.Timeline[i]; a.Do == scenarios.AddMatch && a.Link == cfg.Name {
			r := a.Rule.Rule()
			r.Off = true
			rules = append(rules, r)
			later = append(later, &timelineRule{rule: a.Rule, number: len(rules)})
		}
	}
	if len(rules) == 0 {
		return nil
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
	for _, r := range later {
		r.matcher = m
	}
	w.rules = append(w.rules, later...)
	return nil
}

// A timelineRule is a rule that an action puts to work.
type timelineRule struct {
	rule    *scenarios.Match // the action's
	matcher *match.Matcher
	number  int
	holds   int // times that the action happened and has not ended
}

// addMatch puts the rule of an action to work, and returns what ends it.
func (w *World) addMatch(a *scenarios.Action) (undo func()) {
	i := slices.IndexFunc(w.rules, func(r *timelineRule) bool { return r.rule == a.Rule })
	if i < 0 {
		panic("emu: a rule that is not in the timeline passed validation")
	}
	r := w.rules[i]
	r.holds++
	r.matcher.Switch(r.number, true)
	return func() {
		if r.holds--; r.holds == 0 {
			r.matcher.Switch(r.number, false)
		}
	}
}

// releaseMatch releases what the rules of a link hold.
func (w *World) releaseMatch(link string) {
	for _, m := range w.matchers {
		if m.Link() == link {
			m.Release()
		}
	}
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
