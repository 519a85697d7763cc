package engine

import (
	"bytes"
	"encoding/json"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

// When the rules of the mapping are all that changed, a plan need not look at
// everybody: entries that did not move since the last applied plan have accounts as
// the old rules made them. So each is mapped by the rules that differ, as they were
// and as they are. Where both make the same of it, nothing is to be done. Where a
// text differs by which nobody is known, it is written over the account's. Whoever
// else is concerned is planned as if their entry had moved.

// partKept is where the rules of the mapping stand among the parts of
// State.RulesText, once they were carried out.
const partKept = "rules"

// revision is a change of mapping rules, for a plan of those whom it concerns.
type revision struct {
	decoder directory.Decoder
	change  *mapping.Difference
	known   map[account.Field]bool // fields that people are told apart by: nobody's is written over alone
	rules   plan.Rules             // with those fields managed whose rules differ
	fields  []account.Field        // the same
	fresh   plan.Fields            // of them, those the application filled so far
}

// revise gives the way from the rules last carried out to those of a pass; nil where
// everybody has to be planned.
func (p *pass) revise() *revision {
	if p.o.draft || p.state.Rules == "" || p.state.Planned == 0 {
		return nil
	}
	var before, after map[string]string
	var kept map[string]setting.Rule
	if json.Unmarshal([]byte(p.state.RulesText), &before) != nil || json.Unmarshal([]byte(p.rules.text), &after) != nil ||
		json.Unmarshal([]byte(before[partKept]), &kept) != nil {
		return nil
	}
	// Read today they have to be what was carried out: with the same region, and by a
	// program that takes rules in the same way.
	was, err := mapping.Compile(kept, mappingOptions(p.c))
	if err != nil || digestOf(was.Fingerprint()) != before["mapping"] {
		return nil
	}
	for part := range partNames {
		if part != "mapping" && before[part] != after[part] {
			return nil
		}
	}
	c, err := mapping.Between(kept, p.rules.all, mappingOptions(p.c))
	if err != nil || len(c.Targets) == 0 { // a program that takes the same rules in another way
		return nil
	}
	r := &revision{change: c, known: map[account.Field]bool{account.Username: true, account.Email: true}}
	for _, name := range match.Further(p.c.Match) {
		if f, text := account.FieldNamed(name); text {
			r.known[f] = true
		}
	}
	for _, name := range c.Fresh {
		f, text := account.FieldNamed(name)
		if !text || r.known[f] {
			return nil // what accounts have there so far is in no rule
		}
		r.fresh |= plan.Text(f)
	}
	for i := range account.FieldNames() {
		if f := account.Field(i); c.Manages(f) {
			r.fields = append(r.fields, f)
		}
	}
	return r
}

// concern is what a change of rules means to an entry.
type concern int

const (
	unconcerned concern = iota
	rewritten           // some texts of its account
	whole               // it has to be planned
)

// of says what the change means to a record.
func (v *revision) of(r *directory.Record, b *builder) (concern, account.Text) {
	was, is := v.change.Map(r, b.rules.Now)
	if len(was.Problems)+len(was.Warnings)+len(is.Problems)+len(is.Warnings) > 0 ||
		was.Manager != is.Manager || was.Attributes != is.Attributes ||
		was.Disabled != is.Disabled || was.Unclear != is.Unclear || was.StatusWhy != is.StatusWhy || !was.ReviewAt.Equal(is.ReviewAt) ||
		len(b.p.c.Scope) > 0 && was.Text != is.Text { // also a text that no rule fills any more
		return whole, is.Text
	}
	out := unconcerned
	for _, f := range v.fields {
		switch {
		case was.Text[f] == is.Text[f] && !v.fresh.Has(plan.Text(f)):
		case v.known[f]:
			return whole, is.Text
		default:
			out = rewritten
		}
	}
	return out, is.Text
}

// reviseAll plans what a change of rules means to those who did not move, but for
// those who are to be planned as a whole, whom it notes.
func (b *builder) reviseAll() error {
	broken := map[directory.Digest]bool{}
	err := b.p.e.Store.Plans().Standing(b.ctx, b.p.c.Alias, b.sel, func(n plan.Note) error {
		if n.Kind == plan.Problem {
			broken[n.Key] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	v := b.revision
	v.rules = b.rules
	v.rules.Managed = 0
	for _, f := range v.fields {
		v.rules.Managed |= plan.Text(f)
	}
	return b.p.e.Store.Mirror().Still(b.ctx, b.sel, func(rows []mirror.Row) error { return b.reviseSome(rows, broken) })
}

func (b *builder) reviseSome(rows []mirror.Row, broken map[directory.Digest]bool) error {
	type touched struct {
		key  directory.Digest
		id   directory.ExternalID
		name string
		text account.Text
	}
	var list []touched
	var r directory.Record
	for i := range rows {
		if err := b.revision.decoder.Decode(rows[i].Record, &r); err != nil {
			return err
		}
		if r.Problem != "" {
			continue // no rule makes it usable
		}
		key := rows[i].Key
		switch concerns, text := b.revision.of(&r, b); {
		case concerns == whole, concerns == rewritten && broken[key]:
			b.late = append(b.late, key)
		case concerns == rewritten:
			list = append(list, touched{key, r.ID, r.Name, text})
		}
	}
	defer b.step(len(rows))
	keys := make([]directory.Digest, len(list))
	for i := range list {
		keys[i] = list[i].key
	}
	accounts, err := b.p.e.Store.Accounts().Texts(b.ctx, b.p.c.Alias, keys, 2*len(list) > len(rows), b.revision.fields)
	if err != nil {
		return err
	}
	for i := range list {
		t := &list[i]
		a := accounts[t.key]
		if a == nil || a.Left() {
			b.late = append(b.late, t.key)
			continue
		}
		a.Connection, a.ExternalID = b.p.c.Alias, string(t.id)
		pair := match.Pair{How: match.Linked, Account: a, Entry: match.Entry{Key: t.key, ExternalID: t.id, Name: t.name, State: match.Present,
			User: mapping.User{Text: t.text, Disabled: a.Cause == account.ByEntry}}}
		d := plan.Decide(&pair, &b.revision.rules)
		if len(d.Notes) > 0 { // refused: it takes the place of all that was noted of the entry
			b.late = append(b.late, t.key)
			continue
		}
		if err := b.take(&pair, d, false); err != nil {
			return err
		}
	}
	return nil
}

// eachLate hands on the rows of those whom a change of rules concerns as a whole.
func (b *builder) eachLate(fn func([]mirror.Row) error) error {
	slices.SortFunc(b.late, func(x, y directory.Digest) int { return bytes.Compare(x[:], y[:]) })
	for keys := range slices.Chunk(b.late, batchSize) {
		rows, err := b.p.e.Store.Mirror().Rows(b.ctx, b.p.c.Alias, keys)
		if err != nil {
			return err
		}
		slices.SortFunc(rows, func(x, y mirror.Row) int { return bytes.Compare(x.Key[:], y.Key[:]) })
		if err := fn(rows); err != nil {
			return err
		}
	}
	return nil
}
