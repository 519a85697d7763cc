package clients

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
)

// The algorithms tokens are signed with.
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// Scopes are what a client may ask for: who it is, and how much of them.
func Scopes() []string {
	return []string{"openid", "profile", "email", "phone", "groups", OfflineAccess}
}

// OfflineAccess is the scope with which a client gets refresh tokens.
const OfflineAccess = "offline_access"

func usualScopes() []string { return Scopes()[:5] }

// How much a client may be.
const (
	mostURIs    = 20
	longestURI  = 1024
	longestName = 100
	mostLinks   = 100 // connections
	minute      = 60
	day         = 24 * 3600
)

// LongestToken is the longest a token may live, in seconds.
const LongestToken = day

// check refuses a client that could not work, or not safely.
func (s *Clients) check(ctx context.Context, c *Client) error {
	c.Name = strings.TrimSpace(c.Name)
	if c.Name == "" || len(c.Name) > longestName || !utf8.ValidString(c.Name) || strings.ContainsFunc(c.Name, unicode.IsControl) {
		return fault.New(fault.Invalid, "client: the name is empty, longer than %d bytes, or holds what cannot be shown", longestName).WithHint("people see it when they sign in")
	}
	if c.Type != Confidential && c.Type != Public {
		return fault.New(fault.Invalid, "client: there is no type %q", c.Type).WithHint("confidential for servers, which can keep a secret; public for programs in browsers and on devices")
	}
	if len(c.RedirectURIs) == 0 {
		return fault.New(fault.Invalid, "client: no redirect URI").WithHint("give the address at which the application takes the answer, such as https://app.example.com/callback")
	}
	for _, one := range []struct {
		what string
		list *[]string
	}{{"redirect URI", &c.RedirectURIs}, {"post-logout redirect URI", &c.PostLogoutRedirectURIs}} {
		if len(*one.list) > mostURIs {
			return fault.New(fault.Invalid, "client: %d addresses, and %d is the most", len(*one.list), mostURIs)
		}
		for _, u := range *one.list {
			if err := checkURI(one.what, u, c.Type); err != nil {
				return err
			}
		}
		*one.list = once(*one.list)
	}
	if err := s.checkBackchannel(c); err != nil {
		return err
	}
	if err := s.checkConnections(ctx, c); err != nil {
		return err
	}
	for _, scope := range c.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return fault.New(fault.Invalid, "client: there is no scope %q", scope).WithHint("%s", near(scope, Scopes()))
		}
	}
	if c.Scopes = once(c.Scopes); !slices.Contains(c.Scopes, "openid") {
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	if c.SigningAlgorithm != RS256 && c.SigningAlgorithm != ES256 {
		return fault.New(fault.Invalid, "client: there is no signing algorithm %q", c.SigningAlgorithm).WithHint("RS256, which every library knows, or ES256")
	}
	if c.Type == Public && !c.RequirePKCE {
		return fault.New(fault.Invalid, "client: a public one must use PKCE").WithHint("it has no secret: PKCE is all that makes a stolen code worthless")
	}
	for _, life := range []struct {
		name        string
		value       int64
		least, most int64
	}{{"access_token_seconds", c.AccessTokenSeconds, minute, LongestToken}, {"id_token_seconds", c.IDTokenSeconds, minute, LongestToken},
		{"refresh_idle_seconds", c.RefreshIdleSeconds, 10 * minute, 366 * day}, {"refresh_max_seconds", c.RefreshMaxSeconds, 10 * minute, 366 * day}} {
		if life.value < life.least || life.value > life.most {
			return fault.New(fault.Invalid, "client: %s is %d, and has to be from %d to %d", life.name, life.value, life.least, life.most)
		}
	}
	return nil
}

func once(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return append([]string{}, out...)
}

func near(s string, known []string) string {
	if n := setting.Nearest(s, known); n != "" {
		return "did you mean " + n + "?"
	}
	return "there are " + strings.Join(known, ", ")
}

// checkURI refuses what codes must not be sent to. Addresses are compared letter by
// letter, so nothing that browsers and we could read in two ways is taken.
func checkURI(what, text string, kind Type) error {
	bad := func(why, hint string) error {
		return fault.New(fault.Invalid, "client: the %s %q %s", what, text, why).WithHint("%s", hint)
	}
	if len(text) > longestURI || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\\\"<>^`{|}", r) }) {
		return bad("holds what no address does, or is too long", "international names are written in their ASCII form")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return bad("is no whole address", "it looks like https://app.example.com/callback")
	}
	switch {
	case strings.Contains(text, "#"):
		return bad("carries a fragment (#...)", "leave it out (RFC 6749, section 3.1.2)")
	case strings.Contains(text, "*"):
		return bad("has a *", "addresses are compared letter by letter; give each one")
	case u.User != nil:
		return bad("carries a user name", "leave out what stands before @")
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return bad("is not encrypted", "https is asked for, but on this machine itself (localhost, 127.0.0.1)")
	case kind == Public && strings.Contains(u.Scheme, ".") && u.Host == "":
		return nil // an app on a device (RFC 8252, section 7.1)
	}
	return bad("has a scheme that is not taken", "https; apps on devices may use one like com.example.app:/callback")
}

// Loopback reports whether a host is the machine itself.
func Loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback()
	}
	return host == "localhost"
}

// Origin is the scheme, host and port of an address as browsers write it, "" where
// it has none.
func Origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

func (s *Clients) checkBackchannel(c *Client) error {
	if c.BackchannelLogoutURI == nil {
		return nil
	}
	u, err := url.Parse(*c.BackchannelLogoutURI)
	if err != nil || len(*c.BackchannelLogoutURI) > longestURI || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fault.New(fault.Invalid, "client: the back-channel logout URI is no address that could be told").WithHint("it looks like https://app.example.com/backchannel-logout, without a fragment or a user name")
	}
	if s.Check == nil {
		return nil
	}
	return s.Check(u)
}

func (s *Clients) checkConnections(ctx context.Context, c *Client) error {
	c.Connections = once(c.Connections)
	if len(c.Connections) > mostLinks {
		return fault.New(fault.Invalid, "client: %d connections, and %d is the most", len(c.Connections), mostLinks).WithHint("none stands for all of the organization")
	}
	for _, alias := range c.Connections {
		if s.Known == nil || alias == account.Local {
			continue
		}
		of, err := s.Known(ctx, alias)
		if err == nil && c.Organization != nil && of != *c.Organization {
			err = fault.New(fault.NotFound, "there is no connection %q", alias)
		}
		if fault.KindOf(err) == fault.NotFound && err != nil {
			return fault.New(fault.Invalid, "client: there is no connection %q for it", alias).WithHint("`rollcall connections list` shows those there are")
		}
		if err != nil {
			return err
		}
	}
	return nil
}
