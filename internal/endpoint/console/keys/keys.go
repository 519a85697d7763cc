// Package keys is the part of the console about API keys: which there are, making
// one, and ending one.
package keys

import (
	"embed"
	"net/url"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/store/admins"
)

//go:embed *.html
var templates embed.FS

type section struct{ admins *admins.Admins }

// Section is this part of the console; the administrators' tables say whether a
// password was given lately.
func Section(a *admins.Admins) shell.Section {
	s := section{a}
	return shell.Section{Name: "apikeys", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /apikeys", Handle: list},
		{Pattern: "GET /apikeys/new", Need: shell.Changer, Handle: s.begin},
		{Pattern: "POST /apikeys/new", Need: shell.Changer, Handle: s.create},
		{Pattern: "POST /apikeys/{id}/end", Need: shell.Changer, Handle: end},
	}}
}

// key is one with how it stands.
type key struct {
	client.Key
	State string // "active", "expired" or "revoked"
}

type listPage struct {
	Keys    []key
	Next    *string
	Trouble *shell.Trouble
}

func list(q *shell.Ask) error { return listed(q, nil) }

func listed(q *shell.Ask, wrong error) error {
	values := q.Values("cursor")
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.Key]](q.R.Context(), q.API, "/apikeys", values)
	if err != nil {
		return err
	}
	p := listPage{Next: found.NextCursor, Trouble: q.Problem(wrong)}
	for _, k := range found.Items {
		p.Keys = append(p.Keys, key{k, stateOf(k, q.Now())})
	}
	if wrong != nil {
		return q.Refused("list", "API keys", p)
	}
	return q.Page("list", "API keys", p)
}

func stateOf(k client.Key, now time.Time) string {
	switch {
	case k.RevokedAt != nil:
		return "revoked"
	case k.ExpiresAt != nil && !k.ExpiresAt.After(now):
		return "expired"
	}
	return "active"
}

// scope is what a key reaches, in words.
type scope struct{ Value, Text string }

type newPage struct {
	Name    string
	Scope   string
	Scopes  []scope
	Days    string
	Trouble *shell.Trouble
}

// scopes are those that somebody may give: none reaches further than they do.
func scopes(q *shell.Ask) ([]scope, error) {
	var out []scope
	if q.Me.Operator() {
		out = append(out, scope{"operator", "everything, of all organizations"}, scope{"read-only", "read everything, of all organizations"})
	}
	list, err := client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", url.Values{"limit": {"200"}})
	if err != nil {
		return nil, err
	}
	for _, o := range list.Items {
		name := o.Name
		if name == "" {
			name = o.ID
		}
		out = append(out, scope{"organization:" + o.ID, "everything of " + name}, scope{"organization:" + o.ID + ":read-only", "read everything of " + name})
	}
	return out, nil
}

func (s section) begin(q *shell.Ask) error {
	in, err := signed.Fresh(q, s.admins, "/apikeys/new")
	if err != nil || in == nil {
		return err
	}
	p := newPage{Days: "365"}
	if p.Scopes, err = scopes(q); err != nil {
		return err
	}
	if len(p.Scopes) > 0 {
		p.Scope = p.Scopes[len(p.Scopes)-1].Value
	}
	return q.Page("new", "New API key", p)
}

// days are the lives to choose from.
var days = map[string]time.Duration{"7": 7 * 24 * time.Hour, "30": 30 * 24 * time.Hour, "90": 90 * 24 * time.Hour, "365": 365 * 24 * time.Hour}

func (s section) create(q *shell.Ask) error {
	in, err := signed.Fresh(q, s.admins, "/apikeys/new")
	if err != nil || in == nil {
		return err
	}
	p := newPage{Name: strings.TrimSpace(q.R.PostFormValue("name")), Scope: q.R.PostFormValue("scope"), Days: q.R.PostFormValue("days")}
	wanted := client.KeyInput{Scope: p.Scope, Name: p.Name}
	if life, ok := days[p.Days]; ok {
		ends := q.Now().Add(life).UTC().Truncate(time.Second)
		wanted.ExpiresAt = &ends
	}
	made, err := q.API.CreateKey(q.R.Context(), wanted)
	if err != nil {
		p.Trouble = q.Problem(err)
		if p.Scopes, err = scopes(q); err != nil {
			return err
		}
		return q.Refused("new", "New API key", p)
	}
	return q.Page("made", "API key", made)
}

func end(q *shell.Ask) error {
	if _, err := q.API.RevokeKey(q.R.Context(), q.R.PathValue("id")); err != nil {
		return listed(q, err)
	}
	q.Say("/apikeys", "The key is good for nothing any more.")
	return nil
}
