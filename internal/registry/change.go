package registry

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/config"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/agents"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/declarations"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
	"rollcall.dev/rollcall/internal/store/pushers"
)

// Who is who changes something: the organization that its key belongs to ("" for
// an operator, who may do everything) and the name that events carry.
type Who struct{ Organization, Actor string }

// draft is a connection as somebody wants it, its secrets apart.
type draft struct {
	setting.Connection
	body    []byte
	secrets map[string]string
}

// read decodes what somebody wants a connection to be.
func (r *Registry) read(who Who, name string, body []byte) (*draft, error) {
	if who.Organization != "" {
		var err error
		if body, err = owned(body, who.Organization); err != nil {
			return nil, err
		}
	}
	c, err := config.Connection(name, body, r.Kinds)
	if err != nil {
		return nil, err
	}
	if err := mayBeGiven(who, c, r.kind(c.Kind).Options); err != nil {
		return nil, err
	}
	d := &draft{Connection: c, secrets: map[string]string{}}
	for _, o := range r.kind(c.Kind).Options {
		if text, ok := c.Backend[o.Name].(string); ok && o.Secret && text != "" {
			d.secrets[o.Name] = text
		}
	}
	d.body, err = config.JSON(c, r.Kinds)
	return d, err
}

// owned sees to it that a connection belongs to the organization whose key asks.
func owned(body []byte, organization string) ([]byte, error) {
	var form map[string]json.RawMessage
	if err := json.Unmarshal(body, &form); err != nil {
		return nil, fault.New(fault.Invalid, "the connection is not a JSON object: %w", err)
	}
	named, err := json.Marshal(organization)
	if err != nil {
		return nil, err
	}
	if given, ok := form["organization"]; ok && string(given) != string(named) {
		return nil, fault.New(fault.NotFound, "there is no organization %s", given)
	}
	form["organization"] = named
	return json.Marshal(form)
}

// mayBeGiven refuses settings that name files of this machine, but from operators.
func mayBeGiven(who Who, c setting.Connection, options []setting.Option) error {
	if who.Organization == "" {
		return nil
	}
	for _, o := range options {
		if _, given := c.Backend[o.Name]; given && o.Local {
			return fault.New(fault.Denied, "%s.%s names a file of the machine Rollcall runs on; only an operator sets it", c.Kind, o.Name).
				WithHint("for a table, set `upload: true` and send the file; a certificate is given as text")
		}
	}
	return nil
}

// claims refuses e-mail domains that an organization claims for itself: passwords of
// people who have an address there are sent to its directory. Only an operator knows
// whose a domain is.
func claims(who Who, before, after []string) error {
	for _, name := range after {
		if who.Organization != "" && !slices.Contains(before, name) {
			return fault.New(fault.Denied, "sign_in.domains: only an operator says that people of %s sign in here", name).
				WithHint("ask an operator of the installation; until then, people go to the connection's own page")
		}
	}
	return nil
}

// Create makes a connection from JSON in the form of rollcall.yaml.
func (r *Registry) Create(ctx context.Context, who Who, body []byte) (*Entry, error) {
	d, err := r.read(who, "connection", body)
	if err != nil {
		return nil, err
	}
	if err := claims(who, nil, d.SignIn.Domains); err != nil {
		return nil, err
	}
	if err := r.Validate(d.Connection); err != nil {
		return nil, err
	}
	if _, taken := r.fromFile(d.Alias); taken {
		return nil, fault.New(fault.Conflict, "the alias %q is taken", d.Alias).WithHint("an alias is unique in the installation; choose another")
	}
	now := r.now()
	row := &declarations.Row{Alias: d.Alias, Organization: d.Organization, Scheduled: d.Schedule != "", Body: d.body, Version: 1, CreatedAt: now, UpdatedAt: now, UpdatedBy: who.Actor}
	return r.write(ctx, row, func(tx *db.Tx) error {
		if err := organizations.Exists(ctx, tx, d.Organization); err != nil {
			return err
		}
		if err := r.aliasIsFree(ctx, tx, d); err != nil {
			return err
		}
		if err := declarations.Put(ctx, tx, row); err != nil {
			return err
		}
		for name, text := range d.secrets {
			if err := r.Store.SecretTable.Set(ctx, tx, owner(d.Alias), name, text, now); err != nil {
				return err
			}
		}
		return r.tell(ctx, tx, event.ConnectionCreated, who, d.Connection, nil, d.body, names(d.secrets))
	})
}

// aliasIsFree refuses an alias under which another organization has accounts.
func (r *Registry) aliasIsFree(ctx context.Context, q db.Querier, d *draft) error {
	var belongs string
	err := q.QueryRowContext(ctx, `SELECT COALESCE(max(organization), '') FROM connections WHERE alias = $1`, d.Alias).Scan(&belongs)
	if err == nil && belongs != "" && belongs != d.Organization {
		return fault.New(fault.Conflict, "the alias %q is taken", d.Alias).WithHint("an alias is unique in the installation; choose another")
	}
	return db.Explain("look for alias "+d.Alias, err)
}

// Update changes a connection by a JSON merge patch (RFC 7396). Where a setting
// changes that says where secrets are sent, those that are not given anew are
// taken away. version is the one the caller knows; 0 takes whatever is there.
func (r *Registry) Update(ctx context.Context, who Who, alias string, patch []byte, version int64) (*Entry, error) {
	return r.change(ctx, who, alias, patch, version, func(old []byte) ([]byte, error) { return config.Merge(old, patch) })
}

// Replace changes a connection into what body says; a secret that it does not
// give stays, under the same condition.
func (r *Registry) Replace(ctx context.Context, who Who, alias string, body []byte, version int64) (*Entry, error) {
	return r.change(ctx, who, alias, body, version, func([]byte) ([]byte, error) { return body, nil })
}

func (r *Registry) change(ctx context.Context, who Who, alias string, form []byte, version int64, become func(old []byte) ([]byte, error)) (*Entry, error) {
	row, before, err := r.changeable(ctx, who, alias)
	if err != nil {
		return nil, err
	}
	if version != 0 && version != row.Version {
		return nil, fault.New(fault.Conflict, "connection %s was changed by somebody else meanwhile (version %d, not %d)", alias, row.Version, version).
			WithHint("read it again, and change what is there now")
	}
	body, err := become(row.Body)
	if err != nil {
		return nil, err
	}
	d, err := r.read(who, "connection "+alias, body)
	if err != nil {
		return nil, err
	}
	if err := d.stays(alias, row.Organization); err != nil {
		return nil, err
	}
	if err := claims(who, before.SignIn.Domains, d.SignIn.Domains); err != nil {
		return nil, err
	}
	now := r.now()
	old := row.Body
	row.Scheduled, row.Body, row.Version, row.UpdatedAt, row.UpdatedBy = d.Schedule != "", d.body, row.Version+1, now, who.Actor
	return r.write(ctx, row, func(tx *db.Tx) error {
		// The version is checked first: from here on nobody else changes it.
		if err := declarations.Put(ctx, tx, row); err != nil {
			return err
		}
		changed, err := r.keepSecrets(ctx, tx, before, d, emptied(form, d.Kind, r.kind(d.Kind).Options), now)
		if err != nil {
			return err
		}
		whole, err := r.opened(ctx, tx, row)
		if err != nil {
			return err
		}
		if err := r.Validate(whole); err != nil {
			return err
		}
		return r.tell(ctx, tx, event.ConnectionUpdated, who, d.Connection, old, d.body, changed)
	})
}

// keepSecrets writes the secrets that were given, forgets those that were emptied,
// and takes those away that were given for another place. It gives the names of
// what changed.
func (r *Registry) keepSecrets(ctx context.Context, tx *db.Tx, before setting.Connection, d *draft, emptied []string, now time.Time) ([]string, error) {
	have, err := r.Store.SecretTable.Of(ctx, tx, owner(d.Alias), false)
	if err != nil {
		return nil, err
	}
	var changed []string
	goesElsewhere := moved(before, d.Connection, r.kind(d.Kind).Options)
	for _, s := range have {
		if _, anew := d.secrets[s.Name]; anew || !goesElsewhere || slices.Contains(emptied, s.Name) {
			continue
		}
		changed = append(changed, s.Name)
		if before.Kind != d.Kind {
			err = r.Store.SecretTable.Delete(ctx, tx, owner(d.Alias), s.Name)
		} else {
			err = r.Store.SecretTable.Take(ctx, tx, owner(d.Alias), s.Name, now)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, name := range emptied {
		if err := r.Store.SecretTable.Delete(ctx, tx, owner(d.Alias), name); err != nil {
			return nil, err
		}
	}
	for name, text := range d.secrets {
		if err := r.Store.SecretTable.Set(ctx, tx, owner(d.Alias), name, text, now); err != nil {
			return nil, err
		}
	}
	return append(append(changed, emptied...), names(d.secrets)...), nil
}

// emptied are the secrets that a form takes away: those it names as null or "".
func emptied(body []byte, kind string, options []setting.Option) (out []string) {
	var form struct {
		Backend map[string]any `json:"backend"`
	}
	if json.Unmarshal(body, &form) != nil {
		return out
	}
	for _, o := range options {
		if !o.Secret {
			continue
		}
		at, ok := form.Backend[kind]
		for _, name := range strings.Split(o.Name, ".") {
			var block map[string]any
			if block, _ = at.(map[string]any); block == nil {
				ok = false
				break
			}
			at, ok = block[name]
		}
		if ok && (at == nil || at == "") {
			out = append(out, o.Name)
		}
	}
	return out
}

func names(m map[string]string) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	return out
}

// Delete forgets a connection's settings, secrets and files; it is a
// fault.Conflict while a run of it goes on. Its accounts stay as they are, and so
// does what was read, as with one that is taken out of rollcall.yaml: made again
// under the same alias, by the same organization, it goes on from there with a
// full reading.
func (r *Registry) Delete(ctx context.Context, who Who, alias string) (err error) {
	row, c, err := r.changeable(ctx, who, alias)
	if err != nil {
		return err
	}
	lease, err := r.Store.Leases().Acquire(ctx, alias, c.Organization, c.Kind)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Store.Leases().Release(context.WithoutCancel(ctx), lease)) }()
	if err := r.Store.Mirror().Reset(ctx, lease, c.Organization, who.Actor, r.now()); err != nil {
		return err
	}
	err = r.Store.DB.Write(ctx, func(tx *db.Tx) error {
		if err := declarations.Delete(ctx, tx, alias); err != nil {
			return err
		}
		if err := r.Store.SecretTable.Delete(ctx, tx, owner(alias), ""); err != nil {
			return err
		}
		if err := r.Store.UploadTable.Delete(ctx, tx, alias); err != nil {
			return err
		}
		if err := r.Store.Pushed.Delete(ctx, tx, alias); err != nil {
			return err
		}
		if err := agents.ForgetAll(ctx, tx, alias, who.Actor, r.now()); err != nil {
			return err
		}
		// Agents are locked before the feed and clients that push behind it, here as there:
		// two that lock the same in another order wait for each other.
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		if err := pushers.Forget(ctx, tx, alias); err != nil {
			return err
		}
		return r.tell(ctx, tx, event.ConnectionDeleted, who, c, row.Body, nil, nil)
	})
	if err == nil && r.Changed != nil {
		r.Changed(ctx, alias)
	}
	return err
}

// changeable gives a connection that may be changed here.
func (r *Registry) changeable(ctx context.Context, who Who, alias string) (*declarations.Row, setting.Connection, error) {
	if c, ok := r.fromFile(alias); ok && (who.Organization == "" || c.Organization == who.Organization) {
		return nil, c, fault.New(fault.Conflict, "connection %s is declared in rollcall.yaml", alias).WithHint("change it there; the server takes it over on SIGHUP")
	}
	row, err := r.Store.DeclarationTable.Get(ctx, r.Store.DB.Reader(), who.Organization, alias)
	if err != nil {
		return nil, setting.Connection{}, err
	}
	c, err := r.decode(row)
	return row, c, err
}

// write carries out a change, and gives the connection as it is then.
func (r *Registry) write(ctx context.Context, row *declarations.Row, change func(*db.Tx) error) (*Entry, error) {
	var e *Entry
	err := r.Store.DB.Write(ctx, func(tx *db.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		var err error
		e, err = r.entry(ctx, tx, row)
		return err
	})
	if err == nil && r.Changed != nil {
		r.Changed(ctx, row.Alias)
	}
	return e, err
}

// tell writes the event of a change: settings before and after, and the names of
// secrets that changed, never their texts.
func (r *Registry) tell(ctx context.Context, tx *db.Tx, kind event.Type, who Who, c setting.Connection, before, after []byte, secrets []string) error {
	why := ""
	if len(secrets) > 0 {
		why = "secrets changed: " + strings.Join(sorted(secrets), ", ")
	}
	return events.Append(ctx, tx, []event.Event{{Type: kind, Organization: c.Organization, Connection: &c.Alias, At: r.now(), Actor: who.Actor,
		Before: before, After: after, Why: why}})
}
