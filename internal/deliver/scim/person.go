package scim

import (
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"strings"

	"rollcall.dev/rollcall/internal/account"
	protocol "rollcall.dev/rollcall/internal/scim"
)

// person is an account as an application is to have it; manager is the identifier
// that the person's manager has there, "" for none.
func person(a *account.Account, manager string) protocol.Object {
	text := &a.Text
	full := strings.TrimSpace(text[account.FirstName] + " " + text[account.LastName])
	o := protocol.Object{
		"userName":   text[account.Username],
		"externalId": a.ID.String(),
		"active":     a.Status == account.Active,
		"name":       parts("givenName", text[account.FirstName], "familyName", text[account.LastName], "formatted", full),
		"emails":     []any{protocol.Object{"value": text[account.Email], "type": "work", "primary": true}},
	}
	set := func(name, value string) {
		if value != "" {
			o[name] = value
		}
	}
	set("displayName", text[account.DisplayName])
	if text[account.DisplayName] == "" {
		set("displayName", full)
	}
	set("title", text[account.Title])
	set("preferredLanguage", text[account.Language])
	var phones []any
	if v := text[account.Phone]; v != "" {
		phones = append(phones, protocol.Object{"value": v, "type": "work"})
	}
	if v := text[account.MobilePhone]; v != "" {
		phones = append(phones, protocol.Object{"value": v, "type": "mobile"})
	}
	if phones != nil {
		o["phoneNumbers"] = phones
	}
	if v := text[account.Location]; v != "" {
		o["addresses"] = []any{protocol.Object{"type": "work", "locality": v}}
	}
	if v := text[account.Role]; v != "" {
		o["roles"] = []any{protocol.Object{"value": v, "primary": true}}
	}
	ext := parts("department", text[account.Department])
	if manager != "" {
		ext["manager"] = protocol.Object{"value": manager}
	}
	if len(ext) > 0 {
		o[protocol.EnterpriseSchema] = ext
	}
	return o
}

// parts makes an object of the pairs that have a value.
func parts(pairs ...string) protocol.Object {
	o := protocol.Object{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			o[pairs[i]] = pairs[i+1]
		}
	}
	return o
}

// ours are the attributes of a user that we set; applications keep all others.
var ours = []string{"userName", "externalId", "active", "name", "displayName", "title", "preferredLanguage", "emails", "phoneNumbers", "addresses", "roles"}

// extended are those of the enterprise extension.
var extended = []string{"department", "manager"}

// purposes are the types of values that are ours; values for other purposes are the
// application's.
var purposes = map[string][]string{"emails": {"work"}, "phoneNumbers": {"work", "mobile"}, "addresses": {"work"}}

// read brings what an application has into the form of the schemas.
func read(t protocol.Type, o protocol.Object) protocol.Object {
	raw, err := json.Marshal(o)
	if err != nil {
		return o
	}
	in, _, _, err := protocol.Intake(t, raw)
	if err != nil {
		return o // it has what the schemas do not; it is compared as it is
	}
	return in
}

// over lays what is wanted over what an application has (as read gave it): the
// resource as it is to be there.
func over(has, want protocol.Object) protocol.Object {
	out := protocol.Object{}
	for k, v := range has {
		out[k] = v
	}
	if _, whole := want["userName"]; !whole { // only that the person may not sign in any more
		out["active"] = want["active"]
		return out
	}
	for _, name := range ours {
		v, wanted := want[name]
		switch {
		case purposes[name] != nil:
			if list := beside(name, has[name], v); len(list) > 0 {
				out[name] = list
			} else {
				delete(out, name)
			}
		case name == "name":
			out[name] = merged(has[name], v)
		case wanted:
			out[name] = v
		case name != "roles":
			delete(out, name)
		}
	}
	ext := protocol.Object{}
	if had, ok := has[protocol.EnterpriseSchema].(protocol.Object); ok {
		for k, v := range had {
			ext[k] = v
		}
	}
	wanted, _ := want[protocol.EnterpriseSchema].(protocol.Object)
	for _, name := range extended {
		switch v, ok := wanted[name]; {
		case !ok:
			delete(ext, name)
		case name == "manager" && sameManager(ext[name], v):
		default:
			ext[name] = v
		}
	}
	if delete(out, protocol.EnterpriseSchema); len(ext) > 0 {
		out[protocol.EnterpriseSchema] = ext
	}
	return out
}

// sameManager looks at the identifier alone: applications add a name to it.
func sameManager(a, b any) bool {
	x, _ := a.(protocol.Object)
	y, _ := b.(protocol.Object)
	return x["value"] != nil && x["value"] == y["value"]
}

func merged(has, want any) protocol.Object {
	out := protocol.Object{}
	for _, from := range []any{has, want} {
		o, _ := from.(protocol.Object)
		for k, v := range o {
			out[k] = v
		}
	}
	return out
}

// beside lays values over those that are there for the same purpose, and keeps those
// for another. Of a value that stays, what the application added to it stays.
func beside(name string, has, want any) []any {
	had, _ := has.([]any)
	wanted, _ := want.([]any)
	out := []any{}
	primary := false
	for _, w := range wanted {
		o := w.(protocol.Object)
		for _, h := range had {
			if old, ok := h.(protocol.Object); ok && same(old, o) {
				o = merged(old, o)
				break
			}
		}
		primary = primary || o["primary"] == true
		out = append(out, o)
	}
	for _, h := range had {
		old, ok := h.(protocol.Object)
		kind, _ := old["type"].(string)
		mine := kind == "" // what is for nothing in particular was ours, or is one of them
		for _, p := range purposes[name] {
			mine = mine || strings.EqualFold(kind, p)
		}
		if !ok || mine {
			continue
		}
		if primary && old["primary"] == true {
			old = merged(old, protocol.Object{"primary": false})
		}
		out = append(out, old)
	}
	return out
}

func same(a, b protocol.Object) bool {
	x, _ := a["type"].(string)
	y, _ := b["type"].(string)
	return strings.EqualFold(x, y) && (a["value"] == b["value"] || b["value"] == nil)
}

// operations are what makes one of two users the other, one for each attribute.
func operations(has, want protocol.Object) []any {
	var ops []any
	step := func(path string, h, w any) {
		switch {
		case equal(h, w):
		case w == nil:
			ops = append(ops, protocol.Object{"op": "remove", "path": path})
		case h == nil:
			ops = append(ops, protocol.Object{"op": "add", "path": path, "value": w})
		default:
			ops = append(ops, protocol.Object{"op": "replace", "path": path, "value": w})
		}
	}
	for _, name := range ours {
		step(name, has[name], want[name])
	}
	h, _ := has[protocol.EnterpriseSchema].(protocol.Object)
	w, _ := want[protocol.EnterpriseSchema].(protocol.Object)
	for _, name := range extended {
		step(protocol.EnterpriseSchema+":"+name, h[name], w[name])
	}
	return ops
}

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

// mine is what of a user that an application has is ours.
func mine(has protocol.Object) protocol.Object {
	out := protocol.Object{}
	for _, name := range ours {
		v := has[name]
		if list, ok := v.([]any); ok && purposes[name] != nil {
			kept := []any{}
			for _, e := range list {
				o, _ := e.(protocol.Object)
				kind, _ := o["type"].(string)
				for _, p := range purposes[name] {
					if strings.EqualFold(kind, p) {
						kept = append(kept, e)
					}
				}
			}
			v = kept
		}
		if v != nil {
			out[name] = v
		}
	}
	ext, _ := has[protocol.EnterpriseSchema].(protocol.Object)
	if v := ext["department"]; v != nil {
		out["department"] = v
	}
	if m, ok := ext["manager"].(protocol.Object); ok {
		out["manager"] = m["value"]
	}
	return out
}

// digest of something that JSON can say; the same thing always has the same.
func digest(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return nil // nothing of ours is what JSON cannot say
	}
	sum := sha256.Sum256(b)
	return sum[:]
}
