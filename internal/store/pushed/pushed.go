// Package pushed is the tables of what SCIM clients pushed to connections. It hands
// resources back to them as they were sent, and the same, in the order in which they
// changed, to the source that reads a connection's directory from here.
package pushed

import (
	"context"
	"sync"
	"time"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
)

// Pushed is the tables. It is not copied once it is in use.
type Pushed struct {
	DB  *db.DB
	Now func() time.Time
	// Line sees to it that a run follows, as part of the transaction. It is called for
	// the first change since the last run was put in line, and told when that was, and
	// not for those after it. Nil where nobody carries out runs; what is pending is then
	// found by the next who does.
	Line func(ctx context.Context, tx *db.Tx, connection string, last time.Time) error

	mu    sync.Mutex
	lines map[string][]*request // of writes that wait, by connection; an entry while somebody writes
	last  int64                 // the time of the last ID, see newID
}

// Resource is one user or group.
type Resource struct {
	ID   string // a UUID
	Type scim.Type
	// Body is what the client sent, without id, meta, members of a group and groups of
	// a user.
	Body       scim.Object
	Version    int64 // counts from 1, up with each change
	CreatedAt  time.Time
	ModifiedAt time.Time
	Members    []Member // of a group, where they are asked for
	Groups     []Member // the groups that hold a user, where they are asked for

	text string // the body as it is stored
}

// Member is one end of a membership.
type Member struct {
	ID      string    // as the client sent it; it need not be the ID of a resource
	Display string    // as the client sent it; of a group that holds somebody its displayName
	Type    scim.Type // of the resource; User where there is none and the client did not say
}

// Query asks for a page of resources.
type Query struct {
	Type       scim.Type
	Filter     *scim.Filter // nil for all
	Sort       *scim.Path   // nil for the order in which they were made
	Descending bool
	Start      int // from 1; less is 1
	Count      int // at the most so many; 0 counts alone, less than 0 is all
	// After is a place that an earlier Page.Next gave. With UseCursor, "" is the
	// beginning, and Start is not looked at.
	After           string
	UseCursor       bool
	Members, Groups bool
}

// Page is a part of what a query finds.
type Page struct {
	Total     int // of all pages
	Resources []*Resource
	Next      string // where the next page begins, with UseCursor; "" after the last
}

func (p *Pushed) now() time.Time { return p.Now().UTC().Truncate(time.Microsecond) }

// Delete forgets everything of a connection.
func (p *Pushed) Delete(ctx context.Context, tx *db.Tx, connection string) error {
	for _, table := range []string{"pushed_state", "pushed_members", "pushed_values", "pushed"} { // as a write does: the state first
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE connection = $1`, connection); err != nil {
			return err
		}
	}
	return nil
}

// Kept is for how long a resource that was deleted can be made again under its ID.
const Kept = 90 * 24 * time.Hour

// mostPruned is how many tombstones go in one transaction.
const mostPruned = 1000

// Prune forgets resources that were deleted longer than Kept ago, and reports
// whether there are more. A reading that has not taken note of them by then becomes
// a full one.
func (p *Pushed) Prune(ctx context.Context) (more bool, err error) {
	const old = ` FROM pushed WHERE gone_at > 0 AND gone_at < $1`
	before := db.Micros(p.now().Add(-Kept))
	var some bool
	if err := p.DB.Reader().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1`+old+`)`, before).Scan(&some); err != nil || !some {
		return false, db.Explain("look for what was deleted", err)
	}
	err = p.DB.Write(ctx, func(tx *db.Tx) error {
		var connection string
		if err := tx.QueryRowContext(ctx, `SELECT connection`+old+` LIMIT 1`, before).Scan(&connection); err != nil {
			return noRows(err)
		}
		if _, err := lock(ctx, tx, connection); err != nil {
			return err
		}
		const these = `connection = $1 AND gone_at > 0 AND gone_at < $2`
		if _, err := tx.Exec(ctx, `UPDATE pushed_state SET pruned = COALESCE((SELECT max(seq) FROM pushed WHERE `+these+`), pruned) WHERE connection = $3`,
			connection, before, connection); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `DELETE FROM pushed WHERE connection = $1 AND id IN (SELECT id FROM pushed WHERE `+`connection = $2 AND gone_at > 0 AND gone_at < $3 LIMIT $4)`,
			connection, connection, before, mostPruned)
		more = n > 0
		return err
	})
	return more, err
}
