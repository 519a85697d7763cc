package app

import (
	"context"
	"net/http"

	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/endpoint/console"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

// console is the web console over the API: whoever is signed in there is who asks
// here.
func (s *Server) console(over http.Handler) (http.Handler, error) {
	return console.New(console.Deps{
		Deps: shell.Deps{
			API: over, PublicURL: s.Config.PublicURL, Version: s.Version, Log: s.Log,
			As: func(ctx context.Context, me *shell.Me) context.Context {
				return api.As(ctx, api.Caller{ID: me.ID, Organization: me.Organization, ReadOnly: me.ReadOnly, Actor: me.Actor(), Connection: me.Connection, Makes: me.Makes})
			},
		},
		Admins: s.Store.AdminTable, Setups: s.Store.SetupTable, Kinds: s.Registry.Kinds,
	})
}
