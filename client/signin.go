package client

import (
	"context"
	"net/http"
	"time"
)

// AuthenticateInput is somebody's login and password.
type AuthenticateInput struct {
	Connection   string `json:"connection" maxLength:"64" doc:"The alias of the connection the person belongs to; local for accounts that no connection keeps." example:"sunfix-hq"`
	Organization string `json:"organization,omitempty" maxLength:"64" doc:"Whose person it must be. Needed for local where there are several organizations and the key reaches all of them."`
	Login        string `json:"login" doc:"What the person typed: an e-mail address or a username."`
	Password     string `json:"password"`
	Address      string `json:"address,omitempty" maxLength:"64" doc:"The person's own network address. Wrong passwords are then counted for it too, and those of strangers not for the person." example:"192.0.2.7"`
	Agent        string `json:"agent,omitempty" maxLength:"1000" doc:"The User-Agent of the person's browser, for the event."`
}

// PasswordLink is a one-time link to choose a password.
type PasswordLink struct {
	URL       string    `json:"url" doc:"To be handed to the person; whoever has it can choose the password." example:"https://rollcall.example.com/login/password/rw_..."`
	ExpiresAt time.Time `json:"expires_at"`
}

// Authenticate tries somebody's password and gives their account. A *Problem with
// status 401 has a Reason; 503 says that the directory could not be asked, 429 that
// there were too many wrong passwords. It is tried once, whatever comes.
func (c *Client) Authenticate(ctx context.Context, in AuthenticateInput) (Account, error) {
	var out Account
	err := c.do(ctx, call{method: http.MethodPost, path: "/authenticate", body: in, once: true}, &out)
	return out, err
}

// PasswordLink makes a one-time link by which somebody chooses another password.
func (c *Client) PasswordLink(ctx context.Context, account string) (PasswordLink, error) {
	return Send[PasswordLink](ctx, c, http.MethodPost, "/accounts/"+part(account)+"/password-link", nil, nil)
}
