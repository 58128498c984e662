package scenarios

// An Action is one entry of the timeline. Which fields mean something depends on
// Do:
//
//	blackhole           For, Link, Way
//	link_down tx_error  For, Device
//	loss delay rate     For, Link, Way and the field of that name (value in a file)
//	leak                For, Device, Packets
//	release             Device, Packets
//	broker_publish      Topic, Message
//
// With For, what the action changed is as before when that time is over; without,
// it stays.
type Action struct {
	// When it happens, from the start of the run.
	At Duration `yaml:"at" required:"true" alt:"7s"`
	// What happens.
	Do ActionKind `yaml:"do" required:"true" alt:"link_down"`
	// How long it lasts. Default: to the end of the run.
	For Duration `yaml:"for" alt:"3s"`
	// The link that it happens to. Default: the only one.
	Link string `yaml:"link"`
	// The device that it happens to. Default: the only one.
	Device string `yaml:"device"`
	// The ways of the link that it happens to.
	Way Way `yaml:"direction" default:"both" alt:"up"`

	Loss  Percent  `yaml:"-"` // with loss
	Delay Duration `yaml:"-"` // with delay
	Rate  Rate     `yaml:"-"` // with rate; 0: unlimited

	// Packets that leak out of the pool, or come back.
	Packets int `yaml:"packets" alt:"2"`
	// Topic name of the message that the broker sends to its subscribers.
	Topic   string `yaml:"topic" alt:"other/topic"`
	Message `yaml:",inline"`
}
