package connections

import (
	"net/url"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

// gonePage is what is left of a connection that was taken away: accounts, runs and
// events go on naming it, and lead here.
type gonePage struct {
	Alias  string
	Runs   []client.Run
	People bool
	Last   *client.Event
}

// gone shows what is left of a connection, or says missing where nothing is.
func gone(q *shell.Ask, alias string, missing error) error {
	ctx, p := q.R.Context(), gonePage{Alias: alias}
	of := func(more ...string) url.Values {
		v := url.Values{"connection": {alias}, "limit": {"1"}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v
	}
	runs, err := client.Get[client.Page[client.Run]](ctx, q.API, "/runs", of("limit", "8"))
	if err != nil {
		return err
	}
	people, err := client.Get[client.Page[client.Account]](ctx, q.API, "/accounts", of())
	if err != nil {
		return err
	}
	events, err := client.Get[client.EventPage](ctx, q.API, "/events", of("types", "connection.deleted", "last", "true"))
	if err != nil {
		return err
	}
	if p.Runs, p.People = runs.Items, len(people.Items) > 0; len(events.Items) > 0 {
		p.Last = &events.Items[0]
	}
	if len(p.Runs) == 0 && !p.People && p.Last == nil {
		return missing
	}
	return q.Page("gone", alias, p)
}
