package hooks

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// State of a delivery.
type State string

// The states: still tried, accepted, given up.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Dead      State = "dead"
)

// TestType is the type of a test delivery, which no event has.
const TestType = "webhook.test"

// Delivery is one event on its way to one webhook. ID is the same for all its
// attempts; receivers tell by it what they have had.
type Delivery struct {
	ID        string     `json:"id"`
	Webhook   string     `json:"webhook"`
	Event     *int64     `json:"event"` // null for a test
	Type      string     `json:"type"`
	State     State      `json:"state"`
	Attempts  int        `json:"attempts"`
	Status    *int       `json:"status"`  // of the last answer
	Error     *string    `json:"error"`   // of the last attempt
	NextAt    *time.Time `json:"next_at"` // null when it has ended
	CreatedAt time.Time  `json:"created_at"`
	EndedAt   *time.Time `json:"ended_at"`
}

// Attempt is one try. Took is in milliseconds; Answer the first KiB of the body.
type Attempt struct {
	Number int       `json:"number"`
	At     time.Time `json:"at"`
	Took   int64     `json:"took_ms"`
	Status *int      `json:"status"`
	Error  *string   `json:"error"`
	Answer string    `json:"answer"`
}

const shown = `SELECT d.id, d.webhook, d.event, d.type, d.state, d.attempts, d.status, d.error, d.next_at, d.created_at, d.ended_at FROM deliveries d`

func scanDelivery(row interface{ Scan(...any) error }) (*Delivery, error) {
	var d Delivery
	var event, next, created, ended int64
	var status int
	var failure string
	if err := row.Scan(&d.ID, &d.Webhook, &event, &d.Type, &d.State, &d.Attempts, &status, &failure, &next, &created, &ended); err != nil {
		return nil, err
	}
	if event > 0 {
		d.Event = &event
	}
	d.Status, d.Error = positive(status), optional(failure)
	d.CreatedAt, d.EndedAt = db.Time(created), moment(ended)
	if d.State == Pending {
		d.NextAt = moment(next)
	}
	return &d, nil
}

func positive(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Deliveries gives those of a webhook, the newest first, at most limit: of one
// state unless that is "", and before the one with an ID unless that is "".
func (h *Hooks) Deliveries(ctx context.Context, asks, webhook string, state State, before string, limit int) ([]*Delivery, error) {
	if state != "" && state != Pending && state != Delivered && state != Dead {
		return nil, fault.New(fault.Invalid, "webhook: there is no state %q of deliveries", state).WithHint("it is pending, delivered or dead")
	}
	if _, err := h.Get(ctx, asks, webhook); err != nil {
		return nil, err
	}
	where, args := ` WHERE d.webhook = $1`, []any{webhook}
	if state != "" {
		args = append(args, string(state))
		where += ` AND d.state = ` + db.Placeholder(len(args))
	}
	if before != "" {
		args = append(args, before)
		where += ` AND d.id < ` + db.Placeholder(len(args))
	}
	args = append(args, limit)
	out := []*Delivery{}
	err := db.Each(ctx, h.DB.Reader(), shown+where+` ORDER BY d.id DESC LIMIT `+db.Placeholder(len(args)), args, func(rows *sql.Rows) error {
		d, err := scanDelivery(rows)
		out = append(out, d)
		return err
	})
	return out, err
}

// Delivery gives one.
func (h *Hooks) Delivery(ctx context.Context, asks, id string) (*Delivery, error) {
	return delivery(ctx, h.DB.Reader(), asks, id)
}

func delivery(ctx context.Context, q db.Querier, asks, id string) (*Delivery, error) {
	d, err := scanDelivery(q.QueryRowContext(ctx, shown+` JOIN webhooks w ON w.id = d.webhook WHERE d.id = $1 AND ($2 = '' OR w.organization = $2)`, id, asks))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fault.New(fault.NotFound, "there is no delivery %q", id).WithHint("those that have ended are kept for as long as `retention.deliveries` says")
	}
	return d, db.Explain("read the delivery", err)
}

// Body is what is sent: what happened, when, and all there is to say about it. The
// same event gives the same bytes.
func Body(kind string, at time.Time, data json.RawMessage) ([]byte, error) {
	return json.Marshal(struct {
		Type      string          `json:"type"`
		Timestamp time.Time       `json:"timestamp"`
		Data      json.RawMessage `json:"data"`
	}{kind, at.UTC(), data})
}

// Sent gives the body of a delivery, made of its event anew; nil where that is no
// longer kept. That of a test has the time it was asked for, not those of its
// attempts.
func (h *Hooks) Sent(ctx context.Context, d *Delivery) (json.RawMessage, error) {
	j := &Job{At: d.CreatedAt}
	if d.Event != nil {
		if err := j.read(ctx, h.DB.Reader(), *d.Event); err != nil {
			return nil, err
		}
	} else {
		var data string
		if err := h.DB.Reader().QueryRowContext(ctx, `SELECT body FROM deliveries WHERE id = $1`, d.ID).Scan(&data); err != nil {
			return nil, db.Explain("read the delivery", err)
		}
		j.Data = json.RawMessage(data)
	}
	if j.Data == nil {
		return nil, nil
	}
	return Body(d.Type, j.At, j.Data)
}

// Attempts gives all tries of a delivery, the first one first.
func (h *Hooks) Attempts(ctx context.Context, asks, id string) ([]Attempt, error) {
	if _, err := h.Delivery(ctx, asks, id); err != nil {
		return nil, err
	}
	out := []Attempt{}
	err := db.Each(ctx, h.DB.Reader(), `SELECT number, at, took, status, error, answer FROM delivery_attempts WHERE delivery = $1 ORDER BY number`, []any{id}, func(rows *sql.Rows) error {
		var a Attempt
		var at, took int64
		var status int
		var failure string
		var answer []byte
		if err := rows.Scan(&a.Number, &at, &took, &status, &failure, &answer); err != nil {
			return err
		}
		a.At, a.Took, a.Status, a.Error = db.Time(at), took/1000, positive(status), optional(failure)
		a.Answer = strings.ToValidUTF8(string(answer), string(utf8.RuneError))
		out = append(out, a)
		return nil
	})
	return out, err
}

const again = `UPDATE deliveries SET state = 'pending', step = 0, next_at = $2, give_up_at = $3, ended_at = 0, claim = ''`

// unpause has an endpoint tried at once that was left alone: a person asks for it.
func unpause(ctx context.Context, tx *db.Tx, webhook string) error {
	_, err := tx.Exec(ctx, `UPDATE webhooks SET paused_until = 0 WHERE id = $1`, webhook)
	return err
}

// Replay sends one delivery again, with the same ID, whatever became of it.
func (h *Hooks) Replay(ctx context.Context, asks, id, actor string) (*Delivery, error) {
	var d *Delivery
	err := h.DB.Write(ctx, func(tx *db.Tx) error {
		was, err := delivery(ctx, tx, asks, id)
		if err != nil {
			return err
		}
		w, err := h.one(ctx, tx, asks, was.Webhook, tx.Locked())
		if err != nil {
			return err
		}
		now := h.now()
		if _, err := tx.Exec(ctx, again+` WHERE id = $1`, id, db.Micros(now), db.Micros(now.Add(Patience))); err != nil {
			return err
		}
		if err := unpause(ctx, tx, was.Webhook); err != nil {
			return err
		}
		if d, err = delivery(ctx, tx, asks, id); err != nil {
			return err
		}
		return h.tell(ctx, tx, event.DeliveryReplayed, w, actor, "", nil, map[string]any{"delivery": id})
	})
	return d, err
}

// ReplayDead sends all that was given up again, and gives how many.
func (h *Hooks) ReplayDead(ctx context.Context, asks, webhook, actor string) (int, error) {
	var n int64
	err := h.DB.Write(ctx, func(tx *db.Tx) error {
		w, err := h.one(ctx, tx, asks, webhook, tx.Locked())
		if err != nil {
			return err
		}
		now := h.now()
		if n, err = tx.Exec(ctx, again+` WHERE webhook = $1 AND state = 'dead'`, webhook, db.Micros(now), db.Micros(now.Add(Patience))); err != nil || n == 0 {
			return err
		}
		if err := unpause(ctx, tx, webhook); err != nil {
			return err
		}
		return h.tell(ctx, tx, event.DeliveryReplayed, w, actor, "", nil, map[string]any{"dead": n})
	})
	return int(n), err
}

// ReplaySince moves a webhook back to an event: everything behind it that the
// filter lets through is sent, or sent again, under the IDs it had.
func (h *Hooks) ReplaySince(ctx context.Context, asks, webhook string, after int64, actor string) error {
	return h.DB.Write(ctx, func(tx *db.Tx) error {
		w, err := h.one(ctx, tx, asks, webhook, tx.Locked())
		if err != nil {
			return err
		}
		var pruned int64
		if err := tx.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'pruned'`).Scan(&pruned); err != nil {
			return db.Explain("read the beginning of the feed", err)
		}
		switch {
		case after < pruned:
			return fault.New(fault.NotFound, "events behind %d are not all kept: the feed begins behind %d", after, pruned).WithHint("replay from %d on", pruned)
		case after > w.Cursor:
			return fault.New(fault.Invalid, "webhook: event %d is not behind it: it stands at %d", after, w.Cursor)
		}
		if _, err := tx.Exec(ctx, `UPDATE webhooks SET cursor = $2 WHERE id = $1`, webhook, after); err != nil {
			return err
		}
		return h.tell(ctx, tx, event.DeliveryReplayed, w, actor, "", map[string]any{"cursor": w.Cursor}, map[string]any{"cursor": after})
	})
}

// Test makes a delivery that tells of nothing, to be sent before all that waits.
func (h *Hooks) Test(ctx context.Context, asks, webhook string) (*Delivery, error) {
	var d *Delivery
	err := h.DB.Write(ctx, func(tx *db.Tx) error {
		w, err := h.one(ctx, tx, asks, webhook, tx.Locked())
		if err != nil {
			return err
		}
		if !w.Enabled {
			return fault.New(fault.Conflict, "webhook %s is disabled: nothing is sent to it", webhook).WithHint("enable it first")
		}
		if err := unpause(ctx, tx, webhook); err != nil {
			return err
		}
		now := h.now()
		body, err := json.Marshal(map[string]any{"webhook": w.ID, "organization": w.Organization, "at": now})
		if err != nil {
			return err
		}
		id := messageID(webhook, 0)
		id = id[:len(id)-12] + "t" + now.Format("20060102150405") + letters.EncodeToString(random(5))
		if _, err := tx.Exec(ctx, `INSERT INTO deliveries (id, webhook, event, type, body, state, next_at, give_up_at, created_at) VALUES ($1, $2, 0, $3, $4, 'pending', $5, $6, $7)`,
			id, webhook, TestType, string(body), db.Micros(now.Add(-Patience)), db.Micros(now.Add(Patience)), db.Micros(now)); err != nil {
			return err
		}
		d, err = delivery(ctx, tx, asks, id)
		return err
	})
	return d, err
}
