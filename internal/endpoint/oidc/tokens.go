package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/clients"
	"rollcall.dev/rollcall/internal/store/grants"
	"rollcall.dev/rollcall/internal/store/signing"
)

// The types of tokens, as their headers say them. What is of one type is never
// taken for another.
const (
	typeID     = "JWT"
	typeAccess = "at+jwt" // RFC 9068
)

// tokens is what the token endpoint answers (RFC 6749, section 5.1).
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Scope   string `json:"scope"`
}

// mint makes the tokens of a grant. With first, the ID token answers the request
// itself.
func (p *Provider) mint(ctx context.Context, c *clients.Client, g *grants.Grant, a *account.Account, scopes []string, first bool) (*tokens, error) {
	now := p.Now()
	asked := *g
	asked.Scopes = scopes
	out := &tokens{Type: "Bearer", Scope: strings.Join(scopes, " ")}
	ends := now.Add(time.Duration(c.AccessTokenSeconds) * time.Second)
	if ends.After(g.EndsAt) {
		ends = g.EndsAt
	}
	out.Expires = int64(ends.Sub(now) / time.Second)
	// It is for this provider's userinfo and for the programs of the installation, not
	// for the client: nobody takes it for an ID token.
	access := claims{"iss": p.Issuer, "sub": a.ID.String(), "aud": p.Issuer, "client_id": c.ID, "scope": out.Scope, "iat": now.Unix(), "exp": ends.Unix(),
		"jti": rand.Text(), "sid": g.Login, "grant_id": g.ID, "organization": a.Organization}
	access.how(g)
	algorithm := jose.SignatureAlgorithm(c.SigningAlgorithm)
	var err error
	if out.Access, err = p.Keys.Sign(ctx, algorithm, typeAccess, access.bytes()); err != nil {
		return nil, err
	}
	id, err := p.about(ctx, a, &asked, mostGroups)
	if err != nil {
		return nil, err
	}
	half := sha256.Sum256([]byte(out.Access))
	id["iss"], id["aud"], id["azp"], id["sid"] = p.Issuer, c.ID, c.ID, g.Login
	id["iat"], id["exp"] = now.Unix(), now.Unix()+c.IDTokenSeconds
	id["at_hash"] = base64.RawURLEncoding.EncodeToString(half[:16])
	id.how(g)
	if first {
		id.text("nonce", g.Nonce)
	}
	out.ID, err = p.Keys.Sign(ctx, algorithm, typeID, id.bytes())
	return out, err
}

// told are the claims of a token of ours that came back.
type told struct {
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Audience audience `json:"aud"`
	Expires  int64    `json:"exp"`
	IssuedAt int64    `json:"iat"`
	ClientID string   `json:"client_id"`
	Scope    string   `json:"scope"`
	Session  string   `json:"sid"`
	Grant    string   `json:"grant_id"`
	ID       string   `json:"jti"`
}

// Client is the one an ID token was made for.
func (t *told) Client() string {
	if len(t.Audience) != 1 {
		return ""
	}
	return t.Audience[0]
}

// audience is one name or a list.
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// verify gives the claims of a token that we signed as one of a type; nil for any
// other. Whether it ran out is not looked at.
func (p *Provider) verify(ctx context.Context, kind, text string) (*told, error) {
	// Whatever a token says of itself, it is checked by our keys, each for its own
	// algorithm: "none", and a public key taken for an HMAC's, are not among them.
	parsed, err := jose.ParseSignedCompact(text, signing.Algorithms)
	if err != nil {
		return nil, nil //nolint:nilerr // it is no token of ours, which is no failure
	}
	header := parsed.Signatures[0].Header
	if header.ExtraHeaders[jose.HeaderType] != kind {
		return nil, nil
	}
	k, err := p.Keys.Key(ctx, header.KeyID)
	if err != nil || k == nil || k.Algorithm != header.Algorithm {
		return nil, err
	}
	payload, err := parsed.Verify(k.Key)
	if err != nil {
		return nil, nil //nolint:nilerr // as above
	}
	var t told
	if json.Unmarshal(payload, &t) != nil || t.Issuer != p.Issuer {
		return nil, nil
	}
	return &t, nil
}

// hint gives the claims of an ID token that names somebody, also of one that ran out
// (RP-Initiated Logout 1.0, section 4); nil where it is none of ours.
func (p *Provider) hint(ctx context.Context, text string) (*told, error) {
	return p.verify(ctx, typeID, text)
}

// access gives the grant and the account of an access token, as both are now; a
// fault.Denied where it is not good any more.
func (p *Provider) access(ctx context.Context, text string) (*told, *grants.Grant, *account.Account, error) {
	bad := fault.New(fault.Denied, "the access token is not valid, or not any more")
	t, err := p.verify(ctx, typeAccess, text)
	if err != nil {
		return nil, nil, nil, err
	}
	if t == nil || t.Expires <= p.Now().Unix() || !slices.Contains(t.Audience, p.Issuer) {
		return nil, nil, nil, bad
	}
	g, a, err := p.Grants.Check(ctx, t.Grant)
	if err == nil && !g.Offline {
		_, a, err = p.Logins.Session(ctx, g.Login)
	}
	if err != nil && fault.KindOf(err) == fault.Denied || err == nil && (g.Client != t.ClientID || a.ID.String() != t.Subject) {
		return nil, nil, nil, bad
	}
	return t, g, a, err
}
