package okta

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

// deprovisioned is the status of people who were deactivated.
const deprovisioned = "DEPROVISIONED"

// entry is a user or a group as it comes. What is not named here is in fields.
type entry struct {
	id      string
	status  string
	profile map[string]any
	fields  map[string]any
}

// parse reads an entry. One without ID is an error: it may be anybody.
func parse(raw json.RawMessage) (*entry, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	e := &entry{}
	if d.Decode(&e.fields) != nil || e.fields == nil {
		return nil, fault.New(fault.Unavailable, "okta: an entry of a list is none")
	}
	e.id, _ = e.fields["id"].(string)
	if e.id == "" || len(e.id) > 512 {
		return nil, fault.New(fault.Unavailable, "okta: an entry of a list has no ID")
	}
	e.status, _ = e.fields["status"].(string)
	e.profile, _ = e.fields["profile"].(map[string]any)
	return e, nil
}

// parseAll reads the entries of a page.
func parseAll(page []json.RawMessage) ([]*entry, error) {
	out := make([]*entry, len(page))
	for i, raw := range page {
		var err error
		if out[i], err = parse(raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// own are the fields of an entry itself that are attributes; links and what is
// embedded are not.
func own(name string) bool {
	return name != "id" && name != "profile" && name != "credentials" && !strings.HasPrefix(name, "_")
}

// put adds the values under a name, if there are any.
func put(out []directory.Attribute, name string, v any) []directory.Attribute {
	var values []string
	add := func(v any) {
		switch v := v.(type) {
		case string:
			values = append(values, v)
		case bool:
			values = append(values, strconv.FormatBool(v))
		case json.Number:
			values = append(values, v.String())
		}
	}
	if list, ok := v.([]any); ok {
		for _, one := range list {
			add(one)
		}
	} else {
		add(v)
	}
	if len(values) == 0 {
		return out
	}
	return append(out, directory.Attribute{Name: name, Values: values})
}

// attributes are an entry's, by name; first stands before all others. wanted nil takes
// all but those that may hold a secret.
func (e *entry) attributes(first string, wanted func(string) bool) []directory.Attribute {
	var out []directory.Attribute
	add := func(name string, v any) {
		if wanted == nil && !directory.Secret(name) || wanted != nil && wanted(name) {
			out = put(out, name, v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.profile)) {
		shown := name
		for key := range e.fields {
			if strings.EqualFold(key, name) && own(key) {
				shown = "profile." + name
			}
		}
		add(shown, e.profile[name])
	}
	for _, name := range slices.Sorted(maps.Keys(e.fields)) {
		if !own(name) {
			continue
		}
		if sub, ok := e.fields[name].(map[string]any); ok {
			for _, part := range slices.Sorted(maps.Keys(sub)) {
				add(name+"."+part, sub[part])
			}
			continue
		}
		add(name, e.fields[name])
	}
	slices.SortStableFunc(out, func(a, b directory.Attribute) int {
		return strings.Compare(strconv.FormatBool(a.Name != first), strconv.FormatBool(b.Name != first))
	})
	return out
}

func (e *entry) text(name string) string {
	s, _ := e.profile[name].(string)
	return s
}

// ref is how a person is referred to by managerId, and by us in members. The ID is
// for connections whose managers are not read by login.
func (s *settings) ref(e *entry) (string, error) {
	if s.manager != managerLogin && s.manager != managerNumber {
		return e.id, nil
	}
	if login := e.text("login"); login != "" {
		return login, nil
	}
	return "", fault.New(fault.Denied, "okta: the user %q came without a login", e.id).
		WithHint("may the role of the app or administrator see profiles?")
}

// user is a person's record.
func (s *settings) user(e *entry, wanted func(string) bool) (*directory.Record, error) {
	ref, err := s.ref(e)
	if err != nil {
		return nil, err
	}
	r := &directory.Record{Kind: directory.User, ID: directory.ExternalID(e.id), Name: e.text("login"), Ref: ref, Attributes: e.attributes("login", wanted)}
	if r.Name == "" {
		r.Name = e.id
	}
	return r, nil
}

// group is a group's record. A group without a name came from a role that sees little.
func group(e *entry, refs []string) *directory.Record {
	return &directory.Record{Kind: directory.Group, ID: directory.ExternalID(e.id), Name: e.text("name"), Ref: e.id,
		Attributes: e.attributes("name", nil), Members: refs}
}

// wanted is what a reading asks for of people.
func wanted(attributes []string) func(string) bool {
	if attributes == nil {
		return nil
	}
	asked := map[string]bool{}
	for _, name := range attributes {
		asked[strings.ToLower(name)] = true
	}
	return func(name string) bool { return asked[strings.ToLower(name)] }
}

// layout is how Okta writes times, in filters too.
const layout = "2006-01-02T15:04:05.000Z"

func stamp(t time.Time) string { return t.UTC().Format(layout) }
