package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// Rows tells of a plan row by row, in words that do not change from run to run:
//
//	update account anna: email anna@old.example -> anna@new.example
//	add membership staff: anna
//
// Rows of one group's memberships stand in the order of the members' names.
func (w *World) Rows(p *engine.Plan) []string {
	w.T.Helper()
	names := w.names()
	var out []string
	w.must(w.Engine.EachChange(w.T.Context(), p, func(c *plan.Change) error {
		if c.Target == plan.Account && c.After != nil && c.Action == plan.Create {
			names[c.Account] = c.After.Text[account.Username]
		}
		return nil
	}))
	w.must(w.Engine.EachChange(w.T.Context(), p, func(c *plan.Change) error {
		switch c.Target {
		case plan.Account:
			out = append(out, fmt.Sprintf("%s account %s: %s", c.Action, names[c.Account], accountRow(c, names)))
		case plan.Group:
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s group %s", c.Action, groupRow(c))))
		case plan.Membership:
			var members []string
			for _, id := range c.Members {
				members = append(members, names[id])
			}
			slices.Sort(members)
			for _, m := range members {
				out = append(out, fmt.Sprintf("%s membership %s: %s", c.Action, c.Name, m))
			}
		}
		return nil
	}))
	return out
}

func groupRow(c *plan.Change) string {
	if c.GroupName[0] != "" && c.GroupName[0] != c.GroupName[1] {
		return c.GroupName[0] + " -> " + c.GroupName[1]
	}
	return c.GroupName[1]
}

func accountRow(c *plan.Change, names map[account.ID]string) string {
	fields := func(f plan.Fields, a *account.Account) map[string]string {
		var raw map[string]json.RawMessage
		out := map[string]string{}
		if a == nil || json.Unmarshal(f.JSON(a), &raw) != nil {
			return out
		}
		for k, v := range raw {
			out[k] = strings.Trim(string(v), `"`)
		}
		if f.Has(plan.FieldManager) {
			out["manager"] = names[a.Manager]
		}
		return out
	}
	f := c.Fields
	if c.Action == plan.Create {
		f = plan.Everything(c.After)
	}
	before, after := fields(f, c.Before), fields(f, c.After)
	var parts []string
	for _, name := range f.Names() {
		if c.Action == plan.Create {
			parts = append(parts, name+" "+after[name])
		} else {
			parts = append(parts, fmt.Sprintf("%s %s -> %s", name, before[name], after[name]))
		}
	}
	if c.Secret {
		parts = append(parts, "password")
	}
	return strings.Join(parts, ", ") + " (" + c.Why + ")"
}

// Brief is Rows without what stands behind the colon of accounts:
// "create account anna".
func (w *World) Brief(p *engine.Plan) []string {
	w.T.Helper()
	rows := w.Rows(p)
	for i, r := range rows {
		if strings.Contains(r, " account ") {
			rows[i], _, _ = strings.Cut(r, ":")
		}
	}
	slices.Sort(rows)
	return rows
}

// Notes tells of what a plan does not do, sorted.
func (w *World) Notes(p *engine.Plan) []string {
	w.T.Helper()
	var out []string
	names := w.names()
	w.must(w.Store.PlanTable.Notes(w.T.Context(), p.ID, func(n plan.Note) error {
		text := n.Text
		for id, name := range names {
			text = strings.ReplaceAll(text, id.String(), "ID of "+name)
		}
		out = append(out, fmt.Sprintf("%s %s: %s", n.Kind, n.Name, text))
		return nil
	}))
	slices.Sort(out)
	return out
}

// RowOf finds the sequence number of a row that begins with these words, as
// Rows puts it.
func (w *World) RowOf(p *engine.Plan, begins string) int64 {
	w.T.Helper()
	names := w.names()
	at := int64(0)
	w.must(w.Engine.EachChange(w.T.Context(), p, func(c *plan.Change) error {
		return c.Each(func(r plan.Row) error {
			who := r.Name
			if c.After != nil && c.After.Text[account.Username] != "" {
				who = c.After.Text[account.Username]
			} else if r.Account != nil && names[*r.Account] != "" {
				who = names[*r.Account]
			}
			if c.Target == plan.Membership {
				who = c.Name + ": " + who
			}
			if strings.HasPrefix(fmt.Sprintf("%s %s %s", r.Action, r.Target, who), begins) {
				at = r.Seq
			}
			return nil
		})
	}))
	if at == 0 {
		w.T.Fatalf("the plan has no row %q:\n%s", begins, strings.Join(w.Rows(p), "\n"))
	}
	return at
}
