package oidc

import (
	"net/http"

	"rollcall.dev/rollcall/internal/store/clients"
)

// metadata says what the provider can (OpenID Connect Discovery 1.0, section 3; RFC
// 8414, section 2). What cannot be done is said where silence would mean that it can.
type metadata struct {
	Issuer                   string   `json:"issuer"`
	AuthorizationEndpoint    string   `json:"authorization_endpoint"`
	TokenEndpoint            string   `json:"token_endpoint"`
	UserinfoEndpoint         string   `json:"userinfo_endpoint"`
	JWKSURI                  string   `json:"jwks_uri"`
	EndSessionEndpoint       string   `json:"end_session_endpoint"`
	RevocationEndpoint       string   `json:"revocation_endpoint"`
	IntrospectionEndpoint    string   `json:"introspection_endpoint"`
	Scopes                   []string `json:"scopes_supported"`
	Claims                   []string `json:"claims_supported"`
	ClaimTypes               []string `json:"claim_types_supported"`
	ResponseTypes            []string `json:"response_types_supported"`
	ResponseModes            []string `json:"response_modes_supported"`
	GrantTypes               []string `json:"grant_types_supported"`
	SubjectTypes             []string `json:"subject_types_supported"`
	IDTokenAlgorithms        []string `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods         []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods    []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionAuthMethods []string `json:"introspection_endpoint_auth_methods_supported"`
	ChallengeMethods         []string `json:"code_challenge_methods_supported"`
	PromptValues             []string `json:"prompt_values_supported"`
	IssParameter             bool     `json:"authorization_response_iss_parameter_supported"`
	ClaimsParameter          bool     `json:"claims_parameter_supported"`
	RequestURIParameter      bool     `json:"request_uri_parameter_supported"`
	BackchannelLogout        bool     `json:"backchannel_logout_supported"`
	BackchannelLogoutSession bool     `json:"backchannel_logout_session_supported"`
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	withSecret := []string{"client_secret_basic", "client_secret_post"}
	p.json(w, http.StatusOK, metadata{
		Issuer:                p.Issuer,
		AuthorizationEndpoint: p.base + "/oauth2/authorize",
		TokenEndpoint:         p.base + "/oauth2/token",
		UserinfoEndpoint:      p.base + "/oauth2/userinfo",
		JWKSURI:               p.base + "/oauth2/jwks",
		EndSessionEndpoint:    p.base + "/oauth2/logout",
		RevocationEndpoint:    p.base + "/oauth2/revoke",
		IntrospectionEndpoint: p.base + "/oauth2/introspect",
		Scopes:                clients.Scopes(),
		Claims: []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "azp", "sid", "name", "given_name", "family_name", "preferred_username", "locale", "updated_at",
			"email", "email_verified", "phone_number", "groups", "roles", "organization", "connection"},
		ClaimTypes: []string{"normal", "distributed"}, ResponseTypes: []string{"code"}, ResponseModes: []string{"query"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, SubjectTypes: []string{"public"}, IDTokenAlgorithms: []string{clients.RS256, clients.ES256},
		TokenAuthMethods: append(withSecret, "none"), RevocationAuthMethods: append(withSecret, "none"), IntrospectionAuthMethods: withSecret,
		ChallengeMethods: []string{"S256"}, PromptValues: []string{"none", "login", "consent", "select_account"},
		IssParameter: true, BackchannelLogout: true, BackchannelLogoutSession: true,
	})
}

func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) {
	set, err := p.Keys.Published(r.Context())
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	// The next key is published days before it is used.
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Header().Del("Pragma")
	p.json(w, http.StatusOK, set)
}
