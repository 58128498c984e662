package embedded

// mssOption returns the maximum segment size that TCP options state, 0 if they
// state none, and false if they are malformed: _nx_tcp_mss_option_get, which
// does not look at what follows the option, nor at the last three bytes.
func mssOption(b []byte) (mss uint32, ok bool) {
	const (
		end, nop, kindMSS = 0, 1, 2
		mssLen            = 4
	)
	for len(b) >= mssLen {
		switch b[0] {
		case kindMSS:
			return uint32(b[2])<<8 | uint32(b[3]), b[1] == mssLen
		case end:
			return 0, true
		case nop:
			b = b[1:]
		default:
			n := int(b[1])
			if n == 0 || n > len(b) {
				return 0, false
			}
			b = b[n:]
		}
	}
	return 0, true
}
