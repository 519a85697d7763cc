// Package console is the web console at /: it hands what the REST API knows on to
// people, and their wishes back. This is the list of its sections; package shell
// is what they stand in.
package console

import (
	"context"

	"rollcall.dev/rollcall/internal/endpoint/console/connections"
	"rollcall.dev/rollcall/internal/endpoint/console/door"
	"rollcall.dev/rollcall/internal/endpoint/console/events"
	"rollcall.dev/rollcall/internal/endpoint/console/groups"
	"rollcall.dev/rollcall/internal/endpoint/console/organizations"
	"rollcall.dev/rollcall/internal/endpoint/console/overview"
	"rollcall.dev/rollcall/internal/endpoint/console/people"
	"rollcall.dev/rollcall/internal/endpoint/console/plans"
	"rollcall.dev/rollcall/internal/endpoint/console/runs"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/webhooks"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/admins"
)

// Deps is what the console works with.
type Deps struct {
	shell.Deps
	Admins *admins.Admins
	Kinds  []source.Kind
}

// New makes the console. Who is signed in, it asks the administrators' tables; all
// else the API.
func New(d Deps) (*shell.Shell, error) {
	d.Who = func(ctx context.Context, token string) (*shell.Me, error) { return who(ctx, d.Admins, token) }
	d.Empty = func(ctx context.Context) (bool, error) {
		some, err := d.Admins.Any(ctx)
		return !some, err
	}
	return shell.New(d.Deps, sections(d)...)
}

func sections(d Deps) []shell.Section {
	return append([]shell.Section{
		overview.Section(),
		connections.Section(d.Kinds),
		plans.Section(),
		runs.Section(),
		groups.Section(),
		events.Section(),
		webhooks.Section(),
		organizations.Section(),
		door.Section(d.Admins),
	}, people.Sections()...)
}

// who is the administrator of a session, as the shell knows people; nil for a
// session that has ended.
func who(ctx context.Context, table *admins.Admins, token string) (*shell.Me, error) {
	s, a, err := table.Check(ctx, token)
	if fault.KindOf(err) == fault.Denied && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &shell.Me{ID: a.ID, Session: s.ID, Email: a.Email, Name: a.Name, Role: string(a.Role), Organization: a.Organization, ReadOnly: a.Role == admins.Auditor, CSRF: s.CSRF}, nil
}
