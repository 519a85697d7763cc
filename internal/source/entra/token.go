package entra

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// certificate is what signs in, in place of a secret.
type certificate struct {
	leaf *x509.Certificate
	key  *rsa.PrivateKey
}

func parseCertificate(text string) (*certificate, error) {
	pair, err := tls.X509KeyPair([]byte(text), []byte(text))
	if err != nil {
		return nil, fault.New(fault.Invalid, "entra: setting certificate: %w", err).WithHint("PEM text with the certificate and its key, which is not encrypted.")
	}
	key, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok {
		return nil, fault.New(fault.Invalid, "entra: setting certificate: its key is not RSA").WithHint("Entra ID takes RSA keys of 2048 bits or more.")
	}
	return &certificate{leaf: pair.Leaf, key: key}, nil
}

// assertion is the signed statement that stands for a secret, good for one request
// (identity-platform/certificate-credentials).
func (c *certificate) assertion(clientID, audience string, now time.Time) (string, error) {
	sum := sha256.Sum256(c.leaf.Raw)
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(sum[:]))
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: c.key}, opts)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"aud": audience, "iss": clientID, "sub": clientID, "jti": newID(),
		"nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := s.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// newID is a random UUID.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it does not fail
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// signer is a token with an id for each request, by which Microsoft finds it again.
type signer struct{ *rest.Tokens }

func (s signer) Sign(ctx context.Context, req *http.Request) error {
	req.Header.Set("Client-Request-Id", newID())
	return s.Tokens.Sign(ctx, req)
}

func (t *tenant) now() time.Time {
	if t.clock.Now != nil {
		return t.clock.Now()
	}
	return time.Now()
}

// fetchToken asks for a token by client credentials.
func (t *tenant) fetchToken(ctx context.Context) (rest.Token, error) {
	address := t.set.loginURL + "/" + t.set.tenant + "/oauth2/v2.0/token"
	asked := t.now()
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	_, err := t.api.Form(ctx, address, nil, func() (url.Values, error) {
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {t.set.clientID}, "scope": {t.set.graphURL + "/.default"}}
		if t.set.cert == nil {
			form.Set("client_secret", t.set.secret)
			return form, nil
		}
		signed, err := t.set.cert.assertion(t.set.clientID, address, t.now())
		if err != nil {
			return nil, fault.New(fault.Internal, "entra: sign with the certificate: %w", err)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", signed)
		return form, nil
	}, &answer)
	if err != nil {
		return rest.Token{}, explainToken(err)
	}
	if answer.AccessToken == "" || answer.ExpiresIn <= 0 || !strings.EqualFold(answer.TokenType, "Bearer") {
		return rest.Token{}, fault.New(fault.Unavailable, "entra: %s: the answer holds no token", address)
	}
	return rest.Token{Value: answer.AccessToken, Type: "Bearer", Until: asked.Add(time.Duration(answer.ExpiresIn) * time.Second)}, nil
}

// tokenHints are what to do about codes that people meet
// (identity-platform/reference-error-codes).
var tokenHints = []struct{ code, hint string }{
	{"AADSTS7000215", "client_secret must be the secret's value, not its ID; make a new one under Certificates & secrets."},
	{"AADSTS7000222", "The client secret has expired: make a new one under Certificates & secrets."},
	{"AADSTS700016", "There is no such application in this tenant: check client_id and tenant."},
	{"AADSTS90002", "There is no such tenant: check tenant, and cloud."},
	{"AADSTS900023", "tenant is neither an ID nor a domain that Entra ID knows."},
	{"AADSTS700027", "The registration does not have this certificate: upload it under Certificates & secrets."},
	{"AADSTS7000112", "The application is disabled in the tenant."},
	{"AADSTS500011", "The token service does not know this Graph address: check cloud and graph_url."},
}

func explainToken(err error) error {
	var e *rest.Error
	if !errors.As(err, &e) || e.Status < 400 || e.Status >= 500 || e.Status == http.StatusTooManyRequests {
		return err
	}
	f := fault.New(fault.Denied, "%w", err)
	for _, h := range tokenHints {
		if strings.Contains(e.Message, h.code+":") {
			return f.WithHint("%s", h.hint)
		}
	}
	return f.WithHint("Check tenant, client_id and the secret or certificate.")
}

// The permissions of which one is enough, the least one first (api/user-delta,
// api/group-delta, api/group-list-members).
var (
	forUsers  = []string{"User.Read.All", "Directory.Read.All", "User.ReadWrite.All", "Directory.ReadWrite.All"}
	forGroups = []string{"GroupMember.Read.All", "Group.Read.All", "Directory.Read.All", "GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All"}
)

const consent = "In the app registration, API permissions, add the application permission %s of Microsoft Graph, and grant admin consent."

// rolesOf gives the permissions that a token carries; not ok for a token that cannot
// be looked into. It is not verified: nothing is allowed because of it.
func rolesOf(token string) (roles []string, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, false
	}
	var claims struct {
		Roles []string `json:"roles"`
	}
	if json.Unmarshal(b, &claims) != nil {
		return nil, false
	}
	return claims.Roles, true
}

// missing gives the permissions that a token lacks, the least that would do.
func (t *tenant) missing(roles []string) []string {
	has := func(one []string) bool {
		return slices.ContainsFunc(one, func(p string) bool { return slices.Contains(roles, p) })
	}
	var out []string
	if !has(forUsers) {
		out = append(out, forUsers[0])
	}
	if !t.set.groups.none() && !has(forGroups) {
		out = append(out, forGroups[0])
	}
	return out
}

// permitted is an error where the token lacks a permission: Graph would answer some
// of the questions all the same, with less than there is.
func (t *tenant) permitted(ctx context.Context) error {
	token, err := t.tokens.Token(ctx)
	if err != nil {
		return err
	}
	roles, ok := rolesOf(token.Value)
	if lacks := t.missing(roles); ok && len(lacks) > 0 {
		// Consent may have been given since: the next token tells.
		t.tokens.Rejected(nil)
		return fault.New(fault.Denied, "entra: the application lacks the permission %s", strings.Join(lacks, " and ")).WithHint(consent, strings.Join(lacks, " and "))
	}
	return nil
}

// Expires tells when the certificate runs out, where there is one.
func (t *tenant) Expires() []source.Expiry {
	if t.set.cert == nil {
		return nil
	}
	return []source.Expiry{{Name: "client certificate", At: t.set.cert.leaf.NotAfter}}
}

var _ source.Expirer = (*tenant)(nil)
