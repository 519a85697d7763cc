package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/store/agents"
)

// AgentPath names an agent.
type AgentPath struct {
	ID string `path:"id" doc:"The agent's client ID." maxLength:"64"`
}

func (s *server) agents() {
	const tag = "agents"
	register(s, operation{id: "list-agents", method: http.MethodGet, path: "/agents", tag: tag, summary: "List the agents in customers' networks",
		description: "A connection that has agents is read through them alone, also when all of them are revoked."}, s.listAgents)
	register(s, operation{id: "get-agent", method: http.MethodGet, path: "/agents/{id}", tag: tag, summary: "Show an agent, with the servers it is connected to"},
		func(ctx context.Context, in *AgentPath) (*body[client.Agent], error) {
			return shownAgent(s.Store.AgentTable.Get(ctx, callerOf(ctx).Organization, in.ID))
		})
	register(s, operation{id: "create-agent", method: http.MethodPost, path: "/agents", tag: tag, summary: "Make an agent of a connection; shows its secret this once",
		description: "From then on the connection is read, checked and asked for passwords through its agents alone.", status: http.StatusCreated, fails: []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *body[client.AgentInput]) (*body[client.NewAgent], error) {
			c := callerOf(ctx)
			return newAgent(agents.WithSecret(s.Store.AgentTable.Create(ctx, c.Organization, in.Body.Name, in.Body.Connection, c.Actor)))
		})
	register(s, operation{id: "rotate-agent-secret", method: http.MethodPost, path: "/agents/{id}/secret", tag: tag, summary: "Make another secret; shows it this once",
		description: "The one before ends at once unless it is given a while.", fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *struct {
			AgentPath
			Body *client.AgentRotateInput
		}) (*body[client.NewAgent], error) {
			overlap := time.Duration(0)
			if in.Body != nil && in.Body.OverlapSeconds != nil {
				overlap = time.Duration(*in.Body.OverlapSeconds) * time.Second
			}
			c := callerOf(ctx)
			return newAgent(agents.WithSecret(s.Store.AgentTable.Rotate(ctx, c.Organization, in.ID, overlap, c.Actor)))
		})
	register(s, operation{id: "revoke-agent", method: http.MethodDelete, path: "/agents/{id}", tag: tag, summary: "End an agent for good; its connection is cut at once"},
		func(ctx context.Context, in *AgentPath) (*body[client.Agent], error) {
			return shownAgent(s.Store.AgentTable.Revoke(ctx, callerOf(ctx).Organization, in.ID, callerOf(ctx).Actor))
		})
	register(s, operation{id: "forget-agent", method: http.MethodPost, path: "/agents/{id}/forget", tag: tag, summary: "Take a revoked agent off the list",
		description: "Once a connection has none left on it, the server reads its directory itself.", fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *AgentPath) (*body[client.Agent], error) {
			return shownAgent(s.Store.AgentTable.Forget(ctx, callerOf(ctx).Organization, in.ID, callerOf(ctx).Actor))
		})
	register(s, operation{id: "get-connection-policy", method: http.MethodGet, path: "/connections/{alias}/policy", tag: tag, summary: "Show what a connection may do, with what its agents say",
		description: "What is stricter holds, switch by switch. When accounts are purged is the connection's alone."}, s.connectionPolicy)
}

func newAgent(a client.NewAgent, err error) (*body[client.NewAgent], error) {
	if err != nil {
		return nil, err
	}
	return &body[client.NewAgent]{a}, nil
}

func shownAgent(a *agents.Agent, err error) (*body[client.Agent], error) {
	if err != nil {
		return nil, err
	}
	return &body[client.Agent]{a.Shown()}, nil
}

func (s *server) listAgents(ctx context.Context, in *struct {
	Paging
	Organization string `query:"organization" doc:"Only those of this organization." maxLength:"100"`
	Connection   string `query:"connection" doc:"Only those of this connection." maxLength:"100"`
}) (*pageOf[client.Agent], error) {
	list := fmt.Sprintf("agents %q %q", in.Organization, in.Connection)
	var after string
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	found, err := s.Store.AgentTable.List(ctx, callerOf(ctx).Organization, agents.Filter{Organization: in.Organization, Connection: in.Connection}, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := make([]client.Agent, len(found))
	for i := range found {
		out[i] = found[i].Shown()
	}
	return cut(list, out, in.Limit, func(a client.Agent) any { return a.ID })
}

func (s *server) connectionPolicy(ctx context.Context, in *AliasPath) (*body[client.PolicyInEffect], error) {
	e, err := s.Registry.Describe(ctx, callerOf(ctx).Organization, in.Alias)
	if err != nil {
		return nil, err
	}
	list, err := s.Store.AgentTable.Of(ctx, in.Alias)
	if err != nil {
		return nil, err
	}
	return &body[client.PolicyInEffect]{agents.InEffect(e.Connection.Policy, list)}, nil
}
