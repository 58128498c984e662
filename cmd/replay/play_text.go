package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"hilnet/emu"
	"hilnet/replay/play"
	"hilnet/replay/script"
)

// writePlayed shows a report to a person.
func writePlayed(w io.Writer, name string, r *play.Report, messages bool) {
	line := func(format string, args ...any) { fmt.Fprintln(w, printable(fmt.Sprintf(format, args...))) }
	in := ""
	if r.TLS {
		in = " in TLS"
	}
	line("%s: played as the %s%s: %s", name, r.As, in, strings.ToUpper(string(r.Verdict)))
	line("  reproduced  %.1f %% of the messages: sent %d of %d, received %d of %d", 100*r.Reproduced,
		r.Sent.Sent, r.Sent.Recorded, r.Received.Matched, r.Received.Recorded)
	if t := receivedText(&r.Received, r.Sent.Skipped); t != "" {
		line("  responses   %s", t)
	}
	if d := &r.Gaps; d.Count > 0 {
		line("  gap errors  median %v, 99 %% %v, from %v to %v", round(d.Median), round(d.P99), round(d.Min), round(d.Max))
	}
	if r.Strangers > 0 {
		line("  beyond it   %s that the capture does not have: %s", many(uint64(r.Strangers), "connection"), tallies(r.StrangerReasons))
	}
	if len(r.Drops) > 0 {
		line("  dropped     by the player itself: %s", tallies(r.Drops))
	}
	if r.Unlisted > 0 {
		line("  not played  %s beyond the limit", many(r.Unlisted, "MQTT conversation"))
	}
	if r.NotMQTT > 0 {
		line("  not MQTT    %s", many(r.NotMQTT, "conversation"))
	}
	for _, c := range r.Conversations {
		writePlayedConversation(line, c, messages)
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Microsecond) }

// tallies names reasons with their numbers.
func tallies(list []play.Tally) string {
	var parts []string
	for _, t := range list {
		parts = append(parts, fmt.Sprintf("%d %s", t.Count, t.Reason))
	}
	return strings.Join(parts, ", ")
}

// receivedText names what is not as recorded.
func receivedText(n *play.ReceivedCount, skipped int) string {
	var parts []string
	for _, p := range []struct {
		n    int
		text string
	}{
		{n.Missing, "missing"}, {n.Extra, "extra"}, {n.Differing, "different"}, {n.Reordered, "reordered"},
		{n.Repeated, "repeated"}, {n.Unchecked, "not in the capture, which is not whole"}, {skipped, "of ours skipped"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.text))
		}
	}
	return strings.Join(parts, ", ")
}

func writePlayedConversation(line func(string, ...any), c *play.Conversation, messages bool) {
	line("")
	level := "MQTT"
	if c.MQTTLevel > 0 {
		level = mqttName(c.MQTTLevel)
	}
	line("conversation %d: %s to %s, %s: %s", c.ID, c.Client, c.Server, level, c.Verdict)
	if len(c.Flags) > 0 {
		line("  capture     %s", strings.Join(c.Flags, ", "))
	}
	if c.TLS != "" && c.Verdict != play.Refused {
		line("  captured in %s", c.TLS)
	}
	if c.Reason != "" {
		line("  because     %s", c.Reason)
	}
	if c.Verdict == play.Refused {
		return
	}
	line("  messages    sent %d of %d, received %d of %d", c.Sent.Sent, c.Sent.Recorded, c.Received.Matched, c.Received.Recorded)
	if t := receivedText(&c.Received, c.Sent.Skipped); t != "" {
		line("  responses   %s", t)
	}
	if c.Pings > 0 {
		line("  pings       %d more than recorded, answered", c.Pings)
	}
	if c.Unpinged > 0 {
		line("  pings       %d fewer than recorded", c.Unpinged)
	}
	if r, l := &c.Recorded, &c.Live; r.Count > 0 {
		line("  answered    after %v (median; recorded %v), at most %v (recorded %v)", round(l.Median), round(r.Median), round(l.Max), round(r.Max))
	}
	for _, d := range c.Differences {
		line("  %-11s %s (frame %d): %s is %s, recorded %s", d.Class, d.Event, d.Frame, d.Field, d.Live, d.Recorded)
	}
	for _, e := range c.ExtraMessages {
		line("  extra       %s", e)
	}
	if c.MoreNotListed > 0 {
		line("  and         %d more", c.MoreNotListed)
	}
	left := maxAbsent
	for _, m := range c.Messages {
		absent := m.Status == "missing" || m.Status == "not sent" || m.Status == "skipped"
		if absent && !messages {
			left--
		}
		if messages || absent && left >= 0 {
			line("  %-11s %s %s (frame %d, %s)%s", m.Status, m.From, m.Event, m.Frame, causeText(m.Rule, m.Cause, m.Gap), playedAt(&m))
		}
	}
	if left < 0 {
		line("  and         %d more that were not there: --messages or --json lists all", -left)
	}
}

// maxAbsent bounds the messages of a conversation that are shown because they were
// not there.
const maxAbsent = 12

func playedAt(m *play.Message) string {
	switch {
	case m.Status == "sent" && m.Error != 0:
		return fmt.Sprintf(" at %v, off by %v", round(m.At), round(m.Error))
	case m.Status == "sent" || m.Status == "matched":
		return fmt.Sprintf(" at %v", round(m.At))
	}
	return ""
}

func causeText(rule string, cause uint64, gap time.Duration) string {
	if cause == 0 {
		return fmt.Sprintf("%s, %v after the connection", rule, gap)
	}
	return fmt.Sprintf("%s, %v after frame %d", rule, gap, cause)
}

func mqttName(level uint8) string {
	switch level {
	case 3:
		return "MQTT 3.1"
	case 4:
		return "MQTT 3.1.1"
	}
	return fmt.Sprintf("MQTT %d", level)
}

const (
	planFormat  = "hilnet-play-plan"
	planVersion = 1 // grows when a key changes its meaning or goes away
)

// A planDocument is what replay play --plan --json prints. Times are in
// nanoseconds.
type planDocument struct {
	Format        string     `json:"format"`
	Version       int        `json:"version"`
	File          string     `json:"file"`
	As            string     `json:"as"`
	Conversations []planItem `json:"conversations"`
	NotMQTT       uint64     `json:"not_mqtt"`
	Unlisted      uint64     `json:"unlisted_conversations"`
	Problem       string     `json:"problem,omitempty"`
}

type planItem struct {
	ID        uint64        `json:"id"`
	Client    string        `json:"client"`
	Server    string        `json:"server"`
	MQTTLevel uint8         `json:"mqtt_level"`
	Flags     []string      `json:"flags"`
	TLS       string        `json:"recorded_tls,omitempty"` // what its TLS was, and what was read of it
	Refused   string        `json:"refused,omitempty"`
	Start     time.Duration `json:"start"`
	Events    []planEvent   `json:"events"`
}

type planEvent struct {
	From  string        `json:"from"`
	Event string        `json:"event"`
	Frame uint64        `json:"frame"`
	At    time.Duration `json:"at"` // since the first frame of the capture
	Rule  string        `json:"rule"`
	Cause uint64        `json:"cause_frame"` // 0: the connection
	Gap   time.Duration `json:"gap"`
}

// showPlan shows what would be played.
func (c *cli) showPlan(name string, s *script.Script, as script.Role, f *playFlags) error {
	doc := planDocument{Format: planFormat, Version: planVersion, File: name, As: as.String(), Conversations: []planItem{}, NotMQTT: s.Skipped, Unlisted: s.Unlisted}
	if s.Problem != nil {
		doc.Problem = s.Problem.Error()
	}
	for _, v := range s.Conversations {
		item := planItem{
			ID: v.ID, Client: v.Client.String(), Server: v.Server.String(), MQTTLevel: v.Version, Flags: v.Flags.List(), TLS: v.TLS,
			Refused: v.Unplayable(as, f.synthetic), Start: v.Begin, Events: []planEvent{},
		}
		for i := range v.Events {
			e := &v.Events[i]
			p := planEvent{From: e.From.String(), Event: e.Label(), Frame: e.Frame, At: e.At, Rule: e.Rule.String(), Gap: e.Gap}
			if e.Cause >= 0 {
				p.Cause = v.Events[e.Cause].Frame
			}
			item.Events = append(item.Events, p)
		}
		doc.Conversations = append(doc.Conversations, item)
	}
	if f.asJSON {
		return c.writeJSON(doc)
	}
	line := func(format string, args ...any) { fmt.Fprintln(c.stdout, printable(fmt.Sprintf(format, args...))) }
	line("%s: %s", name, s.Summary())
	for _, v := range doc.Conversations {
		line("")
		line("conversation %d: %s to %s", v.ID, v.Client, v.Server)
		if len(v.Flags) > 0 {
			line("  capture     %s", strings.Join(v.Flags, ", "))
		}
		if v.TLS != "" && v.Refused == "" {
			line("  captured in %s", v.TLS)
		}
		if v.Refused != "" {
			line("  refused     %s", v.Refused)
		}
		for _, e := range v.Events {
			line("  %12v  %-6s %-14s frame %d, %s", round(e.At), e.From, e.Event, e.Frame, causeText(e.Rule, e.Cause, e.Gap))
		}
	}
	return nil
}

// dropsOf lists the frames that were dropped in a run.
func dropsOf(run *emu.Result) []playDrop {
	all := []playDrop{}
	for _, reason := range slices.Sorted(maps.Keys(run.Outcome.Drops.Reason)) {
		all = append(all, playDrop{reason, run.Outcome.Drops.Reason[reason]})
	}
	return all
}

// writeNetwork tells what the network did to a play in virtual time.
func writeNetwork(w io.Writer, run *emu.Result) {
	if run == nil {
		return
	}
	fmt.Fprintf(w, "\nnetwork: scenario %s, seed %d, %v\n", printable(run.Scenario), run.Seed, time.Duration(run.Length))
	for _, d := range dropsOf(run) {
		fmt.Fprintf(w, "  dropped     %d %s\n", d.Frames, strings.ReplaceAll(d.Reason, "_", " "))
	}
	for _, f := range run.Files {
		fmt.Fprintf(w, "  written     %s\n", printable(f))
	}
}
