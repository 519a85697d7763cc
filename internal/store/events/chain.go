package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/db"
)

// A row's link is SHA-256 over the link before and every column, each with its
// length before it, so that no two rows look alike. The first one hangs on the
// number behind which the chain begins.
func link(before []byte, r *row) []byte {
	scratch := scratches.Get().(*[]byte)
	b := append((*scratch)[:0], before...)
	for _, n := range []int64{r.id, r.span, r.at} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	for _, s := range []string{r.kind, r.organization, r.connection, r.run, r.actor, r.before, r.after, r.why} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, s := range [][]byte{r.account, r.group, r.members} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s))) // NULL and nothing are one: no column holds both
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	*scratch = b
	scratches.Put(scratch)
	return sum[:]
}

// scratches are what rows are written into before they are digested.
var scratches = sync.Pool{New: func() any { return new([]byte) }}

// row is a row of the table as it stands there.
type row struct {
	id, span, at                                                   int64
	kind, organization, connection, run, actor, before, after, why string
	account, group, members                                        []byte
}

func rowOf(e *event.Event) row {
	return row{id: e.ID, span: span(e), at: db.Micros(e.At), kind: string(e.Type), organization: e.Organization, connection: text(e.Connection), run: text(e.Run),
		actor: e.Actor, before: string(e.Before), after: string(e.After), why: e.Why, account: idBytes(e.Account), group: idBytes(e.Group), members: packed(e.Members)}
}

// beginning is the link before the first of a chain that begins behind a number.
func beginning(behind int64) []byte {
	sum := sha256.Sum256([]byte("rollcall events 1, behind " + strconv.FormatInt(behind, 10)))
	return sum[:]
}

// mark is where a counter of the chain stands: the number and the link of an
// event, and the seal over both.
type mark struct {
	value       int64
	chain, seal []byte
}

func (m *mark) scan(row interface{ Scan(...any) error }) error {
	return row.Scan(&m.value, &m.chain, &m.seal)
}

// sealed gives the seal of a mark by the installation's key; nil where there is no key
// and none can be made: the feed goes on without, and the doctor says so. A key file that
// is there and cannot be used is an error: what is written without it would look forged
// when it can be used again.
func sealed(key db.Keyed, name string, m mark) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	sum, err := key("events: the "+name+" of the chain", fmt.Sprintf("%d %x", m.value, m.chain))
	if err != nil && fault.KindOf(err) == fault.Internal {
		return nil, nil
	}
	return sum, err
}

// next seals a mark that follows another. One that does not carry its seal was
// not written by us: what hangs on it is never sealed, until a person has looked.
func (m mark) next(key db.Keyed, name string, to mark) (mark, error) {
	to.seal = m.seal
	if m.chain != nil {
		own, err := sealed(key, name, m)
		if err != nil || m.seal == nil || !hmac.Equal(m.seal, own) {
			return to, err
		}
	}
	var err error
	to.seal, err = sealed(key, name, to)
	return to, err
}

// Verdict is what a walk along the chain found.
type Verdict struct {
	Behind int64  // the chain's first event that is kept comes behind this number
	Last   int64  // the newest event
	Head   string // "LAST:HEX", to be kept elsewhere; "" before the first event of the chain
	Keyed  bool   // there is a key, so that seals were looked at
	Key    error  // why the one there is cannot be used
	Event  int64  // the first one that is not as it was written
	Broken string // what is wrong with it, for a person; "" when all is well
	Noted  string // what became of the head given; "" when it still holds
}

// Verify walks the chain in one picture of the database and names the first event
// that is not what was written: altered, removed, put in, or exchanged. noted is a
// Head that was kept elsewhere, or "".
func (s *Events) Verify(ctx context.Context, noted string) (*Verdict, error) {
	v := &Verdict{Keyed: s.DB.Keyed != nil}
	want, err := parseHead(noted)
	if err != nil {
		return nil, err
	}
	err = s.DB.Snapshot(ctx, func(q db.Querier) error { return v.walk(ctx, q, s.DB.Keyed, want) })
	return v, err
}

func (m *mark) text() string {
	if m.chain == nil {
		return ""
	}
	return fmt.Sprintf("%d:%x", m.value, m.chain)
}

// Head gives the end of the chain, to be kept elsewhere; "" before its first event.
func (s *Events) Head(ctx context.Context) (string, error) {
	var m mark
	err := m.scan(s.DB.Reader().QueryRowContext(ctx, `SELECT value, chain, seal FROM counters WHERE name = 'event'`))
	return m.text(), db.Explain("read the end of the chain", err)
}

func (v *Verdict) fail(id int64, format string, args ...any) error {
	v.Event, v.Broken = id, fmt.Sprintf(format, args...)
	return errEnough
}

func (v *Verdict) walk(ctx context.Context, q db.Querier, key db.Keyed, noted mark) error {
	marks := map[string]mark{}
	err := db.Each(ctx, q, `SELECT name, value, chain, seal FROM counters WHERE name IN ('event', 'pruned', 'chained')`, nil, func(rows *sql.Rows) error {
		var name string
		var m mark
		err := rows.Scan(&name, &m.value, &m.chain, &m.seal)
		marks[name] = m
		return err
	})
	if err != nil {
		return err
	}
	head, pruned, chained := marks["event"], marks["pruned"], marks["chained"]
	w := walk{v: v, next: chained.value + 1, before: beginning(chained.value), noted: noted}
	if pruned.value > chained.value {
		w.next, w.before = pruned.value+1, pruned.chain
	}
	v.Behind, v.Last = w.next-1, head.value
	v.Head = head.text()
	if noted.chain != nil && noted.value == v.Behind && bytes.Equal(w.before, noted.chain) {
		w.held = true
	}
	err = db.Each(ctx, q, `SELECT id, span, members, type, organization, connection, run, account, group_id, at, actor, before, after, why, chain
		FROM events WHERE id > $1 OR id <= $2 OR chain IS NOT NULL ORDER BY id`, []any{v.Behind, pruned.value}, w.take)
	if err == nil {
		err = w.end(head)
	}
	if err == nil && key != nil {
		err = v.seals(key, head, pruned)
	}
	if noted.chain != nil && !w.held {
		switch {
		case noted.value > head.value:
			v.Noted = fmt.Sprintf("the feed went on to event %d then, and ends at %d now", noted.value, head.value)
		case noted.value < v.Behind:
			v.Noted = fmt.Sprintf("event %d is no longer kept, so there is nothing to compare it with", noted.value)
		default:
			v.Noted = fmt.Sprintf("up to event %d the feed is another one now", noted.value)
		}
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// walk is somebody on the way along the chain.
type walk struct {
	v      *Verdict
	next   int64  // the number the next row has to have
	before []byte // the link it hangs on
	noted  mark
	held   bool // what was noted was met on the way
}

func (w *walk) take(rows *sql.Rows) error {
	var r row
	var chain []byte
	if err := rows.Scan(&r.id, &r.span, &r.members, &r.kind, &r.organization, &r.connection, &r.run, &r.account, &r.group, &r.at, &r.actor, &r.before, &r.after, &r.why, &chain); err != nil {
		return err
	}
	switch {
	case r.id < w.next:
		return w.v.fail(r.id, "event %d stands where there is none: it was put in", r.id)
	case r.id > w.next && r.id > w.v.Last:
		return w.v.fail(r.id, "event %d stands behind the end of the feed, which is %d: it was put in, or the end was moved", r.id, w.v.Last)
	case r.id > w.next:
		return w.v.fail(w.next, "event %d is missing: it was removed", w.next)
	}
	if got := link(w.before, &r); !bytes.Equal(got, chain) {
		return w.v.fail(r.id, "event %d is not what was written: it was altered, put in, or exchanged with another", r.id)
	}
	w.before, w.next = chain, r.id+r.span
	if w.next-1 == w.noted.value && bytes.Equal(chain, w.noted.chain) {
		w.held = true
	}
	return nil
}

func (w *walk) end(head mark) error {
	switch {
	case w.next <= head.value:
		return w.v.fail(w.next, "event %d is missing: the end of the feed, which goes up to %d, was removed", w.next, head.value)
	case w.next > head.value+1:
		return w.v.fail(head.value+1, "event %d stands behind the end of the feed: it was put in, or the end was moved", head.value+1)
	case head.chain == nil && head.value > w.v.Behind, head.chain != nil && !bytes.Equal(head.chain, w.before):
		return w.v.fail(head.value, "behind event %d events were removed, or it was altered together with its digest", head.value)
	}
	return nil
}

// seals looks at what only the holder of the key can write.
func (v *Verdict) seals(key db.Keyed, head, pruned mark) error {
	for _, s := range []struct {
		name string
		mark mark
		text string
	}{
		{"end", head, "the end of the feed (event %d) does not carry the seal of this installation: events up to it were altered together with their digests, the last ones were removed, or they were written by a process with another key file or none"},
		{"beginning", pruned, "the beginning of the feed (behind event %d) does not carry the seal of this installation: more was taken away than `retention` says, or it was pruned by a process with another key file or none"},
	} {
		if s.mark.chain == nil {
			continue
		}
		want, err := sealed(key, s.name, s.mark)
		if err != nil || want == nil {
			v.Keyed, v.Key = false, err
			return nil
		}
		if !hmac.Equal(want, s.mark.seal) {
			return v.fail(s.mark.value, s.text, s.mark.value)
		}
	}
	return nil
}

func parseHead(text string) (mark, error) {
	if text == "" {
		return mark{}, nil
	}
	number, digest, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(number, 10, 64)
	chain, herr := hex.DecodeString(digest)
	if err != nil || herr != nil || len(chain) != sha256.Size {
		return mark{}, fault.New(fault.Invalid, "events: %q is not the head of a chain", text).WithHint("it looks like 1234:9f86d0... and is printed by `rollcall doctor`")
	}
	return mark{value: n, chain: chain}, nil
}

// Accept seals the feed as it stands, with an event that says who did and why:
// after a person has looked into what the doctor found, after another key, or
// after the key was lost.
func (s *Events) Accept(ctx context.Context, actor, why string, at time.Time) error {
	if s.DB.Keyed == nil {
		return fault.New(fault.Conflict, "events: there is no key to seal the feed with")
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		for name, counter := range map[string]string{"end": "event", "beginning": "pruned"} {
			var m mark
			if err := m.scan(tx.QueryRowContext(ctx, `UPDATE counters SET value = value WHERE name = $1 RETURNING value, chain, seal`, counter)); err != nil {
				return db.Explain("read the chain", err)
			}
			if m.chain == nil {
				continue
			}
			seal, err := sealed(tx.Keyed(), name, m)
			if err != nil {
				return err
			}
			if seal == nil {
				return fault.New(fault.Unavailable, "events: the key cannot be read").WithHint("`key_file` in the configuration names it")
			}
			if _, err := tx.Exec(ctx, `UPDATE counters SET seal = $2 WHERE name = $1`, counter, seal); err != nil {
				return err
			}
		}
		return Record(ctx, tx, event.Event{Type: event.FeedAccepted, At: at, Actor: actor, Why: why})
	})
}
