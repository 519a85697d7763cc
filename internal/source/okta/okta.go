// Package okta reads people and groups from an Okta organization over its management
// API and hands them to the mirror as records under Okta's own attribute names.
//
// A whole example:
//
//	backend:
//	  okta:
//	    url: https://sunfix.okta.com
//	    client_id: 0oa1gjh63g214q0Hq0g4
//	    key_file: sunfix-okta.pem
//	    key_id: K2026
//	    people: groups
//	    groups: {names: [Staff], include: "^Proxy "}
//
// turns
//
//	{"id": "00u1ero7vZFVEIYLWPBN", "status": "ACTIVE", "lastUpdated": "2026-11-20T10:00:00.000Z",
//	 "profile": {"login": "anna@sunfix.com", "firstName": "Anna", "managerId": "bo@sunfix.com"}}
//
// into
//
//	directory.Record{
//		Kind: directory.User,
//		ID:   "00u1ero7vZFVEIYLWPBN",
//		Name: "anna@sunfix.com",
//		Ref:  "anna@sunfix.com",
//		Attributes: {{"login", {"anna@sunfix.com"}}, {"firstName", {"Anna"}}, {"managerId", {"bo@sunfix.com"}}, {"status", {"ACTIVE"}}, …},
//	}
//
// The attributes are those of the profile, the organization's own ones among them, and
// beside them those of the user itself (status, created, lastUpdated, type.id and so
// on); where both have one name, the profile's is called profile.name. A person's Ref
// is what managerId refers to by the setting manager, and members are spelled alike. A
// group's first attribute is its name.
//
// A full reading goes through the pages of all people and, since a plain list leaves
// them out, of the deprovisioned ones; or through the members of the groups selected;
// or takes those whom an application is assigned to. It is complete when every page
// came. A reading of changes asks for what was updated since the last one, with an
// overlap; who was deleted leaves no trace in Okta, so now and then, and whenever
// memberships decide who is read, it names everybody there is as well. Whatever does
// not fit leads to a full reading in the same call, with a note.
//
// Facts about the API are from Okta's descriptions: management-minimal.yaml 2026.06.3
// of okta/okta-management-openapi-spec, and the pages rate-limits, rl2-concurrency,
// implement-oauth-for-okta-serviceapp, dpop and create-an-api-token of its guides.
package okta

import (
	"context"
	"maps"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// Kind is the Okta source.
var Kind = kindWith(rest.Clock{})

// kindWith is the kind with a clock of its own, for tests.
func kindWith(clock rest.Clock) source.Kind {
	return source.Kind{
		Name:    "okta",
		Title:   "Okta",
		Options: options,
		Open: func(v setting.Values, env source.Env) (source.Source, error) {
			set, err := decode(v, env)
			if err != nil {
				return nil, err
			}
			return open(set, clock)
		},
		Refer: refer,
	}
}

// org is one opened connection's directory.
type org struct {
	set *settings
	api *api
}

func open(set *settings, clock rest.Clock) (source.Source, error) {
	a, err := newAPI(set, clock)
	if err != nil {
		return nil, err
	}
	return &org{set: set, api: a}, nil
}

// Close lets go of idle connections.
func (o *org) Close() error {
	o.api.client.Close()
	return nil
}

// disuse is after how long without use Okta forgets an API token (create-an-api-token).
const disuse = 30 * 24 * time.Hour

// Expires tells when an API token lapses that is used now. A client does not.
func (o *org) Expires() []source.Expiry {
	if o.set.token == "" {
		return nil
	}
	return []source.Expiry{{Name: "API token", At: o.api.clock.Now().Add(disuse).Truncate(24 * time.Hour), Idle: true}}
}

var _ source.Expirer = (*org)(nil)

// Preset is the same for all organizations.
func (o *org) Preset(context.Context) (source.Preset, error) { return o.preset(), nil }

func (o *org) preset() source.Preset {
	mapping := maps.Clone(starting)
	switch o.set.manager {
	case managerNone:
		delete(mapping, "manager")
	case managerNumber:
		mapping["manager"] = setting.Rule{Attribute: managerLoginAttribute}
	}
	return source.Preset{Vendor: "Okta", Anchor: "id", Filter: o.set.who(), Mapping: mapping}
}

// starting is the mapping that suits Okta's base profile. Somebody whose status is
// not known to us is taken as active: a word that Okta adds locks nobody out.
var starting = map[string]setting.Rule{
	"username":     {Attribute: "login"},
	"email":        {Attribute: "email"},
	"first_name":   {Attribute: "firstName"},
	"last_name":    {Attribute: "lastName"},
	"display_name": {Attribute: "displayName"},
	"mobile_phone": {Attribute: "mobilePhone"},
	"phone":        {Attribute: "primaryPhone"},
	"language":     {Expr: "firstOf(preferredLanguage, locale)"},
	"title":        {Attribute: "title"},
	"department":   {Attribute: "department"},
	"location":     {Attribute: "city"},
	"manager":      {Attribute: "managerId"},
	"status":       {Expr: `mapValue(status, {"STAGED": "disabled", "SUSPENDED": "disabled", "DEPROVISIONED": "disabled"}, "active")`},
}

// refer makes two spellings of one ref equal: logins compare without case, Okta's own
// IDs do not.
func refer(ref string) string {
	ref = strings.TrimSpace(ref)
	if isID(ref) {
		return ref
	}
	return account.Fold(ref)
}

// isID is true of what looks like the ID of a user: 00u and 17 more letters and digits.
func isID(s string) bool {
	if len(s) != 20 || !strings.HasPrefix(s, "00u") {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
