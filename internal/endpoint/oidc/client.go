package oidc

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/clients"
)

// client says which client asks, having proved it (RFC 6749, section 2.3): by its
// secret in the header or in the form, or by its name alone where it is public.
func (p *Provider) client(r *http.Request, v values) (*clients.Client, error) {
	id, secret, given := v["client_id"], v["client_secret"], v["client_secret"] != ""
	if header := r.Header.Get("Authorization"); header != "" {
		if given {
			return nil, refused("invalid_request", "the client proves itself in two ways")
		}
		name, text, ok := basic(header)
		if !ok {
			return nil, refused("invalid_client", "the header Authorization cannot be read")
		}
		if id != "" && id != name {
			return nil, refused("invalid_request", "the client has two names")
		}
		id, secret, given = name, text, true
	}
	if id == "" {
		return nil, refused("invalid_client", "the client does not say who it is")
	}
	if len(id) > longestOther || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		id = "-"
	}
	from := admins.From(r, p.TrustedProxies)
	if wait := p.fails.wait(id, from); wait > 0 {
		return nil, &tooManyError{wait}
	}
	c, err := p.Clients.Get(r.Context(), "", id)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if err != nil {
		c = nil
	}
	good := c.Holds(secret, p.Now()) // also for nobody, so that it takes as long
	if c != nil && c.Type == clients.Public {
		good = !given
	}
	if !good {
		p.fails.count(id, from)
		return nil, refused("invalid_client", "the client is not known, or its secret is wrong")
	}
	return c, nil
}

// basic reads a header. Name and secret are written as in a form inside of it (RFC
// 6749, section 2.3.1).
func basic(header string) (name, secret string, ok bool) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return "", "", false
	}
	name, secret, ok = strings.Cut(string(b), ":")
	if !ok {
		return "", "", false
	}
	if name, err = url.QueryUnescape(name); err != nil {
		return "", "", false
	}
	secret, err = url.QueryUnescape(secret)
	return name, secret, err == nil
}

// How many times a client may fail to prove itself from one address, before it
// waits; a while later it is forgotten.
const (
	mostFails  = 10
	failsPause = time.Minute
	mostNames  = 10_000
)

// tooManyError is for who failed too often.
type tooManyError struct{ wait time.Duration }

func (e *tooManyError) Error() string { return "too many failed tries" }

func (e *tooManyError) after() string { return strconv.Itoa(int(e.wait/time.Second) + 1) }

// fails counts, on this node alone: secrets are 256 random bits, so this keeps
// noise away and not guessers.
type fails struct {
	now func() time.Time
	mu  sync.Mutex
	by  map[string]*failed
}

type failed struct {
	times int
	until time.Time
}

func (f *fails) wait(id string, from netip.Addr) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.by[id+" "+from.String()]
	if x == nil || x.times < mostFails {
		return 0
	}
	return x.until.Sub(f.now())
}

func (f *fails) count(id string, from netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, name := f.now(), id+" "+from.String()
	if f.by == nil || len(f.by) >= mostNames {
		f.by = map[string]*failed{} // ten thousand at once: rather forget than grow for ever
	}
	x := f.by[name]
	if x == nil || !x.until.After(now) {
		x = &failed{}
		f.by[name] = x
	}
	x.times++
	x.until = now.Add(failsPause)
}
