// Package google reads the people and groups of a Google Workspace account through
// the Directory API and hands them to the mirror as records, under Google's own names
// of fields.
//
// A whole example:
//
//	backend:
//	  google:
//	    key_file: rollcall-123456.json
//	    subject: directory-reader@example.com
//	    people: groups
//	    groups: {include: "^app-"}
//
// turns
//
//	{"id": "112233", "primaryEmail": "liz@example.com", "suspended": false,
//	 "name": {"givenName": "Liz", "familyName": "Smith"},
//	 "phones": [{"type": "mobile", "value": "+32 470 12 34 56"}],
//	 "relations": [{"type": "manager", "value": "boss@example.com"}]}
//
// into a record with that id as ID and Ref, named by its primaryEmail, with the
// attributes name.familyName, name.givenName, phones, phones.mobile, primaryEmail,
// relations.manager and suspended; manager is the id of whom boss@example.com leads to,
// by a primary address or an alias. Only people in a group that is called app-something,
// or in a group in one, are read; with people: all everybody is.
//
// What the API does is described, of developers.google.com/workspace/admin/directory, in the reference
// of users (list, get), groups.list, members.list and orgunits.list, and the guides
// limits, performance (fields) and delegation; and of developers.google.com/identity
// protocols/oauth2/service-account. Parameters, page sizes and shapes were held against
// Google's discovery document (see rig/described), reasons of 403 against the page
// directory/v1/limits. The words with which tokens are refused are from notes alone, and
// all of it is still to be held against a real account.
//
// Google has no call for changes, so that every reading is a full one. Its ETags are of
// one answer: to know that 200 pages are unchanged, 200 pages have to be asked for, and
// a page's ETag changes when somebody signs in. They are not used.
package google

import (
	"context"
	"strings"

	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// Kind is Google Workspace as a kind of directory.
var Kind = kindWith(rest.Clock{})

func kindWith(clock rest.Clock) source.Kind {
	return source.Kind{
		Name:    "google",
		Title:   "Google Workspace",
		Options: options,
		Open: func(v setting.Values, env source.Env) (source.Source, error) {
			return open(v, env, clock)
		},
		Refer: strings.ToLower,
	}
}

// workspace is one opened connection's directory.
type workspace struct {
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
	w := &workspace{set: set, clock: clock.Whole()}
	w.tokens = &rest.Tokens{Fetch: w.fetchToken, Now: w.clock.Now}
	w.api, err = rest.New(rest.Config{
		Name: "google", Root: set.url, Guard: env.Guard, Auth: w.tokens, CAFile: set.caFile, Clock: clock,
		Explain: refusal, Retry: retry, Secrets: []string{set.key.text},
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Close lets go of idle connections.
func (w *workspace) Close() error {
	w.api.Close()
	return nil
}

// vendor is what the directory is called.
const vendor = "Google Workspace"

// Preset is the same for all accounts.
func (w *workspace) Preset(context.Context) (source.Preset, error) {
	return source.Preset{Vendor: vendor, Anchor: "id", Filter: w.set.who(), Mapping: mapping()}, nil
}

// mapping is the starting mapping.
func mapping() map[string]setting.Rule {
	return map[string]setting.Rule{
		"username":     {Attribute: "primaryEmail"},
		"email":        {Attribute: "primaryEmail"},
		"first_name":   {Attribute: "name.givenName"},
		"last_name":    {Attribute: "name.familyName"},
		"display_name": {Expr: `firstOf(attr("name.displayName"), attr("name.fullName"))`},
		"mobile_phone": {Expr: `firstOf(attr("phones.mobile"), attr("phones.work_mobile"))`},
		"phone":        {Expr: `firstOf(attr("phones.work"), attr("phones.primary"))`},
		"language":     {Attribute: "languages.preferred"},
		"title":        {Attribute: "organizations.primary.title"},
		"department":   {Attribute: "organizations.primary.department"},
		"location":     {Expr: `firstOf(attr("organizations.primary.location"), attr("locations.primary.buildingId"))`},
		"manager":      {Attribute: "manager"},
		"status":       {Expr: `first(suspended) == "true" or first(archived) == "true" ? "disabled" : "active"`},
	}
}
