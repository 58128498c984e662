package tap

// ExplainOpen lets tests see errors that this machine does not give.
var ExplainOpen = explainOpen

// Descriptor returns the TAP's file descriptor.
func Descriptor(t *TAP) int { return t.fd }
