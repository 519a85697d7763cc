package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
)

// walk is a directory that changes at random, and knows what has to come of it.
type walk struct {
	*rand.Rand
	people map[string]*walker
	groups map[string]*crowd
	mails  int // no two people have one address, so there is no dispute
}

type walker struct {
	ref, mail, title, manager string
	off, out                  bool
}

type crowd struct {
	name    string
	inner   bool            // it is not selected
	members map[string]bool // keys of people, and of groups behind an @
}

func (w *walk) pick(prefix string, n int) string { return fmt.Sprintf("%s%02d", prefix, w.IntN(n)) }

// step changes one thing.
func (w *walk) step() {
	key := w.pick("p", 14)
	p := w.people[key]
	switch n := w.IntN(20); {
	case p == nil && n < 12:
		w.mails++
		w.people[key] = &walker{ref: "uid=" + key + ",ou=people", mail: fmt.Sprintf("%s.%d@example.org", key, w.mails)}
	case p != nil && n < 2:
		delete(w.people, key)
	case p != nil && n < 4:
		p.off = !p.off
	case p != nil && n < 6:
		p.out = !p.out
	case p != nil && n < 8:
		p.title = w.pick("t", 5)
	case p != nil && n < 12:
		p.manager = w.pick("p", 14)
	case p != nil && n < 13:
		p.ref = "uid=" + key + ",ou=" + w.pick("unit", 3)
	case p != nil && n < 14: // two swap their addresses
		if q := w.people[w.pick("p", 14)]; q != nil {
			p.mail, q.mail = q.mail, p.mail
		}
	default:
		w.regroup(w.pick("g", 6))
	}
}

func (w *walk) regroup(key string) {
	g := w.groups[key]
	switch n := w.IntN(12); {
	case g == nil:
		w.groups[key] = &crowd{name: key, members: map[string]bool{}}
	case n < 2:
		delete(w.groups, key)
	case n < 3:
		g.name = w.pick("name", 9)
	case n < 4:
		g.inner = !g.inner
	default:
		m := w.pick("p", 14)
		if n < 6 {
			m = "@" + w.pick("g", 6)
		}
		if g.members[m] = !g.members[m]; !g.members[m] {
			delete(g.members, m)
		}
	}
}

// ref is what the others call an entry, whether or not it is there.
func (w *walk) ref(key string) string {
	if p := w.people[key]; p != nil {
		return p.ref
	}
	return "uid=" + key + ",ou=people"
}

func (w *walk) records() []rec {
	var out []rec
	for key, p := range w.people {
		set := []string{"ref=" + p.ref, "mail=" + p.mail}
		if p.title != "" {
			set = append(set, "title="+p.title)
		}
		if p.manager != "" {
			set = append(set, "manager="+w.ref(p.manager))
		}
		if p.off {
			set = append(set, "userAccountControl=514")
		}
		if p.out {
			set = append(set, "department=Out")
		}
		out = append(out, Person(key, set...))
	}
	for key, g := range w.groups {
		members := []string{"cn=" + g.name}
		for m := range g.members {
			if !strings.HasPrefix(m, "@") {
				m = w.ref(m)
			}
			members = append(members, m)
		}
		group := Group
		if g.inner {
			group = Inner
		}
		out = append(out, group(key, members...))
	}
	w.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func (w *walk) in(key string) bool { return w.people[key] != nil && !w.people[key].out }

// members of a group and of those nested in it.
func (w *walk) members(key string, seen map[string]bool) map[string]bool {
	out := map[string]bool{}
	if w.groups[key] == nil || seen[key] {
		return out
	}
	seen[key] = true
	for m := range w.groups[key].members {
		if nested, ok := strings.CutPrefix(m, "@"); ok {
			maps.Copy(out, w.members(nested, seen))
		} else if w.in(m) {
			out[m] = true
		}
	}
	return out
}

// wanted is what people see of everybody who is in, a line each.
func (w *walk) wanted() []string {
	in := map[string][]string{}
	for key, g := range w.groups {
		if g.inner {
			continue
		}
		for m := range w.members(key, map[string]bool{}) {
			in[m] = append(in[m], g.name)
		}
	}
	var out []string
	for key, p := range w.people {
		if p.out {
			continue
		}
		status, manager := account.Active, ""
		if p.off {
			status = account.Disabled
		}
		// Somebody who is out of scope keeps being a manager: the entry is there.
		if m := p.manager; m != key && w.people[m] != nil {
			manager = m
		}
		slices.Sort(in[key])
		out = append(out, fmt.Sprintf("%s %s employee %s title=%s manager=%s groups=%s", key, status, p.mail, p.title, manager, strings.Join(in[key], ",")))
	}
	slices.Sort(out)
	return out
}

// present is the same of the world's accounts. A manager without an account yet
// (who never was in scope) is none.
func (w *World) present(walk *walk) []string {
	names := w.names()
	var out []string
	for _, a := range w.Accounts() {
		key := a.Text[account.Username]
		if !walk.in(key) {
			if a.Status == account.Active {
				out = append(out, key+" is active and should not be")
			}
			continue
		}
		var groups []string
		for _, g := range a.Groups {
			groups = append(groups, names[g])
		}
		slices.Sort(groups)
		out = append(out, fmt.Sprintf("%s %s %s %s title=%s manager=%s groups=%s", key, a.Status, a.Text[account.Role], a.Text[account.Email],
			a.Text[account.Title], names[a.Manager], strings.Join(groups, ",")))
	}
	slices.Sort(out)
	return out
}

// known leaves out of wanted lines managers that have no account.
func (w *World) known(lines []string) []string {
	for i, l := range lines {
		_, rest, _ := strings.Cut(l, " manager=")
		m, _, _ := strings.Cut(rest, " ")
		if m != "" && w.Account(m) == nil {
			lines[i] = strings.Replace(l, " manager="+m, " manager=", 1)
		}
	}
	return lines
}

// Whatever happens to a directory, in whatever order: accounts are what it says,
// planning only what moved finds what planning everything finds, applied once
// nothing is left, and the events tell all of it.
func TestWhateverADirectoryGoesThroughAccountsAreWhatItSays(t *testing.T) {
	t.Parallel()
	for database, seed := range map[string]uint64{"SQLite": 19, "PostgreSQL": 22} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			w := Open(t, dsns[database](t))
			d := &walk{Rand: rand.New(rand.NewPCG(seed, 7)), people: map[string]*walker{}, groups: map[string]*crowd{}}
			w.Connect("hq", func(c *setting.Connection) {
				c.Scope = []string{`department != "Out"`}
				c.Limits = setting.Limits{Removals: 1, GroupRemovals: 1, MembershipRemovals: 1, IdentityChanges: 1}
				c.Policy.DeleteDisables = seed%2 == 0
			})
			for range 10 {
				d.step()
			}
			for round := range 20 {
				for range 1 + d.IntN(6) {
					d.step()
				}
				w.Holds("hq", d.records()...)
				w.oneRound(d)
				want := w.known(d.wanted())
				if got := w.present(d); !slices.Equal(got, want) {
					t.Fatalf("round %d: got\n%s\nwant\n%s", round, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				w.Settled("hq")
				if t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
			w.Examine()
			w.Replay()
		})
	}
}

// oneRound applies what the directory holds, now and then by a detour.
func (w *World) oneRound(d *walk) {
	w.T.Helper()
	detour := d.IntN(8)
	switch detour {
	case 0: // first an incomplete reading
		w.Dirs.Of("hq").Missing = "cut short"
		w.Applied("hq")
		w.Dirs.Of("hq").Missing = ""
	case 1: // first without some rows
		if p := w.Plan("hq"); p.Verdict == plan.Go {
			var exclude []int64
			for seq := range int64(p.Summary.Changes()) {
				if d.IntN(3) == 0 {
					exclude = append(exclude, seq+1)
				}
			}
			// Some rows cannot be left out alone: another takes the name they free.
			if err := w.approveErr("hq", p, exclude...); err != nil && !strings.Contains(err.Error(), "frees") {
				w.T.Fatal(err)
			}
		}
	case 2: // switches that are turned off again
		c := w.Conn("hq")
		kept := c.Policy
		c.Policy.NoCreate, c.Policy.NoUpdate, c.Policy.NoDelete = d.IntN(2) == 0, d.IntN(2) == 0, d.IntN(2) == 0
		w.Applied("hq")
		c.Policy = kept
	}
	r := w.Sync("hq")
	if r.Plan.Verdict == plan.Held { // an empty reading
		r = w.Approve("hq", r.Plan)
	}
	if d.IntN(10) == 0 && r.Run.Summary.Changes() > 0 { // undone, and done again
		w.Revert("hq", r.Run)
		if r = w.Sync("hq"); r.Plan.Verdict == plan.Held {
			w.Approve("hq", r.Plan)
		}
	}
	if p := w.Plan("hq"); p.Verdict == plan.Held { // removals that were left out wait for a person
		w.Approve("hq", p)
	}
}
