// Package setup is the part of the console about set-up links: making and revoking
// them and, on the other side, what whoever has one sees. That is one connection:
// its settings, checks, files, and plans that wait for somebody else.
package setup

import (
	"embed"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/setups"
)

//go:embed *.html
var templates embed.FS

// Deps is what the section works with.
type Deps struct {
	Setups    *setups.Setups
	Admins    *admins.Admins
	Kinds     []source.Kind
	PublicURL string
}

type section struct{ Deps }

// Section is this part of the console.
func Section(d Deps) shell.Section {
	s := section{d}
	s.PublicURL = strings.TrimRight(s.PublicURL, "/")
	return shell.Section{Name: "setups", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /setups", Handle: s.list},
		{Pattern: "GET /setups/new", Need: shell.Changer, Handle: s.begin},
		{Pattern: "POST /setups/new", Need: shell.Changer, Handle: s.create},
		{Pattern: "POST /setups/{id}/revoke", Need: shell.Changer, Handle: s.revoke},

		{Pattern: "GET " + setups.Path + "{token}", Need: shell.Public, Handle: s.door},
		{Pattern: "POST " + setups.Path + "{token}", Need: shell.Public, Handle: s.enter},
		{Pattern: "GET /setup", Guest: true, Handle: s.home},
		{Pattern: "POST /setup/connection/{what}", Need: shell.Changer, Guest: true, Files: true, Handle: s.act},
		{Pattern: "GET /setup/plans/{id}", Guest: true, Handle: s.plan},
	}}
}

// link is one with how it stands.
type link struct {
	*setups.Link
	State string // "new", "active", "expired" or "revoked"
}

type listPage struct {
	Links   []link
	Trouble *shell.Trouble
	More    bool
}

// shown is how many are listed: those that are good come first, then the newest.
const shown = 100

func (s section) list(q *shell.Ask) error { return s.listed(q, nil) }

func (s section) listed(q *shell.Ask, wrong error) error {
	in, err := signed.Who(q, s.Admins)
	if err != nil {
		return err
	}
	found, err := s.Setups.List(q.R.Context(), in.By, q.R.URL.Query().Get("organization"))
	if err != nil {
		return err
	}
	p := listPage{Trouble: q.Problem(wrong), Links: ordered(found, q.Now())}
	if len(p.Links) > shown {
		p.Links, p.More = p.Links[:shown], true
	}
	if wrong != nil {
		return q.Refused("list", "Set-up links", p)
	}
	return q.Page("list", "Set-up links", p)
}

func ordered(found []*setups.Link, now time.Time) []link {
	out := make([]link, len(found))
	for i, l := range found {
		out[i] = link{l, stateOf(l, now)}
	}
	good := func(l link) bool { return l.State == "active" || l.State == "new" }
	slices.SortStableFunc(out, func(a, b link) int {
		switch {
		case good(a) == good(b):
			return 0
		case good(a):
			return -1
		}
		return 1
	})
	return out
}

func stateOf(l *setups.Link, now time.Time) string {
	switch {
	case !l.RevokedAt.IsZero():
		return "revoked"
	case !l.ExpiresAt.After(now):
		return "expired"
	case l.OpenedAt.IsZero():
		return "new"
	}
	return "active"
}

// lives are those to choose from, in days.
var lives = map[string]time.Duration{"1": 24 * time.Hour, "7": 7 * 24 * time.Hour, "30": 30 * 24 * time.Hour}

type newPage struct {
	Connections   []client.Connection // that can be changed here
	Organizations []client.Organization
	Kinds         []source.Kind
	For           string // "there" or "new"
	Connection    string // there is
	Organization  string // of a new one
	Alias, Kind   string // of a new one
	Note, Days    string
	Trouble       *shell.Trouble
}

func (s section) blank(q *shell.Ask) (newPage, error) {
	p := newPage{Kinds: s.Kinds, For: "new", Kind: "ldap", Days: "7", Organization: q.Me.Organization}
	found, err := client.Get[client.Page[client.Connection]](q.R.Context(), q.API, "/connections", url.Values{"limit": {"200"}})
	if err != nil {
		return p, err
	}
	p.Connections = slices.DeleteFunc(found.Items, func(c client.Connection) bool { return c.Declared })
	list, err := client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", url.Values{"limit": {"200"}})
	p.Organizations = list.Items
	if wanted := q.R.URL.Query().Get("connection"); wanted != "" {
		p.For, p.Connection = "there", wanted
	}
	return p, err
}

const fresh = "/setups/new"

func (s section) begin(q *shell.Ask) error {
	in, err := signed.Fresh(q, s.Admins, q.R.URL.RequestURI())
	if err != nil || in == nil {
		return err
	}
	p, err := s.blank(q)
	if err != nil {
		return err
	}
	return q.Page("new", "New set-up link", p)
}

type madePage struct {
	Link *setups.Link
	URL  string
}

func (s section) create(q *shell.Ask) error {
	in, err := signed.Fresh(q, s.Admins, fresh)
	if err != nil || in == nil {
		return err
	}
	p, err := s.blank(q)
	if err != nil {
		return err
	}
	value := func(name string) string { return strings.TrimSpace(q.R.PostFormValue(name)) }
	p.For, p.Connection, p.Organization, p.Alias, p.Kind, p.Note, p.Days = value("for"), value("connection"), value("organization"), value("alias"), value("kind"), value("note"), value("days")
	spec, err := s.spec(q, p)
	if err == nil {
		var token string
		var l *setups.Link
		if token, l, err = s.Setups.Create(q.R.Context(), in.By, spec); err == nil {
			return q.Page("made", "Set-up link", madePage{l, s.PublicURL + setups.Path + token})
		}
	}
	p.Trouble = q.Problem(err)
	return q.Refused("new", "New set-up link", p)
}

// spec is what the form asks for. The tables look at who may, and whether the
// connection is there; kinds and the configuration's aliases are looked at here.
func (s section) spec(q *shell.Ask, p newPage) (setups.Spec, error) {
	spec := setups.Spec{Note: p.Note, Life: lives[p.Days]}
	if spec.Life == 0 {
		return spec, fault.New(fault.Invalid, "a set-up link is good for 1, 7 or 30 days")
	}
	if p.For == "there" {
		for _, c := range p.Connections {
			if c.Alias == p.Connection {
				spec.Connection, spec.Organization = c.Alias, c.Organization
				return spec, nil
			}
		}
		return spec, fault.New(fault.NotFound, "there is no connection %q that can be changed here", p.Connection).WithHint("those of rollcall.yaml are changed there")
	}
	spec.Connection, spec.Organization, spec.Kind = p.Alias, p.Organization, p.Kind
	if spec.Organization == "" {
		spec.Organization = q.Me.Organization
	}
	if !slices.ContainsFunc(s.Kinds, func(k source.Kind) bool { return k.Name == p.Kind }) {
		return spec, fault.New(fault.Invalid, "there is no kind of directory %q", p.Kind)
	}
	switch _, err := q.API.Connection(q.R.Context(), p.Alias); {
	case p.Alias == "" || strings.ContainsFunc(p.Alias, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }) || len(p.Alias) > 64 || p.Alias[0] == '-':
		return spec, fault.New(fault.Invalid, "the alias has to be small letters, digits and dashes, 64 at most")
	case err == nil:
		return spec, fault.New(fault.Conflict, "the alias %q is taken", p.Alias).WithHint("choose another, or make a link for the connection there is")
	case q.Problem(err).Status != 404:
		return spec, err
	}
	return spec, nil
}

func (s section) revoke(q *shell.Ask) error {
	in, err := signed.Who(q, s.Admins)
	if err != nil {
		return err
	}
	if _, err := s.Setups.Revoke(q.R.Context(), in.By, q.R.PathValue("id")); err != nil {
		return s.listed(q, err)
	}
	q.Say("/setups", "The link has ended, and whoever came by it is out.")
	return nil
}
