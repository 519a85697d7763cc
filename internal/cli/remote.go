package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"slices"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/engine/plan"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/source/all"
	"rollcall.dev/rollcall/internal/store/accounts"
	"rollcall.dev/rollcall/internal/store/ledger"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// remote is the place that is a server, asked through its API.
type remote struct{ c *client.Client }

var _ place = remote{}

// as gives a value in another type with the same JSON.
func as[T any](v any) (T, error) {
	var out T
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	return out, err
}

// kinds is the way back from the API's statuses to kinds of errors.
var kinds = map[int]fault.Kind{
	http.StatusNotFound: fault.NotFound, http.StatusGone: fault.NotFound, http.StatusBadRequest: fault.Invalid, http.StatusUnprocessableEntity: fault.Invalid,
	http.StatusConflict: fault.Conflict, http.StatusUnauthorized: fault.Denied, http.StatusForbidden: fault.Denied,
	http.StatusServiceUnavailable: fault.Unavailable, http.StatusTooManyRequests: fault.Unavailable,
}

// told makes an answer of the server an error as commands know them.
func told(err error) error {
	var p *client.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return &fault.Error{Kind: kinds[p.Status], Message: p.Error(), Hint: p.Hint, Cause: err}
	case errors.Is(err, context.Canceled):
		return err
	}
	return fault.New(fault.Unavailable, "%w", err).WithHint("look at --server, and whether the server runs")
}

// from gives an answer in our own type.
func from[T any](v any, err error) (T, error) {
	if err != nil {
		var zero T
		return zero, told(err)
	}
	return as[T](v)
}

// walk hands on a list in our own type; most bounds it, errEnough ends it.
func walk[T, A any](list iter.Seq2[A, error], most int, fn func(T) error) error {
	n := 0
	for item, err := range list {
		if n++; err == nil && n > most {
			return nil
		}
		one, err := from[T](item, err)
		if err == nil {
			err = fn(one)
		}
		if errors.Is(err, errEnough) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func gather[T, A any](list iter.Seq2[A, error], most int) ([]T, error) {
	out := []T{}
	err := walk(list, most, func(v T) error {
		out = append(out, v)
		return nil
	})
	return out, err
}

func (r remote) Organizations(ctx context.Context) ([]organizations.Organization, error) {
	return gather[organizations.Organization](r.c.Organizations(ctx), math.MaxInt)
}

func (r remote) CreateOrganization(ctx context.Context, o setting.Organization) (organizations.Organization, error) {
	in := client.OrganizationInput{ID: o.ID, LicenceLimit: &o.LicenceLimit}
	if o.Name != "" {
		in.Name = &o.Name
	}
	return from[organizations.Organization](r.c.CreateOrganization(ctx, in))
}

func (r remote) UpdateOrganization(ctx context.Context, o setting.Organization) error {
	_, err := r.c.UpdateOrganization(ctx, o.ID, client.OrganizationInput{Name: &o.Name, LicenceLimit: &o.LicenceLimit})
	return told(err)
}

func (r remote) DeleteOrganization(ctx context.Context, id string) error {
	return told(r.c.DeleteOrganization(ctx, id))
}

func (r remote) Connections(ctx context.Context) ([]connectionJSON, error) {
	out := []connectionJSON{}
	for c, err := range r.c.Connections(ctx, "") {
		if err != nil {
			return nil, told(err)
		}
		out = append(out, line(&c))
	}
	return out, nil
}

func (r remote) Connection(ctx context.Context, alias string) (connectionJSON, error) {
	c, err := r.c.Connection(ctx, alias)
	return line(&c), told(err)
}

// line is a connection as lists show it.
func line(c *client.Connection) connectionJSON {
	j := connectionJSON{Alias: c.Alias, Organization: c.Organization, Complete: c.State.Complete, LastFullAt: c.State.LastFullAt,
		People: c.State.People, Groups: c.State.Groups, Attention: c.State.Waits, Unset: c.State.Unset}
	for kind := range c.Backend {
		j.Source = kind
	}
	j.DryRun, _ = c.Settings["dry-run"].(bool)
	if c.Schedule != "" {
		j.Schedule = &c.Schedule
	}
	if c.State.Complete != nil && !*c.State.Complete && c.State.Reason != nil {
		j.reason = *c.State.Reason
	}
	return j
}

// ExportConnections makes the file here, from settings that hold no secrets.
func (r remote) ExportConnections(ctx context.Context, alias string) ([]byte, error) {
	var list []setting.Connection
	take := func(c *client.Connection) error {
		one, err := written(c)
		list = append(list, one)
		return err
	}
	if alias != "" {
		c, err := r.c.Connection(ctx, alias)
		if err == nil {
			err = take(&c)
		}
		if err != nil {
			return nil, told(err)
		}
	} else {
		for c, err := range r.c.Connections(ctx, "") {
			if err == nil {
				err = take(&c)
			}
			if err != nil {
				return nil, told(err)
			}
		}
	}
	tenants, err := r.Organizations(ctx)
	if err != nil {
		return nil, err
	}
	var declared []setting.Organization
	for _, o := range tenants {
		s := setting.Organization{ID: o.ID, Name: o.Name}
		if o.LicenceLimit != nil {
			s.LicenceLimit = *o.LicenceLimit
		}
		declared = append(declared, s)
	}
	return config.Export(list, declared, all.Kinds())
}

// written is a connection as settings. In the place of its secrets stands something
// that is not shown.
func written(c *client.Connection) (setting.Connection, error) {
	form, err := as[map[string]any](c)
	if err != nil {
		return setting.Connection{}, err
	}
	for _, name := range []string{"declared", "secrets_set", "secrets_missing", "version", "updated_at", "updated_by", "state"} {
		delete(form, name)
	}
	body, err := json.Marshal(form)
	if err != nil {
		return setting.Connection{}, err
	}
	out, err := config.Connection("connection "+c.Alias, body, all.Kinds())
	for _, name := range c.SecretsSet {
		out.Backend[name] = "set"
	}
	return out, err
}

func (r remote) ApplyConnection(ctx context.Context, c setting.Connection) (fresh bool, err error) {
	form, err := config.Whole(c, all.Kinds())
	if err != nil {
		return false, err
	}
	_, err = r.c.Connection(ctx, c.Alias)
	var p *client.Problem
	switch {
	case err == nil:
		_, err = r.c.ReplaceConnection(ctx, c.Alias, form)
		return false, told(err)
	case errors.As(err, &p) && p.Status == http.StatusNotFound:
		_, err = r.c.CreateConnection(ctx, form)
		return true, told(err)
	}
	return false, told(err)
}

func (r remote) DeleteConnection(ctx context.Context, alias string) error {
	return told(r.c.DeleteConnection(ctx, alias))
}

func (r remote) Reset(ctx context.Context, alias string) error {
	return told(r.c.ResetConnection(ctx, alias))
}

func (r remote) Check(ctx context.Context, alias string, report func(client.Step)) (bool, error) {
	out, err := r.c.Check(ctx, alias, report)
	return out.OK, told(err)
}

func (r remote) Why(ctx context.Context, alias, who string) ([]engine.Why, error) {
	return from[[]engine.Why](r.c.Why(ctx, alias, who))
}

func (r remote) MakePlan(ctx context.Context, alias string, full bool, report func(engine.Progress)) (*engine.Plan, error) {
	return from[*engine.Plan](r.c.MakePlan(ctx, alias, client.SyncInput{Full: full}, progressed(report)))
}

func progressed(report func(engine.Progress)) func(client.Progress) {
	return func(p client.Progress) {
		if p.Phase != "waiting" && p.Phase != "ended" {
			report(engine.Progress{Phase: p.Phase, Done: p.Done, Total: p.Total})
		}
	}
}

// ended follows a run to its end. One that failed is an error, as it is where the
// run is one's own.
func (r remote) ended(ctx context.Context, begun client.Run, err error, report func(engine.Progress)) (*engine.Run, error) {
	if err == nil {
		begun, err = r.c.Wait(ctx, begun.ID, progressed(report))
	}
	run, err := from[*engine.Run](begun, err)
	if err != nil {
		return nil, err
	}
	if run.State == engine.RunFailed && run.Error != nil {
		return run, fault.New(fault.Conflict, "%s", *run.Error).WithHint("the server's log has more about run %s", run.ID)
	}
	return run, nil
}

func (r remote) Sync(ctx context.Context, alias string, full bool, report func(engine.Progress)) (*engine.Run, error) {
	run, err := r.c.Sync(ctx, alias, client.SyncInput{Full: full})
	return r.ended(ctx, run, err, report)
}

func (r remote) SyncPerson(ctx context.Context, alias, who string, report func(engine.Progress)) (*engine.Run, error) {
	run, err := r.c.Sync(ctx, alias, client.SyncInput{Who: who})
	return r.ended(ctx, run, err, report)
}

func (r remote) Approve(ctx context.Context, id string, exclude []string, report func(engine.Progress)) (*engine.Run, error) {
	for i := range exclude {
		exclude[i] = strings.TrimSpace(exclude[i])
	}
	run, err := r.c.Approve(ctx, id, client.ApproveInput{Exclude: exclude})
	return r.ended(ctx, run, err, report)
}

func (r remote) Revert(ctx context.Context, id string, report func(engine.Progress)) (*engine.Run, error) {
	run, err := r.c.Revert(ctx, id)
	return r.ended(ctx, run, err, report)
}

func (r remote) PlanRevert(ctx context.Context, id string, _ func(engine.Progress)) (*engine.Plan, error) {
	return from[*engine.Plan](r.c.PlanRevert(ctx, id))
}

func (r remote) Reject(ctx context.Context, id string) (*engine.Plan, error) {
	return from[*engine.Plan](r.c.Reject(ctx, id))
}

func (r remote) Plans(ctx context.Context, connection string, limit int) ([]*engine.Plan, error) {
	return gather[*engine.Plan](r.c.Plans(ctx, client.ListQuery{Connection: connection}), limit)
}

func (r remote) Plan(ctx context.Context, id string) (*engine.Plan, error) {
	return from[*engine.Plan](r.c.Plan(ctx, id))
}

func (r remote) Rows(ctx context.Context, p *engine.Plan, fn func(plan.Row) error) error {
	return walk(r.c.Changes(ctx, p.ID), math.MaxInt, fn)
}

func (r remote) Notes(ctx context.Context, p *engine.Plan, fn func(plan.NoteRow) error) error {
	return walk(r.c.Notes(ctx, p.ID), math.MaxInt, fn)
}

func (r remote) Runs(ctx context.Context, connection string, limit int, fn func(*engine.Run) error) error {
	return walk(r.c.Runs(ctx, client.ListQuery{Connection: connection}), limit, fn)
}

func (r remote) Run(ctx context.Context, id string) (*engine.Run, error) {
	return from[*engine.Run](r.c.Run(ctx, id))
}

func (r remote) Accounts(ctx context.Context, f accounts.Filter, fn func(*account.Account) error) error {
	q := client.AccountQuery{Organization: f.Organization, Connection: f.Connection, Status: string(f.Status), Search: f.Search}
	if f.Limit > 0 {
		return walk(r.c.Accounts(ctx, q), f.Limit, fn)
	}
	return walk(r.c.ExportAccounts(ctx, q), math.MaxInt, fn)
}

func (r remote) Find(ctx context.Context, who string) ([]*account.Account, error) {
	found, err := gather[*account.Account](r.c.Accounts(ctx, client.AccountQuery{Who: who}), math.MaxInt)
	if err == nil && len(found) == 0 {
		return nil, fault.New(fault.NotFound, "no account has the ID, username, e-mail or external ID %q", who).
			WithHint("`rollcall accounts list --search %s` looks in names too; `rollcall why CONNECTION %s` says why somebody is not in", who, who)
	}
	return found, err
}

func (r remote) Names(ctx context.Context, ids []account.ID) (map[account.ID]string, error) {
	const most = 100
	out := map[account.ID]string{}
	for part := range slices.Chunk(ids, most) {
		texts := make([]string, len(part))
		for i := range part {
			texts[i] = part[i].String()
		}
		err := walk(r.c.Accounts(ctx, client.AccountQuery{IDs: texts}), most, func(a *account.Account) error {
			out[a.ID] = a.Text[account.Username]
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// CreateAccount sends the fields as JSON has them.
func (r remote) CreateAccount(ctx context.Context, organization string, row map[string]string) (account.Account, error) {
	form, attributes := map[string]any{"organization": organization}, map[string]string{}
	for name, v := range row {
		if custom, ok := strings.CutPrefix(name, ledger.AttributePrefix); ok {
			attributes[custom] = v
		} else if v != "" {
			form[name] = v
		}
	}
	if len(attributes) > 0 {
		form["attributes"] = attributes
	}
	in, err := as[client.AccountInput](form)
	if err != nil {
		return account.Account{}, fmt.Errorf("accounts create: %w", err)
	}
	return from[account.Account](r.c.CreateAccount(ctx, in))
}

func (r remote) ImportAccounts(ctx context.Context, organization string, table io.Reader) ([]account.Account, error) {
	return from[[]account.Account](r.c.ImportAccounts(ctx, organization, table))
}

func (r remote) Groups(ctx context.Context, organization, connection string, fn func(account.Group) error) error {
	return walk(r.c.Groups(ctx, organization, connection), math.MaxInt, fn)
}

func (r remote) Members(ctx context.Context, group account.ID, fn func(*account.Account) error) error {
	return walk(r.c.Members(ctx, group.String()), math.MaxInt, fn)
}

func (r remote) Events(ctx context.Context, organization string, after int64, limit int, fn func(event.Event) error) error {
	for at := after; limit > 0; {
		p, err := r.c.Events(ctx, at, client.EventQuery{Organization: organization, Limit: min(limit, mostAtOnce)})
		if err != nil {
			return told(err)
		}
		if err := handOn(p.Items, fn); err != nil || len(p.Items) < min(limit, mostAtOnce) {
			return err
		}
		limit -= len(p.Items)
		at = p.NextAfter
	}
	return nil
}

// mostAtOnce is the longest piece of a list that the API gives.
const mostAtOnce = 1000

func handOn(list []client.Event, fn func(event.Event) error) error {
	for i := range list {
		e, err := as[event.Event](list[i])
		if err == nil {
			err = fn(e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r remote) LastEvents(ctx context.Context, organization string, limit int, fn func(event.Event) error) error {
	if limit > mostAtOnce {
		// More than one piece is read from its beginning.
		end, err := r.NewestEvent(ctx)
		if err != nil {
			return err
		}
		return r.Events(ctx, organization, max(-1, end-int64(limit)), limit, fn)
	}
	p, err := r.c.LastEvents(ctx, client.EventQuery{Organization: organization, Limit: limit})
	if err != nil {
		return told(err)
	}
	return handOn(p.Items, fn)
}

func (r remote) NewestEvent(ctx context.Context) (int64, error) {
	p, err := r.c.LastEvents(ctx, client.EventQuery{Limit: 1})
	return p.Newest, told(err)
}

func (r remote) Keys(ctx context.Context) ([]client.Key, error) {
	return gather[client.Key](r.c.Keys(ctx), math.MaxInt)
}

func (r remote) CreateKey(ctx context.Context, in client.KeyInput) (client.NewKey, error) {
	k, err := r.c.CreateKey(ctx, in)
	return k, told(err)
}

func (r remote) RevokeKey(ctx context.Context, id string) (client.Key, error) {
	k, err := r.c.RevokeKey(ctx, id)
	return k, told(err)
}
