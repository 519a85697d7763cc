package targets

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// Turn is a target whose turn it is. It is one process's until its lease ends, so
// that what is pushed stays in order, and the application's limits are kept.
type Turn struct {
	Target client.Target
	Secret string
	claim  string
	loaded bool
	cursor int64
	failed int64 // how often in a row nothing could be pushed
}

// Failures is how often in a row nothing could be pushed.
func (t *Turn) Failures() int { return int(t.failed) }

// unreadable is how long a target is left alone whose secret does not open.
const unreadable = 10 * time.Minute

const waits = `(NOT t.loaded OR t.cursor < (SELECT value FROM counters WHERE name = 'event')
	OR EXISTS (SELECT 1 FROM target_links l WHERE l.target = t.id AND l.next_at > 0 AND l.next_at <= $1))`

// Claim takes a target for which there is something to do; nil where there is none.
func (t *Targets) Claim(ctx context.Context, lease time.Duration) (*Turn, error) {
	now := db.Micros(t.now())
	due := ` FROM targets t WHERE ` + waits + ` AND t.enabled AND t.paused_until <= $1 AND t.claimed_until <= $1`
	var found bool
	if err := t.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+due+`)`, now).Scan(&found); err != nil || !found {
		return nil, db.Explain("look for targets", err)
	}
	var turn *Turn
	var locked error // the secret does not open
	err := t.DB.Write(ctx, func(tx *db.Tx) error {
		turn, locked = nil, nil
		var id string
		err := tx.QueryRowContext(ctx, `SELECT t.id`+due+` ORDER BY t.claimed_until, t.id LIMIT 1`+tx.Unlocked(), now).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return db.Explain("look for targets", err)
		}
		got, err := t.turn(ctx, tx, "", id)
		if got == nil && err != nil {
			locked = err
			_, err := tx.Exec(ctx, `UPDATE targets SET paused_until = $2, error = $3 WHERE id = $1`, id, now+unreadable.Microseconds(), "its secret does not open; give it again")
			return err
		}
		got.claim = random()
		turn = got
		_, err = tx.Exec(ctx, `UPDATE targets SET claim = $2, claimed_until = $3 WHERE id = $1`, id, got.claim, now+lease.Microseconds())
		return err
	})
	return turn, errors.Join(err, locked)
}

// Open gives a target with its secret to who only reads there.
func (t *Targets) Open(ctx context.Context, asks, id string) (*Turn, error) {
	return t.turn(ctx, t.DB.Reader(), asks, id)
}

func (t *Targets) turn(ctx context.Context, q db.Querier, asks, id string) (*Turn, error) {
	var out Turn
	var sealed []byte
	one, err := t.scan(q.QueryRowContext(ctx, `SELECT `+columns+`, t.secret, t.loaded, t.cursor, t.failures FROM targets t WHERE t.id = $1 AND ($2 = '' OR t.organization = $2)`, id, asks),
		&sealed, &out.loaded, &out.cursor, &out.failed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no target %q", id)
	}
	if err != nil {
		return nil, db.Explain("read the target", err)
	}
	plain, err := t.Sealer.Open(purpose(id), sealed)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "target %s: its secret cannot be opened: %w", id, err).
			WithHint("the key file is not the one it was sealed with: restore it, or give the target its secret again")
	}
	out.Target, out.Secret = *one, string(plain)
	return &out, nil
}

// ErrLost ends what somebody else does by now.
var ErrLost = fault.New(fault.Conflict, "target: its turn has passed to another process")

// hold runs fn in a transaction in which the turn is still ours.
func (t *Targets) hold(ctx context.Context, turn *Turn, fn func(*db.Tx) error) error {
	return t.DB.Write(ctx, func(tx *db.Tx) error {
		var claim string
		err := tx.QueryRowContext(ctx, `SELECT claim FROM targets WHERE id = $1`+tx.Locked(), turn.Target.ID).Scan(&claim)
		if errors.Is(err, sql.ErrNoRows) || err == nil && claim != turn.claim {
			return ErrLost
		}
		if err != nil {
			return db.Explain("read the target", err)
		}
		return fn(tx)
	})
}

// Extend keeps a turn for longer.
func (t *Targets) Extend(ctx context.Context, turn *Turn, lease time.Duration) error {
	return t.hold(ctx, turn, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE targets SET claimed_until = $2 WHERE id = $1`, turn.Target.ID, db.Micros(t.now().Add(lease)))
		return err
	})
}

// Release ends a turn that went well: others need not wait for its lease.
func (t *Targets) Release(ctx context.Context, turn *Turn) error {
	err := t.hold(ctx, turn, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE targets SET claim = '', claimed_until = $2, failures = 0, failing_since = 0, error = '' WHERE id = $1`, turn.Target.ID, db.Micros(t.now()))
		return err
	})
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// Stumble ends a turn in which the application could not be reached, or wants to be
// left alone until then.
func (t *Targets) Stumble(ctx context.Context, turn *Turn, until time.Time, why string) error {
	err := t.hold(ctx, turn, func(tx *db.Tx) error {
		now := db.Micros(t.now())
		_, err := tx.Exec(ctx, `UPDATE targets SET claim = '', claimed_until = $2, failures = failures + 1, failing_since = CASE WHEN failing_since = 0 THEN $3 ELSE failing_since END,
			paused_until = $4, error = $5 WHERE id = $1`, turn.Target.ID, now, now, db.Micros(until), why)
		return err
	})
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// How much of the feed one transaction looks at.
const mostEvents = 2000

// Prepare marks what changed by now as due. It reports whether there is more to look at.
func (t *Targets) Prepare(ctx context.Context, turn *Turn) (more bool, err error) {
	err = t.hold(ctx, turn, func(tx *db.Tx) error {
		more = false
		var newest, pruned int64
		if err := tx.QueryRowContext(ctx, `SELECT value, (SELECT value FROM counters WHERE name = 'pruned') FROM counters WHERE name = 'event'`).Scan(&newest, &pruned); err != nil {
			return db.Explain("read the end of the feed", err)
		}
		var loaded bool
		if err := tx.QueryRowContext(ctx, `SELECT loaded, cursor FROM targets WHERE id = $1`, turn.Target.ID).Scan(&loaded, &turn.cursor); err != nil {
			return db.Explain("read the target", err)
		}
		if !loaded || turn.cursor < pruned { // what happened is not all told any more
			_, err := t.load(ctx, tx, &turn.Target, newest)
			return err
		}
		upTo := min(newest, turn.cursor+mostEvents)
		if upTo == turn.cursor {
			return nil
		}
		more = upTo < newest
		if err := t.follow(ctx, tx, &turn.Target, turn.cursor, upTo); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE targets SET cursor = $2 WHERE id = $1`, turn.Target.ID, upTo)
		return err
	})
	return more, err
}

const mark = ` ON CONFLICT (target, kind, id) DO UPDATE SET state = 'due', next_at = excluded.next_at, version = target_links.version + 1`

// load marks everything there is, and everything that was pushed before, as due.
// Groups that are not pushed any more are left as they are there.
func (t *Targets) load(ctx context.Context, tx *db.Tx, of *client.Target, newest int64) (int, error) {
	now := db.Micros(t.now())
	if _, err := tx.Exec(ctx, `UPDATE target_links SET state = 'due', next_at = $2, version = version + 1 WHERE target = $1`, of.ID, now); err != nil {
		return 0, err
	}
	where, args := ` WHERE organization = $2 AND status = 'active'`, []any{of.ID, of.Organization, now}
	if len(of.Connections) > 0 {
		where += ` AND connection IN ` + db.In(4, len(of.Connections))
		for _, c := range of.Connections {
			args = append(args, c)
		}
	}
	tables := []struct{ kind, table string }{{"user", "accounts"}}
	if of.Groups {
		tables = append(tables, struct{ kind, table string }{"group", "groups"})
	} else {
		for _, q := range []string{`DELETE FROM target_members WHERE target = $1`, `DELETE FROM target_links WHERE target = $1 AND kind = 'group'`} {
			if _, err := tx.Exec(ctx, q, of.ID); err != nil {
				return 0, err
			}
		}
	}
	for _, k := range tables {
		if _, err := tx.Exec(ctx, `INSERT INTO target_links (target, kind, id, state, next_at, version, updated_at) SELECT $1, '`+k.kind+`', id, 'due', $3, 1, $3 FROM `+k.table+where+mark, args...); err != nil {
			return 0, err
		}
	}
	// Who leads others comes before them, so that these need not be pushed twice.
	if _, err := tx.Exec(ctx, `UPDATE target_links SET next_at = next_at - 1 WHERE target = $1 AND kind = 'user' AND id IN (SELECT manager FROM accounts WHERE organization = $2 AND manager IS NOT NULL)`,
		of.ID, of.Organization); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, `UPDATE targets SET loaded = $2, cursor = $3 WHERE id = $1`, of.ID, true, newest); err != nil {
		return 0, err
	}
	var n int
	err := tx.QueryRowContext(ctx, `SELECT count(*) FROM target_links WHERE target = $1`, of.ID).Scan(&n)
	return n, db.Explain("count what is due", err)
}

// follow marks what a stretch of the feed tells of.
func (t *Targets) follow(ctx context.Context, tx *db.Tx, of *client.Target, from, upTo int64) error {
	type link struct {
		kind string
		id   account.ID
	}
	seen := map[link]bool{}
	var list []link
	note := func(kind string, id *account.ID) {
		if id == nil || seen[link{kind, *id}] {
			return
		}
		seen[link{kind, *id}] = true
		list = append(list, link{kind, *id})
	}
	err := events.Read(ctx, tx, from, upTo, func(e event.Event) error {
		if e.Organization != of.Organization {
			return nil
		}
		switch e.Type {
		case event.AccountCreated, event.AccountUpdated, event.AccountLinked, event.AccountDisabled, event.AccountEnabled, event.AccountDeleted, event.AccountRestored, event.AccountPurged:
			note("user", e.Account)
		case event.GroupCreated, event.GroupUpdated, event.GroupDeleted, event.GroupRestored, event.MembershipAdded, event.MembershipRemoved:
			if of.Groups {
				note("group", e.Group)
			}
		default:
		}
		return nil
	})
	if err != nil {
		return err
	}
	now := db.Micros(t.now())
	return tx.Insert(ctx, "target_links", []string{"target", "kind", "id", "state", "next_at", "version", "updated_at"}, len(list), func(i int, into []any) {
		into[0], into[1], into[2], into[3], into[4], into[5], into[6] = of.ID, list[i].kind, list[i].id[:], Due, now, 1, now
	}, strings.TrimSpace(mark))
}

// Sync has everything looked at again, at once. It gives how many that are.
func (t *Targets) Sync(ctx context.Context, asks, id string) (n int, err error) {
	err = t.DB.Write(ctx, func(tx *db.Tx) error {
		if err := lock(ctx, tx, id); err != nil {
			return err
		}
		of, err := t.one(ctx, tx, asks, id)
		if err != nil {
			return err
		}
		if !of.Enabled {
			return fault.New(fault.Conflict, "target %s is disabled: nothing is pushed to it", id).WithHint("enable it first")
		}
		var newest int64
		if err := tx.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'event'`).Scan(&newest); err != nil {
			return db.Explain("read the end of the feed", err)
		}
		if n, err = t.load(ctx, tx, of, newest); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE targets SET paused_until = 0 WHERE id = $1`, id)
		return err
	})
	return n, err
}

// Repair has what is not as it was pushed pushed again; those that are missing there
// are made anew. It gives how many that are.
func (t *Targets) Repair(ctx context.Context, asks, id string, drift []client.Drift, actor string) (n int, err error) {
	err = t.DB.Write(ctx, func(tx *db.Tx) error {
		n = 0
		if err := lock(ctx, tx, id); err != nil {
			return err
		}
		of, err := t.one(ctx, tx, asks, id)
		if err != nil {
			return err
		}
		now := db.Micros(t.now())
		for _, d := range drift {
			if d.ID == nil || d.Problem == "unknown" {
				continue
			}
			link, err := account.ParseID(*d.ID)
			if err != nil {
				return err
			}
			set := `sent = NULL, seen = NULL`
			if d.Problem == "missing" {
				set += `, remote = '', etag = ''`
			}
			k, err := tx.Exec(ctx, `UPDATE target_links SET state = 'due', next_at = $4, version = version + 1, `+set+` WHERE target = $1 AND kind = $2 AND id = $3`, id, d.Kind, link[:], now)
			if err != nil {
				return err
			}
			n += int(k)
			if d.Kind == "group" {
				if _, err := tx.Exec(ctx, `DELETE FROM target_members WHERE target = $1 AND group_id = $2`, id, link[:]); err != nil {
					return err
				}
			}
		}
		if n == 0 {
			return nil
		}
		after, err := json.Marshal(map[string]any{"target": id, "marked": n})
		if err != nil {
			return err
		}
		return events.Record(ctx, tx, event.Event{Type: event.TargetRepaired, Organization: of.Organization, At: t.now(), Actor: actor, After: after})
	})
	return n, err
}
