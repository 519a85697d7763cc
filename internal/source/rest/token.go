package rest

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Token is what a vendor gave for credentials.
type Token struct {
	Value string
	Type  string    // "Bearer", "SSWS"; "" is Bearer
	Until time.Time // zero for one that does not run out
}

// early is how long before its end a token is no longer used: it must outlast the
// request, and clocks differ.
const early = 2 * time.Minute

// Tokens is Auth by a token in the Authorization header. One is fetched at a time,
// before the old one ends or after the vendor rejected it.
type Tokens struct {
	// Fetch gets a fresh token. The client's Form is the way to ask for one.
	Fetch func(ctx context.Context) (Token, error)
	// Now is the time; nil is the real one.
	Now func() time.Time

	mu    sync.Mutex // held while one is fetched
	token Token

	told sync.Mutex // for used alone: a refusal while fetching asks for Secrets
	used []string
}

// Static is Auth by a token that does not change, such as Okta's SSWS.
func Static(kind, value string) *Tokens {
	return &Tokens{Fetch: func(context.Context) (Token, error) { return Token{Value: value, Type: kind}, nil }}
}

// Token gives one that is good for a while, fetching it where needed.
func (t *Tokens) Token(ctx context.Context) (Token, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now
	if t.Now != nil {
		now = t.Now
	}
	if t.token.Value != "" && (t.token.Until.IsZero() || now().Add(early).Before(t.token.Until)) {
		return t.token, nil
	}
	fresh, err := t.Fetch(ctx)
	if err != nil {
		return Token{}, err
	}
	if fresh.Type == "" {
		fresh.Type = "Bearer"
	}
	t.token = fresh
	// The last two: a vendor may still repeat the one before.
	t.told.Lock()
	defer t.told.Unlock()
	if !slices.Contains(t.used, fresh.Value) {
		t.used = append(t.used[max(0, len(t.used)-1):], fresh.Value)
	}
	return fresh, nil
}

// Sign implements Auth.
func (t *Tokens) Sign(ctx context.Context, req *http.Request) error {
	token, err := t.Token(ctx)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", token.Type+" "+token.Value)
	return nil
}

// Rejected implements Auth: the token is forgotten. One that never runs out would
// come back the same, so that trying again is of no use.
func (t *Tokens) Rejected(http.Header) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	again := !t.token.Until.IsZero()
	t.token = Token{}
	return again
}

// Secrets implements Auth.
func (t *Tokens) Secrets() []string {
	t.told.Lock()
	defer t.told.Unlock()
	return slices.Clone(t.used)
}
