package storetest

import (
	"strings"
	"testing"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/ledger"
)

// local makes an account no connection keeps.
func (w *World) local(organization, username, email string) account.ID {
	w.T.Helper()
	a := account.Account{Text: account.Text{account.Username: username, account.Email: email, account.FirstName: "Local", account.LastName: "Example", account.Role: "admin"}}
	w.must(w.Store.LedgerTable.CreateLocal(w.T.Context(), organization, "tester", []ledger.Local{{Account: a}}))
	return w.Account(username).ID
}

func TestARenameAndAMoveKeepTheAccount(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna"), Person("bob", "manager=anna"), Group("staff", "anna"))
		w.Applied("hq")
		id := w.Account("anna").ID
		ref := "uid=queen,ou=palace"
		w.Holds("hq", Person("queen", "id=id-anna", "ref="+ref, "mail=anna@example.org"), Person("bob", "manager="+ref), Group("staff", ref))
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "update account queen")
		equal(t, "ID", w.Account("queen").ID, id)
		equal(t, "staff", w.Members("staff"), "queen")
		equal(t, "bob's manager", w.Account("bob").Manager, id)
		w.Settled("hq")
	})
}

func TestTwoConnectionsThatClaimOnePersonReportItAndChangeNothing(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", byEmail)
		w.Connect("branch", byEmail)
		w.Holds("hq", Person("anna"), Person("bob"), Group("staff", "anna"))
		w.Applied("hq")
		w.Holds("branch", Person("anna", "id=b-anna", "ref=branch anna", "title=Queen"), Person("carl"), Group("branchstaff", "branch anna", "carl"))
		r := w.Applied("branch")
		contains(t, w.Notes(r.Plan), "dispute branch anna", "connection hq keeps account anna", "claims the same person", "`overlap: own`")
		w.Holds("hq", Person("anna", "title=King"), Person("bob"), Group("staff", "anna"))
		r = w.Applied("hq")
		contains(t, w.Notes(r.Plan), "dispute uid=anna,ou=people", "connection branch claims this account too", "branch anna")
		anna := w.Account("anna")
		equal(t, "title", anna.Text[account.Title], "")
		equal(t, "connection", anna.Connection, "hq")
		equal(t, "disputes", w.Applied("branch").Run.Summary.Disputes, 1)
		equal(t, "disputes", w.Applied("hq").Run.Summary.Disputes, 1)
		w.Settled("hq")
		w.Settled("branch")

		// The claim is taken back: the owner goes on.
		w.Holds("branch", Person("carl"), Group("branchstaff", "carl"))
		w.Applied("branch")
		w.Applied("hq")
		equal(t, "title", w.Account("anna").Text[account.Title], "King")
		w.Settled("hq")
		w.Settled("branch")
	})
}

func TestADeclaredOwnerOfAnOverlapResolvesIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set   func(w *World)
		owner string
	}{
		"the first one owns":    {func(w *World) { w.Conn("hq").Overlap = setting.OverlapOwn }, "hq"},
		"the second one owns":   {func(w *World) { w.Conn("branch").Overlap = setting.OverlapOwn }, "branch"},
		"the first one yields":  {func(w *World) { w.Conn("hq").Overlap = setting.OverlapYield }, "branch"},
		"the second one yields": {func(w *World) { w.Conn("branch").Overlap = setting.OverlapYield }, "hq"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			both(t, func(t *testing.T, w *World) {
				w.Connect("hq", byEmail)
				w.Connect("branch", byEmail)
				w.Holds("hq", Person("anna", "title=King"), Group("staff", "anna"))
				w.Applied("hq")
				w.Holds("branch", Person("anna", "id=b-anna", "title=Queen"), Group("crew", "anna"))
				w.Applied("branch")
				w.Applied("hq")
				id := w.Account("anna").ID
				c.set(w)
				for range 2 {
					w.Applied("branch")
					w.Applied("hq")
				}
				anna := w.Account("anna")
				equal(t, "ID", anna.ID, id)
				equal(t, "accounts", len(w.Accounts()), 1)
				equal(t, "connection", anna.Connection, c.owner)
				equal(t, "title", anna.Text[account.Title], map[string]string{"hq": "King", "branch": "Queen"}[c.owner])
				equal(t, "status", anna.Status, account.Active)
				groups := map[string]string{"hq": "staff", "branch": "crew"}
				equal(t, "the owner's group", w.Members(groups[c.owner]), "anna")
				w.Settled("hq")
				w.Settled("branch")
			})
		})
	}
}

func TestALocalAccountIsLeftAloneUnlessTheConnectionMayTakeItOver(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		id := w.local("org", "anna", "anna@example.org")
		w.Connect("hq", func(c *setting.Connection) { c.Match = []string{"username", "email"} })
		w.Holds("hq", Person("anna", "title=Queen"), Group("staff", "anna"))
		r := w.Applied("hq")
		equal(t, "verdict", r.Plan.Verdict, plan.Go) // the group
		contains(t, w.Notes(r.Plan), "refused", "would link to account anna", "of provider local; `no-update-provider-mismatch` leaves it alone")
		equal(t, "connection", w.Account("anna").Connection, account.Local)
		equal(t, "staff", w.Members("staff"), "")
		w.Settled("hq")
		w.Conn("hq").Policy.NoUpdateProviderMismatch = false
		r = w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "add membership staff: anna", "link account anna")
		anna := w.Account("anna")
		equal(t, "ID", anna.ID, id)
		equal(t, "connection", anna.Connection, "hq")
		equal(t, "role", anna.Text[account.Role], "admin")
		equal(t, "title", anna.Text[account.Title], "Queen")
		w.Settled("hq")
		// Undone, it is local again.
		w.Revert("hq", r.Run)
		equal(t, "connection", w.Account("anna").Connection, account.Local)
		equal(t, "external ID", w.Account("anna").ExternalID, "")
	})
}

func TestALocalAccountWhoseNameNoMatchingAttributeMayClaimIsNamed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.local("org", "anna", "other@example.org")
		w.Connect("hq", byEmail)
		w.Holds("hq", Person("anna"))
		r := w.Applied("hq")
		contains(t, w.Notes(r.Plan), "dispute", "the username it claims belongs to account anna <other@example.org>")
		equal(t, "accounts", len(w.Accounts()), 1)
	})
}

func TestTwoClaimsOnOneAccountAndOneClaimOnTwoNameBothSides(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.local("org", "anna", "a@example.org")
		w.local("org", "bob", "b@example.org")
		w.Connect("hq", func(c *setting.Connection) { c.Match = []string{"username", "email"} }, policy(func(p *setting.Policy) { p.NoUpdateProviderMismatch = false }))
		w.Holds("hq",
			Person("anna", "id=1", "ref=first"), Person("x", "mail=a@example.org", "id=2", "ref=second"), // both match the local anna
			Person("twin", "id=3", "ref=third"), Person("TWIN", "mail=t@example.org", "id=4", "ref=fourth"), // one username
		)
		r := w.Applied("hq")
		notes := w.Notes(r.Plan)
		contains(t, notes, "dispute first", "first and second", "account")
		contains(t, notes, "dispute second", "first and second", "account")
		contains(t, notes, "dispute third", `third and fourth both claim the username "twin"`)
		contains(t, notes, "dispute fourth", "fourth and third both claim")
		same(t, "rows", w.Rows(r.Plan))
		w.Holds("hq", Person("anna", "mail=b@example.org", "ref=both"))
		r = w.Applied("hq")
		contains(t, w.Notes(r.Plan), "dispute both", "it claims two accounts", "account anna", "account bob")
		w.Settled("hq")
	})
}

func TestTwoPeopleSwapTheirAddressesInOneRun(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", byEmail)
		w.Holds("hq", Person("anna", "mail=one@example.org"), Person("bob", "mail=two@example.org"), Person("carl"))
		w.Applied("hq")
		anna, bob := w.Account("anna").ID, w.Account("bob").ID
		w.Holds("hq", Person("anna", "mail=two@example.org"), Person("bob", "mail=one@example.org"), Person("carl"))
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "update account anna", "update account bob")
		equal(t, "anna", w.Account("anna").ID, anna)
		equal(t, "bob", w.Account("bob").ID, bob)
		equal(t, "anna's address", w.Account("anna").Text[account.Email], "two@example.org")
		w.Settled("hq")
		// And their usernames in a ring of three.
		w.Holds("hq", Person("bob", "id=id-anna", "mail=two@example.org"), Person("carl", "id=id-bob", "mail=one@example.org"), Person("anna", "id=id-carl", "mail=carl@example.org"))
		r = w.Applied("hq")
		equal(t, "updates", r.Run.Summary.Update, 3)
		equal(t, "anna is called bob now", w.Account("bob").ID, anna)
		w.Settled("hq")
	})
}

func TestANameMovedFromOnePersonToANewOneInOneRun(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", byEmail)
		w.Holds("hq", Person("anna", "mail=sales@example.org"))
		w.Applied("hq")
		id := w.Account("anna").ID
		w.Holds("hq", Person("anna"), Person("bob", "mail=sales@example.org"))
		r := w.Applied("hq")
		same(t, "rows", w.Brief(r.Plan), "create account bob", "update account anna")
		equal(t, "anna", w.Account("anna").ID, id)
		w.Settled("hq")
		// She wants it back while he keeps it.
		w.Holds("hq", Person("anna", "mail=sales@example.org"), Person("bob", "mail=sales@example.org"))
		r = w.Applied("hq")
		contains(t, w.Notes(r.Plan), "dispute uid=anna", "sales@example.org", "account bob")
		equal(t, "her address", w.Account("anna").Text[account.Email], "anna@example.org")
		w.Settled("hq")
	})
}

func TestWhatHangsOnACreateThatFailsIsDoneWhenItSucceeds(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq")
		w.Holds("hq", Person("anna", "manager=boss"), Person("boss"), Person("carl"), Group("staff", "anna", "boss"), Group("board", "boss"))
		p := w.Plan("hq")
		w.Clock = w.Clock.Add(1)
		w.local("org", "boss", "other@example.org") // somebody takes the name between plan and approval
		r := w.Approve("hq", p)
		contains(t, w.Notes(r.Plan), "failed", `the username "boss" was given to account`)
		w.Examine()
		w.Replay()
		equal(t, "staff", w.Members("staff"), "anna")
		equal(t, "failed", r.Run.Summary.Failed > 0, true)
		w.Applied("hq")
		w.Settled("hq")
		w.Holds("hq", Person("anna", "manager=boss"), Person("chief", "id=id-boss", "ref=uid=boss,ou=people"), Person("carl"), Group("staff", "anna", "boss"), Group("board", "boss"))
		w.Applied("hq")
		equal(t, "staff", w.Members("staff"), "anna chief")
		equal(t, "board", w.Members("board"), "chief")
		equal(t, "manager", w.Account("anna").Manager, w.Account("chief").ID)
		w.Settled("hq")
	})
}

func TestOrganizationsNeverMeet(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Declare(setting.Organization{ID: "other", Name: "Other"})
		open := policy(func(p *setting.Policy) { p.NoUpdateProviderMismatch = false })
		match := func(c *setting.Connection) { c.Match = []string{"username", "email"} }
		w.Connect("hq", open, match)
		w.Connect("elsewhere", open, match, func(c *setting.Connection) { c.Organization, c.Overlap = "other", setting.OverlapOwn })
		w.Holds("hq", Person("anna"), Person("bob", "manager=anna"), Group("staff", "anna", "bob"))
		w.Applied("hq")
		w.Holds("elsewhere", Person("anna", "title=Queen"), Person("bob", "manager=anna"), Group("staff", "anna", "bob"))
		r := w.Applied("elsewhere")
		same(t, "rows", w.Brief(r.Plan), "add membership staff: anna", "add membership staff: bob", "create account anna", "create account bob", "create group staff")
		equal(t, "accounts", len(w.Accounts()), 4)
		for _, a := range w.Accounts() {
			for _, m := range w.Accounts() {
				if a.Manager == m.ID && a.Organization != m.Organization {
					t.Errorf("%s of %s is managed from %s", a.Text[account.Username], a.Organization, m.Organization)
				}
			}
			if a.Connection == "hq" && a.Text[account.Title] != "" {
				t.Error("a title went through the wall")
			}
		}
		equal(t, "seats", r.Run.Summary.SeatsNeeded, 2)
		w.Holds("elsewhere", Person("bob"), Group("staff", "bob"))
		w.Applied("elsewhere")
		equal(t, "disabled", strings.Count(w.People(), " disabled "), 1)
		w.Settled("hq")
		c := *w.Conn("hq")
		c.Organization = "other"
		if _, err := w.Engine.Sync(t.Context(), c, options); err == nil {
			t.Error("a connection moved to another organization")
		}
	})
}

func TestTwoConnectionsThatCreateOnePersonAtTheSameTimeMakeOneAccount(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, w *World) {
		w.Connect("hq", byEmail)
		w.Connect("branch", byEmail)
		w.Holds("hq", Person("anna"), Person("bob"))
		w.Holds("branch", Person("anna", "id=b-anna"), Person("carl", "mail=bob@example.org"), Person("dora"))
		one, other := w.Plan("hq"), w.Plan("branch")
		w.Approve("hq", one)
		r := w.Approve("branch", other)
		equal(t, "failed", r.Run.Summary.Failed, 2)
		equal(t, "created", r.Run.Summary.Create, 1)
		equal(t, "accounts", len(w.Accounts()), 3)
		r = w.Applied("branch")
		equal(t, "disputes", r.Run.Summary.Disputes, 2)
		w.Settled("branch")
	})
}
