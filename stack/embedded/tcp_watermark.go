package embedded

import "hilnet/nic"

// What a build with NX_ENABLE_LOW_WATERMARK does with data for which a pool has
// a low watermark. Reading list: nx_tcp_socket_packet_process.c and
// nx_tcp_socket_state_data_check.c, with the upstream corrections of the window
// behind the data that were dropped.

// full reports whether no more data are taken.
func (s *TCPSocket) full(pool *nic.Pool) bool {
	return pool.LowWatermark() > 0 && (len(s.rx) >= s.ip.profile.TCP.RxQueue || pool.Low())
}

// limitWindow closes the window to what is said; the peer is not told of more.
func (s *TCPSocket) limitWindow(window uint32) { s.rxWindow, s.rxTold = window, window }

// reopen opens a window that the watermark has closed, when the next segment
// comes and there are packets again.
func (s *TCPSocket) reopen(pool *nic.Pool) {
	if pool.LowWatermark() > 0 && s.rxWindow == 0 && len(s.rx) == 0 && !pool.Low() {
		s.rxWindow = s.rxDefault
	}
}

// dropTail drops the last packet of the queue, which has just got one in its
// place, closes the window behind what is left, and returns how many of these
// are ready.
func (s *TCPSocket) dropTail() int {
	n := len(s.rx) - 1
	s.ip.drop(s.rx[n].p, "tcp", DropLowPool)
	s.rx[n] = rxSegment{}
	s.rx = s.rx[:n]
	contiguous := s.advance()
	if n == 0 {
		s.limitWindow(0)
	} else {
		s.limitWindow(s.rx[n-1].end() - s.rxSeq)
	}
	return contiguous
}
