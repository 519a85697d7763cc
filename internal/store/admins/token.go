package admins

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// Tokens are a prefix and 32 random bytes in base64url. Only their SHA-256 is kept:
// it is quick on purpose, nobody guesses 256 bits.
const (
	sessionPrefix = "rs_"
	linkPrefix    = "rl_"
	tokenSize     = 32 // bytes
)

func newToken(prefix string) string {
	return prefix + base64.RawURLEncoding.EncodeToString(random(tokenSize))
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// isToken keeps texts of any other shape from the database.
func isToken(prefix, text string) bool {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok || len(rest) != base64.RawURLEncoding.EncodedLen(tokenSize) {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(rest)
	return err == nil
}

// csrf is a session's value for its forms. It is made of the token, so whoever has
// not the token cannot make it, and whoever sees the value does not have the token.
func csrf(token string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("rollcall console form"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
