// Package graph is a stand-in for Microsoft Graph and the Microsoft identity platform,
// as far as directories are read from them. It hands a tenant's people and groups on
// to the tests of source/entra, over HTTP.
//
// It was written after these pages of learn.microsoft.com, no line of which is in it:
// graph/delta-query-overview (links, tokens, 410, seven days), graph/delta-query-users
// and graph/api/user-delta (entries, both reasons of @removed, manager@delta, what
// options a delta takes), graph/delta-query-groups and graph/api/group-delta (members@delta,
// a group in parts), graph/api/user-list, group-list, group-list-members (pages,
// $select, $filter, $expand), graph/throttling and graph/errors (shapes of refusals),
// entra/identity-platform/v2-oauth2-client-creds-grant-flow and
// certificate-credentials (tokens). What its answers look like is checked against
// Microsoft's description of its types, see testdata.
package graph

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Server is one tenant. Its fields are set before the first request; its methods may
// be called at any time.
type Server struct {
	Tenant, ClientID string
	Secret           string // "" refuses secrets
	Certificate      []byte // DER of the one registered; nil refuses assertions
	Roles            []string
	Now              func() time.Time
	Base             string // how clients reach it, for links: http://127.0.0.1:1234
	Page             int    // entries of a page of a delta
	Part             int    // members of a group in one entry of a delta
	NoManagers       bool   // deltas are silent about managers, as some tenants' are
	Silent           bool   // deltas are silent about everybody
	// LostAs is how a lost state is told: 410, or 400 with syncStateNotFound.
	LostAs int
	// Around is put around the requests for data.
	Around func(http.Handler) http.Handler

	mu      sync.Mutex
	users   map[string]*user
	groups  map[string]*group
	seq     int
	log     []event
	epoch   int
	repeat  bool
	tokens  map[string]time.Time
	given   []string
	jtis    map[string]bool
	rounds  map[string]*round
	ordered []string // keys of rounds, the oldest first
	nextID  int
}

type user struct {
	properties map[string]any
	manager    string
	soft, hard bool // deleted
}

type group struct {
	properties map[string]any
	members    map[string]bool
	hard       bool
}

// event is a line of the log that deltas are made of.
type event struct {
	seq     int
	user    string // or
	group   string
	member  string // of the group, who came or went
	came    bool
	manager bool // it is the manager that changed
	was     string
}

func (s *Server) init() {
	if s.users == nil {
		s.users, s.groups = map[string]*user{}, map[string]*group{}
		s.tokens, s.jtis, s.rounds = map[string]time.Time{}, map[string]bool{}, map[string]*round{}
	}
}

func (s *Server) note(e event) {
	s.seq++
	e.seq = s.seq
	s.log = append(s.log, e)
}

// PutUser adds somebody, changes, or restores. Properties of the value nil are null.
func (s *Server) PutUser(id string, properties map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	u := s.users[id]
	if u == nil || u.hard {
		u = &user{}
		s.users[id] = u
	}
	u.properties, u.soft = maps.Clone(properties), false
	s.note(event{user: id})
}

// SetManager changes who somebody's manager is; "" is nobody.
func (s *Server) SetManager(id, manager string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	u := s.users[id]
	if u.manager == manager {
		return
	}
	was := u.manager
	u.manager = manager
	s.note(event{user: id, manager: true, was: was})
}

// SoftDelete deletes somebody, who stays in all groups and can be restored.
func (s *Server) SoftDelete(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[id].soft = true
	s.note(event{user: id})
}

// Purge deletes somebody for good.
func (s *Server) Purge(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[id].hard = true
	s.note(event{user: id})
	for _, gid := range slices.Sorted(maps.Keys(s.groups)) {
		if s.groups[gid].members[id] {
			delete(s.groups[gid].members, id)
			s.note(event{group: gid, member: id})
		}
	}
}

// PutGroup adds a group or changes one, with all its members.
func (s *Server) PutGroup(id string, properties map[string]any, members []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	g := s.groups[id]
	if g == nil || g.hard {
		g = &group{members: map[string]bool{}}
		s.groups[id] = g
	}
	g.properties = maps.Clone(properties)
	s.note(event{group: id})
	now := map[string]bool{}
	for _, m := range members {
		now[m] = true
		if !g.members[m] {
			s.note(event{group: id, member: m, came: true})
		}
	}
	for _, m := range slices.Sorted(maps.Keys(g.members)) {
		if !now[m] {
			s.note(event{group: id, member: m})
		}
	}
	g.members = now
}

// RemoveGroup deletes a group for good.
func (s *Server) RemoveGroup(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.groups[id].hard = true
	s.note(event{group: id})
}

// ForgetStates makes all links of deltas worthless.
func (s *Server) ForgetStates() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	s.epoch++
	s.rounds, s.ordered = map[string]*round{}, nil
}

// Forget leaves a change out of the log, as if deltas had never told of it.
func (s *Server) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = slices.DeleteFunc(s.log, func(e event) bool { return e.user == id || e.group == id })
}

// Repeat makes each page of a delta hold again what the one before held.
func (s *Server) Repeat(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repeat = on
}

// ServeHTTP answers.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.init()
	s.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/oauth2/v2.0/token") {
		s.token(w, r)
		return
	}
	var h http.Handler = http.HandlerFunc(s.data)
	if s.Around != nil {
		h = s.Around(h)
	}
	h.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// Refusal is the body of an error of Graph (graph/errors).
func Refusal(code, message string) []byte {
	b, err := json.Marshal(map[string]any{"error": map[string]any{"code": code, "message": message, "innerError": map[string]any{
		"date": "2026-03-02T09:00:00", "request-id": "5f3c1f2e-0000-4000-8000-00000000cafe", "client-request-id": "5f3c1f2e-0000-4000-8000-00000000beef"}}})
	if err != nil {
		panic(err)
	}
	return b
}

func refuse(w http.ResponseWriter, status int, code, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(Refusal(code, fmt.Sprintf(format, args...)))
}
