package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/clients"
)

// request is an authorization request that was found to be good, on its way through
// the pages at which people sign in: sealed, in an address, so that strangers who
// begin requests leave nothing in the database.
type request struct {
	At           int64  `json:"t"` // microseconds
	Client       string `json:"c"`
	Application  string `json:"a"` // the client's name, for the page
	Redirect     string `json:"r"`
	Scope        string `json:"s"`
	State        string `json:"st,omitempty"`
	Nonce        string `json:"n,omitempty"`
	Challenge    string `json:"p,omitempty"`
	Fresh        bool   `json:"f,omitempty"` // who asks wants the person to prove themselves now
	MaxAge       *int64 `json:"m,omitempty"` // seconds
	Connection   string `json:"cn,omitempty"`
	Organization string `json:"o,omitempty"`
	Subject      string `json:"su,omitempty"` // the account that has to sign in
	Hint         string `json:"h,omitempty"`  // what they are likely to type
	Silent       bool   `json:"q,omitempty"`  // prompt=none: it never goes through a page
}

const (
	requestPurpose = "oidc request"
	// requestLife is how long somebody may take to sign in.
	requestLife = 30 * time.Minute
)

func (p *Provider) seal(r *request) (string, error) {
	plain, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	sealed, err := p.Ring.Seal(requestPurpose, plain)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

func (p *Provider) unseal(text string) (*request, error) {
	gone := fault.New(fault.Invalid, "this sign-in took too long, or its address is not whole").WithHint("go back to the application and begin again")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) > longestQuery {
		return nil, gone
	}
	plain, err := p.Ring.Open(requestPurpose, sealed)
	if err != nil {
		return nil, gone
	}
	var r request
	if err := json.Unmarshal(plain, &r); err != nil {
		return nil, gone
	}
	if age := p.Now().Sub(time.UnixMicro(r.At)); age > requestLife || age < -time.Minute {
		return nil, gone
	}
	return &r, nil
}

// About gives the name of the application that somebody signs in to, by the address
// they go on to, or "".
func (p *Provider) About(next string) (application string) {
	if r := p.of(next); r != nil {
		return r.Application
	}
	return ""
}

// Leads gives the origin of the application that an address leads on to, or "": the
// page whose form leads there has to name it in the form-action of its
// Content-Security-Policy, since browsers look at every redirect after a form.
func (p *Provider) Leads(next string) (origin string) {
	if r := p.of(next); r != nil {
		return target(r.Redirect)
	}
	return ""
}

// target is an address as a source in a Content-Security-Policy.
func target(uri string) string {
	if origin := clients.Origin(uri); origin != "" {
		return origin
	}
	scheme, _, _ := strings.Cut(uri, ":")
	return scheme + ":"
}

func (p *Provider) of(next string) *request {
	u, err := url.Parse(next)
	if err != nil || u.Path != "/oauth2/continue" || u.Host != "" {
		return nil
	}
	r, err := p.unseal(u.Query().Get("request"))
	if err != nil {
		return nil
	}
	return r
}

// oauthError is what a client is told (RFC 6749, section 4.1.2.1).
type oauthError struct{ code, description string }

func (e *oauthError) Error() string { return e.code + ": " + e.description }

func refused(code, description string) error { return &oauthError{code, description} }

// longest are the parameters that have an upper bound of their own, in bytes; the
// others have longestOther.
var longest = map[string]int{"state": 2048, "redirect_uri": 1024, "id_token_hint": 8 << 10}

const longestOther = 512

// known are the parameters that mean something to us; others are ignored (RFC 6749,
// section 3.1).
var known = []string{"client_id", "redirect_uri", "response_type", "response_mode", "scope", "state", "nonce", "code_challenge", "code_challenge_method", "prompt", "max_age", "login_hint",
	"id_token_hint", "connection", "organization", "domain_hint"}

// parameters are those of an authorization request, from the address or a form.
func parameters(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		list, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return nil, fault.New(fault.Invalid, "the address cannot be read")
		}
		return list, nil
	}
	if err := r.ParseForm(); err != nil {
		return nil, fault.New(fault.Invalid, "the request cannot be read, or is too large")
	}
	return r.PostForm, nil
}

// party says who asks: before that is known, and where it wants its answers, nobody
// is sent anywhere.
func (p *Provider) party(ctx context.Context, list url.Values) (*clients.Client, string, error) {
	bad := func(what, hint string) error {
		return fault.New(fault.Invalid, "the application asked in a way that cannot be answered: %s", what).WithHint("%s", hint)
	}
	const tell = "tell who looks after the application"
	if len(list["client_id"]) != 1 || len(list["redirect_uri"]) > 1 {
		return nil, "", bad("client_id is missing, or a parameter stands there twice", tell)
	}
	id, uri := list.Get("client_id"), list.Get("redirect_uri")
	if len(id) > longestOther || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return nil, "", bad("its client_id is not known here", tell)
	}
	c, err := p.Clients.Get(ctx, "", id)
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil, "", bad("its client_id is not known here", tell)
	}
	if err != nil {
		return nil, "", err
	}
	// Letter by letter (RFC 9700, section 2.1).
	if !slices.Contains(c.RedirectURIs, uri) {
		return nil, "", bad("its redirect_uri is not one that was registered", "whoever looks after the application compares it letter by letter with those that `rollcall clients show` lists")
	}
	return c, uri, nil
}

// read makes a request out of its parameters; an error is an *oauthError, or ours.
func (p *Provider) read(ctx context.Context, c *clients.Client, uri string, list url.Values) (*request, error) {
	v, twice := single(list)
	if twice != "" {
		return nil, refused("invalid_request", "a parameter stands there twice")
	}
	for _, name := range known {
		most := longest[name]
		if most == 0 {
			most = longestOther
		}
		if len(v[name]) > most {
			return nil, refused("invalid_request", name+" is too long")
		}
		if !utf8.ValidString(v[name]) || strings.ContainsRune(v[name], 0) {
			return nil, refused("invalid_request", name+" is no text")
		}
	}
	for name, code := range map[string]string{"request": "request_not_supported", "request_uri": "request_uri_not_supported", "registration": "registration_not_supported"} {
		if v[name] != "" {
			return nil, refused(code, name+" is not supported")
		}
	}
	switch {
	case v["response_type"] == "":
		return nil, refused("invalid_request", "response_type is missing")
	case v["response_type"] != "code":
		return nil, refused("unsupported_response_type", "response_type is code")
	case v["response_mode"] != "" && v["response_mode"] != "query":
		return nil, refused("invalid_request", "response_mode is query")
	}
	r := &request{At: p.Now().UnixMicro(), Client: c.ID, Application: c.Name, Redirect: uri, State: v["state"], Nonce: v["nonce"], Hint: v["login_hint"]}
	if err := r.ask(c, v); err != nil {
		return nil, err
	}
	if err := p.whom(ctx, c, r, v); err != nil {
		return nil, err
	}
	return r, nil
}

// ask is what the client wants, and how it proves later that it was it.
func (r *request) ask(c *clients.Client, v values) error {
	var scopes []string
	for _, s := range strings.Fields(v["scope"]) {
		// What is not understood, or not for this client, is left out (Core, section
		// 3.1.2.1; RFC 6749, section 3.3): the answer says what was given.
		if slices.Contains(c.Scopes, s) && !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	if !slices.Contains(scopes, "openid") {
		return refused("invalid_scope", "scope does not hold openid")
	}
	r.Scope = strings.Join(scopes, " ")
	r.Challenge = v["code_challenge"]
	switch method := v["code_challenge_method"]; {
	case r.Challenge == "" && method != "":
		return refused("invalid_request", "code_challenge_method without code_challenge")
	case r.Challenge == "" && (c.RequirePKCE || c.Type == clients.Public):
		return refused("invalid_request", "code_challenge is missing: PKCE is required")
	case r.Challenge == "":
	case method != "S256": // without a method it would be plain (RFC 7636, section 4.3)
		return refused("invalid_request", "code_challenge_method is S256")
	case !isChallenge(r.Challenge):
		return refused("invalid_request", "code_challenge is no SHA-256 in base64url")
	}
	prompts := strings.Fields(v["prompt"])
	for _, one := range prompts {
		switch one {
		case "none":
			r.Silent = true
		case "login", "select_account": // both ask on our pages who it is
			r.Fresh = true
		case "consent": // there is none to give: clients are the operator's own
		default:
			return refused("invalid_request", "prompt has a value that is not known")
		}
	}
	if r.Silent && len(prompts) > 1 {
		return refused("invalid_request", "prompt=none stands alone")
	}
	if text := v["max_age"]; text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return refused("invalid_request", "max_age is a number of seconds")
		}
		r.MaxAge = &n
	}
	return nil
}

func isChallenge(text string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(b) == 32
}

// whom says where people sign in, and who it has to be.
func (p *Provider) whom(ctx context.Context, c *clients.Client, r *request, v values) error {
	r.Connection, r.Organization = v["connection"], v["organization"]
	if hint := v["domain_hint"]; hint != "" && r.Connection == "" && r.Organization == "" {
		if of, err := p.Connection(ctx, hint); err == nil && allowed(c, of, hint) {
			r.Connection = hint
		} else if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		} else if r.Hint == "" && strings.Contains(hint, ".") {
			r.Hint = "@" + strings.TrimPrefix(hint, "@")
		}
	}
	if r.Connection != "" {
		of, err := p.Connection(ctx, r.Connection)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err != nil || !allowed(c, of, r.Connection) || r.Organization != "" && r.Organization != of {
			return refused("invalid_request", "connection is not one of this client")
		}
	}
	if c.Organization != nil {
		if r.Organization != "" && r.Organization != *c.Organization {
			return refused("invalid_request", "organization is not that of this client")
		}
		r.Organization = *c.Organization
	}
	if hint := v["id_token_hint"]; hint != "" {
		told, err := p.hint(ctx, hint)
		if err != nil {
			return err
		}
		if told == nil || told.Client() != c.ID {
			return refused("invalid_request", "id_token_hint is no ID token of this client")
		}
		r.Subject = told.Subject
	}
	return nil
}

// allowed reports whether a client takes people of a connection.
func allowed(c *clients.Client, organization, connection string) bool {
	return (c.Organization == nil || *c.Organization == organization) && (len(c.Connections) == 0 || slices.Contains(c.Connections, connection))
}
