package okta

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source/rest"
)

// family is a part of the API with rate limits of its own.
type family string

// The families that are read, and the scope each wants.
const (
	users   family = "users"   // /api/v1/users
	groups  family = "groups"  // /api/v1/groups
	members family = "members" // /api/v1/groups/{id}/users
	apps    family = "apps"    // /api/v1/apps/{id}/users
)

var scopeOf = map[family]string{users: "okta.users.read", groups: "okta.groups.read", members: "okta.groups.read", apps: "okta.apps.read"}

// brief asks for answers without credentials, which are faster to make
// (parameter OktaResponse of the description).
var brief = http.Header{"Content-Type": {"application/json; okta-response=omitCredentials,omitCredentialsLinks"}}

// api is Okta's, with its pages and its quotas.
type api struct {
	set    *settings
	client *rest.Client
	clock  rest.Clock
	quota  *quota
	signs  *client      // nil with a token
	most   atomic.Int32 // requests at a time
}

func newAPI(set *settings, clock rest.Clock) (*api, error) {
	clock = clock.Whole()
	a := &api{set: set, clock: clock}
	a.most.Store(int32(set.parallel)) //nolint:gosec // 1 to 20
	a.quota = &quota{clock: clock, share: set.share, until: map[family]time.Time{}, limits: map[family]int{}}
	config := rest.Config{Name: "okta", Root: set.root, Guard: set.guard, CAFile: set.caFile, Timeout: set.timeout, Clock: clock, Secrets: set.secrets, Retry: a.retry}
	if set.token != "" {
		config.Auth = rest.Static("SSWS", set.token)
		var err error
		a.client, err = rest.New(config)
		return a, err
	}
	c := newClient(set, a.clock.Now)
	config.Auth, a.signs = c, c
	var err error
	if a.client, err = rest.New(config); err != nil {
		return nil, err
	}
	c.rest = a.client
	return a, nil
}

// retry says when to come back after a refusal. Okta documents no Retry-After: a
// quota that is used up is full again at the time X-Rate-Limit-Reset; a 429 with some
// of the quota left is about too many requests at a time (rl2-concurrency).
func (a *api) retry(e *rest.Error, now time.Time) (time.Duration, bool) {
	if e.Status != http.StatusTooManyRequests {
		return rest.Retryable(e, now)
	}
	q, ok := readQuota(e.Header, now)
	if ok && q.remaining <= 0 && q.wait > 0 {
		return q.wait + time.Second, true
	}
	if most := a.most.Load(); most > 1 {
		a.most.CompareAndSwap(most, most/2)
	}
	return 0, true
}

// get asks once, as soon as the family's quota allows, and gives the answer.
func (a *api) get(ctx context.Context, f family, ref string, into any) (*rest.Answer, error) {
	if err := a.quota.wait(ctx, f); err != nil {
		if ctx.Err() == nil {
			return nil, err
		}
		return nil, fault.New(fault.Unavailable, "okta: wait for the rate limit: %w", err)
	}
	answer, err := a.client.Get(ctx, ref, brief, into)
	if err != nil {
		return nil, a.explain(f, err)
	}
	a.quota.note(f, answer.Header)
	return answer, nil
}

// explain adds what to do about a refusal.
func (a *api) explain(f family, err error) error {
	if fault.KindOf(err) != fault.Denied {
		return err
	}
	var refused *rest.Error
	if !errors.As(err, &refused) || fault.HintOf(err) != "" {
		return err
	}
	what := map[family]string{users: "people", groups: "groups", members: "the members of groups", apps: "an application's assignments"}[f]
	out := fault.New(fault.Denied, "%w", err)
	switch {
	case a.set.token != "" && refused.Status == http.StatusUnauthorized:
		return out.WithHint("the token is not known any more: it ends after 30 days without use, and with the account of the administrator who made it; make a new one, or use a client, which does neither")
	case a.set.token != "":
		return out.WithHint("the administrator who made the token may not read %s: give that account the role Read-Only Administrator, and look at the token's network zones", what)
	}
	return out.WithHint("to read %s, grant the app the scope %s under Okta API Scopes, and give it an admin role (Read-Only Administrator) under Admin roles: it needs both", what, scopeOf[f])
}

// errCircle is a list without end.
var errCircle = fault.New(fault.Unavailable, "okta: the pages lead in a circle")

// pages goes through a list, page by page, and hands each on. Addresses of further
// pages are opaque and used as they come.
func (a *api) pages(ctx context.Context, f family, ref string, page func(list []json.RawMessage, h http.Header) error) error {
	been := map[directory.Digest]bool{}
	for ref != "" {
		key := directory.Sum([]byte(ref))
		if been[key] {
			return errCircle
		}
		been[key] = true
		var list []json.RawMessage
		answer, err := a.get(ctx, f, ref, &list)
		if err != nil {
			return err
		}
		if list == nil || !bytes.HasPrefix(bytes.TrimLeft(answer.Body, " \t\r\n"), []byte("[")) {
			return fault.New(fault.Unavailable, "okta: list %s: the answer is no list", f)
		}
		if err := page(list, answer.Header); err != nil {
			return err
		}
		if ref, err = next(answer.Header); err != nil {
			return err
		}
	}
	return nil
}

// next gives the address of the next page, or "" after the last one. Okta sends a
// header line for each link (RFC 8288); a proxy may join them with commas.
func next(h http.Header) (string, error) {
	found := ""
	for _, line := range h.Values("Link") {
		for line != "" {
			start := strings.IndexByte(line, '<')
			if start < 0 {
				break
			}
			end := strings.IndexByte(line[start:], '>')
			if end < 0 {
				return "", fault.New(fault.Unavailable, "okta: a Link header is cut off")
			}
			target := line[start+1 : start+end]
			params, rest := parameters(line[start+end+1:])
			line = rest
			for rel := range strings.FieldsSeq(params["rel"]) {
				if !strings.EqualFold(rel, "next") {
					continue
				}
				if found != "" && found != target {
					return "", fault.New(fault.Unavailable, "okta: two Link headers lead to different next pages")
				}
				if target == "" {
					return "", fault.New(fault.Unavailable, "okta: a Link header leads nowhere")
				}
				found = target
			}
		}
	}
	return found, nil
}

// parameters reads ;name=value up to the comma behind a link, and gives what follows.
func parameters(s string) (params map[string]string, rest string) {
	params = map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' || s[0] != ';' {
			return params, strings.TrimPrefix(s, ",")
		}
		s = strings.TrimLeft(s[1:], " \t")
		i := strings.IndexAny(s, "=;,")
		if i < 0 {
			return params, ""
		}
		name := strings.ToLower(strings.TrimSpace(s[:i]))
		if s[i] != '=' {
			s = s[i:]
			continue
		}
		s = strings.TrimLeft(s[i+1:], " \t")
		var value string
		if strings.HasPrefix(s, `"`) {
			j := strings.IndexByte(s[1:], '"')
			if j < 0 {
				return params, ""
			}
			value, s = s[1:1+j], s[j+2:]
		} else {
			j := strings.IndexAny(s, ";,")
			if j < 0 {
				j = len(s)
			}
			value, s = strings.TrimSpace(s[:j]), s[j:]
		}
		if _, twice := params[name]; !twice {
			params[name] = value
		}
	}
}
