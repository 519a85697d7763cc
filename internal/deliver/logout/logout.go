// Package logout tells applications that somebody signed out (OpenID Connect
// Back-Channel Logout 1.0): it hands a logout token to each client that asked to be
// told of the logins that ended (package store/grants), be it that the person signed
// out, or that their account was disabled, deleted or given another password. What
// cannot be told is tried again.
package logout

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/deliver/webhook"
	"rollcall.dev/rollcall/internal/store/grants"
	"rollcall.dev/rollcall/internal/store/signing"
)

// Type is that of a logout token, in its header (section 2.4).
const Type = "logout+jwt"

// event is the claim that makes a token one of a sign-out.
const event = "http://schemas.openid.net/event/backchannel-logout"

const (
	atOnce = 64               // clients told at the same time
	lease  = 90 * time.Second // longer than telling one takes
	idle   = time.Second
	life   = 2 * time.Minute // of a token; section 2.4: "at most two minutes in the future"
)

// Schedule is how long to wait after each failed attempt. A day later whoever was
// signed in by an application's own session has been long enough.
var Schedule = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour, 4 * time.Hour, 8 * time.Hour, 12 * time.Hour}

// Worker tells what is due. Any number of them may run on one database.
type Worker struct {
	Issuer        string
	Grants        *grants.Grants
	Keys          *signing.Keys
	Plain, Secure *http.Client // for http and https; see webhook.Clients
	Log           *slog.Logger
	Now           func() time.Time
}

// Run tells what becomes due until ctx ends, and then waits for what is under way.
// A database that is away for a while ends nothing.
func (w *Worker) Run(ctx context.Context) {
	tick := time.NewTicker(idle)
	defer tick.Stop()
	for {
		n, err := w.Step(ctx)
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.Canceled) {
			w.Log.Error("sign-outs could not be looked for", "error", err.Error())
		}
		if n > 0 && err == nil && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Step does what there is to do once and gives how many clients were told, or not.
func (w *Worker) Step(ctx context.Context) (int, error) {
	list, err := w.Grants.ClaimLogouts(ctx, atOnce, lease)
	var under sync.WaitGroup
	for _, l := range list {
		under.Go(func() { w.tell(ctx, l) })
	}
	under.Wait()
	return len(list), err
}

// tell makes one attempt and writes down what became of it. One that has begun goes
// on when the worker is told to end.
func (w *Worker) tell(ctx context.Context, l *grants.Logout) {
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), webhook.TimeLimit+30*time.Second)
	defer cancel()
	failure, gives := w.send(kept, l)
	var next time.Time
	if failure != "" && !gives && l.Attempts < len(Schedule) {
		next = w.Now().Add(Schedule[l.Attempts])
	}
	if failure != "" {
		w.Log.Info("an application could not be told of a sign-out", "client", l.Client, "attempt", l.Attempts+1, "again", !next.IsZero(), "error", failure)
	}
	if err := w.Grants.FinishLogout(kept, l, failure, next); err != nil {
		w.Log.Error("what became of telling a sign-out could not be written; it is told again", "client", l.Client, "error", err.Error())
	}
}

// token is what a client is told (section 2.4).
func (w *Worker) token(ctx context.Context, l *grants.Logout) (string, error) {
	now := w.Now()
	claims, err := json.Marshal(map[string]any{"iss": w.Issuer, "sub": l.Account.String(), "aud": l.Client, "iat": now.Unix(), "exp": now.Add(life).Unix(), "jti": rand.Text(), "sid": l.Login,
		"events": map[string]any{event: struct{}{}}})
	if err != nil {
		return "", err
	}
	return w.Keys.Sign(ctx, jose.SignatureAlgorithm(l.Algorithm), Type, claims)
}

// send gives why a client could not be told, "" where it was, and whether trying
// again is of no use.
func (w *Worker) send(ctx context.Context, l *grants.Logout) (failure string, gives bool) {
	if l.URI == "" {
		return "the client has no back-channel logout URI any more", true
	}
	token, err := w.token(ctx, l)
	if err != nil {
		return err.Error(), false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.URI, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return "the address cannot be read", true
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := w.Secure
	if req.URL.Scheme != "https" {
		client = w.Plain
	}
	resp, err := client.Do(req)
	if err != nil {
		return webhook.Explain(err), false
	}
	defer resp.Body.Close()                                       //nolint:errcheck // the status says all that counts
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return strings.TrimSpace(fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))), false
	}
	return "", false
}
