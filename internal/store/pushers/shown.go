package pushers

import (
	"context"
	"net/url"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/fault"
)

// TenantURL is where a client pushes to, below the installation's public address.
func TenantURL(public, connection string) string {
	return strings.TrimSuffix(public, "/") + "/scim/v2/" + url.PathEscape(connection)
}

// TokenURL is where a client gets its access tokens.
func TokenURL(public, connection string) string {
	return TenantURL(public, connection) + "/oauth/token"
}

// Make is Create or CreateOAuth as people ask for it, and gives what they are shown,
// this once. public is the installation's address.
func (s *Pushers) Make(ctx context.Context, connection string, in client.PushTokenInput, public, actor string) (client.NewPushToken, error) {
	expires := in.ExpiresAt
	switch {
	case in.NoExpiry && expires != nil:
		return client.NewPushToken{}, fault.New(fault.Invalid, "expires_at and no_expiry say two different things").WithHint("give one of them")
	case in.NoExpiry:
		expires = Never()
	case expires != nil && expires.IsZero():
		return client.NewPushToken{}, fault.New(fault.Invalid, "expires_at is no time to come").WithHint("give no_expiry for a token that never expires")
	}
	kind, err := kindOf(in.Kind)
	if err != nil {
		return client.NewPushToken{}, err
	}
	return shown(public)(s.create(ctx, connection, kind, in.Name, expires, actor))
}

// Replace is Rotate as people ask for it.
func (s *Pushers) Replace(ctx context.Context, connection string, in client.PushRotateInput, public, actor string) (client.NewPushToken, error) {
	overlap := Overlap
	if in.OverlapSeconds != nil {
		overlap = time.Duration(max(0, *in.OverlapSeconds)) * time.Second
	}
	kind, err := kindOf(in.Kind)
	if err != nil {
		return client.NewPushToken{}, err
	}
	return shown(public)(s.Rotate(ctx, connection, kind, overlap, actor))
}

func kindOf(name string) (Kind, error) {
	switch Kind(name) {
	case "", Bearer:
		return Bearer, nil
	case OAuth:
		return OAuth, nil
	}
	return "", fault.New(fault.Invalid, "there is no kind %q of tokens", name).WithHint("it is bearer or oauth")
}

// shown makes of a new token and its secret what its maker sees.
func shown(public string) func(Token, string, error) (client.NewPushToken, error) {
	return func(t Token, secret string, err error) (client.NewPushToken, error) {
		if err != nil {
			return client.NewPushToken{}, err
		}
		out := client.NewPushToken{PushToken: t.Shown(), Secret: secret, TenantURL: TenantURL(public, t.Connection)}
		if t.Kind == OAuth {
			out.TokenURL = some(TokenURL(public, t.Connection))
		}
		return out, nil
	}
}

// Shown is a token as people see it.
func (t *Token) Shown() client.PushToken {
	return client.PushToken{ID: t.ID, Kind: string(t.Kind), ClientID: some(t.ClientID), Name: t.Name, CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt,
		ExpiresAt: moment(t.ExpiresAt), ReplacedAt: moment(t.ReplacedAt), LastUsedAt: moment(t.LastUsedAt), RevokedAt: moment(t.RevokedAt), RevokedBy: some(t.RevokedBy)}
}

// Shown is an exchange as people see it.
func (e *Exchange) Shown() client.Exchange {
	return client.Exchange{ID: e.ID, At: e.At, Method: e.Method, Path: e.Path, Query: e.Query, Status: e.Status, Took: e.Took.Microseconds(), Client: e.Client, Remote: e.Remote,
		Token: some(e.Token), Request: e.Request, Answer: e.Answer}
}

func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
