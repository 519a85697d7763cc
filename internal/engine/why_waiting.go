package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/mirror"
	"rollcall.dev/rollcall/internal/engine/plan"
)

// pending is what the plans that wait would do with one person.
type pending struct {
	says   string // a sentence or two about the one with a row for this person's account
	action plan.Action
	open   string // why one of them would do nothing
}

// pending looks through the plans that wait. Each that has something of the person is a
// step, and so is any where none has and the person is not in.
func (x *explainer) pending(w *Why, row *mirror.Row, a *account.Account, in bool) (p pending, err error) {
	if !x.loaded {
		if x.waiting, err = x.e.Store.Plans().Waiting(x.ctx, x.c.Alias); err != nil {
			return p, err
		}
		x.loaded = true
	}
	for _, made := range x.waiting {
		would, action, err := x.would(made, row, a)
		if err != nil {
			return p, err
		}
		if would != "" {
			p.says, p.action = fmt.Sprintf("Plan %s, which %s, would %s", made.ID, waits(made), would), action
		}
		var open []string
		err = x.e.Store.Plans().Notes(x.ctx, made.ID, func(n plan.Note) error {
			if n.Key == row.Key && n.Kind != plan.Warning && n.Kind != plan.Due && !n.Carried {
				open = append(open, n.Text)
				p.open = n.Text
			}
			return nil
		})
		if err != nil {
			return p, err
		}
		if would == "" && len(open) == 0 && in {
			continue
		}
		if would == "" {
			would = "do nothing with this person"
		}
		detail := fmt.Sprintf("plan %s, which %s, would %s", made.ID, waits(made), would)
		if len(open) > 0 {
			detail += "; left open: " + strings.Join(open, "; ")
		}
		w.Steps = append(w.Steps, WhyStep{Step: "waiting plan", Detail: detail})
	}
	return p, nil
}

// waits says why a plan waits.
func waits(p *Plan) string {
	out := "waits to be applied"
	if p.State == plan.Waiting {
		because := make([]string, len(p.HeldBecause))
		for i, why := range p.HeldBecause {
			because[i] = strings.TrimSuffix(why, ".")
		}
		out = "is held (" + strings.Join(because, "; ") + ")"
	}
	if p.Basis.Reverts != "" {
		out += " and undoes run " + p.Basis.Reverts
	}
	return out
}

// would says what a plan would do with somebody: "create the account ann (row 3: new in
// the directory), and put the person into 2 groups"; "" for nothing.
func (x *explainer) would(p *Plan, row *mirror.Row, a *account.Account) (would string, action plan.Action, err error) {
	if row.ExternalID == "" && a == nil {
		return "", "", nil // no plan does anything with an entry that has no key
	}
	var id account.ID
	if a != nil {
		id = a.ID
	}
	only := plan.Narrow{Target: plan.Account, Word: string(row.ExternalID)}
	if p.Basis.Reverts != "" {
		only.Word = "" // rows of accounts that have no entry any more name none
	}
	err = x.rows(p, only, func(r *plan.Row) error {
		mine := r.ExternalID != nil && row.ExternalID != "" && *r.ExternalID == string(row.ExternalID) || r.Account != nil && *r.Account == id
		if !mine {
			return nil
		}
		if r.Account != nil {
			id = *r.Account
		}
		would, action = deed(r), r.Action
		return errEnough
	})
	if err != nil || id.IsZero() {
		return would, action, err
	}
	var add, remove int
	err = x.rows(p, plan.Narrow{Target: plan.Membership}, func(r *plan.Row) error {
		switch {
		case *r.Account != id:
		case r.Action == plan.Add:
			add++
		default:
			remove++
		}
		return nil
	})
	var parts []string
	if would != "" {
		parts = append(parts, would)
	}
	if add > 0 {
		parts = append(parts, fmt.Sprintf("put the person into %d %s", add, plural("group", add)))
	}
	if remove > 0 {
		parts = append(parts, fmt.Sprintf("take the person out of %d %s", remove, plural("group", remove)))
	}
	return strings.Join(parts, ", and "), action, err
}

func (x *explainer) rows(p *Plan, only plan.Narrow, fn func(*plan.Row) error) error {
	err := x.e.Store.Plans().RowsOf(x.ctx, p, 0, only, func(r plan.Row) error { return fn(&r) })
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

// deed is a row of a plan in words.
func deed(r *plan.Row) string {
	out := fmt.Sprintf("%s the account", r.Action)
	var fields map[string]json.RawMessage
	if json.Unmarshal(r.After, &fields) != nil {
		fields = nil
	}
	switch r.Action {
	case plan.Create:
		var username string
		if json.Unmarshal(fields[account.Username.String()], &username) == nil && username != "" {
			out += " " + username
		}
	case plan.Update:
		names := make([]string, 0, len(fields))
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
		if len(names) > 0 {
			out += "'s " + strings.Join(names, ", ")
		}
	default:
	}
	if r.Why == "" {
		return fmt.Sprintf("%s (row %d)", out, r.Seq)
	}
	return fmt.Sprintf("%s (row %d: %s)", out, r.Seq, r.Why)
}

// leads reports an action after which somebody may be in who is not, takes one after
// which somebody is out who is in.
func leads(a plan.Action) bool {
	return a == plan.Create || a == plan.Link || a == plan.Enable || a == plan.Restore
}

func takes(a plan.Action) bool { return a == plan.Disable || a == plan.Delete }
