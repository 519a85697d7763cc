package cli

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/app"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/endpoint/api"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/registry"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/keys"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// direct is the place that is the database of the configuration.
type direct struct{ *app.App }

var _ place = direct{}

func operator() registry.Who { return registry.Who{Actor: actor()} }

func (d direct) Organizations(ctx context.Context) ([]organizations.Organization, error) {
	return d.Registry.Organizations(ctx, registry.Who{}, "", 0)
}

func (d direct) CreateOrganization(ctx context.Context, o setting.Organization) (organizations.Organization, error) {
	return d.Registry.CreateOrganization(ctx, operator(), o)
}

func (d direct) UpdateOrganization(ctx context.Context, o setting.Organization) error {
	_, err := d.Registry.UpdateOrganization(ctx, operator(), o)
	return err
}

func (d direct) DeleteOrganization(ctx context.Context, id string) error {
	return d.Registry.DeleteOrganization(ctx, operator(), id)
}

func (d direct) Connections(ctx context.Context) ([]connectionJSON, error) {
	list, err := d.Registry.Connections(ctx, "")
	if err != nil {
		return nil, err
	}
	byAlias(list)
	out := []connectionJSON{}
	for i := range list {
		one, err := d.shown(ctx, &list[i])
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// byAlias is the order in which connections are listed everywhere.
func byAlias(list []setting.Connection) {
	slices.SortFunc(list, func(a, b setting.Connection) int { return strings.Compare(a.Alias, b.Alias) })
}

func (d direct) Connection(ctx context.Context, alias string) (connectionJSON, error) {
	c, err := d.Registry.Connection(ctx, alias)
	if err != nil {
		return connectionJSON{}, err
	}
	return d.shown(ctx, &c)
}

func (d direct) shown(ctx context.Context, c *setting.Connection) (connectionJSON, error) {
	j := connectionJSON{Alias: c.Alias, Organization: c.Organization, Source: c.Kind, DryRun: c.Policy.DryRun, Unset: []string{}}
	s, err := d.Store.LeaseTable.State(ctx, c.Alias)
	if err != nil {
		return j, err
	}
	j.People, j.Groups = s.Users, s.Groups
	if c.Schedule != "" {
		j.Schedule = &c.Schedule
	}
	if s.Attention != "" {
		j.Attention = &s.Attention
	}
	if err := s.Belongs(c.Organization); err != nil {
		text := err.Error()
		j.Attention = &text
	}
	if s.Reading != nil {
		j.Complete = &s.Complete
		if !s.Complete {
			j.reason = s.Reading.Reason
		}
	}
	if !s.LastFullAt.IsZero() {
		j.LastFullAt = &s.LastFullAt
	}
	for _, u := range c.Unset {
		j.Unset = append(j.Unset, u.Problem)
	}
	return j, nil
}

func (d direct) ExportConnections(ctx context.Context, alias string) ([]byte, error) {
	list, err := d.Registry.Connections(ctx, "")
	if err != nil {
		return nil, err
	}
	if alias != "" {
		c, err := d.Registry.Connection(ctx, alias)
		if err != nil {
			return nil, err
		}
		list = append(list[:0:0], c)
	}
	byAlias(list)
	tenants, err := d.Registry.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	return config.Export(list, tenants, all.Kinds())
}

func (d direct) ApplyConnection(ctx context.Context, c setting.Connection) (fresh bool, err error) {
	form, err := config.Whole(c, all.Kinds())
	if err != nil {
		return false, err
	}
	_, err = d.Registry.Describe(ctx, "", c.Alias)
	switch {
	case err == nil:
		_, err = d.Registry.Replace(ctx, operator(), c.Alias, form, 0)
		return false, err
	case fault.KindOf(err) == fault.NotFound:
		_, err = d.Registry.Create(ctx, operator(), form)
		return true, err
	}
	return false, err
}

func (d direct) DeleteConnection(ctx context.Context, alias string) error {
	return d.Registry.Delete(ctx, operator(), alias)
}

func (d direct) Reset(ctx context.Context, alias string) error {
	c, err := d.Registry.Connection(ctx, alias)
	if err != nil {
		return err
	}
	return d.Engine.Reset(ctx, c, actor())
}

func (d direct) Check(ctx context.Context, alias string, report func(client.Step)) (bool, error) {
	c, err := d.Registry.Connection(ctx, alias)
	if err != nil {
		return false, err
	}
	return d.Engine.Check(ctx, c, func(s source.Step) { report(api.StepOf(s)) })
}

func (d direct) Why(ctx context.Context, alias, who string) ([]engine.Why, error) {
	c, err := d.Registry.Connection(ctx, alias)
	if err != nil {
		return nil, err
	}
	return d.Engine.Explain(ctx, c, who)
}

func (d direct) MakePlan(ctx context.Context, alias string, full bool, report func(engine.Progress)) (*engine.Plan, error) {
	c, err := d.Registry.Connection(ctx, alias)
	if err != nil {
		return nil, err
	}
	out, err := d.Engine.Plan(ctx, c, engine.Options{Full: full, Actor: actor(), Trigger: "manual", Progress: report})
	return out.Plan, err
}

func (d direct) Sync(ctx context.Context, alias string, full bool, report func(engine.Progress)) (*engine.Run, error) {
	c, err := d.Registry.Connection(ctx, alias)
	if err != nil {
		return nil, err
	}
	out, err := d.Engine.Sync(ctx, c, engine.Options{Full: full, Actor: actor(), Trigger: "manual", Progress: report})
	return out.Run, err
}

func (d direct) SyncPerson(ctx context.Context, alias, who string, report func(engine.Progress)) (*engine.Run, error) {
	c, err := d.Registry.Connection(ctx, alias)
	if err != nil {
		return nil, err
	}
	if err := d.Engine.Pick(ctx, c, who); err != nil {
		return nil, err
	}
	out, err := d.Engine.Sync(ctx, c, engine.Options{Who: who, Actor: actor(), Trigger: engine.ByPerson, Progress: report})
	return out.Run, err
}

func (d direct) Approve(ctx context.Context, id string, exclude []string, report func(engine.Progress)) (*engine.Run, error) {
	rows, err := plan.RowNumbers(exclude)
	if err != nil {
		return nil, err
	}
	p, err := d.Store.PlanTable.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := d.Registry.Connection(ctx, p.Connection)
	if err != nil {
		return nil, err
	}
	out, err := d.Engine.Approve(ctx, c, p.ID, rows, engine.Options{Actor: actor(), Trigger: "approve", Progress: report})
	return out.Run, err
}

func (d direct) Reject(ctx context.Context, id string) (*engine.Plan, error) {
	p, err := d.Store.PlanTable.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := d.Registry.Connection(ctx, p.Connection)
	if err != nil {
		return nil, err
	}
	return d.Engine.Reject(ctx, c, p.ID, actor())
}

func (d direct) Revert(ctx context.Context, run string, report func(engine.Progress)) (*engine.Run, error) {
	out, err := d.undo(ctx, run, false, report)
	return out.Run, err
}

func (d direct) PlanRevert(ctx context.Context, run string, report func(engine.Progress)) (*engine.Plan, error) {
	out, err := d.undo(ctx, run, true, report)
	return out.Plan, err
}

func (d direct) undo(ctx context.Context, id string, only bool, report func(engine.Progress)) (*engine.Result, error) {
	run, err := d.Store.RunTable.Get(ctx, id)
	if err != nil {
		return &engine.Result{}, err
	}
	c, err := d.Registry.Connection(ctx, run.Connection)
	if err != nil {
		return &engine.Result{}, err
	}
	return d.Engine.Revert(ctx, c, run.ID, only, engine.Options{Actor: actor(), Progress: report})
}

func (d direct) Plans(ctx context.Context, connection string, limit int) ([]*engine.Plan, error) {
	return d.Store.PlanTable.List(ctx, connection, limit)
}

func (d direct) Plan(ctx context.Context, id string) (*engine.Plan, error) {
	return d.Store.PlanTable.Get(ctx, id)
}

func (d direct) Rows(ctx context.Context, p *engine.Plan, fn func(plan.Row) error) error {
	err := d.Store.PlanTable.Rows(ctx, p, 0, fn)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (d direct) Notes(ctx context.Context, p *engine.Plan, fn func(plan.NoteRow) error) error {
	return d.Store.PlanTable.Notes(ctx, p.ID, func(n plan.Note) error { return fn(n.Row()) })
}

func (d direct) Runs(ctx context.Context, connection string, limit int, fn func(*engine.Run) error) error {
	return d.Store.RunTable.List(ctx, connection, limit, fn)
}

func (d direct) Run(ctx context.Context, id string) (*engine.Run, error) {
	return d.Store.RunTable.Get(ctx, id)
}

// Accounts looks groups up for a few hundred accounts at a time.
func (d direct) Accounts(ctx context.Context, f accounts.Filter, fn func(*account.Account) error) error {
	var batch []*account.Account
	flush := func() error {
		if err := d.Store.AccountTable.WithGroups(ctx, batch); err != nil {
			return err
		}
		for _, one := range batch {
			if err := fn(one); err != nil {
				return err
			}
		}
		batch = batch[:0]
		return nil
	}
	err := d.Store.AccountTable.List(ctx, f, func(one *account.Account) error {
		if batch = append(batch, one); len(batch) < 500 {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

func (d direct) Find(ctx context.Context, who string) ([]*account.Account, error) {
	return d.Store.AccountTable.Find(ctx, "", who)
}

func (d direct) Names(ctx context.Context, ids []account.ID) (map[account.ID]string, error) {
	found, err := d.Store.AccountTable.Fetch(ctx, ids)
	out := map[account.ID]string{}
	for id, one := range found {
		out[id] = one.Text[account.Username]
	}
	return out, err
}

func (d direct) CreateAccount(ctx context.Context, organization string, row map[string]string) (account.Account, error) {
	one, err := ledger.NewLocal(ctx, row, now())
	if err != nil {
		return one.Account, err
	}
	list := []ledger.Local{one}
	err = d.Store.LedgerTable.CreateLocal(ctx, organization, actor(), list)
	return list[0].Account, err
}

func (d direct) ImportAccounts(ctx context.Context, organization string, table io.Reader) ([]account.Account, error) {
	list, err := ledger.ReadTable(ctx, table, now())
	if err != nil {
		return nil, err
	}
	if err := d.Store.LedgerTable.CreateLocal(ctx, organization, actor(), list); err != nil {
		return nil, err
	}
	out := make([]account.Account, len(list))
	for i := range list {
		out[i] = list[i].Account
	}
	return out, nil
}

func (d direct) Groups(ctx context.Context, organization, connection string, fn func(account.Group) error) error {
	return d.Store.AccountTable.ListGroups(ctx, organization, connection, fn)
}

func (d direct) Members(ctx context.Context, group account.ID, fn func(*account.Account) error) error {
	return d.Store.AccountTable.MembersOf(ctx, group, fn)
}

func (d direct) Events(ctx context.Context, organization string, after int64, limit int, fn func(event.Event) error) error {
	return d.Store.EventTable.After(ctx, organization, after, limit, fn)
}

func (d direct) LastEvents(ctx context.Context, organization string, limit int, fn func(event.Event) error) error {
	return d.Store.EventTable.Last(ctx, organization, limit, fn)
}

func (d direct) NewestEvent(ctx context.Context) (int64, error) {
	return d.Store.EventTable.Newest(ctx)
}

func (d direct) Keys(ctx context.Context) ([]client.Key, error) {
	list, err := d.Store.KeyTable.List(ctx, "", keys.Place{}, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	return as[[]client.Key](append([]*keys.Key{}, list...))
}

func (d direct) CreateKey(ctx context.Context, in client.KeyInput) (client.NewKey, error) {
	scope, err := keys.ParseScope(in.Scope)
	if err != nil {
		return client.NewKey{}, err
	}
	var end time.Time
	if in.ExpiresAt != nil {
		end = *in.ExpiresAt
	}
	text, k, err := d.Store.KeyTable.Create(ctx, scope, in.Name, end, actor())
	if err != nil {
		return client.NewKey{}, err
	}
	shown, err := as[client.Key](k)
	return client.NewKey{Key: shown, Secret: text}, err
}

func (d direct) RevokeKey(ctx context.Context, id string) (client.Key, error) {
	k, err := d.Store.KeyTable.Revoke(ctx, "", id, actor())
	if err != nil {
		return client.Key{}, err
	}
	return as[client.Key](k)
}
