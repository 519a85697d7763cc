package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/endpoint/agent"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/operate"
	"rollcall.dev/rollcall/internal/store"
	"rollcall.dev/rollcall/internal/store/agents"
	"rollcall.dev/rollcall/internal/tunnel"
)

// known are the agents of a connection, as the tunnel wants to know of them.
func known(ctx context.Context, s *store.Store, connection string) ([]tunnel.Agent, error) {
	list, err := s.AgentTable.Of(ctx, connection)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil // one that is not saved yet has none
	}
	out := make([]tunnel.Agent, len(list))
	for i := range list {
		out[i] = tunnel.Agent{ID: list[i].ID, Name: list[i].Name, Kind: list[i].Kind, Policy: list[i].Policy, Revoked: !list[i].RevokedAt.IsZero()}
	}
	return out, err
}

// agents is where agents connect.
func (s *Server) agents() *agent.Endpoint {
	s.Hub.Program, s.Hub.Sync, s.Hub.Nodes = s.Version, s.syncForAgent, s.nodes
	return agent.New(agent.Deps{Hub: s.Hub, Agents: s.Store.AgentTable, Node: s.Operator.Node(), TrustedProxies: s.Config.Console.TrustedProxies, Log: s.Log})
}

// nodes is how many there are for agents to connect to. What is compared is all by the
// clock of the database.
func (s *Server) nodes(ctx context.Context) (int, error) {
	list, err := s.Operator.Nodes(ctx)
	var last time.Time
	for i := range list {
		if list[i].SeenAt.After(last) {
			last = list[i].SeenAt
		}
	}
	n := 0
	for i := range list {
		if !list[i].Draining && last.Sub(list[i].SeenAt) < operate.DefaultTiming.Gone {
			n++
		}
	}
	return n, err
}

// elsewhere says that a connection's agent is connected to another node, or to none yet
// since this one has started: it dials again by itself.
func (s *Server) elsewhere(ctx context.Context, connection string) (string, error) {
	if s.Hub.Connected(connection) > 0 {
		return "", nil
	}
	list, err := s.Store.AgentTable.Of(ctx, connection)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	young := time.Since(s.began) < agents.Silence && !s.Hub.Met(connection)
	for i := range list {
		a := &list[i]
		if !a.RevokedAt.IsZero() {
			continue
		}
		if slices.ContainsFunc(a.Seen, func(p agents.Presence) bool { return p.Node != s.Operator.Node() }) {
			return fmt.Sprintf("connection %s is read by an agent that is connected to another node", connection), nil
		}
		if young && !a.SeenAt.IsZero() {
			return fmt.Sprintf("connection %s is read by an agent that has not connected since this node has started", connection), nil
		}
	}
	return "", nil
}

// syncForAgent makes a run that an agent asks for, and waits for its end.
func (s *Server) syncForAgent(ctx context.Context, connection, id string, full bool, report func(tunnel.Progress)) (json.RawMessage, error) {
	run, err := s.Operator.Sync(ctx, connection, full, "agent", "agent:"+id)
	if err != nil {
		return nil, err
	}
	var last *engine.Run
	err = s.Operator.Follow(ctx, run.ID, func(r *engine.Run) error {
		if last = r; r.Progress != nil {
			report(tunnel.Progress{Phase: r.Progress.Phase, Done: r.Progress.Done, Total: r.Progress.Total})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if last.State == engine.RunFailed {
		text := "it was not told why"
		if last.Error != nil {
			text = *last.Error
		}
		return nil, fault.New(fault.Unavailable, "run %s failed: %s", last.ID, text).WithHint("the list of runs at the server, and its log, have more about it")
	}
	return json.Marshal(last)
}
