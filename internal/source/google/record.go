package google

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
)

// known are the fields of a user (reference of users), but for those that nobody can
// read and etag, which changes by itself.
var known = strings.Fields(`addresses agreedToTerms aliases archived changePasswordAtNextLogin creationTime customSchemas
	customerId deletionTime emails externalIds gender id ims includeInGlobalAddressList ipWhitelisted isAdmin
	isDelegatedAdmin isEnforcedIn2Sv isEnrolledIn2Sv isMailboxSetup keywords languages lastLoginTime locations name
	nonEditableAliases notes orgUnitPath organizations phones posixAccounts primaryEmail recoveryEmail recoveryPhone
	relations sshPublicKeys suspended suspensionReason thumbnailPhotoUrl websites`)

// always are the fields that are read whatever is mapped.
var always = []string{"archived", "id", "orgUnitPath", "primaryEmail", "suspended", "suspensionReason"}

const managerName = "manager"

// wish is what is read of a user.
type wish struct {
	all     bool            // whatever there is
	asked   map[string]bool // names of attributes in small letters; not with all
	manager bool
	tops    []string // fields, sorted
	unknown []string // wanted, and users have none such
}

// wishFor makes a wish of the attributes wanted; nil asks for all that may be shown.
func wishFor(attributes []string) wish {
	w := wish{all: attributes == nil, asked: map[string]bool{}, manager: attributes == nil, tops: slices.Clone(always)}
	if w.all {
		w.tops = append(w.tops, known...)
	}
	for _, a := range attributes {
		top, _, _ := strings.Cut(a, ".")
		if strings.EqualFold(a, managerName) {
			w.manager = true
			continue
		}
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, top) })
		if i < 0 {
			w.unknown = append(w.unknown, a)
			continue
		}
		w.asked[strings.ToLower(a)] = true
		w.tops = append(w.tops, known[i])
	}
	if w.manager {
		// Who is called manager may be called by any address of theirs.
		w.tops = append(w.tops, "aliases", "nonEditableAliases", "relations")
	}
	for _, name := range always {
		w.asked[strings.ToLower(name)] = true
	}
	slices.Sort(w.tops)
	w.tops = slices.Compact(w.tops)
	return w
}

// fields is the list that keeps answers short (guides/performance).
func (w wish) fields() string { return strings.Join(w.tops, ",") }

// projection is full where custom fields are wanted: basic leaves them out.
func (w wish) projection() string {
	if slices.Contains(w.tops, "customSchemas") {
		return "full"
	}
	return "basic"
}

func (w wish) wants(name string) bool {
	if w.all {
		return !directory.Secret(name)
	}
	return w.asked[strings.ToLower(name)]
}

// user is a person as they come.
type user struct {
	id, email, unit string
	aliases         []string
	manager         string // an address
	fields          map[string]any
}

// parseUser reads an entry. One without ID or address is an error: it may be anybody.
func parseUser(raw json.RawMessage) (*user, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	u := &user{}
	if d.Decode(&u.fields) != nil || u.fields == nil {
		return nil, fault.New(fault.Unavailable, "google: an entry of the list of users is none")
	}
	u.id, u.email, u.unit = text(u.fields["id"]), text(u.fields["primaryEmail"]), text(u.fields["orgUnitPath"])
	if u.id == "" || len(u.id) > 512 || u.email == "" {
		return nil, fault.New(fault.Unavailable, "google: an entry of the list of users has no ID or no primary address")
	}
	for _, name := range []string{"aliases", "nonEditableAliases"} {
		for _, a := range list(u.fields[name]) {
			u.aliases = append(u.aliases, text(a))
		}
	}
	for _, r := range list(u.fields["relations"]) {
		if m, _ := r.(map[string]any); u.manager == "" && strings.EqualFold(text(m["type"]), managerName) {
			u.manager = text(m["value"])
		}
	}
	return u, nil
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// record is a person's record; manager is what is said of them, "" for none.
func (u *user) record(w wish, manager string) *directory.Record {
	r := &directory.Record{Kind: directory.User, ID: directory.ExternalID(u.id), Name: u.email, Ref: u.id}
	f := flat{values: map[string][]string{}}
	for name, v := range u.fields {
		if name == "kind" || name == "etag" {
			continue
		}
		f.put(name, v)
	}
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if w.wants(name) {
			r.Attributes = append(r.Attributes, directory.Attribute{Name: name, Values: f.values[name]})
		}
	}
	if w.manager && manager != "" {
		r.Attributes = append(r.Attributes, directory.Attribute{Name: managerName, Values: []string{manager}})
	}
	return r
}

// flat gathers values by names that an administrator would write.
type flat struct{ values map[string][]string }

func (f flat) add(name, value string) { f.values[name] = append(f.values[name], value) }

// mostDepth is how deep an object is looked into: customSchemas.Schema.field.label is the deepest there is.
const mostDepth = 5

// mains are the fields of the entries of a list that are what the entry is about.
var mains = map[string]string{"emails": "address", "ims": "im", "languages": "languageCode"}

func (f flat) put(name string, v any) { f.putAt(name, v, 0) }

func (f flat) putAt(name string, v any, depth int) {
	if depth > mostDepth {
		return
	}
	switch v := v.(type) {
	case string:
		f.add(name, v)
	case bool:
		f.add(name, strconv.FormatBool(v))
	case json.Number:
		f.add(name, v.String())
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			f.putAt(name+"."+key, v[key], depth+1)
		}
	case []any:
		f.putList(name, v, depth)
	}
}

// putList adds the entries of a list: each value under the list's name, under its type
// as in phones.work, and the primary one's under primary. Primary is the entry that says
// so, and without any such the first. What else an entry says has its name behind:
// organizations.work.title.
func (f flat) putList(name string, entries []any, depth int) {
	primary := -1
	for i, entry := range entries {
		if m, ok := entry.(map[string]any); ok && (primary < 0 || m["primary"] == true) {
			if primary = i; m["primary"] == true {
				break
			}
		}
	}
	main := mains[name]
	if main == "" {
		main = "value"
	}
	for i, entry := range entries {
		m, ok := entry.(map[string]any)
		if !ok {
			f.putAt(name, entry, depth+1)
			continue
		}
		if v, ok := m[main]; ok {
			f.putAt(name, v, depth+1)
		}
		labels := []string{}
		if l := label(m); l != "" {
			labels = append(labels, l)
		}
		if i == primary && !slices.Contains(labels, "primary") {
			labels = append(labels, "primary")
		}
		for _, l := range labels {
			for _, key := range slices.Sorted(maps.Keys(m)) {
				switch key {
				case main:
					f.putAt(name+"."+l, m[key], depth+1)
				case "type", "customType", "primary", "preference":
				default:
					f.putAt(name+"."+l+"."+key, m[key], depth+1)
				}
			}
		}
	}
}

// label is the type of a list's entry: one of Google's, or the account's own. Languages
// have a preference instead.
func label(m map[string]any) string {
	t := text(m["type"])
	if custom := text(m["customType"]); custom != "" && (t == "" || strings.EqualFold(t, "custom")) {
		return custom
	}
	if t == "" {
		return text(m["preference"])
	}
	return t
}

// group as it comes (reference of groups).
type group struct {
	ID          string   `json:"id"`
	Email       string   `json:"email"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Aliases     []string `json:"aliases"`
	// Count of direct members that are people, as text.
	Count string `json:"directMembersCount"`

	members  []string // refs, each text once
	everyone bool     // everybody in the account is one
}

// called reports whether a group is the one that is called so.
func (g *group) called(name string) bool {
	return g.Name == name || strings.EqualFold(g.Email, strings.TrimSpace(name))
}

// record is a group's.
func (g *group) record() *directory.Record {
	r := &directory.Record{Kind: directory.Group, ID: directory.ExternalID(g.ID), Name: g.Name, Ref: g.ID, Members: g.members}
	if r.Name == "" {
		r.Name = g.Email
	}
	for _, a := range []directory.Attribute{{Name: "email", Values: []string{g.Email}}, {Name: "name", Values: []string{g.Name}},
		{Name: "description", Values: []string{g.Description}}, {Name: "aliases", Values: g.Aliases}} {
		if len(a.Values) > 0 && a.Values[0] != "" {
			r.Attributes = append(r.Attributes, a)
		}
	}
	return r
}
