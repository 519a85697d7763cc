package admins

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// LinkKind is what a one-time link is for.
type LinkKind string

// The kinds.
const (
	First      LinkKind = "first"      // makes the first operator
	Invitation LinkKind = "invitation" // makes the administrator it was made for
	Reset      LinkKind = "reset"      // gives an administrator another password
)

const (
	invitedFor = 72 * time.Hour
	resetFor   = time.Hour
)

// Path is where a one-time link leads: Path and the token behind public_url. The
// page of it must ask for a button to be pressed (mail scanners open links), send
// Referrer-Policy: no-referrer, and be left out of logs.
const Path = "/welcome/"

// Link is a one-time link without its token.
type Link struct {
	ID           string
	Kind         LinkKind
	Email        string // "" for the first operator, who chooses one
	Name         string
	Role         Role
	Organization string
	CreatedBy    string
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero: when there is an administrator

	admin string
}

const linkColumns = `id, kind, COALESCE(admin, ''), email, name, role, organization, created_by, created_at, expires_at`

func scanLink(row interface{ Scan(...any) error }) (*Link, error) {
	var l Link
	var created, expires int64
	err := row.Scan(&l.ID, &l.Kind, &l.admin, &l.Email, &l.Name, &l.Role, &l.Organization, &l.CreatedBy, &created, &expires)
	l.CreatedAt, l.ExpiresAt = db.Time(created), db.Time(expires)
	return &l, err
}

// put writes a link and gives its token. Links that have run out go.
func (s *Admins) put(ctx context.Context, tx *db.Tx, l *Link) (token string, err error) {
	l.ID, l.CreatedAt, token = newID("lnk_"), s.now(), newToken(linkPrefix)
	if _, err := tx.Exec(ctx, `DELETE FROM admin_links WHERE expires_at > 0 AND expires_at <= $1`, db.Micros(l.CreatedAt)); err != nil {
		return "", err
	}
	var admin any
	if l.admin != "" {
		admin = l.admin
	}
	_, err = tx.Exec(ctx, `INSERT INTO admin_links (id, hash, kind, admin, email, name, role, organization, created_by, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, l.ID, digest(token), string(l.Kind), admin, l.Email, l.Name, string(l.Role), l.Organization,
		l.CreatedBy, db.Micros(l.CreatedAt), db.Micros(l.ExpiresAt))
	return token, err
}

// FirstLink gives the token of a link by which the first operator is made, or ""
// where there is an administrator. It is good until there is one; of several nodes'
// links one can be used.
func (s *Admins) FirstLink(ctx context.Context) (token string, err error) {
	if some, err := s.Any(ctx); err != nil || some {
		return "", err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		token = ""
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		some, err := anybody(ctx, tx)
		if err != nil || some {
			return err
		}
		token, err = s.put(ctx, tx, &Link{Kind: First, Role: Operator, CreatedBy: "first start"})
		return err
	})
	return token, err
}

// Invite makes a link, good once and for 72 hours, by which somebody becomes an
// administrator with an e-mail address and a role. An invitation of that address
// that is open already is void. The Password of spec is not looked at.
func (s *Admins) Invite(ctx context.Context, by By, spec Spec) (token string, l *Link, err error) {
	if err := spec.check(); err != nil {
		return "", nil, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		by, err := Current(ctx, tx, by)
		if err != nil {
			return err
		}
		if err := by.may(spec.Role, spec.Organization); err != nil {
			return err
		}
		if spec.Organization != "" {
			if err := organizations.Exists(ctx, tx, spec.Organization); err != nil {
				return err
			}
		}
		if _, err := one(ctx, tx, `a.email_key = $1`, fold(spec.Email)); err == nil {
			return errTaken()
		} else if fault.KindOf(err) != fault.NotFound {
			return err
		}
		// Only those this one may take back: another organization's stays, and whoever is
		// first becomes the administrator.
		if _, err := tx.Exec(ctx, `DELETE FROM admin_links WHERE kind = $1 AND email = $2 AND organization = $3`, string(Invitation), fold(spec.Email), spec.Organization); err != nil {
			return err
		}
		l = &Link{Kind: Invitation, Email: fold(spec.Email), Name: spec.Name, Role: spec.Role, Organization: spec.Organization, CreatedBy: by.Actor, ExpiresAt: s.now().Add(invitedFor)}
		if token, err = s.put(ctx, tx, l); err != nil {
			return err
		}
		return told(ctx, tx, event.AdminInvited, l.Organization, by.Actor, l.CreatedAt, nil, l.about())
	})
	if err != nil {
		return "", nil, err
	}
	return token, l, nil
}

func (l *Link) about() *about {
	return &about{ID: l.ID, Email: l.Email, Name: l.Name, Role: l.Role, Organization: l.Organization}
}

// ResetLink makes a link, good once and for an hour, by which an administrator
// chooses another password. The second factor stays and is asked for. The one made
// before is void.
func (s *Admins) ResetLink(ctx context.Context, by By, admin string) (token string, l *Link, err error) {
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		by, a, err := s.both(ctx, tx, by, admin)
		if err != nil {
			return err
		}
		if err := by.may(a.Role, a.Organization); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM admin_links WHERE admin = $1`, a.ID); err != nil {
			return err
		}
		l = &Link{Kind: Reset, admin: a.ID, Email: a.Email, Name: a.Name, Role: a.Role, Organization: a.Organization, CreatedBy: by.Actor, ExpiresAt: s.now().Add(resetFor)}
		if token, err = s.put(ctx, tx, l); err != nil {
			return err
		}
		return told(ctx, tx, event.AdminLinkCreated, a.Organization, by.Actor, l.CreatedAt, nil, aboutOf(a))
	})
	if err != nil {
		return "", nil, err
	}
	return token, l, nil
}

// Invitations gives the open ones that by sees, the oldest first.
func (s *Admins) Invitations(ctx context.Context, by By) ([]*Link, error) {
	organization := ""
	if by.Admin != nil {
		organization = by.Admin.Organization
	}
	var out []*Link
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+linkColumns+` FROM admin_links WHERE kind = $1 AND expires_at > $2 AND ($3 = '' OR organization = $3) ORDER BY created_at, id`,
		[]any{string(Invitation), db.Micros(s.now()), organization}, func(rows *sql.Rows) error {
			l, err := scanLink(rows)
			out = append(out, l)
			return err
		})
	return out, err
}

// RevokeInvitation makes an open invitation void, by its ID.
func (s *Admins) RevokeInvitation(ctx context.Context, by By, id string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		by, err := Current(ctx, tx, by)
		if err != nil {
			return err
		}
		l, err := scanLink(tx.QueryRowContext(ctx, `SELECT `+linkColumns+` FROM admin_links WHERE id = $1 AND kind = $2`, asked(id), string(Invitation)))
		if errors.Is(err, sql.ErrNoRows) || err == nil && by.Admin != nil && !by.Admin.Sees(l.Organization) {
			return fault.New(fault.NotFound, "there is no such invitation").WithHint("it may have been used already")
		}
		if err != nil {
			return db.Explain("look the invitation up", err)
		}
		if err := by.may(l.Role, l.Organization); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM admin_links WHERE id = $1`, l.ID); err != nil {
			return err
		}
		return told(ctx, tx, event.AdminInvitationRevoked, l.Organization, by.Actor, s.now(), l.about(), nil)
	})
}

func errLink() error {
	return fault.New(fault.NotFound, "this link is not good any more").
		WithHint("it may have been used or have run out; ask whoever sent it for another")
}

// Link gives what a token is good for, or a fault.NotFound. It uses nothing up.
func (s *Admins) Link(ctx context.Context, token string) (*Link, error) {
	return s.link(ctx, s.DB.Reader(), token)
}

func (s *Admins) link(ctx context.Context, q db.Querier, token string) (*Link, error) {
	if !isToken(linkPrefix, token) {
		return nil, errLink()
	}
	l, err := scanLink(q.QueryRowContext(ctx, `SELECT `+linkColumns+` FROM admin_links WHERE hash = $1`, digest(token)))
	if errors.Is(err, sql.ErrNoRows) || err == nil && !l.ExpiresAt.IsZero() && !l.ExpiresAt.After(s.now()) {
		return nil, errLink()
	}
	if err != nil {
		return nil, db.Explain("look the link up", err)
	}
	if l.Kind == First {
		some, err := anybody(ctx, q)
		if err != nil {
			return nil, err
		}
		if some {
			return nil, errLink()
		}
	}
	return l, nil
}

// Answer is what somebody types in who follows a link. Email is looked at for the
// first operator alone, Name not for a reset; an empty Name leaves that of the
// invitation.
type Answer struct{ Email, Name, Password string }

// Use uses a link up and gives the session that it opens: pending where the
// administrator has a second factor, which a reset does not get around. A bad
// password is a fault.Invalid and uses nothing up.
func (s *Admins) Use(ctx context.Context, token string, answer Answer, from netip.Addr, agent string) (*Session, error) {
	l, err := s.Link(ctx, token)
	if err != nil {
		return nil, err
	}
	spec := Spec{Email: l.Email, Name: l.Name, Role: l.Role, Organization: l.Organization}
	if l.Kind == First {
		spec.Email = answer.Email
	}
	if answer.Name != "" {
		spec.Name = answer.Name
	}
	if err := spec.check(); err != nil {
		return nil, err
	}
	if err := CheckPassword(answer.Password, spec.Email); err != nil {
		return nil, err
	}
	hash, err := s.hash(ctx, answer.Password)
	if err != nil {
		return nil, err
	}
	var session *Session
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil {
			return err
		}
		// Of several that come at the same time, the first found it there.
		l, err := s.link(ctx, tx, token)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM admin_links WHERE id = $1`, l.ID); err != nil {
			return err
		}
		session, err = s.used(ctx, tx, l, spec, hash, from, agent)
		return err
	})
	if err != nil {
		return nil, err
	}
	return session, nil
}

func (s *Admins) used(ctx context.Context, tx *db.Tx, l *Link, spec Spec, hash string, from netip.Addr, agent string) (*Session, error) {
	if l.Kind != Reset {
		a, err := s.create(ctx, tx, spec, hash, l.CreatedBy)
		if err != nil {
			return nil, err
		}
		return s.enter(ctx, tx, a, nil, from, agent, string(l.Kind)+" link")
	}
	a, err := one(ctx, tx, `a.id = $1`, l.admin)
	if err != nil {
		return nil, err
	}
	if a.Disabled {
		return nil, errLink()
	}
	if err := s.setPassword(ctx, tx, a, hash, a.Actor(), ""); err != nil {
		return nil, err
	}
	if a.SecondFactor {
		return s.open(ctx, tx, a.ID, true, from, agent, s.now())
	}
	return s.enter(ctx, tx, a, nil, from, agent, string(l.Kind)+" link")
}

// MarshalJSON shows a link: id, kind, email, name, role, organization, created_by,
// created_at, expires_at; null for what is not.
func (l Link) MarshalJSON() ([]byte, error) {
	var organization *string
	if l.Organization != "" {
		organization = &l.Organization
	}
	return json.Marshal(struct {
		ID           string     `json:"id"`
		Kind         LinkKind   `json:"kind"`
		Email        string     `json:"email"`
		Name         string     `json:"name"`
		Role         Role       `json:"role"`
		Organization *string    `json:"organization"`
		CreatedBy    string     `json:"created_by"`
		CreatedAt    time.Time  `json:"created_at"`
		ExpiresAt    *time.Time `json:"expires_at"`
	}{l.ID, l.Kind, l.Email, l.Name, l.Role, organization, l.CreatedBy, l.CreatedAt, moment(l.ExpiresAt)})
}
