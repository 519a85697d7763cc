// Package entra reads the people and groups of a Microsoft Entra ID tenant through
// Microsoft Graph and hands them to the mirror as records, under Graph's own names
// of properties.
//
// A whole example:
//
//	backend:
//	  entra:
//	    tenant: contoso.onmicrosoft.com
//	    client_id: 11111111-2222-3333-4444-555555555555
//	    client_secret: ${CONTOSO_SECRET}
//	    people: groups
//	    groups: {include: "^App-"}
//
// turns
//
//	{"id": "87d349ed-44d7-43e1-9a83-5f2406dee5bd", "userPrincipalName": "adele@contoso.com",
//	 "givenName": "Adele", "accountEnabled": true, "businessPhones": ["+32 2 555 01 01"]}
//
// into a record with that id as ID and Ref, named by its userPrincipalName, with the
// attributes accountEnabled, businessPhones, givenName and userPrincipalName; manager
// is the id of another. Parts of a property have its name before theirs, as in
// onPremisesExtensionAttributes.extensionAttribute1. Only people in a group that is
// called App-something, or in a group in one, are synchronized; with no group
// selected nobody is, unless people is all.
//
// Read for this were, of learn.microsoft.com/graph: delta-query-overview,
// delta-query-users, delta-query-groups, api/user-delta, api/group-delta,
// api/user-list, api/group-list-members, throttling and deployments; and
// entra/identity-platform/certificate-credentials.
//
// A full reading follows users/delta and groups/delta to their ends and then asks for
// the list of all ids, so that nobody whom a delta left out is taken for gone. A
// reading of changes goes on from there, reads again in whole what was named, and now
// and then asks for all ids too. What a delta names as removed is gone, by either
// reason; what it is silent about is never.
package entra

import (
	"context"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// Kind is Microsoft Entra ID as a kind of directory.
var Kind = kindWith(rest.Clock{})

func kindWith(clock rest.Clock) source.Kind {
	return source.Kind{
		Name:    "entra",
		Title:   "Microsoft Entra ID",
		Options: options,
		Open: func(v setting.Values, env source.Env) (source.Source, error) {
			return open(v, env, clock)
		},
		Refer: strings.ToLower,
		// Read hands on everybody: a delta does not say who came into scope by a group.
		MembersOnly: func(v setting.Values) bool { return v.String("people") != peopleAll },
	}
}

// tenant is one opened connection's directory.
type tenant struct {
	set    *settings
	api    *rest.Client
	tokens *rest.Tokens
	clock  rest.Clock
}

func open(v setting.Values, env source.Env, clock rest.Clock) (source.Source, error) {
	set, err := decode(v, env)
	if err != nil {
		return nil, err
	}
	t := &tenant{set: set, clock: clock}
	t.tokens = &rest.Tokens{Fetch: t.fetchToken, Now: clock.Now}
	t.api, err = rest.New(rest.Config{
		Name: "entra", Root: set.graphURL, Guard: env.Guard, Auth: signer{t.tokens}, CAFile: set.caFile, Clock: clock,
		// Readings give way to what people do meanwhile (graph/throttling).
		Header:  map[string][]string{"X-Ms-Throttle-Priority": {"Low"}},
		Secrets: []string{set.secret},
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Close lets go of idle connections.
func (t *tenant) Close() error {
	t.api.Close()
	return nil
}

// Preset is the same for all tenants.
func (t *tenant) Preset(context.Context) (source.Preset, error) {
	filter := "all but guests"
	if t.set.guests {
		filter = "all, guests too"
	}
	return source.Preset{Vendor: "Microsoft Entra ID", Anchor: "id", Filter: filter, Mapping: mapping()}, nil
}

// mapping is the starting mapping. A guest's userPrincipalName is a made-up one
// (ada_example.com#EXT#@tenant.onmicrosoft.com), so that the mail goes before it.
func mapping() map[string]setting.Rule {
	return map[string]setting.Rule{
		"username":     {Expr: `userPrincipalName contains "#EXT#" ? firstOf(mail, otherMails, userPrincipalName) : first(userPrincipalName)`},
		"email":        {Expr: `firstOf(mail, otherMails, userPrincipalName contains "#EXT#" ? "" : first(userPrincipalName))`},
		"first_name":   {Attribute: "givenName"},
		"last_name":    {Attribute: "surname"},
		"display_name": {Attribute: "displayName"},
		"mobile_phone": {Attribute: "mobilePhone"},
		"phone":        {Attribute: "businessPhones"},
		"language":     {Attribute: "preferredLanguage"},
		"title":        {Attribute: "jobTitle"},
		"department":   {Attribute: "department"},
		"location":     {Attribute: "officeLocation"},
		"manager":      {Attribute: "manager"},
		"status":       {Attribute: "accountEnabled"},
	}
}
