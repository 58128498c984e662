package scenarios

import "hilnet/link"

// A Link joins a device and the broker's network.
type Link struct {
	// Name of the link. Default: link, or link-DEVICE when there are several devices.
	Name string `yaml:"name" min:"1" max:"64" alt:"uplink"`
	// The device it belongs to. Default: the only one.
	Device string `yaml:"device" min:"1"`
	// The way from the device to the broker.
	Up Direction `yaml:"up" shared:"true"`
	// The way from the broker to the device.
	Down Direction `yaml:"down" shared:"true"`
	// A NAT, firewall or router at the broker's end. Default: none.
	Middlebox *Middlebox `yaml:"middlebox" alt:"nat"`
	// The cellular modem of the device, which sleeps and wakes up. Default: none, as if it were always connected.
	Radio *Radio `yaml:"radio" alt:"{inactivity: 1s, wake: 1500ms}"`
	// Rules that choose frames by what they carry, such as the third PUBACK, and say what happens to them. They stand in front of everything else that the link does.
	Match []Match `yaml:"match" max:"1000"`
}

// A Direction is what one way of a link does to frames, in the order trace, loss,
// states, duplicate, corrupt, mtu, police, queue and rate, delay, slot. In a
// file its keys may stand in the link itself, and then hold for both ways.
type Direction struct {
	// A link that is known by name: its keys hold here, but for those that the file has itself, in the link or beside it. emu presets lists them. Default: none.
	Preset PresetName `yaml:"preset" alt:"geo"`
	// What a real link was seen to do: the name of a trace that comes with hilnet, or of a file. Of delay, rate and loss it says some or all. A string, or a mapping with start and once. Default: none.
	Trace *Trace `yaml:"trace" alt:"nyc-4g-subway"`
	// What tc's netem would do, in its words, instead of what is below but for mtu, police and states. A string, or a mapping with mode.
	Netem *Netem `yaml:"netem" alt:"delay 40ms 10ms loss 10%"`
	// How long each frame is under way. Frames keep their order, unless jitter or reorder says otherwise.
	Delay Duration `yaml:"delay" max:"4h" default:"0s" alt:"30ms"`
	// How the delays of frames differ: a duration, or a mapping.
	Jitter Jitter `yaml:"jitter" alt:"20ms"`
	// Share of frames that are lost, each independently of the others; or a mapping, for losses in bursts and others.
	Loss Loss `yaml:"loss" alt:"20%"`
	// Loss, delay and rate by a state that changes: a link that is bad is bad in all three. The first state is the one it begins in.
	States []State `yaml:"states" max:"64" alt:"[{loss: 50%, dwell: 1s}, {dwell: 1s}]"`
	// Share of frames of which a copy arrives too.
	Duplicate Chance `yaml:"duplicate" alt:"30%"`
	// Share of frames that are sent at once, past those that are being delayed.
	Reorder Reorder `yaml:"reorder" alt:"50%"`
	// Share of frames in which bits are flipped.
	Corrupt Corrupt `yaml:"corrupt" alt:"30%"`
	// Longest IP packet in bytes; longer ones vanish and nobody is told. Default: no limit.
	MTU int `yaml:"mtu" min:"68" max:"65535" alt:"200"`
	// What drops frames that exceed a rate, without a queue.
	Police *Police `yaml:"police" alt:"{rate: 2kbit, burst: 400B}"`
	// Bit rate. Default: unlimited.
	Rate Rate `yaml:"rate" max:"1000000Gbit" default:"unlimited" alt:"20kbit"`
	// Bytes added to each frame when its time on the wire is computed, up to 65535B; 24B for what Ethernet adds.
	Overhead Size `yaml:"overhead" max:"65535B" default:"0B" alt:"400B"`
	// The cells that frames are cut into when their time on the wire is computed, as in ATM. Default: none.
	Cell *Cell `yaml:"cell" alt:"{payload: 48B, overhead: 200B}"`
	// What leaves at once after a pause, before the bit rate counts: the depth of a token bucket.
	Burst Size `yaml:"burst" max:"1024MiB" default:"0B" alt:"2kB"`
	// How long frames keep the channel busy beyond their bits, because of attempts that failed: dummynet's delay profile. What is above the last share is lost. Default: not.
	Airtime []Quantile `yaml:"airtime" max:"1000" alt:"[{share: 0%, delay: 400ms}, {share: 90%, delay: 900ms}]"`
	// The queue in front of the bit rate, which drops what arrives when it is full.
	Queue Queue `yaml:"queue"`
	// Whether frames of a transport that knows ECN are marked instead of lost, by loss and by codel.
	ECN bool `yaml:"ecn" default:"false" alt:"true"`
	// Frames leave in groups, as from a radio that wakes up at times. Default: they do not.
	Slot *Slot `yaml:"slot" alt:"{every: 300ms, grid: true}"`
	// Frames that are lost for sure: their numbers, from 1, among those that enter this way, as emu explore counts them. They are dropped before anything else happens to them, but for a blackhole.
	DropFrames []uint64 `yaml:"drop_frames" max:"100000" alt:"[5, 6, 7, 8, 9, 10]"`
}

// Jitter is how the delays of frames differ. In a file a duration alone is the
// spread. Delay and jitter together are at least 0.
type Jitter struct {
	// Half the width of a uniform distribution, the standard deviation of others.
	Spread Duration `yaml:"spread" max:"4h" default:"0s" alt:"30ms" short:"true"`
	// uniform, normal, pareto, paretonormal, or the path of one of tc's .dist files.
	Distribution string `yaml:"distribution" min:"1" max:"4096" default:"uniform" alt:"pareto"`
	// How much a frame's delay depends on that of the frame before it.
	Correlation Percent `yaml:"correlation" max:"99.99%" default:"0%" alt:"90%"`
	// keep: a frame waits for those before it. reorder: one with a short delay overtakes.
	Order Order `yaml:"order" default:"keep" alt:"reorder"`
	// Delays with the share of frames that have at most these, instead of a spread; between them it is a straight line.
	Quantiles []Quantile `yaml:"quantiles" max:"1000" alt:"[{share: 0%, delay: 10ms}, {share: 100%, delay: 90ms}]"`

	table *link.Distribution // made when the scenario is checked; nil: uniform
}

// A Quantile says that a share of the frames has at most a delay.
type Quantile struct {
	// Share of the frames. It rises from one to the next.
	Share Percent `yaml:"share" required:"true" alt:"60%"`
	// What they have at most, in addition to the delay of the direction.
	Delay Duration `yaml:"delay" max:"4h" required:"true" alt:"150ms"`
}

// A Chance is a share of frames that something happens to. In a file a percentage
// alone is the share.
type Chance struct {
	// Share of the frames.
	Share Percent `yaml:"share" default:"0%" alt:"30%" short:"true"`
	// How much a frame's fate depends on that of the frame before it; the share stays what it is.
	Correlation Percent `yaml:"correlation" max:"99.99%" default:"0%" alt:"95%"`
}

// Loss is which frames are lost. In a file a percentage alone is the share.
type Loss struct {
	// Share of the frames, with the models independent and gilbert-elliott.
	Share Percent `yaml:"share" default:"0%" alt:"30%" short:"true"`
	// independent: each frame for itself. gilbert-elliott: in bursts, by a good and a bad state. four-state: tc's loss state. shuffle: exactly lose of each of frames. pattern: by the length of the current run of losses.
	Model LossModel `yaml:"model" default:"independent" alt:"gilbert-elliott"`
	// With independent: how much a frame's fate depends on that of the frame before it.
	Correlation Percent `yaml:"correlation" max:"99.99%" default:"0%" alt:"95%"`
	// With gilbert-elliott and share: the mean length of a run of losses.
	Run float64 `yaml:"run" min:"1" max:"1000000" alt:"6"`
	// With gilbert-elliott, instead of share: the chance that good turns bad from one frame to the next (p).
	ToBad Percent `yaml:"to_bad" alt:"40%"`
	// With gilbert-elliott, instead of share: the chance that bad turns good (r).
	ToGood Percent `yaml:"to_good" alt:"70%"`
	// With gilbert-elliott: share lost in the bad state (1-h). Default: 100%.
	Bad *Percent `yaml:"bad" alt:"50%"`
	// With gilbert-elliott: share lost in the good state (1-k). Default: 0%.
	Good Percent `yaml:"good" alt:"30%"`
	// With four-state: from received in a gap to lost in a burst.
	P13 Percent `yaml:"p13" alt:"40%"`
	// With four-state: from lost in a burst to received in a gap.
	P31 Percent `yaml:"p31" alt:"70%"`
	// With four-state: from lost in a burst to received in a burst.
	P32 Percent `yaml:"p32" alt:"50%"`
	// With four-state: from received in a burst to lost in a burst.
	P23 Percent `yaml:"p23" alt:"60%"`
	// With four-state: from received in a gap to lost alone.
	P14 Percent `yaml:"p14" alt:"40%"`
	// With shuffle: how many frames of each block are lost.
	Lose int `yaml:"lose" min:"1" max:"65536" alt:"3"`
	// With shuffle: how many frames a block has.
	Of int `yaml:"of" min:"1" max:"65536" alt:"5"`
	// With pattern: the share lost after a frame that came through, after one loss, after two, and so on; the last one goes for all longer runs.
	Pattern []Percent `yaml:"pattern" max:"4096" alt:"[30%, 90%, 0%]"`
}

// Reorder sends some frames at once. In a file a percentage alone is the share.
type Reorder struct {
	Chance `yaml:",inline"`
	// At most one of so many frames is sent at once.
	Gap int `yaml:"gap" min:"1" max:"1000000" default:"1" alt:"4"`
}

// Corrupt flips bits of some frames. In a file a percentage alone is the share.
type Corrupt struct {
	Chance `yaml:",inline"`
	// Different bits of a frame that are flipped.
	Bits int `yaml:"bits" min:"1" max:"64" default:"1" alt:"9"`
	// The first byte that may be hit, from 0.
	From int `yaml:"from" min:"0" max:"65535" default:"0" alt:"20"`
	// The byte behind the last one that may be hit. Default: the end of the frame.
	To int `yaml:"to" min:"1" max:"65535" alt:"62"`
	// Whether bytes are counted behind the TCP, UDP or ICMP header, and only these are hit.
	Payload bool `yaml:"payload" default:"false" alt:"true"`
	// Whether checksums are made right again, so that the damage reaches the application.
	Repair bool `yaml:"repair" default:"false" alt:"true"`
}

// Police drops what exceeds a rate.
type Police struct {
	// Bit rate.
	Rate Rate `yaml:"rate" max:"1000000Gbit" required:"true" alt:"2kbit"`
	// What may come at once.
	Burst Size `yaml:"burst" min:"1B" max:"1024MiB" required:"true" alt:"5kB"`
}

// Cell is what frames are cut into.
type Cell struct {
	// Bytes of a frame in each cell; the last one is padded.
	Payload Size `yaml:"payload" min:"1B" max:"65535B" default:"48B" alt:"300B"`
	// Bytes added to each cell.
	Overhead Size `yaml:"overhead" max:"65535B" default:"5B" alt:"50B"`
}

// A Queue limits what waits for a link's bit rate.
type Queue struct {
	// Frames that wait or are being sent, 1 to 1000000.
	Packets int `yaml:"packets" min:"1" max:"1000000" default:"1000" alt:"1"`
	// Bytes of the frames that wait or are being sent, up to 1024 MiB.
	Bytes Size `yaml:"bytes" min:"1B" max:"1024MiB" default:"16MiB" alt:"100B"`
	// What is dropped. drop-tail: what comes when it is full. drop-head: then the oldest. codel: also what has waited for too long (RFC 8289).
	Discipline Discipline `yaml:"discipline" default:"drop-tail" alt:"codel"`
	// With codel: the wait that it aims at. Default: 5ms.
	Target Duration `yaml:"target" min:"1us" max:"1h" alt:"1s"`
	// With codel: how long the wait must be above it. Default: 100ms.
	Interval Duration `yaml:"interval" min:"1us" max:"1h" alt:"2s"`
	// Frames of a transport that knows ECN are marked when they find so many frames or more. Default: none.
	MarkAt int `yaml:"mark_at" min:"1" max:"1000000" alt:"1"`
}

// A Slot lets frames leave in groups.
type Slot struct {
	// Time from one group to the next.
	Every Duration `yaml:"every" min:"1us" max:"4h" required:"true" alt:"700ms"`
	// The time is between every and this, at random. Default: always the same.
	Most Duration `yaml:"most" min:"1us" max:"4h" alt:"900ms"`
	// Frames of a group. Default: no limit.
	Packets int `yaml:"packets" min:"1" max:"1000000" alt:"1"`
	// Bytes of a group; the last frame may exceed it. Default: no limit.
	Bytes Size `yaml:"bytes" min:"1B" max:"1024MiB" alt:"70B"`
	// Whether groups leave at multiples of every since the start of the run only, as in connection intervals.
	Grid bool `yaml:"grid" default:"false" alt:"true"`
}

// A State is one condition of a link.
type State struct {
	// Name, for people.
	Name string `yaml:"name" max:"64"`
	// Share of frames that are lost, in addition to other losses.
	Loss Percent `yaml:"loss" default:"0%" alt:"60%"`
	// Delay in addition to that of the direction.
	Delay Duration `yaml:"delay" max:"4h" default:"0s" alt:"70ms"`
	// Bit rate instead of that of the direction. Default: no change.
	Rate Rate `yaml:"rate" max:"1000000Gbit" default:"unlimited" alt:"5kbit"`
	// How long the state holds, on average. Either this or packets, the same in all states.
	Dwell Duration `yaml:"dwell" min:"1ms" max:"4h" alt:"300ms"`
	// For how many frames the state holds, on average.
	Packets float64 `yaml:"packets" min:"1" max:"1000000000" alt:"2"`
	// Whether it always holds for the same time, instead of one that is drawn.
	Fixed bool `yaml:"fixed" default:"false" alt:"true"`
	// How likely each state follows, by position; its own is 0. Default: the next one, after the last the first.
	Next []float64 `yaml:"next" max:"64"`
}

// A Middlebox is what stands between a link and the broker's network. In a file
// its kind may stand alone.
type Middlebox struct {
	// nat and firewall remember the connections that the device began, for a while, and pass nothing else; the address of a nat can change. router: neither.
	Kind BoxKind `yaml:"kind" required:"true" alt:"router" short:"true"`
	// How long it remembers an idle TCP connection. Default: 2h4m (RFC 5382); many forget after minutes.
	IdleTCP Duration `yaml:"idle_tcp" min:"1ms" max:"168h" alt:"2s"`
	// How long it remembers idle UDP. Default: 5m (RFC 4787).
	IdleUDP Duration `yaml:"idle_udp" min:"1ms" max:"168h"`
	// Whether it answers a segment of a connection that it does not know with a reset. Otherwise the segment vanishes.
	Reset bool `yaml:"reset" default:"false" alt:"true"`
	// Connections that it remembers at most. Default: 4096.
	Connections int `yaml:"connections" min:"1" max:"1000000" alt:"1"`
	// Longest IP packet in bytes, either way. Default: no limit.
	MTU int `yaml:"mtu" min:"68" max:"65535" alt:"100"`
	// What the sender of a longer packet is told. icmp: that it is too long (RFC 1191, RFC 8201). none: nothing, the black hole of RFC 2923.
	TooBig TooBig `yaml:"too_big" alt:"none"`
}
