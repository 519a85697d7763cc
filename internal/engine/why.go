package engine

import (
	"context"
	"fmt"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/mapping"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
)

// WhyStep is one step of a trace: what was asked, whether it held, and how.
type WhyStep struct {
	Step   string `json:"step"`
	Holds  *bool  `json:"holds"` // null where the step was not reached or does not apply
	Detail string `json:"detail"`
}

// Why is the trace of one person through the stages.
type Why struct {
	Who     string           `json:"who"`
	In      bool             `json:"in"`
	Answer  string           `json:"answer"` // one sentence
	Entry   *string          `json:"entry"`
	Steps   []WhyStep        `json:"steps"`
	Account *account.Account `json:"account"`
	History []event.Event    `json:"history"`
}

// Explain says of a name, DN, e-mail or external ID whether that person is in,
// and through which step they got in or fell out. Each entry the word names has
// a trace of its own.
func (e *Engine) Explain(ctx context.Context, c setting.Connection, who string) ([]Why, error) {
	c, err := e.Settled(ctx, c)
	if err != nil {
		return nil, err
	}
	kind, src, err := e.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // nothing depends on it any more
	rows, err := e.entriesNamed(ctx, c, kind, who)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		w, err := e.notInMirror(ctx, c, src, who)
		return []Why{*w}, err
	}
	preset, unreachable := src.Preset(ctx)
	x := explainer{e: e, c: c, kind: kind, ctx: ctx, who: who}
	if unreachable == nil {
		if x.rules, err = e.compile(c, kind, preset); err != nil {
			return nil, err
		}
	}
	var out []Why
	for i := range rows {
		w, err := x.trace(&rows[i], unreachable)
		if err != nil {
			return nil, err
		}
		out = append(out, *w)
	}
	return out, nil
}

// entriesNamed looks through the mirror: external ID, name, ref, or any value of
// any attribute. It is asked by hand, so it may take the time of a scan.
func (e *Engine) entriesNamed(ctx context.Context, c setting.Connection, kind source.Kind, who string) ([]mirror.Row, error) {
	const most = 5
	word, ref := account.Fold(who), directory.RefOf(kind.Refer(who))
	var exact, loose []mirror.Row
	err := e.Store.Mirror().Each(ctx, Selection{Connection: c.Alias, All: true, Batch: batchSize}, directory.User, func(rows []mirror.Row) error {
		for _, row := range rows {
			if string(row.ExternalID) == who || row.Ref == ref {
				exact = append(exact, row)
				continue
			}
			var r directory.Record
			if err := r.Decode(row.Record); err != nil {
				return err
			}
			if len(loose) < most && names(&r, word) {
				loose = append(loose, row)
			}
		}
		return nil
	})
	if len(exact) > 0 {
		return exact, err
	}
	return loose, err
}

func names(r *directory.Record, word string) bool {
	if account.Fold(r.Name) == word {
		return true
	}
	for i := range r.Attributes {
		for _, v := range r.Attributes[i].Values {
			if account.Fold(v) == word {
				return true
			}
		}
	}
	return false
}

// notInMirror explains somebody the last reading did not bring, by asking the
// directory where the source can look for one entry.
func (e *Engine) notInMirror(ctx context.Context, c setting.Connection, src source.Source, who string) (*Why, error) {
	w := &Why{Who: who, Steps: []WhyStep{step("directory", false, "the last reading brought no entry with this name, DN, e-mail or external ID")}, History: []event.Event{}}
	w.Answer = "Not in: the last reading of " + c.Alias + " brought no such entry."
	if finder, ok := source.As[source.Finder](src); ok {
		found, err := finder.Find(ctx, who)
		if err != nil {
			w.Steps = append(w.Steps, WhyStep{Step: "directory now", Detail: "could not be asked: " + err.Error()})
		}
		for _, f := range found {
			name := f.Name
			w.Entry = &name
			w.Steps = append(w.Steps, step("directory now", true, "there is an entry "+f.Name))
			for _, clause := range f.Clauses {
				w.Steps = append(w.Steps, step(clause.Name, clause.Holds, clause.Detail))
				if !clause.Holds {
					w.Answer = fmt.Sprintf("Not in: the entry %s is there, but %s.", f.Name, clause.Detail)
				}
			}
		}
		if err == nil && len(found) == 0 {
			w.Steps = append(w.Steps, step("directory now", false, "the directory, asked just now, has no such entry under the base"))
		}
	}
	accounts, err := e.Store.Accounts().Find(ctx, c.Organization, who)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return w, err
	}
	if len(accounts) > 0 {
		w.Account = accounts[0]
		w.Steps = append(w.Steps, step("account", true, fmt.Sprintf("there is an account %s, kept by %s, status %s", accounts[0].ID, accounts[0].Connection, accounts[0].Status)))
		w.Answer += fmt.Sprintf(" The account of that name is kept by %s.", accounts[0].Connection)
	}
	return w, nil
}

func step(name string, holds bool, detail string) WhyStep {
	return WhyStep{Step: name, Holds: &holds, Detail: detail}
}

type explainer struct {
	e     *Engine
	c     setting.Connection
	kind  source.Kind
	rules *rules
	ctx   context.Context
	who   string
}

func (x *explainer) trace(row *mirror.Row, unreachable error) (*Why, error) {
	w := &Why{Who: x.who, Entry: &row.Name, History: []event.Event{}}
	say := func(name string, holds bool, format string, args ...any) bool {
		w.Steps = append(w.Steps, step(name, holds, fmt.Sprintf(format, args...)))
		return holds
	}
	in := say("directory", !row.Gone, "%s", map[bool]string{true: "no longer there in the last complete reading", false: "there, as " + row.Name}[row.Gone])
	if !in {
		w.Answer = "Not in: the entry is no longer in the directory."
	}
	var r directory.Record
	if err := r.Decode(row.Record); err != nil {
		return nil, err
	}
	if in && !say("external ID", row.ExternalID != "", "%s", map[bool]string{true: string(row.ExternalID), false: r.Problem}[row.ExternalID != ""]) {
		in, w.Answer = false, "Not in: "+r.Problem+"."
	}
	switch {
	case x.rules == nil:
		w.Steps = append(w.Steps, WhyStep{Step: "mapping", Detail: "the directory cannot be reached now, so its starting rules are not known: " + unreachable.Error()})
	case in:
		var err error
		if in, err = x.rulesHold(w, row, &r, say); err != nil {
			return nil, err
		}
	}
	a, err := x.account(w, row, say)
	if err != nil {
		return nil, err
	}
	in = in && a != nil && a.Status == account.Active
	open, err := x.standing(w, row)
	if err != nil {
		return nil, err
	}
	w.In = in
	switch {
	case in:
		w.Answer = fmt.Sprintf("In: %s is active as account %s.", a.Text[account.Username], a.ID)
	case w.Answer == "" && open != "":
		w.Answer = "Not in: " + open
	case w.Answer == "" && a == nil:
		w.Answer = "Not in yet: the entry qualifies, and no applied run has made its account."
	case w.Answer == "":
		w.Answer = fmt.Sprintf("Not active: account %s is %s.", a.ID, a.Status)
	}
	return w, nil
}

func (x *explainer) rulesHold(w *Why, row *mirror.Row, r *directory.Record, say func(string, bool, string, ...any) bool) (bool, error) {
	if r.Problem != "" {
		say("entry", false, "%s", r.Problem)
		w.Answer = "Not in: " + r.Problem + "."
		return false, nil
	}
	u := x.rules.mapping.Map(r, x.e.now())
	if len(u.Problems) > 0 {
		say("mapping", false, "%s", strings.Join(u.Problems, "; "))
		w.Answer = "Not in: " + strings.Join(u.Problems, "; ") + "."
		return false, nil
	}
	detail := "every mandatory field has a value"
	if len(u.Warnings) > 0 {
		detail += "; left out: " + strings.Join(u.Warnings, "; ")
	}
	say("mapping", true, "%s", detail)
	in := true
	for _, clause := range x.rules.scope.Trace(&u) {
		detail := clause.Expr
		if clause.Err != "" {
			detail += ": " + clause.Err
		}
		if !say("scope", clause.Holds, "%s", detail) && in {
			in = false
			w.Answer = "Not in: out of scope, " + clause.Expr + " does not hold."
		}
	}
	if x.kind.OnlyMembers(x.c.Backend) {
		listed, err := x.listed(row)
		if err != nil {
			return false, err
		}
		detail := "listed in a selected group"
		if !listed {
			detail = "in none of the selected groups"
		}
		if !say("groups", listed, "%s", detail) && in {
			in, w.Answer = false, "Not in: out of scope, in none of the selected groups."
		}
	}
	x.status(w, &u, say)
	return in, nil
}

// listed reports whether a group in the mirror lists the entry, or is the one it
// is in besides.
func (x *explainer) listed(row *mirror.Row) (bool, error) {
	known, err := loadRefs(x.ctx, x.e.Store.Mirror(), x.c.Alias)
	if err != nil {
		return false, err
	}
	var person directory.Record
	if err := person.Decode(row.Record); err != nil {
		return false, err
	}
	var primary directory.Digest
	if person.Primary != "" {
		primary = known.of(directory.RefOf(x.kind.Refer(person.Primary)), row.Generation)
	}
	found := false
	err = x.e.Store.Mirror().Each(x.ctx, Selection{Connection: x.c.Alias, All: true, Batch: batchSize}, directory.Group, func(rows []mirror.Row) error {
		for i := range rows {
			if rows[i].Gone {
				continue
			}
			found = found || rows[i].Ref == primary
			for at := 0; at < len(rows[i].Refs) && !found; at += 16 {
				found = known.of(directory.Digest(rows[i].Refs[at:]), rows[i].Generation) == row.Ref
			}
		}
		return nil
	})
	return found, err
}

func (x *explainer) status(w *Why, u *mapping.User, say func(string, bool, string, ...any) bool) {
	if u.Disabled {
		say("status", false, "disabled in the directory: %s", u.StatusWhy)
		if w.Answer == "" {
			w.Answer = "Not active: disabled in the directory, " + u.StatusWhy + "."
		}
		return
	}
	detail := "active in the directory"
	if !u.ReviewAt.IsZero() {
		detail += " until " + u.ReviewAt.Format("2006-01-02 15:04 MST")
	}
	say("status", true, "%s", detail)
}

func (x *explainer) account(w *Why, row *mirror.Row, say func(string, bool, string, ...any) bool) (*account.Account, error) {
	linked, err := x.e.Store.Accounts().Linked(x.ctx, x.c.Alias, []directory.Digest{row.Key})
	if err != nil {
		return nil, err
	}
	h, ok := linked[row.Key]
	if !ok {
		say("match", false, "no account is linked to this entry")
		return nil, nil
	}
	found, err := x.e.Store.Accounts().Find(x.ctx, x.c.Organization, h.ID.String())
	if err != nil {
		return nil, err
	}
	a := found[0]
	w.Account = a
	say("match", true, "linked by external ID to account %s (%s)", a.Text[account.Username], a.ID)
	detail := string(a.Status)
	if why := a.Cause.Sentence(); why != "" {
		detail += ": " + why
	}
	say("account", a.Status == account.Active, "%s", detail)
	return a, x.e.Store.Events().OfAccount(x.ctx, a.ID, 20, func(ev event.Event) error {
		w.History = append(w.History, ev)
		return nil
	})
}

// standing tells what the last applied plan left open for the entry, and what a
// plan that waits would do.
func (x *explainer) standing(w *Why, row *mirror.Row) (string, error) {
	open := ""
	err := x.e.Store.Plans().Open(x.ctx, x.c.Alias, row.Key, func(n plan.Note) error {
		w.Steps = append(w.Steps, WhyStep{Step: string(n.Kind), Detail: n.Text})
		if n.Kind != plan.Warning && n.Kind != plan.Due {
			open = n.Text
		}
		return nil
	})
	return open, err
}
