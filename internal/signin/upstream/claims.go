package upstream

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"maps"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"rollcall.dev/rollcall/internal/fault"
)

// Claims are what a provider says of the person who signed in there. Issuer and
// Subject name the person, for good; everything else may change, and some providers
// let people write it themselves: an e-mail address proves nothing unless it is
// verified.
type Claims struct {
	Issuer, Subject             string
	Email                       string
	EmailVerified               bool
	Username                    string // preferred_username
	GivenName, FamilyName, Name string
	// AuthAt is when they proved who they are; zero where nothing says.
	AuthAt time.Time
	All    map[string]any // everything, as it came
}

var errToken = errors.New("its ID token")

// claims verifies the ID token. What is not in it is asked for by the access token,
// as some providers want it (Okta).
func (p *Party) claims(ctx context.Context, d *document, token *oauth2.Token, kept *pending) (Claims, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), patience)
	defer cancel()
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return Claims{}, p.distrust("there is none")
	}
	verified, err := d.provider.Verifier(&oidc.Config{ClientID: p.o.ClientID, SupportedSigningAlgs: d.algs, Now: p.o.Now}).Verify(ctx, raw)
	if err != nil {
		return Claims{}, p.distrust(clip(err.Error()))
	}
	all := map[string]any{}
	if err := verified.Claims(&all); err != nil {
		return Claims{}, p.distrust(clip(err.Error()))
	}
	azp, named := all["azp"]
	switch {
	case subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(kept.Nonce)) != 1:
		return Claims{}, p.distrust("it is of another sign-in (nonce)")
	case verified.Subject == "" || len(verified.Subject) > 255:
		return Claims{}, p.distrust("it names nobody (sub)")
	case named && azp != p.o.ClientID, !named && len(verified.Audience) > 1:
		return Claims{}, p.distrust("it was made for another application (azp)")
	}
	if d.userinfo && (all["email"] == nil || all["preferred_username"] == nil || all["family_name"] == nil) {
		more, err := p.userinfo(ctx, d, token, verified.Subject)
		if err != nil {
			return Claims{}, err
		}
		maps.Copy(more, all) // what is signed goes first
		all = more
	}
	proved, err := p.proved(all, kept)
	if err != nil {
		return Claims{}, err
	}
	text := func(name string) string { s, _ := all[name].(string); return s }
	return Claims{
		Issuer: p.o.Issuer, Subject: verified.Subject, Email: text("email"), EmailVerified: all["email_verified"] == true || all["email_verified"] == "true",
		Username: text("preferred_username"), GivenName: text("given_name"), FamilyName: text("family_name"), Name: text("name"), AuthAt: proved, All: all,
	}, nil
}

// skew is how far a provider's clock may be behind ours.
const skew = time.Minute

// proved is when the person signed in there, by the claim auth_time. A provider that
// was asked to have them do it anew, and does not say when they did, is believed:
// Microsoft's do not say unless they are set up to.
func (p *Party) proved(all map[string]any, kept *pending) (time.Time, error) {
	now := p.o.Now()
	seconds, said := all["auth_time"].(float64)
	at := time.Unix(int64(seconds), 0).UTC()
	switch {
	case !said && !kept.Fresh:
		return time.Time{}, nil
	case said && kept.Fresh && at.Before(kept.Begun.Add(-skew)):
		return time.Time{}, p.distrust("they did not sign in anew, as was asked for (auth_time)")
	case kept.Fresh, at.After(now):
		return now, nil
	}
	return at, nil
}

// userinfo asks for the rest. It must be said of the same person.
func (p *Party) userinfo(ctx context.Context, d *document, token *oauth2.Token, subject string) (map[string]any, error) {
	info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "upstream: ask %s for the person: %s", p.o.Issuer, clip(err.Error()))
	}
	if info.Subject != subject {
		return nil, fault.New(fault.Denied, "upstream: ask %s for the person: it tells of somebody else", p.o.Issuer)
	}
	var raw json.RawMessage
	more := map[string]any{}
	if err = info.Claims(&raw); err == nil {
		err = json.Unmarshal(raw, &more)
	}
	if err != nil {
		return nil, fault.New(fault.Unavailable, "upstream: ask %s for the person: %s", p.o.Issuer, clip(err.Error()))
	}
	return more, nil
}

func (p *Party) distrust(why string) error {
	return fault.New(fault.Denied, "upstream: %w of %s cannot be trusted: %s", errToken, p.o.Issuer, why).
		WithHint("Begin again. If it stays so, look at the clocks of both machines and at the application's registration there.")
}
