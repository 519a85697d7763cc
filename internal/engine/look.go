package engine

import (
	"maps"
	"slices"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine/match"
	"rollcall.dev/rollcall/internal/engine/mirror"
)

// look is the survey.
func (b *builder) look() error {
	all, err := b.p.e.Connections(b.ctx, b.p.c.Organization)
	if err != nil {
		return err
	}
	rules := match.Rules{Organization: b.p.c.Organization, Connection: b.p.c.Alias, Match: b.p.c.Match, Policy: b.p.c.Policy,
		Incomplete: b.rules.Incomplete, Owner: func(x, y string) string { return owner(all, x, y) }, Overlaps: map[directory.Digest]match.Claimant{}, Spared: map[directory.Digest]bool{}}
	for key := range b.rules.Spared {
		rules.Spared[key] = true
	}
	err = b.p.e.Store.Mirror().Claims(b.ctx, b.p.c.Alias, func(key directory.Digest, claimant, name string) {
		rules.Overlaps[key] = match.Claimant{Connection: claimant, Name: name}
	})
	if err != nil {
		return err
	}
	b.survey = match.NewSurvey(rules, b.moved[0])
	quick := len(b.p.c.Scope) == 0
	if err := b.eachUser(quick, b.lookAt); err != nil {
		return err
	}
	named, err := b.p.e.Store.Mirror().Rows(b.ctx, b.p.c.Alias, append(b.survey.Ambiguous(), b.survey.Rivals()...))
	if err != nil {
		return err
	}
	names := map[directory.Digest]*match.Entry{}
	entries, err := b.entries(named, quick)
	if err != nil {
		return err
	}
	for i := range entries {
		names[entries[i].Key] = &entries[i]
	}
	b.survey.Resolve(names)
	return nil
}

func (b *builder) lookAt(rows []mirror.Row, entries []match.Entry) error {
	keys := make([]directory.Digest, len(rows))
	for i := range rows {
		keys[i] = rows[i].Key
	}
	var linked map[directory.Digest]match.Holder
	if !b.empty {
		var err error
		if linked, err = b.p.e.Store.Accounts().Linked(b.ctx, b.p.c.Alias, keys); err != nil {
			return err
		}
	}
	var asked []match.Entry
	var usernames, emails []string
	var values []account.Value
	for i := range entries {
		e := &entries[i]
		var holder *match.Holder
		if h, ok := linked[e.Key]; ok {
			holder = &h
		}
		if b.survey.Add(e, holder) && !b.empty {
			asked = append(asked, *e)
			usernames = append(usernames, account.Fold(e.User.Text[account.Username]))
			emails = append(emails, account.Fold(e.User.Text[account.Email]))
			if holder == nil {
				values = append(values, e.Values...)
			}
		}
	}
	if b.empty {
		return nil
	}
	if err := b.freeIDs(asked); err != nil {
		return err
	}
	holders, err := b.p.e.Store.Accounts().Holders(b.ctx, b.p.c.Organization, usernames, emails, values)
	if err != nil || len(holders) == 0 {
		return err
	}
	b.handOut(holders, asked, usernames, emails)
	return nil
}

// handOut gives each entry the accounts that carry what it claims.
func (b *builder) handOut(holders []match.Holder, asked []match.Entry, usernames, emails []string) {
	byName := map[account.Value][]int{}
	for i := range holders {
		h := &holders[i]
		for _, v := range append(h.Values, account.Value{Name: "username", Key: h.UsernameKey}, account.Value{Name: "email", Key: h.EmailKey}) {
			byName[v] = append(byName[v], i)
		}
	}
	for i := range asked {
		var mine []int
		for _, v := range append(asked[i].Values, account.Value{Name: "username", Key: usernames[i]}, account.Value{Name: "email", Key: emails[i]}) {
			mine = append(mine, byName[v]...)
		}
		if len(mine) == 0 {
			continue
		}
		slices.Sort(mine)
		all := make([]match.Holder, 0, len(mine))
		for _, k := range slices.Compact(mine) {
			all = append(all, holders[k])
		}
		b.survey.Holders(&asked[i], all)
	}
}

// freeIDs makes sure that the accounts to be created get IDs no account has: the
// one derived from an external ID may belong to somebody whose entry has got
// another one since.
func (b *builder) freeIDs(asked []match.Entry) error {
	wanted := map[account.ID]*match.Entry{}
	for i := range asked {
		if id := b.survey.Planned(asked[i].Key); !id.IsZero() {
			wanted[id] = &asked[i]
		}
	}
	for round := 2; len(wanted) > 0; round++ {
		have, err := b.p.e.Store.Accounts().Fetch(b.ctx, slices.Collect(maps.Keys(wanted)))
		if err != nil {
			return err
		}
		again := map[account.ID]*match.Entry{}
		for id := range have {
			again[b.survey.Taken(wanted[id], round)] = wanted[id]
		}
		wanted = again
	}
	return nil
}
