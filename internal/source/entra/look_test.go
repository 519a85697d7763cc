package entra

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/sourcetest"
	"rollcall.dev/rollcall/internal/store/storetest"
)

func TestSomebodyIsLookedForByWhatAnAdministratorTypes(t *testing.T) {
	const boss, ann, guest = "aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002", "aaaaaaaa-0000-4000-8000-000000000003"
	for _, c := range []struct {
		who  string
		want string // what Look hands on
		find string // the clauses of Find: name, and whether it holds
	}{
		{"ann@contoso.example", ann, "ann@contoso.example guests=true"},
		{ann, ann, "ann@contoso.example guests=true"},
		{"Ann O'Neill", ann, "ann@contoso.example guests=true"},
		{"ann.mail@contoso.example", ann, "ann@contoso.example guests=true"},
		{"gus_example.org#EXT#@contoso.example", "", "gus_example.org#EXT#@contoso.example guests=false"},
		{"nobody@contoso.example", "", ""},
		{"' or id ne 'x", "", ""},
		{"bbbbbbbb-0000-4000-8000-000000000009", "", ""},
	} {
		t.Run(c.who, func(t *testing.T) {
			w := newWorld(t, nil)
			w.Put(sourcetest.Person{ID: boss, Login: "boss@contoso.example", First: "B", Last: "Oss"})
			w.PutUser(ann, map[string]any{"userPrincipalName": "ann@contoso.example", "displayName": "Ann O'Neill", "mail": "ann.mail@contoso.example", "accountEnabled": true, "userType": "Member"})
			w.SetManager(ann, boss)
			w.PutUser(guest, map[string]any{"userPrincipalName": "gus_example.org#EXT#@contoso.example", "accountEnabled": true, "userType": "Guest"})
			var got []string
			if err := w.open().Look(t.Context(), c.who, []string{"displayName", "manager"}, func(r *directory.Record) error {
				if got = append(got, string(r.ID)); r.First("manager") != boss || r.First("displayName") == "" {
					t.Errorf("%+v", r)
				}
				return nil
			}); err != nil || strings.Join(got, " ") != c.want {
				t.Errorf("look: %v, %v, want %s", got, err, c.want)
			}
			found, err := w.open().Find(t.Context(), c.who)
			var text []string
			for _, f := range found {
				for _, clause := range f.Clauses {
					text = append(text, fmt.Sprintf("%s %s=%v", f.Name, clause.Name, clause.Holds))
				}
			}
			if err != nil || strings.Join(text, "\n") != c.find {
				t.Errorf("find: %q, %v, want %q", text, err, c.find)
			}
		})
	}
	// Where it may not be asked, that is said and not "nobody".
	w := newWorld(t, nil)
	w.Roles = []string{"GroupMember.Read.All"}
	if _, err := w.open().Find(t.Context(), ann); fault.KindOf(err) != fault.Denied || !strings.Contains(fault.HintOf(err), "User.Read.All") {
		t.Errorf("%v (%s)", err, fault.HintOf(err))
	}
	w = newWorld(t, setting.Values{"groups.include": nil, "people": "groups"})
	w.Put(sourcetest.Person{ID: ann, Login: "ann@contoso.example"})
	found, err := w.open().Find(t.Context(), ann)
	if err != nil || len(found) != 1 || !slices.ContainsFunc(found[0].Clauses, func(c source.Clause) bool { return c.Name == "groups" && !c.Holds }) {
		t.Errorf("with nobody selected: %+v, %v", found, err)
	}
}

// company is the real engine with a connection to the tenant.
type company struct {
	*world
	store *storetest.World
}

func newCompany(t *testing.T, people string) *company {
	t.Helper()
	c := &company{world: newWorld(t, setting.Values{"groups.include": "^App-", "people": people})}
	c.store = storetest.Open(t, databases.SQLite(t))
	kind := kindOf(c.clock)
	c.store.Engine.Kinds = func(name string) (source.Kind, bool) { return kind, name == kind.Name }
	c.store.Engine.Now, c.store.Engine.Env.Guard = c.clock.Now, sourcetest.Loopback
	c.store.Connect("hq", func(conn *setting.Connection) {
		conn.Kind, conn.Backend = kind.Name, setting.Values{}
		for name, v := range c.set {
			conn.Backend[name] = v
		}
		conn.Limits = setting.Limits{Removals: 1, MembershipRemovals: 1, GroupRemovals: 1, IdentityChanges: 1}
		if err := setting.Defaults(kind.Options, conn.Backend); err != nil {
			t.Fatal(err)
		}
	})
	return c
}

// active synchronizes once more and gives who has an account that is not disabled.
func (c *company) active(full bool) string {
	c.Helper()
	c.clock.Pass(time.Hour)
	c.store.Clock = c.clock.Now()
	r, err := c.store.Engine.Sync(c.Context(), *c.store.Conn("hq"), engine.Options{Actor: "tester", Trigger: "manual"})
	if err != nil {
		c.Fatal(err)
	}
	if r.Run.State != engine.RunApplied || r.Run.Reading.Full != full {
		c.Fatalf("%s, %+v", r.Run.State, r.Run.Reading)
	}
	var out []string
	for _, a := range c.store.Accounts() {
		if a.Status == account.Active {
			name, _, _ := strings.Cut(a.Text[account.Username], "@")
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestPeopleOfSelectedGroupsComeAndLeaveWithTheirMembership(t *testing.T) {
	for _, people := range []string{"groups", "all"} {
		t.Run(people, func(t *testing.T) {
			c := newCompany(t, people)
			for n := range 6 {
				c.person(n, "")
			}
			c.group("g1", "App-One", "p0", "p1", "g2")
			c.group("g2", "Nested", "p2")
			c.group("g3", "Other", "p3")
			step := func(what, groups string, full bool) {
				t.Helper()
				want := groups
				if people == "all" {
					want = "p0 p1 p2 p3 p4 p5"
				}
				if got := c.active(full); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
			step("at first", "p0 p1 p2", true)
			step("nothing happened, and a delta names nobody", "p0 p1 p2", false)
			c.group("g1", "App-One", "p0", "p3", "g2")
			step("one left the group, one joined", "p0 p2 p3", false)
			c.group("g2", "Nested", "p4")
			step("in a group within", "p0 p3 p4", false)
			c.group("g1", "App-One", "p0", "p3")
			step("the group within went out", "p0 p3", false)
			c.group("g3", "App-Three", "p5")
			step("a group is called otherwise, and selected", "p0 p3 p5", false)
			c.ForgetStates()
			step("the state was lost", "p0 p3 p5", true)
		})
	}
}
