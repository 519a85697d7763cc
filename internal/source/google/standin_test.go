package google

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	rig "rollcall.dev/rollcall/internal/rig/google"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// account is one for all tests: its key takes a while to make.
var account = sync.OnceValue(func() rig.Account {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return rig.Account{Email: "rollcall@rollcall-test.iam.gserviceaccount.com", ClientID: "104321987654321098765", KeyID: "4f3c2b1a", Key: key}
})

const admin = "reader@example.org"

// vendorOf is the stand-in as the shared suite takes it.
type vendorOf struct {
	*rig.Server
	faults sourcetest.Faults
}

// start serves an empty account.
func start(t testing.TB, clock *sourcetest.Clock) *vendorOf {
	t.Helper()
	v := &vendorOf{Server: &rig.Server{Account: account(), Scopes: []string{scopeUsers, scopeGroups, scopeMembers, scopeOrgUnits}, Admin: admin, Now: clock.Now, Page: 3}}
	v.Around = v.faults.Around
	srv := httptest.NewServer(v.Server)
	t.Cleanup(srv.Close)
	v.Base = srv.URL
	return v
}

func (v *vendorOf) Settings() setting.Values {
	return setting.Values{"key": v.Account.File(), "subject": admin, "url": v.Base, "token_url": v.Base + "/token", "groups.include": ".*", "people": "all"}
}

func (v *vendorOf) Put(p sourcetest.Person) {
	fields := map[string]any{"primaryEmail": p.Login, "name": map[string]any{"givenName": p.First, "familyName": p.Last, "fullName": p.First + " " + p.Last},
		"emails": []any{map[string]any{"address": p.Email, "primary": true}}, "suspended": p.Disabled}
	if p.Disabled {
		fields["suspensionReason"] = "ADMIN"
	}
	if p.Manager != "" {
		fields["relations"] = []any{map[string]any{"type": "manager", "value": v.Email(p.Manager)}}
	}
	v.PutUser(p.ID, fields)
}

func (v *vendorOf) PutGroup(g sourcetest.Group) {
	var members []rig.Member
	for _, id := range g.Members {
		members = append(members, rig.Member{ID: id, Type: "USER"})
	}
	v.Server.PutGroup(g.ID, map[string]any{"name": g.Name, "email": g.ID + "@example.org"}, members)
}

func (v *vendorOf) ExpireCursors()             {}
func (v *vendorOf) Faults() *sourcetest.Faults { return &v.faults }
func (v *vendorOf) Secrets() []string {
	return append(v.Tokens(), "PRIVATE KEY", account().File()[200:300])
}

func (v *vendorOf) Throttles() []sourcetest.Throttle {
	t := func(name string, code int, status, reason string, least time.Duration, header map[string]string) sourcetest.Throttle {
		return sourcetest.Throttle{Name: name, Least: least, Answer: sourcetest.Answer{Status: code, Header: header, Body: string(rig.Refusal(code, status, reason, "Quota exceeded for quota metric 'Queries'."))}}
	}
	return []sourcetest.Throttle{
		t("403 userRateLimitExceeded", http.StatusForbidden, "", "userRateLimitExceeded", time.Second, nil),
		t("403 rateLimitExceeded", http.StatusForbidden, "", "rateLimitExceeded", time.Second, nil),
		t("403 quotaExceeded", http.StatusForbidden, "", "quotaExceeded", time.Second, nil),
		t("429 RATE_LIMIT_EXCEEDED", http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", time.Second, nil),
		t("429 with Retry-After", http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "rateLimitExceeded", 10*time.Second, map[string]string{"Retry-After": "10"}),
	}
}

func (v *vendorOf) Refusal() sourcetest.Answer {
	return sourcetest.Answer{Status: http.StatusForbidden, Header: map[string]string{"Content-Type": "application/json"},
		Body: string(rig.Refusal(http.StatusForbidden, "PERMISSION_DENIED", "insufficientPermissions", "Request had insufficient authentication scopes."))}
}

func kindOf(c *sourcetest.Clock) source.Kind {
	return kindWith(rest.Clock{Now: c.Now, Sleep: c.Sleep, Jitter: func() float64 { return 0.5 }})
}

func TestTheSharedSuite(t *testing.T) {
	sourcetest.Run(t, sourcetest.Suite{
		Kind:  kindOf,
		Start: func(t testing.TB, c *sourcetest.Clock) sourcetest.Vendor { return start(t, c) },
		Login: "primaryEmail", Group: "name", Permission: scopeUsers, FullOnly: true,
	})
}
