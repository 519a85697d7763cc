package formula

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"

	"rollcall.dev/rollcall/internal/setting"
)

// Inner names cannot be written by a person, so no attribute collides with them.
const (
	frameKey       = "\x00frame"
	addName        = "\x00add"
	atName         = "\x00at"
	inName         = "\x00in"
	sliceName      = "\x00slice"
	asFunctionName = "hasValue" // as long as "contains", so that columns stay right
)

var kindBool = reflect.Bool

// asFunction lets contains(list, value) be written like every other function,
// though the library's grammar only knows it as an operator between two texts.
func asFunction(text string) string {
	const word = "contains"
	if !strings.Contains(text, word) {
		return text
	}
	b := []byte(text)
	operand := false // whether what came before can stand left of an operator
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c == '"' || c == '\'' || c == '`':
			for i++; i < len(b) && b[i] != c; i++ {
				if b[i] == '\\' && c != '`' {
					i++
				}
			}
			i++
			operand = true
		case c == '_' || c == '$' || c >= 0x80 || unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c)):
			from := i
			for i < len(b) && (b[i] == '_' || b[i] == '$' || b[i] >= 0x80 || unicode.IsLetter(rune(b[i])) || unicode.IsDigit(rune(b[i]))) {
				i++
			}
			switch string(b[from:i]) {
			case word:
				if !operand && strings.HasPrefix(strings.TrimLeft(text[i:], " \t\n"), "(") {
					copy(b[from:i], asFunctionName)
				}
				operand = false
			case "not":
				// "x not contains y" keeps what came before.
			case "and", "or", "in", "matches", "startsWith", "endsWith", "let", "if", "else":
				operand = false
			default:
				operand = true
			}
		case c == ')' || c == ']' || c == '}' || c == '#':
			operand = true
			i++
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		default:
			operand = false
			i++
		}
	}
	return string(b)
}

// rewriter turns names into variables and the few convenient forms into calls
// of our functions, and refuses what the language does not have.
type rewriter struct {
	options Options
	env     map[string]any
	uses    []use
	names   []string
	locals  []string
	loops   int
	err     *file.Error
}

func (r *rewriter) fail(n ast.Node, format string, args ...any) {
	if r.err == nil {
		r.err = &file.Error{Location: n.Location(), Message: fmt.Sprintf(format, args...)}
	}
}

func (r *rewriter) program(n *ast.Node) { r.node(n, false) }

// node rewrites what n points at. list says that a list is asked for there.
func (r *rewriter) node(p *ast.Node, list bool) {
	if *p == nil || r.err != nil {
		return
	}
	switch n := (*p).(type) {
	case *ast.IdentifierNode:
		if !slices.Contains(r.locals, n.Value) {
			r.name(p, n.Value, list)
		}
	case *ast.UnaryNode:
		r.node(&n.Node, false)
	case *ast.BinaryNode:
		r.binary(p, n)
	case *ast.ChainNode:
		r.node(&n.Node, false)
	case *ast.MemberNode:
		r.member(p, n)
	case *ast.SliceNode:
		r.slice(p, n)
	case *ast.CallNode:
		r.call(p, n)
	case *ast.BuiltinNode:
		r.builtin(n)
	case *ast.PredicateNode:
		r.node(&n.Node, false)
	case *ast.VariableDeclaratorNode:
		r.node(&n.Value, false)
		r.locals = append(r.locals, n.Name)
		r.node(&n.Expr, list)
		r.locals = r.locals[:len(r.locals)-1]
	case *ast.SequenceNode:
		for i := range n.Nodes {
			r.node(&n.Nodes[i], false)
		}
	case *ast.ConditionalNode:
		r.node(&n.Cond, false)
		r.node(&n.Exp1, list)
		r.node(&n.Exp2, list)
	case *ast.ArrayNode:
		for i := range n.Nodes {
			r.node(&n.Nodes[i], false)
		}
	case *ast.MapNode:
		for i := range n.Pairs {
			r.node(&n.Pairs[i], false)
		}
	case *ast.PairNode:
		r.node(&n.Key, false)
		r.node(&n.Value, false)
	}
}

// name makes a variable of an attribute's name.
func (r *rewriter) name(p *ast.Node, name string, list bool) {
	slot, ok := 0, false
	if name != "$env" {
		slot, ok = r.options.Slot(name)
	}
	if !ok {
		if near := setting.Nearest(name, r.options.Known); near != "" {
			r.fail(*p, "unknown name %s, did you mean %s?", name, near)
		} else if _, is := functions[name]; is {
			r.fail(*p, "%s is a function: write %s(...)", name, name)
		} else {
			r.fail(*p, "unknown name %s", name)
		}
		return
	}
	if !slices.Contains(r.names, name) {
		r.names = append(r.names, name)
	}
	key := "\x00text" + strconv.Itoa(slot)
	sample := any("")
	if list {
		key, sample = "\x00list"+strconv.Itoa(slot), []string(nil)
	}
	if _, known := r.env[key]; !known {
		r.env[key] = sample
		r.uses = append(r.uses, use{key: key, slot: slot, list: list})
	}
	ast.Patch(p, &ast.IdentifierNode{Value: key})
}

func (r *rewriter) binary(p *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "..":
		r.fail(n, "a range of numbers is not part of this language")
		return
	case "|":
		r.fail(n, "| is not part of this language; write the function around its value")
		return
	}
	r.node(&n.Left, false)
	r.node(&n.Right, n.Operator == "in")
	switch n.Operator {
	case "+":
		ast.Patch(p, call(n, addName, n.Left, n.Right))
	case "in":
		ast.Patch(p, call(n, inName, n.Left, n.Right))
	case "matches":
		r.pattern(n.Right)
		ast.Patch(p, call(n, "regexMatch", n.Left, n.Right))
	case "??":
		ast.Patch(p, call(n, "firstOf", n.Left, n.Right))
	}
}

// slice cuts by characters, not by bytes.
func (r *rewriter) slice(p *ast.Node, n *ast.SliceNode) {
	r.node(&n.Node, false)
	if n.From == nil {
		n.From = &ast.IntegerNode{}
	}
	if n.To == nil {
		n.To = &ast.IntegerNode{Value: math.MaxInt}
	}
	r.node(&n.From, false)
	r.node(&n.To, false)
	ast.Patch(p, call(n, sliceName, n.Node, n.From, n.To))
}

// pattern checks a regular expression that is written out.
func (r *rewriter) pattern(n ast.Node) {
	if s, ok := n.(*ast.StringNode); ok {
		if _, err := pattern(s.Value); err != nil {
			r.fail(n, "%v", err)
		}
	}
}

// member makes list[1] give the empty text where the list is shorter.
func (r *rewriter) member(p *ast.Node, n *ast.MemberNode) {
	if id, ok := n.Node.(*ast.IdentifierNode); ok && id.Value == "$env" {
		r.fail(n, "unknown name $env")
		return
	}
	if n.Method {
		r.fail(n, "a value has no functions of its own; write the function around it")
		return
	}
	if s, ok := n.Property.(*ast.StringNode); ok {
		r.fail(n, `a value has no part %q; for a name with a dot write attr("...")`, s.Value)
		return
	}
	r.node(&n.Node, true)
	r.node(&n.Property, false)
	ast.Patch(p, call(n, atName, n.Node, n.Property))
}

func (r *rewriter) call(p *ast.Node, n *ast.CallNode) {
	id, ok := n.Callee.(*ast.IdentifierNode)
	if !ok {
		r.fail(n, "only a function can be called")
		return
	}
	if _, known := functions[id.Value]; !known || id.Value[0] == 0 {
		r.unknownFunction(n, id.Value)
		return
	}
	if r.options.Condition && strings.HasSuffix(id.Value, "Status") {
		r.fail(n, "%s belongs in the mapping's status rule; here ask for status == \"active\"", id.Value)
		return
	}
	switch id.Value {
	case "attr":
		if len(n.Arguments) == 1 {
			if s, ok := n.Arguments[0].(*ast.StringNode); ok && s.Value != "" {
				r.name(p, s.Value, false)
				return
			}
		}
		r.fail(n, `attr takes one attribute name in quotes: attr("extension-attribute1")`)
		return
	case "all", "values":
		if len(n.Arguments) == 1 {
			if s, ok := n.Arguments[0].(*ast.StringNode); ok && s.Value != "" {
				r.name(p, s.Value, true)
				return
			}
		}
	}
	for i := range n.Arguments {
		list := i == 0 && (takesList[id.Value] || id.Value == "memberOf" && len(n.Arguments) > 1)
		if attr, ok := quotedName(n.Arguments[i]); ok && list {
			r.name(&n.Arguments[i], attr, true)
			continue
		}
		r.node(&n.Arguments[i], list || id.Value == "firstOf")
	}
	if r.err != nil {
		return
	}
	switch {
	case id.Value == "memberOf" && len(n.Arguments) == 1:
		if _, ok := r.options.Slot("memberOf"); !ok {
			r.fail(n, "memberOf looks at an attribute that is not mapped: map memberOf: {expr: all(memberOf)}")
			return
		}
		groups := ast.Node(&ast.IdentifierNode{Value: "memberOf"})
		groups.SetLocation(n.Location())
		r.name(&groups, "memberOf", true)
		n.Arguments = slices.Insert(n.Arguments, 0, groups)
	case strings.HasPrefix(id.Value, "regex") && len(n.Arguments) > 1:
		r.pattern(n.Arguments[1])
	}
	n.Arguments = slices.Insert(n.Arguments, 0, frameNode(n))
}

// quotedName sees through attr("name").
func quotedName(n ast.Node) (string, bool) {
	c, ok := n.(*ast.CallNode)
	if !ok || len(c.Arguments) != 1 {
		return "", false
	}
	id, ok := c.Callee.(*ast.IdentifierNode)
	if !ok || id.Value != "attr" {
		return "", false
	}
	s, ok := c.Arguments[0].(*ast.StringNode)
	if !ok || s.Value == "" {
		return "", false
	}
	return s.Value, true
}

// loops are the library's forms that go through a list.
var loops = []string{"any", "count", "filter", "find", "map", "none", "one"}

func (r *rewriter) builtin(n *ast.BuiltinNode) {
	if !slices.Contains(loops, n.Name) {
		r.unknownFunction(n, n.Name)
		return
	}
	if r.loops > 0 {
		r.fail(n, "%s inside another loop is not part of this language", n.Name)
		return
	}
	for i := range n.Arguments {
		if attr, ok := quotedName(n.Arguments[i]); ok && i == 0 {
			r.name(&n.Arguments[i], attr, true)
			continue
		}
		if i > 0 {
			r.loops++
		}
		r.node(&n.Arguments[i], i == 0)
		if i > 0 {
			r.loops--
		}
	}
}

func (r *rewriter) unknownFunction(n ast.Node, name string) {
	if near := setting.Nearest(name, FunctionNames()); near != "" {
		r.fail(n, "unknown function %s, did you mean %s?", name, near)
		return
	}
	r.fail(n, "unknown function %s", name)
}

func call(at ast.Node, name string, args ...ast.Node) *ast.CallNode {
	callee := &ast.IdentifierNode{Value: name}
	callee.SetLocation(at.Location())
	return &ast.CallNode{Callee: callee, Arguments: slices.Insert(args, 0, frameNode(at))}
}

func frameNode(at ast.Node) ast.Node {
	n := &ast.IdentifierNode{Value: frameKey}
	n.SetLocation(at.Location())
	return n
}

// flatness refuses lists in lists once types are known. Shared lists inside
// lists would let a short text stand for an endless comparison.
type flatness struct{ err *file.Error }

// Visit looks at one node.
func (f *flatness) Visit(p *ast.Node) {
	var inner []ast.Node
	switch n := (*p).(type) {
	case *ast.ArrayNode:
		inner = n.Nodes
	case *ast.PairNode:
		inner = []ast.Node{n.Key, n.Value}
	case *ast.ConditionalNode:
		if n.Type().Kind() == reflect.Interface && f.err == nil && n.Exp1.Type() != n.Exp2.Type() {
			f.err = &file.Error{Location: n.Location(), Message: "both outcomes of a condition must be of one kind, such as two texts"}
		}
	case *ast.BuiltinNode:
		if len(n.Arguments) == 2 && n.Name == "map" {
			if body, ok := n.Arguments[1].(*ast.PredicateNode); ok {
				inner = []ast.Node{body.Node}
			}
		}
	}
	for _, n := range inner {
		switch n.Type().Kind() {
		case reflect.Slice, reflect.Array, reflect.Map:
			if f.err == nil {
				f.err = &file.Error{Location: n.Location(), Message: "a list holds texts, not other lists"}
			}
		}
	}
}
