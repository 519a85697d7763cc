package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"rollcall.dev/rollcall/internal/deliver/webhook"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/hooks"
	"rollcall.dev/rollcall/internal/store/notices"
)

// caller sends notices to the operator's webhook. Its address stands in the
// configuration, so it may lead anywhere.
type caller struct {
	to     setting.NotificationWebhook
	client *http.Client
	now    func() time.Time
}

func newCaller(to setting.NotificationWebhook, now func() time.Time) *caller {
	return &caller{to: to, now: now, client: &http.Client{
		Timeout:       webhook.TimeLimit,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// call is what is sent as "data".
type call struct {
	notices.Notice
	Title string `json:"title"`
	Hint  string `json:"hint"`
}

func (c *caller) send(ctx context.Context, m *notices.Message) error {
	w := say(m, "")
	data, err := json.Marshal(call{m.Notice, w.Title, w.Hint})
	if err != nil {
		return err
	}
	kind, at, id := "notice."+string(m.Reason), m.FirstAt, "ntc_"+m.ID+"_"+seconds(m.SentAt)
	if m.Ended {
		kind, at, id = kind+".ended", *m.EndedAt, "ntc_"+m.ID+"_ended"
	}
	body, err := hooks.Body(kind, at, data)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.to.URL, bytes.NewReader(body))
	if err != nil {
		return fault.New(fault.Invalid, "notifications: webhook.url cannot be read")
	}
	if err := webhook.Headers(req.Header, []string{c.to.Secret}, id, c.now(), body); err != nil {
		return err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		var u *url.Error // its text holds the whole address
		if errors.As(err, &u) {
			err = u.Err
		}
		return fault.New(fault.Unavailable, "call the webhook of notifications: %w", err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	if err = errors.Join(err, resp.Body.Close()); resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fault.New(fault.Unavailable, "call the webhook of notifications: it answered %d", resp.StatusCode)
	}
	return err
}
