package scim

import (
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/pushed"
)

// wants is which attributes a client asked for (RFC 7644, section 3.9).
type wants struct{ attributes, excluded []string }

func list(text string) []string {
	var out []string
	for _, name := range strings.Split(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func (q *request) wants() (wants, error) {
	v := q.r.URL.Query()
	return wantsOf(list(v.Get("attributes")), list(v.Get("excludedAttributes")))
}

func wantsOf(attributes, excluded []string) (wants, error) {
	if len(attributes) > 0 && len(excluded) > 0 {
		return wants{}, scim.Bad(scim.InvalidValue, "attributes and excludedAttributes cannot be given together")
	}
	return wants{attributes, excluded}, nil
}

// of reports whether an attribute that costs a look of its own is wanted.
func (w wants) of(name string) bool {
	named := func(list []string) bool {
		for _, one := range list {
			if i := strings.LastIndexByte(one, ':'); i >= 0 {
				one = one[i+1:]
			}
			one, _, _ = strings.Cut(one, ".")
			if strings.EqualFold(one, name) {
				return true
			}
		}
		return false
	}
	if len(w.attributes) > 0 {
		return named(w.attributes)
	}
	for _, one := range w.excluded {
		if i := strings.LastIndexByte(one, ':'); i >= 0 {
			one = one[i+1:]
		}
		if strings.EqualFold(one, name) { // a part that is left out leaves the others
			return false
		}
	}
	return true
}

func (w wants) members(t scim.Type) bool { return t == scim.Group && w.of("members") }
func (w wants) groups(t scim.Type) bool  { return t == scim.User && w.of("groups") }

// shown is a resource as clients read it.
func (q *request) shown(r *pushed.Resource, w wants) (scim.Object, error) {
	o := maps.Clone(r.Body)
	if o == nil {
		o = scim.Object{}
	}
	o["id"] = r.ID
	o["meta"] = scim.Object{
		"resourceType": string(r.Type), "created": stamp(r.CreatedAt), "lastModified": stamp(r.ModifiedAt),
		"location": q.location(r.Type, r.ID), "version": etag(r.Version),
	}
	if len(r.Members) > 0 {
		o["members"] = q.ends(r.Members)
	}
	if len(r.Groups) > 0 {
		o["groups"] = q.ends(r.Groups)
	}
	return scim.Project(r.Type, o, w.attributes, w.excluded)
}

// ends are one side of memberships.
func (q *request) ends(list []pushed.Member) []any {
	out := make([]any, len(list))
	for i, m := range list {
		one := scim.Object{"value": m.ID}
		if m.Display != "" {
			one["display"] = m.Display
		}
		if m.Type != "" { // nobody is known by that ID otherwise
			one["$ref"] = q.location(m.Type, m.ID)
			one["type"] = string(m.Type)
		}
		out[i] = one
	}
	return out
}

func etag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// matches reports whether an If-Match or If-None-Match names a version (RFC 7644,
// section 3.14; RFC 9110, section 13.1).
func matches(header string, version int64) bool {
	for _, one := range strings.Split(header, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(etag(version), "W/") {
			return true
		}
	}
	return false
}

// expected refuses a change of another version than the client has seen.
func expected(ifMatch string, r *pushed.Resource) error {
	if ifMatch == "" || matches(ifMatch, r.Version) {
		return nil
	}
	return &scim.Error{Status: http.StatusPreconditionFailed, Detail: "it has changed meanwhile: read it again, it is at " + etag(r.Version)}
}

func (q *request) get(t scim.Type) error {
	w, err := q.wants()
	if err != nil {
		return err
	}
	r, err := q.e.Pushed.Get(q.r.Context(), q.c.alias, t, q.r.PathValue("id"), w.members(t), w.groups(t))
	if err != nil {
		return err
	}
	if none := q.r.Header.Get("If-None-Match"); none != "" && matches(none, r.Version) {
		q.w.Header().Set("ETag", etag(r.Version))
		return q.reply(http.StatusNotModified, nil)
	}
	return q.answerWith(http.StatusOK, r, w)
}

// answerWith answers with a resource and its version.
func (q *request) answerWith(status int, r *pushed.Resource, w wants) error {
	o, err := q.shown(r, w)
	if err != nil {
		return err
	}
	q.w.Header().Set("ETag", etag(r.Version))
	if status == http.StatusCreated {
		q.w.Header().Set("Location", q.location(r.Type, r.ID))
	}
	return q.reply(status, o)
}

func (q *request) create(t scim.Type) error {
	w, err := q.wants()
	if err != nil {
		return err
	}
	r, err := q.doCreate(t, q.body, w)
	if err != nil {
		return err
	}
	return q.answerWith(http.StatusCreated, r, w)
}

func (q *request) replace(t scim.Type) error {
	w, err := q.wants()
	if err != nil {
		return err
	}
	r, err := q.doReplace(t, q.r.PathValue("id"), q.body, q.r.Header.Get("If-Match"), w)
	if err != nil {
		return err
	}
	return q.answerWith(http.StatusOK, r, w)
}

// patch answers without a body, unless attributes are asked for (RFC 7644, section
// 3.5.2): reading a group of 100,000 back would take a thousand times as long as
// adding one more to it.
func (q *request) patch(t scim.Type) error {
	w, err := q.wants()
	if err != nil {
		return err
	}
	with := q.r.URL.Query().Has("attributes") || q.r.URL.Query().Has("excludedAttributes")
	r, err := q.doPatch(t, q.r.PathValue("id"), q.body, q.r.Header.Get("If-Match"), w, with)
	if err != nil {
		return err
	}
	if with {
		return q.answerWith(http.StatusOK, r, w)
	}
	q.w.Header().Set("ETag", etag(r.Version))
	return q.reply(http.StatusNoContent, nil)
}

func (q *request) remove(t scim.Type) error {
	if err := q.doRemove(t, q.r.PathValue("id"), q.r.Header.Get("If-Match")); err != nil {
		return err
	}
	return q.reply(http.StatusNoContent, nil)
}

// write is a transaction, after which the resource is read as the client wants it.
func (q *request) write(w wants, again bool, do func(*pushed.Tx) (*pushed.Resource, error)) (r *pushed.Resource, err error) {
	err = q.e.Pushed.Write(q.r.Context(), q.c.alias, func(tx *pushed.Tx) (err error) {
		if r, err = do(tx); err != nil || !again || !w.members(r.Type) && !w.groups(r.Type) {
			return err
		}
		r, err = tx.Get(r.Type, r.ID, w.members(r.Type), w.groups(r.Type))
		return err
	})
	return r, err
}

func (q *request) doCreate(t scim.Type, raw []byte, w wants) (*pushed.Resource, error) {
	body, members, _, err := scim.Intake(t, raw)
	if err != nil {
		return nil, err
	}
	if t == scim.User && q.c.mail {
		sameMail(nil, body)
	}
	// Nobody is in a group before being there: a new user's groups are none.
	return q.write(w, t == scim.Group && len(members) > 0, func(tx *pushed.Tx) (*pushed.Resource, error) {
		r, err := tx.Create(t, body)
		if err == nil && len(members) > 0 {
			_, err = tx.AddMembers(r, ends(members))
		}
		return r, err
	})
}

func (q *request) doReplace(t scim.Type, id string, raw []byte, ifMatch string, w wants) (*pushed.Resource, error) {
	body, members, given, err := scim.Intake(t, raw)
	if err != nil {
		return nil, err
	}
	return q.write(w, true, func(tx *pushed.Tx) (*pushed.Resource, error) {
		r, err := tx.Get(t, id, false, false)
		if err != nil {
			return nil, err
		}
		if err := expected(ifMatch, r); err != nil {
			return nil, err
		}
		next := maps.Clone(body) // the transaction may be tried again
		if _, said := next["active"]; t == scim.User && !said {
			// Who left it out did not mean to let somebody in again.
			if was, had := r.Body["active"]; had {
				next["active"] = was
			}
		}
		if t == scim.User && q.c.mail {
			sameMail(r.Body, next)
		}
		if err := tx.Replace(r, next); err != nil {
			return nil, err
		}
		// Members that are not spoken of stay: leaving them out is how some clients
		// rename a group, and an empty list says so as well.
		if t == scim.Group && given {
			_, err = tx.ReplaceMembers(r, ends(members))
		}
		return r, err
	})
}

func (q *request) doPatch(t scim.Type, id string, raw []byte, ifMatch string, w wants, again bool) (*pushed.Resource, error) {
	ops, err := scim.ParsePatch(raw)
	if err != nil {
		return nil, err
	}
	return q.write(w, again, func(tx *pushed.Tx) (*pushed.Resource, error) {
		r, err := tx.Get(t, id, false, false)
		if err != nil {
			return nil, err
		}
		if err := expected(ifMatch, r); err != nil {
			return nil, err
		}
		next, err := clone(r.Body)
		if err != nil {
			return nil, err
		}
		changed, members, err := scim.ApplyPatch(t, next, ops)
		if err != nil {
			return nil, err
		}
		if changed {
			if t == scim.User && q.c.mail {
				sameMail(r.Body, next)
			}
			if err := tx.Replace(r, next); err != nil {
				return nil, err
			}
		}
		for _, m := range members {
			if err := apply(tx, r, m); err != nil {
				return nil, err
			}
		}
		return r, nil
	})
}

func apply(tx *pushed.Tx, r *pushed.Resource, m scim.MemberChange) (err error) {
	switch m.Kind {
	case scim.MemberAdd:
		_, err = tx.AddMembers(r, ends(m.Members))
	case scim.MemberRemove:
		ids := make([]string, len(m.Members))
		for i, one := range m.Members {
			ids[i], _ = one["value"].(string)
		}
		_, err = tx.RemoveMembers(r, ids)
	case scim.MemberReplace:
		_, err = tx.ReplaceMembers(r, ends(m.Members))
	case scim.MemberRemoveWhere:
		_, err = tx.RemoveMembersWhere(r, m.Filter)
	}
	return err
}

func (q *request) doRemove(t scim.Type, id, ifMatch string) error {
	return q.e.Pushed.Write(q.r.Context(), q.c.alias, func(tx *pushed.Tx) error {
		r, err := tx.Get(t, id, false, false)
		if err != nil {
			return err
		}
		if err := expected(ifMatch, r); err != nil {
			return err
		}
		return tx.Delete(r)
	})
}

// ends are members as the store takes them. A client's "displayName" is taken for
// "display": Microsoft's own collection sends it.
func ends(list []scim.Object) []pushed.Member {
	out := make([]pushed.Member, 0, len(list))
	for _, o := range list {
		id, _ := o["value"].(string)
		m := pushed.Member{ID: id}
		m.Display, _ = o["display"].(string)
		if name, ok := o["displayName"].(string); ok && m.Display == "" {
			m.Display = name
		}
		if t, ok := o["type"].(string); ok {
			m.Type = scim.Type(t)
		}
		out = append(out, m)
	}
	return out
}

// clone is a copy that may be changed at any depth.
func clone(o scim.Object) (scim.Object, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	out := scim.Object{}
	return out, dec.Decode(&out)
}
