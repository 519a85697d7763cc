package pushed

import (
	"context"
	"database/sql"
	"strconv"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/source"
	"rollcall.dev/rollcall/internal/store/db"
)

// Of is what was pushed to a connection, as the source reads it.
func (p *Pushed) Of(connection string) source.Pushed { return &directory{p.DB.Reader(), connection} }

type directory struct {
	q          db.Querier
	connection string
}

// State implements source.Pushed.
func (d *directory) State(ctx context.Context) (s source.PushedState, err error) {
	var changed int64
	err = noRows(d.q.QueryRowContext(ctx, `SELECT epoch, seq, pruned, changed_at FROM pushed_state WHERE connection = $1`, d.connection).Scan(&s.Epoch, &s.Mark, &s.Forgotten, &changed))
	if err != nil {
		return s, db.Explain("read what is pushed", err)
	}
	s.ChangedAt = db.Time(changed)
	for t, n := range map[scim.Type]*int{scim.User: &s.Users, scim.Group: &s.Groups} {
		if err := d.q.QueryRowContext(ctx, `SELECT count(*)`+ours(t), d.connection).Scan(n); err != nil {
			return s, db.Explain("count what was pushed", err)
		}
	}
	return s, nil
}

// Each implements source.Pushed. No rows are open while fn runs: it writes.
func (d *directory) Each(ctx context.Context, t scim.Type, after int64, fn func(*source.PushedEntry) error) error {
	type place struct {
		seq int64
		id  string
	}
	last := place{after, ""}
	for {
		query, args := `SELECT `+columns+`, seq, gone_at`+ours(t)+` AND id > $2 ORDER BY id LIMIT `+strconv.Itoa(chunk), []any{d.connection, last.id}
		if after > 0 {
			query = `SELECT ` + columns + `, seq, gone_at FROM pushed WHERE connection = $1 AND ` + is(t) + ` AND (seq, id) > ($2, $3) ORDER BY seq, id LIMIT ` + strconv.Itoa(chunk)
			if last.id == "" {
				last.seq++ // (seq, "") is before all of a mark
			}
			args = []any{d.connection, last.seq, last.id}
		}
		var some []*source.PushedEntry
		err := db.Each(ctx, d.q, query, args, func(rows *sql.Rows) error {
			var gone int64
			r, err := scan(rows, &last.seq, &gone)
			if err != nil {
				return err
			}
			last.id = r.ID
			e := &source.PushedEntry{ID: r.ID, Type: t, Body: r.Body}
			if gone > 0 {
				e.Body, e.Gone = nil, true
			}
			some = append(some, e)
			return nil
		})
		if err != nil {
			return err
		}
		for _, e := range some {
			if err := d.members(ctx, e); err != nil {
				return err
			}
			if err := fn(e); err != nil {
				return err
			}
		}
		if len(some) < chunk {
			return nil
		}
	}
}

func (d *directory) members(ctx context.Context, e *source.PushedEntry) error {
	if e.Type != scim.Group || e.Gone {
		return nil
	}
	return db.Each(ctx, d.q, `SELECT member FROM pushed_members WHERE connection = $1 AND grp = $2 ORDER BY member`, []any{d.connection, e.ID}, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		e.Members = append(e.Members, id)
		return err
	})
}

// mostNamed is how many users a word leads to at the most.
const mostNamed = 5

// Named implements source.Pushed.
func (d *directory) Named(ctx context.Context, who string) (out []*source.PushedEntry, err error) {
	key, exact := keyOf(who, false), keyOf(who, true)
	if key == "" {
		return nil, nil
	}
	for _, by := range []struct {
		where string
		args  []any
	}{
		{` AND id = $2`, []any{exact}},
		{` AND username_key = $2 AND kind = 'User' AND gone_at = 0`, []any{key}},
		{` AND external = $2 AND external <> ''`, []any{exact}},
		{` AND id IN (SELECT id FROM pushed_values WHERE connection = $2 AND attr = 'emails.value' AND value = $3)`, []any{d.connection, key}},
	} {
		err := db.Each(ctx, d.q, `SELECT `+columns+ours(scim.User)+by.where+` ORDER BY id LIMIT `+strconv.Itoa(mostNamed), append([]any{d.connection}, by.args...), func(rows *sql.Rows) error {
			r, err := scan(rows)
			if err == nil {
				out = append(out, &source.PushedEntry{ID: r.ID, Type: r.Type, Body: r.Body})
			}
			return err
		})
		if err != nil || len(out) > 0 {
			return out, err
		}
	}
	return nil, nil
}
