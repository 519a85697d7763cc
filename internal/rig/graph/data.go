package graph

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oneByOne are properties that are given of one user at a time (api/user-list).
var oneByOne = strings.Fields("aboutMe birthday hireDate interests mySite pastProjects preferredName responsibilities schools skills mailboxSettings")

// properties of users and groups that the stand-in knows.
var (
	userProperties  = strings.Fields("id accountEnabled businessPhones city companyName country createdDateTime department displayName employeeHireDate employeeId employeeOrgData employeeType givenName identities jobTitle mail mailNickname mobilePhone officeLocation onPremisesExtensionAttributes onPremisesSamAccountName otherMails postalCode preferredLanguage proxyAddresses state streetAddress surname usageLocation userPrincipalName userType")
	groupProperties = strings.Fields("id description displayName groupTypes mail mailEnabled mailNickname securityEnabled visibility")
)

// data answers requests for people and groups.
func (s *Server) data(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || r.Method != http.MethodGet {
		refuse(w, http.StatusBadRequest, "BadRequest", "The request is malformed.")
		return
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1.0/"), "/")
	switch {
	case path[0] == "users" && !s.authorized(w, r, "User.Read.All"):
	case path[0] == "groups" && !s.authorized(w, r, "GroupMember.Read.All", "Group.Read.All"):
	case q.Has("$skip"):
		refuse(w, http.StatusBadRequest, "Request_BadRequest", "'$skip' is not supported by the service.")
	case len(path) == 2 && path[1] == "delta":
		s.delta(w, r, path[0], q)
	case len(path) == 1 && path[0] == "users":
		s.listUsers(w, r, q)
	case len(path) == 1 && path[0] == "groups":
		s.listGroups(w, r, q)
	case len(path) == 2 && path[0] == "groups":
		g := s.groups[path[1]]
		if g == nil || g.hard {
			refuse(w, http.StatusNotFound, "Request_ResourceNotFound", "Resource '%s' does not exist.", path[1])
			return
		}
		if fields, ok := chosen(w, q, groupProperties, groupProperties); ok {
			answer(w, http.StatusOK, s.shown(path[1], g.properties, fields, nil))
		}
	case len(path) == 3 && path[0] == "groups" && path[2] == "members":
		s.listMembers(w, r, path[1], q)
	default:
		refuse(w, http.StatusNotFound, "ResourceNotFound", "Resource not found for the segment '%s'.", path[len(path)-1])
	}
}

// chosen are the properties that $select names.
func chosen(w http.ResponseWriter, q url.Values, known, usual []string) ([]string, bool) {
	text := q.Get("$select")
	if text == "" {
		return usual, true
	}
	fields := strings.Split(text, ",")
	for _, f := range fields {
		switch {
		case slices.Contains(oneByOne, f):
			refuse(w, http.StatusNotImplemented, "NotImplemented", "This operation target is not yet supported.")
			return nil, false
		case !slices.Contains(known, f):
			refuse(w, http.StatusBadRequest, "Request_BadRequest", "Parsing OData Select and Expand failed: Could not find a property named '%s'.", f)
			return nil, false
		}
	}
	return fields, true
}

// shown is an entry with the properties asked for. What was never set is absent in a
// delta, and null in a list.
func (s *Server) shown(id string, properties map[string]any, fields []string, absent any) map[string]any {
	out := map[string]any{"id": id}
	for _, f := range fields {
		v, ok := properties[f]
		switch {
		case f == "id" || f == "members" || f == "manager":
		case ok:
			out[f] = v
		case absent == nil && slices.Contains([]string{"businessPhones", "otherMails", "proxyAddresses", "identities", "groupTypes"}, f):
			out[f] = []any{}
		case absent == nil:
			out[f] = nil
		}
	}
	return out
}

// usualUser are the properties of a list without $select.
var usualUser = strings.Fields("businessPhones displayName givenName id jobTitle mail mobilePhone officeLocation preferredLanguage surname userPrincipalName")

var (
	oneOf  = regexp.MustCompile(`^id in \((.*)\)$`)
	equals = regexp.MustCompile(`^(id|userPrincipalName|mail|displayName) eq '((?:[^']|'')*)'$`)
	quoted = regexp.MustCompile(`^'((?:[^']|'')*)'$`)
)

// alternatives splits at each "or" that stands outside of quotes.
func alternatives(text string) []string {
	var out []string
	begun, quoted := 0, false
	for i := range len(text) {
		switch {
		case text[i] == '\'':
			quoted = !quoted // twice within: a quote as such
		case !quoted && strings.HasPrefix(text[i:], " or "):
			out, begun = append(out, text[begun:i]), i+len(" or ")
		}
	}
	return append(out, text[begun:])
}

// filter gives who a $filter lets through.
func filter(w http.ResponseWriter, text string) (func(id string, properties map[string]any) bool, bool) {
	if text == "" {
		return func(string, map[string]any) bool { return true }, true
	}
	bad := func() (func(string, map[string]any) bool, bool) {
		refuse(w, http.StatusBadRequest, "BadRequest", "Invalid filter clause")
		return nil, false
	}
	if m := oneOf.FindStringSubmatch(text); m != nil {
		ids := map[string]bool{}
		for _, part := range strings.Split(m[1], ",") {
			p := quoted.FindStringSubmatch(part)
			if p == nil {
				return bad()
			}
			ids[strings.ReplaceAll(p[1], "''", "'")] = true
		}
		if len(ids) > 15 {
			refuse(w, http.StatusBadRequest, "Request_UnsupportedQuery", "Too many child clauses specified in search filter expression containing 'OR' operators: %d. Max allowed: 15.", len(ids))
			return nil, false
		}
		return func(id string, _ map[string]any) bool { return ids[id] }, true
	}
	type clause struct{ name, value string }
	var clauses []clause
	for _, part := range alternatives(text) {
		m := equals.FindStringSubmatch(part)
		if m == nil {
			return bad()
		}
		clauses = append(clauses, clause{m[1], strings.ReplaceAll(m[2], "''", "'")})
	}
	return func(id string, properties map[string]any) bool {
		return slices.ContainsFunc(clauses, func(c clause) bool {
			if c.name == "id" {
				return c.value == id
			}
			v, _ := properties[c.name].(string)
			return strings.EqualFold(v, c.value)
		})
	}, true
}

// page cuts a list: $top entries (100 by default, 999 at most), and the link to the
// next ones, which holds all options.
func (s *Server) page(w http.ResponseWriter, r *http.Request, q url.Values, ids []string, show func(id string) map[string]any) {
	top := 100
	if text := q.Get("$top"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 999 {
			refuse(w, http.StatusBadRequest, "Request_UnsupportedQuery", "Invalid page size specified: '%s'. Must be between 1 and 999 inclusive.", text)
			return
		}
		top = n
	}
	from := 0
	if after := q.Get("$skiptoken"); after != "" {
		b, err := base64.RawURLEncoding.DecodeString(after)
		if err != nil {
			refuse(w, http.StatusBadRequest, "BadRequest", "The skip token is not valid.")
			return
		}
		i, found := slices.BinarySearch(ids, string(b))
		if from = i; found {
			from++
		}
	}
	to := min(len(ids), from+top)
	out := map[string]any{"@odata.context": s.Base + "/v1.0/$metadata#directoryObjects", "value": []any{}}
	value := make([]any, 0, to-from)
	for _, id := range ids[from:to] {
		value = append(value, show(id))
	}
	out["value"] = value
	if to < len(ids) {
		next := maps.Clone(q)
		next.Set("$skiptoken", base64.RawURLEncoding.EncodeToString([]byte(ids[to-1])))
		out["@odata.nextLink"] = s.Base + r.URL.Path + "?" + next.Encode()
	}
	answer(w, http.StatusOK, out)
}

func (s *Server) listUsers(w http.ResponseWriter, r *http.Request, q url.Values) {
	fields, ok := chosen(w, q, userProperties, usualUser)
	if !ok {
		return
	}
	holds, ok := filter(w, q.Get("$filter"))
	if !ok {
		return
	}
	expand := q.Get("$expand")
	if expand != "" && expand != "manager($select=id)" {
		refuse(w, http.StatusBadRequest, "BadRequest", "The query specified in the URI is not valid: $expand.")
		return
	}
	var ids []string
	for id, u := range s.users {
		if !u.soft && !u.hard && holds(id, u.properties) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	s.page(w, r, q, ids, func(id string) map[string]any {
		u := s.users[id]
		out := s.shown(id, u.properties, fields, nil)
		if m := s.users[u.manager]; expand != "" && m != nil && !m.soft && !m.hard {
			out["manager"] = map[string]any{"@odata.type": "#microsoft.graph.user", "id": u.manager}
		}
		return out
	})
}

func (s *Server) listGroups(w http.ResponseWriter, r *http.Request, q url.Values) {
	fields, ok := chosen(w, q, groupProperties, groupProperties)
	if !ok {
		return
	}
	var ids []string
	for id, g := range s.groups {
		if !g.hard {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	s.page(w, r, q, ids, func(id string) map[string]any { return s.shown(id, s.groups[id].properties, fields, nil) })
}

// typeOf is what kind of object an id stands for.
func (s *Server) typeOf(id string) string {
	switch {
	case s.groups[id] != nil:
		return "#microsoft.graph.group"
	case strings.HasPrefix(id, "device"):
		return "#microsoft.graph.device"
	}
	return "#microsoft.graph.user"
}

func (s *Server) listMembers(w http.ResponseWriter, r *http.Request, id string, q url.Values) {
	g := s.groups[id]
	if g == nil || g.hard {
		refuse(w, http.StatusNotFound, "Request_ResourceNotFound", "Resource '%s' does not exist.", id)
		return
	}
	s.page(w, r, q, slices.Sorted(maps.Keys(g.members)), func(id string) map[string]any {
		return map[string]any{"@odata.type": s.typeOf(id), "id": id}
	})
}

// round is one round of a delta, as it was when it began.
type round struct {
	kind    string
	fields  []string
	to      int // what the log was at
	epoch   int
	at      time.Time
	entries []json.RawMessage
}

// mark is what a token of a delta stands for: where a round stands, or where the next
// one begins.
type mark struct {
	Kind   string   `json:"k"`
	Epoch  int      `json:"e"`
	Seq    int      `json:"s"`
	Fields []string `json:"f"`
	At     int64    `json:"t"`
	Round  string   `json:"r,omitempty"`
	Offset int      `json:"o,omitempty"`
	Blank  bool     `json:"b,omitempty"` // the page before was an empty one
}

func (m mark) text() string {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// delta answers a request of a round. The options are those of the first request
// alone; later ones are in the token.
func (s *Server) delta(w http.ResponseWriter, r *http.Request, kind string, q url.Values) {
	for _, name := range []string{"$expand", "$top", "$orderby", "$search", "$count"} {
		if q.Has(name) {
			refuse(w, http.StatusBadRequest, "Request_UnsupportedQuery", "'%s' is not supported by delta queries.", name)
			return
		}
	}
	token := q.Get("$skiptoken") + q.Get("$deltatoken")
	if token == "" || token == "latest" {
		known, nav := userProperties, "manager"
		if kind == "groups" {
			known, nav = groupProperties, "members"
		}
		fields, ok := chosen(w, q, append(slices.Clone(known), nav), known)
		if !ok {
			return
		}
		from := -1
		if token == "latest" {
			from = s.seq
		}
		key, rd := s.begin(kind, fields, from)
		s.send(w, r, key, rd, 0, false)
		return
	}
	var m mark
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(b, &m) != nil || m.Kind != kind {
		refuse(w, http.StatusBadRequest, "Request_BadRequest", "Badly formed token.")
		return
	}
	if m.Epoch != s.epoch || s.Now().Sub(time.Unix(m.At, 0)) > 7*24*time.Hour || m.Round != "" && s.rounds[m.Round] == nil {
		if s.LostAs == http.StatusBadRequest {
			refuse(w, http.StatusBadRequest, "syncStateNotFound", "The sync state generation is not found.")
			return
		}
		w.Header().Set("Location", s.Base+r.URL.Path+"?$deltatoken=")
		refuse(w, http.StatusGone, "resyncRequired", "Resync is required.")
		return
	}
	if m.Round != "" {
		s.send(w, r, m.Round, s.rounds[m.Round], m.Offset, m.Blank)
		return
	}
	key, rd := s.begin(kind, m.Fields, m.Seq)
	s.send(w, r, key, rd, 0, false)
}

// send sends a page of a round. The second page of each round of several is empty.
func (s *Server) send(w http.ResponseWriter, r *http.Request, key string, rd *round, from int, blank bool) {
	size := max(1, s.Page)
	to, begin := min(len(rd.entries), from+size), from
	if from == size && !blank {
		begin, to = from, from
	} else if s.repeat {
		begin = max(0, from-size)
	}
	value := rd.entries[begin:to]
	if value == nil {
		value = []json.RawMessage{}
	}
	out := map[string]any{"@odata.context": s.Base + "/v1.0/$metadata#" + rd.kind, "value": value}
	next := mark{Kind: rd.kind, Epoch: rd.epoch, Seq: rd.to, Fields: rd.fields, At: rd.at.Unix()}
	if to < len(rd.entries) {
		next.Round, next.Offset, next.Blank = key, to, to == from
		out["@odata.nextLink"] = s.Base + r.URL.Path + "?$skiptoken=" + next.text()
	} else {
		out["@odata.deltaLink"] = s.Base + r.URL.Path + "?$deltatoken=" + next.text()
	}
	answer(w, http.StatusOK, out)
}

// mostRounds is how many rounds are kept.
const mostRounds = 8

// begin begins a round: of everything (from -1), or of what the log has since.
func (s *Server) begin(kind string, fields []string, from int) (string, *round) {
	rd := &round{kind: kind, fields: fields, to: s.seq, epoch: s.epoch, at: s.Now()}
	if !s.Silent {
		var entries []map[string]any
		switch {
		case kind == "users" && from < 0:
			for _, id := range slices.Sorted(maps.Keys(s.users)) {
				entries = append(entries, s.userEntry(id, fields, -1))
			}
		case kind == "users":
			for _, id := range s.moved(from, func(e event) string { return e.user }) {
				entries = append(entries, s.userEntry(id, fields, from))
			}
		case from < 0:
			var later []map[string]any
			for _, id := range slices.Sorted(maps.Keys(s.groups)) {
				parts := s.groupEntries(id, fields, -1)
				entries, later = append(entries, parts[0]), append(later, parts[1:]...)
			}
			entries = append(entries, later...) // the rest of large groups comes on other pages
		default:
			for _, id := range s.moved(from, func(e event) string { return e.group }) {
				entries = append(entries, s.groupEntries(id, fields, from)...)
			}
		}
		for _, e := range entries {
			b, err := json.Marshal(e)
			if err != nil {
				panic(err)
			}
			rd.entries = append(rd.entries, b)
		}
	}
	s.nextID++
	key := fmt.Sprint(s.nextID)
	s.rounds[key] = rd
	if s.ordered = append(s.ordered, key); len(s.ordered) > mostRounds {
		delete(s.rounds, s.ordered[0])
		s.ordered = s.ordered[1:]
	}
	return key, rd
}

// moved are the ids of the log since, in the order of their last change.
func (s *Server) moved(from int, of func(event) string) []string {
	var out []string
	for _, e := range slices.Backward(s.log) {
		if e.seq <= from {
			break
		}
		if id := of(e); id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	slices.Reverse(out)
	return out
}

func (s *Server) userEntry(id string, fields []string, from int) map[string]any {
	u := s.users[id]
	if u.soft || u.hard {
		reason := "changed"
		if u.hard {
			reason = "deleted"
		}
		return map[string]any{"id": id, "@removed": map[string]any{"reason": reason}}
	}
	out := s.shown(id, u.properties, fields, false)
	if s.NoManagers || !slices.Contains(fields, "manager") {
		return out
	}
	var managers []any
	if from < 0 && u.manager != "" {
		managers = append(managers, map[string]any{"@odata.type": "#microsoft.graph.user", "id": u.manager})
	}
	since := s.log
	if from < 0 {
		since = nil
	}
	for _, e := range since {
		if e.seq > from && e.user == id && e.manager {
			if e.was != "" {
				managers = append(managers, map[string]any{"@odata.type": "#microsoft.graph.user", "id": e.was, "@removed": map[string]any{"reason": "deleted"}})
			}
			if e.was != u.manager && u.manager != "" {
				managers = append(managers, map[string]any{"@odata.type": "#microsoft.graph.user", "id": u.manager})
			}
		}
	}
	if managers != nil {
		out["manager@delta"] = managers
	}
	return out
}

// groupEntries are the entries of one group: with many members, several.
func (s *Server) groupEntries(id string, fields []string, from int) []map[string]any {
	g := s.groups[id]
	if g.hard {
		return []map[string]any{{"id": id, "@removed": map[string]any{"reason": "deleted"}}}
	}
	var members []any
	if from < 0 {
		for _, m := range slices.Sorted(maps.Keys(g.members)) {
			members = append(members, map[string]any{"@odata.type": s.typeOf(m), "id": m})
		}
	}
	told := map[string]bool{}
	for _, e := range slices.Backward(s.log) {
		if from < 0 || e.seq <= from {
			break
		}
		if e.group == id && e.member != "" && !told[e.member] {
			told[e.member] = true
			m := map[string]any{"@odata.type": s.typeOf(e.member), "id": e.member}
			if !e.came {
				m["@removed"] = map[string]any{"reason": "deleted"}
			}
			members = append(members, m)
		}
	}
	var out []map[string]any
	for {
		e := s.shown(id, g.properties, fields, false)
		n := min(len(members), max(1, s.Part))
		if slices.Contains(fields, "members") && n > 0 {
			e["members@delta"] = members[:n]
		}
		out = append(out, e)
		if members = members[n:]; len(members) == 0 {
			return out
		}
	}
}
