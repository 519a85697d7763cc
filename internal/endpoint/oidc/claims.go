package oidc

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/grants"
)

// mostGroups is how many groups a token names: with more of them it would not go
// through as a header. It then says where to ask (Core, section 5.6.2).
const mostGroups = 200

// everyGroup bounds what userinfo names.
const everyGroup = 100_000

type claims map[string]any

func (c claims) text(name, value string) {
	if value != "" {
		c[name] = value
	}
}

// about is what a client may know of somebody, by the scopes it was given.
func (p *Provider) about(ctx context.Context, a *account.Account, g *grants.Grant, most int) (claims, error) {
	// Which tenant they are of is said always: without it, an application of many
	// would have to go by an e-mail address.
	c := claims{"sub": a.ID.String(), "organization": a.Organization, "connection": g.Connection}
	has := func(scope string) bool { return slices.Contains(g.Scopes, scope) }
	if has("profile") {
		c.text("name", Name(a))
		c.text("given_name", a.Text[account.FirstName])
		c.text("family_name", a.Text[account.LastName])
		c.text("preferred_username", a.Text[account.Username])
		c.text("locale", a.Text[account.Language])
		if !a.UpdatedAt.IsZero() {
			c["updated_at"] = a.UpdatedAt.Unix()
		}
	}
	if has("email") && a.Text[account.Email] != "" {
		c["email"] = a.Text[account.Email]
		// A directory's administrators say which addresses their people have. Of a
		// local account nobody but who typed it says so.
		c["email_verified"] = a.Connection != account.Local
	}
	if has("phone") {
		phone := a.Text[account.MobilePhone]
		if phone == "" {
			phone = a.Text[account.Phone]
		}
		c.text("phone_number", phone)
	}
	if has("groups") {
		c["roles"] = []string{}
		if role := a.Text[account.Role]; role != "" {
			c["roles"] = []string{role}
		}
		names, err := p.Accounts.GroupNames(ctx, a.ID, most+1)
		if err != nil {
			return nil, err
		}
		if len(names) <= most {
			c["groups"] = names
		} else {
			c["_claim_names"] = map[string]string{"groups": "userinfo"}
			c["_claim_sources"] = map[string]any{"userinfo": map[string]string{"endpoint": p.base + "/oauth2/userinfo"}}
		}
	}
	return c, nil
}

// Name is how somebody is called.
func Name(a *account.Account) string {
	if n := a.Text[account.DisplayName]; n != "" {
		return n
	}
	return strings.TrimSpace(a.Text[account.FirstName] + " " + a.Text[account.LastName])
}

// how says by what somebody proved who they are, and how much that is worth.
func (c claims) how(g *grants.Grant) {
	c["auth_time"] = g.AuthAt.Unix()
	if len(g.Methods) == 0 {
		return
	}
	c["amr"] = g.Methods
	c["acr"] = "urn:rollcall:acr:" + strings.Join(slices.Sorted(slices.Values(g.Methods)), "+")
}

func (c claims) bytes() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic("oidc: " + err.Error()) // texts, numbers and lists of them can always be written
	}
	return b
}
