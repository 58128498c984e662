// Package anonymize writes a capture anew without who and what was in it: Ethernet and IP
// addresses, names, client identifiers, credentials, topics and payloads are
// replaced; lengths, times and the way that TCP and MQTT went are kept, so that the copy
// analyzes to the same findings.
//
// Every output packet begins as zeros, and only what is understood is put into it: as it
// was where it tells nothing (flags, sequence numbers, lengths, packet identifiers), and
// replaced where it does. So what is not understood is zero, and counted; it never
// passes. The same original has the same replacement everywhere, in every file that
// is made with the same key, and nobody without the key can tell which was which by trying.
//
// What is replaced how:
//
//   - IPv4 addresses, and the networks of IPv6 addresses, keep which prefixes they have in
//     common (J. Xu et al., "Prefix-Preserving IP Address Anonymization", ICNP 2002), so
//     who knows a few of them can guess at networks. Interface identifiers and
//     Ethernet addresses are permuted such that EUI-64 and solicited-node addresses fit.
//   - Texts (topics, client identifiers, user names, host names) are replaced word by word by words of
//     the same length; punctuation, and with it the levels of topics, stays.
//   - Payloads and passwords become letters that depend on the whole of it.
//   - TLS keeps record and handshake headers, what the hello messages offer, and
//     unencrypted alerts; server names are replaced, the rest is zeros or letters.
//   - Comments, names of interfaces and programs, filters, name blocks, secrets, custom and unknown
//     blocks and options are left out, and counted.
//
// What stays is what analysis needs, and may say something to who knows where the
// capture comes from: times, lengths, ports, VLANs, TCP sequence numbers and timestamps, IP
// identification, intervals and sizes of messages.
//
// A file is read twice; the plan for its streams is held in memory, up to
// [Config.MaxPlan]. Nothing here keeps a clock or starts a goroutine. An Anonymizer belongs to
// one goroutine at a time.
package anonymize
