package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// errEnough ends a walk that has shown enough.
var errEnough = errors.New("enough")

// eachRow hands on a plan's rows, marking those a person excluded.
func eachRow(ctx context.Context, a place, p *engine.Plan, fn func(plan.Row) error) error {
	if p.Pruned {
		return nil // there is nothing to show but its head
	}
	return a.Rows(ctx, p, fn)
}

func (r *root) showPlan(ctx context.Context, a place, p *engine.Plan, limit int) error {
	if r.output == "json" {
		return r.planJSON(ctx, a, p)
	}
	r.planHead(p)
	r.summary(&p.Summary, planned)
	return r.planBody(ctx, a, p, limit)
}

func (r *root) planHead(p *engine.Plan) {
	undoes := ""
	if p.Basis.Reverts != "" {
		undoes = ", undoing run " + p.Basis.Reverts
	}
	fmt.Fprintf(r.Out, "Plan %s for %s%s, made %s: %s\n", p.ID, p.Connection, undoes, stamp(p.CreatedAt), verdictText(p))
	for _, why := range p.HeldBecause {
		r.paragraph("  held: ", why)
	}
	if !p.Basis.Complete && p.Basis.Reverts == "" {
		r.paragraph("  ", "The reading was NOT COMPLETE: nobody is removed, disabled or emptied.")
	}
}

func (r *root) planBody(ctx context.Context, a place, p *engine.Plan, limit int) error {
	if p.Pruned {
		fmt.Fprintln(r.Out, "\nIts rows were pruned and are no longer kept (`retention.plans`).")
		return nil
	}
	if err := r.planRows(ctx, a, p, limit); err != nil {
		return err
	}
	return r.planNotes(ctx, a, p, limit)
}

func verdictText(p *engine.Plan) string {
	changes := counted(p.Summary.Changes(), "change")
	switch p.Verdict {
	case plan.Nothing:
		if n := p.Summary.Purge; n > 0 {
			return "nothing to change; " + counted(n, "account") + " flagged deleted to be purged"
		}
		return "nothing to do"
	case plan.Held:
		return heldText(p, changes)
	case plan.Go:
	}
	return changes
}

// heldText tells of a plan that was held, by what became of it.
func heldText(p *engine.Plan, changes string) string {
	by := ""
	if p.DecidedBy != nil {
		by = " by " + *p.DecidedBy
	}
	switch p.State {
	case plan.Applying, plan.Applied:
		return changes + ", held and then approved" + by
	case plan.Rejected:
		return changes + ", held and then rejected" + by
	case plan.Superseded:
		return changes + ", held; a later plan took its place"
	case plan.Waiting, plan.Ready, plan.Building:
	}
	return "HELD, " + changes + " for a person to look at"
}

func (r *root) planRows(ctx context.Context, a place, p *engine.Plan, limit int) error {
	t := r.table(column{"ROW", fixed}, column{"ACTION", fixed}, column{"TARGET", fixed}, column{"WHO", wraps}, column{"CHANGE", wraps})
	who := names{a: a, known: map[account.ID]string{}}
	var batch []plan.Row
	flush := func() error {
		if err := who.lookUp(ctx, batch); err != nil {
			return err
		}
		for i := range batch {
			t.add(batch[i].Seq, string(batch[i].Action), string(batch[i].Target), who.of(&batch[i]), who.change(&batch[i]))
		}
		batch = batch[:0]
		return nil
	}
	err := eachRow(ctx, a, p, func(row plan.Row) error {
		if limit > 0 && t.count()+len(batch) >= limit {
			return errEnough
		}
		if t.count()+len(batch) == 0 {
			fmt.Fprintln(r.Out)
		}
		if batch = append(batch, row); len(batch) < 500 {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	if err := flush(); err != nil {
		return err
	}
	t.end("")
	if more := p.Summary.Changes() - t.count(); more > 0 && t.count() > 0 {
		fmt.Fprintf(r.Out, "... and %s more; all of them: rollcall plans show %s\n", number(more), p.ID)
	}
	return nil
}

// names puts usernames in the place of account IDs: of accounts that are there,
// and of those the plan itself creates.
type names struct {
	a     place
	known map[account.ID]string
}

func (n *names) lookUp(ctx context.Context, rows []plan.Row) error {
	var ids []account.ID
	want := func(id account.ID) {
		if _, ok := n.known[id]; !ok && !id.IsZero() {
			ids = append(ids, id)
		}
	}
	for i := range rows {
		row := &rows[i]
		if row.Target == plan.Group {
			continue
		}
		before, after := object(row.Before), object(row.After)
		if name, ok := after["username"].(string); ok && row.Action == plan.Create && row.Account != nil {
			n.known[*row.Account] = name
		}
		if row.Account != nil {
			want(*row.Account)
		}
		want(managerOf(before))
		want(managerOf(after))
	}
	found, err := n.a.Names(ctx, ids)
	maps.Copy(n.known, found)
	return err
}

func object(raw json.RawMessage) map[string]any {
	var v map[string]any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	return v
}

func managerOf(fields map[string]any) account.ID {
	text, ok := fields["manager"].(string)
	if !ok {
		return account.ID{}
	}
	id, err := account.ParseID(text)
	if err != nil {
		return account.ID{}
	}
	return id
}

// of names whom a row is about: a person by username, or a group.
func (n *names) of(row *plan.Row) string {
	if row.Target == plan.Group || row.Account == nil {
		return row.Name
	}
	if was, ok := object(row.Before)["username"].(string); ok {
		return was
	}
	if name := n.known[*row.Account]; name != "" {
		return name
	}
	if row.Target == plan.Account && row.Name != "" {
		return row.Name
	}
	return row.Account.String()
}

// obvious are reasons that the action says already.
var obvious = []string{"new in the directory", "changed in the directory", "renamed in the directory",
	"member of the group in the directory", "no longer a member of the group in the directory"}

// change is before and after of a row in a few words, with the reason where it
// is not the obvious one.
func (n *names) change(row *plan.Row) string {
	what := strings.Join(n.parts(row), ", ")
	why := strings.TrimPrefix(row.Why, plan.ChangedThere+"; ")
	switch {
	case what == "" || what == why:
		what = why
	case !slices.Contains(obvious, why) && !strings.HasPrefix(why, "undoes run "):
		what += " (" + strings.TrimLeft(strings.TrimPrefix(why, "new in the directory"), ",; ") + ")"
	}
	if row.Excluded {
		return strings.TrimSpace("[excluded] " + what)
	}
	return what
}

func (n *names) parts(row *plan.Row) []string {
	before, after := object(row.Before), object(row.After)
	switch {
	case row.Target == plan.Membership && row.Action == plan.Add:
		return []string{"to " + row.Name}
	case row.Target == plan.Membership:
		return []string{"from " + row.Name}
	case row.Target == plan.Group:
		if row.Action == plan.Update {
			return differing("name", before["name"], after["name"])
		}
		return nil
	case row.Action != plan.Create && len(after) == 0:
		// No field of it changes: what does is the one that no row may tell.
		return []string{plan.NewPassword}
	case row.Action == plan.Create:
		return []string{fmt.Sprint(after["first_name"], " ", after["last_name"]), fmt.Sprint(after["email"])}
	}
	return n.delta(row.Action, before, after)
}

func (n *names) delta(action plan.Action, before, after map[string]any) []string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(after)) {
		switch {
		case k == "status" && action != plan.Update && action != plan.Link,
			(k == "external_id" || k == "connection") && action == plan.Link:
			// The action says so.
		case k == "manager":
			parts = append(parts, fmt.Sprintf("manager: %s -> %s", n.manager(before), n.manager(after)))
		case k == "attributes":
			parts = append(parts, attributes(before[k], after[k])...)
		default:
			parts = append(parts, differing(k, before[k], after[k])...)
		}
	}
	return parts
}

func (n *names) manager(fields map[string]any) string {
	if name := n.known[managerOf(fields)]; name != "" {
		return name
	}
	return value(fields["manager"])
}

// attributes tells which of the custom attributes change.
func attributes(before, after any) []string {
	was, _ := before.(map[string]any)
	is, _ := after.(map[string]any)
	all := maps.Clone(is)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, was)
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		parts = append(parts, differing(k, was[k], is[k])...)
	}
	return parts
}

// differing is how a field changes; nothing where it does not: of a status it may be
// what it comes from, which the reason tells. Long texts are shown from where they differ.
func differing(name string, before, after any) []string {
	a, b := whole(before), whole(after)
	if a == b {
		return nil
	}
	if value(before) == value(after) {
		at := 0
		for i, c := range a {
			if !strings.HasPrefix(b[i:], string(c)) {
				break
			}
			at = i + utf8.RuneLen(c)
		}
		a, b = "…"+a[at:], "…"+b[at:]
	}
	return []string{fmt.Sprintf("%s: %s -> %s", name, shorten(a, mostShown), shorten(b, mostShown))}
}

const mostShown = 200 // of a value

func value(v any) string { return shorten(whole(v), mostShown) }

func whole(v any) string {
	switch v := v.(type) {
	case nil:
		return "(none)"
	case string:
		return v
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(b)
}

// kinds of notes under the word by which the summary counts them.
var noteWords = map[plan.NoteKind]string{plan.Unresolved: "warning"}

func (r *root) planNotes(ctx context.Context, a place, p *engine.Plan, limit int) error {
	t := r.table(column{"NOTE", fixed}, column{"WHAT", wraps})
	more := 0
	err := a.Notes(ctx, p, func(n plan.NoteRow) error {
		switch {
		case n.Kind == plan.Due:
			return nil
		case limit > 0 && t.count() >= limit:
			more++
			return nil
		case t.count() == 0:
			fmt.Fprintln(r.Out)
		}
		word, ok := noteWords[n.Kind]
		if !ok {
			word = string(n.Kind)
		}
		t.add(word, ofWhom(n.Name, n.Text))
		return nil
	})
	if err != nil {
		return err
	}
	t.end("")
	if more > 0 {
		fmt.Fprintf(r.Out, "... and %s; all of them: rollcall plans show %s\n", counted(more, "more note"), p.ID)
	}
	return nil
}

// ofWhom puts the name of the entry that a note is about before its text, unless the
// text begins with it. One that has the name further on may be about another entry.
func ofWhom(name, text string) string {
	rest, begins := strings.CutPrefix(text, name)
	next, _ := utf8.DecodeRuneInString(rest)
	if name == "" || begins && (rest == "" || !unicode.IsLetter(next) && !unicode.IsDigit(next) && !strings.ContainsRune("_-.@+=", next)) {
		return text
	}
	return name + ": " + text
}

// planJSON prints a plan of any length without holding it: the head, then the
// rows one by one.
func (r *root) planJSON(ctx context.Context, a place, p *engine.Plan) error {
	head, err := json.Marshal(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "%s,\n\"changes\": ", strings.TrimSuffix(string(head), "}"))
	rows := stream{w: r.Out}
	if err := eachRow(ctx, a, p, func(row plan.Row) error { return rows.add(row) }); err != nil {
		return err
	}
	if err := rows.close(); err != nil {
		return err
	}
	fmt.Fprint(r.Out, ",\"notes\": ")
	notes := stream{w: r.Out}
	err = a.Notes(ctx, p, func(n plan.NoteRow) error {
		return notes.add(n)
	})
	if err != nil {
		return err
	}
	if err := notes.close(); err != nil {
		return err
	}
	fmt.Fprintln(r.Out, "}")
	return nil
}
