package google

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/rest"
)

// key is a service account's key file.
type key struct {
	email, clientID, id string
	private             *rsa.PrivateKey
	text                string // of the private key: what no error may hold
}

// parseKey reads a key file. Its errors hold nothing of it.
func parseKey(text string) (*key, error) {
	var file struct {
		Type         string `json:"type"`
		PrivateKeyID string `json:"private_key_id"`
		PrivateKey   string `json:"private_key"`
		ClientEmail  string `json:"client_email"`
		ClientID     string `json:"client_id"`
	}
	if json.Unmarshal([]byte(text), &file) != nil {
		return nil, errors.New("it is not JSON")
	}
	switch {
	case file.Type != "service_account":
		return nil, errors.New("it is not the key of a service account")
	case file.ClientEmail == "" || file.PrivateKey == "" || file.PrivateKeyID == "":
		return nil, errors.New("client_email, private_key or private_key_id is missing in it")
	}
	block, _ := pem.Decode([]byte(file.PrivateKey))
	if block == nil {
		return nil, errors.New("private_key is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return nil, errors.New("private_key cannot be read")
		}
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("private_key is not an RSA key")
	}
	return &key{email: file.ClientEmail, clientID: file.ClientID, id: file.PrivateKeyID, private: private, text: file.PrivateKey}, nil
}

// lifetime of an assertion, the longest that Google takes (protocols/oauth2/service-account).
const lifetime = time.Hour

// assertion is what a token is asked for with: a JWT signed with RS256.
func (w *workspace) assertion() (string, error) {
	opts := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", w.set.key.id)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: w.set.key.private}, opts)
	if err != nil {
		return "", err
	}
	now := w.clock.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": w.set.key.email, "sub": w.set.subject, "scope": strings.Join(w.set.scopes(), " "), "aud": w.set.tokenURL,
		"iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func (w *workspace) fetchToken(ctx context.Context) (rest.Token, error) {
	asked := w.clock.Now()
	var answer struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
	}
	_, err := w.api.Form(ctx, w.set.tokenURL, nil, func() (url.Values, error) {
		signed, err := w.assertion()
		if err != nil {
			return nil, fault.New(fault.Invalid, "google: sign with the service account's key: %w", err)
		}
		return url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {signed}}, nil
	}, &answer)
	if err != nil {
		return rest.Token{}, w.explainToken(err)
	}
	if answer.AccessToken == "" || answer.ExpiresIn <= 0 || !strings.EqualFold(answer.TokenType, "Bearer") {
		return rest.Token{}, fault.New(fault.Unavailable, "google: %s: the answer holds no token", w.set.tokenURL)
	}
	return rest.Token{Value: answer.AccessToken, Type: "Bearer", Until: asked.Add(time.Duration(answer.ExpiresIn) * time.Second)}, nil
}

// delegate says what to click where the service account may not act for anybody.
func (s *settings) delegate() string {
	id := s.key.clientID
	if id == "" {
		id = "of the service account " + s.key.email
	}
	return "In the Google Admin console, Security, Access and data control, API controls, Manage Domain Wide Delegation: add the client ID " + id +
		" with these scopes, exactly as spelled: " + strings.Join(s.scopes(), ",") + ". It may take a while until Google knows of it."
}

// explainToken adds what a person can do about a refused token
// (protocols/oauth2/service-account, JWT error codes).
func (w *workspace) explainToken(err error) error {
	var e *rest.Error
	if !errors.As(err, &e) || e.Status < 400 || e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout {
		return err
	}
	f := fault.New(fault.Denied, "%w", err)
	said := strings.ToLower(e.Message)
	switch {
	case e.Code == "unauthorized_client", e.Code == "access_denied", e.Code == "invalid_scope":
		return f.WithHint("%s", w.set.delegate())
	case strings.Contains(said, "email or user id"):
		return f.WithHint("There is nobody called %s: subject must be the address of an administrator of the account.", w.set.subject)
	case strings.Contains(said, "short-lived") || strings.Contains(said, "timeframe"):
		return f.WithHint("Google finds the time in the request wrong: check the clock of this machine.")
	case strings.Contains(said, "account not found") || e.Code == "invalid_client":
		return f.WithHint("Google does not know the service account %s: it was deleted or disabled, or the key is of another.", w.set.key.email)
	case strings.Contains(said, "signature"):
		return f.WithHint("The key %s was deleted: make a new one for the service account, and set it here.", w.set.key.id)
	case e.Code == "deleted_client" || e.Code == "disabled_client":
		return f.WithHint("The service account %s was deleted or disabled in the Google Cloud console.", w.set.key.email)
	}
	return f.WithHint("Check the key and subject.")
}
