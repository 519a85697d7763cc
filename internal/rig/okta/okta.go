// Package okta stands in for an Okta organization: it answers what the source asks of
// one, so far and as strictly as Okta's pages say, and hands that on to tests and
// benchmarks. It is written after the description management-minimal.yaml 2026.06.3 of
// okta/okta-management-openapi-spec and the guides core-okta-api (pages, errors),
// rate-limits, implement-oauth-for-okta-serviceapp and dpop of okta/okta-developer-docs.
package okta

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// Org is an organization. Its exported fields are set before the first request.
type Org struct {
	Now func() time.Time
	// PageSize is the most that is given at a time, whatever was asked for; Okta's is 200.
	PageSize int
	// Limit is how many requests a minute each family of addresses allows.
	Limit int
	// SSWS makes Settings use an API token instead of a client.
	SSWS bool
	// App makes Settings read those whom this application is assigned to: everybody.
	App string
	// DPoP demands proofs of possession, as apps do since February 2024.
	DPoP bool
	// Life of access tokens.
	Life time.Duration
	// Via is another address under which the organization is reached, put into Settings
	// in place of its own: that of a proxy.
	Via string

	URL    string
	faults sourcetest.Faults
	key    *ecdsa.PrivateKey
	pem    string
	token  string

	mu       sync.Mutex
	users    map[string]*user
	order    []string // IDs of users, sorted
	groups   map[string]*group
	inOrder  []string // IDs of groups, sorted
	apps     map[string][]string
	tokens   map[string]issued
	ever     []string // every token given out
	used     map[string]bool
	nonce    string
	repeat   bool
	windows  map[string]window
	requests int
}

type user struct {
	id, status           string
	created, lastUpdated time.Time
	profile              map[string]any
}

type group struct {
	id, name                                    string
	created, lastUpdated, lastMembershipUpdated time.Time
	members                                     []string
}

type issued struct {
	until time.Time
	bound string // thumbprint of the key it goes with; "" of a bearer token
}

type window struct {
	reset time.Time
	used  int
}

// clientID is that of the only app.
const clientID = "0oa1gjh63g214q0Hq0g4"

// keyID is that of its only key.
const keyID = "K2026"

// New makes an empty organization. Whoever serves it sets its URL.
func New(now func() time.Time) (*Org, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &Org{Now: now, PageSize: 5, Limit: 1200, Life: time.Hour, key: key, token: "00" + rand.Text(),
		pem:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		users: map[string]*user{}, groups: map[string]*group{}, apps: map[string][]string{}, tokens: map[string]issued{}, used: map[string]bool{}, windows: map[string]window{},
		nonce: rand.Text()}, nil
}

// Start begins to serve an empty organization until the test ends.
func Start(t testing.TB, now func() time.Time) *Org {
	t.Helper()
	o, err := New(now)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(o.Handler())
	o.URL = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return o
}

// Settings implements sourcetest.Vendor.
func (o *Org) Settings() setting.Values {
	v := setting.Values{"url": o.URL, "groups.include": ".", "manager": "login", "people": "all"}
	if o.App != "" {
		v["people"], v["app"] = "app", o.App
	}
	if o.Via != "" {
		v["url"] = o.Via
	}
	if o.SSWS {
		v["token"] = o.token
	} else {
		v["client_id"], v["key"], v["key_id"] = clientID, o.pem, keyID
	}
	return v
}

// Put implements sourcetest.Vendor. Who is disabled is deprovisioned.
func (o *Org) Put(p sourcetest.Person) {
	profile := map[string]any{"login": p.Login, "email": p.Email, "firstName": p.First, "lastName": p.Last, "mobilePhone": nil, "secondEmail": nil}
	if p.Manager != "" {
		o.mu.Lock()
		if m := o.users[p.Manager]; m != nil {
			profile["managerId"] = m.profile["login"]
		}
		o.mu.Unlock()
	}
	status := "ACTIVE"
	if p.Disabled {
		status = "DEPROVISIONED"
	}
	o.PutUser(p.ID, status, profile)
}

// PutUser adds or changes a user with any status and profile.
func (o *Org) PutUser(id, status string, profile map[string]any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := o.users[id]
	if u == nil {
		u = &user{id: id, created: o.Now()}
		o.users[id] = u
		at, _ := slices.BinarySearch(o.order, id)
		o.order = slices.Insert(o.order, at, id)
	}
	if o.App != "" {
		o.apps[o.App] = o.order
	}
	u.status, u.profile, u.lastUpdated = status, profile, o.Now()
}

// Remove implements sourcetest.Vendor. Like Okta it leaves no trace: the groups' last
// update of memberships stays.
func (o *Org) Remove(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.users, id)
	o.order = slices.DeleteFunc(o.order, func(x string) bool { return x == id })
	if o.App != "" {
		o.apps[o.App] = o.order
	}
	for _, g := range o.groups {
		g.members = slices.DeleteFunc(g.members, func(m string) bool { return m == id })
	}
}

// PutGroup implements sourcetest.Vendor.
func (o *Org) PutGroup(given sourcetest.Group) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[given.ID]
	if g == nil {
		g = &group{id: given.ID, created: o.Now()}
		o.groups[given.ID] = g
		at, _ := slices.BinarySearch(o.inOrder, given.ID)
		o.inOrder = slices.Insert(o.inOrder, at, given.ID)
	}
	members := slices.Sorted(slices.Values(given.Members))
	if g.name != given.Name {
		g.name, g.lastUpdated = given.Name, o.Now()
	}
	if !slices.Equal(g.members, members) || g.lastMembershipUpdated.IsZero() {
		g.members, g.lastMembershipUpdated = members, o.Now()
	}
}

// RemoveGroup implements sourcetest.Vendor.
func (o *Org) RemoveGroup(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.groups, id)
	o.inOrder = slices.DeleteFunc(o.inOrder, func(x string) bool { return x == id })
}

// Assign says whom an application is assigned to.
func (o *Org) Assign(app string, users ...string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.apps[app] = slices.Sorted(slices.Values(users))
}

// ExpireTokens implements sourcetest.Vendor. API tokens stay.
func (o *Org) ExpireTokens() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.tokens)
	o.nonce = rand.Text() // and with the day the nonce
}

// ExpireCursors implements sourcetest.Vendor: Okta has none.
func (o *Org) ExpireCursors() {}

// Repeat implements sourcetest.Vendor.
func (o *Org) Repeat(on bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.repeat = on
}

// Faults implements sourcetest.Vendor.
func (o *Org) Faults() *sourcetest.Faults { return &o.faults }

// Requests is how many requests there were.
func (o *Org) Requests() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.requests
}

// Secrets implements sourcetest.Vendor.
func (o *Org) Secrets() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := append([]string{o.token}, o.ever...)
	for line := range strings.Lines(o.pem) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-") {
			out = append(out, line)
		}
	}
	return out
}

// Throttles implements sourcetest.Vendor.
func (o *Org) Throttles() []sourcetest.Throttle {
	const body = `{"errorCode":"E0000047","errorSummary":"API call exceeded rate limit due to too many requests.","errorLink":"E0000047","errorId":"oaeThrottled","errorCauses":[]}`
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	answer := func(limit, remaining, reset, date string) sourcetest.Answer {
		return sourcetest.Answer{Status: http.StatusTooManyRequests, Body: body, Header: map[string]string{"Content-Type": "application/json",
			"X-Rate-Limit-Limit": limit, "X-Rate-Limit-Remaining": remaining, "X-Rate-Limit-Reset": reset, "Date": date}}
	}
	return []sourcetest.Throttle{
		{Name: "a quota that is used up", Least: 42 * time.Second, Answer: answer("600", "0", unix(at.Add(42*time.Second)), at.Format(http.TimeFormat))},
		{Name: "a quota told by a clock that goes wrong", Least: 17 * time.Second, Answer: answer("600", "0", unix(at.Add(-72*time.Hour+17*time.Second)), at.Add(-72*time.Hour).Format(http.TimeFormat))},
		{Name: "too many at a time", Least: time.Second / 2, Answer: answer("600", "599", unix(at.Add(time.Minute)), at.Format(http.TimeFormat))},
		{Name: "no word of when", Answer: sourcetest.Answer{Status: http.StatusTooManyRequests, Body: body, Header: map[string]string{"Content-Type": "application/json"}}},
		{Name: "headers that make no sense", Answer: answer("many", "-1", "99999999999999999999", "yesterday")},
	}
}

// Refusal implements sourcetest.Vendor.
func (o *Org) Refusal() sourcetest.Answer {
	return sourcetest.Answer{Status: http.StatusForbidden, Header: map[string]string{"Content-Type": "application/json"},
		Body: `{"errorCode":"E0000006","errorSummary":"You do not have permission to perform the requested action","errorLink":"E0000006","errorId":"oaeRefused","errorCauses":[]}`}
}
