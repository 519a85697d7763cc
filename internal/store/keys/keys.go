// Package keys is the table of API keys. It hands on who a key speaks for, and
// keeps nothing from which a key could be had again.
package keys

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
	"rollcall.dev/rollcall/internal/store/organizations"
)

// Keys is the table.
type Keys struct {
	DB  *db.DB
	Now func() time.Time // time.Now unless set
}

// Key is a key without its secret. ID is how it begins, so that whoever holds
// one finds it in the list.
type Key struct {
	ID         string
	Name       string
	Scope      Scope
	CreatedBy  string
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never
	LastUsedAt time.Time // to the minute; zero: never
	RevokedAt  time.Time
	RevokedBy  string
}

// A key is "rk_" and 32 random bytes in base 62. Its first characters are its ID:
// more than 200 bits are left that nobody is shown again.
const (
	prefix   = "rk_"
	random   = 32
	letters  = 43 // what 32 bytes take in base 62
	idLength = len(prefix) + 8
)

// Secret is how Create hands out a key: once.
func secret() (string, error) {
	b := make([]byte, random)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	text := new(big.Int).SetBytes(b).Text(62)
	return prefix + strings.Repeat("0", letters-len(text)) + text, nil
}

// digest is what is kept of a key. It is quick on purpose: slow hashes protect
// what people think up. These keys are random; nobody guesses 200 bits, however
// fast the guesses are, and every request has to be checked.
func digest(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

func (s *Keys) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

// Create makes a key and gives it, once. A scope of an organization that does
// not exist is a fault.NotFound, an expiry that has passed a fault.Invalid.
func (s *Keys) Create(ctx context.Context, scope Scope, name string, expires time.Time, actor string) (key string, made *Key, err error) {
	now := s.now()
	if !expires.IsZero() && !expires.After(now) {
		return "", nil, fault.New(fault.Invalid, "an API key that expires on %s would never work", expires.Format(time.RFC3339)).WithHint("give a time to come, or none")
	}
	if key, err = secret(); err != nil {
		return "", nil, err
	}
	made = &Key{ID: key[:idLength], Name: name, Scope: scope, CreatedBy: actor, CreatedAt: now, ExpiresAt: expires.UTC()}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := exists(ctx, tx, scope.Organization); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO api_keys (id, hash, name, organization, read_only, created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			made.ID, digest(key), name, scope.Organization, scope.ReadOnly, actor, db.Micros(now), db.Micros(expires)); err != nil {
			return err
		}
		return told(ctx, tx, event.APIKeyCreated, made, actor, now)
	})
	if err != nil {
		return "", nil, err
	}
	return key, made, nil
}

func exists(ctx context.Context, tx *db.Tx, organization string) error {
	if organization == "" {
		return nil
	}
	return organizations.Exists(ctx, tx, organization)
}

// told writes the event of a key's beginning or end.
func told(ctx context.Context, tx *db.Tx, what event.Type, k *Key, actor string, at time.Time) error {
	about, err := json.Marshal(struct {
		ID        string     `json:"id"`
		Name      string     `json:"name"`
		Scope     Scope      `json:"scope"`
		ExpiresAt *time.Time `json:"expires_at"`
	}{k.ID, k.Name, k.Scope, moment(k.ExpiresAt)})
	if err != nil {
		return err
	}
	return events.Append(ctx, tx, []event.Event{{Type: what, Organization: k.Scope.Organization, At: at, Actor: actor, After: about}})
}

const columns = `id, name, organization, read_only, created_by, created_at, expires_at, last_used_at, revoked_at, revoked_by`

func scan(row interface{ Scan(...any) error }, more ...any) (*Key, error) {
	var k Key
	var created, expires, used, revoked int64
	err := row.Scan(append([]any{&k.ID, &k.Name, &k.Scope.Organization, &k.Scope.ReadOnly, &k.CreatedBy, &created, &expires, &used, &revoked, &k.RevokedBy}, more...)...)
	k.CreatedAt, k.ExpiresAt, k.LastUsedAt, k.RevokedAt = db.Time(created), db.Time(expires), db.Time(used), db.Time(revoked)
	return &k, err
}

// errUnknown does not say whether the beginning, the rest, the expiry or a
// revocation was at fault: whoever does not hold the key learns nothing.
func errUnknown() error {
	return fault.New(fault.Denied, "this API key is not valid").
		WithHint("it may be mistyped, expired or revoked; `rollcall apikeys list` shows those there are, by how they begin")
}

// Check gives the key that a text is, or a fault.Denied.
func (s *Keys) Check(ctx context.Context, text string) (*Key, error) {
	if len(text) != len(prefix)+letters || !strings.HasPrefix(text, prefix) {
		return nil, errUnknown()
	}
	var hash []byte
	k, err := scan(s.DB.Reader().QueryRowContext(ctx, `SELECT `+columns+`, hash FROM api_keys WHERE id = $1`, text[:idLength]), &hash)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknown()
	}
	if err != nil {
		return nil, db.Explain("look the API key up", err)
	}
	now := s.now()
	if subtle.ConstantTimeCompare(hash, digest(text)) != 1 || !k.RevokedAt.IsZero() || !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(now) {
		return nil, errUnknown()
	}
	return k, s.used(ctx, k, now)
}

// used notes that a key was used, at most once a minute. A database that is busy
// for a moment is no reason to turn anybody away.
func (s *Keys) used(ctx context.Context, k *Key, now time.Time) error {
	if now.Sub(k.LastUsedAt) < time.Minute {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := s.DB.Write(short, func(tx *db.Tx) error {
		_, err := tx.Exec(short, `UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND last_used_at < $2`, k.ID, db.Micros(now))
		return err
	})
	if err == nil {
		k.LastUsedAt = now
	}
	return ctx.Err()
}

// List gives keys in the order in which they were made, those of an organization
// or all of them (""), after one and at the most limit.
func (s *Keys) List(ctx context.Context, organization string, after Place, limit int) ([]*Key, error) {
	var out []*Key
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM api_keys WHERE ($1 = '' OR organization = $1) AND (created_at > $2 OR created_at = $2 AND id > $3)
		ORDER BY created_at, id LIMIT $4`, []any{organization, after.CreatedAt, after.ID, limit}, func(rows *sql.Rows) error {
		k, err := scan(rows)
		out = append(out, k)
		return err
	})
	return out, err
}

// Place is where a list goes on: behind the key made then, in microseconds.
type Place struct {
	CreatedAt int64
	ID        string
}

// Place is the key's own.
func (k *Key) Place() Place { return Place{db.Micros(k.CreatedAt), k.ID} }

// Revoke ends a key of an organization ("" for any) at once. One that was revoked
// already stays as it is; one that does not exist is a fault.NotFound.
func (s *Keys) Revoke(ctx context.Context, organization, id, actor string) (*Key, error) {
	var k *Key
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		var err error
		k, err = scan(tx.QueryRowContext(ctx, `SELECT `+columns+` FROM api_keys WHERE id = $1 AND ($2 = '' OR organization = $2)`, id, organization))
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "there is no API key %q", id).WithHint("`rollcall apikeys list` shows them, by how they begin")
		}
		if err != nil || !k.RevokedAt.IsZero() {
			return db.Explain("look the API key up", err)
		}
		k.RevokedAt, k.RevokedBy = s.now(), actor
		if _, err := tx.Exec(ctx, `UPDATE api_keys SET revoked_at = $2, revoked_by = $3 WHERE id = $1`, id, db.Micros(k.RevokedAt), actor); err != nil {
			return err
		}
		return told(ctx, tx, event.APIKeyRevoked, k, actor, k.RevokedAt)
	})
	return k, err
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// MarshalJSON shows a key: id, name, scope, created_by, created_at, expires_at,
// last_used_at, revoked_at, revoked_by; null for what is not.
func (k Key) MarshalJSON() ([]byte, error) {
	revoker := &k.RevokedBy
	if k.RevokedBy == "" {
		revoker = nil
	}
	return json.Marshal(struct {
		ID         string     `json:"id"`
		Name       string     `json:"name"`
		Scope      Scope      `json:"scope"`
		CreatedBy  string     `json:"created_by"`
		CreatedAt  time.Time  `json:"created_at"`
		ExpiresAt  *time.Time `json:"expires_at"`
		LastUsedAt *time.Time `json:"last_used_at"`
		RevokedAt  *time.Time `json:"revoked_at"`
		RevokedBy  *string    `json:"revoked_by"`
	}{k.ID, k.Name, k.Scope, k.CreatedBy, k.CreatedAt, moment(k.ExpiresAt), moment(k.LastUsedAt), moment(k.RevokedAt), revoker})
}
