// Package overview reads what the first page shows: how all connections are, those
// that are not well first, and what there is in numbers. It keeps no table of its
// own, and hands on what those of others say together, in one picture.
package overview

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/plans"
)

// Overview reads.
type Overview struct{ DB *db.DB }

// Health is how a connection is, in a word.
type Health string

// The words, the worst first.
const (
	Quarantined Health = "quarantined" // it failed so often that its schedule waits
	Failing     Health = "failing"     // its last run failed
	Unset       Health = "unset"       // a setting is missing
	Held        Health = "held"        // a plan waits for a person
	Incomplete  Health = "incomplete"  // its last reading did not see everything
	New         Health = "new"         // it was never read
	OK          Health = "ok"
)

var ranks = map[Health]int{Quarantined: 0, Failing: 1, Unset: 2, Held: 3, Incomplete: 4, New: 7, OK: 8}

// Of connections that are well, or would be, these come before the others.
const (
	rankAttention = 5 // the next plan waits for a person
	rankExpiring  = 6 // what it signs in with runs out soon
)

// Declared is a connection of the configuration's file, which no table has.
type Declared struct {
	Alias, Organization string
	Scheduled           bool
	Unset               bool // a setting names what is not there
}

// Connection is one connection. Of those that are not on the page only the first
// fields are known.
type Connection struct {
	Alias        string
	Organization string
	Health       Health
	Scheduled    bool
	rank         int
	declared     bool

	Failures   int
	Cause      string // of the last failure
	RetryAt    time.Time
	Plan       string // that waits, "" for none
	PlanHeld   bool   // it waits for a person
	Because    string // why
	Expires    string // what runs out soon, "" for nothing
	ExpiresAt  time.Time
	NextAt     time.Time // when its schedule has it run next
	Attention  string    // why the next plan will wait
	People     int       // in the latest picture of the directory
	Groups     int
	Complete   bool      // the last reading saw everything
	Reason     string    // why it did not
	CompleteAt time.Time // when one last did
	Running    string    // the run that is carried out just now
	RunID      string    // the last run
	RunAt      time.Time
	RunState   string
	Undecided  int // changes its newest plan refused, and disputes
}

// Place is where a list of connections goes on: behind this one.
type Place struct {
	Rank  int
	Alias string
}

// Place is the connection's own.
func (c *Connection) Place() Place { return Place{c.rank, c.Alias} }

// Query says what to show.
type Query struct {
	Organization string     // "" for all
	Declared     []Declared // of that organization
	Health       Health     // only these, "" for all
	After        *Place
	Limit        int
	Now          time.Time
	Soon         time.Duration // within which what runs out is told of
}

// Seats is an organization with its licence.
type Seats struct {
	Organization, Name string
	Limit, Used        int
}

// Numbers are what there is.
type Numbers struct {
	Health      map[Health]int
	Connections int
	Unscheduled int // connections that run on demand alone
	Attention   int // connections whose next plan waits for a person
	Expiring    int // connections whose credential runs out soon
	Undecided   int // connections with disputes, or with changes that are refused
	Accounts    int // that are not deleted, nor disabled because their person left
	Active      int
	People      int // in directories
	Groups      int
	Dead        int // deliveries to webhooks that were given up
	Failing     int // webhooks that accept nothing
	Seats       []Seats
}

// mostSeats is how many organizations are told of, the fullest first.
const mostSeats = 20

// Read gives a page of connections, the worst first and then by alias, at most one
// more than the limit, and the numbers of all.
func (o *Overview) Read(ctx context.Context, q Query) (list []Connection, n Numbers, err error) {
	err = o.DB.Snapshot(ctx, func(r db.Querier) error {
		l := look{ctx: ctx, r: r, q: q, at: map[string]int{}}
		for _, step := range []func() error{l.aliases, l.read, l.unwell, l.failing, l.unset, l.waiting, l.expiring} {
			if err := step(); err != nil {
				return err
			}
		}
		n = l.count()
		list = l.page()
		if err := l.details(list); err != nil {
			return err
		}
		return l.numbers(&n)
	})
	return list, n, err
}

type look struct {
	ctx  context.Context
	r    db.Querier
	q    Query
	list []Connection
	at   map[string]int // alias to place in list
}

func (l *look) each(query string, args []any, scan func(*sql.Rows) error) error {
	return db.Each(l.ctx, l.r, query, args, scan)
}

// of gives the connection of an alias, nil for one that is none any more.
func (l *look) of(alias string) *Connection {
	i, ok := l.at[alias]
	if !ok {
		return nil
	}
	return &l.list[i]
}

func (l *look) add(c Connection) {
	if _, twice := l.at[c.Alias]; !twice { // the file wins
		l.at[c.Alias] = len(l.list)
		l.list = append(l.list, c)
	}
}

func (l *look) aliases() error {
	for _, d := range l.q.Declared {
		health := New
		if d.Unset {
			health = Unset
		}
		l.add(Connection{Alias: d.Alias, Organization: d.Organization, Scheduled: d.Scheduled, Health: health, declared: true})
	}
	return l.each(`SELECT alias, organization, scheduled, EXISTS (SELECT 1 FROM connections c WHERE c.alias = d.alias AND c.generation > 0) FROM declarations d
		WHERE $1 = '' OR organization = $1`, []any{l.q.Organization}, func(rows *sql.Rows) error {
		c := Connection{Health: New}
		var read bool
		err := rows.Scan(&c.Alias, &c.Organization, &c.Scheduled, &read)
		if read {
			c.Health = OK
		}
		l.add(c)
		return err
	})
}

// worse makes a connection's health what it is, unless it is worse already.
func (c *Connection) worse(h Health) {
	if ranks[h] < ranks[c.Health] {
		c.Health = h
	}
}

// read finds those of the file that were read; of the others it is known.
func (l *look) read() error {
	if len(l.q.Declared) == 0 {
		return nil
	}
	return l.each(`SELECT alias FROM connections WHERE generation > 0`, nil, func(rows *sql.Rows) error {
		var alias string
		err := rows.Scan(&alias)
		if c := l.of(alias); c != nil && c.Health == New {
			c.Health = OK
		}
		return err
	})
}

func (l *look) unwell() error {
	return l.each(`SELECT alias, generation > 0 AND NOT complete, attention FROM connections WHERE generation > 0 AND NOT complete OR attention <> ''`, nil, func(rows *sql.Rows) error {
		var alias, attention string
		var incomplete bool
		err := rows.Scan(&alias, &incomplete, &attention)
		if c := l.of(alias); c != nil {
			c.Attention = attention
			if incomplete {
				c.worse(Incomplete)
			}
		}
		return err
	})
}

func (l *look) failing() error {
	return l.each(`SELECT connection, failures, cause, quarantined_at > 0, retry_at FROM health`, nil, func(rows *sql.Rows) error {
		var one Connection
		var alias string
		var quarantined bool
		var retry int64
		err := rows.Scan(&alias, &one.Failures, &one.Cause, &quarantined, &retry)
		c := l.of(alias)
		if c == nil || one.Failures == 0 {
			return err
		}
		c.Failures, c.Cause = one.Failures, one.Cause
		if c.worse(Failing); quarantined {
			c.RetryAt = db.Time(retry)
			c.worse(Quarantined)
		}
		return err
	})
}

// unset finds connections whose secrets were taken away, and have to be given again.
func (l *look) unset() error {
	return l.each(`SELECT substr(owner, 12) FROM secrets WHERE length(sealed) = 0 AND substr(owner, 1, 11) = 'connection '`, nil, func(rows *sql.Rows) error {
		var alias string
		err := rows.Scan(&alias)
		if c := l.of(alias); c != nil && !c.declared {
			c.worse(Unset)
		}
		return err
	})
}

func (l *look) waiting() error {
	return l.each(`SELECT connection, id, state = 'held', held_because FROM plans WHERE state IN ('ready', 'held') AND NOT `+plans.Draft+` AND ($1 = '' OR organization = $1)`, []any{l.q.Organization}, func(rows *sql.Rows) error {
		var alias, id, because string
		var held bool
		if err := rows.Scan(&alias, &id, &held, &because); err != nil {
			return err
		}
		c := l.of(alias)
		if c == nil {
			return nil
		}
		c.Plan, c.PlanHeld = id, held
		var sentences []string
		err := json.Unmarshal([]byte(because), &sentences)
		if held && len(sentences) > 0 {
			c.Because = sentences[0]
		}
		if held {
			c.worse(Held)
		}
		return err
	})
}

func (l *look) expiring() error {
	return l.each(`SELECT connection, name, expires_at FROM expiries WHERE (told_by <> 'disuse' AND expires_at < $1 OR expires_at < $3) AND ($2 = '' OR organization = $2) ORDER BY expires_at DESC`,
		[]any{db.Micros(l.q.Now.Add(l.q.Soon)), l.q.Organization, db.Micros(l.q.Now.Add(7 * 24 * time.Hour))}, func(rows *sql.Rows) error {
			var alias, name string
			var at int64
			err := rows.Scan(&alias, &name, &at)
			if c := l.of(alias); c != nil {
				c.Expires, c.ExpiresAt = name, db.Time(at)
			}
			return err
		})
}

func (l *look) count() Numbers {
	n := Numbers{Health: map[Health]int{}, Connections: len(l.list)}
	for i := range l.list {
		c := &l.list[i]
		c.rank = ranks[c.Health]
		if c.Expires != "" {
			n.Expiring++
			c.rank = min(c.rank, rankExpiring)
		}
		if c.Attention != "" {
			n.Attention++
			c.rank = min(c.rank, rankAttention)
		}
		if !c.Scheduled {
			n.Unscheduled++
		}
		n.Health[c.Health]++
	}
	return n
}

func (l *look) page() []Connection {
	var at []int32 // sorted in place of the connections, which are large
	for i := range l.list {
		c := &l.list[i]
		if l.q.Health != "" && c.Health != l.q.Health || l.q.After != nil && compare(c.Place(), *l.q.After) <= 0 {
			continue
		}
		at = append(at, int32(i))
	}
	slices.SortFunc(at, func(a, b int32) int { return compare(l.list[a].Place(), l.list[b].Place()) })
	out := make([]Connection, min(len(at), l.q.Limit+1))
	for k := range out {
		out[k] = l.list[at[k]]
	}
	return out
}

func compare(a, b Place) int { return cmp.Or(a.Rank-b.Rank, cmp.Compare(a.Alias, b.Alias)) }

// details reads the rest of what is known of the connections on the page.
func (l *look) details(list []Connection) error {
	if len(list) == 0 {
		return nil
	}
	at := map[string]*Connection{}
	args := make([]any, len(list))
	for i := range list {
		at[list[i].Alias], args[i] = &list[i], list[i].Alias
	}
	in := db.In(1, len(args))
	err := l.each(`SELECT alias, attention, complete, reading, users, groups, complete_at, undecided FROM connections WHERE alias IN `+in, args, func(rows *sql.Rows) error {
		var c Connection
		var reading string
		var last int64
		if err := rows.Scan(&c.Alias, &c.Attention, &c.Complete, &reading, &c.People, &c.Groups, &last, &c.Undecided); err != nil {
			return err
		}
		to := at[c.Alias]
		to.Attention, to.Complete, to.People, to.Groups, to.CompleteAt, to.Undecided = c.Attention, c.Complete, c.People, c.Groups, db.Time(last), c.Undecided
		var r source.Reading
		if reading == "" || c.Complete {
			return nil
		}
		err := json.Unmarshal([]byte(reading), &r)
		to.Reason = r.Reason
		return err
	})
	if err != nil {
		return err
	}
	err = l.each(`SELECT connection, due_at FROM schedules WHERE connection IN `+in, args, func(rows *sql.Rows) error {
		var alias string
		var due int64
		err := rows.Scan(&alias, &due)
		at[alias].NextAt = db.Time(due)
		return err
	})
	if err != nil {
		return err
	}
	err = l.each(`SELECT connection, run FROM work WHERE node <> '' AND connection IN `+in, args, func(rows *sql.Rows) error {
		var alias, run string
		err := rows.Scan(&alias, &run)
		at[alias].Running = run
		return err
	})
	for i := range list {
		if err != nil {
			return err
		}
		c := &list[i]
		err = l.each(`SELECT id, started_at, state FROM runs WHERE connection = $1 ORDER BY started_at DESC LIMIT 1`, []any{c.Alias}, func(rows *sql.Rows) error {
			var began int64
			err := rows.Scan(&c.RunID, &began, &c.RunState)
			c.RunAt = db.Time(began)
			return err
		})
	}
	return err
}

// numbers adds up what there is.
func (l *look) numbers(n *Numbers) error {
	mine := []any{l.q.Organization}
	for _, one := range []struct {
		query string
		into  []any
	}{
		{`SELECT COALESCE(sum(here), 0), COALESCE(sum(active), 0) FROM tallies WHERE $1 = '' OR organization = $1`, []any{&n.Accounts, &n.Active}},
		// Only the copy that a preview works on has a blank in its name.
		{`SELECT COALESCE(sum(users), 0), COALESCE(sum(groups), 0) FROM connections WHERE ($1 = '' OR organization = $1) AND alias NOT LIKE '% %'`, []any{&n.People, &n.Groups}},
		{`SELECT count(*), 0 FROM connections WHERE undecided > 0 AND ($1 = '' OR organization = $1)`, []any{&n.Undecided, new(int)}},
		{`SELECT count(*), 0 FROM deliveries WHERE state = 'dead' AND webhook IN (SELECT id FROM webhooks WHERE $1 = '' OR organization = $1)`, []any{&n.Dead, new(int)}},
		{`SELECT count(*), 0 FROM webhooks WHERE (failing_since > 0 OR NOT enabled AND disabled_because <> '') AND ($1 = '' OR organization = $1)`, []any{&n.Failing, new(int)}},
	} {
		if err := l.r.QueryRowContext(l.ctx, one.query, mine...).Scan(one.into...); err != nil {
			return db.Explain("count for the overview", err)
		}
	}
	return l.each(`SELECT o.id, o.name, o.licence_limit, COALESCE(sum(t.active), 0) AS used FROM organizations o LEFT JOIN tallies t ON t.organization = o.id
		WHERE $1 = '' OR o.id = $1 GROUP BY o.id, o.name, o.licence_limit
		ORDER BY CASE WHEN o.licence_limit > 0 THEN 1.0 * COALESCE(sum(t.active), 0) / o.licence_limit ELSE 0 END DESC, COALESCE(sum(t.active), 0) DESC, o.id LIMIT $2`,
		[]any{l.q.Organization, mostSeats}, func(rows *sql.Rows) error {
			var s Seats
			err := rows.Scan(&s.Organization, &s.Name, &s.Limit, &s.Used)
			n.Seats = append(n.Seats, s)
			return err
		})
}
