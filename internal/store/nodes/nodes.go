// Package nodes is the table of the processes that serve a database. It tells
// readiness and the console which there are, and whoever takes work over which
// have gone.
package nodes

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"rollcall.dev/rollcall/internal/store/db"
	"rollcall.dev/rollcall/internal/store/leases"
)

// Nodes is the table.
type Nodes struct{ DB *db.DB }

// Node is one process.
type Node struct {
	ID        string    `json:"id"`
	Host      string    `json:"host"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at"`
	Draining  bool      `json:"draining"` // it takes up nothing new
}

// Beat writes a node's sign of life, by the database's clock.
func (s *Nodes) Beat(ctx context.Context, n Node) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO nodes (id, host, process, version, started_at, seen_at, draining) VALUES ($1, $2, $3, $4, `+tx.Now()+`, `+tx.Now()+`, $5)
			ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, draining = excluded.draining`, n.ID, n.Host, leases.Self(), n.Version, n.Draining)
		return err
	})
}

// Leave takes a node out that ends.
func (s *Nodes) Leave(ctx context.Context, id string) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM nodes WHERE id = $1`, id)
		return err
	})
}

// Gone is, as SQL, that the node a column names gave no sign of life for a while.
func Gone(d *db.DB, column string, a time.Duration) string {
	return fmt.Sprintf(`NOT EXISTS (SELECT 1 FROM nodes n WHERE n.id = %s AND n.seen_at > %s - %d)`, column, d.Now(), a.Microseconds())
}

// Bury takes nodes out that are known to be gone: those of this machine whose
// process is, at once, and every one that has not been seen for an hour.
func (s *Nodes) Bury(ctx context.Context) error {
	var gone []string
	err := db.Each(ctx, s.DB.Reader(), `SELECT id, process, seen_at <= `+s.DB.Now()+` - $1 FROM nodes`, []any{time.Hour.Microseconds()}, func(rows *sql.Rows) error {
		var id, process string
		var long bool
		err := rows.Scan(&id, &process, &long)
		if long || leases.Dead(process) {
			gone = append(gone, id)
		}
		return err
	})
	for _, id := range gone {
		if err == nil {
			err = s.Leave(ctx, id)
		}
	}
	return err
}

// Serving names the machines of nodes that are there, as far as can be known: seen in
// the last minute, and not known to be gone.
func (s *Nodes) Serving(ctx context.Context) (hosts []string, err error) {
	err = db.Each(ctx, s.DB.Reader(), `SELECT host, process FROM nodes WHERE seen_at > `+s.DB.Now()+` - $1 ORDER BY host`, []any{time.Minute.Microseconds()}, func(rows *sql.Rows) error {
		var host, process string
		err := rows.Scan(&host, &process)
		if !leases.Dead(process) {
			hosts = append(hosts, host)
		}
		return err
	})
	return hosts, err
}

// List gives all nodes, the oldest first.
func (s *Nodes) List(ctx context.Context) ([]Node, error) {
	out := []Node{}
	err := db.Each(ctx, s.DB.Reader(), `SELECT id, host, version, started_at, seen_at, draining FROM nodes ORDER BY started_at, id`, nil, func(rows *sql.Rows) error {
		var n Node
		var started, seen int64
		err := rows.Scan(&n.ID, &n.Host, &n.Version, &started, &seen, &n.Draining)
		n.StartedAt, n.SeenAt = db.Time(started), db.Time(seen)
		out = append(out, n)
		return err
	})
	return out, err
}
