// Package hooks is the tables of webhooks: where events go, the deliveries made
// of them, and every attempt. It makes deliveries out of the feed, hands those
// that are due to the sender (package deliver/webhook) and shows all of them to
// the API and the console.
package hooks

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// Sealer keeps secrets at rest; seal.Ring is one.
// What was sealed for one purpose does not open for another.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
	Newest(sealed []byte) (bool, error) // whether it was sealed with the newest key
}

// Hooks is the tables. Every method that people reach takes the organization
// that asks, "" for the operator, and gives a fault.NotFound for what is another
// one's.
type Hooks struct {
	DB     *db.DB
	Sealer Sealer
	// Check refuses an address that could never be delivered to, with a
	// fault.Invalid; nil lets every one through.
	Check func(*url.URL) error
	Now   func() time.Time
}

// Webhook is one endpoint as it is shown. Its secret is shown once, when it is made.
type Webhook struct {
	ID              string     `json:"id"`
	Organization    *string    `json:"organization"` // null: the operator's, which sees everything
	URL             string     `json:"url"`
	Description     string     `json:"description"`
	Types           []string   `json:"types"` // empty: all
	Enabled         bool       `json:"enabled"`
	DisabledBecause *string    `json:"disabled_because"`
	Cursor          int64      `json:"cursor"`        // the last event that was made into a delivery, or passed over
	FailingSince    *time.Time `json:"failing_since"` // nothing was accepted since then
	PausedUntil     *time.Time `json:"paused_until"`  // nothing is tried before
	OldSecretUntil  *time.Time `json:"old_secret_until"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
}

// Spec is a webhook to be made.
type Spec struct {
	Organization string // "" for the operator's; an organization that asks makes its own
	URL          string
	Description  string
	Types        []string // "account.created", "account.*"; none stands for all
	Disabled     bool
	Secret       string // "whsec_..."; made unless given
	From         *int64 // the event behind which it starts; nil at the end of the feed
}

// Patch is a change; nil leaves as it is.
type Patch struct {
	URL         *string
	Description *string
	Types       *[]string
	Enabled     *bool
	// From moves the webhook in the feed: nothing that was delivered is sent again,
	// use ReplaySince for that.
	From *int64
}

// SecretPrefix begins every secret (Standard Webhooks, "Signature scheme").
const SecretPrefix = "whsec_"

// Secrets are 24 to 64 bytes (Standard Webhooks); ours are these many.
const (
	leastSecret, mostSecret, secretSize = 24, 64, 32
)

// Overlap is how long the secret before stays valid unless somebody says how long.
const Overlap = 24 * time.Hour

// mostHooks is how many webhooks an organization may have: each event is looked at
// for each of them.
const mostHooks = 50

var letters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

func (h *Hooks) now() time.Time { return h.Now().UTC().Truncate(time.Microsecond) }

// Create makes a webhook and gives it with its secret, which is never shown again.
func (h *Hooks) Create(ctx context.Context, asks string, spec Spec, actor string) (w *Webhook, secret string, err error) {
	if asks != "" {
		if spec.Organization != "" && spec.Organization != asks {
			return nil, "", fault.New(fault.NotFound, "there is no organization %q", spec.Organization)
		}
		spec.Organization = asks
	}
	if err := h.checkURL(spec.URL); err != nil {
		return nil, "", err
	}
	types, err := checkTypes(spec.Types)
	if err != nil {
		return nil, "", err
	}
	secret = spec.Secret
	if secret == "" {
		secret = SecretPrefix + base64.StdEncoding.EncodeToString(random(secretSize))
	}
	if _, err := Secret(secret); err != nil {
		return nil, "", err
	}
	id, now := "wh_"+letters.EncodeToString(random(10)), h.now()
	sealed, err := h.Sealer.Seal(purpose(id), []byte(secret))
	if err != nil {
		return nil, "", err
	}
	err = h.DB.Write(ctx, func(tx *db.Tx) error {
		if spec.Organization != "" {
			if err := organizations.Exists(ctx, tx, spec.Organization); err != nil {
				return err
			}
		}
		var newest, count int64
		row := tx.QueryRowContext(ctx, `SELECT (SELECT value FROM counters WHERE name = 'event'), (SELECT count(*) FROM webhooks WHERE organization = $1)`, spec.Organization)
		if err := row.Scan(&newest, &count); err != nil {
			return db.Explain("look at the webhooks", err)
		}
		if count >= mostHooks {
			return fault.New(fault.Conflict, "there are %d webhooks already, which is the most", count).WithHint("delete one that is not used")
		}
		if err := checkFrom(spec.From, newest); err != nil {
			return err
		}
		from := newest
		if spec.From != nil {
			from = *spec.From
		}
		_, err := tx.Exec(ctx, `INSERT INTO webhooks (id, organization, url, description, types, enabled, cursor, secret, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, id, spec.Organization, spec.URL, spec.Description, types, !spec.Disabled, from, sealed, db.Micros(now), db.Micros(now))
		if err != nil {
			return err
		}
		if w, err = h.one(ctx, tx, spec.Organization, id, ""); err != nil {
			return err
		}
		return h.tell(ctx, tx, event.WebhookCreated, w, actor, "", nil, w.public())
	})
	if err != nil {
		return nil, "", err
	}
	return w, secret, nil
}

func purpose(id string) string { return "webhook " + id + ": secret" }

// Secret gives the bytes of a "whsec_" secret, or a fault.Invalid that does not
// repeat it.
func Secret(text string) ([]byte, error) {
	rest, ok := strings.CutPrefix(text, SecretPrefix)
	key, err := base64.StdEncoding.DecodeString(rest)
	if !ok || err != nil || len(key) < leastSecret || len(key) > mostSecret {
		return nil, fault.New(fault.Invalid, "webhook: the secret cannot be read").
			WithHint("it is %s followed by %d to %d random bytes in base64; without one given, one is made", SecretPrefix, leastSecret, mostSecret)
	}
	return key, nil
}

func (h *Hooks) checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case len(text) > 2000:
		return fault.New(fault.Invalid, "webhook: the address is longer than 2,000 characters")
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return fault.New(fault.Invalid, "webhook: the address cannot be read").WithHint("it looks like https://example.com/rollcall")
	case u.User != nil:
		return fault.New(fault.Invalid, "webhook: the address carries a user name or a password").
			WithHint("they would end up in logs; deliveries are signed, and the receiver checks the signature")
	case u.Fragment != "":
		return fault.New(fault.Invalid, "webhook: the address carries a fragment (#...), which is never sent").WithHint("leave it out")
	case h.Check == nil:
		return nil
	}
	return h.Check(u)
}

// checkTypes gives a filter as it is kept.
func checkTypes(list []string) (string, error) {
	list = slices.Compact(slices.Sorted(slices.Values(list)))
	var known []string
	for _, t := range event.Types() {
		group, _, _ := strings.Cut(string(t), ".")
		known = append(known, string(t), group+".*")
	}
	for _, t := range list {
		if slices.Contains(known, t) || t == "*" {
			continue
		}
		err := fault.New(fault.Invalid, "webhook: there is no type of event %q", t)
		if near := setting.Nearest(t, known); near != "" {
			return "", err.WithHint("did you mean %q?", near)
		}
		return "", err.WithHint("they are named like account.created, or account.* for all of a kind; none stands for all")
	}
	if len(list) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(list)
	return string(b), err
}

func checkFrom(from *int64, newest int64) error {
	if from == nil || *from >= 0 && *from <= newest {
		return nil
	}
	return fault.New(fault.Invalid, "webhook: the feed ends at event %d, and %d is not in it", newest, *from).WithHint("leave it out to start at the end")
}

// Wants reports whether a filter lets a type through.
func Wants(types []string, t event.Type) bool {
	if len(types) == 0 {
		return true
	}
	group, _, _ := strings.Cut(string(t), ".")
	return slices.ContainsFunc(types, func(w string) bool { return w == "*" || w == string(t) || w == group+".*" })
}

const selected = `SELECT id, organization, url, description, types, enabled, disabled_because, cursor, failing_since, paused_until, secret_until, created_at, updated_at FROM webhooks`

func (h *Hooks) scan(row interface{ Scan(...any) error }) (*Webhook, error) {
	return scan(row, h.now())
}

func scan(row interface{ Scan(...any) error }, now time.Time) (*Webhook, error) {
	var w Webhook
	var organization, types, because string
	var failing, paused, old, created, updated int64
	if err := row.Scan(&w.ID, &organization, &w.URL, &w.Description, &types, &w.Enabled, &because, &w.Cursor, &failing, &paused, &old, &created, &updated); err != nil {
		return nil, err
	}
	if organization != "" {
		w.Organization = &organization
	}
	if because != "" {
		w.DisabledBecause = &because
	}
	w.FailingSince, w.CreatedAt, w.UpdatedAt = moment(failing), db.Time(created), db.Time(updated)
	w.PausedUntil, w.OldSecretUntil = moment(paused), moment(old)
	if w.PausedUntil != nil && !w.PausedUntil.After(now) {
		w.PausedUntil = nil
	}
	if w.OldSecretUntil != nil && !w.OldSecretUntil.After(now) {
		w.OldSecretUntil = nil
	}
	return &w, json.Unmarshal([]byte(types), &w.Types)
}

func moment(us int64) *time.Time {
	if us == 0 {
		return nil
	}
	t := db.Time(us)
	return &t
}

func (h *Hooks) one(ctx context.Context, q db.Querier, asks, id, end string) (*Webhook, error) {
	w, err := scan(q.QueryRowContext(ctx, selected+` WHERE id = $1 AND ($2 = '' OR organization = $2)`+end, id, asks), h.now())
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no webhook %q", id)
	}
	return w, db.Explain("read the webhook", err)
}

// Get gives one webhook.
func (h *Hooks) Get(ctx context.Context, asks, id string) (*Webhook, error) {
	return h.one(ctx, h.DB.Reader(), asks, id, "")
}

// List gives webhooks behind an ID, in the order of IDs, at most limit.
func (h *Hooks) List(ctx context.Context, asks, after string, limit int) ([]*Webhook, error) {
	out := []*Webhook{}
	err := db.Each(ctx, h.DB.Reader(), selected+` WHERE ($1 = '' OR organization = $1) AND id > $2 ORDER BY id LIMIT $3`, []any{asks, after, limit}, func(rows *sql.Rows) error {
		w, err := h.scan(rows)
		out = append(out, w)
		return err
	})
	return out, err
}

// Update changes a webhook. One that is enabled again goes on where it stood:
// what happened meanwhile is delivered, as far as the feed is kept.
func (h *Hooks) Update(ctx context.Context, asks, id string, p Patch, actor string) (*Webhook, error) {
	var types string
	var err error
	if p.URL != nil {
		if err := h.checkURL(*p.URL); err != nil {
			return nil, err
		}
	}
	if p.Types != nil {
		if types, err = checkTypes(*p.Types); err != nil {
			return nil, err
		}
	}
	var w *Webhook
	err = h.DB.Write(ctx, func(tx *db.Tx) error {
		was, err := h.one(ctx, tx, asks, id, tx.Locked())
		if err != nil {
			return err
		}
		set, args := "updated_at = $2", []any{id, db.Micros(h.now())}
		put := func(column string, value any) {
			args = append(args, value)
			set += ", " + column + " = " + db.Placeholder(len(args))
		}
		if p.URL != nil && *p.URL != was.URL {
			put("url", *p.URL)
		}
		if p.Description != nil {
			put("description", *p.Description)
		}
		if p.Types != nil {
			put("types", types)
		}
		if p.Enabled != nil {
			put("enabled", *p.Enabled)
		}
		if p.From != nil {
			var newest int64
			if err := tx.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'event'`).Scan(&newest); err != nil {
				return db.Explain("read the end of the feed", err)
			}
			if err := checkFrom(p.From, newest); err != nil {
				return err
			}
			put("cursor", *p.From)
		}
		if p.URL != nil && *p.URL != was.URL || p.Enabled != nil {
			// A person has seen to it: it starts afresh.
			set += ", failures = 0, failing_since = 0, paused_until = 0, disabled_because = ''"
		}
		if _, err := tx.Exec(ctx, `UPDATE webhooks SET `+set+` WHERE id = $1`, args...); err != nil {
			return err
		}
		if w, err = h.one(ctx, tx, asks, id, ""); err != nil {
			return err
		}
		before, after := differences(was.public(), w.public())
		return h.tell(ctx, tx, event.WebhookUpdated, w, actor, "", before, after)
	})
	return w, err
}

// Delete takes a webhook away, with its deliveries.
func (h *Hooks) Delete(ctx context.Context, asks, id, actor string) error {
	return h.DB.Write(ctx, func(tx *db.Tx) error {
		w, err := h.one(ctx, tx, asks, id, tx.Locked())
		if err != nil {
			return err
		}
		for _, q := range []string{`DELETE FROM delivery_attempts WHERE delivery IN (SELECT id FROM deliveries WHERE webhook = $1)`,
			`DELETE FROM deliveries WHERE webhook = $1`, `DELETE FROM webhooks WHERE id = $1`} {
			if _, err := tx.Exec(ctx, q, id); err != nil {
				return err
			}
		}
		return h.tell(ctx, tx, event.WebhookDeleted, w, actor, "", w.public(), nil)
	})
}

// RotateSecret gives a webhook a new secret. The one before stays valid for as
// long as overlap says (Overlap where that is negative): deliveries are then
// signed with both. Of three the oldest goes at once.
func (h *Hooks) RotateSecret(ctx context.Context, asks, id string, overlap time.Duration, actor string) (w *Webhook, secret string, err error) {
	if overlap < 0 {
		overlap = Overlap
	}
	secret = SecretPrefix + base64.StdEncoding.EncodeToString(random(secretSize))
	sealed, err := h.Sealer.Seal(purpose(id), []byte(secret))
	if err != nil {
		return nil, "", err
	}
	err = h.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := h.one(ctx, tx, asks, id, tx.Locked()); err != nil {
			return err
		}
		until := h.now().Add(overlap)
		if _, err := tx.Exec(ctx, `UPDATE webhooks SET secret_before = secret, secret_until = $2, secret = $3, updated_at = $4 WHERE id = $1`,
			id, db.Micros(until), sealed, db.Micros(h.now())); err != nil {
			return err
		}
		if w, err = h.one(ctx, tx, asks, id, ""); err != nil {
			return err
		}
		return h.tell(ctx, tx, event.WebhookSecretRotated, w, actor, "", nil, map[string]any{"old_secret_until": until})
	})
	if err != nil {
		return nil, "", err
	}
	return w, secret, nil
}

// Reseal seals every secret with the newest key. It gives how many it was, and
// names those that do not open any more, which are left as they are.
func (h *Hooks) Reseal(ctx context.Context, tx *db.Tx) (done int, lost []string, err error) {
	type row struct {
		id     string
		sealed [2][]byte
	}
	var list []row
	err = db.Each(ctx, tx, `SELECT id, secret, secret_before FROM webhooks ORDER BY id`, nil, func(rows *sql.Rows) error {
		var r row
		err := rows.Scan(&r.id, &r.sealed[0], &r.sealed[1])
		list = append(list, r)
		return err
	})
	if err != nil {
		return 0, nil, err
	}
	for _, r := range list {
		for i, column := range [...]string{"secret", "secret_before"} {
			if len(r.sealed[i]) == 0 {
				continue
			}
			newest, err := h.Sealer.Newest(r.sealed[i])
			if err != nil {
				return done, lost, err
			}
			if newest {
				continue
			}
			plain, err := h.Sealer.Open(purpose(r.id), r.sealed[i])
			if err != nil {
				lost = append(lost, purpose(r.id))
				continue
			}
			again, err := h.Sealer.Seal(purpose(r.id), plain)
			if err != nil {
				return done, lost, err
			}
			if _, err := tx.Exec(ctx, `UPDATE webhooks SET `+column+` = $2 WHERE id = $1`, r.id, again); err != nil {
				return done, lost, err
			}
			done++
		}
	}
	return done, lost, nil
}

// public is what events tell of a webhook. Of the address only where it leads:
// some carry a secret in their path or query.
func (w *Webhook) public() map[string]any {
	host := ""
	if u, err := url.Parse(w.URL); err == nil {
		host = u.Scheme + "://" + u.Host
	}
	return map[string]any{"host": host, "description": w.Description, "types": w.Types, "enabled": w.Enabled}
}

func differences(before, after map[string]any) (map[string]any, map[string]any) {
	was, is := map[string]any{}, map[string]any{}
	for k := range after {
		a, errA := json.Marshal(before[k])
		b, errB := json.Marshal(after[k])
		if errA != nil || errB != nil || string(a) != string(b) {
			was[k], is[k] = before[k], after[k]
		}
	}
	return was, is
}

// tell writes an event about a webhook; "webhook" in what it tells names it.
func (h *Hooks) tell(ctx context.Context, tx *db.Tx, t event.Type, w *Webhook, actor, why string, before, after map[string]any) error {
	e := event.Event{Type: t, At: h.now(), Actor: actor, Why: why}
	if w.Organization != nil {
		e.Organization = *w.Organization
	}
	for _, side := range []struct {
		what map[string]any
		into *json.RawMessage
	}{{before, &e.Before}, {after, &e.After}} {
		if side.what == nil {
			continue
		}
		side.what["webhook"] = w.ID
		b, err := json.Marshal(side.what)
		if err != nil {
			return err
		}
		*side.into = b
	}
	return events.Record(ctx, tx, e)
}
