package agents

import (
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/setting"
)

// Shown is an agent as people see it.
func (a *Agent) Shown() client.Agent {
	out := client.Agent{ID: a.ID, Name: a.Name, Connection: a.Connection, Organization: a.Organization, Health: "away", Version: some(a.Version), Kind: some(a.Kind), SeenAt: moment(a.SeenAt),
		Nodes: []client.AgentPresence{}, OldSecretUntil: moment(a.OldUntil), CreatedAt: a.CreatedAt, CreatedBy: a.CreatedBy, RotatedAt: moment(a.RotatedAt), RevokedAt: moment(a.RevokedAt), RevokedBy: some(a.RevokedBy)}
	if a.Policy != nil {
		p := ShownPolicy(*a.Policy)
		out.Policy = &p
	}
	for i := range a.Seen {
		p := &a.Seen[i]
		out.Nodes = append(out.Nodes, client.AgentPresence{Node: p.Node, Address: p.Address, Version: p.Version, Since: p.Since, SeenAt: p.SeenAt, Latency: p.Latency.Microseconds(), Problem: some(p.Problem)})
		if out.Problem == nil {
			out.Problem = some(p.Problem)
		}
	}
	switch {
	case !a.RevokedAt.IsZero():
		out.Health = "revoked"
	case a.Connected() && out.Problem != nil:
		out.Health = "failing"
	case a.Connected():
		out.Health = "ok"
	case a.SeenAt.IsZero():
		out.Health = "new"
	}
	return out
}

// ShownPolicy is a policy's switches as people see them.
func ShownPolicy(p setting.Policy) client.Policy {
	return client.Policy{DryRun: p.DryRun, NoCreate: p.NoCreate, NoUpdate: p.NoUpdate, NoDelete: p.NoDelete, DeleteDisables: p.DeleteDisables,
		CreateAsDisabled: p.CreateAsDisabled, NoUpdateProviderMismatch: p.NoUpdateProviderMismatch}
}

// InEffect is a connection's policy beside those of its agents, as people see them.
func InEffect(policy setting.Policy, list []Agent) client.PolicyInEffect {
	out := client.PolicyInEffect{Connection: ShownPolicy(policy), Agents: []client.AgentPolicy{}, Effective: ShownPolicy(Effective(policy, list))}
	for i := range list {
		if a := &list[i]; a.Policy != nil && a.RevokedAt.IsZero() {
			out.Agents = append(out.Agents, client.AgentPolicy{ID: a.ID, Name: a.Name, Policy: ShownPolicy(*a.Policy)})
		}
	}
	return out
}

// WithSecret is an agent with a secret that its maker sees, once.
func WithSecret(a *Agent, secret string, err error) (client.NewAgent, error) {
	if err != nil {
		return client.NewAgent{}, err
	}
	return client.NewAgent{Agent: a.Shown(), Secret: secret}, nil
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
