// Package targets is the part of the console about applications that accounts are
// pushed to over SCIM: how each stands, who could not be pushed and why, and whether
// what is there is still what was pushed.
package targets

import (
	"embed"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

//go:embed *.html
var templates embed.FS

type section struct{ admins *admins.Admins }

// Section is this part of the console; the administrators' tables say whether a
// password was given lately: a target hands everybody's data to another server.
func Section(a *admins.Admins) shell.Section {
	s := section{a}
	return shell.Section{Name: "targets", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /targets", Handle: list},
		{Pattern: "GET /new-target", Need: shell.Changer, Handle: s.blank},
		{Pattern: "POST /new-target", Need: shell.Changer, Handle: s.create},
		{Pattern: "GET /targets/{id}", Handle: show},
		{Pattern: "GET /targets/{id}/edit", Need: shell.Changer, Handle: s.edit},
		{Pattern: "POST /targets/{id}/edit", Need: shell.Changer, Handle: s.change},
		{Pattern: "POST /targets/{id}/{what}", Need: shell.Changer, Handle: act},
	}}
}

// stateOf is how a target stands, in a word.
func stateOf(t client.Target) string {
	switch {
	case !t.Enabled:
		return "disabled"
	case t.Error != nil:
		return "failing"
	case t.Failed > 0:
		return "some failed"
	case t.Due > 0:
		return "pending"
	}
	return "active"
}

type item struct {
	client.Target
	State string
}

func list(q *shell.Ask) error {
	values := q.Values("cursor")
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.Target]](q.R.Context(), q.API, "/targets", values)
	if err != nil {
		return err
	}
	out := client.Page[item]{NextCursor: found.NextCursor}
	for _, t := range found.Items {
		out.Items = append(out.Items, item{t, stateOf(t)})
	}
	return q.Page("list", "Targets", out)
}

// form is a target as inputs. The secret is never among them.
type form struct {
	New           bool
	ID            string
	Name          string
	URL           string
	Auth          string
	ClientID      string
	TokenURL      string
	OAuthScope    string
	Connections   []string
	Groups        bool
	Leavers       string
	Organization  string
	All           []client.Connection
	Organizations []client.Organization
	Trouble       *shell.Trouble
}

// offer fills in what there is to choose from.
func (f *form) offer(q *shell.Ask) error {
	values := url.Values{"limit": {"200"}}
	if f.Organization != "" {
		values.Set("organization", f.Organization)
	}
	found, err := client.Get[client.Page[client.Connection]](q.R.Context(), q.API, "/connections", values)
	if err != nil {
		return err
	}
	f.All = found.Items
	if !f.New || !q.Me.All() {
		return nil
	}
	some, err := client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", url.Values{"limit": {"200"}})
	f.Organizations = some.Items
	return err
}

func (s section) blank(q *shell.Ask) error {
	if in, err := signed.Fresh(q, s.admins, "/new-target"); err != nil || in == nil {
		return err
	}
	return (&form{New: true, Auth: "bearer", Groups: true, Leavers: "disable", Organization: q.Me.Organization}).answer(q, "New target", nil)
}

// take puts what was sent into the form, and gives it as a wish.
func (f *form) take(q *shell.Ask) (client.TargetPatchInput, error) {
	if err := q.R.ParseForm(); err != nil {
		return client.TargetPatchInput{}, fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	sent := q.R.PostForm
	text := func(name string) string { return strings.TrimSpace(sent.Get(name)) }
	f.Name, f.URL, f.Auth, f.ClientID, f.TokenURL, f.OAuthScope = text("name"), text("url"), text("auth"), text("client_id"), text("token_url"), text("oauth_scope")
	f.Connections, f.Groups, f.Leavers = append([]string{}, sent["connections"]...), sent.Get("groups") != "", text("leavers")
	in := client.TargetPatchInput{Name: &f.Name, URL: &f.URL, Auth: &f.Auth, Connections: &f.Connections, Groups: &f.Groups, Leavers: &f.Leavers}
	if f.Auth == "oauth" {
		in.ClientID, in.TokenURL, in.OAuthScope = &f.ClientID, &f.TokenURL, &f.OAuthScope
	}
	if secret := sent.Get("secret"); secret != "" {
		in.Secret = &secret
	}
	return in, nil
}

// answer shows the form, with what is wrong with it.
func (f *form) answer(q *shell.Ask, title string, wrong error) error {
	if err := f.offer(q); err != nil {
		return err
	}
	if wrong != nil {
		f.Trouble = q.Problem(wrong)
		return q.Refused("form", title, f)
	}
	return q.Page("form", title, f)
}

func (s section) create(q *shell.Ask) error {
	if in, err := signed.Fresh(q, s.admins, "/new-target"); err != nil || in == nil {
		return err
	}
	f := &form{New: true, Organization: q.Me.Organization}
	in, err := f.take(q)
	if err != nil {
		return err
	}
	if given := q.R.PostForm.Get("organization"); q.Me.All() || given != "" {
		f.Organization = given // the API says whether it is theirs to give
	}
	made, err := q.API.CreateTarget(q.R.Context(), client.TargetInput{Organization: f.Organization, TargetPatchInput: in})
	if err != nil {
		return f.answer(q, "New target", err)
	}
	q.Say(shell.Path("targets", made.ID), "Everybody who is active is pushed there now.")
	return nil
}

func load(q *shell.Ask) (*form, error) {
	t, err := q.API.Target(q.R.Context(), q.R.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return &form{ID: t.ID, Name: t.Name, URL: t.URL, Auth: t.Auth, ClientID: shell.Text(t.ClientID), TokenURL: shell.Text(t.TokenURL), OAuthScope: shell.Text(t.OAuthScope),
		Connections: t.Connections, Groups: t.Groups, Leavers: t.Leavers, Organization: t.Organization}, nil
}

func (s section) edit(q *shell.Ask) error {
	f, err := load(q)
	if err != nil {
		return err
	}
	if in, err := signed.Fresh(q, s.admins, shell.Path("targets", f.ID, "edit")); err != nil || in == nil {
		return err
	}
	return f.answer(q, "Change the target", nil)
}

func (s section) change(q *shell.Ask) error {
	f, err := load(q)
	if err != nil {
		return err
	}
	if in, err := signed.Fresh(q, s.admins, shell.Path("targets", f.ID, "edit")); err != nil || in == nil {
		return err
	}
	in, err := f.take(q)
	if err != nil {
		return err
	}
	if _, err := q.API.UpdateTarget(q.R.Context(), f.ID, in); err != nil {
		return f.answer(q, "Change the target", err)
	}
	q.Say(shell.Path("targets", f.ID), "Saved.")
	return nil
}

// link is what somebody is at a target, by name.
type link struct {
	client.TargetLink
	Name, Path string
}

// drift is what is not as it was pushed, by name.
type drift struct {
	client.Drift
	Who, Path string
}

type page struct {
	Target  client.Target
	State   string
	Show    string // which links
	Links   []link
	Next    *string
	Report  *client.TargetReport
	Drift   []drift
	Trouble *shell.Trouble
}

const mostDrift = 100 // shown; the API gives more

func show(q *shell.Ask) error { return answer(q, nil, nil) }

func answer(q *shell.Ask, report *client.TargetReport, wrong error) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	p := page{Show: q.R.URL.Query().Get("state"), Report: report, Trouble: q.Problem(wrong)}
	var err error
	if p.Target, err = q.API.Target(ctx, id); err != nil {
		return err
	}
	p.State = stateOf(p.Target)
	values := q.Values("state", "cursor")
	if p.Show == "" && p.Target.Failed > 0 {
		p.Show = "failed"
	}
	if p.Show != "" && p.Show != "all" {
		values.Set("state", p.Show)
	} else {
		values.Del("state")
	}
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.TargetLink]](ctx, q.API, "/targets/"+url.PathEscape(id)+"/links", values)
	if err != nil {
		return err
	}
	names := shell.NewNames(q)
	want := func(kind, id string) {
		if kind == "group" {
			names.WantGroup(id)
		} else {
			names.WantAccount(id)
		}
	}
	called := func(kind, id string) (name, path string) {
		if kind == "group" {
			return names.Group(id), shell.Path("groups", id)
		}
		return names.Account(id), shell.Path("people", id)
	}
	for _, l := range found.Items {
		want(l.Kind, l.ID)
	}
	if report != nil {
		for _, d := range report.Drift[:min(len(report.Drift), mostDrift)] {
			if d.ID != nil {
				want(d.Kind, *d.ID)
			}
			p.Drift = append(p.Drift, drift{Drift: d})
		}
	}
	if err := names.Load(); err != nil {
		return err
	}
	for _, l := range found.Items {
		name, path := called(l.Kind, l.ID)
		p.Links = append(p.Links, link{l, name, path})
	}
	for i := range p.Drift {
		d := &p.Drift[i]
		if d.Who = d.Name; d.ID != nil {
			d.Who, d.Path = called(d.Kind, *d.ID)
		}
	}
	p.Next = found.NextCursor
	if wrong != nil {
		return q.Refused("target", p.Target.Name, p)
	}
	return q.Page("target", p.Target.Name, p)
}

// act does what a button of the page says.
func act(q *shell.Ask) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	back, said := shell.Path("targets", id), ""
	var err error
	switch q.R.PathValue("what") {
	case "enable", "disable":
		on := q.R.PathValue("what") == "enable"
		_, err = q.API.UpdateTarget(ctx, id, client.TargetPatchInput{Enabled: &on})
		if said = "Nothing is pushed there any more, until it is switched on again."; on {
			said = "It goes on where it stood."
		}
	case "sync":
		var n client.Marked
		n, err = q.API.SyncTarget(ctx, id)
		said = shell.Count(n.Marked, "account or group is", "accounts and groups are") + " looked at again."
	case "check", "repair":
		var r client.TargetReport
		if q.R.PathValue("what") == "check" {
			r, err = q.API.CheckTarget(ctx, id)
		} else {
			r, err = q.API.RepairTarget(ctx, id)
		}
		if err == nil {
			return answer(q, &r, nil)
		}
	case "delete":
		back, said = "/targets", "The target is gone. The application keeps what it has."
		err = q.API.DeleteTarget(ctx, id)
	default:
		http.NotFound(q.W, q.R)
		return nil
	}
	if err != nil {
		return answer(q, nil, err)
	}
	q.Say(back, said)
	return nil
}
