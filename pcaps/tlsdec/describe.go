package tlsdec

import "hilnet/pcaps/flow"

// notFromTheStart is why a session without its ClientHello is not read.
const notFromTheStart = "the capture begins within the session"

// Describe says what was read of a conversation's TLS; empty if there is none.
func Describe(c *flow.Conversation) string {
	switch {
	case c.Secure != nil:
		return c.Secure.String()
	case c.Protocol == flow.ProtocolTLS:
		return "TLS, not decrypted: " + notFromTheStart
	}
	return ""
}

// Unread says why a conversation's TLS was not read to its end; empty if it was, or
// there is none.
func Unread(c *flow.Conversation) string {
	if s, ok := c.Secure.(*Session); ok {
		return s.why
	}
	if c.Protocol == flow.ProtocolTLS {
		return notFromTheStart
	}
	return ""
}
