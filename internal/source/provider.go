package source

import (
	"net/url"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// Provider is a company's own OpenID Connect provider, at which the people of a
// connection sign in in place of giving a password here.
type Provider struct {
	Issuer, ClientID, Secret string
	Scopes                   []string
	Claim                    string // which says who somebody is, in the words of the directory
}

// ProviderOptions are its settings, for every kind of source whose people sign in.
func ProviderOptions() []setting.Option {
	return []setting.Option{
		{Name: "authentication.provider.issuer", Place: true, Label: "Sign-in provider",
			Help: "The company's own OpenID Connect provider (Entra, Okta, Google, Keycloak), as it calls itself: people sign in there, and no password is asked for here."},
		{Name: "authentication.provider.client_id", Place: true, Label: "Client ID at the provider", Help: "The provider gives it where Rollcall is registered, with the redirect address PUBLIC_URL/login/callback/ALIAS."},
		{Name: "authentication.provider.client_secret", Secret: true, Label: "Client secret at the provider", Help: "Left out for a public client."},
		{Name: "authentication.provider.scopes", Type: setting.List, Advanced: true, Label: "Scopes", Help: "What is asked for besides openid. Left out, profile and email."},
		{Name: "authentication.provider.claim", Default: "email", Advanced: true, Label: "Claim",
			Help: "The claim by which the person is found here, as if it had been typed as the name. An e-mail address must be verified (email_verified); Entra does not say so: take preferred_username there."},
	}
}

// ProviderOf reads the settings, nil where there are none.
func ProviderOf(v setting.Values) (*Provider, error) {
	p := &Provider{Issuer: strings.TrimSpace(v.String("authentication.provider.issuer")), ClientID: v.String("authentication.provider.client_id"),
		Secret: v.String("authentication.provider.client_secret"), Scopes: v.List("authentication.provider.scopes"), Claim: v.String("authentication.provider.claim")}
	if p.Claim == "" {
		p.Claim = "email"
	}
	if p.Issuer == "" {
		if p.ClientID != "" || p.Secret != "" {
			return nil, fault.New(fault.Invalid, "setting authentication.provider.issuer: there is a client, but no provider").WithHint("Set it to the address the provider calls itself by, as in https://login.example.org/realms/staff.")
		}
		return nil, nil
	}
	u, err := url.Parse(p.Issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fault.New(fault.Invalid, "setting authentication.provider.issuer: %q is not the address of a provider", p.Issuer).
			WithHint("It is the address the provider calls itself by, as in https://login.example.org/realms/staff.")
	case p.ClientID == "":
		return nil, fault.New(fault.Invalid, "setting authentication.provider.client_id: it is missing").WithHint("The provider gives one where Rollcall is registered.")
	}
	return p, nil
}
