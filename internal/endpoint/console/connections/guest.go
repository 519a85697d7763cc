package connections

import (
	"encoding/json"
	"slices"

	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/setups"
)

// guests are who came by a set-up link: the form is theirs for one connection.
type guests struct {
	section
	links *setups.Setups
}

// Guest is the form of a connection for who came by a set-up link to it.
func Guest(kinds []source.Kind, links *setups.Setups) shell.Section {
	g := guests{section{kinds}, links}
	return shell.Section{Name: "guest", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /setup/connection", Need: shell.Changer, Guest: true, Handle: g.edit},
		{Pattern: "POST /setup/connection", Need: shell.Changer, Guest: true, Handle: g.change},
	}}
}

// form is what the guest sees of it: neither what may happen without a person, nor
// what finds accounts of others.
func (g guests) form(q *shell.Ask) (p *formPage, err error) {
	switch {
	case q.Me.Connection == "":
		return nil, fault.New(fault.NotFound, "there is no such page").WithHint("it is for who came by a set-up link")
	case q.Me.Makes != "":
		p = &formPage{New: true, Alias: q.Me.Connection, Organization: q.Me.Organization}
		if p.Kind, err = g.kind(q.Me.Makes); err != nil {
			return nil, err
		}
		if p.form, err = newForm(p.Kind, nil, false); err != nil {
			return nil, err
		}
	default:
		q.R.SetPathValue("alias", q.Me.Connection)
		if p, err = g.load(q); err != nil {
			return nil, err
		}
	}
	p.Groups = slices.DeleteFunc(p.Groups, func(x *group) bool {
		return slices.Contains([]string{"policy", "limits", "schedule", "people-sign-in"}, x.Name)
	})
	return p, nil
}

func (g guests) edit(q *shell.Ask) error {
	p, err := g.form(q)
	if err != nil {
		return err
	}
	return q.Page("form", "Settings of "+p.Alias, p)
}

func (g guests) change(q *shell.Ask) error {
	p, err := g.form(q)
	if err != nil {
		return err
	}
	if err := q.R.ParseForm(); err != nil {
		return fault.New(fault.Invalid, "the form cannot be read: %w", err)
	}
	q.R.PostForm.Set("match", p.Match) // it is not in the form, and stays
	ctx, body, alias := q.R.Context(), p.take(q.R.PostForm), p.Alias
	if p.New {
		body["alias"], body["organization"], alias = p.Alias, p.Organization, ""
	}
	if test := q.R.PostFormValue("test"); test != "" {
		return p.test(q, alias, test, body)
	}
	raw, err := json.Marshal(body)
	switch {
	case err != nil:
		return err
	case p.New:
		return g.create(q, p, raw)
	case q.R.PostFormValue("do") == "preview":
		p.Previewed = true
		plan, err := q.API.Preview(ctx, alias, raw, nil)
		if err != nil {
			return p.refuse(q, err)
		}
		p.Preview = &plan
		return q.Page("form", "Settings of "+alias, p)
	}
	if _, err := q.API.UpdateConnection(ctx, alias, raw); err != nil {
		return p.refuse(q, err)
	}
	q.Say("/setup", "Saved.")
	return nil
}

// create makes the connection of the link. Whoever was faster with it has made it.
func (g guests) create(q *shell.Ask, p *formPage, raw json.RawMessage) error {
	_, l, err := g.links.Check(q.R.Context(), q.Token())
	if err != nil {
		return err
	}
	if _, err := q.API.CreateConnection(q.R.Context(), raw); err != nil {
		return p.refuse(q, err)
	}
	if err := g.links.Made(q.R.Context(), l); err != nil {
		return err
	}
	q.Say("/setup", "The connection is made. Nothing was read yet.")
	return nil
}
