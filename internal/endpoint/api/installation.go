package api

import (
	"context"
	"net/http"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
)

func (s *server) installation() {
	register(s, operation{id: "get-installation", method: http.MethodGet, path: "/installation", tag: "overview", summary: "Show what the installation is, and which nodes serve it",
		description: "For keys that reach all organizations.", fails: []int{http.StatusForbidden}}, s.getInstallation)
}

func (s *server) getInstallation(ctx context.Context, _ *struct{}) (*body[client.Installation], error) {
	if callerOf(ctx).Organization != "" {
		return nil, fault.New(fault.Denied, "this is the operators'").WithHint("use a key with the scope operator or read-only")
	}
	out := s.Installation
	if out.Notifications == nil {
		out.Notifications = []string{}
	}
	found, err := s.Store.Nodes.List(ctx)
	if err != nil {
		return nil, err
	}
	out.Nodes = make([]client.Node, len(found))
	for i, n := range found {
		out.Nodes[i] = client.Node(n)
	}
	return &body[client.Installation]{out}, nil
}
