package api

import (
	"context"
	"net/http"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/store/pushers"
)

// pushes are the operations on what SCIM clients sign in with, and on what they sent.
func (s *server) pushes() {
	const tag = "connections"
	register(s, operation{id: "create-push-token", method: http.MethodPost, path: "/connections/{alias}/token", tag: tag, summary: "Make a token for a SCIM client; shows its secret this once",
		description: "For connections of kind scim. Two of each kind are valid at a time, so that one can be changed for the other without a gap.",
		status:      http.StatusCreated, fails: []int{http.StatusConflict}}, s.createPushToken)
	register(s, operation{id: "rotate-push-token", method: http.MethodPost, path: "/connections/{alias}/token/rotate", tag: tag, summary: "Make another token in the place of the newest; shows its secret this once",
		description: "For a while both are good, so that the identity provider can change over. Of three the oldest ends at once.",
		status:      http.StatusCreated, fails: []int{http.StatusConflict}}, s.rotatePushToken)
	register(s, operation{id: "list-push-tokens", method: http.MethodGet, path: "/connections/{alias}/tokens", tag: tag, summary: "List the tokens of SCIM clients, also those that ended lately",
		fails: []int{http.StatusConflict}}, s.listPushTokens)
	register(s, operation{id: "revoke-push-token", method: http.MethodDelete, path: "/connections/{alias}/tokens/{id}", tag: tag, summary: "End a token of a SCIM client at once",
		description: "And every access token that was given for it. It stays in the list, as revoked.", fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *struct {
			AliasPath
			ID string `path:"id" doc:"How its secret begins." maxLength:"64"`
		}) (*body[client.PushToken], error) {
			if _, err := s.entry(ctx, in.Alias); err != nil {
				return nil, err
			}
			t, err := s.Store.PusherTable.Revoke(ctx, in.Alias, in.ID, callerOf(ctx).Actor)
			return &body[client.PushToken]{t.Shown()}, err
		})
	register(s, operation{id: "list-exchanges", method: http.MethodGet, path: "/connections/{alias}/exchanges", tag: tag, summary: "List the last requests of SCIM clients, the newest first",
		description: "The last 500 of a connection are kept. What they say of people is shortened before it is kept, unless the connection's settings say otherwise.",
		fails:       []int{http.StatusConflict}}, s.listExchanges)
	register(s, operation{id: "get-exchange", method: http.MethodGet, path: "/connections/{alias}/exchanges/{id}", tag: tag, summary: "Show one of them with its bodies", fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *struct {
			AliasPath
			ID int64 `path:"id" minimum:"1"`
		}) (*body[client.Exchange], error) {
			if _, err := s.entry(ctx, in.Alias); err != nil {
				return nil, err
			}
			e, err := s.Store.PusherTable.OneExchange(ctx, in.Alias, in.ID)
			return &body[client.Exchange]{e.Shown()}, err
		})
}

func (s *server) createPushToken(ctx context.Context, in *struct {
	AliasPath
	Body *client.PushTokenInput
}) (*body[client.NewPushToken], error) {
	if _, err := s.entry(ctx, in.Alias); err != nil {
		return nil, err
	}
	var wanted client.PushTokenInput
	if in.Body != nil {
		wanted = *in.Body
	}
	made, err := s.Store.PusherTable.Make(ctx, in.Alias, wanted, s.Installation.PublicURL, callerOf(ctx).Actor)
	return &body[client.NewPushToken]{made}, err
}

func (s *server) rotatePushToken(ctx context.Context, in *struct {
	AliasPath
	Body *client.PushRotateInput
}) (*body[client.NewPushToken], error) {
	if _, err := s.entry(ctx, in.Alias); err != nil {
		return nil, err
	}
	var wanted client.PushRotateInput
	if in.Body != nil {
		wanted = *in.Body
	}
	made, err := s.Store.PusherTable.Replace(ctx, in.Alias, wanted, s.Installation.PublicURL, callerOf(ctx).Actor)
	return &body[client.NewPushToken]{made}, err
}

func (s *server) listPushTokens(ctx context.Context, in *AliasPath) (*pageOf[client.PushToken], error) {
	if _, err := s.entry(ctx, in.Alias); err != nil {
		return nil, err
	}
	found, err := s.Store.PusherTable.List(ctx, in.Alias)
	if err != nil {
		return nil, err
	}
	out := make([]client.PushToken, len(found))
	for i := range found {
		out[i] = found[i].Shown()
	}
	return &pageOf[client.PushToken]{Body: Page[client.PushToken]{Items: out}}, nil
}

func (s *server) listExchanges(ctx context.Context, in *struct {
	AliasPath
	Paging
	Failed bool `query:"failed" doc:"Only those answered with a status of 400 and above."`
}) (*pageOf[client.Exchange], error) {
	if _, err := s.entry(ctx, in.Alias); err != nil {
		return nil, err
	}
	list := "exchanges " + in.Alias
	if in.Failed {
		list += " failed"
	}
	var before int64
	if err := openCursor(list, in.Cursor, &before); err != nil {
		return nil, err
	}
	found, err := s.Store.PusherTable.Exchanges(ctx, in.Alias, pushers.Filter{Failed: in.Failed}, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := make([]client.Exchange, len(found))
	for i := range found {
		found[i].Request, found[i].Answer = "", ""
		out[i] = found[i].Shown()
	}
	return cut(list, out, in.Limit, func(e client.Exchange) any { return e.ID })
}
