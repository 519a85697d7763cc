package disputes

import (
	"encoding/json"
	"net/http"
	"net/url"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

// alone is the setting that leaves accounts of other providers alone.
const alone = "no-update-provider-mismatch"

// takesOver reports a connection that takes accounts of other providers over.
func takesOver(c *client.Connection) bool {
	on, ok := c.Settings[alone].(bool)
	return ok && !on
}

type adoptionPage struct {
	Connections []choice // to choose from
	Connection  *client.Connection
	Open        bool // it takes accounts of other providers over
	Waiting     []item
	MoreWaiting bool
	Plan        *client.Plan // the report
	Stale       bool         // the report is gone: another one came after it
	Rows        []row
	Next        *string
	Trouble     *shell.Trouble
}

// choice is a connection with how many accounts it could take over.
type choice struct {
	client.Connection
	Open bool
}

// row is one account that would be taken over, by which entry.
type row struct {
	client.Change
	Fields []shell.Field
	Who    string // the account as it is
	Short  string // the entry
	Rest   string
}

func showAdoption(q *shell.Ask) error { return adoption(q, q.R.URL.Query().Get("connection"), nil) }

func adoption(q *shell.Ask, alias string, trouble *shell.Trouble) error {
	ctx := q.R.Context()
	p := adoptionPage{Trouble: trouble}
	if alias == "" {
		all, err := connections(q)
		if err != nil {
			return err
		}
		for i := range all {
			p.Connections = append(p.Connections, choice{all[i], takesOver(&all[i])})
		}
		return q.Page("adoption", "Take over local accounts", p)
	}
	c, err := q.API.Connection(ctx, alias)
	if err != nil {
		return err
	}
	p.Connection, p.Open = &c, takesOver(&c)
	waiting, err := q.API.DisputePage(ctx, client.DisputeQuery{Connection: alias, Kind: "mismatch"}, client.Piece{Limit: 20})
	if err != nil {
		return err
	}
	p.Waiting, p.MoreWaiting = items(waiting.Items), waiting.NextCursor != nil
	if id := q.R.URL.Query().Get("plan"); id != "" && trouble == nil {
		if err := p.report(q, id); err != nil {
			return err
		}
	}
	if trouble != nil {
		return q.Refused("adoption", "Take over local accounts", p)
	}
	return q.Page("adoption", "Take over local accounts", p)
}

// report reads the accounts that a preview would take over.
func (p *adoptionPage) report(q *shell.Ask, id string) error {
	ctx := q.R.Context()
	made, err := q.API.Plan(ctx, id)
	if err != nil {
		if q.Problem(err).Status == http.StatusNotFound {
			p.Stale = true
			return nil
		}
		return err
	}
	if made.Pruned || made.Connection != p.Connection.Alias {
		p.Stale = true
		return nil
	}
	values := q.Values("cursor")
	values.Set("limit", "50")
	values.Set("action", "link")
	values.Set("target", "account")
	found, err := client.Get[client.Page[client.Change]](ctx, q.API, "/plans/"+url.PathEscape(id)+"/changes", values)
	if err != nil {
		return err
	}
	names := shell.NewNames(q)
	for _, c := range found.Items {
		names.Want(c.Before, c.After)
		if c.Account != nil {
			names.WantAccount(*c.Account)
		}
	}
	if err := names.Load(); err != nil {
		return err
	}
	for _, c := range found.Items {
		r := row{Change: c, Fields: changed(names.Fields(c.Before, c.After))}
		r.Short, r.Rest = divide(c.Name)
		if c.Account != nil {
			r.Who = names.Account(*c.Account)
		}
		p.Rows = append(p.Rows, r)
	}
	p.Plan, p.Next = &made, found.NextCursor
	return nil
}

// changed leaves out what every account that is taken over gets: its keeper.
func changed(fields []shell.Field) (out []shell.Field) {
	for _, f := range fields {
		if f.Name != "connection" && f.Name != "external id" {
			out = append(out, f)
		}
	}
	return out
}

// Others sums what the plan would do beside taking over.
func (p adoptionPage) Others() int {
	s := p.Plan.Summary
	return s.Create + s.Update + s.Disable + s.Enable + s.Delete + s.Restore
}

// ByWhat says by which attributes entries are matched.
func (p adoptionPage) ByWhat() string { return by(append([]string{}, p.Connection.Match...)) }

// adopt reports, takes over, or leaves accounts of others alone again.
func adopt(q *shell.Ask) error {
	ctx, alias := q.R.Context(), q.R.PostFormValue("connection")
	here := "/adoption?connection=" + shell.Escape(alias)
	off, err := json.Marshal(map[string]any{"settings": map[string]bool{alone: false}})
	if err != nil {
		return err
	}
	switch q.R.PostFormValue("do") {
	case "report":
		made, err := q.API.Preview(ctx, alias, off, nil)
		if err != nil {
			return adoption(q, alias, q.Problem(err))
		}
		q.Redirect(here + "&plan=" + shell.Escape(made.ID) + "#report")
	case "take":
		if _, err := q.API.UpdateConnection(ctx, alias, off); err != nil {
			return adoption(q, alias, q.Problem(err))
		}
		made, err := q.API.MakePlan(ctx, alias, client.SyncInput{}, nil)
		if err != nil {
			t := q.Problem(err)
			t.Text = "The setting is saved, but no plan could be made: " + t.Text
			return adoption(q, alias, t)
		}
		q.Say(shell.Path("plans", made.ID), "Nothing is taken over yet: leave out the rows you do not want, and approve. The connection goes on taking accounts over until you put the setting back under Disputes.")
	case "back":
		on, err := json.Marshal(map[string]any{"settings": map[string]bool{alone: true}})
		if err != nil {
			return err
		}
		if _, err := q.API.UpdateConnection(ctx, alias, on); err != nil {
			return adoption(q, alias, q.Problem(err))
		}
		q.Say(here, "From now on the connection leaves accounts of other providers alone. Those it took over stay its own.")
	default:
		return adoption(q, alias, wrong("The form says nothing that can be done here.", "Open the page again."))
	}
	return nil
}
