// Package administrators is the part of the console about the people who may use
// it: who there is, invitations, roles, lost passwords and sessions of others. What
// somebody may do to whom, the administrators' tables decide.
package administrators

import (
	"embed"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/profile"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/signed"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
)

//go:embed *.html
var templates embed.FS

type section struct {
	admins *admins.Admins
	base   string // public_url without a slash at its end
}

// Section is this part of the console.
func Section(a *admins.Admins, publicURL string) shell.Section {
	s := section{a, strings.TrimRight(publicURL, "/")}
	return shell.Section{Name: "admins", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /admins", Handle: s.list},
		{Pattern: "GET /admins/invite", Need: shell.Changer, Handle: s.begin},
		{Pattern: "POST /admins/invite", Need: shell.Changer, Handle: s.invite},
		{Pattern: "POST /admins/invitations/{id}", Need: shell.Changer, Handle: s.takeBack},
		{Pattern: "GET /admins/{id}", Handle: s.show},
		{Pattern: "POST /admins/{id}/{what}", Need: shell.Changer, Handle: s.act},
	}}
}

const perPage = 50

type listPage struct {
	People      []*admins.Administrator
	Next        string
	Invitations []*admins.Link
	Trouble     *shell.Trouble
}

func (s section) list(q *shell.Ask) error { return s.listed(q, nil) }

func (s section) listed(q *shell.Ask, wrong error) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	values := q.R.URL.Query()
	p := listPage{Trouble: q.Problem(wrong)}
	if p.People, err = s.admins.List(q.R.Context(), in.By, values.Get("organization"), values.Get("cursor"), perPage+1); err != nil {
		return err
	}
	if len(p.People) > perPage {
		p.People = p.People[:perPage]
		p.Next = p.People[perPage-1].Email
	}
	if p.Invitations, err = s.admins.Invitations(q.R.Context(), in.By); err != nil {
		return err
	}
	if wrong != nil {
		return q.Refused("list", "Administrators", p)
	}
	return q.Page("list", "Administrators", p)
}

// choice is an administrator's place: a role, and the organization it is of.
type choice struct {
	Role, Organization string
	Roles              []role
	Organizations      []client.Organization
}

type role struct{ Name, Text string }

// choices are those that somebody may give.
func choices(q *shell.Ask, in *signed.In) (choice, error) {
	c := choice{Role: string(admins.Manager), Organization: in.Admin.Organization}
	if in.Admin.Operates() {
		c.Roles = append(c.Roles, role{string(admins.Operator), "operator: everything in this installation"})
	}
	c.Roles = append(c.Roles, role{string(admins.Manager), "administrator: everything of one organization"}, role{string(admins.Auditor), "auditor: reads, and changes nothing"})
	list, err := client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", url.Values{"limit": {"200"}})
	c.Organizations = list.Items
	if c.Organization == "" && len(c.Organizations) > 0 {
		c.Organization = c.Organizations[0].ID
	}
	return c, err
}

// take reads what was chosen. Operators are of no organization, whatever the form
// says of one.
func (c *choice) take(q *shell.Ask) {
	c.Role, c.Organization = q.R.PostFormValue("role"), q.R.PostFormValue("organization")
	if c.Role == string(admins.Operator) {
		c.Organization = ""
	}
}

type invitePage struct {
	choice
	Email, Name string
	Trouble     *shell.Trouble
}

func (s section) begin(q *shell.Ask) error {
	in, err := signed.Fresh(q, s.admins, "/admins/invite")
	if err != nil || in == nil {
		return err
	}
	c, err := choices(q, in)
	if err != nil {
		return err
	}
	return q.Page("invite", "Invite somebody", invitePage{choice: c})
}

type linkPage struct {
	Link  *admins.Link
	URL   string
	Reset bool
}

func (s section) invite(q *shell.Ask) error {
	in, err := signed.Fresh(q, s.admins, "/admins/invite")
	if err != nil || in == nil {
		return err
	}
	p := invitePage{Email: strings.TrimSpace(q.R.PostFormValue("email")), Name: strings.TrimSpace(q.R.PostFormValue("name"))}
	if p.choice, err = choices(q, in); err != nil {
		return err
	}
	p.take(q)
	token, l, err := s.admins.Invite(q.R.Context(), in.By, admins.Spec{Email: p.Email, Name: p.Name, Role: admins.Role(p.Role), Organization: p.Organization})
	if err != nil {
		p.Trouble = q.Problem(err)
		return q.Refused("invite", "Invite somebody", p)
	}
	return q.Page("link", "Invitation", linkPage{Link: l, URL: s.base + admins.Path + token})
}

func (s section) takeBack(q *shell.Ask) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	if err := s.admins.RevokeInvitation(q.R.Context(), in.By, q.R.PathValue("id")); err != nil {
		return s.listed(q, err)
	}
	q.Say("/admins", "The invitation is good for nothing any more.")
	return nil
}

type page struct {
	choice
	Admin    *admins.Administrator
	Self     bool
	May      bool // whoever looks may change them
	Sessions []seen
	Trouble  *shell.Trouble
}

type seen struct {
	*admins.Session
	Browser string
}

func (s section) show(q *shell.Ask) error { return s.answer(q, nil) }

func (s section) answer(q *shell.Ask, wrong error) error {
	in, err := signed.Who(q, s.admins)
	if err != nil {
		return err
	}
	a, err := s.admins.Get(q.R.Context(), in.By, q.R.PathValue("id"))
	if err != nil {
		return err
	}
	p := page{Admin: a, Self: a.ID == in.Admin.ID, May: mayChange(in.Admin, a), Trouble: profile.Problem(q, wrong)}
	if p.May {
		if p.choice, err = choices(q, in); err != nil {
			return err
		}
		p.Role, p.Organization = string(a.Role), a.Organization
	}
	if p.Self || p.May {
		list, err := s.admins.Sessions(q.R.Context(), in.By, a.ID)
		if err != nil {
			return err
		}
		for _, one := range list {
			p.Sessions = append(p.Sessions, seen{one, profile.Browser(one.Agent)})
		}
	}
	if wrong != nil {
		return q.Refused("admin", a.Email, p)
	}
	return q.Page("admin", a.Email, p)
}

// mayChange says which buttons there are; the tables ask once more.
func mayChange(by, a *admins.Administrator) bool {
	return by.Operates() || a.Role != admins.Operator && a.Organization != "" && by.Changes(a.Organization)
}

// dangerous is what asks for a password or a code first.
var dangerous = map[string]bool{"reset": true, "factor": true, "role": true, "enable": true, "delete": true}

// act does what a button of the page says.
func (s section) act(q *shell.Ask) error {
	ctx, id, what := q.R.Context(), q.R.PathValue("id"), q.R.PathValue("what")
	back := shell.Path("admins", id)
	in, err := signed.Who(q, s.admins)
	if dangerous[what] {
		in, err = signed.Fresh(q, s.admins, back)
	}
	if err != nil || in == nil {
		return err
	}
	var said string
	switch what {
	case "reset":
		token, l, err := s.admins.ResetLink(ctx, in.By, id)
		if err != nil {
			return s.answer(q, err)
		}
		return q.Page("link", "Another password", linkPage{Link: l, URL: s.base + admins.Path + token, Reset: true})
	case "factor":
		err, said = s.admins.ResetSecondFactor(ctx, in.By, id), "The second factor is gone, and their sessions with it. The password alone counts until they set one up."
	case "role":
		c := choice{}
		c.take(q)
		r := admins.Role(c.Role)
		_, err = s.admins.Update(ctx, in.By, id, admins.Patch{Role: &r, Organization: &c.Organization})
		said = "The role is changed, and their sessions have ended."
	case "name":
		name := strings.TrimSpace(q.R.PostFormValue("name"))
		_, err = s.admins.Update(ctx, in.By, id, admins.Patch{Name: &name})
		said = "The name is changed."
	case "disable":
		_, err = s.admins.Disable(ctx, in.By, id)
		said = "They are out at once, and cannot come in until they are enabled again."
	case "enable":
		_, err = s.admins.Enable(ctx, in.By, id)
		said = "They may sign in again."
	case "delete":
		if typed := strings.TrimSpace(q.R.PostFormValue("email")); !strings.EqualFold(typed, q.R.PostFormValue("is")) {
			err = fault.New(fault.Invalid, "the address typed in is another one").WithHint("type %s to delete this administrator", q.R.PostFormValue("is"))
		} else {
			err = s.admins.Delete(ctx, in.By, id)
		}
		back, said = "/admins", "The administrator is gone. What they did stays in the events."
	case "session":
		err, said = s.admins.Revoke(ctx, in.By, id, q.R.PostFormValue("session")), "The session has ended."
	case "sessions":
		_, err = s.admins.RevokeOthers(ctx, in.By, id, "")
		said = "All their sessions have ended."
	default:
		return fault.New(fault.NotFound, "there is no such page")
	}
	if err != nil {
		return s.answer(q, err)
	}
	q.Say(back, said)
	return nil
}
