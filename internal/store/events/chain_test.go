package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/event"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/rig/databases"
	"rollcall.dev/rollcall/internal/store/db"
)

func TestMain(m *testing.M) { os.Exit(databases.Main(m)) }

// both runs a test on a fresh database of each kind, with a key.
func both(t *testing.T, fn func(t *testing.T, s *Events, dsn string)) {
	t.Helper()
	open := func(t *testing.T, dsn string) *Events {
		d := databases.Open(t, dsn)
		d.Keyed = keyed("the installation's")
		return &Events{DB: d}
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		dsn := databases.SQLite(t)
		fn(t, open(t, dsn), dsn)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		dsn := databases.PostgreSQL(t)
		fn(t, open(t, dsn), dsn)
	})
}

func keyed(key string) db.Keyed {
	return func(purpose, text string) ([]byte, error) {
		mac := hmac.New(sha256.New, []byte(key+"\x00"+purpose))
		mac.Write([]byte(text))
		return mac.Sum(nil), nil
	}
}

func write(t *testing.T, s *Events, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := s.DB.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func exec(t *testing.T, s *Events, queries ...string) {
	t.Helper()
	write(t, s, func(tx *db.Tx) error {
		for _, q := range queries {
			if _, err := tx.Exec(t.Context(), q); err != nil {
				return fmt.Errorf("%s: %w", q, err)
			}
		}
		return nil
	})
}

var when = time.Date(2026, 3, 1, 9, 30, 0, 123456000, time.UTC)

// tell writes events in transactions of a few: some about one person, each tenth
// about seven members of a group.
func tell(t *testing.T, s *Events, rows int) {
	t.Helper()
	for from := 0; from < rows; from += 4 {
		var list []event.Event
		for i := from; i < min(rows, from+4); i++ {
			id, connection := account.NewID(fmt.Sprint(i)), "hq"
			e := event.Event{Type: event.AccountUpdated, Organization: "org", Connection: &connection, Account: &id, At: when.Add(time.Duration(i) * time.Hour), Actor: "sync",
				Before: json.RawMessage(`{"title":null}`), After: json.RawMessage(fmt.Sprintf(`{"title":"Größe %d"}`, i)), Why: "changed"}
			if i%10 == 3 {
				e.Type, e.Account, e.Group = event.MembershipAdded, nil, &id
				for k := range 7 {
					e.Members = append(e.Members, account.NewID("member", fmt.Sprint(k)))
				}
			}
			list = append(list, e)
		}
		write(t, s, func(tx *db.Tx) error { return Append(t.Context(), tx, list) })
	}
}

func verify(t *testing.T, s *Events, noted string) *Verdict {
	t.Helper()
	v, err := s.Verify(t.Context(), noted)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func whole(t *testing.T, s *Events) *Verdict {
	t.Helper()
	v := verify(t, s, "")
	if v.Broken != "" {
		t.Fatalf("an untouched feed: %s", v.Broken)
	}
	return v
}

// forge writes the digests anew from a number on, as somebody does who has read
// this file and has the database, but not the key.
func forge(t *testing.T, s *Events, from int64) {
	t.Helper()
	before := beginning(0)
	write(t, s, func(tx *db.Tx) error {
		var all []row
		var links [][]byte
		err := db.Each(t.Context(), tx, `SELECT id, span, members, type, organization, connection, run, account, group_id, at, actor, before, after, why, chain FROM events ORDER BY id`, nil, func(rows *sql.Rows) error {
			var r row
			var chain []byte
			err := rows.Scan(&r.id, &r.span, &r.members, &r.kind, &r.organization, &r.connection, &r.run, &r.account, &r.group, &r.at, &r.actor, &r.before, &r.after, &r.why, &chain)
			all, links = append(all, r), append(links, chain)
			return err
		})
		if err != nil {
			return err
		}
		for i := range all {
			if all[i].id < from {
				before = links[i]
				continue
			}
			before = link(before, &all[i])
			if _, err := tx.Exec(t.Context(), `UPDATE events SET chain = $2 WHERE id = $1`, all[i].id, before); err != nil {
				return err
			}
		}
		last := all[len(all)-1]
		_, err = tx.Exec(t.Context(), `UPDATE counters SET value = $1, chain = $2 WHERE name = 'event'`, last.id+last.span-1, before)
		return err
	})
}

func TestWhatWasDoneToTheFeedIsFound(t *testing.T) {
	const columns = "span, members, type, organization, connection, run, account, group_id, at, actor, before, after, why, chain"
	harms := map[string]struct {
		harm  []string
		forge int64 // then the digests are written anew from here on
		event int64
		want  string
	}{
		"a text altered":                         {[]string{`UPDATE events SET after = '{"title":"King"}' WHERE id = 3`}, 0, 3, "event 3 is not what was written"},
		"a time altered":                         {[]string{`UPDATE events SET at = at + 1 WHERE id = 1`}, 0, 1, "event 1 is not"},
		"an actor altered":                       {[]string{`UPDATE events SET actor = 'nobody' WHERE id = 20`}, 0, 20, "event 20 is not"},
		"a text moved across":                    {[]string{`UPDATE events SET actor = 'syn', connection = 'chq' WHERE id = 2`}, 0, 2, "event 2 is not"},
		"a person altered":                       {[]string{`UPDATE events SET account = (SELECT account FROM events WHERE id = 1) WHERE id = 2`}, 0, 2, "event 2 is not"},
		"nobody altered":                         {[]string{`UPDATE events SET account = NULL, group_id = account WHERE id = 2`}, 0, 2, "event 2 is not"},
		"members altered":                        {[]string{`UPDATE events SET members = (SELECT account FROM events WHERE id = 1) WHERE id = 4`}, 0, 4, "event 4 is not"},
		"a digest altered":                       {[]string{`UPDATE events SET chain = (SELECT chain FROM events WHERE id = 1) WHERE id = 2`}, 0, 2, "event 2 is not"},
		"a digest taken away":                    {[]string{`UPDATE events SET chain = NULL WHERE id = 2`}, 0, 2, "event 2 is not"},
		"one removed":                            {[]string{`DELETE FROM events WHERE id = 2`}, 0, 2, "event 2 is missing"},
		"the first removed":                      {[]string{`DELETE FROM events WHERE id = 1`}, 0, 1, "event 1 is missing"},
		"one removed and closed":                 {[]string{`DELETE FROM events WHERE id = 2`, `UPDATE events SET id = 2 WHERE id = 3`}, 0, 2, "event 2 is not"},
		"the last removed":                       {[]string{`DELETE FROM events WHERE id > 50`}, 0, 51, "event 51 is missing: the end of the feed"},
		"the last removed and the counter moved": {[]string{`DELETE FROM events WHERE id > 50`, `UPDATE counters SET value = 50 WHERE name = 'event'`}, 0, 50, "behind event 50 events were removed"},
		"the last removed, and the counter with its digest": {[]string{`DELETE FROM events WHERE id > 50`, `UPDATE counters SET value = 50, chain = (SELECT chain FROM events WHERE id = 50) WHERE name = 'event'`},
			0, 50, "does not carry the seal"},
		"one put in at the end":            {[]string{`INSERT INTO events (id, ` + columns + `) SELECT 55, ` + columns + ` FROM events WHERE id = 2`}, 0, 55, "event 55 is not what was written"},
		"one put in behind the end":        {[]string{`INSERT INTO events (id, ` + columns + `) SELECT 60, ` + columns + ` FROM events WHERE id = 2`}, 0, 60, "event 60 stands behind the end"},
		"one put in before the start":      {[]string{`INSERT INTO events (id, ` + columns + `) SELECT 0, ` + columns + ` FROM events WHERE id = 2`}, 0, 0, "event 0 stands where there is none"},
		"one put in among a row's":         {[]string{`INSERT INTO events (id, ` + columns + `) SELECT 5, ` + columns + ` FROM events WHERE id = 2`}, 0, 5, "event 5 stands where there is none"},
		"two exchanged":                    {[]string{`UPDATE events SET id = -1 WHERE id = 2`, `UPDATE events SET id = 2 WHERE id = 3`, `UPDATE events SET id = 3 WHERE id = -1`}, 0, 2, "event 2 is not"},
		"one altered, and all digests":     {[]string{`UPDATE events SET actor = 'nobody' WHERE id = 20`}, 20, 54, "the end of the feed (event 54) does not carry the seal"},
		"the last altered, and its digest": {[]string{`UPDATE events SET actor = 'nobody' WHERE id = 54`}, 54, 54, "does not carry the seal"},
		"the first removed as if pruned": {[]string{`DELETE FROM events WHERE id <= 2`, `UPDATE counters SET value = 2, chain = (SELECT chain FROM events WHERE id = 1) WHERE name = 'pruned'`},
			0, 3, "event 3 is not"},
		"the first removed as if pruned, with their digest": {[]string{`UPDATE counters SET value = 2, chain = (SELECT chain FROM events WHERE id = 2) WHERE name = 'pruned'`, `DELETE FROM events WHERE id <= 2`},
			0, 2, "the beginning of the feed (behind event 2) does not carry the seal"},
		"the seal taken away":  {[]string{`UPDATE counters SET seal = NULL WHERE name = 'event'`}, 0, 54, "does not carry the seal"},
		"the chain taken away": {[]string{`UPDATE counters SET chain = NULL, seal = NULL WHERE name = 'event'`}, 0, 54, "behind event 54"},
	}
	both(t, func(t *testing.T, s *Events, _ string) {
		tell(t, s, 24) // of them two rows of seven: numbers 1 to 42
		write(t, s, func(tx *db.Tx) error {
			for range 12 {
				if err := Record(t.Context(), tx, event.Event{Type: event.PlanApproved, Organization: "org", At: when, Actor: "anna"}); err != nil {
					return err
				}
			}
			return nil
		})
		if v := whole(t, s); v.Last != 54 {
			t.Fatalf("there are %d events", v.Last)
		}
		exec(t, s, `CREATE TABLE kept_events AS SELECT * FROM events`, `CREATE TABLE kept_counters AS SELECT * FROM counters`)
		for name, c := range harms {
			if !t.Run(name, func(t *testing.T) {
				exec(t, s, c.harm...)
				if c.forge > 0 {
					forge(t, s, c.forge)
				}
				v := verify(t, s, "")
				if v.Event != c.event || !strings.Contains(v.Broken, c.want) {
					t.Errorf("event %d: %q, want %d: %q", v.Event, v.Broken, c.event, c.want)
				}
				// Nothing that is written later covers it up.
				if !strings.Contains(name, "at the end") { // its number is taken: nobody writes any more
					tell(t, s, 3)
				}
				if v := verify(t, s, ""); v.Broken == "" {
					t.Error("the next event covers it up")
				}
			}) {
				return
			}
			exec(t, s, `DELETE FROM events`, `INSERT INTO events SELECT * FROM kept_events`, `DELETE FROM counters`, `INSERT INTO counters SELECT * FROM kept_counters`)
			whole(t, s)
		}
	})
}

func TestAnUntouchedFeedIsWhole(t *testing.T) {
	both(t, func(t *testing.T, s *Events, _ string) {
		if v := whole(t, s); v.Head != "" || v.Last != 0 {
			t.Errorf("an empty one: %+v", v)
		}
		tell(t, s, 300)
		first := whole(t, s)
		if head, err := s.Head(t.Context()); err != nil || head != first.Head {
			t.Errorf("%s, want %s, %v", head, first.Head, err)
		}
		tell(t, s, 40)
		exec(t, s, `UPDATE counters SET value = value WHERE name = 'event'`)
		// A transaction that was undone leaves nothing.
		oops := errors.New("the process was killed")
		err := s.DB.Write(t.Context(), func(tx *db.Tx) error {
			return errors.Join(Record(t.Context(), tx, event.Event{Type: event.RunFailed, Organization: "org"}), oops)
		})
		if !errors.Is(err, oops) {
			t.Fatal(err)
		}
		if v := verify(t, s, first.Head); v.Broken != "" || v.Noted != "" {
			t.Errorf("%+v", v)
		}
		for {
			_, more, err := s.Prune(t.Context(), when.Add(200*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if !more {
				break
			}
		}
		v := whole(t, s)
		if v.Behind < 200 || v.Noted != "" {
			t.Errorf("after pruning: %+v", v)
		}
		if v := verify(t, s, first.Head); v.Broken != "" || v.Noted != "" {
			t.Errorf("the head noted before: %+v", v)
		}
		if _, _, err := s.Prune(t.Context(), when.Add(10000*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if v := whole(t, s); v.Behind != v.Last {
			t.Errorf("nothing is kept: %+v", v)
		}
		if v := verify(t, s, first.Head); v.Broken != "" || !strings.Contains(v.Noted, "no longer kept") {
			t.Errorf("%+v", v)
		}
		tell(t, s, 9)
		whole(t, s)
	})
}

func TestEventsOfBeforeTheChainAreLeftOutOfIt(t *testing.T) {
	both(t, func(t *testing.T, s *Events, dsn string) {
		tell(t, s, 24)
		if err := s.DB.Down(t.Context(), 4); err != nil {
			t.Fatal(err)
		}
		d := databases.Open(t, dsn)
		d.Keyed = s.DB.Keyed
		s = &Events{DB: d}
		if v := whole(t, s); v.Behind != 42 || v.Head != "" {
			t.Errorf("%+v", v)
		}
		tell(t, s, 5)
		if v := whole(t, s); v.Behind != 42 || v.Last != 53 || v.Head == "" {
			t.Errorf("%+v", v)
		}
		exec(t, s, `UPDATE counters SET value = value + 1 WHERE name = 'chained'`)
		if v := verify(t, s, ""); v.Event != 43 || !strings.Contains(v.Broken, "event 43 ") {
			t.Errorf("the beginning can be moved: %+v", v)
		}
		exec(t, s, `UPDATE counters SET value = value - 1 WHERE name = 'chained'`)
		for _, hours := range []int{5, 22, 23, 24, 30} {
			if _, _, err := s.Prune(t.Context(), when.Add(time.Duration(hours)*time.Hour)); err != nil {
				t.Fatal(err)
			}
			whole(t, s)
		}
	})
}

// Without a key the chain shows what an accident did, and a head that was kept
// elsewhere what a person did.
func TestAHeadKeptElsewhereProvesTheFeedWithoutAKey(t *testing.T) {
	both(t, func(t *testing.T, s *Events, _ string) {
		s.DB.Keyed = nil
		tell(t, s, 24)
		v := whole(t, s)
		exec(t, s, `UPDATE events SET actor = 'nobody' WHERE id = 20`)
		forge(t, s, 20)
		if again := verify(t, s, v.Head); again.Broken != "" || !strings.Contains(again.Noted, "is another one now") {
			t.Errorf("%+v", again)
		}
		exec(t, s, `DELETE FROM events WHERE id > 30`)
		forge(t, s, 20)
		if again := verify(t, s, v.Head); again.Broken != "" || !strings.Contains(again.Noted, "went on to event 42 then, and ends at 30 now") {
			t.Errorf("%+v", again)
		}
		for _, bad := range []string{"x", "12", "12:zz", "12:00", ":"} {
			if _, err := s.Verify(t.Context(), bad); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
}

func TestAPersonMayAcceptTheFeedAsItStands(t *testing.T) {
	both(t, func(t *testing.T, s *Events, _ string) {
		tell(t, s, 24)
		if _, _, err := s.Prune(t.Context(), when.Add(3*time.Hour)); err != nil {
			t.Fatal(err)
		}
		s.DB.Keyed = keyed("a new one: the key file was lost")
		if v := verify(t, s, ""); !strings.Contains(v.Broken, "does not carry the seal") {
			t.Fatalf("%+v", v)
		}
		tell(t, s, 4)
		if v := verify(t, s, ""); !strings.Contains(v.Broken, "does not carry the seal") {
			t.Fatalf("covered up: %+v", v)
		}
		if err := s.Accept(t.Context(), "operator:anna", "the key file was lost in the fire", when); err != nil {
			t.Fatal(err)
		}
		whole(t, s)
		var told event.Event
		if err := s.Last(t.Context(), "", 1, func(e event.Event) error { told = e; return nil }); err != nil || told.Type != event.FeedAccepted || told.Actor != "operator:anna" || told.Why == "" {
			t.Errorf("%+v, %v", told, err)
		}
		tell(t, s, 4)
		whole(t, s)
		s.DB.Keyed = nil
		if err := s.Accept(t.Context(), "x", "y", when); fault.KindOf(err) != fault.Conflict {
			t.Error(err)
		}
	})
}

// However many write at once, from whatever node: the chain is one.
func TestManyWritersMakeOneChain(t *testing.T) {
	both(t, func(t *testing.T, s *Events, dsn string) {
		other := s
		if s.DB.Dialect == db.PostgreSQL {
			d := databases.Open(t, dsn)
			d.Keyed = s.DB.Keyed
			other = &Events{DB: d}
		}
		var wait sync.WaitGroup
		for i := range 6 {
			on := []*Events{s, other}[i%2]
			wait.Go(func() {
				for range 20 {
					err := on.DB.Write(t.Context(), func(tx *db.Tx) error {
						return Append(t.Context(), tx, []event.Event{{Type: event.RunApplied, At: when, Actor: "a"}, {Type: event.RunHeld, At: when, Actor: "b"}})
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range 10 {
			whole(t, s) // while they write
		}
		wait.Wait()
		if v := whole(t, s); v.Last != 240 {
			t.Errorf("%+v", v)
		}
	})
}

// Every column counts, and no two rows that differ have one encoding.
func TestLinksDependOnEverything(t *testing.T) {
	base := row{id: 1, span: 1, at: 2, kind: "a", organization: "b", connection: "c", run: "d", actor: "e", before: "f", after: "g", why: "h", account: []byte("i"), group: []byte("j"), members: []byte("k")}
	seen := map[string]int{}
	for i, change := range []func(*row){
		func(*row) {}, func(r *row) { r.id++ }, func(r *row) { r.span++ }, func(r *row) { r.at++ }, func(r *row) { r.kind = "" }, func(r *row) { r.organization = "bc"; r.connection = "" },
		func(r *row) { r.connection = "" }, func(r *row) { r.run = "" }, func(r *row) { r.actor = "" }, func(r *row) { r.before = "fg"; r.after = "" }, func(r *row) { r.after = "" },
		func(r *row) { r.why = "" }, func(r *row) { r.account, r.group = nil, []byte("ij") }, func(r *row) { r.group = nil }, func(r *row) { r.members = nil },
	} {
		r := base
		change(&r)
		l := string(link(beginning(0), &r))
		if j, ok := seen[l]; ok {
			t.Errorf("changes %d and %d have one link", i, j)
		}
		seen[l] = i
	}
	if string(link(beginning(0), &base)) == string(link(beginning(1), &base)) {
		t.Error("the link before does not count")
	}
}
