// Package setups is the tables of set-up links: by one of them somebody who is no
// administrator sets one connection up, for as long as it lives. It hands the
// console the link that a request came by, and with it the one connection it may
// show: its settings, checks, a plan to look at and a file to upload. Nothing
// reached by a link approves a plan.
package setups

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/admins"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// Setups is the tables. Safe for concurrent use, also by several nodes.
type Setups struct {
	DB  *db.DB
	Now func() time.Time // time.Now unless set
	// SessionIdle ends a session that was not used; 12 hours unless set.
	SessionIdle time.Duration
}

const (
	usualLife   = 7 * 24 * time.Hour
	longestLife = 30 * 24 * time.Hour
	usualIdle   = 12 * time.Hour
	keptFor     = 90 * 24 * time.Hour // a link is listed, after its end
	mostNote    = 200                 // bytes
	mostOpen    = 100                 // links of an organization
	mostEntered = 20                  // sessions of a link; the oldest goes
	seenEvery   = time.Minute
)

// Path is where a link leads: Path and the token behind public_url. Opening the
// page uses nothing up; a button on it calls Enter.
const Path = "/setup/"

// Spec is a link to be made. Connection is the alias of one there is, where Kind
// is ""; otherwise the alias and the kind of source of one that the link may make,
// and nothing else. Note says whom it is for. Life is a week where it is 0, 30 days
// at the most.
type Spec struct {
	Organization, Connection, Kind, Note string
	Life                                 time.Duration
}

// Link is a link without its token.
type Link struct {
	ID           string
	Organization string
	Connection   string // the only one it shows
	Kind         string // of the connection it may make; "" where there was one
	Note         string
	CreatedBy    string
	CreatedAt    time.Time
	ExpiresAt    time.Time
	MadeAt       time.Time // when the connection was made through it; zero: not
	OpenedAt     time.Time // first; zero: never
	RevokedAt    time.Time
	RevokedBy    string

	admin string
}

// MayMake reports whether the connection is still to be made through the link. A
// link makes one connection, once.
func (l *Link) MayMake() bool { return l.Kind != "" && l.MadeAt.IsZero() }

// Actor is how events name what is done through the link.
func (l *Link) Actor() string { return "setup:" + l.ID }

func (s *Setups) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

var letters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func plain(text string) bool {
	return len(text) <= mostNote && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

func mayManage(by admins.By, organization string) error {
	if by.Admin == nil || by.Admin.Changes(organization) {
		return nil
	}
	if !by.Admin.Sees(organization) {
		return fault.New(fault.NotFound, "there is no organization %q", organization)
	}
	return fault.New(fault.Denied, "this is not yours to do").WithHint("operators and administrators of the organization make and revoke set-up links")
}

// Create makes a link and gives its token, once. A connection or organization that
// is not there is a fault.NotFound, an alias that is taken a fault.Conflict. Whether
// the kind is one there is, and whether the alias is one of the configuration, is
// for the caller to look at first: a connection of the configuration cannot be
// changed by anybody.
func (s *Setups) Create(ctx context.Context, by admins.By, spec Spec) (token string, l *Link, err error) {
	spec.Note = strings.TrimSpace(spec.Note)
	if spec.Life == 0 {
		spec.Life = usualLife
	}
	switch {
	case spec.Life < time.Minute || spec.Life > longestLife:
		return "", nil, fault.New(fault.Invalid, "a set-up link lives for 30 days at the most").WithHint("give an hour, a week, a month")
	case !plain(spec.Note) || !plain(spec.Connection) || !plain(spec.Kind) || !plain(spec.Organization):
		return "", nil, fault.New(fault.Invalid, "a text is longer than %d bytes, or holds what cannot be shown", mostNote)
	case spec.Connection == "":
		return "", nil, fault.New(fault.Invalid, "a set-up link is for one connection").WithHint("name it")
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		by, err := admins.Current(ctx, tx, by)
		if err != nil {
			return err
		}
		if err := mayManage(by, spec.Organization); err != nil {
			return err
		}
		if err := s.possible(ctx, tx, spec); err != nil {
			return err
		}
		now := s.now()
		l = &Link{ID: "stp_" + letters.EncodeToString(random(10)), Organization: spec.Organization, Connection: spec.Connection, Kind: spec.Kind, Note: spec.Note,
			CreatedBy: by.Actor, CreatedAt: now, ExpiresAt: now.Add(spec.Life)}
		if by.Admin != nil {
			l.admin = by.Admin.ID
		}
		token = newToken(linkPrefix)
		if _, err := tx.Exec(ctx, `INSERT INTO setup_links (id, hash, organization, connection, kind, note, admin, created_by, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, l.ID, digest(token), l.Organization, l.Connection, l.Kind, l.Note, l.admin, l.CreatedBy,
			db.Micros(l.CreatedAt), db.Micros(l.ExpiresAt)); err != nil {
			return err
		}
		return s.told(ctx, tx, event.SetupLinkCreated, l, by.Actor, nil)
	})
	if err != nil {
		return "", nil, err
	}
	return token, l, nil
}

// possible looks at what the link is to be for, and takes old links away.
func (s *Setups) possible(ctx context.Context, tx *db.Tx, spec Spec) error {
	if err := organizations.Exists(ctx, tx, spec.Organization); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM setup_links WHERE expires_at < $1`, db.Micros(s.now().Add(-keptFor))); err != nil {
		return err
	}
	var open int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM setup_links WHERE organization = $1 AND revoked_at = 0 AND expires_at > $2`, spec.Organization, db.Micros(s.now())).Scan(&open); err != nil {
		return db.Explain("count set-up links", err)
	}
	if open >= mostOpen {
		return fault.New(fault.Conflict, "%s has %d set-up links that are good", spec.Organization, open).WithHint("revoke those nobody needs")
	}
	owner, err := ownerOf(ctx, tx, spec.Connection)
	switch {
	case err != nil:
		return err
	case spec.Kind == "" && owner != spec.Organization:
		return fault.New(fault.NotFound, "%s has no connection %q that can be changed", spec.Organization, spec.Connection).
			WithHint("those of rollcall.yaml are changed there; for a new one say of which kind it is")
	case spec.Kind != "" && owner != "":
		return fault.New(fault.Conflict, "the alias %q is taken", spec.Connection).WithHint("choose another, or make a link for the connection there is")
	}
	return nil
}

// ownerOf gives the organization of a connection, "" where there is none.
func ownerOf(ctx context.Context, q db.Querier, alias string) (organization string, err error) {
	err = q.QueryRowContext(ctx, `SELECT organization FROM declarations WHERE alias = $1`, alias).Scan(&organization)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return organization, db.Explain("look for connection "+alias, err)
}

const columns = `l.id, l.organization, l.connection, l.kind, l.note, l.admin, l.created_by, l.created_at, l.expires_at, l.made_at, l.opened_at, l.revoked_at, l.revoked_by`

func scan(row interface{ Scan(...any) error }, more ...any) (*Link, error) {
	var l Link
	var created, expires, made, opened, revoked int64
	err := row.Scan(append([]any{&l.ID, &l.Organization, &l.Connection, &l.Kind, &l.Note, &l.admin, &l.CreatedBy, &created, &expires, &made, &opened, &revoked, &l.RevokedBy}, more...)...)
	l.CreatedAt, l.ExpiresAt, l.MadeAt, l.OpenedAt, l.RevokedAt = db.Time(created), db.Time(expires), db.Time(made), db.Time(opened), db.Time(revoked)
	return &l, err
}

// List gives the links of an organization, or all that by sees where it is "", the
// newest first; those that have ended too, for 90 days.
func (s *Setups) List(ctx context.Context, by admins.By, organization string) ([]*Link, error) {
	if by.Admin != nil && by.Admin.Organization != "" {
		if organization != "" && organization != by.Admin.Organization {
			return nil, nil
		}
		organization = by.Admin.Organization
	}
	var out []*Link
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM setup_links l WHERE ($1 = '' OR l.organization = $1) ORDER BY l.created_at DESC, l.id`, []any{organization}, func(rows *sql.Rows) error {
		l, err := scan(rows)
		out = append(out, l)
		return err
	})
	return out, err
}

// Revoke ends a link and its sessions at once. One that was revoked already stays
// as it is.
func (s *Setups) Revoke(ctx context.Context, by admins.By, id string) (*Link, error) {
	var l *Link
	missing := fault.New(fault.NotFound, "there is no set-up link %q", id)
	if !plain(id) {
		return nil, missing
	}
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		by, err := admins.Current(ctx, tx, by)
		if err != nil {
			return err
		}
		l, err = scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM setup_links l WHERE l.id = $1`, id))
		if errors.Is(err, sql.ErrNoRows) || err == nil && by.Admin != nil && !by.Admin.Sees(l.Organization) {
			return missing
		}
		if err != nil {
			return db.Explain("look the set-up link up", err)
		}
		if err := mayManage(by, l.Organization); err != nil || !l.RevokedAt.IsZero() {
			return err
		}
		l.RevokedAt, l.RevokedBy = s.now(), by.Actor
		if _, err := tx.Exec(ctx, `UPDATE setup_links SET revoked_at = $2, revoked_by = $3 WHERE id = $1`, l.ID, db.Micros(l.RevokedAt), l.RevokedBy); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM setup_sessions WHERE link = $1`, l.ID); err != nil {
			return err
		}
		return s.told(ctx, tx, event.SetupLinkRevoked, l, by.Actor, nil)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// told writes an event of a link.
func (s *Setups) told(ctx context.Context, tx *db.Tx, what event.Type, l *Link, actor string, x *Session) error {
	about := struct {
		ID        string    `json:"id"`
		Kind      string    `json:"kind,omitempty"`
		Note      string    `json:"note,omitempty"`
		ExpiresAt time.Time `json:"expires_at"`
		Address   string    `json:"address,omitempty"`
		Agent     string    `json:"agent,omitempty"`
	}{ID: l.ID, Kind: l.Kind, Note: l.Note, ExpiresAt: l.ExpiresAt}
	if x != nil {
		about.Address, about.Agent = x.Address, x.Agent
	}
	after, err := json.Marshal(about)
	if err != nil {
		return err
	}
	return events.Record(ctx, tx, event.Event{Type: what, Organization: l.Organization, Connection: &l.Connection, At: s.now(), Actor: actor, After: after})
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// MarshalJSON shows a link: id, organization, connection, kind, note, created_by,
// created_at, expires_at, opened_at, made_at, revoked_at, revoked_by; null for what
// is not.
func (l Link) MarshalJSON() ([]byte, error) {
	text := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return json.Marshal(struct {
		ID           string     `json:"id"`
		Organization string     `json:"organization"`
		Connection   string     `json:"connection"`
		Kind         *string    `json:"kind"`
		Note         *string    `json:"note"`
		CreatedBy    string     `json:"created_by"`
		CreatedAt    time.Time  `json:"created_at"`
		ExpiresAt    time.Time  `json:"expires_at"`
		OpenedAt     *time.Time `json:"opened_at"`
		MadeAt       *time.Time `json:"made_at"`
		RevokedAt    *time.Time `json:"revoked_at"`
		RevokedBy    *string    `json:"revoked_by"`
	}{l.ID, l.Organization, l.Connection, text(l.Kind), text(l.Note), l.CreatedBy, l.CreatedAt, l.ExpiresAt, moment(l.OpenedAt), moment(l.MadeAt), moment(l.RevokedAt), text(l.RevokedBy)})
}
