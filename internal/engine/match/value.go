package match

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
)

// MostHolders is how many accounts may carry one value of a further matching
// attribute. Of more than these no holder of a Survey need be given: the value
// tells nobody apart, and whoever claims it is in a dispute with all of them.
const MostHolders = 20

// mostNamed bounds how many entries that claim one value are each told of the
// others.
const mostNamed = 200

// Further gives the matching attributes besides username and e-mail address,
// each once. Unlike those two, what they hold need not be unique: it is looked
// at for entries that have no account yet, and for those alone.
func Further(names []string) []string {
	var out []string
	for _, name := range names {
		if name != account.Username.String() && name != account.Email.String() && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func valueHash(v account.Value) uint64 { return hash64('v', v.Name+"\x00"+v.Key) }

// isName tells the hash of a username or an e-mail from that of a further value.
func (s *Survey) isName(i int32, h uint64) bool {
	return s.slots[i].username == h || s.slots[i].email == h
}

// shares notes by which of an entry's values an account was found.
func (f *found) shares(values []account.Value) {
	for _, v := range f.Values {
		if slices.Contains(values, v) && !slices.Contains(f.by, v.Name) {
			f.by = append(f.by, v.Name)
		}
	}
}

// names are those of the attributes that agree which nobody else may carry.
func (f *found) names() []string {
	return slices.DeleteFunc(slices.Clone(f.by), func(by string) bool {
		return by != account.Username.String() && by != account.Email.String()
	})
}

// first is the matching attribute that found an account first.
func (s *Survey) first(f *found) string {
	for _, attribute := range s.rules.Match {
		if slices.Contains(f.by, attribute) {
			return attribute
		}
	}
	return f.by[0]
}

// crowd notes a value of an entry that too many accounts carry.
func (s *Survey) crowd(i int32, values []account.Value, all []found) {
	for _, v := range values {
		n := 0
		for k := range all {
			if slices.Contains(all[k].Values, v) {
				n++
			}
		}
		if n > MostHolders {
			s.crowds[i] = v
			return
		}
	}
}

// newcomers reports whether some of a group of entries have no account yet.
func (s *Survey) newcomers(group []int32) bool {
	return slices.ContainsFunc(group, func(i int32) bool { return s.slots[i].how == Not })
}

// asked are those of a group of claimants whose names are needed to tell of it.
func (s *Survey) asked(h uint64, group []int32) []int32 {
	switch {
	case s.isName(group[0], h):
		return group
	case !s.newcomers(group):
		return nil // who has an account may carry what others carry
	case len(group) <= mostNamed:
		return group
	}
	some := slices.Clone(group)
	slices.SortFunc(some, func(i, j int32) int { return bytes.Compare(s.slots[i].key[:], s.slots[j].key[:]) })
	return some[:3]
}

// clashOfValues marks entries without an account that claim a further value
// which others claim too: they may be one person.
func (s *Survey) clashOfValues(h uint64, group []int32, names map[directory.Digest]*Entry, texts map[int32][]string, sides map[int32][]Side) {
	asked := s.asked(h, group)
	if len(asked) == 0 {
		return
	}
	var value account.Value
	var some []string
	for _, i := range asked {
		if e := names[s.slots[i].key]; e != nil {
			value = e.value(h)
			some = append(some, e.Name)
		}
	}
	if len(asked) < len(group) {
		slices.Sort(some)
		for _, i := range group {
			if s.slots[i].how == Not {
				texts[i] = append(texts[i], fmt.Sprintf("%d entries claim the %s %q, %s among them; it tells nobody apart", len(group), value.Name, value.Key, strings.Join(some, " and ")))
				for _, name := range some[:min(len(some), mostSides)] {
					sides[i] = append(sides[i], Side{Connection: s.rules.Connection, Name: name, By: []string{value.Name}})
				}
			}
		}
		return
	}
	s.claimants(group, names, func(e *Entry) string { v := e.value(h); return v.Name + "\x00" + v.Key }, func(i int32, me *Entry, claim string, who []*Entry) {
		if v := me.value(h); s.slots[i].how == Not {
			sides[i] = append(sides[i], s.entrySides(who, v.Name)...)
			texts[i] = append(texts[i], fmt.Sprintf("%s the %s %q", claim, v.Name, v.Key))
		}
	})
}

// value is the further value of an entry with a hash.
func (e *Entry) value(h uint64) account.Value {
	for _, v := range e.Values {
		if valueHash(v) == h {
			return v
		}
	}
	return account.Value{}
}

// claimants calls fn for each of a group that is not alone with what it claims,
// with that in words, and some of the others. What is claimed is compared by key: two
// names may have one hash.
func (s *Survey) claimants(group []int32, names map[directory.Digest]*Entry, key func(*Entry) string, fn func(i int32, me *Entry, claim string, who []*Entry)) {
	const most = mostSides
	by := map[string][]int32{}
	for _, i := range group {
		if e := names[s.slots[i].key]; e != nil {
			by[key(e)] = append(by[key(e)], i)
		}
	}
	name := func(i int32) string { return names[s.slots[i].key].Name }
	for _, same := range by {
		slices.SortFunc(same, func(i, j int32) int { return strings.Compare(name(i), name(j)) })
		for _, i := range same {
			var others []string
			var who []*Entry
			for _, j := range same {
				if j == i {
					continue
				}
				who = append(who, names[s.slots[j].key])
				if others = append(others, name(j)); len(others) == most && len(same)-1 > most {
					others = append(others, fmt.Sprintf("%d more", len(same)-1-most))
					break
				}
			}
			all := "both"
			if len(same) > 2 {
				all = "all"
			}
			if len(others) > 0 {
				me := names[s.slots[i].key]
				fn(i, me, fmt.Sprintf("%s and %s %s claim", me.Name, strings.Join(others, " and "), all), who)
			}
		}
	}
}

// mostSides is how many others a refusal names.
const mostSides = 5

// entrySides are other entries of this connection, which claim the same.
func (s *Survey) entrySides(entries []*Entry, by ...string) []Side {
	var out []Side
	for _, e := range entries[:min(len(entries), mostSides)] {
		out = append(out, Side{Connection: s.rules.Connection, Name: e.Name, ExternalID: string(e.ExternalID), By: by})
	}
	return out
}

// side is the account as a refusal names it.
func (f *found) side() Side {
	return Side{Account: f.ID, Connection: f.Connection, Name: f.Username, ExternalID: f.ExternalID, By: f.by}
}
