package scenarios

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"

	"hilnet/trace"
)

// Limits of an expression.
const (
	maxExprNodes  = 200
	maxExprMemory = 10_000
)

// exprEnv is what an expression sees: the fields of the Outcome and two functions.
type exprEnv struct {
	Outcome
	Device func(string) (DeviceOutcome, error) `expr:"device"`
	Link   func(string) (LinkOutcome, error)   `expr:"link"`
}

// spanFunc stands in for a duration such as 500ms, which expr cannot read.
const spanFunc = "__span"

// exprOptions bind names and bounds. There are no text functions.
func exprOptions(env exprEnv) []expr.Option {
	options := []expr.Option{
		expr.Env(env), expr.MaxNodes(maxExprNodes), expr.Optimize(false), expr.DisableAllBuiltins(),
		expr.Function(spanFunc, func(params ...any) (any, error) {
			d, err := ParseDuration(params[0].(string))
			return d.Std(), err
		}, new(func(string) time.Duration)),
	}
	for _, name := range append(exprBuiltins, exprPredicates...) {
		options = append(options, expr.EnableBuiltin(name))
	}
	return options
}

var (
	exprBuiltins = []string{"abs", "ceil", "floor", "len", "max", "min", "round"}
	// exprPredicates ask something of each entry of a list, such as
	// all(devices, .lost == 0). They do not stand inside one another, so that
	// their work is bounded by the lists.
	exprPredicates = []string{"all", "any", "count", "none", "one"}
)

// A literal is a duration that was replaced, to find places again.
type literal struct{ at, grown int }

var (
	durationLiteral = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\b\d[\d.]*(?:ns|us|ms|s|m|h)(?:\d[\d.]*(?:ns|us|ms|s|m|h))*\b`)
	noLiteral       = regexp.MustCompile(`[A-Za-z_]$`)
)

// withSpans replaces durations by calls of spanFunc.
func withSpans(text string) (string, []literal) {
	var b strings.Builder
	var moved []literal
	last := 0
	for _, m := range durationLiteral.FindAllStringIndex(text, -1) {
		word := text[m[0]:m[1]]
		if word[0] == '"' || word[0] == '\'' || noLiteral.MatchString(text[:m[0]]) {
			continue
		}
		b.WriteString(text[last:m[0]])
		call := spanFunc + "(" + strconv.Quote(word) + ")"
		moved = append(moved, literal{b.Len(), len(call) - len(word)})
		b.WriteString(call)
		last = m[1]
	}
	b.WriteString(text[last:])
	return b.String(), moved
}

// original returns the column in the text as written.
func original(column int, moved []literal) int {
	shift := 0
	for _, l := range moved {
		if column > l.at {
			shift += min(l.grown, column-l.at)
		}
	}
	return column - shift
}

// An expression is the condition of an expectation that has been found good.
type expression struct {
	text string
	tree ast.Node
}

// exprError is what is wrong with an expression, and in which column of it, from 0.
type exprError struct {
	hinted
	column int
}

// compile checks an expression against the outcome of a scenario.
func compile(text string, s *Scenario) (*expression, *exprError) {
	code, moved := withSpans(text)
	fail := func(column int, what, format string, args ...any) *exprError {
		return &exprError{hinted{fmt.Sprintf(format, args...), what}, original(column, moved)}
	}
	tree, err := parser.Parse(code)
	if err == nil {
		if bad := checkTree(tree.Node, s); bad != nil {
			bad.column = original(bad.column, moved)
			return nil, bad
		}
		_, err = expr.Compile(code, append(exprOptions(exprEnv{}), expr.AsBool())...)
	}
	var at *file.Error
	switch {
	case err == nil:
		return &expression{text, tree.Node}, nil
	case errors.As(err, &at) && missingField.MatchString(at.Message):
		name := missingField.FindStringSubmatch(at.Message)[1]
		return nil, fail(at.Column, didYouMean(name, partNames()), "nothing in front of it has a part called %q", name)
	case errors.As(err, &at):
		return nil, fail(at.Column, exprHint(at.Message), "the expression %q: %s", text, strings.ReplaceAll(at.Message, spanFunc, "duration"))
	default:
		return nil, fail(0, exprHint(err.Error()), "the expression %q: %s", text, firstLine(err.Error()))
	}
}

// missingField is how expr says that a struct lacks a field.
var missingField = regexp.MustCompile(`has no field (\w+)`)

// partNames returns the names that stand behind a dot.
func partNames() []string {
	var all []string
	for _, t := range []reflect.Type{
		reflect.TypeFor[DeviceOutcome](), reflect.TypeFor[PoolOutcome](), reflect.TypeFor[Drops](),
		reflect.TypeFor[LinkOutcome](), reflect.TypeFor[WayOutcome](),
	} {
		for _, name := range exprNames(t) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func exprHint(msg string) string {
	switch {
	case strings.Contains(msg, "Duration"):
		return "compare times with times, such as latency_p99 < 500ms"
	case strings.Contains(msg, "bool"):
		return "write a comparison, such as lost == 0"
	case strings.Contains(msg, "maximum allowed nodes"):
		return "write a shorter expression, or several"
	case strings.Contains(msg, "unexpected token Operator(\"=\")"):
		return "compare with =="
	}
	return "such as lost == 0, or latency_p99 < 500ms"
}

// checkTree checks the names in an expression.
func checkTree(n ast.Node, s *Scenario) *exprError {
	v := &nameVisitor{s: s}
	ast.Walk(&n, v)
	return v.bad
}

type nameVisitor struct {
	s   *Scenario
	bad *exprError
}

func (v *nameVisitor) fail(n ast.Node, what, format string, args ...any) {
	if v.bad == nil {
		v.bad = &exprError{hinted{fmt.Sprintf(format, args...), what}, n.Location().From}
	}
}

// Visit is called for the leaves first.
func (v *nameVisitor) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		v.identifier(n)
	case *ast.CallNode:
		v.call(n)
	case *ast.MemberNode:
		v.member(n)
	case *ast.BuiltinNode:
		switch {
		case slices.Contains(exprPredicates, n.Name):
			v.predicate(n)
		case !slices.Contains(exprBuiltins, n.Name):
			v.fail(n, "the functions are device, link, "+strings.Join(append(exprBuiltins, exprPredicates...), ", "), "there is no function %q here", n.Name)
		}
	}
}

// predicate checks that a question about a list is about one that the outcome
// has, and asks no other such question.
func (v *nameVisitor) predicate(n *ast.BuiltinNode) {
	if len(n.Arguments) == 0 {
		return // an error of the compiler
	}
	if list, ok := n.Arguments[0].(*ast.IdentifierNode); !ok || list.Value != "devices" && list.Value != "links" {
		v.fail(n, "write "+n.Name+"(devices, .lost == 0) or "+n.Name+"(links, .up.dropped == 0)", "%s asks about devices or links only", n.Name)
	}
	inner := &predicateFinder{}
	for _, a := range n.Arguments {
		ast.Walk(&a, inner)
	}
	if inner.found > 1 {
		v.fail(n, "write two expectations", "%s inside such a question", n.Name)
	}
}

// predicateFinder counts predicates.
type predicateFinder struct{ found int }

// Visit counts.
func (f *predicateFinder) Visit(node *ast.Node) {
	if _, ok := (*node).(*ast.PredicateNode); ok {
		f.found++
	}
}

func (v *nameVisitor) identifier(n *ast.IdentifierNode) {
	names := append(outcomeNames(), "device", "link", spanFunc)
	switch {
	case !slices.Contains(names, n.Value):
		h := didYouMean(n.Value, names[:len(names)-1])
		if n.Value == "pool" && len(v.s.Devices) > 0 {
			h = fmt.Sprintf("a pool belongs to a device: device(%q).pool", v.s.Devices[0].Name)
		}
		v.fail(n, h, "the outcome has nothing called %q", n.Value)
	default:
		v.started(n, n.Value, nil)
		v.known(n, n.Value, nil)
	}
}

func (v *nameVisitor) call(n *ast.CallNode) {
	fn, ok := n.Callee.(*ast.IdentifierNode)
	if !ok || len(n.Arguments) != 1 || fn.Value == spanFunc {
		return
	}
	names := deviceNames(v.s)
	if fn.Value == "link" {
		names = linkNames(v.s)
	}
	if arg, ok := n.Arguments[0].(*ast.StringNode); ok && !slices.Contains(names, arg.Value) {
		v.fail(arg, didYouMean(arg.Value, names), "no %s is called %q", fn.Value, arg.Value)
	}
}

func (v *nameVisitor) member(n *ast.MemberNode) {
	property, ok := n.Property.(*ast.StringNode)
	if !ok {
		return
	}
	if of := memberName(n.Node); of == "finding" {
		if names := findingNames(); !slices.Contains(names, property.Value) {
			v.fail(property, didYouMean(property.Value, names), "no finding is called %q", property.Value)
		}
		return
	}
	if outer, ok := n.Node.(*ast.MemberNode); ok {
		if key, ok := outer.Property.(*ast.StringNode); ok && key.Value == "reason" {
			if _, known := trace.Explain(property.Value); !known {
				v.fail(property, didYouMean(property.Value, reasons()), "no drop reason is called %q", property.Value)
			}
			return
		}
	}
	switch of := n.Node.(type) {
	case *ast.CallNode:
		v.started(property, property.Value, v.deviceOf(of))
		v.known(property, property.Value, v.deviceOf(of))
	case *ast.PointerNode:
		v.started(property, property.Value, nil)
		v.known(property, property.Value, nil)
	case *ast.MemberNode:
		v.entry(property, of)
	}
}

// memberName returns the last name of a part, such as finding of
// device("a").finding.
func memberName(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value
	case *ast.MemberNode:
		if s, ok := n.Property.(*ast.StringNode); ok {
			return s.Value
		}
	}
	return ""
}

func reasons() []string {
	var all []string
	for _, e := range trace.Explanations() {
		all = append(all, e.Name)
	}
	return all
}

// outcomeNames returns the names that stand for themselves in an expression.
func outcomeNames() []string {
	return append(append(exprNames(reflect.TypeFor[Outcome]()), exprBuiltins...), exprPredicates...)
}

func exprNames(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		f := t.Field(i)
		switch tag := f.Tag.Get("expr"); {
		case f.Anonymous:
			all = append(all, exprNames(f.Type)...)
		case tag != "" && tag != "-":
			all = append(all, tag)
		}
	}
	return all
}

// expectation checks an expression at load.
func (c *checker) expectation(path, text string) {
	_, err := compile(text, c.s)
	if err == nil {
		return
	}
	// An expression in one line: point into it.
	at := c.s.place(path)
	if at.text != nil && at.line >= 1 && at.line <= len(at.text.lines) {
		line := at.text.lines[at.line-1]
		if i := strings.Index(line, text); i >= 0 {
			at.column = len([]rune(line[:i])) + 1 + len([]rune(text[:min(err.column, len(text))]))
		}
	}
	if len(c.errs) < MaxErrors {
		c.errs = append(c.errs, newError(at, path, &err.hinted))
	}
}

// run evaluates a tree.
func run(code string, env exprEnv, more ...expr.Option) (any, error) {
	program, err := expr.Compile(code, append(exprOptions(env), more...)...)
	if err != nil {
		return nil, errors.New(firstLine(err.Error()))
	}
	machine := vm.VM{MemoryBudget: maxExprMemory}
	got, err := machine.Run(program, env)
	if err != nil {
		return nil, errors.New(firstLine(err.Error()))
	}
	return got, nil
}
