// Package scope decides who is in: expressions over mapped fields, all of which
// must hold. It hands its verdict on to match, with the rule that kept somebody
// out, and to the "why" command rule by rule.
//
// A rule sees every field by its name (username, department, ...), status
// ("active" or "disabled"), manager and the connection's custom attributes. The
// language is that of package formula: department == "Sales" and
// not (email endsWith "@partner.example").
package scope

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/mapping/formula"
	"rollcall.dev/rollcall/internal/fault"
)

// Scope is a compiled set of rules, safe for concurrent use. The one without
// rules admits everybody.
type Scope struct {
	clauses []clause
	names   []string // slot to name: text fields, status, manager, custom attributes
	custom  int      // the first slot of custom attributes
	parses  bool     // some rule uses a custom attribute
	states  sync.Pool
}

type clause struct {
	text    string
	program *formula.Program
}

// Clause is one rule as it came out for one user.
type Clause struct {
	Expr  string
	Holds bool
	Err   string // why it could not be decided; it then does not hold
}

// Compile makes a scope of expressions. custom are the names of the custom
// attributes there are (mapping.Custom). The error is a fault.Invalid that
// names the expression, the place and the nearest known name.
func Compile(exprs []string, custom ...string) (*Scope, error) {
	s := &Scope{names: slices.Concat(account.FieldNames(), []string{"status", "manager"})}
	s.custom = len(s.names)
	s.names = append(s.names, custom...)
	for i, text := range exprs {
		program, err := formula.Compile(text, formula.Options{
			Slot:      func(name string) (int, bool) { return s.slot(name) },
			Known:     s.names,
			Condition: true,
		})
		if err != nil {
			return nil, failure(i, text, s.names, err)
		}
		s.clauses = append(s.clauses, clause{text: text, program: program})
	}
	s.states.New = func() any {
		st := &state{frame: formula.NewFrame(), slots: make([][]string, len(s.names)), one: make([]string, s.custom)}
		return st
	}
	return s, nil
}

func failure(i int, text string, known []string, err error) error {
	doing := fmt.Sprintf("scope: rule %d (%s)", i+1, strings.TrimSpace(text))
	var at *formula.Error
	if errors.As(err, &at) && strings.HasPrefix(at.Message, "unknown name") {
		return fault.New(fault.Invalid, "%s: %w", doing, err).
			WithHint("a scope rule sees %s; map an attribute to a custom one to use it here", strings.Join(known, ", "))
	}
	return mapping.ExpressionFault(doing, err)
}

func (s *Scope) slot(name string) (int, bool) {
	i := slices.Index(s.names, name)
	if i >= s.custom {
		s.parses = true
	}
	return i, i >= 0
}

// Admits reports whether every rule holds. why names the first that does not.
func (s *Scope) Admits(u *mapping.User) (ok bool, why string) {
	if len(s.clauses) == 0 {
		return true, ""
	}
	st := s.load(u)
	defer s.release(st)
	for i := range s.clauses {
		c := s.clauses[i].run(st)
		if c.Err != "" {
			return false, fmt.Sprintf("scope rule %s could not be decided: %s", c.Expr, c.Err)
		}
		if !c.Holds {
			return false, fmt.Sprintf("scope rule %s is false", c.Expr)
		}
	}
	return true, ""
}

// Trace runs every rule, whatever the others say.
func (s *Scope) Trace(u *mapping.User) []Clause {
	st := s.load(u)
	defer s.release(st)
	out := make([]Clause, len(s.clauses))
	for i := range s.clauses {
		out[i] = s.clauses[i].run(st)
	}
	return out
}

// Fingerprint is a text of all rules. It changes exactly when one of them does.
func (s *Scope) Fingerprint() string {
	var b strings.Builder
	b.WriteString("scope 1\n")
	for _, c := range s.clauses {
		b.WriteString(strconv.Quote(c.text) + "\n")
	}
	return b.String()
}

func (c *clause) run(st *state) Clause {
	out := Clause{Expr: c.text}
	v, err := c.program.Run(st.frame, st.slots)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	out.Holds, _ = v.(bool)
	return out
}

// state is what one goroutine needs to decide, kept between users.
type state struct {
	frame *formula.Frame
	slots [][]string
	one   []string // the single values of the fields
}

func (s *Scope) load(u *mapping.User) *state {
	st := s.states.Get().(*state)
	put := func(i int, value string) {
		st.one[i] = value
		if value != "" {
			st.slots[i] = st.one[i : i+1]
		}
	}
	for i, value := range u.Text {
		put(i, value)
	}
	status := string(account.Active)
	if u.Disabled {
		status = string(account.Disabled)
	}
	put(len(u.Text), status)
	put(len(u.Text)+1, u.Manager)
	if s.parses && u.Attributes != "" {
		s.loadCustom(st, u.Attributes)
	}
	return st
}

// loadCustom reads the JSON object mapping made; it holds texts and lists of them.
func (s *Scope) loadCustom(st *state, object string) {
	var values map[string]any
	if json.Unmarshal([]byte(object), &values) != nil {
		return // mapping writes it and nobody else; an absent value is empty
	}
	for i := s.custom; i < len(s.names); i++ {
		st.slots[i] = formula.List(values[s.names[i]])
	}
}

func (s *Scope) release(st *state) {
	clear(st.slots)
	clear(st.one)
	s.states.Put(st)
}
