package graph

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// lifetime of a token.
const lifetime = time.Hour

// token answers like the identity platform does to client credentials.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	deny := func(status int, code, message string) {
		answer(w, status, map[string]any{"error": code, "error_description": message + " Trace ID: 0000-cafe", "trace_id": "0000-cafe", "timestamp": "2026-03-02 09:00:00Z"})
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method != http.MethodPost || r.ParseForm() != nil:
		deny(http.StatusBadRequest, "invalid_request", "AADSTS900144: the request body must hold 'grant_type'.")
	case tenant != s.Tenant:
		deny(http.StatusBadRequest, "invalid_request", "AADSTS90002: Tenant '"+tenant+"' not found.")
	case r.PostForm.Get("grant_type") != "client_credentials" || r.PostForm.Get("scope") != s.Base+"/.default":
		deny(http.StatusBadRequest, "invalid_scope", "AADSTS70011: The provided value for the input parameter 'scope' is not valid.")
	case r.PostForm.Get("client_id") != s.ClientID:
		deny(http.StatusBadRequest, "unauthorized_client", "AADSTS700016: Application with identifier '"+r.PostForm.Get("client_id")+"' was not found in the directory.")
	case r.PostForm.Has("client_assertion"):
		if why := s.assertion(r.PostForm.Get("client_assertion"), "http://"+r.Host+r.URL.Path); why != "" {
			deny(http.StatusUnauthorized, "invalid_client", "AADSTS700027: "+why)
			return
		}
		s.grant(w)
	case s.Secret == "" || r.PostForm.Get("client_secret") != s.Secret:
		deny(http.StatusUnauthorized, "invalid_client", "AADSTS7000215: Invalid client secret provided: "+r.PostForm.Get("client_secret"))
	default:
		s.grant(w)
	}
}

func (s *Server) grant(w http.ResponseWriter) {
	s.nextID++
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	claims := map[string]any{"aud": s.Base, "roles": s.Roles, "uti": fmt.Sprint(s.nextID)}
	text := part(map[string]string{"typ": "JWT", "alg": "RS256"}) + "." + part(claims) + "." + part(fmt.Sprintf("signature %d", s.nextID))
	s.tokens[text] = s.Now().Add(lifetime)
	s.given = append(s.given, text)
	answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": int(lifetime / time.Second), "ext_expires_in": int(lifetime / time.Second), "access_token": text})
}

// assertion says what is wrong with a signed assertion.
func (s *Server) assertion(text, audience string) string {
	if s.Certificate == nil {
		return "no certificate is registered"
	}
	leaf, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return err.Error()
	}
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.PS256})
	if err != nil {
		return err.Error()
	}
	payload, err := signed.Verify(leaf.PublicKey)
	if err != nil {
		return "the signature is not valid"
	}
	sum := sha256.Sum256(s.Certificate)
	header := signed.Signatures[0].Protected
	if header.ExtraHeaders["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) || header.ExtraHeaders["typ"] != "JWT" {
		return "the key was not found: x5t#S256"
	}
	var c struct {
		Aud, Iss, Sub, Jti string
		Nbf, Iat, Exp      int64
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return err.Error()
	}
	now := s.Now().Unix()
	switch {
	case c.Aud != audience:
		return "aud is " + c.Aud
	case c.Iss != s.ClientID || c.Sub != s.ClientID:
		return "iss and sub are not the application"
	case c.Jti == "" || s.jtis[c.Jti]:
		return "jti was there before"
	case c.Nbf > now || c.Exp <= now || c.Exp > now+600:
		return "it is not good now, or for too long"
	}
	s.jtis[c.Jti] = true
	return ""
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

// authorized reports whether a request may ask for users, or groups.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request, least ...string) bool {
	until, ok := s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok || !s.Now().Before(until) {
		refuse(w, http.StatusUnauthorized, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
		return false
	}
	if !slices.ContainsFunc(append(least, "Directory.Read.All"), func(role string) bool { return slices.Contains(s.Roles, role) }) {
		refuse(w, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
		return false
	}
	return true
}
