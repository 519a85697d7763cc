package google

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// lifetime of a token.
const lifetime = time.Hour

// Account is the service account.
type Account struct {
	Email, ClientID, KeyID string
	Key                    *rsa.PrivateKey
}

// File is the account's key file, as the Google Cloud console gives it.
func (a Account) File() string {
	der, err := x509.MarshalPKCS8PrivateKey(a.Key)
	if err != nil {
		panic(err)
	}
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "rollcall-test", "private_key_id": a.KeyID,
		"private_key":  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": a.Email, "client_id": a.ClientID, "token_uri": "https://oauth2.googleapis.com/token",
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// token answers to an assertion (identity/protocols/oauth2/service-account).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deny := func(status int, code, message string) {
		answer(w, status, map[string]any{"error": code, "error_description": message})
	}
	if r.Method != http.MethodPost || r.ParseForm() != nil || r.PostForm.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		deny(http.StatusBadRequest, "unsupported_grant_type", "Invalid grant_type: "+r.PostForm.Get("grant_type"))
		return
	}
	signed, err := jose.ParseSignedCompact(r.PostForm.Get("assertion"), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		deny(http.StatusBadRequest, "invalid_grant", "Bad Request")
		return
	}
	payload, err := signed.Verify(&s.Account.Key.PublicKey)
	if err != nil || signed.Signatures[0].Header.KeyID != s.Account.KeyID {
		deny(http.StatusBadRequest, "invalid_grant", "Invalid JWT Signature. "+r.PostForm.Get("assertion"))
		return
	}
	var c struct {
		Iss, Sub, Scope, Aud string
		Iat, Exp             int64
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		deny(http.StatusBadRequest, "invalid_grant", err.Error())
		return
	}
	now, scopes := s.Now().Unix(), strings.Fields(c.Scope)
	switch {
	case c.Iss != s.Account.Email:
		deny(http.StatusBadRequest, "invalid_grant", "Invalid grant: account not found")
	case c.Aud != s.Base+"/token":
		deny(http.StatusBadRequest, "invalid_grant", "Invalid JWT: Failed audience check.")
	case c.Iat > now || c.Exp <= now || c.Exp > c.Iat+3600:
		deny(http.StatusBadRequest, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim.")
	case len(scopes) == 0 || slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(s.Scopes, scope) }):
		deny(http.StatusUnauthorized, "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.")
	case c.Sub != s.Admin:
		deny(http.StatusBadRequest, "invalid_grant", "Invalid email or User ID")
	default:
		s.nextID++
		text := fmt.Sprintf("ya29.c.token-%d-of-the-account", s.nextID)
		s.tokens[text] = grant{until: s.Now().Add(lifetime), scopes: scopes}
		s.given = append(s.given, text)
		answer(w, http.StatusOK, map[string]any{"access_token": text, "expires_in": int(lifetime/time.Second) - 1, "token_type": "Bearer"})
	}
}

// ExpireTokens makes all tokens given so far worthless.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Tokens are all that were given so far.
func (s *Server) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.given)
}
