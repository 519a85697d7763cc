package hooks

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// How much of the feed one transaction turns into deliveries.
const (
	mostEvents     = 1000
	leastEvents    = 50
	mostDeliveries = 5000
	mostAtOnce     = 2000 // webhooks
)

// Patience is how long a delivery is tried: a little longer than the schedule of
// attempts, and the end also of those that never had their turn.
const Patience = 5 * 24 * time.Hour

// follower is a webhook on its way through the feed.
type follower struct {
	id, organization string
	types            []string
	cursor           int64
}

// FanOut makes deliveries out of a stretch of the feed and moves the webhooks
// there, in one transaction: whichever node dies, none is lost and none doubled.
// Several nodes may do it at once; each takes other webhooks. It gives how many
// were made, and whether there may be more to do.
func (h *Hooks) FanOut(ctx context.Context) (made int, more bool, err error) {
	behind := false
	err = h.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM webhooks WHERE enabled AND cursor < (SELECT value FROM counters WHERE name = 'event'))`).Scan(&behind)
	if err != nil || !behind {
		return 0, false, db.Explain("look for webhooks", err)
	}
	err = h.DB.Write(ctx, func(tx *db.Tx) error {
		made, more = 0, false
		var newest, pruned int64
		if err := tx.QueryRowContext(ctx, `SELECT value, (SELECT value FROM counters WHERE name = 'pruned') FROM counters WHERE name = 'event'`).Scan(&newest, &pruned); err != nil {
			return db.Explain("read the end of the feed", err)
		}
		list, err := followers(ctx, tx, newest)
		if err != nil || len(list) == 0 {
			return err
		}
		for i := range list {
			if list[i].cursor < pruned {
				if err := h.skip(ctx, tx, &list[i], pruned); err != nil {
					return err
				}
			}
		}
		from := list[0].cursor
		upTo := min(newest, from+mostEvents)
		var group []follower
		for _, f := range list {
			if f.cursor == from {
				group = append(group, f)
			} else {
				upTo = min(upTo, f.cursor) // there the two go on together
			}
		}
		upTo = min(upTo, from+max(leastEvents, int64(mostDeliveries/len(group))))
		if made, err = h.deliveries(ctx, tx, group, from, upTo); err != nil {
			return err
		}
		if gone, err := prunedSince(ctx, tx, from); err != nil || gone {
			more = true
			return cmp.Or(err, errPruned)
		}
		more = upTo < newest || len(group) < len(list)
		args := []any{upTo}
		for _, f := range group {
			args = append(args, f.id)
		}
		_, err = tx.Exec(ctx, `UPDATE webhooks SET cursor = $1 WHERE id IN `+db.In(2, len(group)), args...)
		return err
	})
	if errors.Is(err, errPruned) {
		return 0, true, nil
	}
	return made, more, err
}

// errPruned ends a transaction whose events were pruned while they were read: the
// next one begins behind them, and says so.
var errPruned = errors.New("events were pruned meanwhile")

func prunedSince(ctx context.Context, tx *db.Tx, from int64) (bool, error) {
	var pruned int64
	err := tx.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'pruned'`).Scan(&pruned)
	return pruned > from, db.Explain("read the beginning of the feed", err)
}

// followers gives webhooks that are behind, those furthest behind first, and keeps
// them until the transaction ends.
func followers(ctx context.Context, tx *db.Tx, newest int64) ([]follower, error) {
	var list []follower
	err := db.Each(ctx, tx, `SELECT id, organization, types, cursor FROM webhooks WHERE enabled AND cursor < $1 ORDER BY cursor, id LIMIT $2`+tx.Unlocked(), []any{newest, mostAtOnce}, func(rows *sql.Rows) error {
		var f follower
		var types string
		if err := rows.Scan(&f.id, &f.organization, &types, &f.cursor); err != nil {
			return err
		}
		list = append(list, f)
		return json.Unmarshal([]byte(types), &list[len(list)-1].types)
	})
	return list, err
}

// skip moves a webhook to the beginning of what is kept, and says so.
func (h *Hooks) skip(ctx context.Context, tx *db.Tx, f *follower, pruned int64) error {
	w, err := h.one(ctx, tx, "", f.id, "")
	if err != nil {
		return err
	}
	err = h.tell(ctx, tx, event.WebhookSkipped, w, "rollcall", "events it had yet to be told of were pruned", map[string]any{"cursor": f.cursor}, map[string]any{"cursor": pruned})
	f.cursor = pruned
	return err
}

type made struct {
	webhook string
	event   int64
	kind    event.Type
}

func (h *Hooks) deliveries(ctx context.Context, tx *db.Tx, group []follower, from, upTo int64) (int, error) {
	var list []made
	err := events.Read(ctx, tx, from, upTo, func(e event.Event) error {
		for i := range group {
			f := &group[i]
			if (f.organization == "" || f.organization == e.Organization) && Wants(f.types, e.Type) {
				list = append(list, made{f.id, e.ID, e.Type})
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	now := h.now()
	columns := []string{"id", "webhook", "event", "type", "state", "next_at", "give_up_at", "created_at"}
	// A webhook that was moved back in the feed sends again what had its end.
	err = tx.Insert(ctx, "deliveries", columns, len(list), func(i int, into []any) {
		d := &list[i]
		into[0], into[1], into[2], into[3] = messageID(d.webhook, d.event), d.webhook, d.event, string(d.kind)
		into[4], into[5], into[6], into[7] = string(Pending), db.Micros(now), db.Micros(now.Add(Patience)), db.Micros(now)
	}, `ON CONFLICT (id) DO UPDATE SET state = 'pending', step = 0, next_at = excluded.next_at, give_up_at = excluded.give_up_at, ended_at = 0 WHERE deliveries.state <> 'pending'`)
	return len(list), err
}

// messageID is the same for each attempt and each replay, so that a receiver
// knows what it has had. It must hold no full stop (Standard Webhooks).
func messageID(webhook string, event int64) string {
	return fmt.Sprintf("msg_%s_%012d", strings.TrimPrefix(webhook, "wh_"), event)
}
