package scenarios

// Order says whether jitter lets frames overtake.
type Order string

// The orders.
const (
	OrderKeep    Order = "keep"
	OrderReorder Order = "reorder"
)

// Values returns the valid orders.
func (Order) Values() []string { return []string{string(OrderKeep), string(OrderReorder)} }

// LossModel is how frames that are lost are chosen.
type LossModel string

// The models of loss.
const (
	LossIndependent    LossModel = "independent"
	LossGilbertElliott LossModel = "gilbert-elliott"
	LossFourState      LossModel = "four-state"
	LossShuffle        LossModel = "shuffle"
	LossPattern        LossModel = "pattern"
)

// Values returns the valid models.
func (LossModel) Values() []string {
	return []string{
		string(LossIndependent), string(LossGilbertElliott), string(LossFourState), string(LossShuffle), string(LossPattern),
	}
}

// Discipline says what a queue drops.
type Discipline string

// The disciplines.
const (
	DropTail Discipline = "drop-tail"
	DropHead Discipline = "drop-head"
	CoDel    Discipline = "codel"
)

// Values returns the valid disciplines.
func (Discipline) Values() []string {
	return []string{string(DropTail), string(DropHead), string(CoDel)}
}

// BoxKind is the kind of a middlebox.
type BoxKind string

// The kinds of middlebox.
const (
	BoxNAT      BoxKind = "nat"
	BoxFirewall BoxKind = "firewall"
	BoxRouter   BoxKind = "router"
)

// Values returns the valid kinds.
func (BoxKind) Values() []string {
	return []string{string(BoxNAT), string(BoxFirewall), string(BoxRouter)}
}

// remembers reports whether the box knows connections.
func (k BoxKind) remembers() bool { return k == BoxNAT || k == BoxFirewall }

// TooBig is what the sender of a packet that is too long is told.
type TooBig string

// What it is told.
const (
	TooBigICMP TooBig = "icmp"
	TooBigNone TooBig = "none"
)

// Values returns the valid answers.
func (TooBig) Values() []string { return []string{string(TooBigICMP), string(TooBigNone)} }
