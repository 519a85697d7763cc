package engine

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// Check is the connection doctor: the source's own steps, then a whole reading
// through mapping and scope that is kept nowhere. It reports each step and
// whether none failed.
func (e *Engine) Check(ctx context.Context, c setting.Connection, report func(source.Step)) (bool, error) {
	given := c
	c, err := e.Settled(ctx, c)
	if err != nil {
		report(failedStep(source.Settings, "settings", err, time.Now()))
		return false, nil
	}
	if err := complete(c, func(setting.Option) bool { return true }); err != nil {
		report(failedStep(source.Settings, "settings", err, time.Now()))
		return false, nil
	}
	state, err := e.Store.Leases().State(ctx, c.Alias)
	if err != nil {
		return false, err
	}
	if err := state.Belongs(c.Organization); err != nil {
		report(failedStep(source.Settings, "organization", err, time.Now()))
		return false, nil
	}
	kind, src, err := e.open(ctx, c)
	if err != nil {
		return false, err
	}
	defer src.Close() //nolint:errcheck // nothing depends on it any more
	if s, has := e.policyStep(ctx, given, c); has {
		report(s)
	}
	ok, groups := true, false
	tell := func(s source.Step) {
		ok = ok && s.Verdict != source.Fail
		groups = groups || s.Section == source.Groups
		report(s)
	}
	src.Check(ctx, tell)
	if !ok {
		return false, ctx.Err()
	}
	began := time.Now()
	preset, err := src.Preset(ctx)
	if err != nil {
		tell(failedStep(source.Mapping, "mapping", err, began))
		return false, nil
	}
	r, err := e.compile(c, kind, preset)
	if err != nil {
		tell(failedStep(source.Mapping, "mapping", err, began))
		return false, nil
	}
	t := &tally{rules: r, now: e.now(), further: match.Further(c.Match), filled: map[string]int{}, claimed: map[account.Value][]string{}, problems: map[string][]string{}}
	reading, err := src.Read(ctx, source.Request{Attributes: r.mapping.Attributes()}, t.take)
	if err != nil {
		tell(failedStep(source.Users, "reading", err, began))
		return false, nil
	}
	for _, s := range t.steps(reading, c) {
		if s.Verdict == source.Skip && s.Section == source.Groups && groups {
			continue // the source has said why there are none
		}
		s.Took = time.Since(began)
		began = time.Now()
		tell(s)
	}
	return ok, nil
}

func failedStep(section source.Section, name string, err error, began time.Time) source.Step {
	return source.Step{Name: name, Section: section, Verdict: source.Fail, Detail: err.Error(), Hint: fault.HintOf(err), Took: time.Since(began)}
}

// tally counts what a reading holds. What people are known by is kept to find
// twins: a check is for looking, it may take the memory a run must not.
type tally struct {
	rules    *rules
	now      time.Time
	further  []string // matching attributes besides username and e-mail
	people   int
	noID     int
	outside  int
	disabled int
	filled   map[string]int
	warned   int
	warning  string
	claimed  map[account.Value][]string // to names
	problems map[string][]string        // reason to names
	sample   []mapping.User
	names    []string // the first people by name
	groups   []string
	members  int
}

func (t *tally) take(r *directory.Record) error {
	if r.Kind == directory.Inner {
		return nil
	}
	if r.Kind == directory.Group {
		name := r.Name
		if len(r.Attributes) > 0 && len(r.Attributes[0].Values) > 0 {
			name = r.Attributes[0].Values[0]
		}
		t.groups = append(t.groups, fmt.Sprintf("%s (%d)", name, len(r.Members)))
		t.members += len(r.Members)
		return nil
	}
	if t.people++; len(t.names) < source.MostNames {
		t.names = append(t.names, strings.Clone(r.Name))
	}
	if r.ID == "" {
		t.noID++
	}
	if r.Problem != "" {
		t.problem(r.Problem, r.Name)
		return nil
	}
	u := t.rules.mapping.Map(r, t.now)
	for i, name := range account.FieldNames() {
		if u.Text[i] != "" {
			t.filled[name]++
		}
	}
	if u.Manager != "" {
		t.filled["manager"]++
	}
	for _, name := range t.further {
		if _, isField := account.FieldNamed(name); !isField && len(account.Values([]string{name}, &u.Text, u.Attributes)) > 0 {
			t.filled[name]++
		}
	}
	for _, p := range u.Problems {
		t.problem(p, r.Name)
	}
	if len(u.Warnings) > 0 {
		t.warned++
		t.warning = r.Name + ": " + u.Warnings[0]
	}
	if len(u.Problems) > 0 {
		return nil
	}
	if in, _ := t.rules.scope.Admits(&u); !in {
		t.outside++
		return nil
	}
	if u.Disabled {
		t.disabled++
	}
	for _, v := range account.Values(append([]string{"email", "username"}, t.further...), &u.Text, u.Attributes) {
		t.claimed[v] = append(t.claimed[v], r.Name)
	}
	if len(t.sample) < 5 {
		t.sample = append(t.sample, u)
	}
	return nil
}

func (t *tally) problem(reason, name string) {
	if list := t.problems[reason]; len(list) < 3 {
		t.problems[reason] = append(list, name)
	} else {
		t.problems[reason] = append(list, "")
	}
}

func (t *tally) steps(reading source.Reading, c setting.Connection) []source.Step {
	steps := []source.Step{t.reading(reading), t.fill(), t.troubles()}
	s := source.Step{Name: "duplicates", Section: source.Match, Verdict: source.OK, Detail: "no e-mail address or username is claimed twice"}
	if len(t.further) > 0 {
		s.Detail = "no e-mail address, username or " + strings.Join(t.further, " or ") + " is claimed twice"
	}
	if disputes := t.twins(); len(disputes) > 0 {
		s.Verdict, s.Detail = source.Warn, strings.Join(first(disputes, 10), "\n")
		s.Hint = "nobody in a dispute is created or changed; correct the directory, or exclude one side by filter or scope"
	}
	steps = append(steps, s, t.people5())
	if len(t.groups) > 0 {
		slices.Sort(t.groups)
		steps = append(steps, source.Step{Name: "groups", Section: source.Groups, Verdict: source.OK,
			Detail: fmt.Sprintf("%s with %s listed: %s", source.Counted(len(t.groups), "group", "groups"), source.Counted(t.members, "member", "members"), strings.Join(first(t.groups, 8), ", "))}.Counted(len(t.groups), t.groups))
	} else {
		steps = append(steps, source.Step{Name: "groups", Section: source.Groups, Verdict: source.Skip, Detail: "no groups were read for " + c.Alias})
	}
	return steps
}

func (t *tally) reading(r source.Reading) source.Step {
	s := source.Step{Name: "reading", Section: source.Users, Verdict: source.OK, Detail: "complete: " + came(r)}.Counted(t.people, t.names)
	if t.noID > 0 {
		s.Verdict = source.Warn
		s.Detail += fmt.Sprintf("; %s without a usable external ID", source.Counted(t.noID, "entry", "entries"))
	}
	if !r.Complete {
		s.Verdict, s.Detail = source.Fail, fmt.Sprintf("not complete: %s (%s came)", r.Reason, came(r))
		s.Hint = "from an incomplete reading nobody is removed; mend the cause, or leavers stay"
	} else if t.people == 0 {
		s.Verdict, s.Detail, s.Hint = source.Warn, "complete, and empty: nobody was found", "check base and filter; an empty reading never removes anybody without a person's approval"
	}
	for _, n := range r.Notes {
		s.Detail += "\n" + n
	}
	return s
}

// came says how much a reading brought.
func came(r source.Reading) string {
	return source.Counted(r.Users, "person", "people") + ", " + source.Counted(r.Groups, "group", "groups")
}

func (t *tally) fill() source.Step {
	s := source.Step{Name: "mapping", Section: source.Mapping, Verdict: source.OK}
	if t.people == 0 {
		s.Verdict, s.Detail = source.Skip, "nobody to map"
		return s
	}
	var parts []string
	names := append(slices.Clone(account.FieldNames()), "manager")
	for _, name := range t.further {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if n := t.filled[name]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d%%", name, n*100/t.people))
		}
	}
	s.Detail = "filled: " + strings.Join(parts, ", ")
	if text := t.rules.missed(); text != "" {
		s.Verdict, s.Hint = source.Warn, "correct the name in the mapping, or the file"
		s.Detail += "\n" + text
	}
	if t.outside > 0 {
		s.Detail += fmt.Sprintf("\n%d of %d out of scope", t.outside, t.people)
	}
	if t.disabled > 0 {
		s.Detail += fmt.Sprintf("\n%d of %d disabled in the directory", t.disabled, t.people)
	}
	return s
}

func (t *tally) troubles() source.Step {
	s := source.Step{Name: "problems", Section: source.Mapping, Verdict: source.OK, Detail: "every entry can be used"}
	if len(t.problems) > 0 {
		var lines []string
		for _, reason := range slices.Sorted(maps.Keys(t.problems)) {
			names := t.problems[reason]
			lines = append(lines, fmt.Sprintf("%d x %s (%s)", len(names), reason, strings.Join(first(names, 3), "; ")))
		}
		s.Verdict, s.Detail = source.Warn, strings.Join(first(lines, 10), "\n")
		s.Hint = "these entries are left as they are until the directory or the mapping is corrected"
	}
	if t.warned > 0 {
		s.Verdict = source.Warn
		have := "have"
		if t.warned == 1 {
			have = "has"
		}
		s.Detail += fmt.Sprintf("\n%s %s values that are left out, such as %s", source.Counted(t.warned, "entry", "entries"), have, t.warning)
	}
	return s
}

func (t *tally) people5() source.Step {
	s := source.Step{Name: "sample", Section: source.Mapping, Verdict: source.OK}
	for _, u := range t.sample {
		s.Detail += fmt.Sprintf("%s <%s> %s %s, %s\n", u.Text[account.Username], u.Text[account.Email], u.Text[account.FirstName], u.Text[account.LastName],
			orDash(u.Text[account.Department]))
	}
	if s.Detail = strings.TrimSpace(s.Detail); s.Detail == "" {
		s.Verdict, s.Detail = source.Skip, "nobody to show"
	}
	return s
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// twins tells of what is claimed by several.
func (t *tally) twins() []string {
	var out []string
	values := slices.SortedFunc(maps.Keys(t.claimed), func(a, b account.Value) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Key, b.Key))
	})
	for _, name := range append([]string{"email", "username"}, t.further...) {
		what := name
		if name == "email" {
			what = "e-mail"
		}
		for _, v := range values {
			names := t.claimed[v]
			if v.Name != name || len(names) < 2 {
				continue
			}
			who := strings.Join(names[:min(5, len(names))], " and ")
			if len(names) > 5 {
				who += fmt.Sprintf(" and %d more", len(names)-5)
			}
			out = append(out, fmt.Sprintf("%s %s is claimed by %s", what, v.Key, who))
		}
	}
	return out
}

func first(list []string, n int) []string {
	if len(list) <= n {
		return list
	}
	return append(slices.Clone(list[:n]), fmt.Sprintf("and %d more", len(list)-n))
}
