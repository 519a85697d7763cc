// Package console is the web console at /: it hands what the REST API knows on to
// people, and their wishes back. This is the list of its sections; package shell
// is what they stand in.
package console

import (
	"context"

	"rollcall.dev/rollcall/internal/endpoint/console/administrators"
	"rollcall.dev/rollcall/internal/endpoint/console/agents"
	"rollcall.dev/rollcall/internal/endpoint/console/clients"
	"rollcall.dev/rollcall/internal/endpoint/console/connections"
	"rollcall.dev/rollcall/internal/endpoint/console/disputes"
	"rollcall.dev/rollcall/internal/endpoint/console/door"
	"rollcall.dev/rollcall/internal/endpoint/console/events"
	"rollcall.dev/rollcall/internal/endpoint/console/groups"
	"rollcall.dev/rollcall/internal/endpoint/console/keys"
	"rollcall.dev/rollcall/internal/endpoint/console/organizations"
	"rollcall.dev/rollcall/internal/endpoint/console/orgchart"
	"rollcall.dev/rollcall/internal/endpoint/console/overview"
	"rollcall.dev/rollcall/internal/endpoint/console/people"
	"rollcall.dev/rollcall/internal/endpoint/console/plans"
	"rollcall.dev/rollcall/internal/endpoint/console/profile"
	"rollcall.dev/rollcall/internal/endpoint/console/provisioning"
	"rollcall.dev/rollcall/internal/endpoint/console/runs"
	"rollcall.dev/rollcall/internal/endpoint/console/settings"
	"rollcall.dev/rollcall/internal/endpoint/console/setup"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
	"rollcall.dev/rollcall/internal/endpoint/console/webhooks"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/setups"
)

// Deps is what the console works with.
type Deps struct {
	shell.Deps
	Admins *admins.Admins
	Setups *setups.Setups
	Kinds  []source.Kind
}

// New makes the console. Who is signed in, it asks the administrators' tables; all
// else the API.
func New(d Deps) (*shell.Shell, error) {
	d.Who = func(ctx context.Context, token string) (*shell.Me, error) { return who(ctx, d, token) }
	d.Empty = func(ctx context.Context) (bool, error) {
		some, err := d.Admins.Any(ctx)
		return !some, err
	}
	own, err := profile.Section(d.Admins)
	if err != nil {
		return nil, err
	}
	return shell.New(d.Deps, append(sections(d), own)...)
}

func sections(d Deps) []shell.Section {
	return append([]shell.Section{
		overview.Section(),
		connections.Section(d.Kinds),
		connections.Guest(d.Kinds, d.Setups),
		provisioning.Section(d.Admins, d.PublicURL),
		setup.Section(setup.Deps{Setups: d.Setups, Admins: d.Admins, Kinds: d.Kinds, PublicURL: d.PublicURL}),
		plans.Section(),
		runs.Section(),
		groups.Section(),
		orgchart.Section(),
		disputes.Section(),
		events.Section(),
		webhooks.Section(),
		clients.Section(d.Admins, d.PublicURL),
		agents.Section(d.Admins, d.PublicURL),
		organizations.Section(),
		door.Section(d.Admins),
		administrators.Section(d.Admins, d.PublicURL),
		keys.Section(d.Admins),
		settings.Section(),
	}, people.Sections()...)
}

// who is the administrator or guest of a session, as the shell knows people; nil
// for a session that has ended.
func who(ctx context.Context, d Deps, token string) (*shell.Me, error) {
	s, a, err := d.Admins.Check(ctx, token)
	if fault.KindOf(err) == fault.Denied && err != nil {
		return guest(ctx, d.Setups, token)
	}
	if err != nil {
		return nil, err
	}
	return &shell.Me{ID: a.ID, Session: s.ID, Email: a.Email, Name: a.Name, Role: string(a.Role), Organization: a.Organization, ReadOnly: a.Role == admins.Auditor, CSRF: s.CSRF}, nil
}

// guest is who came by a set-up link.
func guest(ctx context.Context, table *setups.Setups, token string) (*shell.Me, error) {
	x, l, err := table.Check(ctx, token)
	if fault.KindOf(err) == fault.Denied && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	me := &shell.Me{ID: l.ID, Role: "set-up", Organization: l.Organization, Connection: l.Connection, CSRF: x.CSRF}
	if l.MayMake() {
		me.Makes = l.Kind
	}
	return me, nil
}
