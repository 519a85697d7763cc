package disputes

import (
	"encoding/json"
	"slices"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

type overlapPage struct {
	Connection client.Connection
	Now        string // what is in force
	Items      []item
	More       bool
	Chosen     string
	Preview    *client.Plan
	Trouble    *shell.Trouble
}

// choices are what a connection can do about people that another one has too.
var choices = []string{"own", "yield", "wait"}

func showOverlap(q *shell.Ask) error {
	return overlap(q, q.R.URL.Query().Get("connection"), "", nil, nil)
}

func overlap(q *shell.Ask, alias, chosen string, preview *client.Plan, trouble *shell.Trouble) error {
	ctx := q.R.Context()
	p := overlapPage{Chosen: chosen, Preview: preview, Trouble: trouble}
	var err error
	if p.Connection, err = q.API.Connection(ctx, alias); err != nil {
		return err
	}
	if p.Now = p.Connection.Overlap; p.Now == "" {
		p.Now = "wait"
	}
	found, err := q.API.DisputePage(ctx, client.DisputeQuery{Connection: alias, Kind: "overlap"}, client.Piece{Limit: 20})
	if err != nil {
		return err
	}
	p.Items, p.More = items(found.Items), found.NextCursor != nil
	if trouble != nil {
		return q.Refused("overlap", "Overlap of "+alias, p)
	}
	return q.Page("overlap", "Overlap of "+alias, p)
}

// decideOverlap shows what a choice would do, and then makes it.
func decideOverlap(q *shell.Ask) error {
	ctx, alias, chosen := q.R.Context(), q.R.PostFormValue("connection"), q.R.PostFormValue("overlap")
	if !slices.Contains(choices, chosen) {
		return overlap(q, alias, "", nil, wrong("Choose what the connection shall do.", ""))
	}
	patch, err := json.Marshal(map[string]string{"overlap": chosen})
	if err != nil {
		return err
	}
	if q.R.PostFormValue("do") != "save" {
		preview, err := q.API.Preview(ctx, alias, patch, nil)
		if err != nil {
			return overlap(q, alias, chosen, nil, q.Problem(err))
		}
		return overlap(q, alias, chosen, &preview, nil)
	}
	if _, err := q.API.UpdateConnection(ctx, alias, patch); err != nil {
		return overlap(q, alias, chosen, nil, q.Problem(err))
	}
	made, err := q.API.MakePlan(ctx, alias, client.SyncInput{}, nil)
	if err != nil {
		q.Say(shell.Path("connections", alias), "“overlap: "+chosen+"” is saved. No plan could be made just now: "+q.Problem(err).Text)
		return nil
	}
	q.Say(shell.Path("plans", made.ID), "“overlap: "+chosen+"” is saved. This is what follows from it; nothing has happened yet.")
	return nil
}
