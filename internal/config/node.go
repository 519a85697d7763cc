package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// shape of a node.
type shape uint8

const (
	null shape = iota
	scalar
	list
	mapping
)

func (s shape) String() string {
	return [...]string{"nothing", "a single value", "a list", "a block of keys"}[s]
}

// node is one value of the file, with anchors resolved. A scalar keeps the text
// as it was written, so that a password 0123 stays what it is.
type node struct {
	shape   shape
	text    string
	items   []*node
	entries []entry
	line    int
	column  int
	env     string // the environment variable it came from, where it did
}

type entry struct {
	key   *node
	value *node
}

func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key.text == key {
			return e.value
		}
	}
	return nil
}

// maxBytes bounds a configuration file; a thousand connections need about one
// megabyte.
const maxBytes = 16 << 20

// parse reads a file's only document into nodes. A document without content is
// an empty mapping.
func (d *decoder) parse(data []byte) (root *node) {
	if len(data) > maxBytes {
		d.problems = append(d.problems, problem{text: fmt.Sprintf("%s: the file is larger than %d MB", d.name, maxBytes>>20)})
		return nil
	}
	data, ok := d.decoded(data)
	if !ok {
		return nil
	}
	// The YAML parser panics on some texts that are no YAML at all.
	defer func() {
		if recover() != nil {
			d.problems = append(d.problems, problem{text: d.name + ": this is not YAML"})
			root = nil
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.syntax(err)
		return nil
	}
	c := converter{d: d, anchors: map[string]*node{}}
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if root != nil {
			d.add(c.convert(doc.Body, 0), "a second document; one file holds one configuration")
			break
		}
		root = c.convert(doc.Body, 0)
	}
	if root == nil || root.shape == null {
		root = &node{shape: mapping, line: 1, column: 1}
	}
	return root
}

// decoded is the file as UTF-8 without a byte order mark, which editors of Windows
// put there. What is no UTF-8 would stand garbled in accounts, or not go into a database.
func (d *decoder) decoded(data []byte) ([]byte, bool) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		d.problems = append(d.problems, problem{text: d.name + ": the file is written in UTF-16; save it as UTF-8"})
		return nil, false
	}
	whole := true
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			n := &node{line: i + 1, column: 1}
			for rest := line; len(rest) > 0; n.column++ {
				r, size := utf8.DecodeRune(rest)
				if r == utf8.RuneError && size == 1 {
					break
				}
				rest = rest[size:]
			}
			d.add(n, "this character is not written in UTF-8; save the file as UTF-8")
			whole = false
		}
	}
	return data, whole
}

func (d *decoder) syntax(err error) {
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		message := e.GetMessage()
		if strings.HasPrefix(message, "found character '\t'") {
			message = "there is a tab here; YAML is indented with spaces alone"
		}
		d.add(position(e.GetToken()), "%s", message)
		return
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	d.problems = append(d.problems, problem{text: d.name + ": " + first})
}

func position(t *token.Token) *node {
	if t == nil || t.Position == nil {
		return &node{line: 1, column: 1}
	}
	return &node{line: t.Position.Line, column: t.Position.Column}
}

// converter turns the parser's tree into nodes. Aliases share the node of their
// anchor, so a text that refers to itself many times over stays small.
type converter struct {
	d       *decoder
	anchors map[string]*node
}

const maxDepth = 40

func (c *converter) convert(from ast.Node, depth int) *node {
	if from == nil {
		return &node{}
	}
	n := position(from.GetToken())
	if depth > maxDepth {
		c.d.add(n, "nested too deeply")
		return n
	}
	switch v := from.(type) {
	case *ast.NullNode:
	case *ast.StringNode:
		n.shape, n.text = scalar, v.Value
	case *ast.LiteralNode:
		n.shape, n.text = scalar, v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		n.shape, n.text = scalar, v.GetToken().Value
	case *ast.TagNode:
		if v.Start.Value != "!!str" {
			c.d.add(n, "tag %s is not used here", v.Start.Value)
			return n
		}
		return c.convert(v.Value, depth+1)
	case *ast.AnchorNode:
		n = c.convert(v.Value, depth+1)
		c.anchors[v.Name.GetToken().Value] = n
	case *ast.AliasNode:
		name := v.Value.GetToken().Value
		known, ok := c.anchors[name]
		if !ok {
			c.d.add(n, "alias *%s has no anchor before it", name)
			return n
		}
		return known
	case *ast.SequenceNode:
		n.shape = list
		for _, item := range v.Values {
			n.items = append(n.items, c.convert(item, depth+1))
		}
	case *ast.MappingValueNode:
		c.entries(n, []*ast.MappingValueNode{v}, depth)
	case *ast.MappingNode:
		c.entries(n, v.Values, depth)
	default:
		c.d.add(n, "%s is not used here", from.Type())
	}
	return n
}

func (c *converter) entries(n *node, values []*ast.MappingValueNode, depth int) {
	n.shape = mapping
	var merged []entry
	for i, mv := range values {
		at := position(mv.Key.GetToken())
		if i == 0 && !mv.IsFlowStyle {
			n.line, n.column = at.line, at.column
		}
		value := c.convert(mv.Value, depth+1)
		switch key := mv.Key.(type) {
		case *ast.MergeKeyNode:
			merged = append(merged, c.merge(value)...)
			continue
		case *ast.StringNode:
			at.text = key.Value
		case *ast.MappingKeyNode:
			c.d.add(at, "a key must be a single word")
			continue
		default:
			at.text = mv.Key.GetToken().Value
		}
		if value.line == 0 || value.shape == null {
			value = &node{shape: value.shape, line: at.line, column: at.column}
		}
		at.shape = scalar
		n.entries = append(n.entries, entry{at, value})
	}
	for _, e := range merged {
		if !slices.ContainsFunc(n.entries, func(own entry) bool { return own.key.text == e.key.text }) {
			n.entries = append(n.entries, e)
		}
	}
}

// merge gives what a "<<" key brings in; earlier maps of a list win.
func (c *converter) merge(value *node) []entry {
	switch value.shape {
	case mapping:
		return value.entries
	case list:
		var all []entry
		for _, item := range value.items {
			if item.shape == mapping {
				all = append(all, item.entries...)
			}
		}
		return all
	case null, scalar:
	}
	c.d.add(value, "<< takes a block of keys")
	return nil
}
