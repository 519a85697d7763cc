package okta

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
	"time"
)

const layout = "2006-01-02T15:04:05.000Z"

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// Handler answers.
func (o *Org) Handler() http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("GET /api/v1/users", o.listUsers)
	api.HandleFunc("GET /api/v1/users/{id}/groups", o.listUserGroups)
	api.HandleFunc("GET /api/v1/groups", o.listGroups)
	api.HandleFunc("GET /api/v1/groups/{id}/users", o.listMembers)
	api.HandleFunc("GET /api/v1/apps/{id}/users", o.listAssigned)
	data := o.faults.Around(o.admitted(api))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.requests++
		o.mu.Unlock()
		w.Header().Set("Date", o.Now().UTC().Format(http.TimeFormat))
		if r.URL.Path == "/oauth2/v1/token" {
			o.issue(w, r)
			return
		}
		data.ServeHTTP(w, r)
	})
}

// refuse answers with Okta's error object (core-okta-api).
func refuse(w http.ResponseWriter, status int, code, summary string) {
	reply(w, status, map[string]any{"errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oae" + code, "errorCauses": []any{}})
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// admitted counts a request against its quota, and wants a token.
func (o *Org) admitted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.within(w, r.URL.Path) {
			refuse(w, http.StatusTooManyRequests, "E0000047", "API call exceeded rate limit due to too many requests.")
			return
		}
		if why := o.authorized(r); why != "" {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", error_description="`+why+`"`)
			refuse(w, http.StatusUnauthorized, "E0000011", "Invalid token provided")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// within tells of the quota that goes with an address. Windows begin with the first
// request in them.
func (o *Org) within(w http.ResponseWriter, path string) bool {
	parts := strings.Split(path, "/")
	family := parts[3]
	if len(parts) > 5 {
		family += "/" + parts[5]
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.windows[family]
	if !o.Now().Before(at.reset) {
		at = window{reset: o.Now().Add(time.Minute)}
	}
	ok := at.used < o.Limit
	if ok {
		at.used++
	}
	o.windows[family] = at
	w.Header()["X-Rate-Limit-Limit"] = []string{strconv.Itoa(o.Limit)}
	w.Header()["X-Rate-Limit-Remaining"] = []string{strconv.Itoa(o.Limit - at.used)}
	w.Header()["X-Rate-Limit-Reset"] = []string{unix(at.reset)}
	return ok
}

// page answers with a part of what there is, in the order of IDs, and links (RFC 8288)
// to itself and the next one, each in a header line of its own.
func (o *Org) page(w http.ResponseWriter, r *http.Request, ids []string, most int, object func(id string) any) {
	q := r.URL.Query()
	size := min(most, o.PageSize)
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			refuse(w, http.StatusBadRequest, "E0000001", "Api validation failed: limit")
			return
		}
		size = min(n, o.PageSize)
	}
	from := 0
	if after := q.Get("after"); after != "" {
		b, err := base64.RawURLEncoding.DecodeString(after)
		if err != nil {
			refuse(w, http.StatusBadRequest, "E0000001", "Api validation failed: after")
			return
		}
		from, _ = slices.BinarySearch(ids, string(b))
		for from < len(ids) && ids[from] == string(b) {
			from++
		}
	}
	until := min(from+size, len(ids))
	out := []any{}
	if o.repeat && from > 0 {
		out = append(out, object(ids[from-1])) // the last of the page before
	}
	for _, id := range ids[from:until] {
		out = append(out, object(id))
		if o.repeat {
			out = append(out, object(id))
		}
	}
	link := func(rel string, q url.Values) {
		w.Header().Add("Link", fmt.Sprintf(`<http://%s%s?%s>; rel="%s"`, r.Host, r.URL.EscapedPath(), q.Encode(), rel))
	}
	link("self", q)
	if until < len(ids) {
		further := maps.Clone(q)
		further.Set("after", base64.RawURLEncoding.EncodeToString([]byte(ids[until-1])))
		link("next", further)
	}
	reply(w, http.StatusOK, out)
}

func (o *Org) listUsers(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := r.URL.Query()
	for name := range q {
		if !slices.Contains([]string{"filter", "search", "limit", "after", "fields"}, name) {
			refuse(w, http.StatusBadRequest, "E0000001", "the stand-in does not know "+name)
			return
		}
	}
	var ids []string
	if text := q.Get("filter") + q.Get("search"); text != "" {
		match, err := parseFilter(text)
		if err != nil {
			refuse(w, http.StatusBadRequest, "E0000031", "Invalid search criteria.")
			return
		}
		for _, id := range o.order {
			property := o.users[id].property
			if q.Has("search") {
				property = o.users[id].any
			}
			if match(property) {
				ids = append(ids, id)
			}
		}
	} else {
		for _, id := range o.order { // a plain list leaves out the deprovisioned
			if o.users[id].status != "DEPROVISIONED" {
				ids = append(ids, id)
			}
		}
	}
	fields := q.Get("fields")
	o.page(w, r, ids, 200, func(id string) any {
		whole := o.users[id].object()
		if fields == "" {
			return whole
		}
		some := map[string]any{}
		for name := range strings.SplitSeq(fields, ",") {
			some[name] = whole[name]
		}
		return some
	})
}

func (o *Org) listGroups(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids := o.inOrder
	if text := r.URL.Query().Get("filter"); text != "" {
		match, err := parseFilter(text)
		if err != nil {
			refuse(w, http.StatusBadRequest, "E0000031", "Invalid search criteria.")
			return
		}
		ids = nil
		for _, id := range o.inOrder {
			if match(o.groups[id].property) {
				ids = append(ids, id)
			}
		}
	}
	o.page(w, r, ids, 10000, func(id string) any { return o.groups[id].object() })
}

func (o *Org) listUserGroups(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := []any{}
	for _, id := range o.inOrder {
		if slices.Contains(o.groups[id].members, r.PathValue("id")) {
			out = append(out, o.groups[id].object())
		}
	}
	reply(w, http.StatusOK, out)
}

func (o *Org) listMembers(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[r.PathValue("id")]
	if g == nil {
		refuse(w, http.StatusNotFound, "E0000007", "Not found: Resource not found: (UserGroup)")
		return
	}
	ids := slices.DeleteFunc(slices.Clone(g.members), func(id string) bool { return o.users[id] == nil })
	o.page(w, r, ids, 1000, func(id string) any { return o.users[id].object() })
}

func (o *Org) listAssigned(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ids, ok := o.apps[r.PathValue("id")]
	if !ok {
		refuse(w, http.StatusNotFound, "E0000007", "Not found: Resource not found: (AppInstance)")
		return
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return o.users[id] == nil })
	o.page(w, r, ids, 500, func(id string) any {
		u := o.users[id]
		return map[string]any{"id": id, "externalId": nil2(u.profile["login"]), "created": u.created.Format(layout), "lastUpdated": u.lastUpdated.Format(layout),
			"scope": "USER", "status": "ACTIVE", "statusChanged": u.created.Format(layout), "syncState": "DISABLED", "profile": map[string]any{}}
	})
}

func nil2(v any) any {
	if s, ok := v.(string); ok {
		return s
	}
	return ""
}

func (u *user) object() map[string]any {
	at := func(t time.Time) string { return t.UTC().Format(layout) }
	return map[string]any{"id": u.id, "status": u.status, "created": at(u.created), "activated": nil, "statusChanged": nil, "lastLogin": nil,
		"lastUpdated": at(u.lastUpdated), "passwordChanged": nil, "type": map[string]any{"id": "otyfnjfba4ye7pgjB0g4"}, "profile": u.profile,
		"_links": map[string]any{"self": map[string]any{"href": "/api/v1/users/" + url.PathEscape(u.id)}}}
}

func (u *user) property(name string) string {
	switch name {
	case "id":
		return u.id
	case "status":
		return u.status
	case "lastUpdated":
		return u.lastUpdated.UTC().Format(layout)
	case "profile.login", "profile.email", "profile.firstName", "profile.lastName":
		s, _ := u.profile[strings.TrimPrefix(name, "profile.")].(string)
		return s
	}
	return "\x00" // no such property
}

// any is property for search, which knows all of the profile.
func (u *user) any(name string) string {
	if s, ok := u.profile[strings.TrimPrefix(name, "profile.")].(string); ok && strings.HasPrefix(name, "profile.") {
		return s
	}
	return u.property(name)
}

func (g *group) object() map[string]any {
	at := func(t time.Time) string { return t.UTC().Format(layout) }
	return map[string]any{"id": g.id, "created": at(g.created), "lastUpdated": at(g.lastUpdated), "lastMembershipUpdated": at(g.lastMembershipUpdated),
		"objectClass": []string{"okta:user_group"}, "type": "OKTA_GROUP", "profile": map[string]any{"name": g.name, "description": ""}}
}

func (g *group) property(name string) string {
	switch name {
	case "id":
		return g.id
	case "type":
		return "OKTA_GROUP"
	case "lastUpdated":
		return g.lastUpdated.UTC().Format(layout)
	case "lastMembershipUpdated":
		return g.lastMembershipUpdated.UTC().Format(layout)
	}
	return "\x00"
}
