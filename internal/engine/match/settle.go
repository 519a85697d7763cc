package match

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
)

type found struct {
	Holder
	by        []string // the attributes that agree
	respelled bool     // its entry had the same external ID, but for capitals or Unicode's form
}

// byRespelling is by what an account is found whose entry's external ID is spelled
// another way than before.
const byRespelling = "external ID in another spelling"

type outcome struct {
	account account.ID
	by      string
	refusal *Refusal
}

// Ambiguous lists the keys of entries whose names clash with another's, for
// Resolve to be told what they are called.
func (s *Survey) Ambiguous() []directory.Digest {
	var out []directory.Digest
	for h, group := range s.clashes {
		for _, i := range s.asked(h, group) {
			out = append(out, s.slots[i].key)
		}
	}
	return out
}

// Resolve ends the survey. names gives what each ambiguous entry is called and
// claims.
func (s *Survey) Resolve(names map[directory.Digest]*Entry) {
	s.clash(names)
	// Who is refused keeps their name, which may refuse the next one: until
	// nobody more is refused. Each round looks at the one before, so that the
	// order of entries is of no matter.
	s.refused = make([]bool, len(s.slots))
	for s.tally() {
		for i := range s.slots {
			if !s.refused[i] {
				delete(s.outcome, int32(i))
				s.settle(int32(i))
			}
		}
	}
	s.rivals(names)
}

// tally takes down who is refused by now, and reports whether to go on: in the
// first round, and as long as there are more of them.
func (s *Survey) tally() bool {
	more := !s.settled
	s.settled = true
	for i, o := range s.outcome {
		if o.refusal != nil && !s.refused[i] {
			s.refused[i], more = true, true
		}
	}
	return more
}

// clash marks entries that claim one username or e-mail. Who holds it already
// keeps it; where nobody does, none of them gets it.
func (s *Survey) clash(names map[directory.Digest]*Entry) {
	texts, sides := map[int32][]string{}, map[int32][]Side{}
	for h, group := range s.clashes {
		if !s.isName(group[0], h) {
			s.clashOfValues(h, group, names, texts, sides)
			continue
		}
		field := account.Username
		if s.slots[group[0]].email == h {
			field = account.Email
		}
		incumbent := s.incumbent(h, group)
		s.claimants(group, names, func(e *Entry) string { return account.Fold(e.User.Text[field]) }, func(i int32, me *Entry, claim string, who []*Entry) {
			if i != incumbent {
				sides[i] = append(sides[i], s.entrySides(who, field.String())...)
				texts[i] = append(texts[i], fmt.Sprintf("%s the %s %q", claim, field, me.User.Text[field]))
			}
		})
	}
	for i, all := range texts {
		slices.Sort(all)
		s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute", Text: strings.Join(all, "; "), About: About{Claimed, sorted(sides[i])}}}
	}
}

// incumbent is the one of several claimants whose account carries the name; one
// whose person had left comes after those who stayed. -1: nobody, or several.
func (s *Survey) incumbent(h uint64, group []int32) int32 {
	for _, leaver := range [...]bool{false, true} {
		var found []int32
		for _, i := range group {
			sl := &s.slots[i]
			if sl.leaver == leaver && (sl.holds[0] && sl.username == h || sl.holds[1] && sl.email == h) {
				found = append(found, i)
			}
		}
		if len(found) > 0 {
			if len(found) == 1 {
				return found[0]
			}
			return -1
		}
	}
	return -1
}

// settle decides what the holders of an entry's names mean for it.
func (s *Survey) settle(i int32) {
	if c, ok := s.rules.Overlaps[s.slots[i].key]; ok && s.slots[i].how == Linked {
		switch s.rules.Owner(s.rules.Connection, c.Connection) {
		case s.rules.Connection:
		case c.Connection:
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "refused",
				Text: fmt.Sprintf("connection %s is the declared owner of this person (its entry: %s)", c.Connection, c.Name), About: About{Owned, c.side()}}}
			return
		default:
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
				Text: fmt.Sprintf("connection %s claims this account too, by its entry %s; changed by neither until one has `overlap: own`", c.Connection, c.Name), About: About{Overlaps, c.side()}}}
			return
		}
	}
	if len(s.holders[i]) == 0 {
		return
	}
	if v, ok := s.crowds[i]; ok {
		s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
			Text: fmt.Sprintf("more than %d accounts carry the %s %q it claims; it tells nobody apart", MostHolders, v.Name, v.Key), About: About{Crowded, accountSides(s.holders[i])}}}
		return
	}
	var candidates []found
	for _, h := range s.holders[i] {
		if s.released(&h) {
			continue
		}
		if s.ours(&h) && !s.leaves(&h) {
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
				Text: fmt.Sprintf("the %s it claims belongs to %s, which another entry (%s) holds", strings.Join(h.by, " and "), h.label(), h.ExternalID), About: About{Taken, accountSides([]found{h})}}}
			return
		}
		candidates = append(candidates, h)
	}
	if len(candidates) == 0 {
		return
	}
	if s.slots[i].how == Linked {
		s.settleLinked(i, candidates)
		return
	}
	s.choose(i, candidates)
}

// settleLinked: the entry has its account; somebody else's carries the name.
func (s *Survey) settleLinked(i int32, candidates []found) {
	for _, h := range candidates {
		if !s.frees(&h) {
			s.outcome[i] = outcome{refusal: s.foreign(&h)}
			return
		}
	}
}

// choose picks the account an entry without one matches.
func (s *Survey) choose(i int32, candidates []found) {
	var living, chosen []found
	for _, h := range candidates {
		if !s.leaves(&h) {
			living = append(living, h)
		}
	}
	by := ""
	pool := living
	if len(pool) == 0 {
		pool = candidates
	}
	// Who is there under the ID of one who left and under a name of theirs is the
	// same person, whatever the connection matches by.
	for _, h := range candidates {
		if h.respelled && (len(chosen) == 0 || chosen[0].Leaver() && !h.Leaver()) {
			chosen, by, pool = []found{h}, byRespelling, nil
		}
	}
	for _, attribute := range s.rules.Match {
		for _, h := range pool {
			if slices.Contains(h.by, attribute) && !slices.ContainsFunc(chosen, func(c found) bool { return c.ID == h.ID }) {
				chosen = append(chosen, h)
				if by == "" {
					by = attribute
				}
			}
		}
		if len(living) == 0 && len(chosen) > 0 {
			break // among people who left, the first attribute that names one decides
		}
	}
	var taken *found // a name is held by an account the matching attributes may not claim
	for k := range candidates {
		if len(candidates[k].names()) == 0 {
			continue // further values need not be unique: it blocks nobody
		}
		if len(chosen) <= 1 && !s.frees(&candidates[k]) && (len(chosen) == 0 || candidates[k].ID != chosen[0].ID) {
			taken = &candidates[k]
			break
		}
	}
	switch {
	case taken != nil && !s.ours(taken):
		taken.by = taken.names()
		s.outcome[i] = outcome{refusal: s.foreign(taken)}
	case taken != nil:
		s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
			Text: fmt.Sprintf("the %s it claims belongs to %s", strings.Join(taken.names(), " and "), taken.label()), About: About{Taken, accountSides([]found{*taken})}}}
	case len(chosen) == 0:
	case len(chosen) > 1:
		s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
			Text: fmt.Sprintf("it claims two accounts: %s by %s, %s by %s", chosen[0].label(), s.first(&chosen[0]), chosen[1].label(), s.first(&chosen[1])), About: About{Several, accountSides(chosen)}}}
	default:
		h := chosen[0]
		if !s.ours(&h) {
			if r := s.takeover(&h); r != nil {
				s.outcome[i] = outcome{refusal: r}
				return
			}
		}
		s.outcome[i] = outcome{account: h.ID, by: by}
	}
}

// ours: the account is kept by this connection.
func (s *Survey) ours(h *found) bool { return h.Connection == s.rules.Connection }

// released: an entry of this plan holds the account and gives up the name.
func (s *Survey) released(h *found) bool {
	if !s.ours(h) || s.rules.Policy.NoUpdate {
		return false
	}
	j, ok := s.byKey[h.Key]
	if !ok || s.slots[j].state != Present || s.refused[j] {
		return false
	}
	holds := false
	for _, by := range h.by {
		if by == "username" && s.slots[j].username == usernameHash(h.Username) || by == "email" && s.slots[j].email == emailHash(h.Email) {
			holds = true
		}
	}
	return !holds // a further value it still held would be claimed by two
}

// leaves: the account's person left, or its entry of this connection is gone or
// out of scope, so that they may come back as another entry.
func (s *Survey) leaves(h *found) bool {
	if s.ours(h) {
		if j, ok := s.byKey[h.Key]; ok {
			switch s.slots[j].state {
			case Present:
				return false // also one who comes back
			case Gone, OutOfScope:
				return h.Leaver() || !s.rules.Incomplete
			case Broken:
			}
		}
	}
	return h.Leaver()
}

// frees: the account blocks nobody's name, or will not after this plan.
func (s *Survey) frees(h *found) bool {
	if h.Leaver() || !s.leaves(h) {
		return s.leaves(h)
	}
	if s.rules.Policy.DeleteDisables && h.Status == account.Disabled && h.Cause != account.ByEntry {
		return false // disabled here already: their leaving changes nothing about the account
	}
	return !s.rules.Policy.NoDelete && !s.rules.Spared[h.Key] && !s.refused[s.byKey[h.Key]]
}

// foreign says who holds a name outside of this connection.
func (s *Survey) foreign(h *found) *Refusal {
	r := &Refusal{Kind: "dispute", Text: fmt.Sprintf("the %s it claims belongs to %s of %s", strings.Join(h.by, " and "), h.label(), provider(h.Connection)), About: About{Taken, accountSides([]found{*h})}}
	return r
}

// takeover says why an account of another provider is not taken over, or nil
// when it is.
func (s *Survey) takeover(h *found) *Refusal {
	if h.Connection != account.Local && !h.Leaver() {
		switch s.rules.Owner(s.rules.Connection, h.Connection) {
		case s.rules.Connection:
			return nil
		case h.Connection:
			return &Refusal{Kind: "refused", Account: h.ID, Text: fmt.Sprintf("connection %s is the declared owner of %s", h.Connection, h.label()), About: About{Owned, accountSides([]found{*h})}}
		}
		return &Refusal{Kind: "overlap", Account: h.ID, Owner: h.Connection, OwnerKey: h.Key, About: About{Overlaps, accountSides([]found{*h})},
			Text: fmt.Sprintf("connection %s keeps %s and claims the same person; changed by neither until one has `overlap: own`", h.Connection, h.label())}
	}
	if s.rules.Policy.NoUpdateProviderMismatch {
		return &Refusal{Kind: "refused", About: About{Mismatch, accountSides([]found{*h})},
			Text: fmt.Sprintf("would link to %s of %s; `no-update-provider-mismatch` leaves it alone", h.label(), provider(h.Connection))}
	}
	return nil
}

func provider(connection string) string {
	if connection == account.Local {
		return "provider local"
	}
	return "connection " + connection
}

// rivals finds accounts that two entries would be linked to.
func (s *Survey) rivals(names map[directory.Digest]*Entry) {
	claims := map[account.ID][]int32{}
	for i, o := range s.outcome {
		if o.refusal == nil && !o.account.IsZero() {
			claims[o.account] = append(claims[o.account], i)
		}
	}
	s.moved = map[account.ID]bool{}
	for id, group := range claims {
		if len(group) < 2 {
			s.moved[id] = !s.rules.Policy.NoUpdate // which lets nobody be linked who has not left
			continue
		}
		var who []string
		for _, i := range group {
			name := fmt.Sprintf("entry %x", s.slots[i].key)
			if e := names[s.slots[i].key]; e != nil {
				name = e.Name
			}
			who = append(who, name)
		}
		slices.Sort(who)
		for _, i := range group {
			s.outcome[i] = outcome{refusal: &Refusal{Kind: "dispute",
				Text: fmt.Sprintf("%s all match account %s", strings.Join(who, " and "), id), About: About{Shared, s.rivalSides(id, i, group, names)}}}
		}
	}
}

// rivalSides are the account that several entries match, and those entries but one.
func (s *Survey) rivalSides(id account.ID, me int32, group []int32, names map[directory.Digest]*Entry) []Side {
	out := []Side{{Account: id}}
	for k := range s.holders[me] {
		if h := &s.holders[me][k]; h.ID == id {
			out[0] = h.side()
		}
	}
	var others []*Entry
	for _, i := range group {
		if e := names[s.slots[i].key]; i != me && e != nil {
			others = append(others, e)
		}
	}
	return append(out, sorted(s.entrySides(others))...)
}

// Rivals lists keys of entries that match an account another entry matches too,
// for Resolve to be told their names.
func (s *Survey) Rivals() []directory.Digest {
	seen := map[account.ID][]int32{}
	for i, hs := range s.holders {
		for _, h := range hs {
			seen[h.ID] = append(seen[h.ID], i)
		}
	}
	var out []directory.Digest
	for _, group := range seen {
		if len(group) > 1 {
			for _, i := range group {
				out = append(out, s.slots[i].key)
			}
		}
	}
	return out
}

func accountSides(list []found) []Side {
	var out []Side
	for k := range list[:min(len(list), mostSides)] {
		out = append(out, list[k].side())
	}
	return out
}

// side is the entry of the other connection.
func (c *Claimant) side() []Side { return []Side{{Connection: c.Connection, Name: c.Name}} }

// sorted puts sides into one order, whatever that of the entries was, each once.
func sorted(list []Side) []Side {
	slices.SortFunc(list, func(a, b Side) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ExternalID, b.ExternalID), slices.Compare(a.By, b.By))
	})
	var out []Side
	for _, one := range list {
		if n := len(out); n > 0 && out[n-1].Name == one.Name && out[n-1].ExternalID == one.ExternalID {
			for _, by := range one.By {
				if !slices.Contains(out[n-1].By, by) {
					out[n-1].By = append(slices.Clone(out[n-1].By), by)
				}
			}
			continue
		}
		out = append(out, one)
	}
	return out[:min(len(out), mostSides)]
}
