// Package google is a stand-in for the Directory API of Google Workspace and for
// Google's token endpoint, as far as directories are read from them. It hands an
// account's people and groups on to the tests of source/google, over HTTP.
//
// What it answers is checked against Google's discovery document of the API, see
// rig/described. That says nothing of refusals, nor of what is in lists such as phones:
// these are from notes on these pages of developers.google.com: workspace/admin/directory/reference/rest/v1 users (list, get), groups.list,
// members.list and orgunits.list (parameters, shapes, largest pages),
// workspace/admin/directory/v1/guides/limits (reasons of 403), guides/performance
// (fields), identity/protocols/oauth2/service-account (assertions and their errors).
// What it does not know, parameters and fields among them, it refuses.
package google

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is one account. Its fields are set before the first request; its methods may
// be called at any time.
type Server struct {
	Account Account
	Scopes  []string // allowed for the service account's client ID
	Admin   string   // who may be acted for
	Now     func() time.Time
	Base    string // how clients reach it: http://127.0.0.1:1234
	Page    int    // entries of a page, at most
	// Around is put around the requests for data.
	Around func(http.Handler) http.Handler

	mu     sync.Mutex
	users  map[string]map[string]any
	groups map[string]*group
	units  map[string]string // paths by ID
	repeat bool
	tokens map[string]grant
	given  []string
	nextID int
}

type grant struct {
	until  time.Time
	scopes []string
}

type group struct {
	fields  map[string]any
	members []Member
}

// Member of a group: an ID ("" for an address from elsewhere) and a type.
type Member struct{ ID, Type string }

func (s *Server) init() {
	if s.users == nil {
		s.users, s.groups, s.units, s.tokens = map[string]map[string]any{}, map[string]*group{}, map[string]string{}, map[string]grant{}
	}
}

// PutUser adds somebody or changes. The fields are those of the reference of users.
func (s *Server) PutUser(id string, fields map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	u := map[string]any{"kind": "admin#directory#user", "id": id, "etag": `"` + id + `"`, "orgUnitPath": "/", "suspended": false, "archived": false}
	maps.Copy(u, fields)
	s.users[id] = u
}

// Remove deletes somebody, with all memberships.
func (s *Server) Remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.users, id)
	for _, g := range s.groups {
		g.members = slices.DeleteFunc(g.members, func(m Member) bool { return m.ID == id })
	}
}

// Email is somebody's primary address, or "".
func (s *Server) Email(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	email, _ := s.users[id]["primaryEmail"].(string)
	return email
}

// PutGroup adds a group or changes one, with all its members.
func (s *Server) PutGroup(id string, fields map[string]any, members []Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	g := map[string]any{"kind": "admin#directory#group", "id": id, "etag": `"` + id + `"`, "adminCreated": true}
	maps.Copy(g, fields)
	s.groups[id] = &group{fields: g, members: slices.Clone(members)}
}

// RemoveGroup deletes a group.
func (s *Server) RemoveGroup(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.groups, id)
}

// PutUnit adds an organizational unit, or renames it.
func (s *Server) PutUnit(id, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	s.units[id] = path
}

// Repeat makes each page hold again the last entry of the one before.
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
	if r.URL.Path == "/token" {
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
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// Refusal is the body of an error.
func Refusal(code int, status, reason, message string) []byte {
	e := map[string]any{"code": code, "message": message, "errors": []any{map[string]any{"message": message, "domain": "global", "reason": reason}}}
	if status != "" {
		e["status"] = status
	}
	b, err := json.Marshal(map[string]any{"error": e})
	if err != nil {
		panic(err)
	}
	return b
}

func refuse(w http.ResponseWriter, code int, status, reason, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	_, _ = w.Write(Refusal(code, status, reason, fmt.Sprintf(format, args...)))
}

// parameters that each list takes.
var parameters = map[string][]string{
	"users":    strings.Fields("customer domain maxResults pageToken projection customFieldMask orderBy sortOrder query showDeleted viewType fields"),
	"user":     strings.Fields("projection customFieldMask viewType fields"),
	"groups":   strings.Fields("customer domain maxResults pageToken orderBy sortOrder query userKey fields"),
	"members":  strings.Fields("includeDerivedMembership maxResults pageToken roles fields"),
	"orgunits": strings.Fields("orgUnitPath type fields"),
}

// fields that the entries of each list have.
var fields = map[string][]string{
	"users": strings.Fields(`addresses agreedToTerms aliases archived changePasswordAtNextLogin creationTime customSchemas customerId deletionTime
		emails etag externalIds gender hashFunction id ims includeInGlobalAddressList ipWhitelisted isAdmin isDelegatedAdmin isEnforcedIn2Sv
		isEnrolledIn2Sv isMailboxSetup keywords kind languages lastLoginTime locations name nonEditableAliases notes orgUnitPath organizations
		password phones posixAccounts primaryEmail recoveryEmail recoveryPhone relations sshPublicKeys suspended suspensionReason
		thumbnailPhotoEtag thumbnailPhotoUrl websites`),
	"groups":            strings.Fields("adminCreated aliases description directMembersCount email etag id kind name nonEditableAliases"),
	"members":           strings.Fields("delivery_settings email etag id kind role status type"),
	"organizationUnits": strings.Fields("blockInheritance description etag kind name orgUnitId orgUnitPath parentOrgUnitId parentOrgUnitPath"),
}

// call is one request for data.
type call struct {
	*Server
	w     http.ResponseWriter
	query url.Values
	grant grant
	// unpaged is of lists that come as one page.
	unpaged bool
}

// data answers requests for people, groups, members and units.
func (s *Server) data(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &call{Server: s, w: w}
	var err error
	if c.query, err = url.ParseQuery(r.URL.RawQuery); err != nil || r.Method != http.MethodGet {
		refuse(w, http.StatusBadRequest, "", "badRequest", "Bad Request")
		return
	}
	var ok bool
	if c.grant, ok = s.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]; !ok || !s.Now().Before(c.grant.until) {
		refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "authError", "Request had invalid authentication credentials. Expected OAuth 2 access token.")
		return
	}
	path := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/admin/directory/v1/"), "/")
	for i := range path {
		if path[i], err = url.PathUnescape(path[i]); err != nil {
			refuse(w, http.StatusBadRequest, "", "badRequest", "Bad Request")
			return
		}
	}
	switch {
	case len(path) == 1 && path[0] == "users":
		c.listUsers()
	case len(path) == 2 && path[0] == "users":
		c.getUser(path[1])
	case len(path) == 1 && path[0] == "groups":
		c.listGroups()
	case len(path) == 3 && path[0] == "groups" && path[2] == "members":
		c.listMembers(path[1])
	case len(path) == 3 && path[0] == "customer" && path[2] == "orgunits":
		c.listUnits(path[1])
	default:
		refuse(w, http.StatusNotFound, "", "notFound", "Not Found")
	}
}

// allowed reports whether parameters and scope of a request are good.
func (c *call) allowed(what, scope string, most int) bool {
	for name := range c.query {
		if !slices.Contains(parameters[what], name) {
			refuse(c.w, http.StatusBadRequest, "INVALID_ARGUMENT", "invalid", "Invalid JSON payload received. Unknown name %q: Cannot bind query parameter.", name)
			return false
		}
	}
	if text := c.query.Get("maxResults"); text != "" {
		if n, err := strconv.Atoi(text); err != nil || n < 1 || n > most {
			refuse(c.w, http.StatusBadRequest, "", "invalid", "Invalid value '%s'. Values must be within the range: [1, %d]", text, most)
			return false
		}
	}
	if !slices.Contains(c.grant.scopes, "https://www.googleapis.com/auth/"+scope) {
		refuse(c.w, http.StatusForbidden, "PERMISSION_DENIED", "insufficientPermissions", "Request had insufficient authentication scopes.")
		return false
	}
	return true
}

// whose reports whether a list says whose it asks for.
func (c *call) whose() bool {
	if c.query.Has("customer") == c.query.Has("domain") {
		refuse(c.w, http.StatusBadRequest, "", "badRequest", "Bad Request")
		return false
	}
	return true
}

func (c *call) listUsers() {
	if !c.allowed("users", "admin.directory.user.readonly", 500) || !c.whose() {
		return
	}
	var keys []string
	for id, u := range c.users {
		if c.ours(u["primaryEmail"]) {
			keys = append(keys, id)
		}
	}
	c.page("users", "admin#directory#users", keys, func(id string) map[string]any { return c.projected(c.users[id]) })
}

func (c *call) ours(email any) bool {
	text, _ := email.(string)
	return !c.query.Has("domain") || strings.HasSuffix(text, "@"+c.query.Get("domain"))
}

func (c *call) projected(u map[string]any) map[string]any {
	if c.query.Get("projection") == "full" {
		return u
	}
	out := maps.Clone(u)
	delete(out, "customSchemas")
	return out
}

func (c *call) getUser(who string) {
	if !c.allowed("user", "admin.directory.user.readonly", 0) {
		return
	}
	for id, u := range c.users {
		names := []any{id, u["primaryEmail"]}
		aliases, _ := u["aliases"].([]any)
		if slices.ContainsFunc(append(names, aliases...), func(n any) bool { t, _ := n.(string); return strings.EqualFold(t, who) }) {
			if only, ok := c.selected("users", c.query.Get("fields")); ok {
				answer(c.w, http.StatusOK, partial(c.projected(u), only))
			}
			return
		}
	}
	refuse(c.w, http.StatusNotFound, "", "notFound", "Resource Not Found: userKey")
}

func (c *call) listGroups() {
	if !c.allowed("groups", "admin.directory.group.readonly", 200) || !c.whose() {
		return
	}
	var keys []string
	for id, g := range c.groups {
		if c.ours(g.fields["email"]) {
			keys = append(keys, id)
		}
	}
	c.page("groups", "admin#directory#groups", keys, func(id string) map[string]any {
		people := 0
		for _, m := range c.groups[id].members {
			if m.Type == "USER" {
				people++
			}
		}
		out := maps.Clone(c.groups[id].fields)
		out["directMembersCount"] = strconv.Itoa(people)
		return out
	})
}

func (c *call) listMembers(id string) {
	if !c.allowed("members", "admin.directory.group.member.readonly", 200) {
		return
	}
	g := c.groups[id]
	if g == nil {
		refuse(c.w, http.StatusNotFound, "", "notFound", "Resource Not Found: groupKey")
		return
	}
	members := map[string]map[string]any{}
	for n, m := range g.members {
		entry := map[string]any{"kind": "admin#directory#member", "etag": `"m"`, "role": "MEMBER", "type": m.Type, "status": "ACTIVE"}
		key := m.ID
		if m.ID == "" {
			key = fmt.Sprintf("~%d", n)
			entry["email"] = fmt.Sprintf("somebody%d@elsewhere.example", n)
		} else {
			entry["id"] = m.ID
		}
		members[key] = entry
	}
	c.page("members", "admin#directory#members", slices.Collect(maps.Keys(members)), func(key string) map[string]any { return members[key] })
}

func (c *call) listUnits(customer string) {
	if !c.allowed("orgunits", "admin.directory.orgunit.readonly", 0) {
		return
	}
	if customer != "my_customer" {
		refuse(c.w, http.StatusBadRequest, "", "invalid", "Invalid Input: customerId")
		return
	}
	c.unpaged = true
	c.page("organizationUnits", "admin#directory#orgUnits", slices.Collect(maps.Keys(c.units)), func(id string) map[string]any {
		return map[string]any{"kind": "admin#directory#orgUnit", "orgUnitId": id, "orgUnitPath": c.units[id]}
	})
}

// selected reads a fields parameter as far as it is used: names, separated by commas.
func (c *call) selected(what, text string) ([]string, bool) {
	if text == "" {
		return nil, true
	}
	names := strings.Split(text, ",")
	for _, name := range names {
		if !slices.Contains(fields[what], name) {
			refuse(c.w, http.StatusBadRequest, "", "invalidParameter", "Invalid field selection %s", name)
			return nil, false
		}
	}
	return names, true
}

func partial(entry map[string]any, names []string) map[string]any {
	if names == nil {
		return entry
	}
	out := map[string]any{}
	for _, name := range names {
		if v, ok := entry[name]; ok {
			out[name] = v
		}
	}
	return out
}

// page answers with one page of a list: in the order of keys, beginning behind the key
// that the token names. An empty list is left out.
func (c *call) page(what, kind string, keys []string, entry func(string) map[string]any) {
	slices.Sort(keys)
	whole := map[string]any{"kind": kind, "etag": `"page"`}
	var top, only []string
	if text := c.query.Get("fields"); text != "" {
		before, inner, ok := strings.Cut(text, ","+what+"(")
		if !ok || !strings.HasSuffix(inner, ")") {
			refuse(c.w, http.StatusBadRequest, "", "invalidParameter", "Invalid field selection %s", text)
			return
		}
		top = append(strings.Split(before, ","), what)
		if only, ok = c.selected(what, strings.TrimSuffix(inner, ")")); !ok {
			return
		}
	}
	from := 0
	if token := c.query.Get("pageToken"); token != "" {
		last, err := base64.RawURLEncoding.DecodeString(token)
		after, ok := strings.CutPrefix(string(last), what+":")
		if err != nil || !ok {
			refuse(c.w, http.StatusBadRequest, "", "invalid", "Invalid Input: pageToken")
			return
		}
		for from < len(keys) && (keys[from] < after || keys[from] == after && !c.repeat) {
			from++
		}
	}
	size := c.Page
	if n, err := strconv.Atoi(c.query.Get("maxResults")); err == nil {
		size = min(size, n)
	}
	if c.unpaged {
		size = len(keys)
	}
	if c.repeat && from > 0 {
		size++
	}
	to := min(len(keys), from+size)
	var entries []any
	for _, key := range keys[from:to] {
		entries = append(entries, partial(entry(key), only))
	}
	if len(entries) > 0 {
		whole[what] = entries
	}
	if to < len(keys) {
		whole["nextPageToken"] = base64.RawURLEncoding.EncodeToString([]byte(what + ":" + keys[to-1]))
	}
	answer(c.w, http.StatusOK, partial(whole, top))
}
