// Package webhook sends deliveries (package store/hooks) to the endpoints of
// applications by the rules of Standard Webhooks 1.0
// (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md),
// and hands what became of each attempt back to the store. It never reaches
// addresses inside the operator's network unless it was allowed to.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/store/hooks"
)

// Sign gives the value of the header webhook-signature: a "v1" signature by each
// secret ("whsec_..."), with a space between them.
func Sign(secrets []string, id string, at time.Time, body []byte) (string, error) {
	var out []string
	for _, s := range secrets {
		key, err := hooks.Secret(s)
		if err != nil {
			return "", err
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + strconv.FormatInt(at.Unix(), 10) + "."))
		mac.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(out, " "), nil
}

// Headers sets what Standard Webhooks asks for.
func Headers(h http.Header, secrets []string, id string, at time.Time, body []byte) error {
	signature, err := Sign(secrets, id, at, body)
	if err != nil {
		return err
	}
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "Rollcall-Webhooks/1")
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("Webhook-Signature", signature)
	return nil
}
