package match

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/setting"
)

// world is a small directory and the accounts there are.
type world struct {
	entries  []Entry
	accounts []Holder
	rules    Rules
	overlap  map[string]string // "own" or "yield" of a connection
}

// entry is somebody in the directory of connection hq; their external ID is the
// name in capitals. The e-mail address stands for itself and @x.org.
func entry(name, username, email string) Entry {
	e := Entry{ExternalID: directory.ExternalID(strings.ToUpper(name)), Name: "cn=" + name}
	e.Key = directory.KeyOf(directory.User, e.ExternalID)
	e.Ref = directory.RefOf(e.Name)
	e.User.Text[account.Username] = username
	e.User.Text[account.Email] = email + "@x.org"
	return e
}

func (e Entry) in(s State) Entry {
	e.State = s
	if s == Gone {
		e.User.Text = account.Text{} // a gone row is not mapped
	}
	return e
}

// with gives an entry values of a custom attribute.
func (e Entry) with(name string, keys ...string) Entry {
	e.Values = append(slices.Clone(e.Values), values(name, keys)...)
	return e
}

// with gives an account values of a custom attribute.
func (h Holder) with(name string, keys ...string) Holder {
	h.Values = append(slices.Clone(h.Values), values(name, keys)...)
	return h
}

func values(name string, keys []string) []account.Value {
	var out []account.Value
	for _, k := range keys {
		out = append(out, account.Value{Name: name, Key: k})
	}
	return out
}

// limited leaves out values nobody matches by, as the engine does.
func limited(list []account.Value, names []string) []account.Value {
	return slices.DeleteFunc(slices.Clone(list), func(v account.Value) bool { return !slices.Contains(names, v.Name) })
}

func (e Entry) at(ref string) Entry {
	e.Ref = directory.RefOf(ref)
	return e
}

// holder is an account of hq, linked to the entry with the label as its name.
func holder(label, username, email string) Holder {
	h := Holder{ID: account.NewID(label), Connection: "hq", Username: username, Email: email + "@x.org", Status: account.Active, ExternalID: strings.ToUpper(label)}
	h.Key = directory.KeyOf(directory.User, directory.ExternalID(h.ExternalID))
	h.UsernameKey, h.EmailKey = account.Fold(h.Username), account.Fold(h.Email)
	return h
}

func (h Holder) of(connection string) Holder {
	h.Connection = connection
	if connection == account.Local {
		h.ExternalID, h.Key = "", directory.Digest{}
	}
	return h
}

func (h Holder) left() Holder {
	h.Status, h.Cause = account.Disabled, account.ByAbsence
	return h
}

func (h Holder) deleted() Holder {
	h.Status, h.Cause = account.Deleted, account.ByAbsence
	return h
}

// survey does with a world what the engine does with a directory.
func (w *world) survey(entries []Entry) *Survey {
	r := w.rules
	r.Organization, r.Connection = "sunfix", "hq"
	if r.Match == nil {
		r.Match = []string{"username", "email"}
	}
	r.Owner = func(a, b string) string {
		for _, x := range [][2]string{{a, b}, {b, a}} {
			if w.overlap[x[0]] == setting.OverlapOwn || w.overlap[x[1]] == setting.OverlapYield {
				return x[0]
			}
		}
		return ""
	}
	s := NewSurvey(r, 0)
	names := map[directory.Digest]*Entry{}
	further := Further(r.Match)
	for i := range entries {
		one := entries[i]
		e := &one
		if e.Values = limited(e.Values, further); e.State != Present {
			e.Values = nil
		}
		names[e.Key] = e
		var linked *Holder
		for k := range w.accounts {
			if h := &w.accounts[k]; h.Connection == "hq" && h.Key == e.Key {
				linked = h
			}
		}
		if !s.Add(e, linked) {
			continue
		}
		var all []Holder
		for _, h := range w.accounts {
			h.Values = limited(h.Values, further)
			shared := slices.ContainsFunc(h.Values, func(v account.Value) bool { return slices.Contains(e.Values, v) })
			if shared || h.UsernameKey == account.Fold(e.User.Text[account.Username]) || h.EmailKey == account.Fold(e.User.Text[account.Email]) {
				all = append(all, h)
			}
		}
		if len(all) > 0 {
			s.Holders(e, all)
		}
	}
	asked := map[directory.Digest]*Entry{}
	for _, key := range append(s.Ambiguous(), s.Rivals()...) {
		asked[key] = names[key]
	}
	s.Resolve(asked)
	return s
}

// verdicts says of each entry, in the order of the world, what became of it.
func (w *world) verdicts(s *Survey) []string {
	labels := []string{}
	for _, h := range w.accounts {
		labels = append(labels, h.ID.String(), h.Username)
	}
	ids := strings.NewReplacer(labels...)
	var out []string
	for i := range w.entries {
		p := s.Pair(&w.entries[i])
		id, has := s.AccountOf(p.Key)
		var text string
		switch {
		case p.Refusal != nil:
			text = p.Refusal.Kind + ": " + p.Refusal.Text
		case p.How == Linked:
			text = "linked to " + id.String()
		case p.How == Found:
			text = fmt.Sprintf("found %s by %s", id, p.By)
		case p.NewID == NewID("sunfix", "hq", p.ExternalID):
			text = "new"
		case p.NewID.IsZero():
			text = "nothing"
		default:
			text = "an ID out of nowhere"
		}
		if p.How != Not && p.Refusal == nil && !has {
			text += ", and yet no account"
		}
		out = append(out, strings.TrimPrefix(p.Name, "cn=")+" "+ids.Replace(text))
	}
	return out
}

// check wants these verdicts, in whatever order the entries come.
func (w *world) check(t *testing.T, want ...string) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 8))
	order := slices.Clone(w.entries)
	for round := range 8 {
		got := w.verdicts(w.survey(order))
		if !slices.Equal(got, want) {
			t.Fatalf("round %d:\n%s\nwant\n%s", round, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	}
}

// The outcome is the same in whatever order entries come, no account is changed
// for two entries, and nobody's name is given twice: after everything was
// carried out, each username and e-mail has one holder among the accounts in use.
func TestInAnyWorldNobodysNameIsGivenTwice(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for n := range 3000 {
		w := anyWorld(rng)
		order := slices.Clone(w.entries)
		want := w.verdicts(w.survey(order))
		for range 3 {
			rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			if got := w.verdicts(w.survey(order)); !slices.Equal(got, want) {
				t.Fatalf("world %d: %s\nin another order\n%s", n, strings.Join(want, "\n"), strings.Join(got, "\n"))
			}
		}
		if twice := w.apply(w.survey(order)); len(twice) > 0 {
			t.Fatalf("world %d: %s\nbefore: %+v\nrules: %+v\n%s", n, strings.Join(twice, "\n"), w.accounts, w.rules.Policy, strings.Join(want, "\n"))
		}
	}
}

// anyWorld has few names, so that they meet.
func anyWorld(rng *rand.Rand) *world {
	name := func() string { return string(rune('a' + rng.IntN(5))) }
	w := &world{overlap: map[string]string{"lab": []string{"", setting.OverlapOwn, setting.OverlapYield}[rng.IntN(3)]}}
	w.rules.Policy = setting.Policy{NoUpdate: rng.IntN(4) == 0, NoDelete: rng.IntN(4) == 0, NoUpdateProviderMismatch: rng.IntN(2) == 0, DeleteDisables: true}
	w.rules.Incomplete = rng.IntN(4) == 0
	w.rules.Match = [][]string{{"username", "email"}, {"email"}, {"email", "username"}, {}, {"badge"}, {"badge", "email"}, {"username", "badge", "card"}}[rng.IntN(7)]
	taken := map[string]bool{}
	for i := range 1 + rng.IntN(5) {
		h := holder(fmt.Sprint("p", i), name(), name())
		switch rng.IntN(6) {
		case 0:
			h = h.left()
		case 1:
			h = h.deleted()
		case 2:
			h = h.of(account.Local)
		case 3:
			h = h.of("lab")
		}
		if !h.Leaver() && (taken["u"+h.UsernameKey] || taken["e"+h.EmailKey]) {
			continue
		}
		if !h.Leaver() {
			taken["u"+h.UsernameKey], taken["e"+h.EmailKey] = true, true
		}
		w.accounts = append(w.accounts, h.with("badge", badges(rng)...).with("card", badges(rng)...))
	}
	for i := range 8 {
		if rng.IntN(2) == 0 {
			continue
		}
		e := entry(fmt.Sprint("p", i), name(), name()).with("badge", badges(rng)...).with("card", badges(rng)...)
		if i < 5 {
			e = e.in([]State{Present, Present, Present, OutOfScope, Gone, Broken}[rng.IntN(6)])
		}
		w.entries = append(w.entries, e)
	}
	return w
}

// badges are at most two of few.
func badges(rng *rand.Rand) []string {
	out := []string{}
	for range rng.IntN(3) {
		if b := string(rune('1' + rng.IntN(5))); !slices.Contains(out, b) {
			out = append(out, b)
		}
	}
	return out
}

// apply carries out what follows from the survey and gives the names that then
// have two holders. A further value may have several, but nobody gets a new
// account beside one in use that carries the value they are known by.
func (w *world) apply(s *Survey) []string {
	after := map[account.ID]Holder{}
	for _, h := range w.accounts {
		after[h.ID] = h
	}
	changed := map[account.ID]string{}
	var twice []string
	var created []account.ID
	change := func(id account.ID, by string) {
		if other, ok := changed[id]; ok {
			twice = append(twice, fmt.Sprintf("account %s is changed by %s and %s", id, other, by))
		}
		changed[id] = by
	}
	for i := range w.entries {
		p := s.Pair(&w.entries[i])
		if p.Refusal != nil {
			continue
		}
		id, _ := s.AccountOf(p.Key)
		h := after[id]
		switch {
		case p.State == Gone || p.State == OutOfScope:
			if p.How == Linked && !h.Leaver() && !w.rules.Incomplete && !w.rules.Policy.NoDelete {
				change(id, p.Name)
				after[id] = h.left()
			}
		case p.State == Broken:
		case p.How == Not:
			change(p.NewID, p.Name)
			n := holder("", p.User.Text[account.Username], strings.TrimSuffix(p.User.Text[account.Email], "@x.org"))
			n.ID = p.NewID
			n.Values = p.Values
			created = append(created, n.ID)
			after[p.NewID] = n
		case w.rules.Policy.NoUpdate:
			if h.Leaver() {
				delete(after, id) // comes back under the name it had, which is not what its entry claims
			}
		default:
			change(id, p.Name)
			h.UsernameKey, h.EmailKey = account.Fold(p.User.Text[account.Username]), account.Fold(p.User.Text[account.Email])
			h.Status, h.Cause, h.Values = account.Active, account.NoCause, p.Values
			after[id] = h
		}
	}
	for _, id := range created {
		for other, h := range after {
			if id == other || h.Leaver() {
				continue
			}
			for _, v := range limited(h.Values, Further(w.rules.Match)) {
				if slices.Contains(after[id].Values, v) {
					twice = append(twice, fmt.Sprintf("%s was created beside %s, which carries %s %s", id, other, v.Name, v.Key))
				}
			}
		}
	}
	holders := map[string][]string{}
	for _, h := range after {
		if !h.Leaver() {
			holders["username "+h.UsernameKey] = append(holders["username "+h.UsernameKey], h.ID.String())
			holders["email "+h.EmailKey] = append(holders["email "+h.EmailKey], h.ID.String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(holders)) {
		if len(holders[name]) > 1 {
			twice = append(twice, fmt.Sprintf("%s has the holders %s", name, strings.Join(holders[name], ", ")))
		}
	}
	return twice
}
