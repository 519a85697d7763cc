package pushers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

const columns = `t.id, t.connection, p.organization, t.kind, p.client_id, t.name, t.created_by, t.created_at, t.expires_at, t.replaced_at, t.last_used_at, t.revoked_at, t.revoked_by`

func scan(row interface{ Scan(...any) error }, more ...any) (Token, error) {
	var t Token
	var created, expires, replaced, used, revoked int64
	err := row.Scan(append([]any{&t.ID, &t.Connection, &t.Organization, &t.Kind, &t.ClientID, &t.Name, &t.CreatedBy, &created, &expires, &replaced, &used, &revoked, &t.RevokedBy}, more...)...)
	t.CreatedAt, t.ExpiresAt, t.ReplacedAt, t.LastUsedAt, t.RevokedAt = db.Time(created), db.Time(expires), db.Time(replaced), db.Time(used), db.Time(revoked)
	if t.Kind != OAuth {
		t.ClientID = ""
	}
	return t, err
}

// Create makes a bearer token and gives its secret, once. It ends when expires says
// (Never for never), after Life where that is nil. A time that has passed is a
// fault.Invalid, a third valid token a fault.Conflict.
func (s *Pushers) Create(ctx context.Context, connection, name string, expires *time.Time, actor string) (Token, string, error) {
	return s.create(ctx, connection, Bearer, name, expires, actor)
}

// CreateOAuth is Create for a client's secret. The token's ClientID belongs to it.
func (s *Pushers) CreateOAuth(ctx context.Context, connection, name string, expires *time.Time, actor string) (Token, string, error) {
	return s.create(ctx, connection, OAuth, name, expires, actor)
}

func (s *Pushers) create(ctx context.Context, connection string, kind Kind, name string, expires *time.Time, actor string) (Token, string, error) {
	name = strings.TrimSpace(name)
	if len(name) > longestName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return Token{}, "", fault.New(fault.Invalid, "token: the name is longer than %d bytes, or holds what cannot be shown", longestName)
	}
	now := s.now()
	end := now.Add(Life)
	if expires != nil {
		end = expires.UTC().Truncate(time.Microsecond)
	}
	if !end.IsZero() && !end.After(now) {
		return Token{}, "", fault.New(fault.Invalid, "a token that expires on %s would never work", end.Format(time.RFC3339)).WithHint("give a time to come, or none")
	}
	var made Token
	var secret string
	err := s.change(ctx, connection, func(tx *db.Tx, organization, client string) error {
		valid, err := s.valid(ctx, tx, connection, kind, now)
		if err != nil {
			return err
		}
		if len(valid) >= MostValid {
			return fault.New(fault.Conflict, "connection %s has %d valid tokens of this kind already (%s, %s)", connection, len(valid), valid[0].ID, valid[1].ID).
				WithHint("two are as many as a change from one to the other needs: revoke the one that is not used, or rotate, which ends the older one")
		}
		made, secret, err = s.insert(ctx, tx, Token{Connection: connection, Organization: organization, Kind: kind, ClientID: client, Name: name, ExpiresAt: end, CreatedBy: actor, CreatedAt: now})
		if err != nil {
			return err
		}
		return tell(ctx, tx, event.ConnectionTokenCreated, &made, actor, now, nil)
	})
	return made, secret, err
}

// Rotate makes another token of a kind, with the name and the lifetime of the newest
// one there is. That one stays good for as long as overlap says (Overlap where it is
// negative), and of three the oldest goes at once. Where there is none to take the
// place of, it is a fault.Conflict.
func (s *Pushers) Rotate(ctx context.Context, connection string, kind Kind, overlap time.Duration, actor string) (Token, string, error) {
	if overlap < 0 {
		overlap = Overlap
	}
	now := s.now()
	var made Token
	var secret string
	err := s.change(ctx, connection, func(tx *db.Tx, organization, client string) error {
		valid, err := s.valid(ctx, tx, connection, kind, now)
		if err != nil {
			return err
		}
		if len(valid) == 0 {
			return fault.New(fault.Conflict, "connection %s has no valid token to rotate", connection).WithHint("make one")
		}
		for i := range valid[1:] { // the older ones
			if err := s.end(ctx, tx, &valid[i+1], actor, now); err != nil {
				return err
			}
		}
		was := valid[0]
		until := now.Add(overlap)
		if !was.ExpiresAt.IsZero() && was.ExpiresAt.Before(until) {
			until = was.ExpiresAt
		}
		if _, err := tx.Exec(ctx, `UPDATE pusher_tokens SET replaced_at = $2, expires_at = $3 WHERE id = $1`, was.ID, db.Micros(now), db.Micros(until)); err != nil {
			return err
		}
		next := Token{Connection: connection, Organization: organization, Kind: kind, ClientID: client, Name: was.Name, CreatedBy: actor, CreatedAt: now}
		if !was.ExpiresAt.IsZero() {
			next.ExpiresAt = now.Add(was.ExpiresAt.Sub(was.CreatedAt))
			if !was.ReplacedAt.IsZero() { // it ends early on account of another: that says nothing of how long one is good
				next.ExpiresAt = now.Add(Life)
			}
		}
		if made, secret, err = s.insert(ctx, tx, next); err != nil {
			return err
		}
		return tell(ctx, tx, event.ConnectionTokenRotated, &made, actor, now, map[string]any{"replaces": was.ID, "old_until": until})
	})
	return made, secret, err
}

// Revoke ends a token at once, and every access token that was given for it. One that
// was revoked already stays as it is; one that does not exist is a fault.NotFound.
func (s *Pushers) Revoke(ctx context.Context, connection, id, actor string) (Token, error) {
	var t Token
	err := s.change(ctx, connection, func(tx *db.Tx, _, _ string) error {
		var err error
		t, err = scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM pusher_tokens t JOIN pushers p ON p.connection = t.connection WHERE t.id = $1 AND t.connection = $2`, id, connection))
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "connection %s has no token %q", connection, id).WithHint("the list shows them, by how they begin")
		}
		if err != nil || !t.RevokedAt.IsZero() {
			return db.Explain("look the token up", err)
		}
		return s.end(ctx, tx, &t, actor, s.now())
	})
	return t, err
}

// end revokes a token in the transaction of whoever has a reason to.
func (s *Pushers) end(ctx context.Context, tx *db.Tx, t *Token, actor string, now time.Time) error {
	t.RevokedAt, t.RevokedBy = now, actor
	if _, err := tx.Exec(ctx, `UPDATE pusher_tokens SET revoked_at = $2, revoked_by = $3 WHERE id = $1`, t.ID, db.Micros(now), actor); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM pusher_access WHERE token = $1`, t.ID); err != nil {
		return err
	}
	return tell(ctx, tx, event.ConnectionTokenRevoked, t, actor, now, nil)
}

// change runs fn alone among those who change a connection's tokens, and notes when
// they run out.
func (s *Pushers) change(ctx context.Context, connection string, fn func(tx *db.Tx, organization, client string) error) error {
	organization, err := s.organization(ctx, connection)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		client, err := alone(ctx, tx, connection, organization)
		if err == nil {
			err = fn(tx, organization, client)
		}
		if err != nil {
			return err
		}
		return notice(ctx, tx, connection, organization, s.now())
	})
}

// alone locks what belongs to a connection until the transaction ends, and gives its
// client ID. What an organization left behind that had the alias before is not the
// next one's: it goes.
func alone(ctx context.Context, tx *db.Tx, connection, organization string) (client string, err error) {
	var before string
	err = tx.QueryRowContext(ctx, `INSERT INTO pushers (connection, organization, client_id) VALUES ($1, $2, $3)
		ON CONFLICT (connection) DO UPDATE SET connection = excluded.connection RETURNING organization, client_id`,
		connection, organization, newClientID()).Scan(&before, &client)
	if err != nil || before == organization {
		return client, db.Explain("look up who pushes", err)
	}
	for _, table := range []string{"pusher_tokens", "pusher_log"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE connection = $1`, connection); err != nil {
			return "", err
		}
	}
	client = newClientID()
	_, err = tx.Exec(ctx, `UPDATE pushers SET organization = $2, client_id = $3 WHERE connection = $1`, connection, organization, client)
	return client, err
}

func newClientID() string { return newSecret(clientPrefix)[:20] }

func (s *Pushers) insert(ctx context.Context, tx *db.Tx, t Token) (Token, string, error) {
	prefix := bearerPrefix
	if t.Kind == OAuth {
		prefix = secretPrefix
	} else {
		t.ClientID = ""
	}
	secret := newSecret(prefix)
	t.ID = secret[:idLength]
	if _, err := tx.Exec(ctx, `INSERT INTO pusher_tokens (id, hash, connection, kind, name, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.ID, digest(secret), t.Connection, string(t.Kind), t.Name, t.CreatedBy, db.Micros(t.CreatedAt), db.Micros(t.ExpiresAt)); err != nil {
		return Token{}, "", err
	}
	// What ended long ago is of interest to nobody; the events remember it.
	_, err := tx.Exec(ctx, `DELETE FROM pusher_tokens WHERE connection = $1 AND (revoked_at > 0 OR expires_at > 0 AND expires_at <= $2) AND created_at <=
		(SELECT created_at FROM pusher_tokens WHERE connection = $1 ORDER BY created_at DESC LIMIT 1 OFFSET $3)`, t.Connection, db.Micros(t.CreatedAt), mostShown)
	return t, secret, err
}

// valid are the tokens of a kind that open the door, the newest first.
func (s *Pushers) valid(ctx context.Context, q db.Querier, connection string, kind Kind, now time.Time) ([]Token, error) {
	all, err := list(ctx, q, connection)
	out := all[:0]
	for _, t := range all {
		if t.Kind == kind && t.Valid(now) {
			out = append(out, t)
		}
	}
	return out, err
}

// List gives the tokens of a connection, also those that ended lately, the newest
// first.
func (s *Pushers) List(ctx context.Context, connection string) ([]Token, error) {
	if _, err := s.organization(ctx, connection); err != nil {
		return nil, err
	}
	return list(ctx, s.DB.Reader(), connection)
}

func list(ctx context.Context, q db.Querier, connection string) ([]Token, error) {
	out := []Token{}
	err := db.Each(ctx, q, `SELECT `+columns+` FROM pusher_tokens t JOIN pushers p ON p.connection = t.connection WHERE t.connection = $1 ORDER BY t.created_at DESC, t.id`, []any{connection}, func(rows *sql.Rows) error {
		t, err := scan(rows)
		out = append(out, t)
		return err
	})
	return out, err
}

// Forget takes a connection's tokens and log away, in the transaction that takes the
// connection away.
func Forget(ctx context.Context, tx *db.Tx, connection string) error {
	for _, query := range []string{`DELETE FROM pushers WHERE connection = $1`, `DELETE FROM expiries WHERE connection = $1 AND told_by = 'tokens'`} {
		if _, err := tx.Exec(ctx, query, connection); err != nil {
			return err
		}
	}
	return nil
}

// notice keeps when tokens run out where people are told of it ahead (package
// notices). One that was replaced ends on purpose, and so does one whose client was
// seen to use a newer one since.
func notice(ctx context.Context, tx *db.Tx, connection, organization string, now time.Time) error {
	if _, err := tx.Exec(ctx, `DELETE FROM expiries WHERE connection = $1 AND told_by = 'tokens'`, connection); err != nil {
		return err
	}
	all, err := list(ctx, tx, connection)
	if err != nil {
		return err
	}
	used := map[Kind]time.Time{} // when a newer one that is valid was used last
	for i := range all {
		t := &all[i]
		since := used[t.Kind]
		if t.Valid(now) && t.ReplacedAt.IsZero() && t.LastUsedAt.After(since) {
			used[t.Kind] = t.LastUsedAt
		}
		left := !since.IsZero() && !since.Before(t.LastUsedAt)
		if left || !t.RevokedAt.IsZero() || !t.ReplacedAt.IsZero() || t.ExpiresAt.IsZero() {
			continue
		}
		what := "SCIM token"
		if t.Kind == OAuth {
			what = "SCIM client secret"
		}
		if _, err := tx.Exec(ctx, `INSERT INTO expiries (connection, name, organization, expires_at, told_by) VALUES ($1, $2, $3, $4, 'tokens')`,
			connection, fmt.Sprintf("%s %s…", what, t.ID), organization, db.Micros(t.ExpiresAt)); err != nil {
			return err
		}
	}
	return nil
}

// tell writes the event of a token's beginning or end.
func tell(ctx context.Context, tx *db.Tx, what event.Type, t *Token, actor string, at time.Time, more map[string]any) error {
	about := map[string]any{"id": t.ID, "kind": t.Kind, "name": t.Name, "expires_at": moment(t.ExpiresAt)}
	for k, v := range more {
		about[k] = v
	}
	text, err := json.Marshal(about)
	if err != nil {
		return err
	}
	return events.Append(ctx, tx, []event.Event{{Type: what, Organization: t.Organization, Connection: &t.Connection, At: at, Actor: actor, After: text}})
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
