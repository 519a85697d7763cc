package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rates"
)

// authenticated lets through who has a key, as often as it may ask, and to read
// only where the key may only read.
func (s *server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if public(r.URL.Path) {
			if wait := s.stranger(r); wait > 0 {
				refuse(w, tooMany(r.Context(), wait))
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		who, p := s.identify(r)
		if p != nil {
			refuse(w, p)
			return
		}
		rec := recordOf(r.Context())
		rec.key, rec.tenant = who.ID, who.Organization
		limit := s.limit
		if _, known := r.Context().Value(knownKey{}).(*Caller); known {
			limit = rates.Limit{PerSecond: perPage * limit.PerSecond, Burst: perPage * limit.Burst}
		}
		if wait := s.asked.Take(who.ID, 1, limit, s.Now()); wait > 0 {
			refuse(w, tooMany(r.Context(), wait))
			return
		}
		if !s.reaches(who, r) {
			refuse(w, newProblem(r.Context(), http.StatusNotFound, "there is nothing here for who came by a set-up link", "a set-up link is for one connection"))
			return
		}
		if who.ReadOnly && r.Method != http.MethodGet && r.Method != http.MethodHead {
			refuse(w, newProblem(r.Context(), http.StatusForbidden, who.Actor+" may only read", "use a key with the scope operator or organization:ID, or ask somebody who may"))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}

// perPage is how much more often those may ask who are known without a key: a page
// of theirs is a dozen requests.
const perPage = 10

// stranger counts a request of somebody who has no key.
func (s *server) stranger(r *http.Request) (wait int) {
	return s.strangers.Take(s.address(r), 1, s.limit, s.Now())
}

// identify says who makes a request. Those without a valid key are counted by
// their address. One that is valid is let through all the same: it is not to blame
// for whoever asks from behind the same address, who may be of another tenant.
func (s *server) identify(r *http.Request) (*Caller, *problem) {
	ctx := r.Context()
	if known, ok := ctx.Value(knownKey{}).(*Caller); ok {
		return known, nil
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		if wait := s.stranger(r); wait > 0 {
			return nil, tooMany(ctx, wait)
		}
		return nil, unauthorized(ctx, "no API key was given", "send it as `Authorization: Bearer KEY`; `rollcall apikeys create` makes one", "")
	}
	key, err := s.Store.KeyTable.Check(ctx, text)
	if fault.KindOf(err) == fault.Denied && err != nil {
		if wait := s.stranger(r); wait > 0 {
			return nil, tooMany(ctx, wait)
		}
		return nil, unauthorized(ctx, err.Error(), fault.HintOf(err), `, error="invalid_token"`)
	}
	if err != nil {
		return nil, s.problem(ctx, err)
	}
	return &Caller{ID: key.ID, Organization: key.Scope.Organization, ReadOnly: key.Scope.ReadOnly, Actor: "apikey:" + key.ID}, nil
}

// unauthorized says how to authenticate (RFC 6750, section 3).
func unauthorized(ctx context.Context, detail, hint, more string) *problem {
	p := newProblem(ctx, http.StatusUnauthorized, detail, hint)
	p.header = http.Header{"Www-Authenticate": {`Bearer realm="rollcall"` + more}}
	return p
}

func tooMany(ctx context.Context, seconds int) *problem {
	p := newProblem(ctx, http.StatusTooManyRequests, "too many requests", "wait for as many seconds as Retry-After says; `rate_limits:` in the configuration sets how many are let through")
	p.header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
	return p
}

// within gives the organization that a request is about: the one it names, where
// the key reaches that, or all that the key reaches.
func within(ctx context.Context, named string) (string, error) {
	own := callerOf(ctx).Organization
	if own != "" && named != "" && own != named {
		return "", noOrganization(named)
	}
	if own != "" {
		return own, nil
	}
	return named, nil
}

func noOrganization(id string) error {
	return fault.New(fault.NotFound, "there is no organization %q", id).WithHint("`GET %s/organizations` lists those there are", Prefix)
}
