package entra

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
)

// known are the properties of a user that lists and deltas give, as Graph spells
// them (its CSDL of 2026-08-20). Not among them are those that are given of one user
// at a time or want permissions of their own, and what holds secrets.
var known = strings.Fields(`accountEnabled ageGroup assignedLicenses assignedPlans businessPhones city companyName
	consentProvidedForMinor country createdDateTime creationType department displayName employeeHireDate employeeId
	employeeLeaveDateTime employeeOrgData employeeType externalUserState externalUserStateChangeDateTime faxNumber givenName
	identities imAddresses isResourceAccount jobTitle lastPasswordChangeDateTime legalAgeGroupClassification
	licenseAssignmentStates mail mailNickname mobilePhone officeLocation onPremisesDistinguishedName onPremisesDomainName
	onPremisesExtensionAttributes onPremisesImmutableId onPremisesLastSyncDateTime onPremisesProvisioningErrors
	onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled onPremisesUserPrincipalName otherMails
	passwordPolicies postalCode preferredDataLocation preferredLanguage provisionedPlans proxyAddresses securityIdentifier
	serviceProvisioningErrors showInAddressList signInSessionsValidFromDateTime state streetAddress surname usageLocation
	userPrincipalName userType`)

// always are the properties of a user that are read whatever is mapped.
var always = []string{"accountEnabled", "displayName", "userPrincipalName", "userType"}

const managerName = "manager"

// wish is what is read of a user.
type wish struct {
	properties []string // sorted
	manager    bool
	unknown    []string // wanted, and no list has them
}

// wishFor makes $select of the attributes wanted; nil asks for all that lists have.
func (s *settings) wishFor(attributes []string) wish {
	w := wish{}
	if attributes == nil {
		w.properties = slices.DeleteFunc(slices.Clone(known), directory.Secret)
		w.manager = s.manager
	}
	w.properties = append(w.properties, always...)
	for _, a := range attributes {
		name, _, _ := strings.Cut(a, ".")
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
		switch {
		case strings.EqualFold(name, managerName):
			w.manager = s.manager
		case strings.EqualFold(name, "id"):
		case directory.Secret(a):
		case i >= 0:
			w.properties = append(w.properties, known[i])
		case extension(name):
			w.properties = append(w.properties, name)
		default:
			w.unknown = append(w.unknown, a)
		}
	}
	slices.Sort(w.properties)
	w.properties = slices.Compact(w.properties)
	return w
}

// extension reports the name of a directory extension (extension_<appid>_<name>) or
// of a schema extension (ext<8 characters>_<name>, or domain_<name>).
func extension(name string) bool {
	at := strings.IndexByte(name, '_')
	return at > 0 && at < len(name)-1 && strings.IndexFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// selectUser is $select of a list.
func (w wish) selectUser() string { return "id," + strings.Join(w.properties, ",") }

// item is an entry of any page.
type item struct {
	id         string
	kind       string // "#microsoft.graph.user"; often ""
	removed    bool   // by either reason; "changed" only means that it may come back
	properties map[string]json.RawMessage
	members    []item // members@delta; of each, only id, kind and removed
	managers   []item // manager@delta
	// manager is the id of an expanded manager; "" for none, or where none was asked for.
	manager string
}

// UnmarshalJSON reads an entry. One without an id is no entry, and its page no answer.
func (it *item) UnmarshalJSON(b []byte) error {
	*it = item{}
	if err := json.Unmarshal(b, &it.properties); err != nil {
		return err
	}
	if it.properties == nil {
		return fmt.Errorf("an entry is null")
	}
	for name, into := range map[string]any{"id": &it.id, "@odata.type": &it.kind, "members@delta": &it.members, "manager@delta": &it.managers} {
		raw, ok := it.properties[name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		delete(it.properties, name)
	}
	if it.id == "" {
		return fmt.Errorf("an entry has no id")
	}
	if raw, ok := it.properties["@removed"]; ok && string(raw) != "null" {
		it.removed = true
	}
	if raw, ok := it.properties[managerName]; ok && string(raw) != "null" {
		var m item
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("manager: %w", err)
		}
		it.manager = m.id
	}
	delete(it.properties, managerName)
	maps.DeleteFunc(it.properties, func(name string, _ json.RawMessage) bool { return strings.Contains(name, "@") })
	return nil
}

// over lays what a later entry says over an earlier one of the same id: what it is
// silent about stays (absent is not null).
func (it *item) over(later item) {
	if later.removed || it.removed {
		members := it.members
		*it = later
		if !later.removed {
			it.members = append(members, later.members...)
		}
		return
	}
	maps.Copy(it.properties, later.properties)
	it.members = append(it.members, later.members...)
	it.managers = append(it.managers, later.managers...)
	if later.manager != "" {
		it.manager = later.manager
	}
}

// text gives a property that is text.
func (it *item) text(name string) string {
	var s string
	if json.Unmarshal(it.properties[name], &s) != nil {
		return ""
	}
	return s
}

// has reports whether the entry says something of a property, be it null.
func (it *item) has(name string) bool {
	_, ok := it.properties[name]
	return ok
}

// guest reports somebody of another tenant or none. Old objects have no userType.
func (it *item) guest() bool {
	switch kind := it.text("userType"); {
	case kind == "":
		return strings.Contains(it.text("userPrincipalName"), "#EXT#")
	default:
		return strings.EqualFold(kind, "Guest")
	}
}

const (
	typeUser  = "#microsoft.graph.user"
	typeGroup = "#microsoft.graph.group"
)

// counts reports a member that may be a person or a group: devices, contacts and
// service principals are left out. An entry without a type counts.
func (it *item) counts() bool {
	return it.kind == "" || strings.EqualFold(it.kind, typeUser) || strings.EqualFold(it.kind, typeGroup)
}

// lastManager is what manager@delta comes to on top of a manager.
func (it *item) lastManager(manager string) string {
	for _, m := range it.managers {
		switch {
		case !m.removed:
			manager = m.id
		case manager == m.id:
			manager = ""
		}
	}
	return manager
}

// user is the record of a person.
func (it *item) user(w wish, manager string) *directory.Record {
	r := &directory.Record{Kind: directory.User, ID: directory.ExternalID(it.id), Ref: it.id, Name: it.text("userPrincipalName")}
	if r.Name == "" {
		r.Name = it.id
	}
	for _, name := range w.properties {
		r.Attributes = flatten(r.Attributes, name, it.properties[name])
	}
	if manager != "" {
		r.Attributes = append(r.Attributes, directory.Attribute{Name: managerName, Values: []string{manager}})
	}
	if it.simple("accountEnabled") == "" {
		// Taken for enabled, somebody who was locked out would be let in.
		r.Problem = "Microsoft Graph does not say whether the account is enabled."
	}
	return r
}

// simple gives a property of any simple type as text.
func (it *item) simple(name string) string {
	a := flatten(nil, name, it.properties[name])
	if len(a) != 1 || len(a[0].Values) == 0 {
		return ""
	}
	return a[0].Values[0]
}

// group is the record of a group; its name comes first, as the engine takes it.
func (it *item) group(members []string) *directory.Record {
	r := &directory.Record{Kind: directory.Group, ID: directory.ExternalID(it.id), Ref: it.id, Name: it.text("displayName"), Members: members}
	if r.Name == "" {
		r.Name = it.id
	}
	for _, name := range groupProperties {
		r.Attributes = flatten(r.Attributes, name, it.properties[name])
	}
	if len(r.Attributes) == 0 || r.Attributes[0].Name != "displayName" {
		r.Attributes = slices.Insert(r.Attributes, 0, directory.Attribute{Name: "displayName", Values: []string{r.Name}})
	}
	return r
}

var groupProperties = []string{"displayName", "description", "mail"}

// flatten adds a property's values under its name: those of a list one by one, the
// parts of a complex value each under name.part. Null and nothing add nothing.
func flatten(out []directory.Attribute, name string, raw json.RawMessage) []directory.Attribute {
	if len(raw) == 0 {
		return out
	}
	var v any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return out
	}
	return flattenValue(out, name, v)
}

func flattenValue(out []directory.Attribute, name string, v any) []directory.Attribute {
	put := func(text string) []directory.Attribute {
		for i := range out {
			if out[i].Name == name {
				out[i].Values = append(out[i].Values, text)
				return out
			}
		}
		return append(out, directory.Attribute{Name: name, Values: []string{text}})
	}
	switch v := v.(type) {
	case string:
		return put(v)
	case bool:
		return put(fmt.Sprint(v))
	case json.Number:
		return put(v.String())
	case []any:
		for _, one := range v {
			out = flattenValue(out, name, one)
		}
	case map[string]any:
		for _, part := range slices.Sorted(maps.Keys(v)) {
			if !strings.Contains(part, "@") && !directory.Secret(part) {
				out = flattenValue(out, name+"."+part, v[part])
			}
		}
	}
	return out
}
