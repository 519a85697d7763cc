package oidc

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rates"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/clients"
)

// client says which client asks, having proved it (RFC 6749, section 2.3): by its
// secret in the header or in the form, or by its name alone where it is public.
func (p *Provider) client(r *http.Request, v values) (*clients.Client, error) {
	id, secret, given := v["client_id"], v["client_secret"], v["client_secret"] != ""
	if header := r.Header.Get("Authorization"); header != "" {
		if given {
			return nil, refused("invalid_request", "the client proves itself in two ways")
		}
		name, text, ok := basic(header)
		if !ok {
			return nil, refused("invalid_client", "the header Authorization cannot be read")
		}
		if id != "" && id != name {
			return nil, refused("invalid_request", "the client has two names")
		}
		id, secret, given = name, text, true
	}
	if id == "" {
		return nil, refused("invalid_client", "the client does not say who it is")
	}
	if len(id) > longestOther || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		id = "-"
	}
	who, now := id+" "+admins.From(r, p.TrustedProxies).String(), p.Now()
	if wait := p.failed.Wait(who, now); wait > 0 {
		return nil, &tooManyError{wait}
	}
	c, err := p.Clients.Get(r.Context(), "", id)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if err != nil {
		c = nil
	}
	good := c.Holds(secret, now) // also for nobody, so that it takes as long
	if c != nil && c.Type == clients.Public {
		good = !given
	}
	if !good {
		p.failed.Take(who, 1, failures, now)
		return nil, refused("invalid_client", "the client is not known, or its secret is wrong")
	}
	return c, nil
}

// basic reads a header. Name and secret are written as in a form inside of it (RFC
// 6749, section 2.3.1).
func basic(header string) (name, secret string, ok bool) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return "", "", false
	}
	name, secret, ok = strings.Cut(string(b), ":")
	if !ok {
		return "", "", false
	}
	if name, err = url.QueryUnescape(name); err != nil {
		return "", "", false
	}
	secret, err = url.QueryUnescape(secret)
	return name, secret, err == nil
}

// failures is how often a client may fail to prove itself from one address. Secrets
// are 256 random bits, so this keeps noise away and not guessers.
var failures = rates.Limit{PerSecond: 1. / 6, Burst: 10}

// tooManyError is for who failed too often: after so many seconds it may try again.
type tooManyError struct{ seconds int }

func (e *tooManyError) Error() string { return "too many failed tries" }

func (e *tooManyError) after() string { return strconv.Itoa(e.seconds) }
