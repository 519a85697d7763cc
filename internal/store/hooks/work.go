package hooks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// Job is a delivery whose turn it is.
type Job struct {
	ID      string
	Webhook string
	Type    string
	At      time.Time       // when the event happened
	Data    json.RawMessage // the event
	URL     string
	Secrets []string // one or two, the newest first
	Step    int      // attempts since it was made or replayed, before this one
	GiveUp  time.Time
	claim   string
}

// Outcome is what became of an attempt.
type Outcome struct {
	At        time.Time
	Took      time.Duration
	Status    int    // 0 where there was no answer
	Error     string // "" when it was accepted
	Answer    []byte // the beginning of the body
	Gone      bool   // the endpoint wants no more
	NextAt    time.Time
	PauseFor  func(failures int) time.Duration // of the endpoint, after so many failures in a row
	NotBefore time.Time                        // until when the endpoint asked to be left alone
}

// weary is after how many failures in a row an endpoint is tried one delivery at a
// time, and after how long without success it is disabled.
const (
	weary    = 5
	hopeless = 5 * 24 * time.Hour
)

// Claim takes deliveries that are due, at most so many, and of each webhook at most
// as many as free says. What is not finished within lease is due again: the
// process that had it is gone.
func (h *Hooks) Claim(ctx context.Context, most int, lease time.Duration, free func(webhook string) int) ([]*Job, error) {
	now := h.now()
	type endpoint struct {
		id       string
		failures int
	}
	var due []endpoint
	err := db.Each(ctx, h.DB.Reader(), `SELECT w.id, w.failures FROM webhooks w WHERE w.enabled AND w.paused_until <= $1
		AND EXISTS (SELECT 1 FROM deliveries d WHERE d.webhook = w.id AND d.state = 'pending' AND d.next_at <= $1) ORDER BY w.id`, []any{db.Micros(now)}, func(rows *sql.Rows) error {
		var e endpoint
		err := rows.Scan(&e.id, &e.failures)
		due = append(due, e)
		return err
	})
	if err != nil {
		return nil, err
	}
	// Where there is not room for all, it is not always the same ones who wait.
	rand.Shuffle(len(due), func(i, j int) { due[i], due[j] = due[j], due[i] })
	var out []*Job
	var errs []error
	for _, e := range due {
		n := min(free(e.id), most-len(out))
		if e.failures >= weary {
			n = min(n, 1)
		}
		if n <= 0 {
			continue
		}
		// What is wrong with one webhook is no other one's business.
		jobs, err := h.claim(ctx, e.id, n, now, lease)
		if err != nil {
			errs = append(errs, err)
		}
		out = append(out, jobs...)
		if ctx.Err() != nil {
			break
		}
	}
	return out, errors.Join(errs...)
}

// unreadable is how long a webhook is left alone whose secret does not open.
const unreadable = 10 * time.Minute

func (h *Hooks) claim(ctx context.Context, webhook string, n int, now time.Time, lease time.Duration) ([]*Job, error) {
	var jobs []*Job
	var locked error // the secret does not open
	claim := letters.EncodeToString(random(10))
	err := h.DB.Write(ctx, func(tx *db.Tx) error {
		jobs, locked = nil, nil
		var address string
		var secret, before []byte
		var until, failures int64
		// Who is weary is tried by one node at a time: the row is locked then.
		row := tx.QueryRowContext(ctx, `SELECT url, secret, secret_before, secret_until, failures FROM webhooks WHERE id = $1 AND enabled AND paused_until <= $2`+tx.Locked(), webhook, db.Micros(now))
		err := row.Scan(&address, &secret, &before, &until, &failures)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return db.Explain("read the webhook", err)
		}
		secrets, err := h.secrets(webhook, secret, before, until, now)
		if err != nil {
			locked = err
			_, err := tx.Exec(ctx, `UPDATE webhooks SET paused_until = $2 WHERE id = $1`, webhook, db.Micros(now.Add(unreadable)))
			return err
		}
		var ids []string
		var numbers []int64
		err = db.Each(ctx, tx, `SELECT id, type, event, body, step, give_up_at FROM deliveries WHERE webhook = $1 AND state = 'pending' AND next_at <= $2 ORDER BY next_at, event LIMIT $3`+tx.Unlocked(),
			[]any{webhook, db.Micros(now), n}, func(rows *sql.Rows) error {
				j := &Job{Webhook: webhook, URL: address, Secrets: secrets, claim: claim}
				var number, giveUp int64
				var body string
				err := rows.Scan(&j.ID, &j.Type, &number, &body, &j.Step, &giveUp)
				j.GiveUp, j.At, j.Data = db.Time(giveUp), now, json.RawMessage(body)
				jobs, ids, numbers = append(jobs, j), append(ids, j.ID), append(numbers, number)
				return err
			})
		if err != nil || len(jobs) == 0 {
			return err
		}
		for i, j := range jobs {
			if numbers[i] == 0 {
				continue
			}
			if err := j.read(ctx, tx, numbers[i]); err != nil {
				return err
			}
		}
		args := []any{db.Micros(now.Add(lease)), claim}
		for _, id := range ids {
			args = append(args, id)
		}
		if _, err := tx.Exec(ctx, `UPDATE deliveries SET next_at = $1, claim = $2 WHERE id IN `+db.In(3, len(ids)), args...); err != nil {
			return err
		}
		if failures >= weary {
			// Nobody else tries it meanwhile.
			_, err = tx.Exec(ctx, `UPDATE webhooks SET paused_until = $2 WHERE id = $1`, webhook, db.Micros(now.Add(lease)))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return jobs, locked
}

func (h *Hooks) secrets(webhook string, secret, before []byte, until int64, now time.Time) ([]string, error) {
	sealed := [][]byte{secret}
	if len(before) > 0 && until > db.Micros(now) {
		sealed = append(sealed, before)
	}
	var out []string
	for _, s := range sealed {
		plain, err := h.Sealer.Open(purpose(webhook), s)
		if err != nil {
			return nil, fault.New(fault.Unavailable, "webhook %s: its secret cannot be opened: %w", webhook, err).
				WithHint("the key file is not the one it was sealed with: restore it, or give the webhook a new secret")
		}
		out = append(out, string(plain))
	}
	return out, nil
}

// read fills in the event; one that is no longer kept leaves Data nil.
func (j *Job) read(ctx context.Context, q db.Querier, number int64) error {
	j.Data = nil
	return events.Read(ctx, q, number-1, number, func(e event.Event) error {
		var err error
		j.At = e.At
		j.Data, err = json.Marshal(e)
		return err
	})
}

// Finish writes down what became of an attempt, unless the claim on it ran out.
func (h *Hooks) Finish(ctx context.Context, j *Job, o Outcome) error {
	return h.DB.Write(ctx, func(tx *db.Tx) error {
		var failures, failing int64
		var enabled bool
		err := tx.QueryRowContext(ctx, `SELECT failures, failing_since, enabled FROM webhooks WHERE id = $1`+tx.Locked(), j.Webhook).Scan(&failures, &failing, &enabled)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // deleted meanwhile, and its deliveries with it
		}
		if err != nil {
			return db.Explain("read the webhook", err)
		}
		state, next, ended := Pending, db.Micros(o.NextAt), int64(0)
		switch {
		case o.Error == "":
			state = Delivered
		case o.NextAt.IsZero() || o.Gone:
			state = Dead
		}
		if state != Pending {
			next, ended = 0, db.Micros(h.now())
		}
		var number int64
		err = tx.QueryRowContext(ctx, `UPDATE deliveries SET state = $3, next_at = $4, ended_at = $5, attempts = attempts + 1, step = step + 1, status = $6, error = $7, claim = ''
			WHERE id = $1 AND claim = $2 RETURNING attempts`, j.ID, j.claim, string(state), next, ended, o.Status, o.Error).Scan(&number)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return db.Explain("write the delivery", err)
		}
		if _, err := tx.Exec(ctx, `INSERT INTO delivery_attempts (delivery, number, at, took, status, error, answer) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
			j.ID, number, db.Micros(o.At), o.Took.Microseconds(), o.Status, o.Error, o.Answer); err != nil {
			return err
		}
		if o.Error == "" {
			if failures == 0 && failing == 0 {
				return nil
			}
			_, err := tx.Exec(ctx, `UPDATE webhooks SET failures = 0, failing_since = 0, paused_until = 0 WHERE id = $1`, j.Webhook)
			return err
		}
		return h.failed(ctx, tx, j, o, failures+1, failing, enabled)
	})
}

// failed counts a failure of an endpoint, and stops it where there is no hope.
func (h *Hooks) failed(ctx context.Context, tx *db.Tx, j *Job, o Outcome, failures, failing int64, enabled bool) error {
	now := h.now()
	if failing == 0 {
		failing = db.Micros(now)
	}
	paused := now
	if failures >= weary && o.PauseFor != nil {
		paused = now.Add(o.PauseFor(int(failures - weary)))
	}
	if o.NotBefore.After(paused) {
		paused = o.NotBefore
	}
	because := ""
	switch {
	case !enabled:
	case o.Gone:
		because = "its endpoint answered 410 Gone: it wants no more"
	case now.Sub(db.Time(failing)) > hopeless:
		because = fmt.Sprintf("it accepted nothing since %s; last: %s", db.Time(failing).Format(time.DateTime), o.Error)
	}
	if because == "" {
		_, err := tx.Exec(ctx, `UPDATE webhooks SET failures = $2, failing_since = $3, paused_until = $4 WHERE id = $1`, j.Webhook, failures, failing, db.Micros(paused))
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE webhooks SET failures = $2, failing_since = $3, paused_until = 0, enabled = $4, disabled_because = $5, updated_at = $6 WHERE id = $1`,
		j.Webhook, failures, failing, false, because, db.Micros(now)); err != nil {
		return err
	}
	w, err := h.one(ctx, tx, "", j.Webhook, "")
	if err != nil {
		return err
	}
	return h.tell(ctx, tx, event.WebhookDisabled, w, "rollcall", because, nil, w.public())
}

// Forget gives back deliveries that were claimed and not tried, so that another
// node need not wait for the lease to run out.
func (h *Hooks) Forget(ctx context.Context, jobs []*Job) error {
	if len(jobs) == 0 {
		return nil
	}
	return h.DB.Write(ctx, func(tx *db.Tx) error {
		for _, j := range jobs {
			if _, err := tx.Exec(ctx, `UPDATE deliveries SET next_at = $3, claim = '' WHERE id = $1 AND claim = $2`, j.ID, j.claim, db.Micros(h.now())); err != nil {
				return err
			}
		}
		return nil
	})
}

// GiveUp ends deliveries that have been tried for long enough, or never had their
// turn because their webhook is disabled or failing. It gives how many.
func (h *Hooks) GiveUp(ctx context.Context) (int, error) {
	now := db.Micros(h.now())
	var late bool
	err := h.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries WHERE state = 'pending' AND give_up_at <= $1)`, now).Scan(&late)
	if err != nil || !late {
		return 0, db.Explain("look for late deliveries", err)
	}
	var n int64
	err = h.DB.Write(ctx, func(tx *db.Tx) error {
		var err error
		n, err = tx.Exec(ctx, `UPDATE deliveries SET state = 'dead', ended_at = $1, next_at = 0, claim = '', error = CASE WHEN error = '' THEN 'never tried: the webhook was disabled or failing' ELSE error END
			WHERE id IN (SELECT id FROM deliveries WHERE state = 'pending' AND give_up_at <= $2 LIMIT 5000)`, now, now)
		return err
	})
	return int(n), err
}

// Prune takes, in one small transaction, deliveries away that ended before a
// time. It gives how many, and whether there may be more to do.
func (h *Hooks) Prune(ctx context.Context, before time.Time) (int, bool, error) {
	var ids []any
	err := db.Each(ctx, h.DB.Reader(), `SELECT id FROM deliveries WHERE ended_at > 0 AND ended_at < $1 LIMIT 1000`, []any{db.Micros(before)}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	if err != nil || len(ids) == 0 {
		return 0, false, err
	}
	var n int64
	err = h.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM delivery_attempts WHERE delivery IN `+db.In(1, len(ids)), ids...); err != nil {
			return err
		}
		var err error
		n, err = tx.Exec(ctx, `DELETE FROM deliveries WHERE ended_at > 0 AND id IN `+db.In(1, len(ids)), ids...)
		return err
	})
	return int(n), len(ids) == 1000, err
}

// Waiting counts deliveries under way, and gives when the oldest of them was made.
func (h *Hooks) Waiting(ctx context.Context) (n int, since time.Time, err error) {
	var oldest sql.NullInt64
	err = h.DB.Reader().QueryRowContext(ctx, `SELECT count(*), min(created_at) FROM deliveries WHERE state = 'pending'`).Scan(&n, &oldest)
	return n, db.Time(oldest.Int64), db.Explain("count deliveries", err)
}
