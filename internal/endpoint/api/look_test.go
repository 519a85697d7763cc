package api_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
)

// through gives a client of a world, with the key of a scope.
func (w *world) through(scope string) *client.Client {
	w.t.Helper()
	s := httptest.NewServer(w.h)
	w.t.Cleanup(s.Close)
	c, err := client.New(s.URL, w.keys[scope], client.WithTries(1))
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) sync(alias string) client.Run {
	w.t.Helper()
	return want[client.Run](w, 200, w.ask("operator", "POST", "/connections/"+alias+"/sync?wait=true", nil))
}

const columns = "username,email,first_name,last_name,password,groups,department,manager\n"

func TestRunsAreCounted(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.sync("sun-hq")
		w.sync("moon-hq")
		c, ctx := w.through("organization:sun"), t.Context()
		for _, by := range []string{"hour", ""} {
			got, err := c.Statistics(ctx, client.StatisticsQuery{By: by})
			if err != nil || len(got.Slots) != 1 || got.Slots[0].Runs.Applied != 1 || got.Slots[0].Changes.Create != 3 || got.Until.Sub(got.Since) != 7*24*time.Hour {
				t.Errorf("%+v %v", got, err)
			}
		}
		for r, err := range c.RunsOf(ctx, client.RunQuery{Trigger: "manual", Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour)}) {
			if err != nil || r.Connection != "sun-hq" {
				t.Errorf("%+v %v", r, err)
			}
		}
		for r, err := range c.RunsOf(ctx, client.RunQuery{Until: time.Now().Add(-time.Hour)}) {
			t.Errorf("%+v %v", r, err)
		}
		w.refused(422, w.ask("operator", "GET", "/runs/statistics?by=hour&since=2020-01-01T00:00:00Z", nil), "31 days", "by day")
		w.refused(422, w.ask("operator", "GET", "/runs/statistics?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", nil), "behind")
		w.refused(422, w.ask("operator", "GET", "/runs/statistics?by=year", nil))
		w.refused(404, w.ask("organization:sun", "GET", "/runs/statistics?organization=moon", nil))
	})
}

func TestPeopleAreFoundAndTheirChartIsDrawn(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.file("sun.csv", columns+
			"anna,anna@sun.example,Anna,Müller,x,,Sales,\n"+
			"bob,bob@sun.example,Bob,Anders,x,,Sales,anna\n"+
			"joanna,joanna@sun.example,Joanna,Zorn,x,,Sales,bob\n"+
			"cy,cy@sun.example,Cy,Rund,x,,Sales,dee\n"+
			"dee,dee@sun.example,Dee,Rund,x,,Sales,cy\n")
		w.sync("sun-hq")
		w.sync("moon-hq")
		c, ctx := w.through("organization:sun"), t.Context()
		names := func(q client.AccountQuery, limit int) string {
			t.Helper()
			var out []string
			for p := (client.Piece{Limit: limit}); ; {
				page, err := c.AccountPage(ctx, q, p)
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range page.Items {
					out = append(out, *a.Username)
				}
				if page.NextCursor == nil {
					return strings.Join(out, " ")
				}
				p.Cursor = *page.NextCursor
			}
		}
		anna := get[list[client.Account]](w, "operator", "/accounts?who=anna").Items[0].ID
		for _, q := range []struct {
			q    client.AccountQuery
			want string
		}{
			{client.AccountQuery{Search: "anna"}, "anna joanna"},
			{client.AccountQuery{Search: "MUELLER"}, "anna"},
			{client.AccountQuery{Search: "rund"}, "cy dee"},
			{client.AccountQuery{Search: "rund cy"}, "cy"},
			{client.AccountQuery{Search: anna[:12]}, "anna"},
			{client.AccountQuery{Sort: "name"}, "anna bob cy dee joanna"},
			{client.AccountQuery{Manager: anna}, "bob"},
			{client.AccountQuery{Search: "dora"}, ""},
			{client.AccountQuery{Search: "anna", Status: "disabled"}, ""},
		} {
			for _, limit := range []int{1, 100} {
				if got := names(q.q, limit); got != q.want {
					t.Errorf("%+v in pieces of %d: %q, want %q", q.q, limit, got, q.want)
				}
			}
		}
		exported := 0
		for _, err := range c.ExportAccounts(ctx, client.AccountQuery{Search: "rund"}) {
			if err != nil {
				t.Fatal(err)
			}
			exported++
		}
		if exported != 2 {
			t.Errorf("%d were exported", exported)
		}
		if n, err := c.CountAccounts(ctx, "", ""); err != nil || n != (client.AccountCounts{Active: 5}) {
			t.Errorf("%+v %v", n, err)
		}
		chart, err := c.OrgChart(ctx, client.OrgChartQuery{Depth: 3})
		if err != nil || chart.People != 5 || len(chart.Cycles) != 1 || len(chart.Nodes) != 5 {
			t.Fatalf("%+v %v", chart, err)
		}
		if n := chart.Nodes[0]; n.Name != "Anna Müller" || n.Below != 2 || n.Reports != 1 || n.Manager != nil || chart.Nodes[2].Level != 2 || !chart.Nodes[3].Cycle {
			t.Errorf("%+v", chart.Nodes)
		}
		if chart, err = c.OrgChart(ctx, client.OrgChartQuery{Root: *chart.Nodes[1].Manager, Depth: 1}); err != nil || len(chart.Nodes) != 2 {
			t.Errorf("%+v %v", chart, err)
		}
		joanna := get[list[client.Account]](w, "operator", "/accounts?who=joanna").Items[0].ID
		if path, err := c.OrgPath(ctx, joanna); err != nil || len(path.People) != 3 || path.People[2].ID != anna || path.Cycle {
			t.Errorf("%+v %v", path, err)
		}
		w.refused(422, w.ask("operator", "GET", "/orgchart", nil), "whose chart")
		w.refused(404, w.ask("organization:moon", "GET", "/orgchart?root="+anna, nil))
		w.refused(404, w.ask("organization:moon", "GET", "/accounts?manager="+anna, nil))
		w.refused(404, w.ask("operator", "GET", "/orgchart?organization=moon&root="+anna, nil))
	})
}

func TestWhatWaitsForAPersonIsNamedWithBothSides(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		local := want[client.Account](w, 201, w.ask("operator", "POST", "/accounts",
			`{"organization": "sun", "username": "bob", "email": "bob@elsewhere.example", "first_name": "Bob", "last_name": "Local"}`))
		w.file("sun.csv", columns+
			"anna,same@sun.example,Anna,A,x,,,\n"+
			"ann,same@sun.example,Ann,A,x,,,\n"+
			"bob,bob@sun.example,Bob,B,x,,,\n"+
			"cy,,Cy,C,x,,,\n"+
			"dee,,Dee,D,x,,,nobody\n")
		run := w.sync("sun-hq")
		c, ctx := w.through("organization:sun"), t.Context()
		check := func() {
			t.Helper()
			var kinds []string
			for d, err := range c.Disputes(ctx, client.DisputeQuery{}) {
				if err != nil {
					t.Fatal(err)
				}
				kinds = append(kinds, d.Kind+" "+d.Case+" "+*d.Entry.Name)
				switch d.Kind {
				case "mismatch":
					if s := d.Sides[0]; *s.Account != local.ID || *s.Connection != "local" || !slices.Equal(s.By, []string{"username"}) || *s.Name != "bob" {
						t.Errorf("%+v", d)
					}
				case "dispute":
					if s := d.Sides[0]; len(d.Sides) != 1 || *s.Connection != "sun-hq" || s.ExternalID == nil || *s.Name == *d.Entry.Name || !slices.Equal(s.By, []string{"email"}) {
						t.Errorf("%+v", d)
					}
				}
			}
			slices.Sort(kinds)
			if got := strings.Join(kinds, ", "); got != "dispute claimed ann, dispute claimed anna, mismatch mismatch bob" {
				t.Errorf("%s", got)
			}
		}
		check()
		if _, err := c.Preview(ctx, "sun-hq", json.RawMessage(`{"settings": {"no-update-provider-mismatch": false}}`), nil); err != nil {
			t.Fatal(err)
		}
		check() // with settings that are not saved nothing is decided
		var pieces int
		for p := (client.Piece{Limit: 1}); ; pieces++ {
			page, err := c.DisputePage(ctx, client.DisputeQuery{}, p)
			if err != nil || len(page.Items) != 1 {
				t.Fatalf("%+v %v", page, err)
			}
			if page.NextCursor == nil {
				break
			}
			p.Cursor = *page.NextCursor
		}
		if pieces != 2 {
			t.Errorf("%d pieces before the last", pieces)
		}
		problems, err := c.Problems(ctx, *run.Plan)
		if err != nil || problems.Items[0].Kind != "problem" || *problems.Items[0].Field != "email" || problems.Items[0].Count != 2 || len(problems.Items[0].Examples) != 2 {
			t.Errorf("%+v %v", problems, err)
		}
		if d := problems.Items[1]; d.Kind != "dispute" || d.Count != 2 || d.Field != nil {
			t.Errorf("%+v", d)
		}
		w.sync("sun-hq") // nothing changed: what stands is carried on
		check()
		for d, err := range w.through("organization:moon").Disputes(ctx, client.DisputeQuery{}) {
			t.Errorf("moon sees %+v, %v", d, err)
		}
	})
}

func TestWhereAnAccountComesFrom(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.file("sun.csv", columns+"anna,anna@sun.example,Anna,A,hush-hush,,Sales,bob\nbob,bob@sun.example,Bob,B,hush-hush,,Sales,\n")
		first := w.sync("sun-hq")
		w.file("sun.csv", columns+"anna,anna@sun.example,Anna,A,hush-hush,,Support,bob\nbob,bob@sun.example,Bob,B,hush-hush,,Sales,\n")
		second := w.sync("sun-hq")
		c, ctx := w.through("organization:sun"), t.Context()
		anna := get[list[client.Account]](w, "operator", "/accounts?who=anna").Items[0].ID
		r := w.ask("operator", "GET", "/accounts/"+anna+"/origin", nil)
		if strings.Contains(r.Body.String(), "hush") || strings.Contains(r.Body.String(), "argon2id") {
			t.Errorf("a password is told: %s", r.Body)
		}
		o, err := c.AccountOrigin(ctx, anna)
		if err != nil || *o.Connection != "sun-hq" || o.Entry == nil || o.Gone || !o.RulesKnown || o.Matched == nil || *o.Matched.Run != first.ID || o.Matched.Type != "account.created" {
			t.Fatalf("%+v %v", o, err)
		}
		fields := map[string]client.FieldOrigin{}
		for _, f := range o.Fields {
			fields[f.Field] = f
		}
		if f := fields["department"]; string(f.Value) != `"Support"` || f.Kind != "attribute" || *f.Rule != "department" || f.Raw[0].Values[0] != "Support" || *f.Changed.Run != second.ID {
			t.Errorf("%+v", f)
		}
		if f := fields["email"]; string(f.Value) != `"anna@sun.example"` || *f.Changed.Run != first.ID {
			t.Errorf("%+v", f)
		}
		if len(o.Managers) != 1 || o.Managers[0].Name != "Bob B" || o.Cycle {
			t.Errorf("%+v", o.Managers)
		}
		local := want[client.Account](w, 201, w.ask("operator", "POST", "/accounts",
			`{"organization": "sun", "username": "lou", "email": "lou@sun.example", "first_name": "Lou", "last_name": "Cal", "attributes": {"badge": "7"}}`))
		want[client.Account](w, 200, w.ask("operator", "PATCH", "/accounts/"+local.ID, `{"attributes": {"badge": "8"}}`))
		if o, err = c.AccountOrigin(ctx, local.ID); err != nil || o.Connection != nil || o.Entry != nil || o.RulesKnown {
			t.Fatalf("%+v %v", o, err)
		}
		for _, f := range o.Fields {
			if f.Kind != "local" {
				t.Errorf("%+v", f)
			}
			if f.Field == "badge" && (string(f.Value) != `"8"` || f.Changed.Type != "account.updated" || !f.Custom) {
				t.Errorf("%+v", f)
			}
		}
		w.refused(404, w.ask("organization:moon", "GET", "/accounts/"+anna+"/origin", nil))
	})
}
