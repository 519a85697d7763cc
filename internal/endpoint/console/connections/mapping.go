package connections

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/fault"
)

// mappingPage is one person beside the rules, and what the rules make of them and
// of everybody.
type mappingPage struct {
	*form
	Alias      string
	Declared   bool
	Who        string
	Picked     string              // the external ID of who was picked, and stays
	People     []client.TrialEntry // the first there are, to pick from
	Entry      *client.TrialEntry  // the first of Entries
	Entries    []client.TrialEntry
	Attributes []rawAttribute
	Results    map[string]*client.TrialField
	Trial      *client.Trial
	ScopeWrong string
	Added      *rule  // the custom attribute that was typed into the last row
	Changed    bool   // the rules are not those of the connection
	YAML       string // what to write into rollcall.yaml
	Previewed  bool
	Preview    *client.Plan
	Trouble    *shell.Trouble
}

// rawAttribute is what the directory has, cut to what fits.
type rawAttribute struct {
	Name   string
	Values []string
	More   int
	Used   bool // a rule takes it
}

// shownPeople is how many there are to pick from, shownValues how many values of
// an attribute are shown, and longestValue how much of each.
const shownPeople, shownValues, longestValue = 8, 10, 300

func (s section) loadMapping(q *shell.Ask) (*mappingPage, error) {
	c, err := q.API.Connection(q.R.Context(), q.R.PathValue("alias"))
	if err != nil {
		return nil, err
	}
	p := &mappingPage{Alias: c.Alias, Declared: c.Declared}
	for name := range c.Backend {
		kind, err := s.kind(name)
		if err != nil {
			return nil, err
		}
		if p.form, err = newForm(kind, &c, false); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (s section) mapping(q *shell.Ask) error {
	p, err := s.loadMapping(q)
	if err != nil {
		return err
	}
	p.Who = strings.TrimSpace(q.R.URL.Query().Get("who"))
	p.try(q, map[string]any{}, false)
	return q.Page("mapping", "Mapping of "+p.Alias, p)
}

// changeMapping answers every button of the page, and what is typed meanwhile.
func (s section) changeMapping(q *shell.Ask) error {
	p, err := s.loadMapping(q)
	if err != nil {
		return err
	}
	if err := q.R.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	typed := strings.TrimSpace(q.R.PostForm.Get("who"))
	if p.Picked = q.R.PostForm.Get("pick"); p.Picked == "" && typed == "" {
		p.Picked = q.R.PostForm.Get("picked")
	}
	p.Who = or(p.Picked, typed)
	patch := map[string]any{}
	p.takeMapping(q.R.PostForm, patch)
	p.Changed = len(patch) > 0
	for i := range p.Rules {
		if p.Rules[i].Field == strings.TrimSpace(q.R.PostForm.Get("own.0")) {
			p.Added = &p.Rules[i]
		}
	}
	p.YAML = p.yaml()
	raw, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	switch do := q.R.PostForm.Get("do"); {
	case do == "preview":
		p.Previewed = true
		if plan, err := q.API.Preview(q.R.Context(), p.Alias, raw, nil); err == nil {
			p.Preview = &plan
		} else if err := p.refuse(q, err); err != nil {
			return err
		}
		p.try(q, patch, false)
	case do == "save" && p.Declared:
		p.Trouble = &shell.Trouble{Status: http.StatusConflict, Text: "This connection stands in rollcall.yaml.", Hint: "Change it there: what to write is below."}
		p.try(q, patch, false)
	case do == "save":
		if _, err = q.API.UpdateConnection(q.R.Context(), p.Alias, raw); err == nil {
			q.Say(shell.Path("connections", p.Alias, "mapping")+"?who="+shell.Escape(p.Who), "Saved. The next run goes by these rules.")
			return nil
		}
		if err := p.refuse(q, err); err != nil {
			return err
		}
		p.try(q, patch, false)
	default:
		p.try(q, patch, do == "count")
	}
	if p.Trouble != nil {
		return q.Refused("mapping", "Mapping of "+p.Alias, p)
	}
	return q.Page("mapping", "Mapping of "+p.Alias, p)
}

// try has the rules tried on whoever was picked. Rules that are wrong are told at
// their places, and the person is shown with the rules as they are.
func (p *mappingPage) try(q *shell.Ask, patch map[string]any, count bool) {
	in := client.TryInput{Who: p.Who, Limit: shownPeople, NoTally: !count}
	in.Mapping, _ = patch["mapping"].(map[string]any)
	if scope, there := patch["scope"].([]string); there {
		in.Scope = &scope
	}
	trial, err := q.API.Try(q.R.Context(), p.Alias, in)
	if err != nil {
		refused := q.Problem(err)
		if p.Trouble == nil {
			p.Trouble = refused
			p.blameRules(refused.Text)
		}
		if len(patch) == 0 || refused.Status != http.StatusUnprocessableEntity {
			return
		}
		in.Mapping, in.Scope, in.NoTally = nil, nil, true
		if trial, err = q.API.Try(q.R.Context(), p.Alias, in); err != nil {
			return
		}
		for i := range trial.Entries {
			for j := range trial.Entries[i].Fields {
				f := &trial.Entries[i].Fields[j]
				f.Then, f.Changes, f.Problem, f.Warning = f.Now, false, nil, nil
			}
		}
	}
	p.Trial = &trial
	p.show(trial.Entries)
}

// show takes the first entry apart.
func (p *mappingPage) show(entries []client.TrialEntry) {
	p.Results = map[string]*client.TrialField{}
	if p.Who == "" {
		p.People = entries
	}
	if len(entries) == 0 {
		return
	}
	p.Entries, p.Entry = entries, &entries[0]
	used := map[string]bool{}
	for i := range p.Entry.Fields {
		f := &p.Entry.Fields[i]
		p.Results[f.Field] = f
		if f.Rule == nil {
			continue
		}
		used[strings.ToLower(f.Rule.Attribute)] = true
		for i := range p.Rules {
			if p.Rules[i].Field == f.Field && f.Starting {
				p.Rules[i].Hint = f.Rule.Attribute + f.Rule.Expr + f.Rule.Value
			}
		}
		if f.Rule.Expr != "" {
			for name := range p.Entry.Attributes {
				if strings.Contains(f.Rule.Expr, name) {
					used[strings.ToLower(name)] = true
				}
			}
		}
	}
	for name, values := range p.Entry.Attributes {
		a := rawAttribute{Name: name, Used: used[strings.ToLower(name)]}
		for _, v := range values[:min(len(values), shownValues)] {
			a.Values = append(a.Values, clip(v))
		}
		a.More = len(values) - len(a.Values)
		p.Attributes = append(p.Attributes, a)
	}
	slices.SortFunc(p.Attributes, func(a, b rawAttribute) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
}

// clip cuts a text where it is too long for a page.
func clip(s string) string {
	runes := []rune(s)
	if len(runes) <= longestValue {
		return s
	}
	return string(runes[:longestValue]) + "…"
}

// refuse notes an error that the page can show; others are the answer.
func (p *mappingPage) refuse(q *shell.Ask, err error) error {
	t := q.Problem(err)
	if t.Status >= http.StatusInternalServerError && t.Status != http.StatusServiceUnavailable {
		return err
	}
	p.Trouble = t
	p.blameRules(t.Text)
	return nil
}

// blameRules puts an error to the rule it is about: rules are spoken of as
// "mapping: title: …" where they do not compile, and as "mapping.title: …" where
// they cannot be read.
func (p *mappingPage) blameRules(text string) {
	p.blame(text)
	if len(text) > 8 && strings.EqualFold(text[:8], "mapping:") {
		text = text[8:]
		name, what, _ := strings.Cut(strings.TrimSpace(text), ": ")
		for i := range p.Rules {
			if p.Rules[i].Field == name {
				p.Rules[i].Wrong = strings.TrimSpace(what)
			}
		}
		return
	}
	for _, m := range wrong.FindAllStringSubmatch(strings.ToLower(text[:min(1, len(text))])+text[min(1, len(text)):], -1) {
		if strings.HasPrefix(m[1], "scope") {
			p.ScopeWrong = m[2]
			return
		}
	}
}

// Called is how people know an entry: by what its fields say now, or else by its
// name in the directory.
func (p *mappingPage) Called(e client.TrialEntry) string {
	values := map[string]string{}
	for _, f := range e.Fields {
		values[f.Field] = shell.Text(f.Now)
	}
	return or(or(values["display_name"], strings.TrimSpace(values["first_name"]+" "+values["last_name"])), e.Name)
}

// Helpers are the functions there are for expressions, as one calls them.
func (p *mappingPage) Helpers() []string {
	return []string{"first(list)", "last(list)", "firstOf(a, b)", `attr("odd-name")`, `join(list, ", ")`, `split(text, ",")`, "uniq(list)", "len(x)", "lower(text)", "upper(text)", "trim(text)",
		"replace(text, old, new)", "substr(text, from, length)", "slug(text)", "regexReplace(text, pattern, with)", `mapValue(text, {"from": "to"}, otherwise)`, `dnPart(dn, "ou")`, `memberOf(list, "group")`, `normalizePhone(text, "BE")`}
}

// Result is what becomes of a field of the person, nil where there is no rule.
func (p *mappingPage) Result(field string) *client.TrialField { return p.Results[field] }

// yaml is the mapping and the scope as rollcall.yaml has them.
func (p *mappingPage) yaml() string {
	var b strings.Builder
	for _, r := range p.Rules {
		if r.How == "default" {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("mapping:\n")
		}
		b.WriteString("  " + key(r.Field) + ": ")
		switch r.How {
		case "none":
			b.WriteString("null\n")
		case "attribute":
			if r.What == "none" {
				b.WriteString("{attribute: 'none'}\n")
				break
			}
			b.WriteString(quoted(r.What) + "\n")
		default:
			b.WriteString("{" + r.How + ": " + quoted(r.What) + "}\n")
		}
	}
	if text := lines(p.Scope); len(text) > 0 {
		b.WriteString("scope:\n")
		for _, line := range text {
			b.WriteString("  - " + quoted(line) + "\n")
		}
	}
	return b.String()
}

// quoted is a text as a YAML value that names no variable of the file.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(s, "'", "''"), "${", "$${") + "'"
}

func key(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
		return s
	}
	return quoted(s)
}

// Swaps are the elements that what is typed changes: not the inputs themselves.
func (p *mappingPage) Swaps() string {
	out := []string{"trouble", "person", "verdict", "tally", "preview", "yaml", "wrong-scope", "result-own-0"}
	for _, r := range p.Rules {
		out = append(out, "result-"+r.Field)
	}
	return strings.Join(out, " ")
}
