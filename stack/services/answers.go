package services

// A DHCPAnswer is what the DHCP server does with requests.
type DHCPAnswer string

// The answers of the DHCP server. The zero value is the right one.
const (
	DHCPRight  DHCPAnswer = "right"
	DHCPOff    DHCPAnswer = "off"    // nobody listens: a unicast request is refused by ICMP
	DHCPSilent DHCPAnswer = "silent" // requests arrive and are not answered
	DHCPNak    DHCPAnswer = "nak"    // each DHCPREQUEST is answered by DHCPNAK
	DHCPWrong  DHCPAnswer = "wrong"  // addresses of another network, in which nobody is
	DHCPTaken  DHCPAnswer = "taken"  // the address of another host: that of the broker
	DHCPShort  DHCPAnswer = "short"  // leases of ShortLease
	DHCPBare   DHCPAnswer = "bare"   // neither mask, router nor name server
)

// Values returns the valid answers.
func (DHCPAnswer) Values() []string {
	return []string{
		string(DHCPRight), string(DHCPOff), string(DHCPSilent), string(DHCPNak), string(DHCPWrong), string(DHCPTaken),
		string(DHCPShort), string(DHCPBare),
	}
}

// A DNSAnswer is what the DNS server does with queries.
type DNSAnswer string

// The answers of the DNS server. The zero value is the right one.
const (
	DNSRight     DNSAnswer = "right"
	DNSOff       DNSAnswer = "off"       // nobody listens: refused by ICMP
	DNSSilent    DNSAnswer = "silent"    // queries arrive and are not answered
	DNSNXDomain  DNSAnswer = "nxdomain"  // no name exists
	DNSServFail  DNSAnswer = "servfail"  // the server cannot say
	DNSRefused   DNSAnswer = "refused"   // it does not want to
	DNSEmpty     DNSAnswer = "empty"     // the name exists, and has no address
	DNSWrong     DNSAnswer = "wrong"     // every name has the address WrongAddress
	DNSTruncated DNSAnswer = "truncated" // no record, and the bit that says to ask by TCP
	DNSWrongID   DNSAnswer = "wrong_id"  // the right answer to another query
)

// Values returns the valid answers.
func (DNSAnswer) Values() []string {
	return []string{
		string(DNSRight), string(DNSOff), string(DNSSilent), string(DNSNXDomain), string(DNSServFail), string(DNSRefused),
		string(DNSEmpty), string(DNSWrong), string(DNSTruncated), string(DNSWrongID),
	}
}

// An SNTPAnswer is what the SNTP server does with requests.
type SNTPAnswer string

// The answers of the SNTP server. The zero value is the right one.
const (
	SNTPRight  SNTPAnswer = "right"
	SNTPOff    SNTPAnswer = "off"            // nobody listens: refused by ICMP
	SNTPSilent SNTPAnswer = "silent"         // requests arrive and are not answered
	SNTPOld    SNTPAnswer = "old"            // the time of a clock that began at OldTime
	SNTPKiss   SNTPAnswer = "kiss"           // kiss of death, with the code RATE (RFC 5905 7.4)
	SNTPUnsync SNTPAnswer = "unsynchronized" // leap indicator 3, stratum 16: not to be believed
)

// Values returns the valid answers.
func (SNTPAnswer) Values() []string {
	return []string{string(SNTPRight), string(SNTPOff), string(SNTPSilent), string(SNTPOld), string(SNTPKiss), string(SNTPUnsync)}
}
