package analyze

import (
	"fmt"
	"time"

	"hilnet/pcaps/flow"
	"hilnet/sim"
	"hilnet/wire"
)

// A Config limits an Analyzer; the zero value means the defaults.
type Config struct {
	MQTTPorts []uint16 // nil = 1883
	// Secure is flow.Config.Secure: who reads TLS. Nil: nobody does.
	Secure func(*flow.Conversation) flow.Decrypter
	// Stall is the shortest standstill that is listed. 0 = 200 ms, without those
	// that the path's round-trip time explains and those that are usual there:
	// [Conversation.UsualStalls] counts the latter.
	Stall time.Duration
	// MaxConversations are listed; the others are counted. 0 = 4,096.
	MaxConversations int
	// MaxEvents bounds the messages, stalls and findings of all conversations
	// that are listed; the others are counted. 0 = 32,768.
	MaxEvents int
}

const (
	// flowMemory keeps the whole Analyzer below 64 MiB.
	flowMemory  = 12 << 20
	flowHistory = 512
	// maxText bounds a topic or client identifier that is kept.
	maxText = 256
)

// An Analyzer makes a Report of frames.
type Analyzer struct {
	config   Config
	table    *flow.Table
	labeller Labeller
	report   Report
	live     map[uint64]*session // by the ID of the conversation
	events   int                 // room left
	waiting  int                 // requests of all sessions that wait for their answer
	artefact artefacts
	arp      map[string]sim.Time // last request for an address
	now      sim.Time
	// OnSegment, when set, is told of every segment.
	OnSegment func(*Segment)
}

// New returns an Analyzer.
func New(config Config) (*Analyzer, error) {
	if config.Stall < 0 || config.MaxConversations < 0 || config.MaxEvents < 0 {
		return nil, fmt.Errorf("analyze: a limit is negative: %+v", config)
	}
	if config.MaxConversations == 0 {
		config.MaxConversations = 4096
	}
	if config.MaxEvents == 0 {
		config.MaxEvents = 32_768
	}
	a := &Analyzer{config: config, live: map[uint64]*session{}, events: config.MaxEvents, arp: map[string]sim.Time{}}
	table, err := flow.New(flow.Config{
		MQTTPorts: config.MQTTPorts, Secure: config.Secure, MaxConversations: MaxStreams, MaxMemory: flowMemory, History: flowHistory,
	}, (*handler)(a))
	if err != nil {
		return nil, fmt.Errorf("analyze: %w", err)
	}
	a.table = table
	return a, nil
}

// Feed gives the Analyzer the next frame, in the order of the capture.
// Its times count from the first frame of the capture.
func (a *Analyzer) Feed(f flow.Frame) {
	a.report.Frames++
	a.artefact.frame(&f)
	a.now = f.At
	a.ask(&f)
	r := a.table.Feed(f)
	a.artefact.duplicate(&f, &r)
	seg := a.labeller.Label(&f, &r)
	if seg == nil {
		return
	}
	a.report.Segments++
	if s := a.live[r.Conversation.ID]; s != nil {
		s.take(a, seg)
	}
	a.artefact.segment(seg)
	if a.OnSegment != nil {
		a.OnSegment(seg)
	}
}

// ask notes ARP requests: they explain standstills.
func (a *Analyzer) ask(f *flow.Frame) {
	var l wire.Layers
	if f.Link != flow.LinkEthernet || len(f.Data) < 14 || f.Data[12] != 8 || f.Data[13] != 6 || l.Parse(f.Data) != nil || l.ARP == nil {
		return
	}
	const maxARP = 1024
	if l.ARP.Operation() == wire.ARPRequest && len(a.arp) < maxARP {
		a.arp[l.ARP.Target().String()] = f.At
	}
}

// Report ends the analysis and returns what was found.
func (a *Analyzer) Report() *Report {
	a.table.Close()
	r := &a.report
	r.Artefacts = a.artefact.list(a.table.Stats(), &a.labeller)
	if r.Conversations == nil {
		r.Conversations = []*Conversation{}
	}
	return r
}

// A handler is an Analyzer as its Table sees it.
type handler Analyzer

// Data does nothing: messages are enough.
func (h *handler) Data(*flow.Chunk) {}

// Message puts a message on the time line.
func (h *handler) Message(m *flow.Message) {
	if s := h.live[m.Conversation.ID]; s != nil {
		s.message((*Analyzer)(h), m)
	}
}

// Notice opens and ends conversations.
func (h *handler) Notice(n *flow.Notice) {
	a := (*Analyzer)(h)
	switch n.Kind {
	case flow.NoticeOpened:
		if len(a.report.Conversations) >= a.config.MaxConversations {
			a.report.Unlisted++
			return
		}
		s := &session{of: n.Conversation, out: &Conversation{ID: n.Conversation.ID}}
		s.out.Messages, s.out.Stalls, s.out.UsualStalls, s.out.Findings = []Message{}, []Stall{}, []UsualStalls{}, []Finding{}
		a.live[n.Conversation.ID] = s
		a.report.Conversations = append(a.report.Conversations, s.out)
	case flow.NoticeEnded:
		if s := a.live[n.Conversation.ID]; s != nil {
			s.end(a)
			a.waiting -= len(s.mqtt.open)
			delete(a.live, n.Conversation.ID)
		}
	case flow.NoticeBoundaryLost:
		if s := a.live[n.Conversation.ID]; s != nil && n.Reason != flow.ReasonMidstream && n.Reason != flow.ReasonEnded {
			s.find(a, n.At, n.Frame, "boundary_lost", "the messages of the %s cannot be told apart from here on: %v", s.name(n.Side), n.Reason)
		}
	case flow.NoticeOverlap:
		if s := a.live[n.Conversation.ID]; s != nil {
			s.find(a, n.At, n.Frame, "overlap", "the %s repeats bytes and they are not the same", s.name(n.Side))
		}
	case flow.NoNotice, flow.NoticeProtocol, flow.NoticeBoundaryFound, flow.NoticeUnfinished:
	}
}

// room reports whether one event more is listed.
func (a *Analyzer) room(unlisted *uint64) bool {
	if a.events == 0 {
		*unlisted++
		return false
	}
	a.events--
	return true
}
