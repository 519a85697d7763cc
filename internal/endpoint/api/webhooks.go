package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/store/hooks"
)

// WebhookPath names a webhook.
type WebhookPath struct {
	ID string `path:"id" doc:"The webhook's ID." maxLength:"64"`
}

// DeliveryPath names a delivery.
type DeliveryPath struct {
	ID string `path:"id" doc:"The delivery's ID." maxLength:"64"`
}

// newWebhook is a webhook with its secret.
type newWebhook struct {
	*hooks.Webhook
	Secret string `json:"secret"`
}

// sentDelivery is a delivery with what is sent.
type sentDelivery struct {
	*hooks.Delivery
	Body json.RawMessage `json:"body"`
}

func (s *server) webhooks() {
	const tag = "webhooks"
	register(s, operation{id: "list-webhooks", method: http.MethodGet, path: "/webhooks", tag: tag, summary: "List webhooks"}, s.listWebhooks)
	register(s, operation{id: "get-webhook", method: http.MethodGet, path: "/webhooks/{id}", tag: tag, summary: "Show a webhook"},
		func(ctx context.Context, in *WebhookPath) (*body[*hooks.Webhook], error) {
			w, err := s.Store.HookTable.Get(ctx, callerOf(ctx).Organization, in.ID)
			return &body[*hooks.Webhook]{w}, err
		})
	register(s, operation{id: "create-webhook", method: http.MethodPost, path: "/webhooks", tag: tag, summary: "Tell an address of events; shows the secret this once",
		status: http.StatusCreated, fails: []int{http.StatusNotFound, http.StatusConflict}},
		func(ctx context.Context, in *body[client.WebhookInput]) (*body[newWebhook], error) {
			b := in.Body
			w, secret, err := s.Store.HookTable.Create(ctx, callerOf(ctx).Organization, hooks.Spec{Organization: b.Organization, URL: b.URL, Description: b.Description,
				Types: b.Types, Disabled: b.Disabled, Secret: b.Secret, From: b.From}, callerOf(ctx).Actor)
			return &body[newWebhook]{newWebhook{w, secret}}, err
		})
	register(s, operation{id: "update-webhook", method: http.MethodPatch, path: "/webhooks/{id}", tag: tag, summary: "Change a webhook, or switch it on again", fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *struct {
			WebhookPath
			Body client.WebhookPatchInput
		}) (*body[*hooks.Webhook], error) {
			b := in.Body
			w, err := s.Store.HookTable.Update(ctx, callerOf(ctx).Organization, in.ID, hooks.Patch{URL: b.URL, Description: b.Description, Types: b.Types, Enabled: b.Enabled, From: b.From}, callerOf(ctx).Actor)
			return &body[*hooks.Webhook]{w}, err
		})
	register(s, operation{id: "delete-webhook", method: http.MethodDelete, path: "/webhooks/{id}", tag: tag, summary: "Take a webhook away, with its deliveries", status: http.StatusNoContent},
		func(ctx context.Context, in *WebhookPath) (*struct{}, error) {
			return nil, s.Store.HookTable.Delete(ctx, callerOf(ctx).Organization, in.ID, callerOf(ctx).Actor)
		})
	register(s, operation{id: "rotate-webhook-secret", method: http.MethodPost, path: "/webhooks/{id}/secret", tag: tag, summary: "Make another secret; shows it this once",
		description: "For a while messages are signed with both, so that the receiver can change over."}, s.rotate)
	s.deliveries(tag)
}

func (s *server) deliveries(tag string) {
	register(s, operation{id: "test-webhook", method: http.MethodPost, path: "/webhooks/{id}/test", tag: tag, summary: "Send a test message", status: http.StatusAccepted, fails: []int{http.StatusConflict}},
		func(ctx context.Context, in *WebhookPath) (*body[*hooks.Delivery], error) {
			d, err := s.Store.HookTable.Test(ctx, callerOf(ctx).Organization, in.ID)
			return &body[*hooks.Delivery]{d}, err
		})
	register(s, operation{id: "replay-webhook", method: http.MethodPost, path: "/webhooks/{id}/replay", tag: tag, summary: "Send again what was given up, or everything since an event",
		status: http.StatusAccepted, fails: []int{http.StatusConflict, http.StatusGone}}, s.replay)
	register(s, operation{id: "list-deliveries", method: http.MethodGet, path: "/webhooks/{id}/deliveries", tag: tag, summary: "List the deliveries of a webhook, the newest first"}, s.listDeliveries)
	register(s, operation{id: "get-delivery", method: http.MethodGet, path: "/deliveries/{id}", tag: tag, summary: "Show a delivery, with the body that is sent"},
		func(ctx context.Context, in *DeliveryPath) (*body[sentDelivery], error) {
			d, err := s.Store.HookTable.Delivery(ctx, callerOf(ctx).Organization, in.ID)
			if err != nil {
				return nil, err
			}
			sent, err := s.Store.HookTable.Sent(ctx, d)
			return &body[sentDelivery]{sentDelivery{d, sent}}, err
		})
	register(s, operation{id: "list-attempts", method: http.MethodGet, path: "/deliveries/{id}/attempts", tag: tag, summary: "List every attempt of a delivery"},
		func(ctx context.Context, in *DeliveryPath) (*pageOf[hooks.Attempt], error) {
			list, err := s.Store.HookTable.Attempts(ctx, callerOf(ctx).Organization, in.ID)
			return &pageOf[hooks.Attempt]{Body: Page[hooks.Attempt]{Items: append([]hooks.Attempt{}, list...)}}, err
		})
	register(s, operation{id: "replay-delivery", method: http.MethodPost, path: "/deliveries/{id}/replay", tag: tag, summary: "Send one message again, under its ID", status: http.StatusAccepted, fails: []int{http.StatusConflict, http.StatusGone}},
		func(ctx context.Context, in *DeliveryPath) (*body[*hooks.Delivery], error) {
			d, err := s.Store.HookTable.Replay(ctx, callerOf(ctx).Organization, in.ID, callerOf(ctx).Actor)
			return &body[*hooks.Delivery]{d}, err
		})
}

func (s *server) listWebhooks(ctx context.Context, in *struct{ Paging }) (*pageOf[*hooks.Webhook], error) {
	const list = "webhooks"
	var after string
	if err := openCursor(list, in.Cursor, &after); err != nil {
		return nil, err
	}
	found, err := s.Store.HookTable.List(ctx, callerOf(ctx).Organization, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(w *hooks.Webhook) any { return w.ID })
}

func (s *server) rotate(ctx context.Context, in *struct {
	WebhookPath
	Body *client.RotateInput
}) (*body[newWebhook], error) {
	overlap := hooks.Overlap
	if in.Body != nil && in.Body.OverlapSeconds != nil {
		overlap = time.Duration(*in.Body.OverlapSeconds) * time.Second
	}
	w, secret, err := s.Store.HookTable.RotateSecret(ctx, callerOf(ctx).Organization, in.ID, overlap, callerOf(ctx).Actor)
	return &body[newWebhook]{newWebhook{w, secret}}, err
}

func (s *server) replay(ctx context.Context, in *struct {
	WebhookPath
	Body *client.ReplayInput
}) (*body[client.Replayed], error) {
	who := callerOf(ctx)
	if in.Body != nil && in.Body.After != nil {
		return &body[client.Replayed]{}, s.Store.HookTable.ReplaySince(ctx, who.Organization, in.ID, *in.Body.After, who.Actor)
	}
	n, err := s.Store.HookTable.ReplayDead(ctx, who.Organization, in.ID, who.Actor)
	return &body[client.Replayed]{client.Replayed{Deliveries: &n}}, err
}

func (s *server) listDeliveries(ctx context.Context, in *struct {
	WebhookPath
	Paging
	State string `query:"state" enum:"pending,delivered,dead" doc:"Only those in this state."`
}) (*pageOf[*hooks.Delivery], error) {
	list := fmt.Sprintf("deliveries %q %q", in.ID, in.State)
	var before string
	if err := openCursor(list, in.Cursor, &before); err != nil {
		return nil, err
	}
	found, err := s.Store.HookTable.Deliveries(ctx, callerOf(ctx).Organization, in.ID, hooks.State(in.State), before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return cut(list, found, in.Limit, func(d *hooks.Delivery) any { return d.ID })
}
