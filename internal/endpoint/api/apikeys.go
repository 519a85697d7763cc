package api

import (
	"context"
	"net/http"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/keys"
)

func (s *server) apikeys() {
	register(s, operation{id: "list-apikeys", method: http.MethodGet, path: "/apikeys", tag: "apikeys", summary: "List API keys, revoked ones too",
		description: "A key of one organization sees those of that organization."}, s.listKeys)
	register(s, operation{id: "create-apikey", method: http.MethodPost, path: "/apikeys", tag: "apikeys", summary: "Make an API key, shown this once",
		description: "Not one that reaches further than the key that asks.", status: http.StatusCreated}, s.createKey)
	register(s, operation{id: "revoke-apikey", method: http.MethodDelete, path: "/apikeys/{id}", tag: "apikeys", summary: "End an API key at once",
		description: "It stays in the list, as revoked."}, func(ctx context.Context, in *struct {
		ID string `path:"id" doc:"How the key begins." maxLength:"64"`
	}) (*body[*keys.Key], error) {
		k, err := s.Store.KeyTable.Revoke(ctx, callerOf(ctx).Organization, in.ID, callerOf(ctx).Actor)
		return &body[*keys.Key]{k}, err
	})
}

func (s *server) listKeys(ctx context.Context, in *struct{ Paging }) (*pageOf[*keys.Key], error) {
	const list = "apikeys"
	var after keys.Place
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	found, err := s.Store.KeyTable.List(ctx, callerOf(ctx).Organization, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(k *keys.Key) any { return k.Place() })
}

func (s *server) createKey(ctx context.Context, in *body[client.KeyInput]) (*body[client.NewKey], error) {
	scope, err := keys.ParseScope(in.Body.Scope)
	if err != nil {
		return nil, err
	}
	who := callerOf(ctx)
	if who.Organization != "" && scope.Organization != "" && scope.Organization != who.Organization {
		return nil, noOrganization(scope.Organization)
	}
	if own := (keys.Scope{Organization: who.Organization, ReadOnly: who.ReadOnly}); !own.Holds(scope) {
		return nil, fault.New(fault.Denied, "the scope %s reaches further than your own, %s", scope, own).
			WithHint("ask for organization:%s or organization:%[1]s:read-only", who.Organization)
	}
	var expires time.Time
	if in.Body.ExpiresAt != nil {
		expires = *in.Body.ExpiresAt
	}
	text, k, err := s.Store.KeyTable.Create(ctx, scope, in.Body.Name, expires, who.Actor)
	if err != nil {
		return nil, err
	}
	out := client.NewKey{Secret: text, Key: client.Key{ID: k.ID, Name: k.Name, Scope: scope.String(), CreatedBy: k.CreatedBy, CreatedAt: k.CreatedAt}}
	if !k.ExpiresAt.IsZero() {
		out.ExpiresAt = &k.ExpiresAt
	}
	return &body[client.NewKey]{out}, nil
}
