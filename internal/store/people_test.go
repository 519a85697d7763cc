package store_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/people"
	"rollcall.dev/rollcall/internal/store/storetest"
)

// found are the usernames that a search finds, in its order.
func found(t *testing.T, w *storetest.World, p *people.People, organization string, q people.Query) string {
	t.Helper()
	picture, err := p.Of(t.Context(), organization)
	if err != nil {
		t.Fatal(err)
	}
	q.Limit = -1
	ids, _ := picture.Find(q)
	have, err := w.Store.AccountTable.Fetch(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, id := range ids {
		names = append(names, have[id].Text[account.Username])
	}
	return strings.Join(names, " ")
}

// What is kept in memory is what is in the database, whoever changed it: another
// node, which has its own memory, sees the same.
func TestPeopleInMemoryFollowTheFeed(t *testing.T) {
	both(t, func(t *testing.T, w *storetest.World) {
		w.Declare(setting.Organization{ID: "other", Name: "Other"})
		w.Connect("hq", func(c *setting.Connection) { c.Policy.PurgeAfter = 1; c.Policy.DeleteDisables = false })
		here := w.Store.People
		check := func(what, want string, q people.Query) {
			t.Helper()
			for name, p := range map[string]*people.People{"this node": here, "a new one": {DB: w.Store.DB}} {
				if got := found(t, w, p, "org", q); got != want {
					t.Errorf("%s, %s: %q, want %q", what, name, got, want)
				}
			}
		}
		check("nobody yet", "", people.Query{})
		w.Holds("hq", storetest.Person("anna", "sn=Müller"), storetest.Person("bo", "manager=anna", "employeeNumber=B-77"), storetest.Person("cy", "manager=bo"))
		w.Applied("hq")
		check("everybody by name", "anna bo cy", people.Query{})
		check("by an umlaut typed as two letters", "anna", people.Query{Search: "mueller"})
		check("by a custom attribute", "bo", people.Query{Search: "b-77"})
		check("who reports to anna", "bo", people.Query{Manager: w.Account("anna").ID})
		check("by the connection", "", people.Query{Connection: "lab"})

		w.Holds("hq", storetest.Person("anna", "sn=Zimmer"), storetest.Person("bo", "manager="), storetest.Person("cy", "manager=anna"))
		w.Applied("hq")
		check("the old name finds nobody", "", people.Query{Search: "müller"})
		check("the new one does", "anna", people.Query{Search: "zimmer"})
		check("who reports to anna by now", "cy", people.Query{Manager: w.Account("anna").ID})

		list := []ledger.Local{{}}
		list[0].Account.Text[account.Username], list[0].Account.Text[account.Email] = "aaron", "aaron@example.org"
		if err := w.Store.LedgerTable.CreateLocal(t.Context(), "org", "tester", list); err != nil {
			t.Fatal(err)
		}
		check("a local account", "aaron", people.Query{Connection: account.Local})
		picture, err := here.Of(t.Context(), "org")
		if err != nil {
			t.Fatal(err)
		}
		if c := picture.Count(""); c != (people.Counts{Active: 4, Local: 1}) {
			t.Errorf("%+v", c)
		}
		again, err := here.Of(t.Context(), "")
		if err != nil || again != picture {
			t.Errorf("everybody is the only organization's, and nothing happened: %v", err)
		}

		w.Holds("hq", storetest.Person("anna", "sn=Zimmer"), storetest.Person("cy", "manager=anna"))
		w.Applied("hq")
		check("who left comes last", "aaron anna cy bo", people.Query{Search: "example"})
		check("who is not deleted", "aaron anna cy", people.Query{Status: account.Active})
		w.Clock = w.Clock.Add(time.Hour)
		w.Applied("hq")
		check("who was purged is gone", "aaron anna cy", people.Query{})
		check("another organization has nobody", "", people.Query{Search: "nobody"})
		if got := found(t, w, here, "other", people.Query{}); got != "" {
			t.Errorf("another organization has %s", got)
		}
	})
}

// What is far behind is read anew, and what nobody asks for is forgotten.
func TestPeopleInMemoryAreForgotten(t *testing.T) {
	both(t, func(t *testing.T, w *storetest.World) {
		p := &people.People{DB: w.Store.DB, Most: 3}
		var organizations []string
		for i := range 4 {
			name := fmt.Sprintf("tenant%d", i)
			organizations = append(organizations, name)
			w.Declare(setting.Organization{ID: name, Name: name})
			list := make([]ledger.Local, 2)
			for k := range list {
				list[k].Account.Text[account.Username] = fmt.Sprintf("u%d-%d", i, k)
			}
			if err := w.Store.LedgerTable.CreateLocal(t.Context(), name, "tester", list); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			for i, name := range organizations {
				if got, want := found(t, w, p, name, people.Query{}), fmt.Sprintf("u%d-0 u%d-1", i, i); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		}
		if got := found(t, w, p, "", people.Query{}); len(strings.Fields(got)) != 8 || !slices.IsSorted(strings.Fields(got)) {
			t.Errorf("everybody: %q", got)
		}
	})
}
