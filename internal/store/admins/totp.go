package admins

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238 with SHA-1 is what authenticator apps understand; HMAC does not need collision resistance
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Codes are those of RFC 6238: SHA-1, 30 seconds, six digits.
const (
	totpStep   = 30 * time.Second
	totpDigits = 6
	totpSize   = 20 // bytes of secret, RFC 4226, section 4
	totpWindow = 1  // steps a clock may be off, either way
)

// totpCode is the code of a time step.
func totpCode(secret []byte, step int64) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step)) //nolint:gosec // steps since 1970
	mac := hmac.New(sha1.New, secret)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%1_000_000)
}

// totpMatch gives the step behind after whose code this is, and whether there is
// one: a code is taken once, and none that is older than one that was.
func totpMatch(secret []byte, code string, now time.Time, after int64) (step int64, ok bool) {
	current := now.Unix() / int64(totpStep/time.Second)
	for s := current - totpWindow; s <= current+totpWindow; s++ {
		if subtle.ConstantTimeCompare([]byte(totpCode(secret, s)), []byte(code)) == 1 && s > after && !ok {
			step, ok = s, true
		}
	}
	return step, ok
}

var totpLetters = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpURI is what authenticator apps read from a QR code
// (https://github.com/google/google-authenticator/wiki/Key-Uri-Format).
func totpURI(secret []byte, issuer, email string) string {
	q := url.Values{"secret": {totpLetters.EncodeToString(secret)}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	return "otpauth://totp/" + url.PathEscape(issuer) + ":" + url.PathEscape(email) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// plainCode takes out what people put between digits and letters.
func plainCode(text string) string {
	if len(text) > 64 {
		return ""
	}
	return strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(text))
}
