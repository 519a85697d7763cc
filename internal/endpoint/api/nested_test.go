package api_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/keys"
	"rollcall.dev/rollcall/internal/store/storetest"
)

// scripted is a world whose directories are scripts, with a client of the API in
// front of it.
func scripted(t *testing.T, fn func(t *testing.T, w *storetest.World, c *client.Client)) {
	t.Helper()
	run := func(t *testing.T, dsn string) {
		w := storetest.Open(t, dsn)
		secret, _, err := w.Store.KeyTable.Create(t.Context(), keys.Scope{}, "test", time.Time{}, "tester")
		if err != nil {
			t.Fatal(err)
		}
		s := httptest.NewServer(api.New(api.Deps{Store: w.Store, Engine: w.Engine}))
		t.Cleanup(s.Close)
		c, err := client.New(s.URL, secret, client.WithTries(1))
		if err != nil {
			t.Fatal(err)
		}
		fn(t, w, c)
	}
	t.Run("SQLite", func(t *testing.T) { run(t, databases.SQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn := databases.PostgreSQL(t)
		run(t, dsn)
	})
}

// tree is a tree of groups as text.
func tree(nodes []client.GroupNode) string {
	var out []string
	for _, n := range nodes {
		one := fmt.Sprintf("%s%s/%d", strings.Repeat(">", n.Level), n.Name, n.Members)
		if n.Cycle {
			one += "!"
		}
		if n.Repeated {
			one += "*"
		}
		out = append(out, one)
	}
	return strings.Join(out, " ")
}

func TestGroupsInGroupsAreShownAsATree(t *testing.T) {
	scripted(t, func(t *testing.T, w *storetest.World, c *client.Client) {
		w.Connect("hq")
		groups := []directory.Record{storetest.Group("top", "@left", "@right"), storetest.Group("left", "@deep", "anna"), storetest.Group("right", "@deep", "bo"), storetest.Group("deep", "cy"),
			storetest.Group("one", "@two", "anna"), storetest.Group("two", "@three"), storetest.Group("three", "@one", "bo"), storetest.Group("alone", "@alone", "@nobody", "cn=The Élan")}
		people := []directory.Record{storetest.Person("anna"), storetest.Person("bo"), storetest.Person("cy")}
		w.Holds("hq", append(people, groups...)...)
		w.Applied("hq")
		ids := map[string]string{}
		for g, err := range c.Groups(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			ids[g.Name] = g.ID
		}
		check := func(name, children, parents string) {
			t.Helper()
			got, err := c.GroupTree(t.Context(), ids[name])
			if err != nil || tree(got.Children) != children || tree(got.Parents) != parents || got.Group.Name != name || got.Cut {
				t.Errorf("%s: in it %q, around it %q, %v, want %q and %q", name, tree(got.Children), tree(got.Parents), err, children, parents)
			}
		}
		check("top", ">left/2 >>deep/1 >right/2 >>deep/1*", "")
		check("deep", "", ">left/2 >>top/3 >right/2 >>top/3*")
		check("one", ">two/2 >>three/2 >>>one/2!", ">three/2 >>two/2 >>>one/2!")
		w.Holds("hq", append(people, append(groups[1:], storetest.Group("top", "@left"))...)...)
		w.Applied("hq")
		check("top", ">left/2 >>deep/1", "")
		w.Holds("hq", append(people, append(groups[2:], storetest.Inner("left", "@deep", "anna"), storetest.Group("top", "@left"))...)...)
		w.Applied("hq")
		check("top", ">deep/1", "") // what is read for its members alone is no group here
		check("deep", "", ">right/2 >top/2")
		w.Holds("hq", append(people, append(groups[1:], storetest.Group("top", "@left"))...)...)
		w.Applied("hq")

		var told []string
		for e, err := range c.GroupHistory(t.Context(), ids["top"]) {
			if err != nil {
				t.Fatal(err)
			}
			told = append(told, e.Type)
		}
		if got := strings.Join(told, " "); got != "membership.removed membership.added membership.added membership.added group.created" {
			t.Errorf("what happened to top: %s", got)
		}
		one, err := c.GroupHistoryPage(t.Context(), ids["top"], client.Piece{Limit: 2})
		if err != nil || len(one.Items) != 2 || one.NextCursor == nil {
			t.Fatalf("%+v %v", one, err)
		}
		if rest, err := c.GroupHistoryPage(t.Context(), ids["top"], client.Piece{Limit: 9, Cursor: *one.NextCursor}); err != nil || len(rest.Items) != 3 || rest.Items[0].ID >= one.Items[1].ID {
			t.Errorf("%+v %v", rest, err)
		}
		// However many of those there are, the tree has room for groups.
		members := make([]string, 1100)
		wide := append(people[:3:3], storetest.Group("last", "anna"))
		for i := range members {
			name := fmt.Sprintf("unit%04d", i)
			members[i] = "@" + name
			wide = append(wide, storetest.Inner(name, "@last"))
		}
		w.Holds("hq", append(append(wide, groups[1:]...), storetest.Group("top", members...))...)
		w.Applied("hq")
		last := ""
		for g, err := range c.Groups(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			if g.Name == "last" {
				last = g.ID
			}
		}
		ids["last"] = last
		check("top", ">last/1", "")
		check("last", "", ">top/1")
		for search, want := range map[string]string{"elan the": "The Élan", "ID-TOP": "top"} {
			var names []string
			for g, err := range c.GroupsFound(t.Context(), "", "", search) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, g.Name)
			}
			if got := strings.Join(names, ", "); got != want {
				t.Errorf("%q finds %s", search, got)
			}
		}
		page, err := c.MemberPage(t.Context(), ids["left"], "", client.Piece{Limit: 1})
		if err != nil || len(page.Items) != 1 || *page.Items[0].Username != "anna" || page.NextCursor == nil {
			t.Errorf("%+v %v", page, err)
		}
		if page, err = c.MemberPage(t.Context(), ids["left"], "cy", client.Piece{}); err != nil || len(page.Items) != 1 || *page.Items[0].Username != "cy" {
			t.Errorf("%+v %v", page, err)
		}
	})
}
