package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// TrialEntry is one person: what the directory says, and what rules make of it.
type TrialEntry struct {
	Name       string              `json:"name"`
	ExternalID *string             `json:"external_id"`
	Live       bool                `json:"live"`       // read from the directory just now
	Attributes map[string][]string `json:"attributes"` // as they are; bytes that are no text in hexadecimal
	Problem    *string             `json:"problem"`    // why the entry itself cannot be used
	Fields     []TrialField        `json:"fields"`
	Now        *TrialVerdict       `json:"now"` // null where the rules as they are cannot be applied
	Then       TrialVerdict        `json:"then"`
}

// TrialVerdict is what becomes of a person.
type TrialVerdict struct {
	Usable   bool    `json:"usable"` // every mandatory field has a value
	InScope  bool    `json:"in_scope"`
	Disabled bool    `json:"disabled"`
	Why      *string `json:"why"` // not usable, out of scope, or disabled: the reason
}

// TrialField is one field of one person.
type TrialField struct {
	Field    string     `json:"field"`
	Rule     *TrialRule `json:"rule"`     // as it would be; null where there is none
	RuleNow  *TrialRule `json:"rule_now"` // as it is
	Starting bool       `json:"starting"` // the rule is the source's own, none of the connection's
	Now      *string    `json:"now"`
	Then     *string    `json:"then"`
	Changes  bool       `json:"changes"`
	Problem  *string    `json:"problem"` // with the rules as they would be: the entry cannot be used
	Warning  *string    `json:"warning"` // the value is left out
}

// TrialRule is a rule as people write it.
type TrialRule struct {
	Attribute string `json:"attribute,omitempty"`
	Value     string `json:"value,omitempty"`
	Expr      string `json:"expr,omitempty"`
	None      bool   `json:"none,omitempty"`
}

// TrialTally is what rules make of everybody.
type TrialTally struct {
	People      int             `json:"people"`
	InScopeNow  int             `json:"in_scope_now"`
	InScopeThen int             `json:"in_scope_then"`
	UsableNow   int             `json:"usable_now"`
	UsableThen  int             `json:"usable_then"`
	Enters      int             `json:"enters"`  // into the scope
	Leaves      int             `json:"leaves"`  // it
	Changes     int             `json:"changes"` // people of whom a mapped value changes
	Fields      []TrialCount    `json:"fields"`
	Samples     []TrialSample   `json:"samples"`  // of changes
	Problems    []TrialSentence `json:"problems"` // with the rules as they would be, the most frequent first
}

// TrialCount is one field over everybody.
type TrialCount struct {
	Field      string  `json:"field"`
	Changes    int     `json:"changes"`
	FilledNow  int     `json:"filled_now"`
	FilledThen int     `json:"filled_then"`
	Problems   int     `json:"problems"` // problems and warnings, with the rules as they would be
	Example    *string `json:"example"`  // of them: the entry and what is wrong
}

// TrialSample is one change of one field.
type TrialSample struct {
	Name   string  `json:"name"`
	Field  string  `json:"field"`
	Before *string `json:"before"`
	After  *string `json:"after"`
}

// TrialSentence is something wrong with several.
type TrialSentence struct {
	Text    string `json:"text"`
	Count   int    `json:"count"`
	Example string `json:"example"` // one of them
}

const (
	mostSamples   = 10
	mostSentences = 1000 // different ones; rules make few
)

// trial is one Try.
type trial struct {
	e         *Engine
	c         setting.Connection
	kind      source.Kind
	src       source.Source
	q         TryQuery
	at        time.Time
	now, then *rules // now is nil where they cannot be applied
	rules     [2]map[string]setting.Rule
	starting  map[string]setting.Rule // those of the connection itself
	fields    []string
	away      bool // the directory does not answer single questions
	first     []directory.Record
	sum       TrialTally
	counts    []TrialCount
	sentences map[string]*TrialSentence
	out       *Trial
}

// mapped is a person under one set of rules.
type mapped struct {
	user   mapping.User
	values []string // by field; "" for none
	scope  bool
	why    string
}

func (t *trial) apply(r *rules, rec *directory.Record) (m mapped) {
	m.values = make([]string, len(t.fields))
	if r == nil || rec.Problem != "" {
		return m
	}
	m.user = r.mapping.Map(rec, t.at)
	u := &m.user
	var custom map[string]json.RawMessage
	if u.Attributes != "" {
		_ = json.Unmarshal([]byte(u.Attributes), &custom) //nolint:errcheck // mapping wrote it
	}
	for i, name := range t.fields {
		switch f, text := account.FieldNamed(name); {
		case text:
			m.values[i] = u.Text[f]
		case name == "manager":
			m.values[i] = u.Manager
		case name == "status":
			if m.values[i] = string(account.Active); u.Disabled {
				m.values[i] = string(account.Disabled)
			}
		default:
			m.values[i] = plainly(custom[name])
		}
	}
	if len(u.Problems) == 0 {
		m.scope, m.why = r.scope.Admits(u)
	}
	return m
}

// plainly is a custom attribute's value as people read it.
func plainly(raw json.RawMessage) string {
	var text string
	var list []string
	switch {
	case raw == nil:
		return ""
	case json.Unmarshal(raw, &text) == nil:
		return text
	case json.Unmarshal(raw, &list) == nil:
		return strings.Join(list, ", ")
	}
	return string(raw)
}

// take counts a batch of people, on all cores.
func (t *trial) take(ctx context.Context, batch []directory.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.q.Who == "" {
		for i := range batch {
			if len(t.first) < t.q.Limit {
				t.first = append(t.first, batch[i])
			}
		}
	}
	if !t.q.Tally {
		if len(t.first) >= t.q.Limit {
			return errEnough
		}
		return nil
	}
	results := make([][2]mapped, len(batch))
	var wait sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), 1+len(batch)/50)
	for w := range workers {
		wait.Go(func() {
			for i := w; i < len(batch); i += workers {
				results[i] = [2]mapped{t.apply(t.now, &batch[i]), t.apply(t.then, &batch[i])}
			}
		})
	}
	wait.Wait()
	for i := range batch {
		t.add(&batch[i], &results[i][0], &results[i][1])
	}
	return nil
}

func (t *trial) add(r *directory.Record, now, then *mapped) {
	if t.counts == nil {
		t.counts, t.sentences = make([]TrialCount, len(t.fields)), map[string]*TrialSentence{}
	}
	s := &t.sum
	s.People++
	if r.Problem != "" {
		t.sentence(r.Problem, r.Name)
		return
	}
	usableNow, usableThen := t.now != nil && len(now.user.Problems) == 0, len(then.user.Problems) == 0
	count := func(n *int, yes bool) {
		if yes {
			*n++
		}
	}
	count(&s.UsableNow, usableNow)
	count(&s.UsableThen, usableThen)
	count(&s.InScopeNow, now.scope)
	count(&s.InScopeThen, then.scope)
	count(&s.Enters, then.scope && !now.scope)
	count(&s.Leaves, now.scope && !then.scope)
	changed := false
	for i, name := range t.fields {
		c := &t.counts[i]
		count(&c.FilledNow, now.values[i] != "")
		count(&c.FilledThen, then.values[i] != "")
		if !t.changes(name, now.values[i], then.values[i]) {
			continue
		}
		changed = true
		c.Changes++
		if len(s.Samples) < mostSamples {
			s.Samples = append(s.Samples, TrialSample{Name: r.Name, Field: name, Before: given(now.values[i]), After: given(then.values[i])})
		}
	}
	count(&s.Changes, changed)
	for _, text := range then.user.Problems {
		t.sentence(text, r.Name)
		t.wrong(text, r.Name)
	}
	for _, text := range then.user.Warnings {
		t.wrong(text, r.Name)
	}
}

// changes reports that a field's value is another one. A field that is left to the
// application keeps what it has.
func (t *trial) changes(name, now, then string) bool {
	return now != then && t.now != nil && slices.Contains(t.then.mapping.Targets(), name)
}

func (t *trial) wrong(text, name string) {
	if i := slices.Index(t.fields, t.then.mapping.FieldOf(text)); i >= 0 {
		if t.counts[i].Problems++; t.counts[i].Example == nil {
			t.counts[i].Example = given(name + ": " + text)
		}
	}
}

func (t *trial) sentence(text, name string) {
	one := t.sentences[text]
	if one == nil {
		if len(t.sentences) >= mostSentences {
			return
		}
		one = &TrialSentence{Text: text, Example: name}
		t.sentences[text] = one
	}
	one.Count++
}

func (t *trial) tally() *TrialTally {
	s := t.sum
	s.Fields, s.Problems = []TrialCount{}, []TrialSentence{}
	if s.Samples == nil {
		s.Samples = []TrialSample{}
	}
	for i, name := range t.fields {
		c := TrialCount{Field: name}
		if t.counts != nil {
			c = t.counts[i]
			c.Field = name
		}
		s.Fields = append(s.Fields, c)
	}
	for _, one := range t.sentences {
		s.Problems = append(s.Problems, *one)
	}
	slices.SortFunc(s.Problems, func(a, b TrialSentence) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Text, b.Text)) })
	s.Problems = s.Problems[:min(len(s.Problems), 50)]
	return &s
}

// show adds an entry to the answer.
func (t *trial) show(r *directory.Record, live bool) {
	now, then := t.apply(t.now, r), t.apply(t.then, r)
	e := TrialEntry{Name: r.Name, ExternalID: given(string(r.ID)), Live: live, Attributes: map[string][]string{}, Problem: given(r.Problem),
		Fields: []TrialField{}, Then: verdict(&then, r)}
	if t.now != nil {
		v := verdict(&now, r)
		e.Now = &v
	}
	for _, a := range r.Attributes {
		if directory.Secret(a.Name) {
			continue
		}
		values := make([]string, len(a.Values))
		for i, v := range a.Values {
			values[i] = shownValue(v)
		}
		e.Attributes[a.Name] = values
	}
	for i, name := range t.fields {
		_, own := t.starting[name]
		f := TrialField{Field: name, RuleNow: ruleOf(t.rules[0], name), Rule: ruleOf(t.rules[1], name), Starting: !own, Now: given(now.values[i]), Then: given(then.values[i]),
			Changes: t.changes(name, now.values[i], then.values[i])}
		f.Problem, f.Warning = about(t.then, name, then.user.Problems), about(t.then, name, then.user.Warnings)
		e.Fields = append(e.Fields, f)
	}
	t.out.Entries = append(t.out.Entries, e)
}

func ruleOf(list map[string]setting.Rule, name string) *TrialRule {
	r, ok := list[name]
	if !ok {
		return nil
	}
	out := TrialRule(r)
	return &out
}

func about(r *rules, field string, sentences []string) *string {
	for _, s := range sentences {
		if r.mapping.FieldOf(s) == field {
			return &s
		}
	}
	return nil
}

func verdict(m *mapped, r *directory.Record) TrialVerdict {
	v := TrialVerdict{Usable: r.Problem == "" && len(m.user.Problems) == 0, InScope: m.scope, Disabled: m.user.Disabled}
	switch {
	case r.Problem != "":
		v.Why = given(r.Problem)
	case !v.Usable:
		v.Why = given(strings.Join(m.user.Problems, "; "))
	case !m.scope:
		v.Why = given(m.why)
	case v.Disabled:
		v.Why = given(m.user.StatusWhy)
	}
	return v
}

// given is a text, nil where it is empty.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
