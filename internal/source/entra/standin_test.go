package entra

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/graph"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

const secret = "s3cr3t~of.the.application"

// vendor is the stand-in as the shared suite takes it.
type vendor struct {
	*graph.Server
	faults sourcetest.Faults
	groups map[string]sourcetest.Group
}

// start serves an empty tenant.
func start(t testing.TB, clock *sourcetest.Clock) *vendor {
	t.Helper()
	v := &vendor{Server: &graph.Server{Tenant: "contoso.example", ClientID: "11111111-2222-3333-4444-555555555555", Secret: secret,
		Roles: []string{"User.Read.All", "GroupMember.Read.All"}, Now: clock.Now, Page: 3, Part: 4}, groups: map[string]sourcetest.Group{}}
	v.Around = v.faults.Around
	srv := httptest.NewServer(v.Server)
	t.Cleanup(srv.Close)
	v.Base = srv.URL
	return v
}

func (v *vendor) Settings() setting.Values {
	return setting.Values{"tenant": "contoso.example", "client_id": v.ClientID, "client_secret": secret, "login_url": v.Base, "graph_url": v.Base,
		"groups.include": ".*", "people": "all", "sync.page_size": 5}
}

func (v *vendor) Put(p sourcetest.Person) {
	v.PutUser(p.ID, map[string]any{"userPrincipalName": p.Login, "givenName": p.First, "surname": p.Last, "displayName": p.First + " " + p.Last,
		"mail": p.Email, "accountEnabled": !p.Disabled, "userType": "Member"})
	v.SetManager(p.ID, p.Manager)
}

func (v *vendor) Remove(id string) { v.Purge(id) }

func (v *vendor) PutGroup(g sourcetest.Group) {
	v.Server.PutGroup(g.ID, map[string]any{"displayName": g.Name, "securityEnabled": true}, g.Members)
}

func (v *vendor) ExpireCursors()             { v.ForgetStates() }
func (v *vendor) Faults() *sourcetest.Faults { return &v.faults }
func (v *vendor) Secrets() []string          { return append(v.Tokens(), secret, "deltatoken=", "skiptoken=") }

func (v *vendor) Throttles() []sourcetest.Throttle {
	body := string(graph.Refusal("TooManyRequests", "Please retry again later."))
	t := func(name string, least time.Duration, header map[string]string) sourcetest.Throttle {
		return sourcetest.Throttle{Name: name, Least: least, Answer: sourcetest.Answer{Status: http.StatusTooManyRequests, Header: header, Body: body}}
	}
	date := sourcetest.NewClock().Now()
	return []sourcetest.Throttle{
		t("Retry-After in whole seconds", 10*time.Second, map[string]string{"Retry-After": "10"}),
		t("Retry-After in decimal seconds", 2128*time.Millisecond, map[string]string{"Retry-After": "2.128"}),
		t("Retry-After as a date", 30*time.Second, map[string]string{"Date": date.Format(http.TimeFormat), "Retry-After": date.Add(30 * time.Second).Format(http.TimeFormat)}),
		t("no Retry-After", time.Second, nil),
		t("a Retry-After that nobody can read", time.Second, map[string]string{"Retry-After": "soon"}),
	}
}

func (v *vendor) Refusal() sourcetest.Answer {
	return sourcetest.Answer{Status: http.StatusForbidden, Header: map[string]string{"Content-Type": "application/json"},
		Body: string(graph.Refusal("Authorization_RequestDenied", "Insufficient privileges to complete the operation."))}
}

func kindOf(c *sourcetest.Clock) source.Kind {
	return kindWith(rest.Clock{Now: c.Now, Sleep: c.Sleep, Jitter: func() float64 { return 0.5 }})
}

func TestTheSharedSuite(t *testing.T) {
	sourcetest.Run(t, sourcetest.Suite{
		Kind:  kindOf,
		Start: func(t testing.TB, c *sourcetest.Clock) sourcetest.Vendor { return start(t, c) },
		Login: "userPrincipalName", Group: "displayName", Permission: "User.Read.All",
	})
}

// world is a tenant with a source that reads it.
type world struct {
	*testing.T
	*vendor
	clock *sourcetest.Clock
	set   setting.Values
	have  map[string]string // what readings came to: people as manager, groups as members, by id
	next  source.Cursor
	attrs []string
}

func newWorld(t *testing.T, set setting.Values) *world {
	t.Helper()
	clock := sourcetest.NewClock()
	w := &world{T: t, vendor: start(t, clock), clock: clock, have: map[string]string{}, attrs: []string{"givenName", "manager"}}
	w.set = w.Settings()
	for name, v := range set {
		w.set[name] = v
		if v == nil {
			delete(w.set, name)
		}
	}
	return w
}

func (w *world) open() *tenant {
	w.Helper()
	values := setting.Values{}
	for k, v := range w.set {
		values[k] = v
	}
	src, err := kindOf(w.clock).Open(values, source.Env{Dir: w.TempDir(), Guard: sourcetest.Loopback})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = src.Close() })
	return src.(*tenant)
}

func (w *world) person(n int, manager string) string {
	id := "p" + strconv.Itoa(n)
	w.Put(sourcetest.Person{ID: id, Login: id + "@contoso.example", First: id, Last: "x", Email: id + "@contoso.example", Manager: manager})
	return id
}

func (w *world) group(id, name string, members ...string) {
	w.PutGroup(sourcetest.Group{ID: id, Name: name, Members: members})
}

func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return out
}

// read reads once more, and takes what was read as the mirror does.
func (w *world) read() source.Reading {
	w.Helper()
	r, err := w.try()
	if err != nil {
		w.Fatalf("read: %v (%s)", err, fault.HintOf(err))
	}
	return r
}

func (w *world) try() (source.Reading, error) {
	w.Helper()
	seen := map[string]bool{}
	fresh := map[string]string{}
	req := source.Request{From: w.next, Attributes: w.attrs, Now: w.clock.Now()}
	if w.next != nil {
		req.Anew = func() error { return nil }
		req.Known = func(_ directory.Kind, id directory.ExternalID) (bool, error) {
			_, ok := w.have[string(id)]
			return ok, nil
		}
	}
	r, err := w.open().Read(w.Context(), req, func(rec *directory.Record) error {
		id := string(rec.ID)
		if seen[id] && !rec.Gone && !rec.Present {
			w.Errorf("%s is handed on twice", id)
		}
		seen[id] = true
		switch {
		case rec.Gone:
			fresh[id] = ""
		case !rec.Present:
			fresh[id] = text(rec)
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	for id, what := range fresh {
		if what == "" {
			delete(w.have, id)
		} else {
			w.have[id] = what
		}
	}
	if r.Complete && (r.Full || r.Swept) {
		for id := range w.have {
			if !seen[id] {
				delete(w.have, id)
			}
		}
	}
	w.next = r.Next
	return r, nil
}

// text is a record in one line.
func text(rec *directory.Record) string {
	parts := []string{rec.Ref}
	for _, a := range rec.Attributes {
		if a.Name == "accountEnabled" || a.Name == "displayName" || a.Name == "userType" || a.Name == "userPrincipalName" {
			if rec.Kind == directory.User && rec.Problem == "" && a.Values[0] != "false" {
				continue
			}
		}
		parts = append(parts, a.Name+"="+strings.Join(a.Values, "|"))
	}
	if rec.Kind == directory.Group {
		parts = append(parts, "members="+strings.Join(sorted(rec.Members), "|"))
	}
	if rec.Problem != "" {
		parts = append(parts, rec.Problem)
	}
	return strings.Join(parts, " ")
}
