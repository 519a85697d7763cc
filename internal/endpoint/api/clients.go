package api

import (
	"context"
	"net/http"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/store/clients"
)

// ClientPath names a client of OpenID Connect.
type ClientPath struct {
	ID string `path:"id" doc:"The client_id." maxLength:"64"`
}

// newClient is a client with its secret.
type newClient struct {
	*clients.Client
	Secret *string `json:"client_secret"`
}

// made shows a secret where there is one.
func made(c *clients.Client, secret string) *body[newClient] {
	out := newClient{Client: c}
	if secret != "" {
		out.Secret = &secret
	}
	return &body[newClient]{out}
}

func (s *server) clients() {
	const tag = "clients"
	register(s, operation{id: "list-clients", method: http.MethodGet, path: "/clients", tag: tag, summary: "List the applications that people sign in to",
		description: "Clients of OpenID Connect. A key of one organization sees those of that organization."}, s.listClients)
	register(s, operation{id: "get-client", method: http.MethodGet, path: "/clients/{id}", tag: tag, summary: "Show a client"},
		func(ctx context.Context, in *ClientPath) (*body[*clients.Client], error) {
			c, err := s.Store.ClientTable.Get(ctx, callerOf(ctx).Organization, in.ID)
			return &body[*clients.Client]{c}, err
		})
	register(s, operation{id: "create-client", method: http.MethodPost, path: "/clients", tag: tag, summary: "Register an application; shows its secret this once",
		status: http.StatusCreated, fails: []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *body[client.OIDCClientInput]) (*body[newClient], error) {
			b := in.Body
			c, secret, err := s.Store.ClientTable.Create(ctx, callerOf(ctx).Organization,
				clients.Spec{Organization: b.Organization, Type: clients.Type(b.Type), OIDCClientPatchInput: b.OIDCClientPatchInput}, callerOf(ctx).Actor)
			if err != nil {
				return nil, err
			}
			return made(c, secret), nil
		})
	register(s, operation{id: "update-client", method: http.MethodPatch, path: "/clients/{id}", tag: tag, summary: "Change a client",
		description: "Its type and its organization stay. Tokens it has stay good for as long as they were made for."},
		func(ctx context.Context, in *struct {
			ClientPath
			Body client.OIDCClientPatchInput
		}) (*body[*clients.Client], error) {
			c, err := s.Store.ClientTable.Update(ctx, callerOf(ctx).Organization, in.ID, clients.Spec{OIDCClientPatchInput: in.Body}, callerOf(ctx).Actor)
			return &body[*clients.Client]{c}, err
		})
	register(s, operation{id: "delete-client", method: http.MethodDelete, path: "/clients/{id}", tag: tag, summary: "Take a client away, with everything it was given", status: http.StatusNoContent},
		func(ctx context.Context, in *ClientPath) (*struct{}, error) {
			return nil, s.Store.ClientTable.Delete(ctx, callerOf(ctx).Organization, in.ID, callerOf(ctx).Actor)
		})
	register(s, operation{id: "rotate-client-secret", method: http.MethodPost, path: "/clients/{id}/secret", tag: tag, summary: "Make another secret; shows it this once",
		description: "For a while both are good, so that the application can change over.", fails: []int{http.StatusConflict}}, s.rotateClient)
}

func (s *server) listClients(ctx context.Context, in *struct{ Paging }) (*pageOf[*clients.Client], error) {
	const list = "clients"
	var after string
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	found, err := s.Store.ClientTable.List(ctx, callerOf(ctx).Organization, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(c *clients.Client) any { return c.ID })
}

func (s *server) rotateClient(ctx context.Context, in *struct {
	ClientPath
	Body *client.RotateInput
}) (*body[newClient], error) {
	overlap := clients.Overlap
	if in.Body != nil && in.Body.OverlapSeconds != nil {
		overlap = time.Duration(*in.Body.OverlapSeconds) * time.Second
	}
	c, secret, err := s.Store.ClientTable.RotateSecret(ctx, callerOf(ctx).Organization, in.ID, overlap, callerOf(ctx).Actor)
	if err != nil {
		return nil, err
	}
	return made(c, secret), nil
}
