package scim

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/pushers"
)

// token gives an access token for a client's ID and secret (RFC 6749, section 4.4).
// Microsoft's gallery takes applications that do this only.
func (e *Endpoint) token(w http.ResponseWriter, r *http.Request) {
	now, from := e.Now(), e.address(r)
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		oauth(w, http.StatusBadRequest, "invalid_request", "the body is no form")
		return
	}
	if r.PostForm.Get("grant_type") != "client_credentials" {
		oauth(w, http.StatusBadRequest, "unsupported_grant_type", "grant_type is client_credentials here")
		return
	}
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		// Section 2.3.1: both are form-encoded before they are put together.
		var errs [2]error
		id, errs[0] = url.QueryUnescape(user)
		secret, errs[1] = url.QueryUnescape(password)
		if errs[0] != nil || errs[1] != nil {
			id, secret = user, password
		}
	}
	var access string
	var life time.Duration
	err := error(fault.New(fault.Denied, "no such client"))
	c, cerr := e.connection(r.Context(), r.PathValue("alias"))
	if cerr == nil && c != nil && id != "" && secret != "" {
		access, life, err = e.Pushers.Exchange(r.Context(), c.alias, id, secret)
	}
	switch {
	case cerr != nil, err != nil && fault.KindOf(err) != fault.Denied:
		e.Log.Error("an access token could not be made", "connection", r.PathValue("alias"), "error", firstOf(cerr, err).Error())
		oauth(w, http.StatusServiceUnavailable, "temporarily_unavailable", "come again later")
	case err != nil:
		if wait := e.stranger(r, now); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wait))
			oauth(w, http.StatusTooManyRequests, "slow_down", "come again later")
			return
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="rollcall"`)
		if c != nil { // whoever gave the client its secret sees that it was not taken
			e.Pushers.LogRefused(c.alias, pushers.Exchange{At: now.UTC(), Method: r.Method, Path: "/oauth/token", Status: http.StatusUnauthorized, Client: r.UserAgent(), Remote: from, Mode: c.mask})
		}
		oauth(w, http.StatusUnauthorized, "invalid_client", "the client is not known, or its secret is wrong or has ended")
	default:
		answerToken(w, map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": int64(life.Seconds())})
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func answerToken(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Pragma", "no-cache")
	_ = json.NewEncoder(w).Encode(body) //nolint:errcheck // whoever has gone away is told nothing
}

// oauth is an error as section 5.2 has it.
func oauth(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": text}) //nolint:errcheck // whoever has gone away is told nothing
}
