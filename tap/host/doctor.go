package host

// A Check is one thing that real devices need of the machine.
type Check struct {
	Name string // what it is
	For  string // what needs it
	OK   bool
	Text string // what was found
	Fix  string // the command, or the step, that mends it; empty where it is well
	// Extra says that only some recipes need it.
	Extra bool
}

// programs are what recipes and tests run beside emu, with Debian's packages.
var programs = []struct{ name, pack, need string }{
	{"ip", "iproute2", "looking at TAPs and namespaces"},
	{"mosquitto", "mosquitto", "a real broker"},
	{"mosquitto_pub", "mosquitto-clients", "a real client"},
	{"qemu-system-x86_64", "qemu-system-x86", "firmware in QEMU"},
	{"tshark", "tshark", "reading captures"},
}
