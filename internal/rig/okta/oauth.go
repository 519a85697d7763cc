package okta

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// oops answers as the token endpoint does (RFC 6749, 5.2).
func oops(w http.ResponseWriter, status int, code, text string) {
	reply(w, status, map[string]string{"error": code, "error_description": text})
}

// issue is the organization's token endpoint for a client with a private key.
func (o *Org) issue(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Method != http.MethodPost || r.ParseForm() != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		oops(w, http.StatusBadRequest, "invalid_request", "The request is malformed.")
		return
	}
	switch {
	case r.PostForm.Get("grant_type") != "client_credentials":
		oops(w, http.StatusBadRequest, "unsupported_grant_type", "The authorization grant type is not supported.")
		return
	case r.PostForm.Get("client_secret") != "" || r.PostForm.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer":
		oops(w, http.StatusUnauthorized, "invalid_client", "Okta scopes want private_key_jwt.")
		return
	case r.PostForm.Get("scope") == "":
		oops(w, http.StatusBadRequest, "invalid_scope", "The scope is missing.")
		return
	}
	if why := o.wrong(r.PostForm.Get("client_assertion"), "http://"+r.Host+"/oauth2/v1/token"); why != "" {
		oops(w, http.StatusUnauthorized, "invalid_client", why)
		return
	}
	bound, kind := "", "Bearer"
	if proof := r.Header.Get("DPoP"); proof != "" || o.DPoP {
		if proof == "" {
			oops(w, http.StatusBadRequest, "invalid_dpop_proof", "The DPoP proof JWT header is missing.")
			return
		}
		claims, thumb, why := o.proof(proof, r.Method, "http://"+r.Host+r.URL.Path)
		if why != "" {
			oops(w, http.StatusBadRequest, "invalid_dpop_proof", why)
			return
		}
		if claims["nonce"] != o.nonce {
			w.Header().Set("dpop-nonce", o.nonce)
			oops(w, http.StatusBadRequest, "use_dpop_nonce", "Authorization server requires nonce in DPoP proof.")
			return
		}
		bound, kind = thumb, "DPoP"
	}
	token := "eyJ" + rand.Text() + rand.Text()
	o.tokens[token], o.ever = issued{until: o.Now().Add(o.Life), bound: bound}, append(o.ever, token)
	reply(w, http.StatusOK, map[string]any{"token_type": kind, "expires_in": int(o.Life / time.Second), "access_token": token, "scope": r.PostForm.Get("scope")})
}

// wrong says what is wrong with an assertion (implement-oauth-for-okta-serviceapp).
func (o *Org) wrong(assertion, endpoint string) string {
	signed, err := jose.ParseSignedCompact(assertion, []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512})
	if err != nil || signed.Signatures[0].Header.KeyID != keyID {
		return "The client_assertion is no JWT of a key of this client."
	}
	body, err := signed.Verify(o.key.Public())
	if err != nil {
		return "The client_assertion signature is invalid."
	}
	var c struct {
		Iss, Sub, Aud, Jti string
		Exp                json.Number
	}
	if json.Unmarshal(body, &c) != nil || strings.Contains(string(body), `"exp":"`) {
		return "The client_assertion claims are malformed."
	}
	exp, err := c.Exp.Int64()
	left := time.Unix(exp, 0).Sub(o.Now())
	switch {
	case err != nil || left <= 0 || left > time.Hour:
		return "The client_assertion token has an expiration too far into the future, or none."
	case c.Iss != clientID || c.Sub != clientID || c.Aud != endpoint:
		return "The iss, sub or aud of client_assertion is wrong."
	case c.Jti == "" || o.used[c.Jti]:
		return "The client_assertion token must not be used twice."
	}
	o.used[c.Jti] = true
	return ""
}

// proof reads a proof of possession (RFC 9449, 4.3) and gives the thumbprint of its key.
func (o *Org) proof(proof, method, address string) (claims map[string]any, thumb, why string) {
	signed, err := jose.ParseSignedCompact(proof, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return nil, "", "The DPoP proof is no JWT."
	}
	header := signed.Signatures[0].Header
	key := header.JSONWebKey
	if key == nil || !key.IsPublic() || header.ExtraHeaders[jose.HeaderType] != "dpop+jwt" {
		return nil, "", "The DPoP proof must have the type dpop+jwt and a public key."
	}
	body, err := signed.Verify(key)
	if err != nil || json.Unmarshal(body, &claims) != nil {
		return nil, "", "The DPoP proof's signature is invalid."
	}
	iat, _ := claims["iat"].(float64)
	jti, _ := claims["jti"].(string)
	off := o.Now().Sub(time.Unix(int64(iat), 0))
	switch {
	case claims["htm"] != method || claims["htu"] != address:
		return nil, "", "The DPoP proof is for another request."
	case off > 5*time.Minute || off < -5*time.Minute:
		return nil, "", "The DPoP proof was issued at another time."
	case jti == "" || o.used[jti]:
		return nil, "", "The DPoP proof must not be used twice."
	}
	o.used[jti] = true
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", "The DPoP proof's key has no thumbprint."
	}
	return claims, base64.RawURLEncoding.EncodeToString(sum), ""
}

// authorized says why a request is not.
func (o *Org) authorized(r *http.Request) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if kind == "SSWS" {
		if token != o.token {
			return "unknown"
		}
		return ""
	}
	given, ok := o.tokens[token]
	switch {
	case !ok || !o.Now().Before(given.until):
		return "The token has expired."
	case given.bound == "" && kind == "Bearer":
		return ""
	case given.bound == "" || kind != "DPoP":
		return "The token is of another type."
	}
	claims, thumb, why := o.proof(r.Header.Get("DPoP"), r.Method, "http://"+r.Host+r.URL.EscapedPath())
	if why != "" {
		return why
	}
	sum := sha256.Sum256([]byte(token))
	if thumb != given.bound || claims["ath"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
		return "The DPoP proof belongs to another token."
	}
	return ""
}
