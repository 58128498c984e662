// Package distance says how far the behaviour of one device is from that of another:
// a real device from a model, or one version of a firmware from the next.
//
// [Read] looks at a capture of one end of a device's link and takes from it what the
// device did, sorted by [Behaviour]: how it asked for addresses, opened connections,
// sent again, acknowledged, cut messages into segments, closed, and what it did when
// the link was down. Each such deed is a sample. Its time is that since its cause, and
// its numbers are told apart from what is arbitrary, so that two runs can be laid side
// by side whatever their clocks, addresses, ports and first sequence numbers were.
//
// [Compare] aligns the samples of two captures, behaviour by behaviour, and says which
// match, which are late and by how much, which differ, which are missing, and which
// only the second one has. [Report.Distance] sums it up: 0 when both did the same, 100
// when they have nothing in common.
//
// It measures behaviour under the same conditions: two runs of the same scenario. Runs
// of different scenarios are different for that alone.
//
// Memory grows with the number of samples, up to [Config.MaxSamples]; longer captures
// are refused. Nothing here keeps a clock or starts a goroutine, and equal captures give
// equal reports. A value belongs to one goroutine at a time.
//
// Reading list: RFC 826 (ARP); RFC 9293 (TCP) 3.8; RFC 6298 (retransmission timer); RFC
// 1122 4.2.3 (delayed acknowledgements, windows); RFC 6528 (initial sequence numbers);
// MQTT 3.1.1 chapters 3 and 4.
package distance
