// Package clients is the table of applications that people sign in to: the clients
// of OpenID Connect, each with the addresses it may be answered at. It hands them
// on to the provider (package endpoint/oidc), which believes nothing of a client
// that is not written here, and shows them to the API and the console.
package clients

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// Clients is the table. Every method that people reach takes the organization that
// asks, "" for the operator, and gives a fault.NotFound for what is another one's.
type Clients struct {
	DB *db.DB
	// Check refuses an address that could never be told of a sign-out, with a
	// fault.Invalid; nil lets every one through.
	Check func(*url.URL) error
	// Known gives the organization of a connection, or a fault.NotFound; nil takes
	// every name.
	Known func(ctx context.Context, alias string) (organization string, err error)
	Now   func() time.Time // time.Now unless set
}

// Type says whether a client can keep a secret (RFC 6749, section 2.1).
type Type string

// The types.
const (
	Confidential Type = "confidential" // a server
	Public       Type = "public"       // a program in a browser or on a device
)

// Client is one application as it is shown. Its secret is shown once, when it is
// made.
type Client struct {
	ID                     string     `json:"client_id"`
	Organization           *string    `json:"organization"` // null: people of all organizations
	Name                   string     `json:"name"`
	Type                   Type       `json:"type"`
	RedirectURIs           []string   `json:"redirect_uris"`
	PostLogoutRedirectURIs []string   `json:"post_logout_redirect_uris"`
	BackchannelLogoutURI   *string    `json:"backchannel_logout_uri"`
	Connections            []string   `json:"connections"` // empty: all of the organization
	Scopes                 []string   `json:"scopes"`
	SigningAlgorithm       string     `json:"signing_algorithm"`
	RequirePKCE            bool       `json:"require_pkce"`
	AccessTokenSeconds     int64      `json:"access_token_seconds"`
	IDTokenSeconds         int64      `json:"id_token_seconds"`
	RefreshIdleSeconds     int64      `json:"refresh_idle_seconds"` // a refresh token ends that is not used for so long
	RefreshMaxSeconds      int64      `json:"refresh_max_seconds"`  // and any that came of one sign-in
	OldSecretUntil         *time.Time `json:"old_secret_until"`
	CreatedAt              time.Time  `json:"created_at"`
	UpdatedAt              time.Time  `json:"updated_at"`

	secret, before []byte // SHA-256
}

// Overlap is how long the secret before stays good unless somebody says how long.
const Overlap = 24 * time.Hour

// mostClients is how many an organization may have, and the installation of its own.
const mostClients = 200

var letters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

func (s *Clients) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

// newSecret is 256 random bits: nobody guesses them, so a quick digest is kept.
func newSecret() string { return "rcs_" + base64.RawURLEncoding.EncodeToString(random(32)) }

func digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// none is compared with where there is no secret, so that it takes as long. It is no
// digest that anybody could hit.
var none = random(sha256.Size)

// Holds reports whether a secret is the client's, or was until lately. A nil client
// holds none; finding that out takes as long.
func (c *Client) Holds(secret string, now time.Time) bool {
	given, current, before := digest(secret), none, none
	if c != nil && len(c.secret) > 0 {
		current = c.secret
	}
	if c != nil && len(c.before) > 0 && c.OldSecretUntil != nil && c.OldSecretUntil.After(now) {
		before = c.before
	}
	return subtle.ConstantTimeCompare(given, current)|subtle.ConstantTimeCompare(given, before) == 1
}

// Spec is what a client is to be. In a change, nil leaves as it is.
type Spec struct {
	Organization string // "" for one of the whole installation; an organization that asks makes its own
	Type         Type   // Confidential unless set; never changed
	client.OIDCClientPatchInput
}

func put[T any](into *T, from *T) {
	if from != nil {
		*into = *from
	}
}

// take puts a wish into a client and refuses what cannot be.
func (s *Clients) take(ctx context.Context, c *Client, spec Spec) error {
	put(&c.Name, spec.Name)
	put(&c.RedirectURIs, spec.RedirectURIs)
	put(&c.PostLogoutRedirectURIs, spec.PostLogoutRedirectURIs)
	put(&c.Connections, spec.Connections)
	put(&c.Scopes, spec.Scopes)
	put(&c.SigningAlgorithm, spec.SigningAlgorithm)
	put(&c.RequirePKCE, spec.RequirePKCE)
	put(&c.AccessTokenSeconds, spec.AccessTokenSeconds)
	put(&c.IDTokenSeconds, spec.IDTokenSeconds)
	put(&c.RefreshIdleSeconds, spec.RefreshIdleSeconds)
	put(&c.RefreshMaxSeconds, spec.RefreshMaxSeconds)
	if u := spec.BackchannelLogoutURI; u != nil {
		if c.BackchannelLogoutURI = u; *u == "" {
			c.BackchannelLogoutURI = nil
		}
	}
	return s.check(ctx, c)
}

// Create makes a client and gives it with its secret, which is never shown again;
// public ones have none.
func (s *Clients) Create(ctx context.Context, asks string, spec Spec, actor string) (c *Client, secret string, err error) {
	if asks != "" {
		if spec.Organization != "" && spec.Organization != asks {
			return nil, "", fault.New(fault.NotFound, "there is no organization %q", spec.Organization)
		}
		spec.Organization = asks
	}
	now := s.now()
	c = &Client{ID: "app_" + letters.EncodeToString(random(10)), Type: spec.Type, Scopes: usualScopes(), SigningAlgorithm: RS256, RequirePKCE: true,
		AccessTokenSeconds: 10 * 60, IDTokenSeconds: 60 * 60, RefreshIdleSeconds: 14 * 24 * 3600, RefreshMaxSeconds: 90 * 24 * 3600, CreatedAt: now, UpdatedAt: now}
	if c.Type == "" {
		c.Type = Confidential
	}
	if spec.Organization != "" {
		c.Organization = &spec.Organization
	}
	if err := s.take(ctx, c, spec); err != nil {
		return nil, "", err
	}
	if c.Type == Confidential {
		secret = newSecret()
		c.secret = digest(secret)
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if spec.Organization != "" {
			if err := organizations.Exists(ctx, tx, spec.Organization); err != nil {
				return err
			}
		}
		if err := events.Lock(ctx, tx); err != nil { // two at once must not both be the last
			return err
		}
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM clients WHERE organization = $1`, spec.Organization).Scan(&n); err != nil {
			return db.Explain("count clients", err)
		}
		if n >= mostClients {
			return fault.New(fault.Conflict, "there are %d clients already, and no more are taken", n).WithHint("delete those that are not used any more")
		}
		if err := s.insert(ctx, tx, c); err != nil {
			return err
		}
		return s.tell(ctx, tx, event.ClientCreated, c, actor, nil, c.public())
	})
	if err != nil {
		return nil, "", err
	}
	return c, secret, nil
}

func (s *Clients) insert(ctx context.Context, tx *db.Tx, c *Client) error {
	if _, err := tx.Exec(ctx, `INSERT INTO clients (id, organization, name, kind, redirect_uris, logout_uris, backchannel, connections, scopes, algorithm, without_pkce,
		access_life, id_life, refresh_idle, refresh_life, secret, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`,
		c.ID, text(c.Organization), c.Name, string(c.Type), list(c.RedirectURIs), list(c.PostLogoutRedirectURIs), text(c.BackchannelLogoutURI), list(c.Connections), list(c.Scopes),
		c.SigningAlgorithm, !c.RequirePKCE, c.AccessTokenSeconds, c.IDTokenSeconds, c.RefreshIdleSeconds, c.RefreshMaxSeconds, null(c.secret), db.Micros(c.CreatedAt), db.Micros(c.UpdatedAt)); err != nil {
		return err
	}
	return s.origins(ctx, tx, c)
}

// origins notes where the pages of a public client come from.
func (s *Clients) origins(ctx context.Context, tx *db.Tx, c *Client) error {
	if _, err := tx.Exec(ctx, `DELETE FROM client_origins WHERE client = $1`, c.ID); err != nil {
		return err
	}
	if c.Type != Public {
		return nil
	}
	var had []string
	for _, u := range c.RedirectURIs {
		origin := Origin(u)
		if origin == "" || slices.Contains(had, origin) {
			continue
		}
		had = append(had, origin)
		if _, err := tx.Exec(ctx, `INSERT INTO client_origins (origin, client) VALUES ($1, $2)`, origin, c.ID); err != nil {
			return err
		}
	}
	return nil
}

// Asks reports whether a public client's pages come from an origin.
func (s *Clients) Asks(ctx context.Context, origin string) (found bool, err error) {
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM client_origins WHERE origin = $1)`, origin).Scan(&found)
	return found, db.Explain("look an origin up", err)
}

const selected = `SELECT id, organization, name, kind, redirect_uris, logout_uris, backchannel, connections, scopes, algorithm, without_pkce,
	access_life, id_life, refresh_idle, refresh_life, secret, secret_before, secret_until, created_at, updated_at FROM clients`

func scan(row interface{ Scan(...any) error }, now time.Time) (*Client, error) {
	var c Client
	var organization, redirects, logouts, backchannel, connections, scopes string
	var without bool
	var until, created, updated int64
	if err := row.Scan(&c.ID, &organization, &c.Name, &c.Type, &redirects, &logouts, &backchannel, &connections, &scopes, &c.SigningAlgorithm, &without,
		&c.AccessTokenSeconds, &c.IDTokenSeconds, &c.RefreshIdleSeconds, &c.RefreshMaxSeconds, &c.secret, &c.before, &until, &created, &updated); err != nil {
		return nil, err
	}
	c.RequirePKCE, c.CreatedAt, c.UpdatedAt = !without, db.Time(created), db.Time(updated)
	if organization != "" {
		c.Organization = &organization
	}
	if backchannel != "" {
		c.BackchannelLogoutURI = &backchannel
	}
	if old := db.Time(until); old.After(now) {
		c.OldSecretUntil = &old
	}
	for _, one := range []struct {
		text string
		into *[]string
	}{{redirects, &c.RedirectURIs}, {logouts, &c.PostLogoutRedirectURIs}, {connections, &c.Connections}, {scopes, &c.Scopes}} {
		if err := json.Unmarshal([]byte(one.text), one.into); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

func (s *Clients) one(ctx context.Context, q db.Querier, asks, id, end string) (*Client, error) {
	c, err := scan(q.QueryRowContext(ctx, selected+` WHERE id = $1 AND ($2 = '' OR organization = $2)`+end, id, asks), s.now())
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no client %q", id).WithHint("`rollcall clients list` shows those there are")
	}
	return c, db.Explain("read the client", err)
}

// Get gives one client.
func (s *Clients) Get(ctx context.Context, asks, id string) (*Client, error) {
	return s.one(ctx, s.DB.Reader(), asks, id, "")
}

// List gives clients behind an ID, in the order of IDs, at most limit.
func (s *Clients) List(ctx context.Context, asks, after string, limit int) ([]*Client, error) {
	out := []*Client{}
	err := db.Each(ctx, s.DB.Reader(), selected+` WHERE ($1 = '' OR organization = $1) AND id > $2 ORDER BY id LIMIT $3`, []any{asks, after, limit}, func(rows *sql.Rows) error {
		c, err := scan(rows, s.now())
		out = append(out, c)
		return err
	})
	return out, err
}

// Update changes a client. What it was given already stays good.
func (s *Clients) Update(ctx context.Context, asks, id string, spec Spec, actor string) (*Client, error) {
	var c *Client
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		was, err := s.one(ctx, tx, asks, id, tx.Locked())
		if err != nil {
			return err
		}
		now := *was
		c = &now
		if err := s.take(ctx, c, spec); err != nil {
			return err
		}
		c.UpdatedAt = s.now()
		if _, err := tx.Exec(ctx, `UPDATE clients SET name = $2, redirect_uris = $3, logout_uris = $4, backchannel = $5, connections = $6, scopes = $7, algorithm = $8, without_pkce = $9,
			access_life = $10, id_life = $11, refresh_idle = $12, refresh_life = $13, updated_at = $14 WHERE id = $1`, id, c.Name, list(c.RedirectURIs), list(c.PostLogoutRedirectURIs),
			text(c.BackchannelLogoutURI), list(c.Connections), list(c.Scopes), c.SigningAlgorithm, !c.RequirePKCE, c.AccessTokenSeconds, c.IDTokenSeconds, c.RefreshIdleSeconds, c.RefreshMaxSeconds, db.Micros(c.UpdatedAt)); err != nil {
			return err
		}
		if err := s.origins(ctx, tx, c); err != nil {
			return err
		}
		before, after := differences(was.public(), c.public())
		return s.tell(ctx, tx, event.ClientUpdated, c, actor, before, after)
	})
	return c, err
}

// Delete takes a client away, and with it every token it was given but for those
// that are checked without asking, which run out within their lifetime.
func (s *Clients) Delete(ctx context.Context, asks, id, actor string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		c, err := s.one(ctx, tx, asks, id, tx.Locked())
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM clients WHERE id = $1`, id); err != nil {
			return err
		}
		return s.tell(ctx, tx, event.ClientDeleted, c, actor, c.public(), nil)
	})
}

// RotateSecret gives a client a new secret. The one before stays good for as long
// as overlap says (Overlap where that is negative). Of three the oldest goes at once.
func (s *Clients) RotateSecret(ctx context.Context, asks, id string, overlap time.Duration, actor string) (c *Client, secret string, err error) {
	if overlap < 0 {
		overlap = Overlap
	}
	secret = newSecret()
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		was, err := s.one(ctx, tx, asks, id, tx.Locked())
		if err != nil {
			return err
		}
		if was.Type != Confidential {
			return fault.New(fault.Conflict, "client %s is public: it has no secret", id).WithHint("make another one of type confidential, if the application can keep a secret")
		}
		now := s.now()
		until := now.Add(overlap)
		if _, err := tx.Exec(ctx, `UPDATE clients SET secret_before = secret, secret_until = $2, secret = $3, updated_at = $4 WHERE id = $1`,
			id, db.Micros(until), digest(secret), db.Micros(now)); err != nil {
			return err
		}
		if c, err = s.one(ctx, tx, asks, id, ""); err != nil {
			return err
		}
		return s.tell(ctx, tx, event.ClientSecretRotated, c, actor, nil, map[string]any{"old_secret_until": until})
	})
	if err != nil {
		return nil, "", err
	}
	return c, secret, nil
}

// public is what events tell of a client: nothing of it is secret.
func (c *Client) public() map[string]any {
	return map[string]any{"name": c.Name, "type": c.Type, "redirect_uris": c.RedirectURIs, "post_logout_redirect_uris": c.PostLogoutRedirectURIs,
		"backchannel_logout_uri": c.BackchannelLogoutURI, "connections": c.Connections, "scopes": c.Scopes, "signing_algorithm": c.SigningAlgorithm, "require_pkce": c.RequirePKCE,
		"access_token_seconds": c.AccessTokenSeconds, "id_token_seconds": c.IDTokenSeconds, "refresh_idle_seconds": c.RefreshIdleSeconds, "refresh_max_seconds": c.RefreshMaxSeconds}
}

// differences keeps what is not the same on both sides.
func differences(before, after map[string]any) (b, a map[string]any) {
	b, a = map[string]any{}, map[string]any{}
	for k, v := range after {
		one, _ := json.Marshal(before[k])
		other, _ := json.Marshal(v)
		if string(one) != string(other) {
			b[k], a[k] = before[k], v
		}
	}
	return b, a
}

func (s *Clients) tell(ctx context.Context, tx *db.Tx, what event.Type, c *Client, actor string, before, after map[string]any) error {
	e := event.Event{Type: what, Organization: text(c.Organization), At: s.now(), Actor: actor}
	for _, side := range []struct {
		from map[string]any
		to   *json.RawMessage
	}{{before, &e.Before}, {after, &e.After}} {
		if side.from == nil {
			continue
		}
		side.from["client_id"] = c.ID
		var err error
		if *side.to, err = json.Marshal(side.from); err != nil {
			return err
		}
	}
	return events.Append(ctx, tx, []event.Event{e})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// list is how a list is kept.
func list(l []string) string {
	b, err := json.Marshal(append([]string{}, l...))
	if err != nil {
		panic("clients: " + err.Error()) // strings can always be written
	}
	return string(b)
}

// null makes nothing NULL: a nil slice of bytes is not NULL to every driver.
func null(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
