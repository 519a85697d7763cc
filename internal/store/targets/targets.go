// Package targets is the tables of applications that accounts are pushed to over
// SCIM: where they are, and what each account and group is there. It makes what is
// due out of the feed, hands that on to the client that pushes it (package
// deliver/scim), and shows all of it to the API and the command line.
package targets

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// Sealer keeps secrets at rest; seal.Ring is one. What was sealed for one purpose
// does not open for another.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
	Newest(sealed []byte) (bool, error) // whether it was sealed with the newest key
}

// Targets is the tables. Every method that people reach takes the organization that
// asks, "" for the operator, and gives a fault.NotFound for what is another one's.
type Targets struct {
	DB     *db.DB
	Sealer Sealer
	// Check refuses an address that could never be pushed to, with a fault.Invalid;
	// nil lets every one through.
	Check func(*url.URL) error
	// Known gives whose a connection is, or a fault.NotFound; nil takes every one.
	Known func(ctx context.Context, alias string) (organization string, err error)
	Now   func() time.Time
}

// Bearer and OAuth are how a target knows us.
const (
	Bearer = "bearer"
	OAuth  = "oauth"
)

// Disable and Delete are what becomes of leavers there.
const (
	Disable = "disable"
	Delete  = "delete"
)

const mostTargets = 20 // of an organization: each event is looked at for each of them

var letters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func random() string {
	b := make([]byte, 10)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return letters.EncodeToString(b)
}

func (t *Targets) now() time.Time { return t.Now().UTC().Truncate(time.Microsecond) }

func purpose(id string) string { return "target " + id + ": secret" }

const columns = `t.id, t.organization, t.name, t.url, t.auth, t.client_id, t.token_url, t.oauth_scope, t.connections, t.push_groups, t.leavers, t.enabled,
	t.error, t.failing_since, t.paused_until, t.created_at, t.updated_at`

const counted = `, (SELECT count(*) FROM target_links l WHERE l.target = t.id AND l.state = 'due'),
	(SELECT count(*) FROM target_links l WHERE l.target = t.id AND l.state = 'synced'),
	(SELECT count(*) FROM target_links l WHERE l.target = t.id AND l.state = 'failed')`

func (t *Targets) scan(row interface{ Scan(...any) error }, more ...any) (*client.Target, error) {
	var out client.Target
	var clientID, tokenURL, scope, connections, failure string
	var failing, paused, created, updated int64
	into := []any{&out.ID, &out.Organization, &out.Name, &out.URL, &out.Auth, &clientID, &tokenURL, &scope, &connections, &out.Groups, &out.Leavers, &out.Enabled,
		&failure, &failing, &paused, &created, &updated}
	if err := row.Scan(append(into, more...)...); err != nil {
		return nil, err
	}
	out.ClientID, out.TokenURL, out.OAuthScope, out.Error = optional(clientID), optional(tokenURL), optional(scope), optional(failure)
	out.FailingSince, out.CreatedAt, out.UpdatedAt = moment(failing), db.Time(created), db.Time(updated)
	if at := db.Time(paused); at.After(t.now()) {
		out.PausedUntil = &at
	}
	return &out, json.Unmarshal([]byte(connections), &out.Connections)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func moment(us int64) *time.Time {
	if us == 0 {
		return nil
	}
	at := db.Time(us)
	return &at
}

func (t *Targets) one(ctx context.Context, q db.Querier, asks, id string) (*client.Target, error) {
	out, err := t.scanCounted(q.QueryRowContext(ctx, `SELECT `+columns+counted+` FROM targets t WHERE t.id = $1 AND ($2 = '' OR t.organization = $2)`, id, asks))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no target %q", id)
	}
	return out, db.Explain("read the target", err)
}

func (t *Targets) scanCounted(row interface{ Scan(...any) error }) (*client.Target, error) {
	var due, synced, failed int
	out, err := t.scan(row, &due, &synced, &failed)
	if out != nil {
		out.Due, out.Synced, out.Failed = due, synced, failed
	}
	return out, err
}

// Get gives one target.
func (t *Targets) Get(ctx context.Context, asks, id string) (*client.Target, error) {
	return t.one(ctx, t.DB.Reader(), asks, id)
}

// List gives targets behind an ID, in the order of IDs, at most limit.
func (t *Targets) List(ctx context.Context, asks, after string, limit int) ([]*client.Target, error) {
	out := []*client.Target{}
	err := db.Each(ctx, t.DB.Reader(), `SELECT `+columns+counted+` FROM targets t WHERE ($1 = '' OR t.organization = $1) AND t.id > $2 ORDER BY t.id LIMIT $3`,
		[]any{asks, after, limit}, func(rows *sql.Rows) error {
			one, err := t.scanCounted(rows)
			out = append(out, one)
			return err
		})
	return out, err
}

// Create makes a target. Everything there is to push is pushed once, and what
// happens after that as it happens.
func (t *Targets) Create(ctx context.Context, asks string, in client.TargetInput, actor string) (*client.Target, error) {
	if asks != "" {
		if in.Organization != "" && in.Organization != asks {
			return nil, fault.New(fault.NotFound, "there is no organization %q", in.Organization)
		}
		in.Organization = asks
	}
	now := t.now()
	made := client.Target{ID: "tg_" + random(), Organization: in.Organization, Auth: Bearer, Leavers: Disable, Groups: true, Enabled: true, Connections: []string{}, CreatedAt: now, UpdatedAt: now}
	if in.Organization == "" {
		return nil, fault.New(fault.Invalid, "target: it belongs to no organization").WithHint("say whose accounts are pushed")
	}
	put(&made, in.TargetPatchInput)
	if err := t.fits(ctx, &made); err != nil {
		return nil, err
	}
	if in.Secret == nil || *in.Secret == "" {
		return nil, fault.New(fault.Invalid, "target: it has no secret").WithHint("give the token that the application made, or with OAuth the client's secret")
	}
	if err := fitsSecret(*in.Secret); err != nil {
		return nil, err
	}
	sealed, err := t.Sealer.Seal(purpose(made.ID), []byte(*in.Secret))
	if err != nil {
		return nil, err
	}
	connections, err := json.Marshal(made.Connections)
	if err != nil {
		return nil, err
	}
	var out *client.Target
	err = t.DB.Write(ctx, func(tx *db.Tx) error {
		if err := organizations.Exists(ctx, tx, made.Organization); err != nil {
			return err
		}
		var count int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM targets WHERE organization = $1`, made.Organization).Scan(&count); err != nil {
			return db.Explain("look at the targets", err)
		}
		if count >= mostTargets {
			return fault.New(fault.Conflict, "there are %d targets already, which is the most", count).WithHint("delete one that is not used")
		}
		if _, err := tx.Exec(ctx, `INSERT INTO targets (id, organization, name, url, auth, client_id, token_url, oauth_scope, secret, connections, push_groups, leavers, enabled, cursor, loaded, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $15, $16)`, made.ID, made.Organization, made.Name, made.URL, made.Auth, text(made.ClientID), text(made.TokenURL),
			text(made.OAuthScope), sealed, string(connections), made.Groups, made.Leavers, made.Enabled, false, db.Micros(now), db.Micros(now)); err != nil {
			return err
		}
		if out, err = t.one(ctx, tx, "", made.ID); err != nil {
			return err
		}
		return t.tell(ctx, tx, event.TargetCreated, out, actor, nil, public(out))
	})
	return out, err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// put lays what was given over a target.
func put(to *client.Target, p client.TargetPatchInput) {
	for _, of := range []struct {
		from *string
		into *string
	}{{p.Name, &to.Name}, {p.URL, &to.URL}, {p.Auth, &to.Auth}, {p.Leavers, &to.Leavers}} {
		if of.from != nil {
			*of.into = *of.from
		}
	}
	for _, of := range []struct {
		from *string
		into **string
	}{{p.ClientID, &to.ClientID}, {p.TokenURL, &to.TokenURL}, {p.OAuthScope, &to.OAuthScope}} {
		if of.from != nil {
			*of.into = optional(*of.from)
		}
	}
	if p.Connections != nil {
		to.Connections = slices.Compact(slices.Sorted(slices.Values(*p.Connections)))
		if to.Connections == nil {
			to.Connections = []string{}
		}
	}
	if p.Groups != nil {
		to.Groups = *p.Groups
	}
	if p.Enabled != nil {
		to.Enabled = *p.Enabled
	}
	to.URL = strings.TrimRight(to.URL, "/")
}

// fits refuses what could never work.
func (t *Targets) fits(ctx context.Context, of *client.Target) error {
	if strings.TrimSpace(of.Name) == "" || len(of.Name) > 100 {
		return fault.New(fault.Invalid, "target: it needs a name of at most 100 characters")
	}
	if of.Auth != Bearer && of.Auth != OAuth {
		return fault.New(fault.Invalid, "target: there is no way %q to sign in", of.Auth).WithHint("it is bearer or oauth")
	}
	if of.Leavers != Disable && of.Leavers != Delete {
		return fault.New(fault.Invalid, "target: leavers cannot be %q", of.Leavers).WithHint("it is disable or delete")
	}
	for _, alias := range of.Connections {
		if t.Known == nil || alias == account.Local {
			continue
		}
		whose, err := t.Known(ctx, alias)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err != nil || whose != of.Organization {
			return fault.New(fault.Invalid, "target: there is no connection %q for it", alias).WithHint("`rollcall connections list` shows those there are")
		}
	}
	if err := t.fitsURL(of.URL); err != nil {
		return err
	}
	if of.Auth == Bearer {
		return nil
	}
	if text(of.ClientID) == "" || text(of.TokenURL) == "" {
		return fault.New(fault.Invalid, "target: OAuth needs the client's identifier and the address where tokens are").WithHint("give client_id and token_url")
	}
	return t.fitsURL(*of.TokenURL)
}

func (t *Targets) fitsURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case len(address) > 2000:
		return fault.New(fault.Invalid, "target: the address is longer than 2,000 characters")
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return fault.New(fault.Invalid, "target: the address cannot be read").WithHint("it looks like https://app.example.com/scim/v2")
	case u.User != nil || u.Fragment != "":
		return fault.New(fault.Invalid, "target: the address carries a password or a fragment").WithHint("give the token as the secret")
	case t.Check == nil:
		return nil
	}
	return t.Check(u)
}

// fitsSecret refuses what no header can carry.
func fitsSecret(s string) error {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return fault.New(fault.Invalid, "target: the secret has a space or a character in it that cannot be sent")
		}
	}
	if len(s) > 4096 {
		return fault.New(fault.Invalid, "target: the secret is longer than 4,096 characters")
	}
	return nil
}

// Update changes a target. Whatever decides who is pushed has everything looked at
// again; another address is another application, of which nothing is known. Whoever
// pushes there just now, as the target was before, loses the turn.
func (t *Targets) Update(ctx context.Context, asks, id string, p client.TargetPatchInput, actor string) (*client.Target, error) {
	var sealed []byte
	if p.Secret != nil {
		err := fitsSecret(*p.Secret)
		if err == nil && *p.Secret == "" {
			err = fault.New(fault.Invalid, "target: the secret is empty")
		}
		if err == nil {
			sealed, err = t.Sealer.Seal(purpose(id), []byte(*p.Secret))
		}
		if err != nil {
			return nil, err
		}
	}
	var out *client.Target
	err := t.DB.Write(ctx, func(tx *db.Tx) error {
		if err := lock(ctx, tx, id); err != nil {
			return err
		}
		was, err := t.one(ctx, tx, asks, id)
		if err != nil {
			return err
		}
		is := *was
		put(&is, p)
		if err := t.fits(ctx, &is); err != nil {
			return err
		}
		if sealed == nil && (is.Auth != was.Auth || origin(is.URL) != origin(was.URL) || origin(text(is.TokenURL)) != origin(text(was.TokenURL))) {
			return fault.New(fault.Invalid, "target: its secret would go to another server than it was given for").WithHint("give the secret again with the new address")
		}
		connections, err := json.Marshal(is.Connections)
		if err != nil {
			return err
		}
		again := is.URL != was.URL || !slices.Equal(is.Connections, was.Connections) || is.Groups != was.Groups || is.Leavers != was.Leavers
		if _, err := tx.Exec(ctx, `UPDATE targets SET name = $2, url = $3, auth = $4, client_id = $5, token_url = $6, oauth_scope = $7, connections = $8, push_groups = $9, leavers = $10, enabled = $11,
			updated_at = $12, failures = 0, failing_since = 0, paused_until = 0, error = '', claim = '', claimed_until = 0 WHERE id = $1`, id, is.Name, is.URL, is.Auth, text(is.ClientID), text(is.TokenURL), text(is.OAuthScope),
			string(connections), is.Groups, is.Leavers, is.Enabled, db.Micros(t.now())); err != nil {
			return err
		}
		if again {
			if _, err := tx.Exec(ctx, `UPDATE targets SET loaded = $2 WHERE id = $1`, id, false); err != nil {
				return err
			}
		}
		if is.URL != was.URL {
			if err := forget(ctx, tx, id); err != nil {
				return err
			}
		}
		if sealed != nil {
			if _, err := tx.Exec(ctx, `UPDATE targets SET secret = $2 WHERE id = $1`, id, sealed); err != nil {
				return err
			}
		}
		if out, err = t.one(ctx, tx, asks, id); err != nil {
			return err
		}
		before, after := public(was), public(out)
		if sealed != nil {
			after["secret"] = "changed"
		}
		return t.tell(ctx, tx, event.TargetUpdated, out, actor, before, after)
	})
	return out, err
}

// origin is where an address leads, without what is there.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Scheme + "://" + u.Host
}

// lock keeps a target as it is until the transaction ends.
func lock(ctx context.Context, tx *db.Tx, id string) error {
	var x string
	err := tx.QueryRowContext(ctx, `SELECT id FROM targets WHERE id = $1`+tx.Locked(), id).Scan(&x)
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no target %q", id)
	}
	return db.Explain("read the target", err)
}

func forget(ctx context.Context, tx *db.Tx, id string) error {
	for _, q := range []string{`DELETE FROM target_members WHERE target = $1`, `DELETE FROM target_links WHERE target = $1`} {
		if _, err := tx.Exec(ctx, q, id); err != nil {
			return err
		}
	}
	return nil
}

// Delete takes a target away, and what is known of it. The application keeps what it has.
func (t *Targets) Delete(ctx context.Context, asks, id, actor string) error {
	return t.DB.Write(ctx, func(tx *db.Tx) error {
		if err := lock(ctx, tx, id); err != nil {
			return err
		}
		was, err := t.one(ctx, tx, asks, id)
		if err != nil {
			return err
		}
		if err := forget(ctx, tx, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM targets WHERE id = $1`, id); err != nil {
			return err
		}
		return t.tell(ctx, tx, event.TargetDeleted, was, actor, public(was), nil)
	})
}

// Reseal seals every secret with the newest key. It gives how many it was, and names
// those that do not open any more, which are left as they are.
func (t *Targets) Reseal(ctx context.Context, tx *db.Tx) (done int, lost []string, err error) {
	sealed := map[string][]byte{}
	var ids []string
	err = db.Each(ctx, tx, `SELECT id, secret FROM targets ORDER BY id`, nil, func(rows *sql.Rows) error {
		var id string
		var secret []byte
		err := rows.Scan(&id, &secret)
		sealed[id], ids = secret, append(ids, id)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	for _, id := range ids {
		newest, err := t.Sealer.Newest(sealed[id])
		if err != nil {
			return done, lost, err
		}
		if newest {
			continue
		}
		plain, err := t.Sealer.Open(purpose(id), sealed[id])
		if err != nil {
			lost = append(lost, purpose(id))
			continue
		}
		again, err := t.Sealer.Seal(purpose(id), plain)
		if err != nil {
			return done, lost, err
		}
		if _, err := tx.Exec(ctx, `UPDATE targets SET secret = $2 WHERE id = $1`, id, again); err != nil {
			return done, lost, err
		}
		done++
	}
	return done, lost, nil
}

// public is what events tell of a target: of the address only where it leads.
func public(of *client.Target) map[string]any {
	return map[string]any{"name": of.Name, "host": origin(of.URL), "auth": of.Auth, "connections": of.Connections, "groups": of.Groups, "leavers": of.Leavers, "enabled": of.Enabled}
}

// tell writes an event about a target; "target" in what it tells names it. Of a
// change it tells what is different.
func (t *Targets) tell(ctx context.Context, tx *db.Tx, kind event.Type, of *client.Target, actor string, before, after map[string]any) error {
	e := event.Event{Type: kind, Organization: of.Organization, At: t.now(), Actor: actor}
	if before != nil && after != nil {
		for k, v := range before {
			a, errA := json.Marshal(v)
			b, errB := json.Marshal(after[k])
			if errA == nil && errB == nil && string(a) == string(b) {
				delete(before, k)
				delete(after, k)
			}
		}
	}
	for _, side := range []struct {
		what map[string]any
		into *json.RawMessage
	}{{before, &e.Before}, {after, &e.After}} {
		if side.what == nil {
			continue
		}
		side.what["target"] = of.ID
		b, err := json.Marshal(side.what)
		if err != nil {
			return err
		}
		*side.into = b
	}
	return events.Record(ctx, tx, e)
}
