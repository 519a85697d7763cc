package client

import (
	"context"
	"iter"
	"net/http"
)

// Webhook gives a webhook.
func (c *Client) Webhook(ctx context.Context, id string) (Webhook, error) {
	return Get[Webhook](ctx, c, "/webhooks/"+part(id), nil)
}

// UpdateWebhook changes a webhook, or switches it on again.
func (c *Client) UpdateWebhook(ctx context.Context, id string, in WebhookPatchInput) (Webhook, error) {
	return Send[Webhook](ctx, c, http.MethodPatch, "/webhooks/"+part(id), nil, in)
}

// RotateWebhook makes another secret and gives it; for a while both are good.
func (c *Client) RotateWebhook(ctx context.Context, id string, in RotateInput) (NewWebhook, error) {
	return Send[NewWebhook](ctx, c, http.MethodPost, "/webhooks/"+part(id)+"/secret", nil, in)
}

// TestWebhook sends a message that tells of nothing.
func (c *Client) TestWebhook(ctx context.Context, id string) (Delivery, error) {
	return Send[Delivery](ctx, c, http.MethodPost, "/webhooks/"+part(id)+"/test", nil, nil)
}

// ReplayWebhook sends again what was given up, or everything behind an event.
func (c *Client) ReplayWebhook(ctx context.Context, id string, in ReplayInput) (Replayed, error) {
	return Send[Replayed](ctx, c, http.MethodPost, "/webhooks/"+part(id)+"/replay", nil, in)
}

// Deliveries goes through those of a webhook, the newest first; state may be "".
func (c *Client) Deliveries(ctx context.Context, webhook, state string) iter.Seq2[Delivery, error] {
	return each[Delivery](ctx, c, "/webhooks/"+part(webhook)+"/deliveries", query("state", state))
}

// Delivery gives a delivery with the body that is sent.
func (c *Client) Delivery(ctx context.Context, id string) (SentDelivery, error) {
	return Get[SentDelivery](ctx, c, "/deliveries/"+part(id), nil)
}

// Attempts gives every try of a delivery, the first one first.
func (c *Client) Attempts(ctx context.Context, delivery string) ([]Attempt, error) {
	var out struct {
		Items []Attempt `json:"items"`
	}
	err := c.do(ctx, call{method: http.MethodGet, path: "/deliveries/" + part(delivery) + "/attempts"}, &out)
	return out.Items, err
}

// ReplayDelivery sends one message again, under its ID.
func (c *Client) ReplayDelivery(ctx context.Context, id string) (Delivery, error) {
	return Send[Delivery](ctx, c, http.MethodPost, "/deliveries/"+part(id)+"/replay", nil, nil)
}
