// Package formula is the language of expressions in mapping and scope rules. It
// turns an administrator's text into a program and hands its results on to
// mapping, which makes fields of them, and to scope, which asks whether they hold.
//
// # Names
//
// Every bare name is an attribute (in a scope rule: a field). One rule says what
// it stands for:
//
//   - as text, it is the attribute's first value: lower(mail), givenName + " " + sn
//   - where a list is asked for, it is every value: first(departmentNumber),
//     join(ou, ", "), any(memberOf, # contains "Sales"), "admin" in role, ou[1]
//
// all(name) gives every value anywhere. attr("extension-attribute1") is a name
// that cannot be written bare; it follows the same rule. dn is the entry's own name.
// A part in brackets, givenName[0:1], is cut from the text, by characters.
// What is absent is the empty text or the empty list, never an error.
//
// # Limits
//
// An expression sees nothing but its attributes and the time of the run. It has
// at most 1,000 characters and 400 parts; lists are not nested, neither as values
// nor as loops; a text grows to 64 KiB at most, and the work of a run is counted.
package formula

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

const (
	maxLength = 1000      // characters of an expression
	maxNodes  = 400       // parts of it
	maxText   = 64 << 10  // bytes of a text made by a function
	maxMemory = 1_000_000 // elements of lists made in one run
	maxWork   = 300_000   // values, or 64 bytes of text, that functions look at in one run
)

// Options for Compile.
type Options struct {
	// Slot gives a name's place in the values handed to Run, or false where
	// there is no such name. Names are compared as the caller likes.
	Slot func(name string) (int, bool)
	// Known are the names to propose where one is not known.
	Known []string
	// Condition asks for an expression that is true or false. It decides on
	// mapped fields, so the functions that read a directory's status or depend
	// on the time are not part of it.
	Condition bool
}

// Program is a compiled expression, safe for concurrent use.
type Program struct {
	text  string
	uses  []use
	names []string
	code  *vm.Program
}

// use is one variable of the program: a slot as text or as list.
type use struct {
	key  string
	slot int
	list bool
}

// Error says what is wrong with an expression. Line and Column count from 1.
type Error struct {
	Line, Column int
	Message      string // one sentence, with the nearest known word where there is one
	Excerpt      string // the line with a mark below the place; may be empty
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s (line %d, column %d)", e.Message, e.Line, e.Column)
}

// Frame holds what runs share: the time, the default region of phone numbers,
// and what a status function found. One per goroutine.
type Frame struct {
	Now    time.Time
	Region string
	// ReviewAt and Why are set by status functions: when the status changes by
	// itself, and what made it disabled. The caller clears them before a run.
	ReviewAt time.Time
	Why      string

	env  map[string]any
	vm   vm.VM
	work int // what functions have looked at in this run
}

// NewFrame makes an empty frame.
func NewFrame() *Frame {
	f := &Frame{env: make(map[string]any, 8)}
	f.env[frameKey] = f
	f.vm.MemoryBudget = maxMemory
	return f
}

// Compile checks and compiles an expression. The error is an *Error.
func Compile(text string, o Options) (*Program, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &Error{Line: 1, Column: 1, Message: "the expression is empty"}
	}
	if !utf8.ValidString(text) {
		return nil, &Error{Line: 1, Column: 1, Message: "the expression is not valid UTF-8"}
	}
	if n := utf8.RuneCountInString(text); n > maxLength {
		return nil, &Error{Line: 1, Column: 1, Message: fmt.Sprintf("the expression has %d characters, more than %d", n, maxLength)}
	}
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	for name := range config.Builtins {
		config.Disabled[name] = true
	}
	clear(config.Builtins)
	for name, f := range functions {
		config.Functions[name] = f
	}
	tree, err := parser.ParseWithConfig(asFunction(text), config)
	if err != nil {
		return nil, place(err, text)
	}
	r := &rewriter{options: o, env: map[string]any{frameKey: (*Frame)(nil)}}
	r.program(&tree.Node)
	if r.err != nil {
		return nil, place(r.err.Bind(tree.Source), text)
	}
	config.WithEnv(r.env)
	if o.Condition {
		config.Expect, config.ExpectAny = kindBool, true
	}
	if _, err = checker.Check(tree, config); err != nil {
		return nil, place(err, text)
	}
	flat := &flatness{}
	ast.Walk(&tree.Node, flat)
	if flat.err != nil {
		return nil, place(flat.err.Bind(tree.Source), text)
	}
	if err := optimizer.Optimize(&tree.Node, config); err != nil {
		return nil, place(err, text)
	}
	code, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, place(err, text)
	}
	return &Program{text: text, uses: r.uses, names: r.names, code: code}, nil
}

// Text is the expression as written.
func (p *Program) Text() string { return p.text }

// Names lists the names the expression uses, as spelled, in order of appearance.
func (p *Program) Names() []string { return p.names }

// Run evaluates the program over the values of its slots. The result is a text,
// a list, a number or true/false; see Text and List of this package. An error
// (division by zero, a text that grew too long) says what failed, not the values.
func (p *Program) Run(f *Frame, slots [][]string) (any, error) {
	for i := range p.uses {
		u := &p.uses[i]
		values := slots[u.slot]
		switch {
		case u.list:
			f.env[u.key] = values
		case len(values) > 0:
			f.env[u.key] = values[0]
		default:
			f.env[u.key] = ""
		}
	}
	f.work = 0
	out, err := f.vm.Run(p.code, f.env)
	if err != nil {
		var at *file.Error
		if errors.As(err, &at) {
			if refused := (*refusal)(nil); errors.As(at.Prev, &refused) {
				return nil, refused
			}
			return nil, errors.New(humanise(at.Message))
		}
		return nil, err
	}
	// The library divides numbers as processors do: by zero too.
	if n, is := out.(float64); is && (math.IsInf(n, 0) || math.IsNaN(n)) {
		return nil, refuse("a number was divided by zero")
	}
	return out, nil
}

// place turns the library's error into ours.
func place(err error, text string) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return &Error{Line: 1, Column: 1, Message: humanise(err.Error())}
	}
	e := &Error{Line: max(at.Line, 1), Column: at.Column + 1, Message: humanise(at.Message)}
	lines := strings.Split(text, "\n")
	if e.Line <= len(lines) && e.Column <= utf8.RuneCountInString(lines[e.Line-1])+1 {
		e.Excerpt = strings.ReplaceAll(lines[e.Line-1], "\t", " ") + "\n" + strings.Repeat(" ", e.Column-1) + "^"
	}
	if strings.Contains(e.Message, "invalid operation: - (mismatched types string and string)") {
		e.Message = `texts cannot be subtracted; for a name with a dash write attr("the-name")`
	}
	return e
}

// humanise takes our inner names out of the library's messages.
func humanise(message string) string {
	return innerNames.Replace(message)
}

var innerNames = strings.NewReplacer(
	addName, "+", atName, "[ ]", inName, "in", sliceName, "[ : ]", asFunctionName, "contains",
	"[]string", "list", "[]interface {}", "list", "[]interface{}", "list", "interface {}", "value", "interface{}", "value",
	"type string", "type text", "(string)", "(text)", "*formula.Frame", "run",
)
