package people

import (
	"context"
	"database/sql"

	"rollcall.dev/rollcall/internal/store/db"
)

// Warm reads people before somebody asks for them: everybody, and then the
// organizations, the largest first, as long as they may be kept. It gives the
// organizations it has read, "" for everybody. A search that comes meanwhile waits
// for its part alone.
func (p *People) Warm(ctx context.Context) ([]string, error) {
	type size struct {
		organization string
		people       int
	}
	var all []size
	total := 0
	err := db.Each(ctx, p.DB.Reader(), `SELECT organization, sum(here) FROM tallies GROUP BY organization HAVING sum(here) > 0 ORDER BY 2 DESC, 1`, nil, func(rows *sql.Rows) error {
		var s size
		err := rows.Scan(&s.organization, &s.people)
		all = append(all, s)
		total += s.people
		return err
	})
	if err != nil {
		return nil, db.Explain("look for accounts", err)
	}
	if len(all) > 1 {
		all = append([]size{{"", total}}, all...)
	}
	left := p.most()
	var done []string
	for _, s := range all {
		if left -= s.people; left < 0 {
			break
		}
		picture, err := p.Of(ctx, s.organization)
		if err != nil {
			return done, err
		}
		if s.organization != "" { // there is no chart of everybody
			picture.Chart()
		}
		done = append(done, s.organization)
	}
	return done, nil
}

func (p *People) most() int {
	if p.Most == 0 {
		return 400_000
	}
	return p.Most
}
