//go:build unix

package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"rollcall.dev/rollcall/internal/rig/google"
	"rollcall.dev/rollcall/internal/rig/graph"
	"rollcall.dev/rollcall/internal/rig/okta"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/sourcetest"
)

// vendor is a stand-in that is filled and changed by numbers.
type vendor struct {
	settings map[string]any // of a connection that reads all people and all groups
	handler  http.Handler
	person   func(n int, title string)
	group    func(n int, members []int)
}

// old is when everything was made: Okta is asked for what changed a few minutes before
// the last reading too.
const old = 24 * time.Hour

func entraStandIn(base string, now func() time.Time) (*vendor, error) {
	const secret = "a-client-secret-of-the-benchmark"
	s := &graph.Server{Tenant: "sample.example", ClientID: "11111111-2222-3333-4444-555555555555", Secret: secret, Roles: []string{"User.Read.All", "GroupMember.Read.All"},
		Now: now, Base: base, Page: 200, Part: 1000}
	return &vendor{
		settings: map[string]any{"tenant": s.Tenant, "client_id": s.ClientID, "client_secret": secret, "login_url": base, "graph_url": base, "people": "all", "groups": map[string]any{"include": ".*"}},
		handler:  s,
		person: func(n int, title string) {
			p := person(n)
			s.PutUser(p.ID, map[string]any{"userPrincipalName": p.Login, "givenName": p.First, "surname": p.Last, "displayName": p.First + " " + p.Last, "mail": p.Email, "jobTitle": title, "accountEnabled": true, "userType": "Member"})
		},
		group: func(n int, members []int) {
			g := groupOf(n, members)
			s.PutGroup(g.ID, map[string]any{"displayName": g.Name, "securityEnabled": true}, g.Members)
		},
	}, nil
}

func oktaStandIn(base string, now func() time.Time) (*vendor, error) {
	o, err := okta.New(now)
	if err != nil {
		return nil, err
	}
	o.URL, o.PageSize, o.Limit = base, 200, 1<<30
	return &vendor{
		settings: nested(o.Settings()), handler: o.Handler(),
		person: func(n int, title string) {
			p := person(n)
			o.PutUser(p.ID, "ACTIVE", map[string]any{"login": p.Login, "email": p.Email, "firstName": p.First, "lastName": p.Last, "title": title})
		},
		group: func(n int, members []int) { o.PutGroup(groupOf(n, members)) },
	}, nil
}

// nested puts dotted names into one another, as the configuration has them.
func nested(v setting.Values) map[string]any {
	out := map[string]any{}
	for name, value := range v {
		if name == "groups.include" {
			out["groups"] = map[string]any{"include": value}
			continue
		}
		out[name] = value
	}
	return out
}

func googleStandIn(base string, now func() time.Time) (*vendor, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	s := &google.Server{Account: google.Account{Email: "bench@sample.iam.gserviceaccount.com", ClientID: "104321987654321098765", KeyID: "k", Key: key}, Admin: "reader@sample.example",
		Scopes: []string{"https://www.googleapis.com/auth/admin.directory.user.readonly", "https://www.googleapis.com/auth/admin.directory.group.readonly", "https://www.googleapis.com/auth/admin.directory.group.member.readonly"},
		Now:    now, Base: base, Page: 500}
	return &vendor{
		settings: map[string]any{"key": s.Account.File(), "subject": s.Admin, "url": base, "token_url": base + "/token", "people": "all", "groups": map[string]any{"include": ".*"}},
		handler:  s,
		person: func(n int, title string) {
			p := person(n)
			s.PutUser(p.ID, map[string]any{"primaryEmail": p.Login, "name": map[string]any{"givenName": p.First, "familyName": p.Last, "fullName": p.First + " " + p.Last},
				"organizations": []any{map[string]any{"title": title, "primary": true}}})
		},
		group: func(n int, members []int) {
			g := groupOf(n, members)
			var list []google.Member
			for _, id := range g.Members {
				list = append(list, google.Member{ID: id, Type: "USER"})
			}
			s.PutGroup(g.ID, map[string]any{"name": g.Name, "email": g.ID + "@sample.example"}, list)
		},
	}, nil
}

func person(n int) sourcetest.Person {
	login := fmt.Sprintf("person-%06d@sample.example", n)
	return sourcetest.Person{ID: fmt.Sprintf("00u%06d", n), Login: login, Email: login, First: "Person", Last: fmt.Sprintf("Number%06d", n)}
}

func groupOf(n int, members []int) sourcetest.Group {
	g := sourcetest.Group{ID: fmt.Sprintf("00g%06d", n), Name: fmt.Sprintf("Group %06d", n)}
	for _, m := range members {
		g.Members = append(g.Members, person(m).ID)
	}
	return g
}

// each20 are the members of a group: 20 people, others after a change.
func each20(group, people, changed int) []int {
	seen, out := map[int]bool{}, []int{}
	for k := range min(20, people) {
		m := (group*7919 + k*104729) % people
		if k == 0 && changed > 0 {
			m = (m + changed) % people
		}
		if !seen[m] {
			seen[m] = true
			out = append(out, m)
		}
	}
	return out
}

// standIn serves a vendor's directory of so many people from a process of its own: the
// kernel counts the memory of whoever starts a process to what that one needs. It says
// on its standard output where it is and what the settings are, and ends with its
// standard input. GET /bench/requests gives how many requests there were since the last
// time; POST /bench/change changes one in a thousand.
func standIn(args []string) error {
	if len(args) != 2 {
		return errors.New("standin: a vendor and a number of people")
	}
	people, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it lives as long as the process
	if err != nil {
		return err
	}
	loading := true
	now := func() time.Time {
		if loading {
			return time.Now().Add(-old)
		}
		return time.Now()
	}
	begin := map[string]func(string, func() time.Time) (*vendor, error){"entra": entraStandIn, "okta": oktaStandIn, "google": googleStandIn}[args[0]]
	if begin == nil {
		return fmt.Errorf("standin: there is no %q", args[0])
	}
	v, err := begin("http://"+l.Addr().String(), now)
	if err != nil {
		return err
	}
	for n := range people {
		v.person(n, "Engineer")
	}
	for n := range people / 10 {
		v.group(n, each20(n, people, 0))
	}
	loading = false
	var requests atomic.Int64
	changes := 0
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bench/requests", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, requests.Swap(0)) })
	mux.HandleFunc("POST /bench/change", func(http.ResponseWriter, *http.Request) {
		changes++
		for n := range max(1, people/1000) {
			v.person(n*997%people, fmt.Sprintf("Lead %d", changes))
		}
		for n := range max(1, people/10000) {
			v.group(n*97%(people/10), each20(n*97%(people/10), people, changes))
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		v.handler.ServeHTTP(w, r)
	})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"base": "http://" + l.Addr().String(), "settings": v.settings}); err != nil {
		return err
	}
	return http.Serve(l, mux) //nolint:gosec // a stand-in for one client on this machine
}
