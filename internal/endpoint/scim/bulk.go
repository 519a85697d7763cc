package scim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/pushed"
)

// bulk does many requests in one (RFC 7644, section 3.7). Each is whole or not at
// all; what one makes, others may name by its bulkId, those before it too.
func (q *request) bulk() error {
	ops, most, err := scim.ParseBulk(q.body, mostBulk)
	if err != nil {
		return err
	}
	// The request itself was counted; each operation counts as one more.
	if len(ops) > 1 {
		if wait := q.e.asked.Take(q.c.alias, len(ops)-1, q.c.limit, q.e.Now()); wait > 0 {
			return q.busy(wait)
		}
	}
	b := &bulk{q: q, ops: ops, needs: make([][]string, len(ops)), done: make([]scim.Object, len(ops)), ids: map[string]string{}, by: map[string]int{}, later: map[int][]string{}}
	for i, op := range ops {
		if b.needs[i], err = op.Needs(); err != nil {
			return err
		}
		if op.BulkID != "" {
			b.by[op.BulkID] = i
		}
	}
	b.run(most)
	results := []any{}
	for _, one := range b.done {
		if one != nil {
			results = append(results, one)
		}
	}
	return q.reply(http.StatusOK, scim.Object{"schemas": []string{scim.BulkResponseMessage}, "Operations": results})
}

type bulk struct {
	q      *request
	ops    []scim.BulkOperation
	needs  [][]string    // bulkIds that each names
	done   []scim.Object // answers, nil for what was not tried
	ids    map[string]string
	by     map[string]int   // where a bulkId is made
	later  map[int][]string // members that a group gets when they are there
	failed int
}

// run does what is ready, until nothing is left. What waits for one another in a
// circle is made without its members, which are added afterwards (section 3.7.1).
func (b *bulk) run(most int) {
	for stuck := false; ; {
		waiting, moved := -1, false
		for i := range b.ops {
			if b.done[i] != nil {
				continue
			}
			if b.waits(i) && !stuck {
				if waiting < 0 {
					waiting = i
				}
				continue
			}
			b.one(i, stuck)
			moved, stuck = true, false
			if most > 0 && b.failed >= most {
				return
			}
		}
		switch {
		case !moved && waiting < 0:
			b.finish()
			return
		case !moved:
			stuck = true
		}
	}
}

// waits reports whether an operation names what is to be made yet.
func (b *bulk) waits(i int) bool {
	return slices.ContainsFunc(b.needs[i], func(name string) bool {
		at, known := b.by[name]
		return known && b.done[at] == nil
	})
}

// one does an operation. Where it is part of a circle, members that are not there
// yet are left for later.
func (b *bulk) one(i int, circle bool) {
	op := b.ops[i]
	answer := scim.Object{"method": op.Method}
	if op.BulkID != "" {
		answer["bulkId"] = op.BulkID
	}
	b.done[i] = answer
	if circle && op.Method == http.MethodPost {
		op.Data = b.without(i, op.Data)
	}
	missing, err := op.Resolve(b.ids)
	if err == nil && missing != "" {
		err = &scim.Error{Status: http.StatusConflict, Type: scim.InvalidValue, Detail: "bulkId:" + missing + " was not made by this request"}
	}
	var r *pushed.Resource
	status := 0
	if err == nil {
		r, status, err = b.do(op.Method, op.Path, op.Data, op.Version)
	}
	if err != nil {
		told := b.q.e.told(b.q.r.Context(), err)
		answer["status"], answer["response"] = strconv.Itoa(told.Status), scim.ErrorObject(told)
		b.failed++
		return
	}
	answer["status"] = strconv.Itoa(status)
	if r != nil {
		answer["location"], answer["version"] = b.q.location(r.Type, r.ID), etag(r.Version)
		if op.BulkID != "" {
			b.ids[op.BulkID] = r.ID
		}
	}
}

// without takes those members out of a new group that are not there yet.
func (b *bulk) without(i int, data json.RawMessage) json.RawMessage {
	o := map[string]json.RawMessage{}
	if json.Unmarshal(data, &o) != nil {
		return data
	}
	for name, raw := range o {
		var list []json.RawMessage
		if !strings.EqualFold(name, "members") || json.Unmarshal(raw, &list) != nil {
			continue
		}
		kept := [][]byte{}
		for _, one := range list {
			var member struct{ Value string }
			name, names := "", json.Unmarshal(one, &member) == nil
			if names {
				name, names = scim.BulkReference(member.Value)
			}
			if !names || b.ids[name] != "" {
				kept = append(kept, one)
				continue
			}
			b.later[i] = append(b.later[i], name)
		}
		o[name] = append(append([]byte{'['}, bytes.Join(kept, []byte{','})...), ']')
	}
	out, err := json.Marshal(o)
	if err != nil {
		return data
	}
	return out
}

// finish gives groups of a circle the members that were made after them. One that
// could not be made is told of on the group.
func (b *bulk) finish() {
	for i, names := range b.later {
		id, made := b.ids[b.ops[i].BulkID]
		if !made {
			continue
		}
		var members []pushed.Member
		var err error
		for _, name := range names {
			if member, ok := b.ids[name]; ok {
				members = append(members, pushed.Member{ID: member})
			} else {
				err = &scim.Error{Status: http.StatusConflict, Type: scim.InvalidValue, Detail: "it was made, but bulkId:" + name + ", a member, was not"}
			}
		}
		werr := b.q.e.Pushed.Write(b.q.r.Context(), b.q.c.alias, func(tx *pushed.Tx) error {
			g, err := tx.Get(scim.Group, id, false, false)
			if err == nil {
				_, err = tx.AddMembers(g, members)
			}
			if err == nil {
				b.done[i]["version"] = etag(g.Version)
			}
			return err
		})
		if werr != nil {
			err = werr
		}
		if err != nil {
			told := b.q.e.told(b.q.r.Context(), err)
			b.done[i]["status"], b.done[i]["response"] = strconv.Itoa(told.Status), scim.ErrorObject(told)
			b.failed++
		}
	}
}

// do is one operation, as if it had come by itself.
func (b *bulk) do(method, path string, data json.RawMessage, version string) (*pushed.Resource, int, error) {
	name, id, _ := strings.Cut(strings.Trim(path, "/"), "/")
	t, ok := kinds[name]
	if !ok || strings.Contains(id, "/") || (id == "") != (method == http.MethodPost) {
		return nil, 0, &scim.Error{Status: http.StatusNotFound, Detail: method + " " + path + " is nothing that could be done; there are POST /Users and PUT, PATCH and DELETE /Users/{id}, and the same of /Groups"}
	}
	switch method {
	case http.MethodPost:
		r, err := b.q.doCreate(t, data, wants{attributes: []string{"id"}})
		return r, http.StatusCreated, err
	case http.MethodPut:
		r, err := b.q.doReplace(t, id, data, version, wants{attributes: []string{"id"}})
		return r, http.StatusOK, err
	case http.MethodPatch:
		r, err := b.q.doPatch(t, id, data, version, wants{}, false)
		return r, http.StatusOK, err
	case http.MethodDelete:
		return nil, http.StatusNoContent, b.q.doRemove(t, id, version)
	}
	return nil, 0, &scim.Error{Status: http.StatusMethodNotAllowed, Detail: "a bulk operation is POST, PUT, PATCH or DELETE"}
}
