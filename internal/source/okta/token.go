package okta

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/rest"
)

// client signs requests as an API Services app does: with a token it gets for an
// assertion signed by its private key (private_key_jwt), and beside it with a proof
// of possession (DPoP, RFC 9449) where Okta demands one, which new apps do unless
// somebody unticks it.
type client struct {
	set    *settings
	now    func() time.Time
	rest   *rest.Client // for the token itself
	tokens *rest.Tokens

	mu    sync.Mutex
	proof *jose.JSONWebKey // the key proofs are signed with; nil while none are demanded
	nonce string           // what the token endpoint wants in the next proof
	api   string           // what the API wants in it, if it wants anything
}

func newClient(set *settings, now func() time.Time) *client {
	c := &client{set: set, now: now}
	c.tokens = &rest.Tokens{Now: now, Fetch: c.fetch}
	return c
}

// scopes that are asked for: the least that the settings need.
func (s *settings) scopes() []string {
	out := []string{"okta.users.read"}
	if s.selects() || s.people == peopleGroups {
		out = append(out, "okta.groups.read")
	}
	if s.people == peopleApp {
		out = append(out, "okta.apps.read")
	}
	return out
}

func (c *client) endpoint() string { return c.set.root + "/oauth2/v1/token" }

// fetch gets a token of the organization's authorization server.
func (c *client) fetch(ctx context.Context) (rest.Token, error) {
	var got struct {
		AccessToken string      `json:"access_token"`
		TokenType   string      `json:"token_type"`
		ExpiresIn   json.Number `json:"expires_in"`
	}
	for try := 1; ; try++ {
		got.AccessToken, got.TokenType, got.ExpiresIn = "", "", ""
		header := http.Header{}
		_, err := c.rest.Form(ctx, c.endpoint(), header, func() (url.Values, error) { return c.form(header) }, &got)
		if err == nil {
			break
		}
		if try > 3 || !c.demanded(err) {
			return rest.Token{}, c.explain(err)
		}
	}
	life, err := got.ExpiresIn.Int64()
	if got.AccessToken == "" || err != nil || life <= 0 {
		return rest.Token{}, fault.New(fault.Unavailable, "okta: %s: the answer holds no token", c.endpoint())
	}
	if t := strings.ToLower(got.TokenType); t != "bearer" && t != "dpop" {
		return rest.Token{}, fault.New(fault.Unavailable, "okta: %s: the answer holds a token of an unknown type", c.endpoint())
	} else if (t == "dpop") != c.proves() {
		return rest.Token{}, fault.New(fault.Unavailable, "okta: %s: the answer holds a token of another type than asked for", c.endpoint())
	}
	// Half of a very short life must remain: a test organization may give minutes.
	return rest.Token{Value: got.AccessToken, Type: got.TokenType, Until: c.now().Add(time.Duration(life) * time.Second)}, nil
}

// form is the question for a token, with an assertion and a proof that are used once.
// It is called for each try, before the try's header is looked at.
func (c *client) form(header http.Header) (url.Values, error) {
	now := c.now()
	assertion, err := sign(c.set.key, "JWT", nil, map[string]any{
		"iss": c.set.clientID, "sub": c.set.clientID, "aud": c.endpoint(), "jti": unique(),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return nil, err
	}
	if c.proves() {
		c.mu.Lock()
		nonce := c.nonce
		c.mu.Unlock()
		proof, err := c.prove(http.MethodPost, c.endpoint(), "", nonce)
		if err != nil {
			return nil, err
		}
		header.Set("DPoP", proof)
	}
	return url.Values{
		"grant_type": {"client_credentials"}, "scope": {strings.Join(c.set.scopes(), " ")},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}, nil
}

func (c *client) proves() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proof != nil
}

// demanded takes in that a refusal demands a proof, or a nonce in it, and says whether
// asking again is of use.
func (c *client) demanded(err error) bool {
	var refused *rest.Error
	if !errors.As(err, &refused) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch refused.Code {
	case "invalid_dpop_proof":
		if c.proof != nil {
			return false
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return false
		}
		c.proof = &jose.JSONWebKey{Key: key}
		c.nonce = refused.Header.Get("DPoP-Nonce")
		return true
	case "use_dpop_nonce":
		nonce := refused.Header.Get("DPoP-Nonce")
		if nonce == "" || nonce == c.nonce {
			return false
		}
		if c.proof == nil {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return false
			}
			c.proof = &jose.JSONWebKey{Key: key}
		}
		c.nonce = nonce
		return true
	}
	return false
}

// explain adds what to do about a token that was refused.
func (c *client) explain(err error) error {
	var refused *rest.Error
	if !errors.As(err, &refused) || refused.Status == 0 || refused.Status >= 500 || refused.Status == http.StatusTooManyRequests {
		return err
	}
	hint := "check client_id, key and key_id against the app's page in Okta"
	switch refused.Code {
	case "invalid_client":
		hint = "Okta knows no such client, or not with this key: compare client_id and key_id with the app's page in Okta, and this machine's clock with the time"
	case "invalid_scope", "consent_required":
		hint = "grant the app " + strings.Join(c.set.scopes(), ", ") + " under Okta API Scopes"
	case "invalid_dpop_proof", "use_dpop_nonce":
		hint = "compare this machine's clock with the time; or untick the app's setting for DPoP in token requests"
	case "unauthorized_client":
		hint = "the app must be an API Services app whose grant type is Client Credentials"
	}
	return fault.New(fault.Denied, "%w", err).WithHint("%s", hint)
}

// Sign implements rest.Auth.
func (c *client) Sign(ctx context.Context, req *http.Request) error {
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return err
	}
	if !strings.EqualFold(token.Type, "DPoP") {
		req.Header.Set("Authorization", "Bearer "+token.Value)
		return nil
	}
	c.mu.Lock()
	nonce := c.api
	c.mu.Unlock()
	proof, err := c.prove(req.Method, (&url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: req.URL.Path, RawPath: req.URL.RawPath}).String(), token.Value, nonce)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "DPoP "+token.Value)
	req.Header.Set("DPoP", proof)
	return nil
}

// Rejected implements rest.Auth.
func (c *client) Rejected(h http.Header) bool {
	if nonce := h.Get("DPoP-Nonce"); nonce != "" {
		c.mu.Lock()
		c.api = nonce
		c.mu.Unlock()
	}
	return c.tokens.Rejected(h)
}

// Secrets implements rest.Auth.
func (c *client) Secrets() []string { return c.tokens.Secrets() }

// prove makes the proof that goes with one request (RFC 9449, 4.2). token is "" at the
// token endpoint.
func (c *client) prove(method, address, token, nonce string) (string, error) {
	c.mu.Lock()
	key := c.proof
	c.mu.Unlock()
	if key == nil {
		return "", fault.New(fault.Internal, "okta: a proof without a key")
	}
	claims := map[string]any{"htm": method, "htu": address, "iat": c.now().Unix(), "jti": unique()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	public := key.Public()
	return sign(key, "dpop+jwt", &public, claims)
}

// sign makes a signed JWT. With public the header holds that key.
func sign(key *jose.JSONWebKey, kind jose.ContentType, public *jose.JSONWebKey, claims map[string]any) (string, error) {
	opts := (&jose.SignerOptions{}).WithType(kind)
	if public != nil {
		opts = opts.WithHeader("jwk", public)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm(key), Key: key}, opts)
	if err != nil {
		return "", fault.New(fault.Invalid, "okta: the key cannot sign")
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("okta: %w", err)
	}
	signed, err := signer.Sign(body)
	if err != nil {
		return "", fault.New(fault.Invalid, "okta: the key cannot sign")
	}
	return signed.CompactSerialize()
}

func unique() string { return rand.Text() }
