package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	protocol "rollcall.dev/rollcall/internal/scim"
)

// standin is an application of our own, whose ways can be changed.
type standin struct {
	*httptest.Server
	mu       sync.Mutex
	users    []protocol.Object
	groups   []protocol.Object
	next     int
	requests []string // "PATCH /Users/u1"
	bodies   []protocol.Object

	noPatch   bool
	noFilter  bool // filters are passed over
	silent    bool // PATCH is answered by 204, lists have no members
	token     string
	most      int                                               // members one PATCH may name
	intercept func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	tokens    int                                               // given out
}

func newStandin(t testing.TB) *standin {
	s := &standin{token: "sesame", most: 500}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

// on sets who may answer in its place; requests that nobody waits for any more may
// still be going on.
func (s *standin) on(fn func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = fn
}

// many is how many users there are.
func (s *standin) many() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.users)
}

func (s *standin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/token" {
		id, secret, _ := r.BasicAuth()
		if id != "rollcall" || secret != "open" || r.FormValue("grant_type") != "client_credentials" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		s.tokens++
		s.token = "token-" + strconv.Itoa(s.tokens)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": s.token, "token_type": "Bearer", "expires_in": 3600})
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/scim")
	s.requests = append(s.requests, r.Method+" "+path)
	if s.intercept != nil && s.intercept(w, r) {
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		s.fail(w, &protocol.Error{Status: 401, Detail: "who is " + r.Header.Get("Authorization") + "?"})
		return
	}
	if r.URL.Query().Get("tenant") != "7" {
		s.fail(w, &protocol.Error{Status: 400, Detail: "the query of the address is lost"})
		return
	}
	if path == "/ServiceProviderConfig" {
		o := protocol.Config(protocol.ConfigOptions{})
		o["patch"] = protocol.Object{"supported": !s.noPatch}
		s.answer(w, 200, o)
		return
	}
	kind, id, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	list, t := &s.users, protocol.User
	if kind == "Groups" {
		list, t = &s.groups, protocol.Group
	}
	raw, _ := io.ReadAll(r.Body)
	if len(raw) > 0 {
		var body protocol.Object
		_ = json.Unmarshal(raw, &body)
		s.bodies = append(s.bodies, body)
	}
	s.resource(w, r, t, list, id, raw)
}

func (s *standin) resource(w http.ResponseWriter, r *http.Request, t protocol.Type, list *[]protocol.Object, id string, raw []byte) {
	at := slices.IndexFunc(*list, func(o protocol.Object) bool { return o["id"] == id })
	if id != "" && at < 0 {
		s.fail(w, &protocol.Error{Status: 404, Detail: "there is none"})
		return
	}
	switch {
	case r.Method == http.MethodGet && id == "":
		s.list(w, r, *list)
	case r.Method == http.MethodGet:
		o, err := protocol.Project(t, (*list)[at], nil, []string{r.URL.Query().Get("excludedAttributes")})
		if err != nil {
			s.fail(w, err)
			return
		}
		s.answer(w, 200, o)
	case r.Method == http.MethodDelete:
		*list = slices.Delete(*list, at, at+1)
		w.WriteHeader(204)
	case r.Method == http.MethodPatch && s.noPatch:
		s.fail(w, &protocol.Error{Status: 501})
	case r.Method == http.MethodPatch:
		o := (*list)[at]
		ops, err := protocol.ParsePatch(raw)
		if err == nil {
			_, members, perr := protocol.ApplyPatch(t, o, ops)
			err = perr
			for _, m := range members {
				if len(m.Members) > s.most {
					err = protocol.Bad(protocol.TooMany, "too many members")
					break
				}
				s.members(o, m)
			}
		}
		if err != nil {
			s.fail(w, err)
			return
		}
		if s.silent {
			w.WriteHeader(204)
			return
		}
		s.answer(w, 200, o)
	default: // POST, PUT
		o, members, has, err := protocol.Intake(t, raw)
		if err != nil {
			s.fail(w, err)
			return
		}
		name := "userName"
		if t == protocol.Group {
			name = "displayName"
		}
		for i, other := range *list {
			if i != at && t == protocol.User && strings.EqualFold(other[name].(string), o[name].(string)) {
				s.fail(w, &protocol.Error{Status: 409, Type: protocol.Uniqueness, Detail: "taken"})
				return
			}
		}
		if has {
			all := []any{}
			for _, m := range members {
				all = append(all, m)
			}
			o["members"] = all
		}
		if at >= 0 {
			o["id"] = id
			(*list)[at] = o
			s.answer(w, 200, o)
			return
		}
		s.next++
		o["id"] = fmt.Sprintf("%s%d", strings.ToLower(string(t[:1])), s.next)
		*list = append(*list, o)
		s.answer(w, 201, o)
	}
}

func (s *standin) members(o protocol.Object, c protocol.MemberChange) {
	all, _ := o["members"].([]any)
	for _, m := range c.Members {
		if c.Kind == protocol.MemberAdd {
			all = append(all, m)
		} else {
			all = slices.DeleteFunc(all, func(e any) bool { return e.(protocol.Object)["value"] == m["value"] })
		}
	}
	o["members"] = all
}

func (s *standin) list(w http.ResponseWriter, r *http.Request, all []protocol.Object) {
	q := r.URL.Query()
	var found []protocol.Object
	for _, o := range all {
		if text := q.Get("filter"); text != "" && !s.noFilter {
			f, err := protocol.ParseFilter(text)
			if err != nil {
				s.fail(w, err)
				return
			}
			if !f.Matches(o) {
				continue
			}
		}
		if s.silent {
			o, _ = protocol.Project(protocol.Group, o, nil, []string{"members"})
		}
		found = append(found, o)
	}
	start, _ := strconv.Atoi(q.Get("startIndex"))
	start = max(start, 1)
	page := found[min(start-1, len(found)):min(start-1+7, len(found))] // fewer than were asked for
	s.answer(w, 200, protocol.ListObject(protocol.Page{Resources: page, Total: len(found), Start: start}))
}

func (s *standin) answer(w http.ResponseWriter, status int, o protocol.Object) {
	w.Header().Set("Content-Type", protocol.ContentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(o)
}

func (s *standin) fail(w http.ResponseWriter, err error) {
	var e *protocol.Error
	if !errors.As(err, &e) {
		e = &protocol.Error{Status: 500, Detail: err.Error()}
	}
	s.answer(w, e.Status, protocol.ErrorObject(e))
}

// user finds one by name.
func (s *standin) user(name string) protocol.Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.users {
		if o["userName"] == name {
			return o
		}
	}
	return nil
}

// in gives the names of who is in a group.
func (s *standin) in(group string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, g := range s.groups {
		if g["displayName"] != group {
			continue
		}
		all, _ := g["members"].([]any)
		for _, m := range all {
			name := "?"
			for _, u := range s.users {
				if u["id"] == m.(protocol.Object)["value"] {
					name = u["userName"].(string)
				}
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// took gives the requests since it was last asked, without those that look for
// somebody.
func (s *standin) took() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests, s.bodies = nil, nil
	return out
}

// changes are the requests that change something.
func changes(requests []string) []string {
	return slices.DeleteFunc(requests, func(r string) bool { return strings.HasPrefix(r, "GET ") })
}
