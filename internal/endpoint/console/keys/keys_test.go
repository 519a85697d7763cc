package keys

import (
	"testing"
	"time"

	"rollcall.dev/rollcall/client"
)

func TestHowAKeyStands(t *testing.T) {
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	before, later := now.Add(-time.Hour), now.Add(time.Hour)
	for name, c := range map[string]struct {
		key  client.Key
		want string
	}{
		"one without an end":                   {client.Key{}, "active"},
		"one that ends later":                  {client.Key{ExpiresAt: &later}, "active"},
		"one that ends now":                    {client.Key{ExpiresAt: &now}, "expired"},
		"one that was revoked before its end":  {client.Key{ExpiresAt: &later, RevokedAt: &before}, "revoked"},
		"one that was revoked and has expired": {client.Key{ExpiresAt: &before, RevokedAt: &before}, "revoked"},
	} {
		if got := stateOf(c.key, now); got != c.want {
			t.Errorf("%s is %s, want %s", name, got, c.want)
		}
	}
}
