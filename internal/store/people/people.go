// Package people keeps in memory who there is in an organization: names, IDs and
// manager links, brought up to date from the feed of events whenever somebody
// asks. It hands people found by any part of their names on to lists, and the
// org chart to whoever draws it. docs/decisions/0018-people-in-memory.md says why.
package people

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"sync"

	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/store/db"
)

// Person is what is kept of an account.
type Person struct {
	ID           account.ID
	Manager      account.ID // as the account has it, whoever that is
	Organization string
	Connection   string
	Name         string // for people: the display name, first and last name, or the username
	Title        string
	Department   string
	Status       account.Status
	Left         bool   // deleted, or disabled because the directory no longer has them
	key          string // the name as it is sorted
	text         string // everything searched, folded, a line each
}

// Picture is the people of one organization, or of all, at one moment. Nothing in
// it changes, so it may be read while others look and write.
type Picture struct {
	Event int64 // the newest one at that moment
	*body
}

// body is what pictures of different moments share where nobody changed.
type body struct {
	list  []Person // by name
	once  sync.Once
	chart *Chart
}

// People keeps pictures. It is safe for concurrent use.
type People struct {
	DB *db.DB
	// Most is how many people are kept of organizations that are not asked for just
	// now; 400,000 unless set. A person takes some 300 bytes.
	Most int

	mu   sync.Mutex
	kept map[string]*crowd
	turn int64
}

type crowd struct {
	mu   sync.Mutex // one brings the picture up to date, the others wait for it
	now  *Picture
	used int64 // People.turn when it was last asked for
	size int   // as of the last look, guarded by People.mu
}

// patchable is how many events are followed; what is further behind is read anew.
const patchable = 20_000

// Of gives the people of an organization ("" for all) as they are now. The first
// time after a start it reads all of them, which takes a second or so for 100,000.
func (p *People) Of(ctx context.Context, organization string) (*Picture, error) {
	organization, err := p.alone(ctx, organization)
	if err != nil {
		return nil, err
	}
	c := p.crowd(organization)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := p.refresh(ctx, c, organization); err != nil {
		return nil, err
	}
	p.settle(c)
	return c.now, nil
}

// alone makes everybody the people of the only organization that has any: they
// are not kept twice.
func (p *People) alone(ctx context.Context, organization string) (string, error) {
	if organization != "" {
		return organization, nil
	}
	var first, last string
	err := p.DB.Reader().QueryRowContext(ctx, `SELECT COALESCE(min(organization), ''), COALESCE(max(organization), '') FROM tallies`).Scan(&first, &last)
	if err == nil && first == last {
		organization = first
	}
	return organization, db.Explain("look for accounts", err)
}

func (p *People) crowd(organization string) *crowd {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		p.kept = map[string]*crowd{}
	}
	c := p.kept[organization]
	if c == nil {
		c = &crowd{}
		p.kept[organization] = c
	}
	p.turn++
	c.used = p.turn
	return c
}

// settle notes how many people a crowd has by now, and forgets those that were not
// asked for the longest where there are too many.
func (p *People) settle(c *crowd) {
	most := p.most()
	p.mu.Lock()
	defer p.mu.Unlock()
	c.size = len(c.now.list)
	total := 0
	for _, one := range p.kept {
		total += one.size
	}
	for total > most {
		oldest, name := c, ""
		for organization, one := range p.kept {
			if one.used < oldest.used {
				oldest, name = one, organization
			}
		}
		if oldest == c {
			return
		}
		total -= oldest.size
		delete(p.kept, name)
	}
}

const newest = `SELECT value FROM counters WHERE name = 'event'`

func (p *People) refresh(ctx context.Context, c *crowd, organization string) error {
	var end int64
	if c.now != nil {
		err := p.DB.Reader().QueryRowContext(ctx, newest).Scan(&end)
		if err != nil || end == c.now.Event {
			return db.Explain("read the end of the feed", err)
		}
	}
	return p.DB.Snapshot(ctx, func(q db.Querier) error {
		var pruned int64
		if err := q.QueryRowContext(ctx, newest).Scan(&end); err != nil {
			return db.Explain("read the end of the feed", err)
		}
		if err := q.QueryRowContext(ctx, `SELECT value FROM counters WHERE name = 'pruned'`).Scan(&pruned); err != nil {
			return db.Explain("read the beginning of the feed", err)
		}
		was := c.now
		if was == nil || end < was.Event || end-was.Event > patchable || pruned > was.Event {
			list, err := read(ctx, q, organization)
			if err == nil {
				c.now = &Picture{end, &body{list: list}}
			}
			return err
		}
		list, changed, err := follow(ctx, q, organization, was)
		switch {
		case err != nil:
		case changed:
			c.now = &Picture{end, &body{list: list}}
		default:
			c.now = &Picture{end, was.body}
		}
		return err
	})
}

const columns = `id, manager, organization, connection, external_id, username, email, first_name, last_name, display_name, title, department, status, cause, attributes`

// words keeps one copy of what many people have in common.
type words map[string]string

func (w words) one(s string) string {
	if s == "" {
		return ""
	}
	known, ok := w[s]
	if !ok {
		w[s], known = s, s
	}
	return known
}

func (w words) scan(rows *sql.Rows) (Person, error) {
	var p Person
	var external, username, email, first, last, display, title, department, attributes string
	var cause account.Cause
	if err := rows.Scan(&p.ID, &p.Manager, &p.Organization, &p.Connection, &external, &username, &email, &first, &last, &display, &title, &department, &p.Status, &cause, &attributes); err != nil {
		return p, err
	}
	p.Organization, p.Connection, p.Title, p.Department = w.one(p.Organization), w.one(p.Connection), w.one(title), w.one(department)
	p.Status = account.Status(w.one(string(p.Status)))
	p.Left = account.HasLeft(p.Status, cause)
	whole := strings.TrimSpace(first + " " + last)
	switch {
	case display != "":
		p.Name = display
	case whole != "":
		p.Name = whole
	default:
		p.Name = username
	}
	p.key = Plain(p.Name)
	p.text = lines(p.ID.String(), username, email, whole, display, external, attributes)
	return p, nil
}

func read(ctx context.Context, q db.Querier, organization string) ([]Person, error) {
	where, args := "", []any{}
	if organization != "" {
		var mine, all int64
		err := q.QueryRowContext(ctx, `SELECT COALESCE(sum(CASE WHEN organization = $1 THEN here ELSE 0 END), 0), COALESCE(sum(here), 0) FROM tallies`, organization).Scan(&mine, &all)
		if err != nil {
			return nil, db.Explain("count accounts", err)
		}
		where, args = " WHERE organization = $1", append(args, organization)
		if 3*mine > all {
			// Most of the table is wanted: going through it is quicker than looking
			// everybody up, and no index is for an expression.
			where = " WHERE organization || '' = $1"
		}
	}
	var list []Person
	common := words{}
	err := db.Each(ctx, q, `SELECT `+columns+` FROM accounts`+where, args, func(rows *sql.Rows) error {
		p, err := common.scan(rows)
		list = append(list, p)
		return err
	})
	slices.SortFunc(list, byName)
	return list, err
}

func byName(a, b Person) int { return compare(a.key, a.ID, b.key, b.ID) }

func compare(key string, id account.ID, other string, otherID account.ID) int {
	if c := strings.Compare(key, other); c != 0 {
		return c
	}
	return slices.Compare(id[:], otherID[:])
}

// follow reads again whoever the events since a picture tell of.
func follow(ctx context.Context, q db.Querier, organization string, was *Picture) ([]Person, bool, error) {
	touched := map[account.ID]bool{}
	err := db.Each(ctx, q, `SELECT account FROM events WHERE id > $1 AND account IS NOT NULL AND ($2 = '' OR organization = $2) AND type LIKE 'account.%'`,
		[]any{was.Event, organization}, func(rows *sql.Rows) error {
			var id account.ID
			err := rows.Scan(&id)
			touched[id] = true
			return err
		})
	if err != nil || len(touched) == 0 {
		return nil, false, err
	}
	ids := make([]any, 0, len(touched))
	for id := range touched {
		ids = append(ids, id[:])
	}
	var fresh []Person
	common := words{}
	for part := range slices.Chunk(ids, 500) {
		err := db.Each(ctx, q, `SELECT `+columns+` FROM accounts WHERE id IN `+db.In(1, len(part)), part, func(rows *sql.Rows) error {
			p, err := common.scan(rows)
			fresh = append(fresh, p)
			return err
		})
		if err != nil {
			return nil, false, err
		}
	}
	slices.SortFunc(fresh, byName)
	list := make([]Person, 0, len(was.list)+len(fresh))
	for i := range was.list {
		old := &was.list[i]
		if touched[old.ID] {
			continue
		}
		for len(fresh) > 0 && byName(fresh[0], *old) < 0 {
			list, fresh = append(list, fresh[0]), fresh[1:]
		}
		list = append(list, *old)
	}
	return append(list, fresh...), true, nil
}
