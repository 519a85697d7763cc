package connections

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/source"
)

// field is one input with what stands in it.
type field struct {
	config.Input
	Value string
	Kept  bool   // a secret that is set; it is never shown
	Wrong string // what is wrong with it
}

// ID is the input's in the page.
func (f field) ID() string { return strings.NewReplacer(".", "-", "_", "-").Replace(f.Path) }

// group is a part of the form, with its own test.
type group struct {
	Name, Title, Help string
	sections          []string // of the check's steps that are about it
	own               func(path string) bool
	Fields, Advanced  []field
	Steps             []client.Step
	Light             string // "good", "wait" or "bad" once it was tested
}

// rule is a line of the mapping.
type rule struct {
	Field string
	How   string // "default", "attribute", "expr", "value" or "none"
	What  string
	Own   bool // a custom attribute
	Must  bool // mandatory
	Wrong string
	Hint  string // what the source's starting rule is
}

// form is the whole of a connection as inputs.
type form struct {
	Groups []*group
	Rules  []rule
	Scope  string // an expression a line
	Match  string // names with commas
	kind   source.Kind
	before map[string]any // the connection as it is; nil of a new one
}

var hows = []string{"default", "attribute", "expr", "value", "none"}

// groupsOf are the parts of a kind's form.
func groupsOf(kind string) []*group {
	at := func(prefixes ...string) func(string) bool {
		return func(path string) bool {
			return slices.ContainsFunc(prefixes, func(p string) bool {
				return path == p || strings.HasSuffix(p, ".") && strings.HasPrefix(path, p)
			})
		}
	}
	b := "backend." + kind + "."
	var own []*group
	switch kind {
	case "ldap":
		own = []*group{
			{Name: "address", Title: "Address", Help: "Where the directory is, and how the way there is protected.", sections: []string{"settings", "address", "tls"}, own: at(b+"addr", b+"tls.")},
			{Name: "sign-in", Title: "Sign-in", Help: "The account Rollcall reads the directory with. It needs to read, nothing else.", sections: []string{"sign-in"}, own: at(b+"bind_dn", b+"bind_password", "credential_expires")},
			{Name: "groups", Title: "Groups", Help: "Left out, no groups are read.", sections: []string{"groups"}, own: at(b + "groups.")},
			{Name: "people", Title: "People", Help: "Who is read: below which base, by which filter.", sections: []string{"base", "layout", "users", "changes"}, own: at(b)},
		}
		own[2], own[3] = own[3], own[2] // people take what groups leave, and stand before them
	case "entra":
		own = []*group{
			{Name: "sign-in", Title: "App registration", Help: "The application in the tenant that Rollcall reads with. It needs the application permissions User.Read.All and GroupMember.Read.All of Microsoft Graph, with admin consent.", sections: []string{"settings", "address", "tls", "sign-in"},
				own: at(b+"tenant", b+"client_id", b+"client_secret", b+"certificate", b+"certificate_file", b+"cloud", b+"login_url", b+"graph_url", b+"tls.", "credential_expires")},
			{Name: "people", Title: "People", Help: "Who is read, and how often everything is looked through.", sections: []string{"base", "layout", "users", "changes"}, own: at(b)},
			{Name: "groups", Title: "Groups", Help: "Which groups are read. With none of these no group is read; where people are the members of groups, nobody is.", sections: []string{"groups"}, own: at(b + "groups.")},
		}
	case "okta":
		own = []*group{
			{Name: "address", Title: "Address", Help: "Which Okta organization is read.", sections: []string{"settings", "address", "tls"}, own: at(b+"url", b+"tls.", b+"timeout")},
			{Name: "sign-in", Title: "Sign-in", Help: "Either a client (an API Services app with a private key), which Okta advises, or an API token. It needs to read, nothing else.", sections: []string{"sign-in"}, own: at(b+"token", b+"client_id", b+"key", b+"key_file", b+"key_id", "credential_expires")},
			{Name: "people", Title: "People", Help: "Who is read, and how changes are found.", sections: []string{"base", "layout", "users", "changes"}, own: at(b)},
			{Name: "groups", Title: "Groups", Help: "With none of these no group is read; where people are the members of groups, nobody is.", sections: []string{"groups"}, own: at(b + "groups.")},
		}
	case "google":
		own = []*group{
			{Name: "sign-in", Title: "Service account", Help: "The service account that Rollcall reads with, and the administrator it acts for. Domain-wide delegation has to allow its client ID the scopes that the documentation names.", sections: []string{"settings", "address", "tls", "sign-in"},
				own: at(b+"key", b+"key_file", b+"subject", b+"url", b+"token_url", b+"tls.", "credential_expires")},
			{Name: "people", Title: "People", Help: "Who is read. Google has no call for changes: each run reads everything.", sections: []string{"base", "layout", "users", "changes"}, own: at(b+"customer", b+"domain", b+"people", b+"org_units", b+"parallel")},
			{Name: "groups", Title: "Groups", Help: "With none of these no group is read; where people are the members of groups, nobody is.", sections: []string{"groups"}, own: at(b + "groups.")},
		}
	case "scim":
		own = []*group{{Name: "source", Title: "Pushes", Help: "The identity provider pushes its people and groups. The address and the token that it needs are on the page that follows.", sections: []string{"settings", "address", "users", "groups", "changes"}, own: at(b)}}
	default:
		own = []*group{{Name: "source", Title: "Source", Help: "Where the people come from.", sections: []string{"settings", "address", "tls", "sign-in", "base", "layout", "users", "groups", "changes"}, own: at(b)}}
	}
	return append(own,
		&group{Name: "policy", Title: "Policy", Help: "What may happen to accounts.", own: at("settings.", "role", "region", "overlap")},
		&group{Name: "limits", Title: "Limits", Help: "A plan over one of them waits for a person.", own: at("limits.")},
		&group{Name: "people-sign-in", Title: "Sign-in of people", Help: "How the people of this directory sign in to applications.", own: at("sign_in.")},
		&group{Name: "schedule", Title: "Schedule", Help: "When it runs by itself.", own: at("schedule", "time_zone", "jitter")},
	)
}

// newForm is a kind's form with what a connection has; nil for a new one. Files of
// this machine are only asked of operators.
func newForm(kind source.Kind, c *client.Connection, operator bool) (*form, error) {
	f := &form{Groups: groupsOf(kind.Name), kind: kind}
	if c != nil {
		b, err := json.Marshal(c)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(b, &f.before); err != nil {
			return nil, err
		}
		f.Scope, f.Match = strings.Join(c.Scope, "\n"), strings.Join(c.Match, ", ")
	}
	for _, in := range config.Inputs(kind) {
		if in.Local && !operator || in.Path == "alias" || in.Path == "organization" {
			continue
		}
		x := field{Input: in, Value: written(lookUp(f.before, in.Path))}
		if c != nil && in.Secret {
			x.Kept = slices.Contains(c.SecretsSet, strings.TrimPrefix(in.Path, "backend."+kind.Name+"."))
			x.Value = ""
		}
		g := f.groupFor(in.Path)
		if g == nil {
			continue
		}
		if in.Advanced || g.Name == "limits" && strings.HasSuffix(in.Path, "_min") {
			g.Advanced = append(g.Advanced, x)
		} else {
			g.Fields = append(g.Fields, x)
		}
	}
	for _, g := range f.Groups {
		// When it expires is asked for after what it is.
		slices.SortStableFunc(g.Fields, func(a, b field) int {
			last := func(x field) int { return strings.Count(x.Path, "credential_expires") }
			return last(a) - last(b)
		})
	}
	f.rules()
	return f, nil
}

// groupFor gives the part an input belongs to. People take what the others leave.
func (f *form) groupFor(path string) *group {
	for _, g := range f.Groups {
		if g.Name != "people" && g.own(path) {
			return g
		}
	}
	for _, g := range f.Groups {
		if g.own(path) {
			return g
		}
	}
	return nil
}

// fields are the targets of a mapping that everybody has.
func fields() []string {
	var out []string
	for _, g := range []account.Field{account.Username, account.Email, account.FirstName, account.LastName} {
		out = append(out, g.String())
	}
	return append(out, "display_name", "mobile_phone", "phone", "language", "title", "department", "location", "manager", "role", "status")
}

func (f *form) rules() {
	have, _ := f.before["mapping"].(map[string]any)
	names := fields()
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i, name := range names {
		v, there := have[name]
		r := rule{Field: name, Own: i >= len(fields()), Must: i < 4, How: "default"}
		if there {
			r.How, r.What = ruleOf(v)
		}
		f.Rules = append(f.Rules, r)
	}
}

func ruleOf(v any) (how, what string) {
	switch v := v.(type) {
	case nil:
		return "none", ""
	case string:
		return "attribute", v
	case map[string]any:
		for _, how := range []string{"attribute", "expr", "value"} {
			if text, ok := v[how]; ok {
				return how, written(text)
			}
		}
	}
	return "none", ""
}

// lookUp finds a value by its path.
func lookUp(in map[string]any, path string) any {
	var at any = in
	for part := range strings.SplitSeq(path, ".") {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[part]
	}
	return at
}

// written is a value as an input has it: lists by lines.
func written(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case []any:
		lines := make([]string, len(v))
		for i, x := range v {
			lines[i] = written(x)
		}
		return strings.Join(lines, "\n")
	}
	return fmt.Sprint(v)
}

// each goes over all inputs.
func (f *form) each(fn func(*field)) {
	for _, g := range f.Groups {
		for i := range g.Fields {
			fn(&g.Fields[i])
		}
		for i := range g.Advanced {
			fn(&g.Advanced[i])
		}
	}
}

// take puts what was sent into the form, and gives it as a merge patch (RFC 7396)
// over the connection as it is; of a new one that is all of it.
func (f *form) take(sent url.Values) map[string]any {
	patch := map[string]any{}
	f.each(func(x *field) {
		given := strings.TrimSpace(strings.ReplaceAll(sent.Get(x.Path), "\r\n", "\n"))
		switch {
		case x.Secret:
			switch {
			case given != "" && x.Lines: // browsers end lines otherwise than files do
				put(patch, x.Path, given)
			case given != "":
				put(patch, x.Path, sent.Get(x.Path))
			case sent.Get("forget."+x.Path) != "":
				put(patch, x.Path, nil)
			}
			return
		case given == x.Value:
			return
		case given == "":
			put(patch, x.Path, nil)
		default:
			put(patch, x.Path, typed(x.Input, given))
		}
		x.Value = given
	})
	f.takeMapping(sent, patch)
	if names := words(sent.Get("match")); !slices.Equal(names, words(f.Match)) {
		patch["match"] = names
		f.Match = strings.Join(names, ", ")
	}
	if f.before == nil {
		if _, there := patch["backend"]; !there {
			patch["backend"] = map[string]any{f.kind.Name: map[string]any{}}
		}
	}
	return patch
}

// takeMapping is take for what is done with entries: the rules and the scope.
func (f *form) takeMapping(sent url.Values, patch map[string]any) {
	f.takeRules(sent, patch)
	if text := lines(sent.Get("scope")); !slices.Equal(text, lines(f.Scope)) {
		patch["scope"] = text
		f.Scope = strings.Join(text, "\n")
	}
}

func (f *form) takeRules(sent url.Values, patch map[string]any) {
	// Rules for custom attributes that the page has, and the connection has not yet.
	for _, key := range slices.Sorted(maps.Keys(sent)) {
		name, isRule := strings.CutPrefix(key, "how.")
		if isRule && name != "" && !slices.ContainsFunc(f.Rules, func(r rule) bool { return r.Field == name }) {
			f.Rules = append(f.Rules, rule{Field: name, Own: true, How: "default"})
		}
	}
	for n := range 3 {
		name := strings.TrimSpace(sent.Get(fmt.Sprintf("own.%d", n)))
		if name != "" && !slices.ContainsFunc(f.Rules, func(r rule) bool { return r.Field == name }) {
			f.Rules = append(f.Rules, rule{Field: name, Own: true, How: "default"})
			sent.Set("how."+name, sent.Get(fmt.Sprintf("own.%d.how", n)))
			sent.Set("what."+name, sent.Get(fmt.Sprintf("own.%d.what", n)))
		}
	}
	for i := range f.Rules {
		r := &f.Rules[i]
		how, what := sent.Get("how."+r.Field), strings.TrimSpace(sent.Get("what."+r.Field))
		if !slices.Contains(hows, how) || how == r.How && what == r.What {
			continue
		}
		r.How, r.What = how, what
		path := "mapping"
		rules, ok := patch[path].(map[string]any)
		if !ok {
			rules = map[string]any{}
			patch[path] = rules
		}
		switch how {
		case "default":
			rules[r.Field] = nil
		case "none":
			rules[r.Field] = "none"
		default:
			rules[r.Field] = map[string]any{how: what}
		}
	}
}

func put(in map[string]any, path string, v any) {
	parts := strings.Split(path, ".")
	for _, p := range parts[:len(parts)-1] {
		next, ok := in[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			in[p] = next
		}
		in = next
	}
	in[parts[len(parts)-1]] = v
}

// typed is a value as JSON has it. What cannot be is sent as it is: the API says
// what is wrong with it.
func typed(in config.Input, given string) any {
	switch {
	case in.Bool():
		if b, err := strconv.ParseBool(given); err == nil {
			return b
		}
	case in.List():
		return lines(given)
	default:
		if n, err := strconv.Atoi(given); err == nil && in.Type != "text" {
			return n
		}
	}
	return given
}

func lines(text string) []string {
	out := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' })
}

// wrong finds the inputs that an error speaks of, as "limits.removals: expected…".
var wrong = regexp.MustCompile(`(?m)(?:^|: |; )([a-z][a-zA-Z0-9_.-]*): ([^\n]+)`)

// blame puts an error to the inputs it is about.
func (f *form) blame(text string) {
	for _, m := range wrong.FindAllStringSubmatch(text, -1) {
		f.each(func(x *field) {
			if x.Path == m[1] {
				x.Wrong = m[2]
			}
		})
		name, isRule := strings.CutPrefix(m[1], "mapping.")
		for i := range f.Rules {
			if isRule && (f.Rules[i].Field == name || strings.HasPrefix(name, f.Rules[i].Field+".")) {
				f.Rules[i].Wrong = m[2]
			}
		}
	}
}

// tell puts the steps of a check to the parts they are about.
func (f *form) tell(steps []client.Step) {
	grave := map[string]int{"skip": 0, "ok": 1, "warn": 2, "fail": 3}
	for _, g := range f.Groups {
		worst := 0
		for _, s := range steps {
			if slices.Contains(g.sections, s.Section) {
				g.Steps = append(g.Steps, s)
				worst = max(worst, grave[s.Verdict])
			}
		}
		if len(g.Steps) > 0 {
			g.Light = []string{"", "good", "wait", "bad"}[worst]
		}
	}
}

// fill puts what the directory says into inputs that are empty.
func (f *form) fill(p *client.Proposal) {
	base := "backend." + f.kind.Name + "."
	first := func(list []string) string {
		if len(list) == 0 {
			return ""
		}
		return list[0]
	}
	for path, v := range map[string]string{
		base + "base_dn": first(p.Bases), base + "sync.filter": p.Filter, base + "sync.anchor": p.Anchor, base + "groups.filter": p.GroupFilter,
		base + "groups.name_attribute": p.GroupName, base + "groups.base_dn": first(p.Bases),
	} {
		f.each(func(x *field) {
			if x.Path == path && x.Value == "" && v != "" {
				x.Value = v
			}
		})
	}
	for i := range f.Rules {
		r := &f.Rules[i]
		if start, ok := p.Mapping[r.Field]; ok {
			r.Hint = start.Attribute + start.Expr + start.Value
		}
	}
}
