package pushed

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
)

// chunk is how many resources are held at a time while a filter is asked of them.
const chunk = 500

// List gives a page of what a query finds. What the indexes know of a filter leaves
// few to be asked about; a filter they know nothing of is asked of every resource.
// A cursor that is none is a *scim.Error.
func (p *Pushed) List(ctx context.Context, connection string, q Query) (Page, error) {
	l := lister{q: p.DB.Reader(), ctx: ctx, connection: connection, query: &q}
	var err error
	if l.after, err = q.after(); err != nil {
		return Page{}, err
	}
	if q.Filter != nil {
		if l.narrow(); l.terms > fewTerms {
			// Queries of any shape: none of them is kept prepared.
			err = p.DB.Snapshot(ctx, func(of db.Querier) error {
				l.q = of
				return l.list()
			})
			return l.page, err
		}
	}
	err = l.list()
	return l.page, err
}

// fewTerms is how many terms a filter may have whose query is kept prepared: there are
// not many queries of so few.
const fewTerms = 2

// list makes the page.
func (l *lister) list() (err error) {
	q := l.query
	column, known := columnOf(q)
	switch {
	case q.Filter == nil && known:
		err = l.direct(column)
	case q.Sort == nil:
		err = l.inOrder()
	default:
		err = l.sorted()
	}
	if err != nil {
		return err
	}
	for _, r := range l.page.Resources {
		// What a filter asked for is not what the client asked for.
		r.Members, r.Groups = nil, nil
		if err := with(l.ctx, l.q, l.connection, r, q.Members, q.Groups); err != nil {
			return err
		}
	}
	return nil
}

// lister makes one page.
type lister struct {
	q          db.Querier
	ctx        context.Context
	connection string
	query      *Query
	narrowed   string // the condition of what may fit the filter, see narrowing
	args       []any  // of that, and of ours
	terms      int
	after      *place
	page       Page
	last       place // of the page
	met        int   // of those from the page's beginning on
}

// columnOf gives the column that a list is sorted by, and whether there is one.
func columnOf(q *Query) (column string, known bool) {
	switch {
	case q.Sort == nil:
		return "id", true
	case q.Sort.Schema != "" || q.Sort.Filter != nil:
		return "", false
	}
	switch strings.ToLower(q.Sort.Attr + "." + q.Sort.Sub) {
	case "id.":
		return "id", true
	case "username.":
		return "username_key", q.Type == scim.User
	case "displayname.":
		return "display_key", true
	case "externalid.":
		return "external", true
	case "meta.created":
		return "created_at", true
	case "meta.lastmodified":
		return "modified_at", true
	}
	return "", false
}

// ours is the condition that all of a list fulfil.
func ours(t scim.Type) string {
	return ` FROM pushed WHERE connection = $1 AND ` + is(t) + ` AND gone_at = 0`
}

// direct has the database do all of it.
func (l *lister) direct(column string) error {
	args := []any{l.connection}
	if err := l.q.QueryRowContext(l.ctx, `SELECT count(*)`+ours(l.query.Type), args...).Scan(&l.page.Total); err != nil {
		return db.Explain("count what was pushed", err)
	}
	if l.query.Count == 0 {
		return nil
	}
	var terms []string
	numeric := strings.HasSuffix(column, "_at")
	if !numeric && column != "id" {
		terms = append(terms, "CASE WHEN "+column+" = '' THEN 1 ELSE 0 END")
	}
	if column != "id" {
		terms = append(terms, column)
	}
	terms = append(terms, "id")
	compare, direction := " > ", ""
	if l.query.Descending {
		compare, direction = " < ", " DESC"
	}
	query := `SELECT ` + columns + `, ` + column + ours(l.query.Type)
	if a := l.after; a != nil {
		var of []string
		for _, v := range l.values(*a, column, numeric) {
			args = append(args, v)
			of = append(of, db.Placeholder(len(args)))
		}
		query += ` AND (` + strings.Join(terms, ", ") + `)` + compare + `(` + strings.Join(of, ", ") + `)`
	}
	query += ` ORDER BY ` + strings.Join(terms, direction+", ") + direction
	limit, offset := l.query.Count+1, 0 // one more tells whether there are more
	if l.query.Count < 0 {
		limit = l.page.Total
	}
	if !l.query.UseCursor {
		offset = max(0, l.query.Start-1)
	}
	args = append(args, limit, offset)
	query += ` LIMIT ` + db.Placeholder(len(args)-1) + ` OFFSET ` + db.Placeholder(len(args))
	more := false
	err := db.Each(l.ctx, l.q, query, args, func(rows *sql.Rows) error {
		var key string
		r, err := scan(rows, &key)
		if err != nil {
			return err
		}
		if more = len(l.page.Resources) == l.query.Count; more {
			return nil
		}
		l.page.Resources = append(l.page.Resources, r)
		l.last = place{ID: r.ID, Key: key, Missing: key == ""}
		return nil
	})
	if err != nil || !more {
		return err
	}
	return l.goesOn()
}

// values are a place in the terms of direct.
func (l *lister) values(a place, column string, numeric bool) []any {
	switch {
	case column == "id":
		return []any{a.ID}
	case numeric:
		n, _ := strconv.ParseInt(a.Key, 10, 64) //nolint:errcheck // what is no time is the beginning
		return []any{n, a.ID}
	case a.Key == "":
		return []any{1, "", a.ID}
	}
	return []any{0, a.Key, a.ID}
}

// goesOn says where the next page begins.
func (l *lister) goesOn() (err error) {
	if l.query.UseCursor && len(l.page.Resources) > 0 {
		l.page.Next, err = l.query.next(l.last)
	}
	return err
}

// narrow puts the filter into SQL as far as indexes know of it.
func (l *lister) narrow() {
	n := narrowing{connection: l.connection, t: l.query.Type, args: []any{l.connection}}
	if set := n.set(l.query.Filter); set != "" {
		l.narrowed = ` AND id IN (` + set + `)`
	}
	l.args, l.terms = n.args, n.terms
}

// each hands on what the filter fits, in the order of IDs.
func (l *lister) each(fn func(*Resource) error) error {
	query := `SELECT ` + columns + ours(l.query.Type) + l.narrowed
	if l.args == nil {
		l.args = []any{l.connection} // there is no filter
	}
	members, groups := asks(l.query.Filter, "members"), asks(l.query.Filter, "groups")
	compare, direction := " > ", ""
	if l.query.Descending && l.query.Sort == nil {
		compare, direction = " < ", " DESC"
	}
	for last := ""; ; {
		args, from := l.args, ""
		if last != "" {
			args = append(slices.Clip(args), last)
			from = ` AND id` + compare + db.Placeholder(len(args))
		}
		var some []*Resource
		err := db.Each(l.ctx, l.q, query+from+` ORDER BY id`+direction+` LIMIT `+strconv.Itoa(chunk), args, func(rows *sql.Rows) error {
			r, err := scan(rows)
			some = append(some, r)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range some {
			if err := with(l.ctx, l.q, l.connection, r, members, groups); err != nil {
				return err
			}
			if l.query.Filter != nil && !l.query.Filter.Matches(r.Object()) {
				continue
			}
			if err := fn(r); err != nil {
				return err
			}
		}
		if len(some) < chunk {
			return nil
		}
		last = some[len(some)-1].ID
	}
}

// inOrder picks the page while the filter is asked.
func (l *lister) inOrder() error {
	more := false
	err := l.each(func(r *Resource) error {
		l.page.Total++
		if l.fits(place{ID: r.ID}) {
			if len(l.page.Resources) == l.query.Count {
				more = true
				return nil
			}
			l.page.Resources = append(l.page.Resources, r)
			l.last = place{ID: r.ID}
		}
		return nil
	})
	if err != nil || !more {
		return err
	}
	return l.goesOn()
}

// fits reports whether a resource, the next in the order of the list, is on the page
// or behind it.
func (l *lister) fits(at place) bool {
	if l.query.UseCursor {
		if l.after == nil {
			return true
		}
		c := at.compare(*l.after)
		return c > 0 && !l.query.Descending || c < 0 && l.query.Descending
	}
	l.met++
	return l.met >= l.query.Start
}

// sorted remembers the places of all, and reads those of the page again.
func (l *lister) sorted() error {
	var places []place
	err := l.each(func(r *Resource) error {
		places = append(places, placeOf(r.Type, r.Object(), r.ID, l.query.Sort))
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(places, place.compare)
	if l.query.Descending {
		slices.Reverse(places)
	}
	l.page.Total = len(places)
	for _, at := range places {
		if !l.fits(at) {
			continue
		}
		if len(l.page.Resources) == l.query.Count {
			return l.goesOn()
		}
		r, err := get(l.ctx, l.q, l.connection, l.query.Type, at.ID, false, false)
		if gone, ok := err.(*scim.Error); ok && gone.Status == 404 { //nolint:errorlint // get gives it as it is
			continue // it went meanwhile
		}
		if err != nil {
			return fmt.Errorf("pushed: read a page: %w", err)
		}
		l.page.Resources, l.last = append(l.page.Resources, r), at
	}
	return nil
}
