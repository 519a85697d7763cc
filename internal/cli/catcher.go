package cli

import (
	"context"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/deliver/webhook"
)

// catcher is an application in small: it takes what a webhook sends, checks the
// signature, and shows it.
type catcher struct {
	url    string
	web    *http.Server
	secret atomic.Pointer[string]
}

// startCatcher listens on this machine. Each delivery becomes a line.
func startCatcher(ctx context.Context, lines chan<- string) (*catcher, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &catcher{url: "http://" + l.Addr().String() + "/hook"}
	c.web = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		line, ok := c.read(req)
		if !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		select {
		case lines <- line:
			w.WriteHeader(http.StatusNoContent)
		case <-req.Context().Done():
		}
	})}
	go func() { _ = c.web.Serve(l) }() //nolint:errcheck // it ends by close
	return c, nil
}

func (c *catcher) expect(secret string) { c.secret.Store(&secret) }

func (c *catcher) close() error { return c.web.Close() }

// signed checks a delivery as an application does that goes by Standard Webhooks.
func signed(secret string, h http.Header, body []byte) bool {
	seconds, err := strconv.ParseInt(h.Get("Webhook-Timestamp"), 10, 64)
	at := time.Unix(seconds, 0)
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return false
	}
	want, err := webhook.Sign([]string{secret}, h.Get("Webhook-Id"), at, body)
	return err == nil && slices.ContainsFunc(strings.Fields(h.Get("Webhook-Signature")), func(got string) bool { return hmac.Equal([]byte(got), []byte(want)) })
}

// ask has the demonstration's connection run now, as an application would.
func (c *catcher) ask(ctx context.Context, base, key string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/connections/demo/sync", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("the run was answered with %s", res.Status)
	}
	return errors.Join(err, res.Body.Close())
}

// read makes a line of a delivery whose signature is right.
func (c *catcher) read(req *http.Request) (string, bool) {
	body, err := io.ReadAll(io.LimitReader(req.Body, 1<<20))
	secret := c.secret.Load()
	if err != nil || secret == nil || !signed(*secret, req.Header, body) {
		return "", false
	}
	var m struct {
		Type string
		Data struct {
			ID            int64
			Account, Run  *string
			Before, After map[string]any
			Why           string
		}
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return "", false
	}
	text := fmt.Sprintf("%s  webhook    %-20s event %d", time.Now().Format(time.TimeOnly), m.Type, m.Data.ID)
	name := func(fields map[string]any) string {
		if s, ok := fields["username"].(string); ok {
			return " " + s
		}
		return ""
	}
	switch {
	case m.Data.After["title"] != nil && m.Data.Before["title"] != nil:
		text += fmt.Sprintf("  title %q, was %q", m.Data.After["title"], m.Data.Before["title"])
	case m.Data.After["username"] != nil:
		text += " " + name(m.Data.After)
	case m.Data.After["status"] != nil:
		text += fmt.Sprintf("  %v", m.Data.After["status"])
	}
	return text, true
}
