package notices

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/rollcall/internal/engine"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/events"
)

// stretch is how many events one transaction looks at.
const stretch = 5000

// Follow goes through the feed from where it stood, a stretch at a time, and says
// whether there is more. Its place moves in the transaction of what it noted: an
// event counts once, whatever node dies.
func (s *Notices) Follow(ctx context.Context) (more bool, err error) {
	behind := false
	err = s.DB.Reader().QueryRowContext(ctx, `SELECT (SELECT value FROM counters WHERE name = 'noticed') < (SELECT value FROM counters WHERE name = 'event')`).Scan(&behind)
	if err != nil || !behind {
		return false, db.Explain("look at the feed", err)
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		var at, newest int64
		if err := tx.QueryRowContext(ctx, `UPDATE counters SET value = value WHERE name = 'noticed' RETURNING value`).Scan(&at); err != nil {
			return db.Explain("read the place in the feed", err)
		}
		if err := tx.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'event'`).Scan(&newest); err != nil {
			return db.Explain("read the end of the feed", err)
		}
		upTo := min(newest, at+stretch)
		more = upTo < newest
		var told []event.Event
		err := events.Read(ctx, tx, at, upTo, func(e event.Event) error {
			if concerns[e.Type] {
				told = append(told, e)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i := range told {
			if err := s.take(ctx, tx, &told[i]); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, `UPDATE counters SET value = $1 WHERE name = 'noticed'`, upTo)
		return err
	})
	return more, err
}

var concerns = map[event.Type]bool{
	event.RunFailed: true, event.RunApplied: true, event.RunHeld: true, event.PlanApproved: true, event.PlanRejected: true,
	event.ConnectionQuarantined: true, event.ConnectionRecovered: true, event.ConnectionDeleted: true,
	event.WebhookDisabled: true, event.WebhookUpdated: true, event.WebhookDeleted: true,
}

func (s *Notices) take(ctx context.Context, tx *db.Tx, e *event.Event) error {
	w := What{Organization: e.Organization, Event: e.ID}
	if e.Connection != nil {
		w.Connection = *e.Connection
	}
	raise := func(r Reason, text string) error {
		w.Reason, w.Text, w.Fingerprint = r, text, Same(text)
		return s.Raise(ctx, tx, w)
	}
	end := func(r Reason, text string) error {
		w.Reason, w.Text = r, text
		return s.Clear(ctx, tx, w)
	}
	switch e.Type {
	case event.RunFailed:
		return raise(RunFailed, e.Why)
	case event.RunApplied:
		if err := end(RunFailed, "A run ended well."); err != nil {
			return err
		}
		return end(PlanHeld, "")
	case event.RunHeld:
		if err := end(RunFailed, "A run ended well; its plan is held."); err != nil || e.Why == engine.HeldByDryRun {
			return err
		}
		return raise(PlanHeld, e.Why)
	case event.PlanApproved, event.PlanRejected:
		return end(PlanHeld, "")
	case event.ConnectionQuarantined:
		w.Reason, w.Text, w.Fingerprint = Quarantine, quarantined(e), "quarantine"
		return s.Raise(ctx, tx, w)
	case event.ConnectionRecovered:
		return end(Quarantine, "A run ended well; it runs by its schedule again.")
	case event.ConnectionDeleted:
		return s.Forget(ctx, tx, w.Organization, w.Connection)
	case event.WebhookDisabled, event.WebhookUpdated, event.WebhookDeleted:
		return s.webhook(e, &w, raise, end)
	default:
		return nil
	}
}

func quarantined(e *event.Event) string {
	var after struct {
		Failures int       `json:"failures"`
		RetryAt  time.Time `json:"retry_at"`
	}
	text := "It keeps failing and is tried less and less often."
	if json.Unmarshal(e.After, &after) == nil && after.Failures > 0 && !after.RetryAt.IsZero() {
		text = fmt.Sprintf("It failed %d times in a row. It is tried again at %s, and less and less often then.", after.Failures, after.RetryAt.UTC().Format("2006-01-02 15:04 MST"))
	}
	if e.Why != "" {
		text += " The last cause: " + e.Why
	}
	return text
}

func (s *Notices) webhook(e *event.Event, w *What, raise, end func(Reason, string) error) error {
	var side struct {
		Webhook string `json:"webhook"`
		Host    string `json:"host"`
		Enabled *bool  `json:"enabled"`
	}
	text := e.After
	if e.Type == event.WebhookDeleted {
		text = e.Before
	}
	if json.Unmarshal(text, &side) != nil {
		return nil // an event of another shape says nothing here
	}
	w.Subject = side.Webhook
	switch {
	case e.Type == event.WebhookDisabled:
		return raise(WebhookDisabled, fmt.Sprintf("Webhook %s (%s): %s", side.Webhook, side.Host, e.Why))
	case e.Type == event.WebhookDeleted:
		return end(WebhookDisabled, "")
	case side.Enabled != nil && *side.Enabled:
		return end(WebhookDisabled, "It was enabled again.")
	}
	return nil
}

// Count looks at what no event tells of: how full licences are, and what runs out.
func (s *Notices) Count(ctx context.Context) error {
	licences, err := s.licences(ctx)
	if err != nil {
		return err
	}
	expiries, err := s.expiries(ctx)
	if err != nil {
		return err
	}
	all := append(licences, expiries...)
	if len(all) == 0 {
		return nil
	}
	open := map[What]string{}
	err = db.Each(ctx, s.DB.Reader(), `SELECT organization, connection, reason, subject, fingerprint FROM notices WHERE ended_at = 0 AND reason IN ($1, $2)`, []any{string(Licence), string(Credential)}, func(rows *sql.Rows) error {
		var w What
		var fingerprint string
		err := rows.Scan(&w.Organization, &w.Connection, &w.Reason, &w.Subject, &fingerprint)
		open[w] = fingerprint
		return err
	})
	if err != nil {
		return err
	}
	var news []What
	for _, w := range all {
		if w.Fingerprint == between {
			continue
		}
		key := What{Organization: w.Organization, Connection: w.Connection, Reason: w.Reason, Subject: w.Subject}
		if was, ok := open[key]; ok && was != w.Fingerprint || !ok && w.Fingerprint != "" {
			news = append(news, w)
		}
	}
	if len(news) == 0 {
		return nil
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		for _, w := range news {
			change := s.Raise
			if w.Fingerprint == "" {
				change = s.Clear
			}
			if err := change(ctx, tx, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// between marks what neither begins nor ends a condition, so that one at its edge
// is not told of again and again.
const between = "between"

// licences gives how things stand with each organization that has a limit; an
// empty fingerprint says that there is nothing to tell.
func (s *Notices) licences(ctx context.Context) ([]What, error) {
	var out []What
	err := db.Each(ctx, s.DB.Reader(), `SELECT o.id, o.licence_limit, COALESCE(sum(t.active), 0) FROM organizations o LEFT JOIN tallies t ON t.organization = o.id
		GROUP BY o.id, o.licence_limit ORDER BY o.id`, nil, func(rows *sql.Rows) error {
		w := What{Reason: Licence}
		var limit, used int64
		if err := rows.Scan(&w.Organization, &limit, &used); err != nil {
			return err
		}
		switch {
		case limit > 0 && used >= limit:
			w.Fingerprint, w.Text = "full", fmt.Sprintf("All of its seats are taken: %d of %d. Plans that need more are held.", used, limit)
		case limit > 0 && used*100 >= limit*90:
			w.Fingerprint, w.Text = "near", fmt.Sprintf("%d of %d seats are taken.", used, limit)
		case limit > 0 && used*100 >= limit*88:
			w.Fingerprint, w.Text = between, "-"
		default:
			w.Text = fmt.Sprintf("%d of %d seats are taken.", used, limit)
			if limit == 0 {
				w.Text = "There is no limit any more."
			}
		}
		out = append(out, w)
		return nil
	})
	return out, err
}

// days are those before the end of a credential on which people are told.
var days = []int{1, 7, 30, 60}

func (s *Notices) expiries(ctx context.Context) ([]What, error) {
	now := s.now()
	var out []What
	err := db.Each(ctx, s.DB.Reader(), `SELECT connection, name, organization, expires_at, told_by FROM expiries ORDER BY connection, name`, nil, func(rows *sql.Rows) error {
		w := What{Reason: Credential}
		var us int64
		var teller string
		if err := rows.Scan(&w.Connection, &w.Subject, &w.Organization, &us, &teller); err != nil {
			return err
		}
		at := db.Time(us)
		left := at.Sub(now)
		w.Text = fmt.Sprintf("Its %s is good until %s.", w.Subject, at.Format(time.DateOnly))
		switch {
		case teller == byDisuse && left <= 0:
			w.Fingerprint, w.Text = "over", fmt.Sprintf("Its %s was not used for so long that it lapsed on %s.", w.Subject, at.Format(time.DateOnly))
		case teller == byDisuse && left <= 7*24*time.Hour:
			w.Fingerprint, w.Text = "disuse-until-"+at.Format(time.DateOnly), fmt.Sprintf("Its %s lapses on %s unless it is used: nothing was read with it for weeks. Let the connection run.", w.Subject, at.Format(time.DateOnly))
		case teller == byDisuse:
			w.Text = fmt.Sprintf("Its %s was used again.", w.Subject)
		case left <= 0:
			w.Fingerprint, w.Text = "over", fmt.Sprintf("Its %s ran out on %s.", w.Subject, at.Format(time.DateOnly))
		default:
			for _, d := range days {
				if left <= time.Duration(d)*24*time.Hour {
					w.Fingerprint, w.Text = fmt.Sprintf("days-%d-until-%s", d, at.Format(time.DateOnly)), fmt.Sprintf("Its %s runs out on %s, in %s.", w.Subject, at.Format(time.DateOnly), inDays(left))
					break
				}
			}
		}
		out = append(out, w)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// What nobody knows the end of any more has nothing to tell either.
	err = db.Each(ctx, s.DB.Reader(), `SELECT n.organization, n.connection, n.subject FROM notices n WHERE n.reason = $1 AND n.ended_at = 0
		AND NOT EXISTS (SELECT 1 FROM expiries x WHERE x.connection = n.connection AND x.name = n.subject) ORDER BY n.connection, n.subject`, []any{string(Credential)}, func(rows *sql.Rows) error {
		w := What{Reason: Credential}
		err := rows.Scan(&w.Organization, &w.Connection, &w.Subject)
		out = append(out, w)
		return err
	})
	return out, err
}

func inDays(left time.Duration) string {
	n := int((left + 24*time.Hour - 1) / (24 * time.Hour))
	if n == 1 {
		return "a day"
	}
	return fmt.Sprintf("%d days", n)
}
