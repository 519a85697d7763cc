// Package notices is the table of what people are told of: each reason once until
// it ends. It makes notices out of the feed and of what is counted, and hands
// those that have to be told to package deliver/notify, and all of them to the
// console.
package notices

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"rollcall.dev/rollcall/internal/store/db"
)

// Notices is the table.
type Notices struct {
	DB  *db.DB
	Now func() time.Time
}

// Reason is what people are told of.
type Reason string

// The reasons. Each is told of when it begins, and but for PlanHeld when it has ended.
const (
	RunFailed       Reason = "run_failed"
	PlanHeld        Reason = "plan_held"
	Quarantine      Reason = "quarantine"
	Credential      Reason = "credential"
	Licence         Reason = "licence"
	WebhookDisabled Reason = "webhook_disabled"
)

// Notice is one of them, about one thing: a connection, and where there may be
// several of a kind, its Subject (a credential's name, a webhook's ID).
type Notice struct {
	ID           string     `json:"id"`
	Organization *string    `json:"organization"`
	Connection   *string    `json:"connection"`
	Reason       Reason     `json:"reason"`
	Subject      *string    `json:"subject"`
	Text         string     `json:"text"`
	Event        *int64     `json:"event"` // that it comes from
	FirstAt      time.Time  `json:"first_at"`
	SentAt       *time.Time `json:"sent_at"`
	EndedAt      *time.Time `json:"ended_at"`
	EndText      *string    `json:"end_text"`
	Error        *string    `json:"error"` // why the last attempt to tell of it failed
}

// What is a condition that people may have to be told of.
type What struct {
	Organization, Connection string
	Reason                   Reason
	Subject                  string
	Fingerprint              string // the same for as long as it is the same news
	Text                     string
	Event                    int64
}

var letters = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand, Go 1.24)
	return letters.EncodeToString(b)
}

func (s *Notices) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// Same is the fingerprint of a text but for its numbers: a plan that would remove
// 313 people today instead of 312 is no news.
func Same(text string) string {
	var b strings.Builder
	digits := false
	for _, r := range text {
		if !unicode.IsDigit(r) {
			b.WriteRune(r)
		} else if !digits {
			b.WriteByte('#')
		}
		digits = unicode.IsDigit(r)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// mostTold bounds how many fingerprints of one notice are remembered.
const mostTold = 50

const which = ` WHERE organization = $1 AND connection = $2 AND reason = $3 AND subject = $4 AND ended_at = 0`

// Raise notes that a condition holds. People are told when it is new, or when its
// fingerprint is one they have not had since it began.
func (s *Notices) Raise(ctx context.Context, tx *db.Tx, w What) error {
	now := db.Micros(s.now())
	var id, fingerprint, told string
	err := tx.QueryRowContext(ctx, `SELECT id, fingerprint, told FROM notices`+which+tx.Locked(), w.Organization, w.Connection, string(w.Reason), w.Subject).Scan(&id, &fingerprint, &told)
	if errors.Is(err, sql.ErrNoRows) {
		_, err := tx.Exec(ctx, `INSERT INTO notices (id, organization, connection, reason, subject, fingerprint, text, event, first_at, next_at, told)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING`, "n"+random(10), w.Organization, w.Connection, string(w.Reason), w.Subject, w.Fingerprint, w.Text, w.Event, now, now, w.Fingerprint)
		return err
	}
	if err != nil {
		return db.Explain("read the notice", err)
	}
	if fingerprint == w.Fingerprint {
		return nil
	}
	had := strings.Fields(told)
	if slices.Contains(had, w.Fingerprint) || len(had) >= mostTold {
		_, err := tx.Exec(ctx, `UPDATE notices SET fingerprint = $2, text = $3, event = $4 WHERE id = $1`, id, w.Fingerprint, w.Text, w.Event)
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE notices SET fingerprint = $2, text = $3, event = $4, next_at = $5, attempts = 0, claim = '', done = '', told = $6 WHERE id = $1`,
		id, w.Fingerprint, w.Text, w.Event, now, strings.Join(append(had, w.Fingerprint), " "))
	return err
}

// Clear notes that a condition has ended; Fingerprint and Event are of no matter.
// People who were told of it are told that too, unless the text is "".
func (s *Notices) Clear(ctx context.Context, tx *db.Tx, w What) error {
	now := db.Micros(s.now())
	_, err := tx.Exec(ctx, `UPDATE notices SET ended_at = $5, end_text = $6, attempts = 0, claim = '', done = '',
		next_at = CASE WHEN $7 <> '' AND (sent_at > 0 OR claim <> '' OR done <> '') THEN CAST($8 AS bigint) ELSE 0 END`+which,
		w.Organization, w.Connection, string(w.Reason), w.Subject, now, w.Text, w.Text, now)
	return err
}

// Forget ends all notices about a connection, and nobody is told.
func (s *Notices) Forget(ctx context.Context, tx *db.Tx, organization, connection string) error {
	if _, err := tx.Exec(ctx, `UPDATE notices SET ended_at = $3, next_at = 0 WHERE organization = $1 AND connection = $2 AND ended_at = 0`, organization, connection, db.Micros(s.now())); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM expiries WHERE connection = $1`, connection)
	return err
}

// Expires notes when what a connection signs in with runs out, by name ("client
// certificate"), in place of what was noted before. Where that is the same nothing
// is written. What ends without use (idle) is noted anew where it was used just now,
// and stays as it was noted otherwise.
func (s *Notices) Expires(ctx context.Context, organization, connection string, ends, idle map[string]time.Time, used bool) error {
	if err := s.replace(ctx, organization, connection, "", func(map[string]int64) map[string]time.Time { return ends }); err != nil {
		return err
	}
	return s.replace(ctx, organization, connection, byDisuse, func(had map[string]int64) map[string]time.Time {
		if used {
			return idle
		}
		kept := map[string]time.Time{}
		for name, at := range had {
			if _, still := idle[name]; still {
				kept[name] = db.Time(at)
			}
		}
		return kept
	})
}

// byDisuse is who told of what ends when it is not used. People are told of it a week
// before: earlier, every connection that runs once a day would be close to its end.
const byDisuse = "disuse"

// replace puts what there is to be in place of what one has told of a connection.
func (s *Notices) replace(ctx context.Context, organization, connection, teller string, ends func(had map[string]int64) map[string]time.Time) error {
	had := map[string]int64{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT name, expires_at FROM expiries WHERE connection = $1 AND organization = $2 AND told_by = $3`, []any{connection, organization, teller}, func(rows *sql.Rows) error {
		var name string
		var at int64
		err := rows.Scan(&name, &at)
		had[name] = at
		return err
	})
	if err != nil {
		return err
	}
	want := map[string]int64{}
	for name, at := range ends(had) {
		want[name] = db.Micros(at)
	}
	if maps.Equal(had, want) {
		return nil
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM expiries WHERE connection = $1 AND told_by = $2`, connection, teller); err != nil {
			return err
		}
		for name, at := range want {
			if _, err := tx.Exec(ctx, `INSERT INTO expiries (connection, name, organization, expires_at, told_by) VALUES ($1, $2, $3, $4, $5)`, connection, name, organization, at, teller); err != nil {
				return err
			}
		}
		return nil
	})
}

const selected = `SELECT id, organization, connection, reason, subject, text, event, first_at, sent_at, ended_at, end_text, error`

func scan(row interface{ Scan(...any) error }, more ...any) (*Notice, error) {
	var n Notice
	var organization, connection, subject, ending, failure string
	var event, first, sent, ended int64
	if err := row.Scan(append([]any{&n.ID, &organization, &connection, &n.Reason, &subject, &n.Text, &event, &first, &sent, &ended, &ending, &failure}, more...)...); err != nil {
		return nil, err
	}
	n.Organization, n.Connection, n.Subject, n.EndText, n.Error = optional(organization), optional(connection), optional(subject), optional(ending), optional(failure)
	n.FirstAt, n.SentAt, n.EndedAt = db.Time(first), moment(sent), moment(ended)
	if event > 0 {
		n.Event = &event
	}
	return &n, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func moment(us int64) *time.Time {
	if us == 0 {
		return nil
	}
	t := db.Time(us)
	return &t
}

// List gives notices, the newest first: of an organization ("" stands for the
// operator, who sees all), and only those that have not ended if open.
func (s *Notices) List(ctx context.Context, asks string, open bool, limit int) ([]*Notice, error) {
	out := []*Notice{}
	err := db.Each(ctx, s.DB.Reader(), selected+` FROM notices WHERE ($1 = '' OR organization = $1) AND ($2 = 0 OR ended_at = 0) ORDER BY first_at DESC, id LIMIT $3`,
		[]any{asks, number(open), limit}, func(rows *sql.Rows) error {
			n, err := scan(rows)
			out = append(out, n)
			return err
		})
	return out, err
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Message is a notice whose turn it is: that it began, changed, or ended.
type Message struct {
	Notice
	Ended bool
	Done  []string // ways it has gone already
	tries int
	claim string
}

// Claim takes messages that are due, at most so many. What is not finished within
// lease is due again.
func (s *Notices) Claim(ctx context.Context, n int, lease time.Duration) ([]*Message, error) {
	now := s.now()
	var due bool
	err := s.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM notices WHERE next_at > 0 AND next_at <= $1)`, db.Micros(now)).Scan(&due)
	if err != nil || !due {
		return nil, db.Explain("look for notices", err)
	}
	var out []*Message
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		out = nil
		claim := random(10)
		err := db.Each(ctx, tx, selected+`, done, attempts FROM notices WHERE next_at > 0 AND next_at <= $1 ORDER BY next_at LIMIT $2`+tx.Unlocked(), []any{db.Micros(now), n}, func(rows *sql.Rows) error {
			var done string
			m := &Message{claim: claim}
			one, err := scan(rows, &done, &m.tries)
			if err != nil {
				return err
			}
			m.Notice, m.Ended, m.Done = *one, one.EndedAt != nil, strings.Fields(done)
			out = append(out, m)
			return nil
		})
		if err != nil {
			return err
		}
		for _, m := range out {
			if _, err := tx.Exec(ctx, `UPDATE notices SET next_at = $2, claim = $3 WHERE id = $1`, m.ID, db.Micros(now.Add(lease)), claim); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

// waits is how long to wait after each failure to tell of a notice, the last one
// again and again.
var waits = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 6 * time.Hour}

// patience is how long it is tried to tell of something.
const patience = 7 * 24 * time.Hour

// Finish writes down by which ways a message has gone; failure says why it could not
// go by all, and it is tried again later. A message that changed meanwhile is
// left to its next turn.
func (s *Notices) Finish(ctx context.Context, m *Message, done []string, failure string) error {
	now := s.now()
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if failure == "" {
			column := "sent_at"
			if m.Ended {
				column = "end_sent_at"
			}
			_, err := tx.Exec(ctx, `UPDATE notices SET `+column+` = $3, next_at = 0, attempts = 0, claim = '', done = '', error = '' WHERE id = $1 AND claim = $2`, m.ID, m.claim, db.Micros(now))
			return err
		}
		next := db.Micros(now.Add(waits[min(m.tries, len(waits)-1)]))
		if since := m.FirstAt; m.EndedAt != nil && now.Sub(*m.EndedAt) > patience || m.EndedAt == nil && now.Sub(since) > patience && m.tries > 20 {
			next = 0
		}
		_, err := tx.Exec(ctx, `UPDATE notices SET next_at = $3, attempts = attempts + 1, claim = '', done = $4, error = $5 WHERE id = $1 AND claim = $2`, m.ID, m.claim, next, strings.Join(done, " "), failure)
		return err
	})
}

// Prune takes, in one transaction, notices away that ended before a time, and
// says whether there may be more to do.
func (s *Notices) Prune(ctx context.Context, before time.Time) (bool, error) {
	var n int64
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		var err error
		n, err = tx.Exec(ctx, `DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE ended_at > 0 AND ended_at < $1 LIMIT 1000`+tx.Unlocked()+`)`, db.Micros(before))
		return err
	})
	return n == 1000, err
}
