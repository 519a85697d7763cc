package storetest

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/ledger"
)

// matching makes a connection find accounts by attributes, of other providers too.
func matching(names ...string) func(*setting.Connection) {
	return func(c *setting.Connection) {
		c.Match = names
		c.Policy.NoUpdateProviderMismatch = false
	}
}

// localWith makes an account no connection keeps, with a badge and a mobile phone.
func (w *World) localWith(organization, username, badge, mobile string) account.ID {
	w.T.Helper()
	a := account.Account{Text: account.Text{account.Username: username, account.Email: username + "@local.example", account.FirstName: "Local", account.LastName: "Example",
		account.MobilePhone: mobile}}
	if badge != "" {
		a.Attributes = `{"badge":"` + badge + `"}`
	}
	w.must(w.Store.LedgerTable.CreateLocal(w.T.Context(), organization, "tester", []ledger.Local{{Account: a}}))
	return w.Account(username).ID
}

// values gives what is kept for matching, as "name=value username", sorted.
func (w *World) values() []string {
	w.T.Helper()
	names := map[account.ID]string{}
	for _, a := range w.Accounts() {
		names[a.ID] = a.Text[account.Username]
	}
	var out []string
	w.must(db.Each(w.T.Context(), w.Store.DB.Reader(), `SELECT name, value_key, account FROM account_values`, nil, func(rows *sql.Rows) error {
		var name, key string
		var id account.ID
		err := rows.Scan(&name, &key, &id)
		out = append(out, fmt.Sprintf("%s=%s %s", name, key, names[id]))
		return err
	}))
	return sortedLines(out)
}

func TestALocalAccountIsFoundByAnyAttributeThatIdentifies(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		anna := w.localWith("org", "local-anna", "E-07", "")
		bob := w.localWith("org", "local-bob", "", "+32475123456")
		w.localWith("org", "local-carl", "", "")
		w.Connect("hq", matching("badge", "mobile_phone"))
		w.Holds("hq", Person("anna", "employeeNumber=e-07"), Person("bob", "mobile=0475 12 34 56"), Person("carl"))
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "create account carl", "link account anna", "link account bob")
		contains(t, w.Rows(r.Plan), "link account anna", "matched by badge, taken over from local")
		contains(t, w.Rows(r.Plan), "link account bob", "matched by mobile_phone, taken over from local")
		equal(t, "anna's account", w.Account("anna").ID, anna)
		equal(t, "bob's account", w.Account("bob").ID, bob)
		same(t, "kept", w.values(), "badge=e-07 anna", "mobile_phone=+32475123456 bob")
		w.Settled("hq")
	})
}

func TestValuesAreKeptWhileSomebodyMatchesByThem(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Declare(setting.Organization{ID: "other", Name: "Other"})
		w.localWith("other", "stranger", "1", "")
		w.localWith("org", "local", "9", "+32475000009")
		w.Connect("hq")
		w.Holds("hq", Person("anna", "employeeNumber=1", "mobile=0475000001"), Person("bob"), Person("carl", "employeeNumber=1"))
		w.Applied("hq")
		same(t, "without further attributes", w.values())
		branch := w.Connect("branch", matching("badge"))
		w.Holds("branch", Person("dora", "employeeNumber=4"))
		w.Applied("branch")
		same(t, "when a connection begins to match", w.values(), "badge=1 anna", "badge=1 carl", "badge=4 dora", "badge=9 local")
		w.Conn("hq").Match = []string{"mobile_phone", "badge"}
		w.Plan("hq")
		same(t, "with another attribute", w.values(), "badge=1 anna", "badge=1 carl", "badge=4 dora", "badge=9 local",
			"mobile_phone=+32475000001 anna", "mobile_phone=+32475000009 local")
		w.Examine()
		branch.Match = []string{"email"}
		w.Plan("branch")
		equal(t, "what the other still matches by is kept", len(w.values()), 6)
		w.Conn("hq").Match = []string{"mobile_phone"}
		w.Plan("hq")
		same(t, "what nobody matches by is not", w.values(), "mobile_phone=+32475000001 anna", "mobile_phone=+32475000009 local")
	})
}

func TestWhatAConnectionMatchedByThatIsNoMoreIsForgotten(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", matching("badge"))
		w.Connect("branch")
		w.Holds("hq", Person("anna", "employeeNumber=1"))
		w.Applied("hq")
		w.Connections = slices.DeleteFunc(w.Connections, func(c setting.Connection) bool { return c.Alias == "hq" })
		w.lease("hq", "elsewhere/1/1/1", 60) // by a process that still has it
		w.Plan("branch")
		same(t, "while somebody works on it", w.values(), "badge=1 anna")
		w.lease("hq", "", 0)
		w.Plan("branch")
		same(t, "then", w.values())
	})
}

// Whatever becomes of an account, what is kept of it is what it carries.
func TestValuesFollowTheAccount(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", matching("badge"), policy(func(p *setting.Policy) {
			p.DeleteDisables, p.NoUpdateProviderMismatch, p.PurgeAfter = false, false, time.Hour
		}))
		hq := w.Conn("hq")
		hq.Mapping["badge"] = setting.Rule{Expr: `split(employeeNumber, ",")`}
		step := func(what string, want ...string) {
			t.Helper()
			same(t, what, w.values(), want...)
			w.Examine()
		}
		w.Holds("hq", Person("anna", "employeeNumber=1"), Person("bob"))
		w.Applied("hq")
		step("created", "badge=1 anna")
		w.Holds("hq", Person("anna", "employeeNumber=2,3"), Person("bob", "employeeNumber=4"))
		r := w.Applied("hq")
		step("updated", "badge=2 anna", "badge=3 anna", "badge=4 bob")
		w.Revert("hq", r.Run)
		step("reverted", "badge=1 anna")
		r = w.Sync("hq")
		w.Approve("hq", r.Plan)
		step("done again", "badge=2 anna", "badge=3 anna", "badge=4 bob")
		w.Holds("hq", Person("bob", "employeeNumber=4"), Person("carl", "employeeNumber=5"))
		w.Applied("hq")
		step("flagged deleted", "badge=2 anna", "badge=3 anna", "badge=4 bob", "badge=5 carl")
		w.Holds("hq", Person("anna", "employeeNumber=3"), Person("bob"), Person("carl", "employeeNumber=5"))
		w.Applied("hq")
		step("restored, and emptied", "badge=3 anna", "badge=5 carl")
		w.Holds("hq", Person("bob"), Person("carl", "employeeNumber=5"))
		w.Applied("hq")
		w.Clock = w.Clock.Add(48 * time.Hour)
		w.Applied("hq")
		equal(t, "purged", w.Account("anna") == nil, true)
		step("purged", "badge=5 carl")
		w.localWith("org", "dora", "6", "")
		step("a local one", "badge=5 carl", "badge=6 dora")
		w.Holds("hq", Person("bob"), Person("carl", "employeeNumber=5"), Person("dana", "employeeNumber=6,7"))
		r = w.Applied("hq")
		step("taken over", "badge=5 carl", "badge=6 dana", "badge=7 dana")
		w.Revert("hq", r.Run)
		step("given back", "badge=5 carl", "badge=6 dora")
	})
}

func TestAPersonWhoComesBackUnderOtherNamesIsKnownByTheirNumber(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", func(c *setting.Connection) { c.Match = []string{"email", "badge"} })
		w.Holds("hq", Person("anna", "employeeNumber=7"), Person("bob"), Group("staff", "anna"))
		w.Applied("hq")
		id := w.Account("anna").ID
		// At once, and after a while.
		w.Holds("hq", Person("queen", "id=new", "employeeNumber=7"), Person("bob"), Group("staff", "queen"))
		r := w.Applied("hq")
		contains(t, w.Rows(r.Plan), "link account queen", "matched by badge")
		equal(t, "accounts", len(w.Accounts()), 2)
		w.Holds("hq", Person("bob"), Group("staff"))
		w.Applied("hq")
		w.Settled("hq")
		w.Holds("hq", Person("empress", "id=newer", "employeeNumber=7"), Person("bob"), Group("staff", "empress"))
		w.Applied("hq")
		equal(t, "her account", w.Account("empress").ID, id)
		equal(t, "status", w.Account("empress").Status, account.Active)
		equal(t, "staff", w.Members("staff"), "empress")
		w.Settled("hq")
	})
}

func TestClaimsByNumberThatNeedAPerson(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.localWith("org", "one", "7", "")
		w.localWith("org", "two", "7", "") // which a number may be
		w.localWith("org", "three", "8", "")
		w.Connect("hq", matching("badge"))
		w.Holds("hq", Person("anna", "employeeNumber=7"), Person("bob", "employeeNumber=8"), Person("carl", "employeeNumber=8"),
			Person("dora", "employeeNumber=9"), Person("eve", "employeeNumber=9"))
		r := w.Applied("hq")
		same(t, "rows", w.Rows(r.Plan))
		notes := w.Notes(r.Plan)
		contains(t, notes, "dispute uid=anna", "it claims two accounts: account ", "account one ", "account two ", "by badge")
		contains(t, notes, "dispute uid=bob", `uid=bob,ou=people and uid=carl,ou=people both claim the badge "8"`)
		contains(t, notes, "dispute uid=carl", `uid=carl,ou=people and uid=bob,ou=people both claim the badge "8"`)
		contains(t, notes, "dispute uid=dora", `both claim the badge "9"`)
		w.Settled("hq")
		// Told apart, they all get in; afterwards they may carry one number.
		w.Holds("hq", Person("anna"), Person("bob", "employeeNumber=8"), Person("carl", "employeeNumber=10"), Person("dora", "employeeNumber=9"), Person("eve", "employeeNumber=11"))
		w.Applied("hq")
		w.Holds("hq", Person("anna", "employeeNumber=8"), Person("bob", "employeeNumber=8"), Person("carl", "employeeNumber=10"), Person("dora", "employeeNumber=9"), Person("eve", "employeeNumber=9"))
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "update account anna", "update account eve")
		w.Settled("hq")
		// A newcomer with a number of somebody who is there waits until it is free.
		hq := append(slices.Clone(w.Dirs.Of("hq").Records), Person("fay", "employeeNumber=10"))
		w.Changes("hq", hq[5:], hq...)
		r = w.Applied("hq")
		contains(t, w.Notes(r.Plan), "dispute uid=fay", "badge")
		hq[2] = Person("carl", "employeeNumber=12")
		w.Changes("hq", hq[2:3], hq...)
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "create account fay", "update account carl")
		w.Settled("hq")
	})
}

func TestTwoConnectionsThatClaimOnePersonByNumber(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Declare(setting.Organization{ID: "other", Name: "Other"})
		w.Connect("hq", matching("badge"))
		w.Connect("branch", matching("badge"))
		w.Connect("elsewhere", matching("badge"), func(c *setting.Connection) { c.Organization = "other" })
		w.Holds("hq", Person("anna", "employeeNumber=7"))
		w.Applied("hq")
		w.Holds("branch", Person("queen", "id=b", "employeeNumber=7"))
		r := w.Applied("branch")
		contains(t, w.Notes(r.Plan), "dispute uid=queen", "connection hq keeps account anna", "claims the same person")
		r = w.Applied("hq")
		contains(t, w.Notes(r.Plan), "dispute uid=anna", "connection branch claims this account too")
		w.Holds("elsewhere", Person("empress", "employeeNumber=7"))
		same(t, "another organization", w.Brief(w.Applied("elsewhere").Plan), "create account empress")
		w.Conn("branch").Overlap = setting.OverlapOwn
		for range 2 {
			w.Applied("branch")
			w.Applied("hq")
		}
		equal(t, "the owner has her", w.Account("queen").Connection, "branch")
		equal(t, "accounts", len(w.Accounts()), 2)
		w.Settled("hq")
		w.Settled("branch")
	})
}

func TestANumberThatComesToSomebodyBetweenPlanAndApproval(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", matching("badge"))
		w.Connect("branch", matching("badge"))
		w.Holds("hq", Person("anna", "employeeNumber=7"), Person("bob", "employeeNumber=8"), Person("carl"))
		w.Holds("branch", Person("queen", "id=b", "employeeNumber=8"))
		one, other := w.Plan("hq"), w.Plan("branch")
		w.Clock = w.Clock.Add(1)
		w.localWith("org", "local", "7", "")
		w.Approve("branch", other)
		r := w.Approve("hq", one)
		contains(t, w.Notes(r.Plan), "failed uid=anna", `the badge "7" was given to account ID of local after the plan was made`)
		contains(t, w.Notes(r.Plan), "failed uid=bob", `the badge "8" was given to account ID of queen after the plan was made`)
		equal(t, "created", r.Run.Summary.Create, 1)
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "link account anna")
		contains(t, w.Notes(r.Plan), "dispute uid=bob", "connection branch keeps account queen")
		w.Settled("hq")
	})
}

func TestAMatchingAttributeThatNoRuleFillsIsRefused(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", matching("card"))
		w.Holds("hq", Person("anna"))
		_, err := w.Engine.Plan(t.Context(), *w.Conn("hq"), options)
		if err == nil || !strings.Contains(err.Error(), "match: no rule of the mapping fills card, so it would find nobody") {
			t.Errorf("%v", err)
		}
		same(t, "kept", w.values())
		equal(t, "values", len(w.Accounts()), 0)
	})
}

func TestACrowdWithOneNumber(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		crowd := People("p", 30)
		for i := range crowd {
			crowd[i] = Person(crowd[i].First("uid"), "employeeNumber=n/a")
		}
		w.Connect("hq")
		w.Holds("hq", crowd...)
		w.Applied("hq")
		w.Connect("branch", matching("badge"))
		w.Holds("branch", Person("anna", "employeeNumber=N/A"))
		r := w.Applied("branch")
		contains(t, w.Notes(r.Plan), "dispute uid=anna", `more than 20 accounts carry the badge "n/a" it claims; it tells nobody apart`)
	})
}

// People leave and come back as other entries under other names, in whatever
// order: by their number each is one account for ever.
func TestWhoHasOneNumberHasOneAccountForEver(t *testing.T) {
	t.Parallel()
	for database, seed := range map[string]uint64{"SQLite": 3, "PostgreSQL": 4} {
		t.Run(database, func(t *testing.T) {
			t.Parallel()
			w := Open(t, dsns[database](t))
			rng := rand.New(rand.NewPCG(seed, 5))
			w.Connect("hq", matching("badge"), func(c *setting.Connection) {
				c.Limits = setting.Limits{Removals: 1, GroupRemovals: 1, MembershipRemovals: 1, IdentityChanges: 1, IdentityChangesMin: 100}
			})
			had := map[string]account.ID{}
			for i := range 3 {
				had[fmt.Sprint(i)] = w.localWith("org", fmt.Sprintf("local%d", i), fmt.Sprint(i), "")
			}
			names := 0
			present := map[string]rec{}
			for range 25 {
				for range 1 + rng.IntN(4) {
					badge := fmt.Sprint(rng.IntN(8))
					if _, here := present[badge]; here && rng.IntN(3) > 0 {
						delete(present, badge)
						continue
					}
					names++
					present[badge] = Person(fmt.Sprintf("x%03d", names), "employeeNumber="+badge, "title=of "+badge)
				}
				records := []rec{Person("boss")}
				for _, r := range present {
					records = append(records, r)
				}
				rng.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
				w.Holds("hq", records...)
				if p := w.Plan("hq"); p.Verdict == plan.Go && rng.IntN(4) == 0 {
					w.Approve("hq", p)
				} else {
					w.Applied("hq")
				}
				for badge, r := range present {
					a := w.Account(r.First("uid"))
					if a == nil || a.Status != account.Active || had[badge] != (account.ID{}) && had[badge] != a.ID {
						t.Fatalf("number %s (%s): %+v, and had %s", badge, r.First("uid"), a, had[badge])
					}
					had[badge] = a.ID
				}
				w.Settled("hq")
				if t.Failed() {
					t.FailNow()
				}
			}
			w.Examine()
			w.Replay()
		})
	}
}
