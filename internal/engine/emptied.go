package engine

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/engine/safeguard"
)

// emptied counts what a plan takes from the fields of accounts: a column that lost its
// contents, or an attribute that may not be read any more, looks to every entry alone as if
// the person had lost a value.
type emptied struct {
	text    [len(account.Text{})]swing
	manager swing
	bosses  map[account.ID]bool // the first managers that somebody loses: of one who leaves it is no wonder
	custom  map[string]swing    // of accounts that are changed; a first import makes very many
	status  swing               // being disabled by the directory
}

// swing is how many accounts lose something, and how many get it.
type swing struct{ lose, get int }

func (s *swing) count(had, has bool) {
	switch {
	case had && !has:
		s.lose++
	case has && !had:
		s.get++
	}
}

// take counts a change. before is the account as it is, nil for a new one.
func (x *emptied) take(c *plan.Change, before *account.Account) {
	if c.After == nil || c.After.Left() || before != nil && before.Left() {
		return
	}
	anew := before == nil
	if anew {
		before = &account.Account{}
	}
	if anew || c.Fields.Has(plan.FieldStatus) {
		x.status.count(before.Cause == account.ByEntry, c.After.Cause == account.ByEntry)
	}
	for i := range x.text {
		if f := account.Field(i); anew || c.Fields.Has(plan.Text(f)) {
			x.text[i].count(before.Text[f] != "", c.After.Text[f] != "")
		}
	}
	if anew || c.Fields.Has(plan.FieldManager) {
		x.manager.count(!before.Manager.IsZero(), !c.After.Manager.IsZero())
		if !before.Manager.IsZero() && c.After.Manager.IsZero() && len(x.bosses) < safeguard.Several {
			if x.bosses == nil {
				x.bosses = map[account.ID]bool{}
			}
			x.bosses[before.Manager] = true
		}
	}
	if !anew && c.Fields.Has(plan.FieldAttributes) {
		had, has := custom(before), custom(c.After)
		for name := range had {
			x.attribute(name, true, has[name] != nil)
		}
		for name := range has {
			x.attribute(name, had[name] != nil, true)
		}
	}
}

func (x *emptied) attribute(name string, had, has bool) {
	if had == has {
		return
	}
	if x.custom == nil {
		x.custom = map[string]swing{}
	}
	s := x.custom[name]
	s.count(had, has)
	x.custom[name] = s
}

func custom(a *account.Account) (out map[string]json.RawMessage) {
	if a.Attributes == "" || json.Unmarshal([]byte(a.Attributes), &out) != nil {
		return nil
	}
	return out
}

// facts are the fields that many lose and nobody gets, with how many have them.
func (x *emptied) facts(ctx context.Context, accounts Accounts, connection string, f *safeguard.Facts) error {
	fields := map[string]swing{}
	if len(x.bosses) == safeguard.Several {
		fields["manager"] = x.manager
	}
	for i, name := range account.FieldNames() {
		fields[name] = x.text[i]
	}
	for name, s := range x.custom {
		fields[account.CustomPrefix+name] = s
	}
	of := func(name string, s swing) (safeguard.Emptied, error) {
		have, err := accounts.Having(ctx, connection, name)
		return safeguard.Emptied{Field: name, Lose: s.lose, Have: have}, err
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if s := fields[name]; s.get == 0 && f.Much(s.lose) {
			e, err := of(name, s)
			if err != nil {
				return err
			}
			f.Emptied = append(f.Emptied, e)
		}
	}
	if x.status.get > 0 || x.status.lose < safeguard.Several {
		return nil
	}
	var err error
	f.Enabled, err = of("status", x.status)
	return err
}
