package scenarios

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
)

// A Verdict is what became of one expectation.
type Verdict struct {
	Expectation
	Passed bool `json:"passed"`
	// Why it failed: the part that is not true, the value of every name in it,
	// and the event that decided it where that can be told. Empty when it passed.
	Why string `json:"why,omitempty"`
	// The event that decided a failure, or nil.
	Moment *Moment `json:"moment,omitempty"`
}

// Judge tells for each expectation of a scenario whether it holds.
func (o *Outcome) Judge(s *Scenario) []Verdict {
	all := make([]Verdict, len(s.Expect))
	for i, e := range s.Expect {
		all[i] = o.judge(s, e)
	}
	return all
}

func (o *Outcome) env() exprEnv {
	return exprEnv{
		Outcome: *o,
		Device: func(name string) (DeviceOutcome, error) {
			if i := slices.IndexFunc(o.Devices, func(d DeviceOutcome) bool { return d.Name == name }); i >= 0 {
				return o.Devices[i], nil
			}
			return DeviceOutcome{}, fmt.Errorf("no device is called %q", name)
		},
		Link: func(name string) (LinkOutcome, error) {
			if i := slices.IndexFunc(o.Links, func(l LinkOutcome) bool { return l.Name == name }); i >= 0 {
				return o.Links[i], nil
			}
			return LinkOutcome{}, fmt.Errorf("no link is called %q", name)
		},
	}
}

func (o *Outcome) judge(s *Scenario, e Expectation) Verdict {
	v := Verdict{Expectation: e}
	if v.Text == "" {
		v.Text = e.That
	}
	x, bad := compile(e.That, s)
	if bad != nil {
		v.Why = bad.msg
		return v
	}
	env := o.env()
	for _, part := range conjuncts(x.tree, nil) {
		got, err := run(part.String(), env)
		switch holds, isBool := got.(bool); {
		case err != nil:
			v.Why = readable(part) + ": " + err.Error()
			return v
		case !isBool:
			v.Why = fmt.Sprintf("%s is %s, neither true nor false", readable(part), show(got))
			return v
		case !holds:
			v.Why, v.Moment = o.why(part, env)
			return v
		}
	}
	v.Passed = true
	return v
}

// conjuncts takes "a and b" apart, so that a failure names the part.
func conjuncts(n ast.Node, all []ast.Node) []ast.Node {
	if b, ok := n.(*ast.BinaryNode); ok && (b.Operator == "&&" || b.Operator == "and") {
		return conjuncts(b.Right, conjuncts(b.Left, all))
	}
	return append(all, n)
}

// why explains a part that is false.
func (o *Outcome) why(part ast.Node, env exprEnv) (string, *Moment) {
	if except := exceptions(part, env); except != "" {
		return fmt.Sprintf("expected %s; not so: %s", readable(part), except), nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "expected %s, got", readable(part))
	var moment *Moment
	c := &nameCollector{}
	c.collect(part)
	for i, name := range c.names {
		got, err := run(name, env)
		if err != nil {
			continue // the whole was evaluated, so its parts can be
		}
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, " %s = %s", name, show(got))
		if moment == nil {
			moment = o.decided(name, part)
		}
	}
	if len(c.names) == 0 {
		b.WriteString(" something else")
	}
	if moment != nil {
		fmt.Fprintf(&b, "; %s at %s (event %d)", moment.Text, seconds(time.Duration(moment.T)), moment.Seq)
	}
	return b.String(), moment
}

// maxExceptions bounds the entries of a list that an explanation names.
const maxExceptions = 5

// exceptions names the devices or links for which "all" is not true, or "none" is.
func exceptions(part ast.Node, env exprEnv) string {
	n, ok := part.(*ast.BuiltinNode)
	if !ok || len(n.Arguments) != 2 || n.Name != "all" && n.Name != "none" {
		return ""
	}
	p, ok := n.Arguments[1].(*ast.PredicateNode)
	if !ok {
		return ""
	}
	asked := p.Node.String()
	if n.Name == "all" {
		asked = "not (" + asked + ")"
	}
	got, err := run(fmt.Sprintf("map(filter(%s, %s), .name)", n.Arguments[0], asked), env, expr.EnableBuiltin("map"), expr.EnableBuiltin("filter"))
	names, isList := got.([]any)
	if err != nil || !isList || len(names) == 0 {
		return ""
	}
	var all []string
	for _, name := range names[:min(len(names), maxExceptions)] {
		all = append(all, fmt.Sprint(name))
	}
	text := strings.Join(all, ", ")
	if more := len(names) - len(all); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// decided returns the event that made a counter exceed what the part allows, or
// else its first one.
func (o *Outcome) decided(name string, part ast.Node) *Moment {
	moments := o.firsts[name]
	if len(moments) == 0 {
		return nil
	}
	if b, ok := part.(*ast.BinaryNode); ok {
		if limit, ok := b.Right.(*ast.IntegerNode); ok && b.Left.String() == name {
			n := limit.Value
			if b.Operator == "<" {
				n--
			}
			switch {
			case (b.Operator == "<" || b.Operator == "<=" || b.Operator == "==") && n >= 0 && n < len(moments):
				return &moments[n]
			default:
				return nil // too few: no event shows what did not happen
			}
		}
	}
	return &moments[0]
}

// nameCollector finds the names in an expression, each with all that follows it,
// such as device("a").pool.min_free.
type nameCollector struct{ names []string }

func (c *nameCollector) collect(n ast.Node) {
	add := func() {
		if s := n.String(); !slices.Contains(c.names, s) {
			c.names = append(c.names, s)
		}
	}
	switch n := n.(type) {
	case *ast.IdentifierNode, *ast.MemberNode:
		add()
	case *ast.BinaryNode:
		c.collect(n.Left)
		c.collect(n.Right)
	case *ast.UnaryNode:
		c.collect(n.Node)
	case *ast.ChainNode:
		c.collect(n.Node)
	case *ast.BuiltinNode:
		if slices.Contains(exprPredicates, n.Name) {
			add() // its names are those of each entry
			return
		}
		for _, a := range n.Arguments {
			c.collect(a)
		}
	case *ast.ArrayNode:
		for _, a := range n.Nodes {
			c.collect(a)
		}
	case *ast.ConditionalNode:
		c.collect(n.Cond)
		c.collect(n.Exp1)
		c.collect(n.Exp2)
	}
}

// readable writes a part with its durations as the user wrote them.
func readable(n ast.Node) string {
	s := n.String()
	for {
		i := strings.Index(s, spanFunc+"(\"")
		if i < 0 {
			return s
		}
		rest := s[i+len(spanFunc)+2:]
		end := strings.Index(rest, "\")")
		if end < 0 {
			return s
		}
		s = s[:i] + rest[:end] + rest[end+2:]
	}
}

// show writes a value for a person.
func show(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return seconds(v)
	case float64:
		return strconv.FormatFloat(v, 'g', 6, 64)
	case string:
		return strconv.Quote(v)
	}
	return fmt.Sprint(v)
}

// seconds writes a time with at most microseconds.
func seconds(d time.Duration) string { return d.Round(time.Microsecond).String() }
