package okta

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/source"
)

// mostFound is how many people one word may lead to.
const mostFound = 5

// find gives the people of a login, e-mail address or ID, wherever they stand.
func (p *pass) find(who string) ([]*entry, error) {
	who = strings.TrimSpace(who)
	if who == "" || len(who) > 512 || strings.ContainsFunc(who, func(r rune) bool { return r < ' ' }) {
		return nil, nil
	}
	filter := "profile.login eq " + quoted(who) + " or profile.email eq " + quoted(who)
	if isID(who) {
		filter = "id eq " + quoted(who)
	}
	var out []*entry
	err := p.list(users, p.set.usersRef(filter, ""), func(e *entry) error {
		if len(out) < mostFound {
			out = append(out, e)
		}
		return nil
	})
	return out, err
}

// stands says whether a person is among those who are read, and why.
func (p *pass) stands(e *entry) ([]source.Clause, error) {
	status := source.Clause{Name: "status", Holds: e.status != deprovisioned || p.set.deprovisioned, Detail: "the status is " + e.status}
	if !status.Holds {
		status.Detail += ", and deprovisioned people are not read"
	}
	out := []source.Clause{status}
	switch p.set.people {
	case peopleApp:
		assigned, err := p.assigned()
		if err != nil {
			return nil, err
		}
		out = append(out, source.Clause{Name: "application", Holds: assigned[e.id], Detail: said(assigned[e.id], "the application "+p.set.app+" is assigned to them")})
	case peopleGroups:
		var in []string
		err := p.list(users, "/api/v1/users/"+url.PathEscape(e.id)+"/groups", func(g *entry) error {
			if p.set.selected(g.id, g.text("name")) {
				in = append(in, g.text("name"))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		detail := "they are in none of " + p.set.groups()
		if len(in) > 0 {
			detail = fmt.Sprintf("they are in %q", in)
		} else if !p.set.selects() {
			detail = "no group is selected, so that nobody is read"
		}
		out = append(out, source.Clause{Name: "groups", Holds: len(in) > 0, Detail: detail})
	}
	return out, nil
}

func said(holds bool, text string) string {
	if holds {
		return text
	}
	return "it is not so that " + text
}

func (o *org) looking(ctx context.Context, attributes []string) *pass {
	return &pass{set: o.set, api: o.api, ctx: ctx, req: source.Request{Now: o.api.clock.Now()}, wanted: wanted(attributes), refs: map[string]string{}}
}

// Find implements source.Finder.
func (o *org) Find(ctx context.Context, who string) ([]source.Found, error) {
	p := o.looking(ctx, nil)
	people, err := p.find(who)
	if err != nil {
		return nil, err
	}
	var out []source.Found
	for _, e := range people {
		clauses, err := p.stands(e)
		if err != nil {
			return nil, err
		}
		out = append(out, source.Found{Name: e.text("login"), Clauses: clauses})
	}
	return out, nil
}

// Look implements source.Looker.
func (o *org) Look(ctx context.Context, who string, attributes []string, emit func(*directory.Record) error) error {
	p := o.looking(ctx, attributes)
	people, err := p.find(who)
	if err != nil {
		return err
	}
next:
	for _, e := range people {
		clauses, err := p.stands(e)
		if err != nil {
			return err
		}
		for _, c := range clauses {
			if !c.Holds {
				continue next
			}
		}
		r, err := p.set.user(e, p.wanted)
		if err != nil {
			return err
		}
		p.lead(e, r)
		if err := emit(r); err != nil {
			return err
		}
	}
	return nil
}

var (
	_ source.Finder = (*org)(nil)
	_ source.Looker = (*org)(nil)
)
