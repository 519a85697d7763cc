package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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
// a trace of its own, up to mostNamed of them.
func (e *Engine) Explain(ctx context.Context, c setting.Connection, who string) ([]Why, error) {
	if err := e.belongs(ctx, c); err != nil {
		return nil, err
	}
	c, err := e.Settled(ctx, c)
	if err != nil {
		return nil, err
	}
	kind, src, err := e.open(ctx, c)
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // nothing depends on it any more
	found, err := e.named(ctx, c, kind, who)
	if err != nil {
		return nil, err
	}
	x := explainer{e: e, c: c, kind: kind, src: src, ctx: ctx, who: who}
	if len(found.rows) == 0 {
		w, err := x.notInMirror()
		return []Why{*w}, err
	}
	var preset source.Preset
	if preset, x.unreachable = src.Preset(ctx); x.unreachable == nil {
		if x.rules, err = e.compile(c, kind, preset); err != nil {
			return nil, err
		}
	}
	var out []Why
	for i := range found.rows {
		w := &Why{Who: who, History: []event.Event{}}
		if i == 0 && found.all > len(found.rows) {
			w.Steps = append(w.Steps, WhyStep{Step: "name", Detail: fmt.Sprintf("%d entries are called so, of which %d are shown; a DN or external ID leads to one alone", found.all, len(found.rows))})
		}
		if found.former {
			w.Steps = append(w.Steps, WhyStep{Step: "name", Detail: "nobody is called so now; this entry was"})
		}
		if err := x.trace(w, &found.rows[i]); err != nil {
			return nil, err
		}
		out = append(out, *w)
	}
	return out, nil
}

// belongs refuses a connection whose accounts another organization has.
func (e *Engine) belongs(ctx context.Context, c setting.Connection) error {
	state, err := e.Store.Leases().State(ctx, c.Alias)
	if err != nil {
		return err
	}
	return state.Belongs(c.Organization)
}

// notInMirror explains somebody the last reading did not bring, by asking the
// directory where the source can look for one entry.
func (x *explainer) notInMirror() (*Why, error) {
	w := &Why{Who: x.who, Steps: []WhyStep{step("directory", false, "the last reading brought no entry with this name, DN, e-mail or external ID")}, History: []event.Event{}}
	w.Answer = "Not in: the last reading of " + x.c.Alias + " brought no such entry."
	switch found, unasked := x.ask(x.who); {
	case unasked != "":
		w.Steps = append(w.Steps, WhyStep{Step: directoryNow, Detail: unasked})
	case len(found) == 0:
		w.Steps = append(w.Steps, step(directoryNow, false, "the directory, asked just now, has no such entry under the base"))
	default:
		w.Answer = fmt.Sprintf("Not in: the last reading of %s brought no such entry, but %s is there now.", x.c.Alias, found[0].Name)
		for _, f := range found {
			if kept := w.tell(f); kept != "" {
				w.Answer = fmt.Sprintf("Not in: the entry %s is there, but %s.", f.Name, kept)
			}
		}
	}
	accounts, err := x.e.Store.Accounts().Find(x.ctx, x.c.Organization, x.who)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return w, err
	}
	if len(accounts) == 0 {
		return w, nil
	}
	a := accounts[0]
	w.Account = a
	w.Steps = append(w.Steps, step("account", true, fmt.Sprintf("there is an account %s, kept by %s, status %s", a.ID, a.Connection, a.Status)))
	if w.In = a.Connection == x.c.Alias && a.Status == account.Active; w.In {
		w.Answer = fmt.Sprintf("In: %s is active as account %s, though no reading of %s brought its entry.", a.Text[account.Username], a.ID, x.c.Alias)
	} else {
		w.Answer += fmt.Sprintf(" The account of that name is kept by %s.", a.Connection)
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
	src   source.Source
	rules *rules
	ctx   context.Context
	who   string
	// unreachable is why the directory cannot be asked.
	unreachable error
	until       time.Time // when asking it ends
	waiting     []*Plan
	loaded      bool // waiting is
}

func (x *explainer) trace(w *Why, row *mirror.Row) error {
	w.Entry = &row.Name
	say := func(name string, holds bool, format string, args ...any) bool {
		w.Steps = append(w.Steps, step(name, holds, fmt.Sprintf(format, args...)))
		return holds
	}
	in := say("directory", !row.Gone, "%s", map[bool]string{true: "no longer there in the last complete reading", false: "there, as " + row.Name}[row.Gone])
	if !in {
		if err := x.gone(w, row); err != nil {
			return err
		}
	}
	var r directory.Record
	if err := r.Decode(row.Record); err != nil {
		return err
	}
	if in && !say("external ID", row.ExternalID != "", "%s", map[bool]string{true: string(row.ExternalID), false: r.Problem}[row.ExternalID != ""]) {
		in, w.Answer = false, "Not in: "+r.Problem+"."
	}
	switch {
	case !in:
	case x.rules == nil:
		w.Steps = append(w.Steps, WhyStep{Step: "mapping", Detail: "the directory cannot be reached now, so its starting rules are not known: " + x.unreachable.Error()})
	default:
		var err error
		if in, err = x.rulesHold(w, row, &r, say); err != nil {
			return err
		}
	}
	a, err := x.account(w, row, say)
	if err != nil {
		return err
	}
	active := a != nil && a.Status == account.Active
	w.In = in && active
	open, err := x.standing(w, row)
	if err != nil {
		return err
	}
	p, err := x.pending(w, row, a, w.In)
	if err != nil {
		return err
	}
	if open == "" {
		open = p.open
	}
	x.answer(w, a, open, &p)
	return nil
}

// answer makes one sentence of it all, and one more of the plan that waits where that
// would change the answer.
func (x *explainer) answer(w *Why, a *account.Account, open string, p *pending) {
	active := a != nil && a.Status == account.Active
	changes := active && takes(p.action) || !active && leads(p.action)
	switch {
	case w.In:
		w.Answer = fmt.Sprintf("In: %s is active as account %s.", a.Text[account.Username], a.ID)
	case w.Answer != "":
		if active {
			w.Answer += fmt.Sprintf(" Account %s is still active.", a.ID)
		}
	case a == nil && changes:
		w.Answer = "Not in yet: the entry qualifies, and its plan was not applied."
	case open != "" && !changes:
		w.Answer = "Not in: " + open
	case a == nil:
		w.Answer = "Not in yet: the entry qualifies, and no applied run has made its account."
	default:
		w.Answer = fmt.Sprintf("Not active: account %s is %s.", a.ID, a.Status)
	}
	if changes {
		w.Answer += " " + p.says + "."
	}
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

// listed reports whether a selected group lists the entry or is the one it is in
// besides, or one does that is nested in a selected one.
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
	inner := map[directory.Digest]bool{} // by ref, and whether it lists them
	err = x.e.Store.Mirror().Groups(x.ctx, x.c.Alias, false, func(g *mirror.Group) {
		if g.Inner && !g.Gone {
			inner[g.Ref] = g.Ref == primary
		}
	})
	if err != nil {
		return false, err
	}
	found := false
	nested := map[directory.Digest][]directory.Digest{}
	var next []directory.Digest
	err = x.e.Store.Mirror().Groups(x.ctx, x.c.Alias, true, func(g *mirror.Group) {
		if g.Gone || found {
			return
		}
		lists := g.Ref == primary
		var in []directory.Digest
		for at := 0; at < len(g.Refs); at += 16 {
			ref := known.member(directory.Digest(g.Refs[at:]), g.Generation)
			lists = lists || ref == row.Ref
			if _, ok := inner[ref]; ok {
				in = append(in, ref)
			}
		}
		if !g.Inner {
			found, next = lists, append(next, in...)
			return
		}
		inner[g.Ref], nested[g.Ref] = lists, in
	})
	for len(next) > 0 && !found {
		ref := next[len(next)-1]
		next = append(next[:len(next)-1], nested[ref]...)
		found = inner[ref]
		delete(nested, ref)
	}
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
	err = x.e.Store.Events().OfAccount(x.ctx, a.ID, 20, func(ev event.Event) error {
		w.History = append(w.History, ev)
		return nil
	})
	if err == nil {
		err = x.nameDeleted(w.History)
	}
	return a, err
}

// OfDeletedGroup begins the reason of an event whose group was deleted since; its name
// follows.
const OfDeletedGroup = "of the deleted group "

// nameDeleted puts the names of groups that were deleted since into the reasons of
// events: nobody who reads them can look those up any more.
func (x *explainer) nameDeleted(history []event.Event) error {
	if !slices.ContainsFunc(history, func(ev event.Event) bool { return ev.Group != nil }) {
		return nil
	}
	groups, err := x.e.Store.Accounts().Groups(x.ctx, x.c.Alias)
	if err != nil {
		return err
	}
	for i := range history {
		ev := &history[i]
		if ev.Group == nil || groups[*ev.Group].Status != account.Deleted {
			continue
		}
		ev.Why = strings.TrimSuffix(OfDeletedGroup+groups[*ev.Group].Name+": "+ev.Why, ": ")
	}
	return nil
}

// standing tells what the last applied plan left open for the entry.
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
