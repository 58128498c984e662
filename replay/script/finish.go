package script

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"hilnet/mqtt/codec"
	"hilnet/pcaps/flow"
	"hilnet/pcaps/tlsdec"
)

// finish makes conversations of the drafts.
func (g *gatherer) finish() {
	slices.SortStableFunc(g.drafts, func(a, b *draft) int {
		switch {
		case a.of.ID < b.of.ID:
			return -1
		case a.of.ID > b.of.ID:
			return 1
		}
		return 0
	})
	type identity struct {
		client, server netip.AddrPort
		isn            uint32
		incarnation    int
	}
	known := map[identity]*Conversation{}
	whole := map[[2]netip.AddrPort][]*draft{} // seen from both sides; looked up only
	for _, d := range g.drafts {
		if !d.of.OneSided() {
			key := ends(d.of)
			whole[key] = append(whole[key], d)
		}
	}
	for _, d := range g.drafts {
		if d.of.OneSided() && slices.ContainsFunc(whole[ends(d.of)], func(o *draft) bool {
			return o.of.Lane != d.of.Lane && o.of.First <= d.of.Last && d.of.First <= o.of.Last
		}) {
			continue // another interface of the capture has all of it
		}
		c := d.conversation()
		at := identity{c.Client, c.Server, d.of.A.ISN ^ d.of.B.ISN, c.Incarnation}
		if twin := known[at]; twin != nil && twin.Lane != c.Lane && d.of.Handshake != flow.HandshakeUnseen {
			twin.Flags.Elsewhere++
			continue
		}
		known[at] = c
		c.findCauses()
		g.script.Conversations = append(g.script.Conversations, c)
	}
	g.reconnects()
}

// ends are the two ends of a conversation, whoever spoke first.
func ends(c *flow.Conversation) [2]netip.AddrPort {
	if c.A.Addr.Compare(c.B.Addr) > 0 {
		return [2]netip.AddrPort{c.B.Addr, c.A.Addr}
	}
	return [2]netip.AddrPort{c.A.Addr, c.B.Addr}
}

// conversation gives the sides their roles.
func (d *draft) conversation() *Conversation {
	of := d.of
	c := &Conversation{
		ID: of.ID, Incarnation: of.Incarnation, Lane: of.Lane, Version: of.MQTTVersion, Handshake: of.Handshake,
		Begin: time.Duration(of.First), End: time.Duration(of.Last), After: -1,
	}
	client := of.Client
	if client == flow.NoSide {
		client = flow.SideA
		c.Flags.RoleUnknown = true
	}
	server := client.Peer()
	c.Client, c.Server = of.Half(client).Addr, of.Half(server).Addr
	c.Facts[0], c.Facts[1] = d.facts(client), d.facts(server)
	cs, ss := &d.side[client-1], &d.side[server-1]
	c.Flags.TLS, c.Flags.WebSocket = of.Protocol == flow.ProtocolTLS, d.websocket
	if of.Secure != nil {
		c.TLS = of.Secure.String()
	}
	c.Flags.OneSided, c.Flags.Midstream = of.OneSided(), of.Midstream()
	c.Flags.MissingClient, c.Flags.MissingBroker = cs.missing, ss.missing
	c.Flags.SnappedClient, c.Flags.SnappedBroker = cs.snapped, ss.snapped
	c.Flags.TooLongClient, c.Flags.TooLongBroker = cs.tooLong, ss.tooLong
	if s, ok := of.Secure.(*tlsdec.Session); ok && !c.Flags.TLS { // what cannot be decrypted is not there
		if s.Lost(client) {
			cs.tail = max(cs.tail, 1)
		}
		if s.Lost(server) {
			ss.tail = max(ss.tail, 1)
		}
	}
	c.Flags.TailClient, c.Flags.TailBroker = cs.tail, ss.tail
	c.Flags.LostClient, c.Flags.LostBroker = of.Half(client).LostBytes > cs.tail, of.Half(server).LostBytes > ss.tail
	c.Flags.Unended = of.End == flow.EndOpen || !d.ended
	if d.seen == 3 && d.syn == client {
		c.ToServer, c.ToClient = max(0, d.steps[1].Sub(d.steps[0])), max(0, d.steps[2].Sub(d.steps[1]))
	}
	if d.late {
		slices.SortStableFunc(d.events, func(a, b draftEvent) int { return cmp.Compare(a.Ready, b.Ready) })
	}
	for i := range d.events {
		e := &d.events[i]
		e.From = Broker
		if e.side == client {
			e.From = Client
		}
		if e.Kind == Message && c.TLS == "" { // records are not segments
			e.Segments = cutSizes(d.side[e.side-1].cuts, e.offset, e.size)
		}
		c.Events = append(c.Events, e.Event)
	}
	if c.Version == 0 {
		c.Version = guessVersion(c.Events)
	}
	c.Flags.NoConnect = !c.Flags.TLS && !c.Flags.WebSocket && c.Count(Client) > 0 && c.First(Client) != codec.CONNECT
	c.Open = c.Begin
	switch {
	case d.seen == 3:
		c.Open = time.Duration(d.steps[2])
	case d.seen == 0 && len(c.Events) > 0:
		c.Open = c.Events[0].At
	}
	if c.TLS != "" && d.hasShaken && len(c.Events) > 0 { // it could send when it had the server's last word of the handshake
		c.Open = min(max(c.Open, time.Duration(d.shaken)+c.ToClient), c.Events[0].At)
	}
	return c
}

func (d *draft) facts(side flow.Side) Facts {
	f, h := d.side[side-1].facts, d.of.Half(side)
	f.MSS, f.SACK, f.Timestamps, f.WindowScale = h.MSS, h.SACK, h.Timestamps, -1
	if h.HasScale {
		f.WindowScale = int(h.WindowScale)
	}
	return f
}

// cutSizes returns the sizes of the pieces of [off, off+n) between cuts.
func cutSizes(cuts []int64, off int64, n int) []int {
	i, _ := slices.BinarySearch(cuts, off+1)
	end := off + int64(n)
	var sizes []int
	for at := off; at < end; i++ {
		to := end
		if i < len(cuts) {
			to = min(to, cuts[i])
		}
		sizes = append(sizes, int(to-at))
		at = to
	}
	return sizes
}

// guessVersion tells MQTT 5 from 3.1.1 where no CONNECT was seen, by what only
// MQTT 5 can mean; 0 when nothing tells.
func guessVersion(events []Event) uint8 {
	for i := range events {
		e := &events[i]
		if e.Kind != Message {
			continue
		}
		h, ok, err := codec.ParseHeader(e.Raw)
		if err != nil || !ok {
			continue
		}
		switch {
		case e.Type == Auth, e.Type == codec.DISCONNECT && h.Remaining > 0, e.Type == codec.CONNACK && h.Remaining > 2,
			e.Type == codec.UNSUBACK && h.Remaining > 2:
			return 5
		case e.Type == codec.CONNACK, e.Type == codec.UNSUBACK:
			return 4
		}
	}
	return 0
}

// reconnects finds the conversations that a client opened because its last one
// had ended.
func (g *gatherer) reconnects() {
	all := g.script.Conversations
	last := map[netip.Addr]int{}
	for i, c := range all {
		if before, ok := last[c.Client.Addr()]; ok && !c.Flags.Midstream {
			if gap := c.Begin - all[before].ended(); gap >= 0 && all[before].ended() > 0 {
				c.After, c.AfterGap = before, gap
			}
		}
		if before, ok := last[c.Client.Addr()]; !ok || all[before].End <= c.End {
			last[c.Client.Addr()] = i
		}
	}
}

// ended is when the conversation was closed or reset, 0 when that was not seen.
func (c *Conversation) ended() time.Duration {
	if n := len(c.Events); n > 0 && c.Events[n-1].Kind != Message {
		return c.Events[n-1].At
	}
	return 0
}
