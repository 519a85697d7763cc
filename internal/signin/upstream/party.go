// Package upstream lets people sign in at their company's own OpenID Connect
// provider (Entra, Okta, Google, Keycloak) in place of typing a password here. It
// hands what the provider says of a person on to the sign-in, which finds or makes
// the account by the same stages as a run.
//
//	party, err := upstream.New(upstream.Options{Issuer: "https://login.sunfix.com", ClientID: "rollcall", Secret: "…",
//		Redirect: "https://id.example.com/login/sunfix-hq/callback"})
//	address, state, err := party.Begin(ctx, wish)       // the browser goes there; state goes into a sealed cookie
//	claims, err := party.Finish(ctx, r.URL.Query(), state) // when it comes back
//
// It is the authorization code flow with PKCE (S256), state and nonce, always. The
// answer must be of the provider that was asked: by the iss of the response (RFC
// 9207) and that of the ID token. The state a browser brings back must be the one
// sealed for it, and whoever calls takes it away at the first use.
//
// Which addresses may be reached is Options.Dial's to decide: an issuer is an
// address that somebody typed, and so are those in the document it serves. Here is
// seen to it that all of them are https (or this machine), that none sends us on to
// another, and that no answer is larger or later than it may be.
package upstream

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"rollcall.dev/rollcall/internal/fault"
)

// Options of a connection to a provider.
type Options struct {
	Issuer   string // exactly as the provider calls itself
	ClientID string
	Secret   string // "" for a public client
	Redirect string // where the browser comes back; one of its own for each connection
	// Scopes asked for besides openid; nil is profile and email.
	Scopes []string
	// Dial connects, and refuses what must not be reached; nil connects to anything,
	// also by the proxy of the environment.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Now is for tests; nil is time.Now.
	Now func() time.Time
}

// Party is a relying party of one provider. It may be used by many at the same time.
type Party struct {
	o      Options
	client *http.Client
	book   book
}

// New makes one. It reads no network; a wrong address is a fault.Invalid.
func New(o Options) (*Party, error) {
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.ContainsAny(o.Issuer, "?#"):
		return nil, fault.New(fault.Invalid, "upstream: the issuer %q is not the address of a provider", o.Issuer).
			WithHint("It is the address the provider calls itself by, as in https://login.example.org/realms/staff.")
	case !safe(u):
		return nil, fault.New(fault.Invalid, "upstream: the issuer %q is not https", o.Issuer).WithHint("Without it nobody knows who answers.")
	case o.ClientID == "":
		return nil, fault.New(fault.Invalid, "upstream: there is no client ID").WithHint("The provider gives one when the application is registered there.")
	}
	if back, err := url.Parse(o.Redirect); err != nil || back.Host == "" || !safe(back) {
		return nil, fault.New(fault.Invalid, "upstream: %q is no address a browser can come back to", o.Redirect).WithHint("It is below public_url, which must be https.")
	}
	if o.Scopes == nil {
		o.Scopes = []string{"profile", "email"}
	}
	o.Scopes = append([]string{oidc.ScopeOpenID}, slices.DeleteFunc(slices.Clone(o.Scopes), func(s string) bool { return s == oidc.ScopeOpenID })...)
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Party{o: o, client: newClient(o.Dial)}
	p.book.turn = make(chan struct{}, 1)
	return p, nil
}

// pending is what a browser keeps for us, sealed, between the two ways.
type pending struct {
	State    string    `json:"s"`
	Nonce    string    `json:"n"`
	Verifier string    `json:"v"`
	Issuer   string    `json:"i"`
	Client   string    `json:"c"`
	Begun    time.Time `json:"t"`
	Fresh    bool      `json:"f,omitempty"`
}

// longest is how long somebody may take to sign in there.
const longest = 15 * time.Minute

// Wish is how somebody is to sign in.
type Wish struct {
	Hint  string // who they are likely to be; "" where nobody knows
	Fresh bool   // they must prove who they are, though they may be signed in there
}

// Begin gives the address at which the person signs in, and what Finish will need.
// That is secret and must not be forged: it goes into a cookie that is sealed.
func (p *Party) Begin(ctx context.Context, w Wish) (address string, state []byte, err error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", nil, err
	}
	kept := pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Issuer: p.o.Issuer, Client: p.o.ClientID, Begun: p.o.Now(), Fresh: w.Fresh}
	state, err = json.Marshal(kept)
	if err != nil {
		return "", nil, fault.New(fault.Internal, "upstream: keep the state: %w", err)
	}
	// OpenID Connect Core, section 3.1.2.1.
	more := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(kept.Verifier), oidc.Nonce(kept.Nonce)}
	if w.Hint != "" {
		more = append(more, oauth2.SetAuthURLParam("login_hint", w.Hint))
	}
	if w.Fresh {
		more = append(more, oauth2.SetAuthURLParam("prompt", "login"))
	}
	return d.config(&p.o).AuthCodeURL(kept.State, more...), state, nil
}

var errForeign = fault.New(fault.Denied, "upstream: the answer does not belong to a sign-in that was begun here").
	WithHint("Begin again, and sign in within %d minutes, in one window.", int(longest.Minutes()))

// Finish takes the browser's answer, with which it came back, and gives what the
// provider says of the person. A fault.Denied is the person's or the provider's, and
// the person may begin again; a fault.Unavailable is that the provider cannot be asked.
func (p *Party) Finish(ctx context.Context, answer url.Values, state []byte) (Claims, error) {
	var kept pending
	if err := json.Unmarshal(state, &kept); err != nil {
		return Claims{}, errForeign
	}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(answer[name]) > 1 {
			return Claims{}, errForeign
		}
	}
	age := p.o.Now().Sub(kept.Begun)
	if kept.State == "" || subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(kept.State)) != 1 ||
		kept.Issuer != p.o.Issuer || kept.Client != p.o.ClientID || age < 0 || age > longest {
		return Claims{}, errForeign
	}
	d, err := p.discover(ctx)
	if err != nil {
		return Claims{}, err
	}
	// The answer may be another provider's, who wants our code (RFC 9207).
	if iss, ok := answer["iss"]; ok && iss[0] != p.o.Issuer || !ok && d.names {
		return Claims{}, fault.New(fault.Denied, "upstream: the answer is not of %s", p.o.Issuer).WithHint("Somebody may have meddled with the sign-in. Begin again.")
	}
	if code := answer.Get("error"); code != "" {
		return Claims{}, refused(p.o.Issuer, code, answer.Get("error_description"))
	}
	if answer.Get("code") == "" {
		return Claims{}, errForeign
	}
	token, err := p.exchange(ctx, d, answer.Get("code"), kept.Verifier)
	if err != nil {
		return Claims{}, err
	}
	return p.claims(ctx, d, token, &kept)
}

// refused is what the provider said in place of a code or a token.
func refused(issuer, code, description string) error {
	text := clip(code)
	if description != "" {
		text += ": " + clip(description)
	}
	kind := fault.Denied
	if code == "temporarily_unavailable" || code == "server_error" {
		kind = fault.Unavailable
	}
	hint := "Begin again; if it stays so, its administrator sees more in the provider's log."
	switch code {
	case "access_denied":
		hint = "The person broke off, or may not use this application there."
	case "invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "unsupported_response_type":
		kind, hint = fault.Invalid, "Check the client ID, its secret, the redirect address and the scopes registered at the provider."
	}
	return fault.New(kind, "upstream: %s refuses: %s", issuer, text).WithHint("%s", hint)
}

// exchange gives the code away for tokens, once.
func (p *Party) exchange(ctx context.Context, d *document, code, verifier string) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), patience)
	defer cancel()
	token, err := d.config(&p.o).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	var no *oauth2.RetrieveError
	switch {
	case errors.As(err, &no) && no.ErrorCode != "":
		return nil, refused(p.o.Issuer, no.ErrorCode, no.ErrorDescription)
	case errors.As(err, &no):
		// Its body may hold anything.
		return nil, fault.New(fault.Unavailable, "upstream: ask %s for a token: it answers %s", p.o.Issuer, no.Response.Status)
	case err != nil:
		return nil, fault.New(fault.Unavailable, "upstream: ask %s for a token: %s", p.o.Issuer, clip(err.Error()))
	}
	return token, nil
}

// clip makes a text of strangers fit for a line of a log.
func clip(text string) string {
	const most = 300
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}

// safe is true of https, and of this machine.
func safe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback())
}

var errNotSafe = errors.New("an address in it is not https")

func checkEndpoint(name, address string, required bool) error {
	if address == "" && !required {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || !safe(u) {
		return fmt.Errorf("%w: %s", errNotSafe, name)
	}
	return nil
}
