package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/engine/safeguard"
	"rollcall.dev/rollcall/internal/engine/scope"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// pass is one run of one connection, with everything compiled that it needs.
type pass struct {
	e      *Engine
	c      setting.Connection
	o      Options
	lease  mirror.Lease
	kind   source.Kind
	src    source.Source
	preset source.Preset
	rules  *rules
	state  State // as of the last read
	began  time.Time
	took   mirror.Result // of the reading
}

// rules are a connection's rules, compiled.
type rules struct {
	all         map[string]setting.Rule // the connection's over the source's starting ones
	mapping     *mapping.Mapping
	scope       *scope.Scope
	fingerprint string
	text        string   // the parts by name, to say which of them changed
	missing     []string // attributes that the mapping reads and no entry has
}

func (e *Engine) prepare(ctx context.Context, c setting.Connection, lease mirror.Lease, o Options) (*pass, error) {
	p := &pass{e: e, c: c, o: o, lease: lease, began: e.now()}
	var err error
	if p.kind, p.src, err = e.open(ctx, c); err != nil {
		return nil, err
	}
	// Before the directory is asked for anything: it may let nobody in any more.
	if !o.draft {
		if err = e.Store.Expires(ctx, c.Organization, c.Alias, expiries(c, p.src), false); err != nil {
			p.close()
			return nil, err
		}
	}
	if p.preset, err = p.src.Preset(ctx); err != nil {
		p.close()
		return nil, err
	}
	if p.rules, err = e.compile(c, p.kind, p.preset); err != nil {
		p.close()
		return nil, err
	}
	if p.state, err = e.Store.Leases().State(ctx, c.Alias); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (e *Engine) open(ctx context.Context, c setting.Connection) (source.Kind, source.Source, error) {
	far, err := e.remote(ctx, c)
	if err != nil {
		return source.Kind{}, nil, err
	}
	if far != nil {
		if !far.Own {
			if err := complete(c, func(setting.Option) bool { return true }); err != nil {
				return far.Kind, nil, err
			}
		}
		src, err := far.Open()
		return far.Kind, src, err
	}
	kind, ok := e.Kinds(c.Kind)
	if !ok {
		return kind, nil, fault.New(fault.Invalid, "connection %s: there is no source %q", c.Alias, c.Kind)
	}
	if err := complete(c, func(setting.Option) bool { return true }); err != nil {
		return kind, nil, err
	}
	src, err := kind.Open(c.Backend, e.env(c))
	return kind, src, err
}

func (e *Engine) env(c setting.Connection) source.Env {
	env, alias := e.Env, c.Alias
	env.Declared = c.Declared
	if e.Uploads != nil {
		env.Upload = func(ctx context.Context) (io.ReadCloser, error) { return e.Uploads(ctx, alias) }
	}
	if e.Pushed != nil {
		env.Pushed = e.Pushed(alias)
	}
	return env
}

// Validate refuses settings that cannot work, without asking the directory: what
// the source's starting mapping adds is not known here.
func (e *Engine) Validate(c setting.Connection) error {
	kind, ok := e.Kinds(c.Kind)
	if !ok {
		return fault.New(fault.Invalid, "connection %s: there is no source %q", c.Alias, c.Kind)
	}
	if len(c.Unset) == 0 {
		src, err := kind.Open(maps.Clone(c.Backend), e.env(c))
		if err != nil {
			return err
		}
		if err := src.Close(); err != nil {
			return err
		}
	}
	starting := source.Preset{Mapping: map[string]setting.Rule{}}
	for _, f := range account.Mandatory {
		starting.Mapping[f.String()] = setting.Rule{Attribute: f.String()}
	}
	for _, name := range match.Further(c.Match) {
		starting.Mapping[name] = setting.Rule{Attribute: name}
	}
	_, err := e.compile(c, kind, starting)
	return err
}

// complete refuses a connection with settings that name a variable or a file
// which is not there, where they are needed.
func complete(c setting.Connection, needed func(setting.Option) bool) error {
	var problems []string
	for _, u := range c.Unset {
		if needed(u.Option) {
			problems = append(problems, u.Problem)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "connection %s: %s", c.Alias, strings.Join(problems, "\n")).
		WithHint("give it to the process that runs rollcall; connections that do not name it go on without")
}

// basisComplete is complete for what a plan is compared with before it is
// carried out.
func basisComplete(c setting.Connection) error {
	return complete(c, func(o setting.Option) bool { return o.Basis })
}

// expiries are those the source knows, and the one the connection's administrator does.
func expiries(c setting.Connection, src source.Source) []source.Expiry {
	var list []source.Expiry
	if knows, ok := source.As[source.Expirer](src); ok {
		list = knows.Expires()
	}
	if !c.CredentialExpires.IsZero() {
		list = append(list, source.Expiry{Name: "credential", At: c.CredentialExpires.Add(24 * time.Hour)}) // good until the end of that day
	}
	return list
}

func (p *pass) close() {
	// A source that cannot close has told all it had to tell: nothing depends on it any more.
	_ = p.src.Close() //nolint:errcheck // see above
}

// merge puts the connection's rules over the source's starting ones.
func merge(c setting.Connection, preset source.Preset) map[string]setting.Rule {
	all := maps.Clone(preset.Mapping)
	if all == nil {
		all = map[string]setting.Rule{}
	}
	maps.Copy(all, c.Mapping)
	return all
}

func (e *Engine) compile(c setting.Connection, kind source.Kind, preset source.Preset) (*rules, error) {
	all := merge(c, preset)
	m, err := mapping.Compile(all, mappingOptions(c))
	if err != nil {
		return nil, err
	}
	if err := findable(c, m); err != nil {
		return nil, err
	}
	var custom []string
	for name := range all {
		if _, isField := account.FieldNamed(name); !isField && name != "manager" && name != "status" {
			custom = append(custom, name)
		}
	}
	slices.Sort(custom)
	s, err := scope.Compile(c.Scope, custom...)
	if err != nil {
		return nil, err
	}
	basis := append(basisOf(c, kind), "filter="+preset.Filter)
	parts := map[string]string{
		"source":   strings.Join(basis, "\n"),
		"anchor":   preset.Anchor,
		"mapping":  m.Fingerprint(),
		"scope":    s.Fingerprint(),
		"matching": strings.Join(c.Match, ","),
	}
	// A column that went, or has another name, empties a field of everybody, and enables
	// whoever it disabled: that is to be seen first, as a change of the mapping is.
	missing := absent(m.Attributes(), preset.Attributes)
	if len(missing) > 0 {
		parts["columns"] = strings.Join(missing, "\n")
	}
	for k, v := range parts {
		parts[k] = digestOf(v)
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return nil, err
	}
	out := &rules{all: all, mapping: m, scope: s, fingerprint: digestOf(string(text)), missing: missing}
	kept, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	parts[partKept] = string(kept) // beside the fingerprint, which has it as a digest
	// Nor is the place in it: one server of several may do for another.
	parts[partPlace] = digestOf(strings.Join(placeOf(c, kind), "\n"))
	text, err = json.Marshal(parts)
	out.text = string(text)
	return out, err
}

// absent are the attributes read that are not among those there are; none where
// nobody knows what there is.
func absent(read, there []string) []string {
	if there == nil {
		return nil
	}
	var out []string
	for _, name := range read {
		if name != "dn" && !slices.ContainsFunc(there, func(t string) bool { return strings.EqualFold(t, name) }) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// missed says which attributes the mapping reads in vain, or "".
func (r *rules) missed() string {
	if len(r.missing) == 0 {
		return ""
	}
	what := "there is no column "
	if len(r.missing) > 1 {
		what = "there are no columns "
	}
	return what + strings.Join(r.missing, ", ") + ", which the mapping reads"
}

func digestOf(text string) string { return fmt.Sprintf("%x", directory.Sum([]byte(text))) }

func mappingOptions(c setting.Connection) mapping.Options {
	return mapping.Options{Region: c.Region, Identifying: match.Further(c.Match)}
}

// findable refuses a matching attribute that no rule fills: it would find nobody.
func findable(c setting.Connection, m *mapping.Mapping) error {
	for _, name := range match.Further(c.Match) {
		if f, text := account.FieldNamed(name); text && m.Manages(f) || slices.Contains(m.Custom(), name) {
			continue
		}
		return fault.New(fault.Invalid, "connection %s: match: no rule of the mapping fills %s, so it would find nobody", c.Alias, name).
			WithHint("map %s under `mapping:`, or take it out of `match:`", name)
	}
	return nil
}

// basisOf are the source's settings that decide who is read.
func basisOf(c setting.Connection, kind source.Kind) []string {
	var out []string
	for _, o := range kind.Options {
		if v, ok := c.Backend[o.Name]; ok && o.Basis {
			out = append(out, fmt.Sprintf("%s=%v", o.Name, v))
		}
	}
	if v := c.Backend.String(source.RemoteBasis); v != "" {
		out = append(out, source.RemoteBasis+"="+v)
	}
	return out
}

// partPlace is where the directory is and who reads it, among the parts of State.RulesText.
const partPlace = "place"

// placeOf leaves out how the other side is known, the names of files on this machine, and
// where people sign in.
func placeOf(c setting.Connection, kind source.Kind) []string {
	var out []string
	for _, o := range kind.Options {
		if v, ok := c.Backend[o.Name]; ok && o.Place && !o.Basis && !o.Local && !strings.HasPrefix(o.Name, "tls.") && !strings.HasPrefix(o.Name, "authentication.") {
			out = append(out, fmt.Sprintf("%s=%v", o.Name, v))
		}
	}
	return out
}

// placeChanged reports that another server was read by the rules last carried out, or
// another account read it.
func placeChanged(before, after string) bool {
	var a, b map[string]string
	return json.Unmarshal([]byte(before), &a) == nil && json.Unmarshal([]byte(after), &b) == nil && a[partPlace] != "" && a[partPlace] != b[partPlace]
}

// configOf is a fingerprint of everything in a connection's settings that a plan
// hangs on, without asking the directory. Dry-run is left out: it says whether a
// plan is applied, not what is in it.
func configOf(c setting.Connection, kind source.Kind) string {
	policy := c.Policy
	policy.DryRun = false
	text := fmt.Sprintf("%q %v %q %q %q %v", basisOf(c, kind), c.Mapping, c.Scope, c.Match, c.Overlap+c.Role+c.Region, policy)
	return digestOf(text)
}

var partNames = map[string]string{
	"source": "what is read (base, filter or groups)", "anchor": "the anchor (external ID)",
	"mapping": "the mapping", "scope": "the scope", "matching": "the matching attributes",
	"columns": "the set of columns that the mapping reads",
}

// changedRules says which parts changed since the rules last carried out.
func changedRules(before, after string) string {
	if before == "" {
		return ""
	}
	var a, b map[string]string
	if json.Unmarshal([]byte(before), &a) != nil || json.Unmarshal([]byte(after), &b) != nil {
		return "The rules"
	}
	var names []string
	for part, name := range partNames {
		if a[part] != b[part] {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	text := strings.Join(names, " and ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// read takes the directory into the mirror.
func (p *pass) read(ctx context.Context) (*ReadingReport, error) {
	in := mirror.Intake{Store: p.e.Store.Mirror(), Lease: p.lease, Refer: p.kind.Refer, Secrets: p.e.Secrets, Published: p.state.Generation}
	p.o.report(Progress{Phase: "reading"})
	known, err := loadRefs(ctx, p.e.Store.Mirror(), p.c.Alias)
	if err != nil {
		return nil, err
	}
	in.Former = known.any()
	req := source.Request{Now: p.began, Attributes: p.rules.mapping.Attributes(), Progress: func(users, groups int) {
		p.o.report(Progress{Phase: "reading", Done: users + groups})
	}}
	if !p.o.Full && p.state.Rules == p.rules.fingerprint {
		req.From = p.state.Cursor
	}
	src := p.src
	switch {
	case p.o.given != nil:
		req.From, in.Single = source.Cursor(BySignIn), true
		src = arrived{record: p.o.given}
	case p.o.Who != "":
		if err := readBefore(p.c, p.state, p.rules); err != nil {
			return nil, err
		}
		// Any bookmark says that not everything comes; the connection's stays as it is.
		req.From, in.Single = source.Cursor(ByPerson), true
		src = single{Source: p.src, who: p.o.Who, alias: p.c.Alias}
	}
	took, err := in.Take(ctx, src, req)
	if err != nil {
		return nil, err
	}
	p.took = took
	if ends := expiries(p.c, p.src); p.o.given == nil && slices.ContainsFunc(ends, func(x source.Expiry) bool { return x.Idle }) {
		if err := p.e.Store.Expires(ctx, p.c.Organization, p.c.Alias, ends, true); err != nil {
			return nil, err
		}
	}
	if p.state, err = p.e.Store.Leases().State(ctx, p.c.Alias); err != nil {
		return nil, err
	}
	r := took.Reading
	p.o.report(Progress{Phase: "reading", Done: r.Users + r.Groups, Total: r.Users + r.Groups})
	report := &ReadingReport{Complete: r.Complete, Full: r.Full, Swept: r.Swept, Method: r.Method, Entries: r.Users + r.Groups, Users: r.Users, Groups: r.Groups,
		Changed: took.Changed, Gone: took.Gone, Notes: r.Notes}
	if text := p.rules.missed(); text != "" {
		report.Notes = append(slices.Clone(report.Notes), text)
	}
	if !r.Full {
		report.Users, report.Groups = took.Users, took.Groups
	}
	switch {
	case r.Full:
		report.Method = "full"
	case r.Method == "":
		report.Method = "changes"
	}
	if at := p.state.LastFullAt; !at.IsZero() {
		report.LastFull = &at
	}
	if r.Reason != "" {
		report.Reason = &r.Reason
	}
	return report, nil
}

// make plans what moved since the last applied plan, judges it and keeps it.
func (p *pass) make(ctx context.Context, run *Run) (*Plan, error) {
	p.o.report(Progress{Phase: "planning"})
	if err := p.e.index(ctx, p.lease, p.c); err != nil {
		return nil, err
	}
	// Of a draft the copy was read anew, whatever the mirror holds.
	all := p.state.Rules != p.rules.fingerprint || p.state.Planned == 0 || p.o.draft
	var revised *revision
	if all {
		revised = p.revise()
		all = revised == nil
	}
	if p.kind.OnlyMembers(p.c.Backend) && !all {
		// Who is in scope hangs on the groups: when one moves, everybody is looked at.
		_, groups, err := p.e.Store.Mirror().Moved(ctx, Selection{Connection: p.c.Alias, Planned: p.state.Planned, Now: p.began})
		if err != nil {
			return nil, err
		}
		all = groups > 0
	}
	if all {
		revised = nil
	}
	text := p.rules.text
	if p.single() && p.state.Rules == p.rules.fingerprint {
		text = p.state.RulesText // one person says nothing of what another server has
	}
	basis := plan.Basis{Generation: p.state.Generation, Rules: p.rules.fingerprint, RulesText: text, Config: configOf(p.c, p.kind),
		Complete: p.state.Complete, All: all, Revised: revised != nil, At: p.began}
	var err error
	if basis.Owners, err = p.e.owners(ctx, p.c); err != nil {
		return nil, err
	}
	if p.o.draft {
		basis.Draft = draftOf(p.c, p.kind)
	}
	made, err := p.e.newPlan(p.c, basis, run, p.began)
	if err != nil {
		return nil, err
	}
	if made.Mapping, err = json.Marshal(p.rules.all); err != nil {
		return nil, err
	}
	if err := p.e.Store.Plans().Begin(ctx, p.lease, made); err != nil {
		return nil, err
	}
	facts, err := p.facts(ctx)
	if err != nil {
		return nil, err
	}
	b := newBuilder(ctx, p, made)
	b.revision = revised
	defer b.stop()
	if err := b.build(); err != nil {
		return nil, err
	}
	if err := b.emptied.facts(ctx, p.e.Store.Accounts(), p.c.Alias, &facts); err != nil {
		return nil, err
	}
	// What stays as it is: the connection's accounts but for those that change.
	s := &b.summary
	s.Keep = facts.Accounts - b.touched
	s.Groups.Keep = max(0, facts.Groups-s.Groups.Update-s.Groups.Delete)
	// Who signs in, or is looked at alone, is no reason to end others.
	if purges(p.c) && basis.Complete && !p.single() {
		err := p.e.Store.Accounts().Purgeable(ctx, p.c.Alias, purgedBefore(p.c, basis), func(id account.ID) {
			if !b.back[id] {
				s.Purge++
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if s.Purge > 0 {
		if facts.Unlived, err = p.unlived(ctx); err != nil {
			return nil, err
		}
	}
	return made, p.e.finish(ctx, p.lease, made, b, facts, p.c.Limits)
}

// single reports that one person is read.
func (p *pass) single() bool { return p.o.given != nil || p.o.Who != "" }

// weekend is for how long no run is nothing out of the ordinary.
const weekend = 72 * time.Hour

// unlived is how long ago the connection's last run was, where that is more than half of
// the time after which accounts are purged, or 0. A clock that was set forward looks like
// that, and what it has purged does not come back when it is put right.
func (p *pass) unlived(ctx context.Context) (time.Duration, error) {
	last, err := p.e.Store.Runs().Lived(ctx, p.c.Alias)
	if gap := p.began.Sub(last); err == nil && gap > max(p.c.Policy.PurgeAfter/2, weekend) {
		return gap, nil
	}
	return 0, err
}

// index sees to it that accounts can be found by the connection's further
// matching attributes.
func (e *Engine) index(ctx context.Context, lease mirror.Lease, c setting.Connection) error {
	all, err := e.Connections(ctx, c.Organization)
	if err != nil {
		return err
	}
	aliases := make([]string, len(all))
	for i := range all {
		aliases[i] = all[i].Alias
	}
	return e.Store.Ledger().Index(ctx, lease, c.Organization, match.Further(c.Match), aliases)
}

func (p *pass) facts(ctx context.Context) (f safeguard.Facts, err error) {
	f, err = p.e.Store.Accounts().Facts(ctx, p.c.Organization, p.c.Alias)
	f.Users, f.GroupRows = p.took.Users, p.took.Groups
	f.FirstRun = p.state.Rules == ""
	f.RulesChanged = changedRules(p.state.RulesText, p.rules.text)
	f.PlaceChanged = placeChanged(p.state.RulesText, p.rules.text)
	f.Attention = p.state.Attention
	if err == nil && p.kind.Pushes {
		f.Recent, err = p.e.Store.Runs().Recent(ctx, p.c.Alias, p.began.Add(-safeguard.Window))
	}
	return f, err
}

func (e *Engine) newPlan(c setting.Connection, basis plan.Basis, run *Run, at time.Time) (*Plan, error) {
	text, err := fingerprint(basis)
	if err != nil {
		return nil, err
	}
	made := &Plan{ID: newID("p", at), Organization: c.Organization, Connection: c.Alias, CreatedAt: at, Basis: basis, BasisText: text, HeldBecause: []string{}}
	if run != nil {
		made.Run = &run.ID
	}
	return made, nil
}
