package simulated

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/simulator/tree"
)

const (
	suffix   = "dc=example,dc=org"
	peopleOU = "ou=People," + suffix
	groupsOU = "ou=Groups," + suffix
	awayOU   = "ou=Away," + suffix
	reader   = "cn=reader," + awayOU
)

// office is a small directory in which things happen at random. It knows of
// everybody whether they are in it, as the settings have it read.
type office struct {
	*rand.Rand
	t      testing.TB
	s      *simulator.Server
	now    time.Time
	class  string // of people
	crowd  string // the class of groups
	locked [2]string
	// settled keeps whoever was moved away from coming back. Groups and reports that
	// were read meanwhile name them by their place elsewhere, and when they come back
	// nothing but reading those again tells that it is the same entry.
	settled bool
	people  map[string][16]byte // by username, also of those who left
	groups  [][16]byte
	units   [][16]byte
	count   int
	told    []string // what happened
}

// open fills a new directory.
func newOffice(t testing.TB, seed uint64, o simulator.Options) *office {
	t.Helper()
	f := &office{Rand: rand.New(rand.NewPCG(seed, 0x0f)), t: t, now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), people: map[string][16]byte{}}
	o.Now, o.Seed = func() time.Time { return f.now }, seed
	f.s = start(t, o)
	f.class, f.crowd = "inetOrgPerson", "groupOfNames"
	switch o.Personality.(type) {
	case *simulator.ActiveDirectory:
		f.class, f.crowd, f.locked = "user", "group", [2]string{"userAccountControl", "514"}
	case *simulator.DS389:
		f.locked = [2]string{"nsAccountLock", "TRUE"}
	default:
		f.locked = [2]string{"pwdAccountLockedTime", "000001010000Z"}
	}
	for _, ou := range []string{peopleOU, groupsOU, awayOU} {
		if f.s.Tree.Find(ou) == nil {
			f.add(ou, "objectClass", "organizationalUnit")
		}
	}
	f.add(reader, "objectClass", f.class, "sn", "Reader", "userPassword", "reads")
	for range 25 {
		f.hire()
	}
	for range 4 {
		f.gather()
	}
	return f
}

func (f *office) add(dn string, pairs ...string) [16]byte {
	f.t.Helper()
	e, err := f.s.Tree.Add(dn, pairs...)
	must(f.t, err)
	return e.UUID
}

// at gives the entry of an ID, nil of one that was deleted.
func (f *office) at(id [16]byte) *tree.Entry {
	if e := f.s.Tree.ByUUID(id); e != nil && !e.Buried {
		return e
	}
	return nil
}

// in reports whether somebody is read.
func (f *office) in(name string) bool {
	e := f.at(f.people[name])
	return e != nil && tree.Below(e.Key, strings.ToLower(peopleOU)) && e.First("title") != "Out"
}

// active reports whether somebody is read and not locked out.
func (f *office) active(name string) bool {
	return f.in(name) && !f.at(f.people[name]).Has(f.locked[0], f.locked[1])
}

// groupsOf are the names of the groups somebody is in, also through others.
func (f *office) groupsOf(name string) []string {
	var out []string
	seen := map[string]bool{}
	for todo := []string{f.at(f.people[name]).Key}; len(todo) > 0; todo = todo[1:] {
		for _, dn := range f.s.Tree.Referring(todo[0], "member") {
			if g := f.s.Tree.Find(dn); !seen[g.Key] && tree.Below(g.Key, strings.ToLower(groupsOU)) {
				seen[g.Key] = true
				out = append(out, g.First("cn"))
				todo = append(todo, g.Key)
			}
		}
	}
	return out
}

// anybody gives somebody who is in the directory, wherever.
func (f *office) anybody() (string, *tree.Entry) {
	var names []string
	for name, id := range f.people {
		if f.at(id) != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	name := names[f.IntN(len(names))]
	return name, f.at(f.people[name])
}

func (f *office) group() *tree.Entry { return f.at(f.groups[f.IntN(len(f.groups))]) }

// place is where people may be.
func (f *office) place() string {
	f.units = slices.DeleteFunc(f.units, func(id [16]byte) bool { return f.settled && tree.Below(f.at(id).Key, strings.ToLower(awayOU)) })
	for len(f.units) < 3 {
		f.count++
		f.units = append(f.units, f.add(fmt.Sprintf("ou=Unit %d,%s", f.count, peopleOU), "objectClass", "organizationalUnit"))
	}
	if i := f.IntN(len(f.units) + 1); i < len(f.units) {
		return f.at(f.units[i]).DN
	}
	return peopleOU
}

func (f *office) hire() {
	f.count++
	name := fmt.Sprintf("p%03d", f.count)
	pairs := []string{"objectClass", f.class, "mail", name + "@example.org", "givenName", strings.ToUpper(name), "sn", "Person"}
	if f.class == "user" {
		pairs = append(pairs, "sAMAccountName", name)
	} else {
		pairs = append(pairs, "uid", name)
	}
	f.people[name] = f.add("cn="+name+","+f.place(), pairs...)
	f.tell("%s comes", name)
}

func (f *office) gather() {
	f.count++
	_, member := f.anybody()
	f.groups = append(f.groups, f.add(fmt.Sprintf("cn=g%03d,%s", f.count, groupsOU), "objectClass", f.crowd, "member", member.DN))
	f.tell("group g%03d of %s", f.count, member.DN)
}

func (f *office) tell(format string, args ...any) {
	f.told = append(f.told, fmt.Sprintf(format, args...))
}

// edit does one thing. What is not steady adds people or deletes them.
func (f *office) edit(steady bool) {
	f.t.Helper()
	name, e := f.anybody()
	f.count++
	if !steady {
		switch n := f.IntN(16); {
		case n < 2:
			f.hire()
			return
		case n == 2 && len(f.people) > 12:
			f.tell("%s is deleted", name)
			must(f.t, f.s.Tree.Delete(e.DN))
			return
		case n == 3:
			f.gather()
			return
		case n == 4 && len(f.groups) > 2:
			i := f.IntN(len(f.groups))
			f.tell("%s is deleted", f.at(f.groups[i]).DN)
			must(f.t, f.s.Tree.Delete(f.at(f.groups[i]).DN))
			f.groups = slices.Delete(f.groups, i, i+1)
			return
		}
	}
	f.steady(name, e)
}

func (f *office) steady(name string, e *tree.Entry) {
	f.t.Helper()
	rdn, _ := tree.SplitDN(e.DN)
	away := func(e *tree.Entry) bool { return tree.Below(e.Key, strings.ToLower(awayOU)) }
	change := func(mods ...tree.Mod) {
		f.tell("%s: %v", name, mods)
		must(f.t, f.s.Tree.Modify(e.DN, mods...))
	}
	move := func(e *tree.Entry, rdn, above string) {
		f.tell("%s becomes %s,%s", e.DN, rdn, above)
		must(f.t, f.s.Tree.Rename(e.DN, rdn, true, &above))
	}
	switch f.IntN(12) {
	case 0:
		change(tree.Replace("mail", fmt.Sprintf("%s.%d@example.org", name, f.count)))
	case 1:
		change(tree.Replace("title", fmt.Sprintf("T%d", f.count)))
	case 2:
		change(tree.Replace("title", "Out"))
	case 3:
		if e.Has(f.locked[0], f.locked[1]) {
			change(map[bool]tree.Mod{true: tree.Replace(f.locked[0], "512"), false: tree.Minus(f.locked[0])}[f.class == "user"])
		} else {
			change(tree.Replace(f.locked[0], f.locked[1]))
		}
	case 4:
		_, boss := f.anybody()
		change(tree.Replace("manager", boss.DN))
	case 5:
		_, above := tree.SplitDN(e.DN)
		move(e, fmt.Sprintf("cn=n%03d", f.count), above)
	case 6:
		if !away(e) {
			move(e, rdn, f.place())
		} else if !f.settled {
			move(e, rdn, peopleOU)
		}
	case 7:
		move(e, rdn, awayOU)
	case 8:
		unit := f.at(f.units[f.IntN(len(f.units))])
		if f.settled && away(unit) {
			return
		}
		move(unit, fmt.Sprintf("ou=Unit %d", f.count), []string{peopleOU, peopleOU, awayOU}[f.IntN(3)])
	case 9:
		f.join(f.group(), e)
	case 10:
		if g, other := f.group(), f.group(); g.UUID != other.UUID {
			f.join(g, other)
		}
	case 11:
		_, above := tree.SplitDN(f.group().DN)
		move(f.group(), fmt.Sprintf("cn=g%03d", f.count), above)
	}
}

// join takes a member into a group, or out of it.
func (f *office) join(g, member *tree.Entry) {
	f.t.Helper()
	mod := tree.Plus("member", member.DN)
	if g.Has("member", member.DN) {
		mod = tree.Minus("member", member.DN)
	}
	f.tell("%s: %v", g.DN, mod)
	must(f.t, f.s.Tree.Modify(g.DN, mod))
}

// settings read the directory at an address.
func (f *office) settings(addr string, more setting.Values) setting.Values {
	v := setting.Values{"addr": []string{addr}, "bind_dn": reader, "bind_password": "reads", "base_dn": peopleOU, "groups.base_dn": groupsOU,
		"sync.filter": "(&(objectClass=" + f.class + ")(!(title=Out)))", "sync.page_size": 10}
	for k, x := range more {
		v[k] = x
	}
	return v
}
