package ldap

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/simulator"
	"rollcall.dev/rollcall/internal/simulator/tree"
	"rollcall.dev/rollcall/internal/source"
)

// company is a made-up directory on a simulated server.
type company struct {
	*simulator.Server
	t      *testing.T
	suffix string
	ad     bool
	reader string // the account that reads, password "reads"
	people []string
	groups []string
	places []string
	random *rand.Rand
	count  int
}

func simulate(t *testing.T, o simulator.Options) *simulator.Server {
	t.Helper()
	s, err := simulator.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// found is a company of n people below ou=Staff and groups below ou=Teams.
func foundCompany(t *testing.T, p simulator.Personality, n int) *company {
	t.Helper()
	c := &company{Server: simulate(t, simulator.Options{Personality: p, Seed: 1}), t: t, suffix: "dc=example,dc=org", random: rand.New(rand.NewPCG(1, 2))}
	_, c.ad = p.(*simulator.ActiveDirectory)
	for _, ou := range []string{"Staff", "Teams", "Elsewhere"} {
		c.add("ou="+ou+","+c.suffix, "objectClass", "organizationalUnit")
	}
	c.reader = "cn=reader,ou=Elsewhere," + c.suffix
	c.add(c.reader, "objectClass", c.class(), "sn", "x", "userPassword", "reads")
	c.places = []string{"ou=Staff," + c.suffix}
	for i := range 3 {
		c.places = append(c.places, c.add(fmt.Sprintf("ou=Unit %d,ou=Staff,%s", i, c.suffix), "objectClass", "organizationalUnit"))
	}
	for range n {
		c.hire()
	}
	for range 5 {
		c.gather()
	}
	return c
}

func (c *company) class() string {
	if c.ad {
		return "user"
	}
	return "inetOrgPerson"
}

func (c *company) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *company) add(dn string, pairs ...string) string {
	c.t.Helper()
	_, err := c.Tree.Add(dn, pairs...)
	c.must(err)
	return dn
}

func (c *company) pick(list []string) string { return list[c.random.IntN(len(list))] }

func (c *company) hire() {
	c.count++
	name := fmt.Sprintf("p%d", c.count)
	c.people = append(c.people, c.add(fmt.Sprintf("cn=%s,%s", name, c.pick(c.places)), "objectClass", c.class(), "sn", "S", "mail", name+"@example.org", "title", "T"))
}

func (c *company) gather() {
	c.count++
	class := "groupOfNames"
	if c.ad {
		class = "group"
	}
	c.groups = append(c.groups, c.add(fmt.Sprintf("cn=g%d,ou=Teams,%s", c.count, c.suffix), "objectClass", class, "member", c.pick(c.people), "member", "cn=x,"+c.pick(c.people)))
}

// renamed keeps the lists right after an entry and all below it went to another DN.
func (c *company) renamed(from, to string) {
	for _, list := range [][]string{c.people, c.groups, c.places} {
		for i, dn := range list {
			if dn == from || strings.HasSuffix(dn, ","+from) {
				list[i] = strings.TrimSuffix(dn, from) + to
			}
		}
	}
}

func (c *company) move(dn, rdn, above string) {
	c.must(c.Tree.Rename(dn, rdn, true, &above))
	c.renamed(dn, rdn+","+above)
}

// edit does something to somebody.
func (c *company) edit() string {
	c.count++
	i := c.random.IntN(len(c.people))
	who := c.people[i]
	rdn, above, _ := strings.Cut(who, ",")
	switch c.random.IntN(13) {
	case 0:
		c.hire()
		return "hire"
	case 1, 2:
		c.must(c.Tree.Modify(who, tree.Replace("title", fmt.Sprint(c.count))))
		return "modify"
	case 3:
		c.must(c.Tree.Delete(who))
		c.people = slices.Delete(c.people, i, i+1)
		return "delete"
	case 4:
		c.move(who, fmt.Sprintf("cn=n%d", c.count), above)
		return "rename"
	case 5:
		c.move(who, rdn, c.pick(c.places))
		return "move"
	case 6:
		c.move(who, rdn, "ou=Elsewhere,"+c.suffix)
		return "move out"
	case 7:
		c.must(c.Tree.Modify(who, tree.Replace("mail"))) // out of the filter
		return "leave the filter"
	case 8:
		c.must(c.Tree.Modify(who, tree.Replace("mail", "back@example.org")))
		return "come into the filter"
	case 9:
		members := []string{c.pick(c.people), c.pick(c.groups), who}
		slices.Sort(members)
		c.must(c.Tree.Modify(c.pick(c.groups), tree.Replace("member", slices.Compact(members)...)))
		return "members"
	case 10:
		c.gather()
		return "gather"
	case 11:
		place := c.places[1+c.random.IntN(len(c.places)-1)]
		_, above, _ := strings.Cut(place, ",")
		if c.random.IntN(2) == 0 {
			above = []string{"ou=Staff,", "ou=Elsewhere,"}[c.random.IntN(2)] + c.suffix
		}
		c.move(place, fmt.Sprintf("ou=u%d", c.count), above)
		return "reorganize"
	default:
		g := c.random.IntN(len(c.groups))
		if len(c.groups) > 3 {
			c.must(c.Tree.Delete(c.groups[g]))
			c.groups = slices.Delete(c.groups, g, g+1)
		}
		return "disband"
	}
}

func (c *company) settings(more setting.Values) setting.Values {
	v := setting.Values{"addr": []string{c.URL}, "bind_dn": c.reader, "bind_password": "reads", "base_dn": "ou=Staff," + c.suffix,
		"groups.base_dn": "ou=Teams," + c.suffix, "sync.filter": "(&(objectClass=" + c.class() + ")(mail=*))", "sync.page_size": 20}
	for k, x := range more {
		v[k] = x
	}
	return v
}

// mishap is a fault somewhere in what the server says.
func (c *company) mishap() simulator.Hook {
	request, at := int64(1+c.random.IntN(12)), c.random.IntN(30)
	deeds := []simulator.Deed{simulator.CutBefore, simulator.CutAfter, simulator.Garbage, simulator.OverLong, simulator.Goodbye}
	deed := deeds[c.random.IntN(len(deeds))]
	if c.random.IntN(3) == 0 {
		at = simulator.Last
	}
	var first atomic.Int64
	return func(call *simulator.Call) *simulator.Twist {
		first.CompareAndSwap(0, call.Number)
		if call.Number != first.Load()+request {
			return nil
		}
		return &simulator.Twist{Deed: deed, At: at}
	}
}

func TestWhateverHappensThePictureIsRightInTheEnd(t *testing.T) {
	for _, c := range []struct {
		name        string
		method      string
		personality simulator.Personality
	}{
		{"Active Directory by DirSync", methodDirSync, &simulator.ActiveDirectory{Suffix: "dc=example,dc=org", DirSyncRound: 7, Traces: true, DeletedReaders: []string{"cn=reader,ou=Elsewhere,dc=example,dc=org"}}},
		{"Active Directory by DirSync, without deleted objects", methodDirSync, &simulator.ActiveDirectory{Suffix: "dc=example,dc=org", DirSyncValues: 2}},
		{"Active Directory by USN", methodUSN, &simulator.ActiveDirectory{Suffix: "dc=example,dc=org", MaxPageSize: 10, RecycleBin: true, DeletedReaders: []string{"cn=reader,ou=Elsewhere,dc=example,dc=org"}}},
		{"Active Directory by USN, without deleted objects", methodUSN, &simulator.ActiveDirectory{Suffix: "dc=example,dc=org"}},
		{"OpenLDAP", methodSync, &simulator.OpenLDAP{Suffix: "dc=example,dc=org", SizeLimit: -1, SessionLog: 5}},
		{"389 Directory Server", methodSync, &simulator.DS389{Suffix: "dc=example,dc=org", SizeLimit: -1}},
		{"OpenLDAP by time", methodStamp, &simulator.OpenLDAP{Suffix: "dc=example,dc=org", SizeLimit: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			company := foundCompany(t, c.personality, 60)
			f := follow(t, company.settings(setting.Values{"sync.method": c.method}), "cn", "mail", "title", "sn")
			if got := f.read(); !got.Full || !got.Complete || got.Next == nil {
				t.Fatal(show(got))
			}
			deltas, faults, forgotten := 0, 0, 0
			var history []string
			// A mishap that is to come at a later request than there are is none.
			round := 0
			for ; round < 100 || faults < 5 && round < 1000; round++ {
				for range company.random.IntN(4) {
					history = append(history, company.edit())
				}
				if company.random.IntN(15) == 0 {
					company.Forget()
					forgotten++
				}
				if company.random.IntN(2) == 0 {
					company.SetHook(company.mishap())
					before := len(f.picture)
					got, err := f.try()
					company.SetHook(nil)
					if err != nil {
						faults++
					}
					if err != nil && len(f.picture) != before {
						t.Fatal("a reading that failed counted")
					}
					if err == nil && got.Complete {
						f.compare()
					}
				}
				f.now = f.now.Add(time.Hour)
				if got := f.read(); !got.Full {
					deltas++
				}
				if f.compare(); t.Failed() {
					t.Fatalf("in round %d, after %q", round, history[max(0, len(history)-6):])
				}
			}
			if deltas < round*8/10 || faults < 5 {
				t.Errorf("%d rounds: %d readings of changes, %d faults, %d times the server forgot", round, deltas, faults, forgotten)
			}
		})
	}
}

func TestAnotherDomainControllerLeadsToAFullReading(t *testing.T) {
	first := &simulator.ActiveDirectory{Suffix: "dc=example,dc=org"}
	c := foundCompany(t, first, 20)
	second := simulate(t, simulator.Options{Personality: first.Another("dc2", 50000), Tree: c.Tree})
	for _, x := range []struct {
		method string
		full   bool
	}{{methodUSN, true}, {methodDirSync, false}} {
		t.Run(x.method, func(t *testing.T) {
			f := follow(t, c.settings(setting.Values{"sync.method": x.method}), "cn", "mail", "title")
			f.read()
			c.edit()
			f.v["addr"] = []string{second.URL}
			got := f.read()
			if got.Full != x.full {
				t.Error(show(got))
			}
			f.compare()
		})
	}
}

func TestARestoredDomainControllerLeadsToAFullReading(t *testing.T) {
	c := foundCompany(t, &simulator.ActiveDirectory{Suffix: "dc=example,dc=org"}, 20)
	for name, change := range map[string]func(b *bookmark){
		"an earlier state":                   func(b *bookmark) { b.USN += 100_000 },
		"the same state in another database": func(b *bookmark) { b.Server = "0011" },
	} {
		for _, method := range []string{methodUSN, methodDirSync} {
			t.Run(name+" "+method, func(t *testing.T) {
				f := follow(t, c.settings(setting.Values{"sync.method": method}), "cn", "mail", "title")
				f.read()
				f.cursor = edited(t, f.cursor, change)
				if got := f.read(); !got.Full || !strings.Contains(fmt.Sprint(got.Notes), "it was restored") {
					t.Error(show(got))
				}
				f.compare()
			})
		}
	}
}

func TestWhereContentSyncIsLimitedTheTimeOfAChangeIsTaken(t *testing.T) {
	c := foundCompany(t, &simulator.DS389{Suffix: "dc=example,dc=org", SizeLimit: 40}, 60)
	f := follow(t, c.settings(nil), "cn", "mail", "title")
	got := f.read()
	if !got.Full || !got.Complete || !strings.Contains(fmt.Sprint(got.Notes), "Changes cannot be read by syncrepl: the server refuses (size limit exceeded") {
		t.Fatal(show(got))
	}
	c.edit()
	f.follows(methodStamp)
}

// acme is a Domino directory with a deny list that has another group in it.
func acme(t *testing.T, d *simulator.Domino) *simulator.Server {
	t.Helper()
	s := simulate(t, simulator.Options{Personality: d})
	add := func(dn string, pairs ...string) {
		if _, err := s.Tree.Add(dn, pairs...); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"Anna", "Bo", "Cy", "Di"} {
		add("CN="+name+" Ames,OU=INT,O=Acme", "objectClass", "dominoPerson", "uid", strings.ToLower(name), "mail", name+"@acme.example", "sn", "Ames", "givenName", name)
	}
	add("CN=Staff", "objectClass", "dominoGroup", "member", "CN=Anna Ames,OU=INT,O=Acme", "member", "CN=Bo Ames,OU=INT,O=Acme")
	add("CN=Deny Access", "objectClass", "dominoGroup", "member", "CN=Cy Ames,OU=INT,O=Acme", "member", "CN=Leavers")
	add("CN=Leavers", "objectClass", "dominoGroup", "member", "CN=Bo Ames,OU=INT,O=Acme", "member", "CN=Deny Access")
	return s
}

func TestDominoIsReadWithItsDenyGroups(t *testing.T) {
	s := acme(t, &simulator.Domino{})
	v := func(more setting.Values) setting.Values {
		v := setting.Values{"addr": []string{s.URL}, "bind_dn": "CN=admin,O=Acme", "bind_password": "secret"}
		for k, x := range more {
			v[k] = x
		}
		return v
	}
	for _, c := range []struct {
		name   string
		more   setting.Values
		denied string
		groups int
		notes  int
	}{
		{"without deny groups", nil, "", 0, 0},
		{"a deny group by name, with a group in it", setting.Values{"sync.deny_groups": []string{"deny access"}, "groups.base_dn": ""}, "bo cy", 3, 0},
		{"a deny group by DN", setting.Values{"sync.deny_groups": []string{"cn=Leavers"}, "base_dn": "O=Acme"}, "bo cy", 0, 0},
		{"a deny group that is not read otherwise, and whose groups are", setting.Values{"sync.deny_groups": []string{"Staff"}, "groups.base_dn": "", "groups.include": "^Leavers$"}, "anna bo", 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := follow(t, v(c.more), "uid", "mail", "denied")
			got := f.read()
			if !got.Complete || got.Users != 4 || got.Groups != c.groups || got.Next != nil || len(got.Notes) != c.notes {
				t.Error(show(got))
			}
			var denied []string
			for _, r := range f.picture {
				if r.Kind == directory.User && r.First("denied") == "TRUE" {
					denied = append(denied, r.First("uid"))
				}
			}
			slices.Sort(denied)
			if strings.Join(denied, " ") != c.denied {
				t.Errorf("denied are %q, want %q", denied, c.denied)
			}
		})
	}
	_, err := read(t.Context(), mustOpen(t, v(setting.Values{"sync.deny_groups": []string{"Nobody"}})), "uid")
	if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), `there is no group "Nobody"`) {
		t.Errorf("a deny group that is not there: %v", err)
	}
	v2 := v(setting.Values{"sync.deny_groups": []string{"Deny Access"}})
	if step := find(t, check(t, v2), "deny groups"); step.Verdict != source.OK || !strings.HasPrefix(step.Detail, "4 entries") {
		t.Errorf("%+v", step)
	}
	v2["sync.deny_groups"] = []string{"Nobody"}
	if step := find(t, check(t, v2), "deny groups"); step.Verdict != source.Fail || !strings.Contains(step.Hint, "locked out") {
		t.Errorf("%+v", step)
	}
	p, err := mustOpen(t, v(nil)).Preset(t.Context())
	if err != nil || p.Mapping["status"].Expr == "" || p.Anchor != "dominoUNID" {
		t.Errorf("%+v, %v", p, err)
	}
	if step := find(t, check(t, v(nil)), "changes"); !strings.Contains(step.Detail, "Domino cannot tell") {
		t.Errorf("%+v", step)
	}
}

func TestDominoThatStopsEarlyIsIncomplete(t *testing.T) {
	s := acme(t, &simulator.Domino{SizeLimit: 2})
	v := setting.Values{"addr": []string{s.URL}, "bind_dn": "CN=admin,O=Acme", "bind_password": "secret"}
	if got := mustRead(t, mustOpen(t, v), "uid"); got.Complete || got.Users != 2 {
		t.Error(show(got.Reading))
	}
	v["sync.deny_groups"] = []string{"Staff"}
	if _, err := read(t.Context(), mustOpen(t, v), "uid"); fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "deny groups") {
		t.Errorf("deny groups that cannot be read: %v", err)
	}
}

func TestWhoIsDeniedIsReadAnew(t *testing.T) {
	c := foundCompany(t, &simulator.OpenLDAP{Suffix: "dc=example,dc=org", SizeLimit: -1}, 20)
	f := follow(t, c.settings(setting.Values{"sync.deny_groups": []string{c.groups[0]}}), "cn", "denied")
	f.read()
	c.must(c.Tree.Modify(c.people[0], tree.Replace("title", "x")))
	f.follows(methodSync)
	c.must(c.Tree.Modify(c.groups[0], tree.Replace("member", c.people[5])))
	if got := f.read(); !got.Full || !strings.Contains(fmt.Sprint(got.Notes), "deny groups are others") {
		t.Error(show(got))
	}
	f.compare()
}
