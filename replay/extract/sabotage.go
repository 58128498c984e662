package extract

// A sabotage is a rule that is broken on purpose: what the peer says of it is not heard.
type sabotage uint8

const (
	noSabotage   sabotage = iota
	withoutSACK           // what it has behind holes
	withoutDSACK          // what came twice
	withoutEcho           // which of two it has, by its timestamp
	withoutCount          // that answers are missing, by its identifications
	withoutQueue          // that a full queue drops what comes
)

// spoil takes from an answer what the sabotage does not hear.
func (s sabotage) spoil(a *answer) {
	switch s {
	case withoutSACK:
		a.sacks, a.blocks = false, nil
	case withoutDSACK:
		a.dsack = false
	case withoutEcho:
		a.hasEcho = false
	case withoutCount:
		a.missing = -1
	}
}
