package google

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/rollcall/internal/directory"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/rest"
)

// one reads a person by ID, primary address or alias; nil where there is none
// (reference of users.get).
func (w *workspace) one(ctx context.Context, want wish, who string) (*user, error) {
	who = strings.TrimSpace(who)
	if who == "" || who == "me" || len(who) > 512 || strings.ContainsFunc(who, func(r rune) bool { return r <= ' ' || r == '/' }) {
		return nil, nil
	}
	q := url.Values{"projection": {want.projection()}, "fields": {want.fields()}}
	var raw json.RawMessage
	_, err := w.api.Get(ctx, root+"/users/"+url.PathEscape(who)+"?"+q.Encode(), nil, &raw)
	var e *rest.Error
	if errors.As(err, &e) && (e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest) {
		return nil, nil
	}
	if err != nil {
		return nil, w.explain(err, scopeUsers)
	}
	return parseUser(raw)
}

// stands says whether a person is among those who are read, and why.
func (p *pass) stands(u *user) ([]source.Clause, error) {
	var out []source.Clause
	if len(p.set.orgUnits) > 0 {
		if err := p.findUnits(); err != nil {
			return nil, err
		}
		out = append(out, source.Clause{Name: "organizational unit", Holds: within(p.units, u.unit), Detail: fmt.Sprintf("they are in %s", u.unit)})
	}
	if p.set.domain != "" {
		_, domain, _ := strings.Cut(u.email, "@")
		out = append(out, source.Clause{Name: "domain", Holds: strings.EqualFold(domain, p.set.domain), Detail: "the primary address is " + u.email})
	}
	if p.set.people == peopleGroups {
		if p.set.groups.none() {
			return append(out, source.Clause{Name: "groups", Detail: nobody}), nil
		}
		if err := p.gather(); err != nil {
			return nil, err
		}
		c := source.Clause{Name: "groups", Holds: p.chosen == nil || p.chosen[u.id], Detail: "they are in none of the selected groups"}
		if c.Holds {
			c.Detail = "they are in a selected group"
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		out = append(out, source.Clause{Name: "account", Holds: true, Detail: "everybody in the account is read"})
	}
	return out, nil
}

// Find implements source.Finder.
func (w *workspace) Find(ctx context.Context, who string) ([]source.Found, error) {
	u, err := w.one(ctx, wishFor([]string{}), who)
	if err != nil || u == nil {
		return nil, err
	}
	clauses, err := w.pass(ctx, source.Request{}, wish{}, nil).stands(u)
	if err != nil {
		return nil, err
	}
	return []source.Found{{Name: u.email, Clauses: clauses}}, nil
}

// Look implements source.Looker. Where people come from groups, these are read, with
// those in them: Google does not say of a person in which groups within groups they are.
func (w *workspace) Look(ctx context.Context, who string, attributes []string, emit func(*directory.Record) error) error {
	want := wishFor(attributes)
	u, err := w.one(ctx, want, who)
	if err != nil || u == nil {
		return err
	}
	p := w.pass(ctx, source.Request{}, want, emit)
	clauses, err := p.stands(u)
	if err != nil {
		return err
	}
	for _, c := range clauses {
		if !c.Holds {
			if len(p.reasons) > 0 {
				return fault.New(fault.Unavailable, "google: look for %s: %s", u.email, p.reasons[0])
			}
			return nil
		}
	}
	manager := ""
	if want.manager && u.manager != "" {
		manager = u.manager
		boss, err := w.one(ctx, wishFor([]string{}), u.manager)
		if err != nil {
			return err
		}
		if boss != nil {
			manager = boss.id
		}
	}
	return emit(u.record(want, manager))
}

var (
	_ source.Looker = (*workspace)(nil)
	_ source.Finder = (*workspace)(nil)
)
