package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

// batchSize is how many rows are mapped and looked up at once.
const batchSize = 500

// builder makes one plan: a survey of all entries to be planned, then a second
// pass that decides about each in the light of the others, then groups.
type builder struct {
	ctx      context.Context
	p        *pass
	plan     *Plan
	sel      Selection
	survey   *match.Survey
	rules    plan.Rules
	changes  *plan.Writer
	notes    *plan.Writer
	summary  plan.Summary
	overlaps []Overlap
	compared map[directory.Digest]bool // groups that were compared whole
	touched  int                       // changes to accounts that had not left
	managers map[account.ID]account.ID // manager links of the entries planned
	groups   *groupGraph
	decoder  directory.Decoder // of groups
	refs     *refs
	primary  map[directory.Digest]directory.Digest // of people, by ref: the ref of the group they are in besides
	further  []string                              // matching attributes besides username and e-mail
	empty    bool                                  // the organization has no account yet: none is looked for
	regroup  bool                                  // memberships may have to change: an entry moved, or an account comes or goes
	moved    [2]int                                // people and groups to be planned
	revision *revision                             // a change of the mapping's rules, where not everybody is planned for it
	late     []directory.Digest                    // whom it concerns as a whole
	taken    map[directory.Digest]plan.Note        // what a person took out of earlier plans, by entry
	again    int                                   // removals among them that this plan has again
	emptied  emptied
	lost     []account.ID        // accounts that other connections took over since the last plan
	back     map[account.ID]bool // accounts flagged deleted whose people are in the directory again
	total    int
	done     int
}

func newBuilder(ctx context.Context, p *pass, made *Plan) *builder {
	b := &builder{ctx: ctx, p: p, plan: made, compared: map[directory.Digest]bool{}, managers: map[account.ID]account.ID{}, back: map[account.ID]bool{}, primary: map[directory.Digest]directory.Digest{}, further: match.Further(p.c.Match),
		sel: Selection{Connection: p.c.Alias, All: made.Basis.All, Planned: p.state.Planned, Now: made.Basis.At, Batch: batchSize}}
	keep := func(part string) func(plan.Chunk) error {
		return func(c plan.Chunk) error {
			return p.e.Store.Plans().Append(ctx, p.lease, made.ID, part, c)
		}
	}
	b.changes = plan.NewWriter(made.BasisText, keep("changes"))
	b.notes = plan.NewWriter(nil, keep("notes"))
	reason := ""
	if p.state.Reading != nil {
		reason = p.state.Reading.Reason
	}
	b.rules = plan.Rules{Organization: p.c.Organization, Connection: p.c.Alias, Role: p.c.Role, Policy: p.c.Policy,
		Incomplete: !p.state.Complete, Reason: reason, Managed: managed(p.rules.mapping), Now: made.Basis.At}
	return b
}

// stop waits for chunks that are still being kept, whichever way a plan ended.
func (b *builder) stop() {
	b.changes.Stop()
	b.notes.Stop()
}

func managed(m *mapping.Mapping) plan.Fields {
	var f plan.Fields
	for i := range account.FieldNames() {
		if m.Manages(account.Field(i)) {
			f |= plan.Text(account.Field(i))
		}
	}
	if m.ManagesManager() {
		f |= plan.FieldManager
	}
	if m.ManagesAttributes() {
		f |= plan.FieldAttributes
	}
	return f
}

func (b *builder) build() error {
	var err error
	b.moved = [2]int{b.p.state.Users, b.p.state.Groups}
	if !b.sel.All {
		if b.moved[0], b.moved[1], err = b.p.e.Store.Mirror().Moved(b.ctx, b.sel); err != nil {
			return err
		}
	}
	b.total = 2 * b.moved[0]
	some, err := b.p.e.Store.Accounts().Any(b.ctx, b.p.c.Organization)
	if err != nil {
		return err
	}
	b.empty = !some
	if err := b.loadTaken(); err != nil {
		return err
	}
	if b.refs, err = loadRefs(b.ctx, b.p.e.Store.Mirror(), b.p.c.Alias); err != nil {
		return err
	}
	if b.p.kind.OnlyMembers(b.p.c.Backend) {
		if b.groups, err = b.loadGroups(); err != nil {
			return err
		}
	}
	if b.revision != nil {
		b.total += b.p.state.Users
		if err := b.reviseAll(); err != nil {
			return err
		}
		b.moved[0] += len(b.late)
		b.total += 2 * len(b.late)
	}
	if err := b.look(); err != nil {
		return err
	}
	if err := b.decide(); err != nil {
		return err
	}
	if err := b.planGroups(); err != nil {
		return err
	}
	if err := b.managerCycles(); err != nil {
		return err
	}
	return b.p.e.Store.Plans().Standing(b.ctx, b.p.c.Alias, b.sel, func(n plan.Note) error {
		if b.survey.Has(n.Key) || b.compared[n.Key] {
			return nil // planned, and noted, anew
		}
		return b.note(n)
	})
}

func (b *builder) note(n plan.Note) error {
	b.summary.Note(&n)
	return b.notes.WriteNote(&n)
}

func (b *builder) emit(c *plan.Change) error {
	b.summary.Count(c)
	return b.changes.Write(c)
}

// step is called for each batch. Those who went are planned too, and not in the
// number of those who are there, which the total is reckoned from.
func (b *builder) step(n int) {
	b.done += n
	b.p.o.report(Progress{Phase: "planning", Done: b.done, Total: max(b.done, b.total)})
}

// entries maps a batch of rows, on all cores: checking phone numbers costs more
// than everything else about an entry together.
func (b *builder) entries(rows []mirror.Row, quick bool) ([]match.Entry, error) {
	out := make([]match.Entry, len(rows))
	workers := min(runtime.GOMAXPROCS(0), 1+len(rows)/50)
	errs := make([]error, workers)
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			var d directory.Decoder
			for i := w; i < len(rows) && errs[w] == nil; i += workers {
				out[i], errs[w] = b.entry(&d, &rows[i], quick)
			}
		})
	}
	wait.Wait()
	return out, errors.Join(errs...)
}

// eachUser maps the people to be planned and hands them on batch by batch: one
// is mapped while fn works on the one before.
func (b *builder) eachUser(quick bool, fn func([]mirror.Row, []match.Entry) error) error {
	type mapped struct {
		rows    []mirror.Row
		entries []match.Entry
		err     error
	}
	var pending chan mapped
	finish := func() error {
		if pending == nil {
			return nil
		}
		m := <-pending
		pending = nil
		if m.err != nil {
			return m.err
		}
		defer b.step(len(m.rows))
		return fn(m.rows, m.entries)
	}
	each := func(rows []mirror.Row) error {
		next := make(chan mapped, 1)
		go func() {
			entries, err := b.entries(rows, quick)
			next <- mapped{rows, entries, err}
		}()
		err := finish()
		pending = next
		return err
	}
	err := b.p.e.Store.Mirror().People(b.ctx, b.sel, each)
	if err == nil {
		err = b.eachLate(each)
	}
	if err != nil {
		if pending != nil {
			<-pending
		}
		return err
	}
	return finish()
}

// movedRow reports that a row changed or went since the last applied plan. Other
// rows are planned for what was left open about them, or for new rules.
func (b *builder) movedRow(row *mirror.Row) bool {
	return row.Generation > b.sel.Planned || row.GoneSince > b.sel.Planned
}

// entry maps one mirror row. The quick form knows only names and state, which is
// all the survey needs while no scope rule looks at other fields.
func (b *builder) entry(d *directory.Decoder, row *mirror.Row, quick bool) (match.Entry, error) {
	e := match.Entry{Key: row.Key, Ref: row.Ref, HasSecret: row.Secret != ""}
	var r directory.Record
	if err := d.Decode(row.Record, &r); err != nil {
		return e, err
	}
	e.ExternalID, e.Name = r.ID, r.Name
	if row.Gone {
		e.State = match.Gone
		return e, nil
	}
	if !quick && r.Primary != "" { // also of one that cannot be used: they stay where they are
		e.Primary = b.meant(r.Primary, row)
	}
	if r.Problem != "" {
		e.State, e.Why = match.Broken, r.Problem
		return e, nil
	}
	if quick {
		e.User = b.p.rules.mapping.Identity(&r, b.rules.Now)
	} else {
		e.User = b.p.rules.mapping.Map(&r, b.rules.Now)
		if e.User.Manager != "" {
			refs := b.p.kind.Refs(e.User.Manager)
			e.ManagerRef, e.ManagerAlike = b.refs.of(refs[0], row.Generation), b.refs.of(refs[len(refs)-1], row.Generation)
		}
	}
	e.Values = account.Values(b.further, &e.User.Text, e.User.Attributes)
	if len(e.User.Problems) > 0 {
		e.State, e.Why = match.Broken, strings.Join(e.User.Problems, "; ")
		return e, nil
	}
	if b.groups != nil && b.groups.only != nil && !b.groups.only[row.Ref] {
		e.State, e.Why = match.OutOfScope, "in none of the selected groups"
		return e, nil
	}
	if !quick {
		if in, why := b.p.rules.scope.Admits(&e.User); !in {
			e.State, e.Why = match.OutOfScope, why
		}
	}
	return e, nil
}

// decide is the second pass.
func (b *builder) decide() error { return b.eachUser(false, b.decideOn) }

func (b *builder) decideOn(rows []mirror.Row, entries []match.Entry) error {
	var ids []account.ID
	var refs []directory.Digest
	secrets := false
	for i := range entries {
		e := &entries[i]
		secrets = secrets || e.HasSecret
		if id, ok := b.survey.AccountOf(e.Key); ok {
			ids = append(ids, id)
		}
		if e.User.Manager != "" {
			for _, ref := range managers(e) {
				if _, ok := b.survey.ByRef(ref); !ok {
					refs = append(refs, ref)
				}
			}
		}
	}
	store := b.p.e.Store.Accounts()
	accounts, err := store.Fetch(b.ctx, ids)
	if err != nil {
		return err
	}
	settled, _, err := store.ByRef(b.ctx, b.p.c.Alias, refs)
	if err != nil {
		return err
	}
	hashes := map[account.ID]string{}
	if secrets {
		if hashes, err = store.Secrets(b.ctx, ids); err != nil {
			return err
		}
	}
	for i := range entries {
		b.regroup = b.regroup || b.movedRow(&rows[i])
		if entries[i].Primary != (directory.Digest{}) && b.moved[0] <= few {
			b.primary[entries[i].Ref] = entries[i].Primary
		}
		pair := b.survey.Pair(&entries[i])
		if id, ok := b.survey.AccountOf(pair.Key); ok {
			if pair.Account = accounts[id]; pair.Account == nil {
				return fmt.Errorf("engine: account %s of entry %q is gone from the store", id, pair.Name)
			}
			pair.HasSecret = pair.HasSecret && hashes[id] != rows[i].Secret
		}
		b.manager(&pair, settled)
		if err := b.one(&pair, b.movedRow(&rows[i])); err != nil {
			return err
		}
	}
	return nil
}

// meant is the ref behind what a row names another entry by.
func (b *builder) meant(name string, row *mirror.Row) directory.Digest {
	return b.refs.of(directory.RefOf(b.p.kind.Refer(name)), row.Generation)
}

// manager follows the entry's manager to an account.
func (b *builder) manager(pair *match.Pair, settled map[directory.Digest]account.ID) {
	if pair.User.Manager == "" {
		return
	}
	for _, ref := range managers(&pair.Entry) {
		if ref == pair.Ref {
			pair.Unresolved = "names itself as its manager"
			return
		}
		t, ok := b.survey.ByRef(ref)
		if !ok {
			t.Account = settled[ref]
		}
		if !t.Account.IsZero() && !t.Gone {
			pair.Manager = t.Account
			return
		}
		if ok {
			break // there is somebody of exactly that name
		}
	}
	pair.Unresolved = fmt.Sprintf("its manager %q has no account here", pair.User.Manager)
}

// managers are the refs under which the manager of an entry is looked for, the surest first.
func managers(e *match.Entry) []directory.Digest {
	if e.ManagerAlike == e.ManagerRef {
		return []directory.Digest{e.ManagerRef}
	}
	return []directory.Digest{e.ManagerRef, e.ManagerAlike}
}

func (b *builder) one(pair *match.Pair, moved bool) error {
	return b.take(pair, plan.Decide(pair, &b.rules), moved)
}

// take makes a decision part of the plan. moved says that the entry changed.
func (b *builder) take(pair *match.Pair, d plan.Decision, moved bool) error {
	if d.Change != nil && d.Change.Why == plan.ChangedThere && !moved && b.p.state.Rules != b.p.rules.fingerprint {
		d.Change.Why = plan.ChangedRules
	}
	for _, n := range d.Notes {
		if err := b.note(n); err != nil {
			return err
		}
	}
	if r := pair.Refusal; r != nil && r.Kind == "overlap" {
		b.overlaps = append(b.overlaps, Overlap{Account: r.Account, Owner: r.Owner, OwnerKey: r.OwnerKey, ClaimantKey: pair.Key, Name: pair.Name})
	}
	if d.Out {
		b.summary.OutOfScope++
	}
	c := d.Change
	if a := pair.Account; a != nil && a.Status == account.Deleted && (c != nil || slices.ContainsFunc(d.Notes, plan.Note.Open)) {
		b.back[a.ID] = true
	}
	// Cycles are of what accounts say when the plan is done, whatever their entries say.
	if a := pair.Account; a != nil {
		manager, changes := a.Manager, c != nil && c.Fields.Has(plan.FieldManager)
		if changes {
			manager = c.After.Manager
		}
		if changes || !manager.IsZero() {
			b.managers[a.ID] = manager
		}
	}
	if c == nil {
		return nil
	}
	if n, ok := b.taken[pair.Key]; ok && n.TakesOut(c.Action) {
		b.again++
	}
	left := pair.Account != nil && pair.Account.Left()
	b.regroup = b.regroup || c.Action != plan.Update || left
	if pair.Account != nil && pair.Account.Connection == b.p.c.Alias && !left {
		b.touched++
	}
	if pair.Account == nil || pair.Account.Connection == b.p.c.Alias {
		b.emptied.take(c, pair.Account)
	}
	if c.Action == plan.Create && !c.After.Manager.IsZero() {
		b.managers[c.Account] = c.After.Manager
	}
	return b.emit(c)
}

// owner says which of two connections of an organization was declared the owner
// of what both claim.
func owner(all []setting.Connection, a, b string) string {
	says := func(alias string) string {
		for _, c := range all {
			if c.Alias == alias {
				return c.Overlap
			}
		}
		return ""
	}
	sa, sb := says(a), says(b)
	switch {
	case sa == setting.OverlapOwn && sb != setting.OverlapOwn, sb == setting.OverlapYield && sa != setting.OverlapYield:
		return a
	case sb == setting.OverlapOwn && sa != setting.OverlapOwn, sa == setting.OverlapYield && sb != setting.OverlapYield:
		return b
	}
	return ""
}

// owners says who was declared the owner of what a connection and others claim.
func (e *Engine) owners(ctx context.Context, c setting.Connection) (string, error) {
	all, err := e.Connections(ctx, c.Organization)
	var out []string
	for _, o := range all {
		if o.Alias != c.Alias {
			if alias := owner(all, c.Alias, o.Alias); alias != "" {
				out = append(out, o.Alias+": "+alias)
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", "), err
}

// managerCycles reports people who are, by way of others, their own manager.
func (b *builder) managerCycles() error {
	if len(b.managers) == 0 {
		return nil
	}
	above, err := b.above()
	if err != nil {
		return err
	}
	for _, cycle := range managerCycles(above, b.managers) {
		people, key, err := b.names(cycle)
		if err != nil {
			return err
		}
		if err := b.note(plan.Note{Kind: plan.Unresolved, Account: cycle[0], Name: people[0], Key: key,
			Text: "manager cycle: " + strings.Join(append(people, people[0]), " -> ")}); err != nil {
			return err
		}
	}
	return nil
}
