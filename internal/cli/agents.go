package cli

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/agents"
)

func (r *root) agents() *cobra.Command {
	cmd := &cobra.Command{Use: "agents", Short: "Make, list and revoke the agents in customers' networks"}
	cmd.AddCommand(r.agentsCreate(), r.agentsList(), r.agentsRotate(), r.agentsRevoke(), r.agentsForget())
	return cmd
}

func (r *root) agentsCreate() *cobra.Command {
	var connection string
	cmd := &cobra.Command{
		Use: "create NAME --connection ALIAS", Short: "Make an agent and print what it signs in with, this once", Args: args(1, "a name, such as that of the machine it runs on"),
		Long: `Makes an agent of a connection and prints client-id:client-secret, which is what
AD_CONNECT_AUTH takes. The secret is kept nowhere: whoever loses it makes another one
by rotate.

A connection that has agents is read, checked and asked for passwords through them,
and through nothing else, also when all of them are revoked: that ends when the last
of those is forgotten.`,
		Example: `  rollcall agents create dc1 --connection hq`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if connection == "" {
				return usage{fmt.Errorf("--connection is missing: whose directory does the agent reach?")}
			}
			return r.at(cmd.Context(), func(a place) error {
				made, err := a.CreateAgent(cmd.Context(), client.AgentInput{Name: words[0], Connection: connection})
				if err != nil {
					return err
				}
				return r.printAgentSecret(made)
			})
		},
	}
	cmd.Flags().StringVar(&connection, "connection", "", "whose directory it reaches")
	return cmd
}

func (r *root) printAgentSecret(a client.NewAgent) error {
	if r.output == "json" {
		return r.json(a)
	}
	fmt.Fprintf(r.Out, "%s:%s\n", a.ID, a.Secret)
	fmt.Fprintf(r.Err, "With this agent %s of connection %s signs in (AD_CONNECT_AUTH). It is not shown again.\n", a.Name, a.Connection)
	if a.OldSecretUntil != nil {
		fmt.Fprintf(r.Err, "The secret before is good until %s.\n", stamp(*a.OldSecretUntil))
	}
	return nil
}

func (r *root) agentsList() *cobra.Command {
	var connection string
	cmd := &cobra.Command{
		Use: "list", Short: "List the agents, and how they are connected", Args: args(0, "no words"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.at(cmd.Context(), func(a place) error {
				list, err := a.Agents(cmd.Context(), connection)
				if err != nil {
					return err
				}
				if r.output == "json" {
					return r.json(append([]client.Agent{}, list...))
				}
				t := r.table(column{"AGENT", fixed}, column{"NAME", wraps}, column{"CONNECTION", fixed}, column{"HEALTH", fixed}, column{"VERSION", fixed}, column{"SEEN", fixed}, column{"FROM", fixed}, column{"PROBLEM", wraps})
				for i := range list {
					a := &list[i]
					var seen any = "never"
					if a.SeenAt != nil {
						seen = *a.SeenAt
					}
					from := ""
					if len(a.Nodes) > 0 {
						from = a.Nodes[0].Address
					}
					t.add(a.ID, a.Name, a.Connection, a.Health, filled(a.Version), seen, from, filled(a.Problem))
				}
				t.end("There are no agents; `rollcall agents create` makes one.")
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&connection, "connection", "", "only those of this connection")
	return cmd
}

func filled(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (r *root) agentsRotate() *cobra.Command {
	var overlap string
	cmd := &cobra.Command{
		Use: "rotate AGENT", Short: "Make another secret and print it, this once", Args: args(1, "an agent's ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			d, err := setting.ParseDuration(overlap)
			if err != nil {
				return usage{fmt.Errorf("--overlap: %w", err)}
			}
			return r.at(cmd.Context(), func(a place) error {
				made, err := a.RotateAgent(cmd.Context(), words[0], d)
				if err != nil {
					return err
				}
				return r.printAgentSecret(made)
			})
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", "0s", "how long the secret before stays good, such as 1h; at 0s an agent that is connected by it is cut")
	return cmd
}

func (r *root) agentsRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke AGENT", Short: "End an agent for good; its connection is cut at once", Args: args(1, "an agent's ID"),
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				gone, err := a.RevokeAgent(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "Revoked agent %s (%s) of connection %s.\n", gone.ID, gone.Name, gone.Connection)
				return nil
			})
		},
	}
}

func (r *root) agentsForget() *cobra.Command {
	return &cobra.Command{
		Use: "forget AGENT", Short: "Take a revoked agent off the list", Args: args(1, "an agent's ID"),
		Long: `Takes a revoked agent off the list. Once a connection has none on it any more, the
server reads its directory itself, by the connection's own settings.`,
		RunE: func(cmd *cobra.Command, words []string) error {
			return r.at(cmd.Context(), func(a place) error {
				gone, err := a.ForgetAgent(cmd.Context(), words[0])
				if err != nil {
					return err
				}
				fmt.Fprintf(r.Out, "Forgot agent %s (%s) of connection %s.\n", gone.ID, gone.Name, gone.Connection)
				left, err := a.Agents(cmd.Context(), gone.Connection)
				if err == nil && len(left) == 0 {
					r.paragraph("", "It was the last one of "+gone.Connection+", which the server reads itself from now on.")
				}
				return err
			})
		},
	}
}

func (d direct) Agents(ctx context.Context, connection string) ([]client.Agent, error) {
	list, err := d.Store.AgentTable.List(ctx, "", agents.Filter{Connection: connection}, "", math.MaxInt32)
	out := make([]client.Agent, len(list))
	for i := range list {
		out[i] = list[i].Shown()
	}
	return out, err
}

func (d direct) CreateAgent(ctx context.Context, in client.AgentInput) (client.NewAgent, error) {
	return agents.WithSecret(d.Store.AgentTable.Create(ctx, "", in.Name, in.Connection, actor()))
}

func (d direct) RotateAgent(ctx context.Context, id string, overlap time.Duration) (client.NewAgent, error) {
	return agents.WithSecret(d.Store.AgentTable.Rotate(ctx, "", id, overlap, actor()))
}

func (d direct) RevokeAgent(ctx context.Context, id string) (client.Agent, error) {
	a, err := d.Store.AgentTable.Revoke(ctx, "", id, actor())
	if err != nil {
		return client.Agent{}, err
	}
	return a.Shown(), nil
}

func (d direct) ForgetAgent(ctx context.Context, id string) (client.Agent, error) {
	a, err := d.Store.AgentTable.Forget(ctx, "", id, actor())
	if err != nil {
		return client.Agent{}, err
	}
	return a.Shown(), nil
}

func (r remote) Agents(ctx context.Context, connection string) ([]client.Agent, error) {
	return gather[client.Agent](r.c.Agents(ctx, connection), math.MaxInt)
}

func (r remote) CreateAgent(ctx context.Context, in client.AgentInput) (client.NewAgent, error) {
	a, err := r.c.CreateAgent(ctx, in)
	return a, told(err)
}

func (r remote) RotateAgent(ctx context.Context, id string, overlap time.Duration) (client.NewAgent, error) {
	seconds := int(overlap / time.Second)
	a, err := r.c.RotateAgentSecret(ctx, id, client.AgentRotateInput{OverlapSeconds: &seconds})
	return a, told(err)
}

func (r remote) RevokeAgent(ctx context.Context, id string) (client.Agent, error) {
	a, err := r.c.RevokeAgent(ctx, id)
	return a, told(err)
}

func (r remote) ForgetAgent(ctx context.Context, id string) (client.Agent, error) {
	a, err := r.c.ForgetAgent(ctx, id)
	return a, told(err)
}
