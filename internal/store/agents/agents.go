// Package agents is the table of agents, the programs in customers' networks through
// which a connection's directory is reached. It hands on to the tunnel whom a secret
// belongs to and which agents a connection has, keeps what they report, and shows
// them to the API and the console. Of no secret is anything kept from which it could
// be had again.
package agents

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
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/setting"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// Agents is the table. Every method that people reach takes the organization that
// asks, "" for the operator, and gives a fault.NotFound for what is another one's.
type Agents struct {
	DB *db.DB
	// Known gives whose a connection is, or a fault.NotFound. An agent whose connection
	// is not there any more, or another organization's, is none.
	Known func(ctx context.Context, alias string) (organization string, err error)
	Now   func() time.Time // time.Now unless set
}

// Agent is one of them, without its secret.
type Agent struct {
	ID           string // the client ID
	Name         string
	Connection   string
	Organization string
	CreatedBy    string
	CreatedAt    time.Time
	RotatedAt    time.Time // zero: never
	OldUntil     time.Time // the secret before is good until then; zero where it is not
	RevokedAt    time.Time
	RevokedBy    string

	Kind    string          // of source, as it last reported; "" where its file names none
	Policy  *setting.Policy // as it last reported; nil before it connected for the first time
	Version string
	SeenAt  time.Time  // when it last was connected
	Seen    []Presence // the nodes it is connected to
	Secret  int64      // which of its secrets it came with, or has; they are counted from 1
}

// Connected reports whether it is.
func (a *Agent) Connected() bool { return len(a.Seen) > 0 }

// Ticket is what a session was begun with.
func (a *Agent) Ticket() Ticket { return Ticket{a.ID, a.Secret} }

// Ticket is an agent and one of its secrets.
type Ticket struct {
	ID     string
	Secret int64
}

// What the table holds to.
const (
	// MostAgents is how many a connection has that are not revoked.
	MostAgents = 20

	mostShown   = 20 // that are
	longestName = 100
	idPrefix    = "agt_"
	prefix      = "rcg_"
)

var letters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return b
}

// newSecret is 256 random bits: nobody guesses them, so a quick digest is kept.
func newSecret() string { return prefix + base64.RawURLEncoding.EncodeToString(random(32)) }

func digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// none is compared with where there is no secret, so that it takes as long.
var none = random(sha256.Size)

func (s *Agents) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

// owner gives whose a connection is.
func (s *Agents) owner(ctx context.Context, connection string) (string, error) {
	if s.Known == nil {
		return "", fault.New(fault.Internal, "agents: nobody knows connections here")
	}
	return s.Known(ctx, connection)
}

const columns = `id, organization, connection, name, hash, hash_before, before_until, secret, kind, policy, version, seen_at, created_by, created_at, rotated_at, revoked_at, revoked_by`

// row is an agent with what is kept of its secrets.
type row struct {
	Agent
	hash, before []byte
}

func (s *Agents) scan(from interface{ Scan(...any) error }) (*row, error) {
	var a row
	var policy string
	var until, seen, created, rotated, revoked int64
	if err := from.Scan(&a.ID, &a.Organization, &a.Connection, &a.Name, &a.hash, &a.before, &until, &a.Secret, &a.Kind, &policy, &a.Version, &seen, &a.CreatedBy, &created, &rotated, &revoked, &a.RevokedBy); err != nil {
		return nil, err
	}
	a.SeenAt, a.CreatedAt, a.RotatedAt, a.RevokedAt = db.Time(seen), db.Time(created), db.Time(rotated), db.Time(revoked)
	if old := db.Time(until); old.After(s.now()) {
		a.OldUntil = old
	}
	if policy == "" {
		return &a, nil
	}
	a.Policy = &setting.Policy{}
	return &a, json.Unmarshal([]byte(policy), a.Policy)
}

func (s *Agents) one(ctx context.Context, q db.Querier, asks, id, end string) (*row, error) {
	a, err := s.scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM agents WHERE id = $1 AND ($2 = '' OR organization = $2)`+end, id, asks))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no agent %q", id).WithHint("`rollcall agents list` shows those there are")
	}
	return a, db.Explain("read the agent", err)
}

// Get gives one agent.
func (s *Agents) Get(ctx context.Context, asks, id string) (*Agent, error) {
	a, err := s.one(ctx, s.DB.Reader(), asks, id, "")
	if err != nil {
		return nil, err
	}
	list := []Agent{a.Agent}
	err = s.seen(ctx, list)
	return &list[0], err
}

// Filter chooses among agents; what is empty leaves all.
type Filter struct{ Organization, Connection string }

// List gives agents behind an ID, in the order of IDs, at most limit.
func (s *Agents) List(ctx context.Context, asks string, f Filter, after string, limit int) ([]Agent, error) {
	out := []Agent{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT `+columns+` FROM agents WHERE ($1 = '' OR organization = $1) AND ($2 = '' OR organization = $2) AND ($3 = '' OR connection = $3)
		AND id > $4 ORDER BY id LIMIT $5`, []any{asks, f.Organization, f.Connection, after, limit}, func(rows *sql.Rows) error {
		a, err := s.scan(rows)
		if err == nil {
			out = append(out, a.Agent)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, s.seen(ctx, out)
}

// Of gives the agents of a connection, those that were revoked too: whoever reads the
// connection must know that it had some.
func (s *Agents) Of(ctx context.Context, connection string) ([]Agent, error) {
	organization, err := s.owner(ctx, connection)
	if err != nil {
		return nil, err
	}
	return s.List(ctx, organization, Filter{Connection: connection}, "", MostAgents+mostShown)
}

// Effective is what a connection's policy and those of its agents all allow: nothing
// that one of them forbids.
func Effective(policy setting.Policy, list []Agent) setting.Policy {
	for i := range list {
		if list[i].Policy != nil && list[i].RevokedAt.IsZero() {
			policy = policy.Stricter(*list[i].Policy)
		}
	}
	return policy
}

// Create makes an agent of a connection and gives it with its secret, which is never
// shown again.
func (s *Agents) Create(ctx context.Context, asks, name, connection, actor string) (*Agent, string, error) {
	name = strings.TrimSpace(name)
	if name == "" || len(name) > longestName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return nil, "", fault.New(fault.Invalid, "agent: the name is empty, longer than %d bytes, or holds what cannot be shown", longestName).WithHint("the name of the machine it runs on is a good one")
	}
	organization, err := s.owner(ctx, connection)
	if err == nil && asks != "" && asks != organization {
		err = fault.New(fault.NotFound, "there is no connection %q", connection)
	}
	if err != nil {
		return nil, "", err
	}
	now, secret := s.now(), newSecret()
	a := &Agent{ID: idPrefix + letters.EncodeToString(random(10)), Name: name, Connection: connection, Organization: organization, CreatedBy: actor, CreatedAt: now, Secret: 1}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := events.Lock(ctx, tx); err != nil { // two at once must not both be the last
			return err
		}
		var n, same int
		if err := tx.QueryRowContext(ctx, `SELECT count(*), COALESCE(sum(CASE WHEN name = $3 THEN 1 ELSE 0 END), 0) FROM agents WHERE connection = $1 AND organization = $2 AND revoked_at = 0`, connection, organization, name).Scan(&n, &same); err != nil {
			return db.Explain("count agents", err)
		}
		if same > 0 {
			return fault.New(fault.Conflict, "connection %s has an agent named %q already", connection, name).WithHint("rotate its secret, revoke it, or choose another name")
		}
		if n >= MostAgents {
			return fault.New(fault.Conflict, "connection %s has %d agents already, and no more are taken", connection, n).WithHint("revoke those that are not used any more")
		}
		if _, err := tx.Exec(ctx, `INSERT INTO agents (id, organization, connection, name, hash, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			a.ID, organization, connection, name, digest(secret), actor, db.Micros(now)); err != nil {
			return err
		}
		return tell(ctx, tx, event.AgentCreated, a, actor, now, nil)
	})
	if err != nil {
		return nil, "", err
	}
	return a, secret, nil
}

// Rotate gives an agent another secret. The one before stays good for as long as
// overlap says, 0 for not at all; of three the oldest ends at once.
func (s *Agents) Rotate(ctx context.Context, asks, id string, overlap time.Duration, actor string) (*Agent, string, error) {
	secret := newSecret()
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := s.one(ctx, tx, asks, id, tx.Locked())
		if err != nil {
			return err
		}
		if !a.RevokedAt.IsZero() {
			return fault.New(fault.Conflict, "agent %s (%s) is revoked", id, a.Name).WithHint("make another one")
		}
		now := s.now()
		until := now.Add(max(0, overlap))
		if _, err := tx.Exec(ctx, `UPDATE agents SET hash_before = hash, before_until = $2, hash = $3, secret = secret + 1, rotated_at = $4 WHERE id = $1`, id, db.Micros(until), digest(secret), db.Micros(now)); err != nil {
			return err
		}
		return tell(ctx, tx, event.AgentRotated, &a.Agent, actor, now, map[string]any{"old_until": until})
	})
	if err != nil {
		return nil, "", err
	}
	a, err := s.Get(ctx, asks, id)
	return a, secret, err
}

// Revoke ends an agent for good. One that was revoked already stays as it is.
func (s *Agents) Revoke(ctx context.Context, asks, id, actor string) (*Agent, error) {
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := s.one(ctx, tx, asks, id, tx.Locked())
		if err != nil || !a.RevokedAt.IsZero() {
			return err
		}
		now := s.now()
		if _, err := tx.Exec(ctx, `UPDATE agents SET revoked_at = $2, revoked_by = $3, hash_before = NULL, before_until = 0, told = $4 WHERE id = $1`, id, db.Micros(now), actor, false); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM agent_presences WHERE agent = $1`, id); err != nil {
			return err
		}
		// What ended long ago is of interest to nobody; the events remember it.
		if _, err := tx.Exec(ctx, `DELETE FROM agents WHERE connection = $1 AND revoked_at > 0 AND revoked_at <
			(SELECT revoked_at FROM agents WHERE connection = $1 AND revoked_at > 0 ORDER BY revoked_at DESC LIMIT 1 OFFSET $2)`, a.Connection, mostShown-1); err != nil {
			return err
		}
		return tell(ctx, tx, event.AgentRevoked, &a.Agent, actor, now, nil)
	})
	if err != nil {
		return nil, err
	}
	return s.Get(ctx, asks, id)
}

// Forget takes a revoked agent out of the table. Of a connection whose last one it was
// the server reads the directory itself from then on, if it has the settings.
func (s *Agents) Forget(ctx context.Context, asks, id, actor string) (*Agent, error) {
	var gone *row
	err := s.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if gone, err = s.one(ctx, tx, asks, id, tx.Locked()); err != nil {
			return err
		}
		if gone.RevokedAt.IsZero() {
			return fault.New(fault.Conflict, "agent %s (%s) is not revoked", id, gone.Name).WithHint("`rollcall agents revoke` does so, and cuts its connection")
		}
		if _, err := tx.Exec(ctx, `DELETE FROM agents WHERE id = $1`, id); err != nil {
			return err
		}
		return tell(ctx, tx, event.AgentForgotten, &gone.Agent, actor, s.now(), nil)
	})
	if err != nil {
		return nil, err
	}
	return &gone.Agent, nil
}

// ForgetAll takes the agents of a connection away that is deleted itself, in the
// transaction of that. Whoever gets its alias next gets none of them.
func ForgetAll(ctx context.Context, tx *db.Tx, connection, actor string, at time.Time) error {
	var gone []Agent
	err := db.Each(ctx, tx, `SELECT id, organization, connection, name FROM agents WHERE connection = $1 AND revoked_at = 0 ORDER BY id`, []any{connection}, func(rows *sql.Rows) error {
		var a Agent
		err := rows.Scan(&a.ID, &a.Organization, &a.Connection, &a.Name)
		gone = append(gone, a)
		return err
	})
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM agents WHERE connection = $1`, connection); err != nil {
		return err
	}
	for i := range gone {
		if err := tell(ctx, tx, event.AgentRevoked, &gone[i], actor, at, map[string]any{"reason": "the connection was deleted"}); err != nil {
			return err
		}
	}
	return nil
}

// Authenticate gives the agent that a client ID and a secret belong to; a fault.Denied,
// the same for every reason, where they do not. The agent's Secret says with which one
// it came.
func (s *Agents) Authenticate(ctx context.Context, id, secret string) (*Agent, error) {
	denied := fault.New(fault.Denied, "agent: client ID and secret are not those of an agent that may connect").WithHint("`rollcall agents list` shows those there are, `rollcall agents rotate` gives one another secret")
	a, err := s.one(ctx, s.DB.Reader(), "", id, "")
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	given, current, before := digest(secret), none, none
	if a != nil {
		current = a.hash
		if !a.OldUntil.IsZero() && len(a.before) > 0 {
			before = a.before
		}
	}
	now, old := subtle.ConstantTimeCompare(given, current), subtle.ConstantTimeCompare(given, before)
	if a == nil || now|old != 1 || !a.RevokedAt.IsZero() {
		return nil, denied
	}
	organization, err := s.owner(ctx, a.Connection)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if err != nil || organization != a.Organization {
		return nil, denied
	}
	if now != 1 {
		a.Secret--
	}
	return &a.Agent, nil
}

// Good gives those of the tickets whose agents may stay connected: neither revoked nor
// taken away, and their secret not replaced. It is one query for all.
func (s *Agents) Good(ctx context.Context, tickets ...Ticket) (map[Ticket]bool, error) {
	out := map[Ticket]bool{}
	now := db.Micros(s.now())
	for part := range slices.Chunk(tickets, 500) {
		marks, args := make([]string, len(part)), make([]any, len(part))
		for i, t := range part {
			marks[i], args[i] = "$"+strconv.Itoa(i+1), t.ID
		}
		err := db.Each(ctx, s.DB.Reader(), `SELECT id, secret, before_until FROM agents WHERE revoked_at = 0 AND id IN (`+strings.Join(marks, ", ")+`)`, args, func(rows *sql.Rows) error {
			var id string
			var secret, until int64
			if err := rows.Scan(&id, &secret, &until); err != nil {
				return err
			}
			out[Ticket{id, secret}] = true
			if until > now {
				out[Ticket{id, secret - 1}] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func tell(ctx context.Context, tx *db.Tx, what event.Type, a *Agent, actor string, at time.Time, more map[string]any) error {
	about := map[string]any{"id": a.ID, "name": a.Name}
	for k, v := range more {
		about[k] = v
	}
	text, err := json.Marshal(about)
	if err != nil {
		return err
	}
	return events.Append(ctx, tx, []event.Event{{Type: what, Organization: a.Organization, Connection: &a.Connection, At: at, Actor: actor, After: text}})
}
