package pushed

import (
	"context"
	"strings"

	"rollcall.dev/rollcall/internal/scim"
)

// Narrowed gives the query that finds what may fit a filter.
func Narrowed(connection string, t scim.Type, f *scim.Filter) (string, []any) {
	l := lister{ctx: context.Background(), connection: connection, query: &Query{Type: t, Filter: f}}
	l.narrow()
	return strings.TrimSpace(`SELECT ` + columns + ours(t) + l.narrowed + ` ORDER BY id LIMIT 500`), l.args
}
