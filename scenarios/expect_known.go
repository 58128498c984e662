package scenarios

import (
	"slices"

	"github.com/expr-lang/expr/ast"
)

// unknownBeyond are the names that only hilnet's own broker can tell, unknownOfReal
// those that only its own devices can. Of connections either tells.
var (
	unknownBeyond = []string{"delivered", "lost", "duplicated"}
	unknownOfReal = []string{
		"published", "publish_errors", "acknowledged", "lost", "received", "ping_timeouts",
		"latency_p50", "latency_p95", "latency_p99", "latency_max", "last_ack_time", "pool",
	}
	connectionNames = []string{"connects", "connect_errors", "reconnects", "disconnects"}
)

// known fails where nobody tells a number, of a device or, if that is nil, of all.
func (v *nameVisitor) known(n ast.Node, name string, of *Device) {
	broker := v.s.Broker.Kind == BrokerModel
	device := v.s.Models() > 0
	if of != nil {
		device = of.Model()
	}
	hint := "use delivered, connects, findings or exec.status"
	switch {
	case device:
		hint = "use acknowledged"
	case !broker:
		hint = "use findings, drops or exec.status"
	}
	switch {
	case !broker && slices.Contains(unknownBeyond, name):
		v.fail(n, hint, "%s is unknown: hilnet does not see what arrives at %s broker", name, v.s.Broker.Kind.article())
	case !device && (slices.Contains(unknownOfReal, name) || !broker && slices.Contains(connectionNames, name)):
		v.fail(n, hint, "%s is unknown: hilnet does not see into a real device", name)
	}
}

// entry checks a name behind devices[0].
func (v *nameVisitor) entry(n *ast.StringNode, of *ast.MemberNode) {
	if list, ok := of.Node.(*ast.IdentifierNode); !ok || list.Value != "devices" {
		return
	}
	var device *Device
	if i, ok := of.Property.(*ast.IntegerNode); ok && i.Value >= 0 && i.Value < len(v.s.Devices) {
		device = &v.s.Devices[i.Value]
	}
	v.started(n, n.Value, device)
	v.known(n, n.Value, device)
}

// started fails where hilnet starts nothing whose end or start could be told, of a
// device or, if that is nil, of any.
func (v *nameVisitor) started(n ast.Node, name string, of *Device) {
	if name != "exec" && name != "reboots" {
		return
	}
	for i := range v.s.Devices {
		d := &v.s.Devices[i]
		if (of == nil || of == d) && (d.Exec != nil || name == "reboots" && d.Model()) {
			return
		}
	}
	v.fail(n, "add exec: with the program that is the device", "%s is unknown: hilnet starts no program here", name)
}

// article says in words what a broker is that hilnet does not see into.
func (k BrokerKind) article() string {
	if k == BrokerCapture {
		return "a recorded"
	}
	return "a real"
}

// deviceOf returns the device of device("name"), or nil.
func (v *nameVisitor) deviceOf(n *ast.CallNode) *Device {
	fn, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || fn.Value != "device" || len(n.Arguments) != 1 {
		return nil
	}
	arg, _ := n.Arguments[0].(*ast.StringNode)
	for i := range v.s.Devices {
		if arg != nil && v.s.Devices[i].Name == arg.Value {
			return &v.s.Devices[i]
		}
	}
	return nil
}
