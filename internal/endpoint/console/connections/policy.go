package connections

import (
	"net/url"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

// policyRow is a switch of the policy, as it stands here, at the agents and in effect.
type policyRow struct {
	Name                   string
	Here, There, Effective bool
	Who                    []string // the agents where it is on
}

// agentsOf gives the agents of a connection that are not revoked, whether all it had are
// (so that nobody reads it), and its policy beside
// theirs where one of them said what it allows.
func agentsOf(q *shell.Ask, alias string) (valid []client.Agent, fenced bool, rows []policyRow, err error) {
	found, err := client.Get[client.Page[client.Agent]](q.R.Context(), q.API, "/agents", url.Values{"connection": {alias}, "limit": {"100"}})
	if err != nil {
		return nil, false, nil, err
	}
	for _, a := range found.Items {
		if a.RevokedAt == nil {
			valid = append(valid, a)
		}
	}
	if len(valid) == 0 {
		return nil, len(found.Items) > 0, nil, nil
	}
	p, err := q.API.PolicyOf(q.R.Context(), alias)
	if err != nil || len(p.Agents) == 0 {
		return valid, false, nil, err
	}
	return valid, false, policyRows(p), nil
}

func policyRows(p client.PolicyInEffect) []policyRow {
	switches := []struct {
		name string
		of   func(client.Policy) bool
	}{
		{"dry-run", func(p client.Policy) bool { return p.DryRun }}, {"no-create", func(p client.Policy) bool { return p.NoCreate }},
		{"no-update", func(p client.Policy) bool { return p.NoUpdate }}, {"no-delete", func(p client.Policy) bool { return p.NoDelete }},
		{"delete-disables", func(p client.Policy) bool { return p.DeleteDisables }}, {"create-as-disabled", func(p client.Policy) bool { return p.CreateAsDisabled }},
		{"no-update-provider-mismatch", func(p client.Policy) bool { return p.NoUpdateProviderMismatch }},
	}
	rows := make([]policyRow, len(switches))
	for i, s := range switches {
		r := policyRow{Name: s.name, Here: s.of(p.Connection), Effective: s.of(p.Effective)}
		for _, a := range p.Agents {
			if s.of(a.Policy) {
				r.There, r.Who = true, append(r.Who, a.Name)
			}
		}
		rows[i] = r
	}
	return rows
}
