package client

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// OIDCClient is an application that people sign in to, by OpenID Connect.
type OIDCClient struct {
	ID                     string     `json:"client_id"`
	Organization           *string    `json:"organization" doc:"Whose people may sign in. Null: those of all organizations."`
	Name                   string     `json:"name" doc:"People see it when they sign in."`
	Type                   string     `json:"type" enum:"confidential,public" doc:"Confidential ones, servers, have a secret; public ones, programs in browsers and on devices, have none."`
	RedirectURIs           []string   `json:"redirect_uris" nullable:"false" doc:"Where answers are sent. Compared letter by letter."`
	PostLogoutRedirectURIs []string   `json:"post_logout_redirect_uris" nullable:"false" doc:"Where people may be sent when they have signed out. Compared letter by letter."`
	BackchannelLogoutURI   *string    `json:"backchannel_logout_uri" doc:"Told when a login ends (OpenID Connect Back-Channel Logout 1.0)."`
	Connections            []string   `json:"connections" nullable:"false" doc:"Aliases of the connections by which people may sign in; none stands for all of the organization."`
	Scopes                 []string   `json:"scopes" nullable:"false" doc:"What the client may ask for."`
	SigningAlgorithm       string     `json:"signing_algorithm" enum:"RS256,ES256"`
	RequirePKCE            bool       `json:"require_pkce" doc:"Always true of public ones."`
	AccessTokenSeconds     int64      `json:"access_token_seconds"`
	IDTokenSeconds         int64      `json:"id_token_seconds"`
	RefreshIdleSeconds     int64      `json:"refresh_idle_seconds" doc:"A refresh token ends that is not used for so long."`
	RefreshMaxSeconds      int64      `json:"refresh_max_seconds" doc:"So long after a sign-in its refresh tokens end, however much they were used."`
	OldSecretUntil         *time.Time `json:"old_secret_until" doc:"Until then the secret before is good as well."`
	CreatedAt              time.Time  `json:"created_at"`
	UpdatedAt              time.Time  `json:"updated_at"`
}

// OIDCClientInput asks for a client.
type OIDCClientInput struct {
	Organization string `json:"organization,omitempty" doc:"Whose people may sign in. Left out by a key that reaches all organizations, those of all."`
	Type         string `json:"type,omitempty" enum:"confidential,public" doc:"Confidential unless given."`
	OIDCClientPatchInput
}

// OIDCClientPatchInput changes a client; what is absent stays.
type OIDCClientPatchInput struct {
	Name                   *string   `json:"name,omitempty" maxLength:"100"`
	RedirectURIs           *[]string `json:"redirect_uris,omitempty" maxItems:"20" doc:"https, but for addresses of the machine itself; a public client's may have a scheme like com.example.app:"`
	PostLogoutRedirectURIs *[]string `json:"post_logout_redirect_uris,omitempty" maxItems:"20"`
	BackchannelLogoutURI   *string   `json:"backchannel_logout_uri,omitempty" maxLength:"1024" doc:"An empty text takes it away."`
	Connections            *[]string `json:"connections,omitempty" maxItems:"100"`
	Scopes                 *[]string `json:"scopes,omitempty" maxItems:"20" doc:"Of openid, profile, email, phone, groups and offline_access; all but the last unless given."`
	SigningAlgorithm       *string   `json:"signing_algorithm,omitempty" enum:"RS256,ES256" doc:"RS256 unless given."`
	RequirePKCE            *bool     `json:"require_pkce,omitempty" doc:"True unless given."`
	AccessTokenSeconds     *int64    `json:"access_token_seconds,omitempty" minimum:"60" maximum:"86400" doc:"Ten minutes unless given."`
	IDTokenSeconds         *int64    `json:"id_token_seconds,omitempty" minimum:"60" maximum:"86400" doc:"An hour unless given."`
	RefreshIdleSeconds     *int64    `json:"refresh_idle_seconds,omitempty" minimum:"600" maximum:"31622400" doc:"Two weeks unless given."`
	RefreshMaxSeconds      *int64    `json:"refresh_max_seconds,omitempty" minimum:"600" maximum:"31622400" doc:"90 days unless given."`
}

// NewOIDCClient is a client with its secret, which is shown this once.
type NewOIDCClient struct {
	OIDCClient
	Secret *string `json:"client_secret" doc:"It is shown this once. Null for a public client."`
}

// OIDCClients goes through the applications that people sign in to.
func (c *Client) OIDCClients(ctx context.Context) iter.Seq2[OIDCClient, error] {
	return each[OIDCClient](ctx, c, "/clients", nil)
}

// OIDCClient gives a client.
func (c *Client) OIDCClient(ctx context.Context, id string) (OIDCClient, error) {
	return Get[OIDCClient](ctx, c, "/clients/"+part(id), nil)
}

// CreateOIDCClient registers a client and gives it with its secret.
func (c *Client) CreateOIDCClient(ctx context.Context, in OIDCClientInput) (NewOIDCClient, error) {
	return Send[NewOIDCClient](ctx, c, http.MethodPost, "/clients", nil, in)
}

// UpdateOIDCClient changes a client.
func (c *Client) UpdateOIDCClient(ctx context.Context, id string, in OIDCClientPatchInput) (OIDCClient, error) {
	return Send[OIDCClient](ctx, c, http.MethodPatch, "/clients/"+part(id), nil, in)
}

// DeleteOIDCClient takes a client away, with everything it was given.
func (c *Client) DeleteOIDCClient(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/clients/" + part(id)}, nil)
}

// RotateClientSecret makes another secret and gives it; for a while both are good.
func (c *Client) RotateClientSecret(ctx context.Context, id string, in RotateInput) (NewOIDCClient, error) {
	return Send[NewOIDCClient](ctx, c, http.MethodPost, "/clients/"+part(id)+"/secret", nil, in)
}
