package mapping

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping/clean"
	"rollcall.dev/rollcall/internal/engine/mapping/formula"
)

// state is what one goroutine needs to map records, kept between them.
type state struct {
	slots [][]string
	at    []int // where each slot's attribute stood in the record before
	own   [1]string
	frame *formula.Frame
	json  []byte
}

func (m *Mapping) newState() *state {
	f := formula.NewFrame()
	f.Region = m.options.Region
	return &state{slots: make([][]string, len(m.names)), at: make([]int, len(m.names)), frame: f}
}

// load finds the values of the first n slots. Records of one directory tend to
// list their attributes in one order, so the place of the last time is tried first.
func (s *state) load(names []string, r *directory.Record) {
	for i, name := range names {
		if p := s.at[i]; p < len(r.Attributes) && r.Attributes[p].Name == name {
			s.slots[i] = r.Attributes[p].Values
			continue
		}
		s.slots[i] = nil
		for p := range r.Attributes {
			if n := r.Attributes[p].Name; len(n) == len(name) && strings.EqualFold(n, name) {
				s.at[i], s.slots[i] = p, r.Attributes[p].Values
				break
			}
		}
		if s.slots[i] == nil && strings.EqualFold(name, "dn") {
			s.own[0] = r.Name
			s.slots[i] = s.own[:]
		}
	}
}

// Map applies every rule. now is the time of the run: expiry dates are held
// against it.
func (m *Mapping) Map(r *directory.Record, now time.Time) User {
	var u User
	s := m.states.Get().(*state)
	defer m.release(s)
	s.frame.Now = now
	s.load(m.names, r)
	m.text(s, m.fields, &u)
	if m.options.Role != "" && u.Text[account.Role] == "" {
		u.Text[account.Role] = m.options.Role
	}
	if m.manager != nil {
		u.Manager = m.reference(s, m.manager, &u)
	}
	if m.status != nil {
		m.decide(s, m.status, &u)
	}
	if len(m.custom) > 0 {
		u.Attributes = attributesOf(m.custom, s, &u)
	}
	return u
}

// Identity applies the rules of the mandatory fields and the identifying ones
// only, with their problems.
func (m *Mapping) Identity(r *directory.Record, now time.Time) User {
	var u User
	s := m.states.Get().(*state)
	defer m.release(s)
	s.frame.Now = now
	s.load(m.names[:m.identity], r)
	m.text(s, m.fields[:m.identifying], &u)
	if len(m.known) > 0 {
		u.Attributes = attributesOf(m.known, s, &u)
	}
	return u
}

func (m *Mapping) release(s *state) {
	clear(s.slots)
	s.own[0] = ""
	m.states.Put(s)
}

// text fills in text fields.
func (m *Mapping) text(s *state, rules []rule, u *User) {
	for i := range rules {
		rule := &rules[i]
		raw, err := rule.text(s)
		mandatory := slices.Contains(account.Mandatory, rule.field)
		if err != nil {
			u.complain(mandatory, rule, "the expression failed: "+err.Error())
			continue
		}
		value, why := m.valid(rule.field, raw)
		u.Text[rule.field] = value
		switch {
		case why != "":
			u.complain(mandatory, rule, why)
		case value == "" && mandatory:
			u.complain(true, rule, "is empty")
		}
	}
}

// text is a rule's value as text.
func (r *rule) text(s *state) (string, error) {
	if r.slot >= 0 {
		if values := s.slots[r.slot]; len(values) > 0 {
			return values[0], nil
		}
		return "", nil
	}
	if r.program == nil {
		return r.value, nil
	}
	out, err := r.program.Run(s.frame, s.slots)
	if err != nil {
		return "", err
	}
	return formula.Text(out), nil
}

// valid brings a text field's value into its form.
func (m *Mapping) valid(f account.Field, raw string) (value, why string) {
	if raw == "" {
		return "", ""
	}
	switch f {
	case account.Username:
		return clean.Username(raw)
	case account.Email:
		return clean.Email(raw)
	case account.MobilePhone:
		return clean.Mobile(raw, m.options.Region)
	case account.Phone:
		return clean.Phone(raw, m.options.Region)
	case account.Language:
		return clean.Language(raw)
	}
	return clean.Text(raw)
}

// complain notes what is wrong with a value: a problem where the entry cannot do
// without it, otherwise a warning. The value itself is not repeated: these
// sentences are shown to people who may not see the directory.
func (u *User) complain(problem bool, r *rule, why string) {
	if problem {
		u.Problems = append(u.Problems, fmt.Sprintf("%s %s (%s)", r.name, why, r.source))
		return
	}
	u.Warnings = append(u.Warnings, fmt.Sprintf("%s left out: %s (%s)", r.name, why, r.source))
}

// FieldOf gives the field that a problem or warning of a user is about, or "".
func (m *Mapping) FieldOf(sentence string) string {
	best := ""
	for _, name := range m.targets {
		if len(name) > len(best) && strings.HasPrefix(sentence, name+" ") {
			best = name
		}
	}
	return best
}

// reference is the manager's ref. Refs are compared by the source, so nothing
// but its encoding is looked at.
func (m *Mapping) reference(s *state, r *rule, u *User) string {
	raw, err := r.text(s)
	if err != nil {
		u.complain(false, r, "the expression failed: "+err.Error())
		return ""
	}
	raw = strings.TrimSpace(raw)
	if why := clean.Reference(raw); why != "" {
		u.complain(false, r, why)
		return ""
	}
	return raw
}

// decide sets the status. Only a value that says so disables somebody, or enables
// whom another disabled.
func (m *Mapping) decide(s *state, r *rule, u *User) {
	s.frame.ReviewAt, s.frame.Why = time.Time{}, ""
	raw, err := r.text(s)
	if err != nil {
		u.Unclear = true
		u.complain(false, r, "the expression failed: "+err.Error()+"; "+disablesNobody)
		return
	}
	active, known := parseStatus(raw)
	if !known {
		u.Unclear = true
		u.complain(false, r, "is not a known status; "+disablesNobody)
		return
	}
	if active {
		u.ReviewAt = s.frame.ReviewAt
		return
	}
	u.Disabled = true
	switch {
	case s.frame.Why != "":
		u.StatusWhy = s.frame.Why
	case r.slot >= 0:
		u.StatusWhy = m.names[r.slot] + " says " + strings.TrimSpace(raw)
	case r.program != nil:
		u.StatusWhy = "the status rule says " + strings.TrimSpace(raw)
	default:
		u.StatusWhy = "the status rule is constant"
	}
}

const disablesNobody = "it neither disables nor enables"

func parseStatus(s string) (active, known bool) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "", "active", "enabled", "enable", "true", "yes", "y", "on", "1":
		return true, true
	case "disabled", "disable", "inactive", "false", "no", "n", "off", "0", "suspended", "blocked", "deactivated", "deleted":
		return false, true
	}
	return true, false
}
