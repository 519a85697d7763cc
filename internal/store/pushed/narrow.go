package pushed

import (
	"strings"

	"rollcall.dev/rollcall/internal/scim"
	"rollcall.dev/rollcall/internal/store/db"
)

// narrowing puts as much of a filter into SQL as the indexes answer: every resource
// that the filter fits is among those it leaves over, and others may be. The filter
// itself is then asked of those.
type narrowing struct {
	connection string
	t          scim.Type
	args       []any
	terms      int // of the filter that were put into SQL
}

func (n *narrowing) arg(v any) string {
	n.args = append(n.args, v)
	return db.Placeholder(len(n.args))
}

// set gives a query for the IDs of what may fit, or "" where the indexes know nothing
// of the filter. It is a query of its own so that no planner takes the order of a
// list for the way to find it.
func (n *narrowing) set(f *scim.Filter) string {
	switch f.Op {
	case scim.And:
		left, right := n.set(f.Left), n.set(f.Right)
		if left == "" || right == "" {
			return left + right
		}
		return "SELECT id FROM (" + left + ") one WHERE id IN (" + right + ")"
	case scim.Or:
		kept := len(n.args)
		left := n.set(f.Left)
		if left == "" {
			return ""
		}
		right := n.set(f.Right)
		if right == "" {
			n.args = n.args[:kept]
			return ""
		}
		return "SELECT id FROM (" + left + ") one UNION SELECT id FROM (" + right + ") other"
	case scim.Eq:
		return n.equal(f.Path, f.Value)
	case scim.Pr:
		if f.Path.Filter != nil && f.Path.Sub == "" {
			return n.within(f.Path, f.Path.Filter)
		}
	default: // what is not so is found by no index
	}
	return ""
}

// within narrows `emails[type eq "work" and value eq "x"]`: a value that fits has a
// part that fits.
func (n *narrowing) within(path scim.Path, f *scim.Filter) string {
	switch f.Op {
	case scim.And:
		if left := n.within(path, f.Left); left != "" {
			return left
		}
		return n.within(path, f.Right)
	case scim.Eq:
		if f.Path.Schema == "" && f.Path.Sub == "" && f.Path.Filter == nil {
			return n.equal(scim.Path{Schema: path.Schema, Attr: path.Attr, Sub: f.Path.Attr}, f.Value)
		}
	default:
	}
	return ""
}

// equal narrows `path eq value`. The path's own filter only narrows further.
func (n *narrowing) equal(path scim.Path, v any) string {
	value, ok := v.(string)
	if !ok || value == "" {
		return ""
	}
	n.terms++
	switch n.name(path) {
	case "id":
		return n.column("id", keyOf(value, true), "")
	case "externalId":
		return n.column("external", keyOf(value, true), " AND external <> ''")
	case "displayName":
		return n.column("display_key", keyOf(value, false), " AND display_key <> ''")
	case "userName":
		if n.t == scim.User {
			return n.column("username_key", keyOf(value, false), " AND gone_at = 0")
		}
	case "members", "members.value":
		if n.t == scim.Group {
			return "SELECT grp AS id FROM pushed_members WHERE connection = " + n.arg(n.connection) + " AND member = " + n.arg(keyOf(value, true))
		}
	case "groups", "groups.value":
		if n.t == scim.User {
			return "SELECT member AS id FROM pushed_members WHERE connection = " + n.arg(n.connection) + " AND grp = " + n.arg(keyOf(value, true))
		}
	}
	for _, a := range indexed[n.t] {
		if path.Schema == a.schema && strings.EqualFold(path.Attr, a.attr) && (strings.EqualFold(path.Sub, a.sub) || path.Sub == "" && a.sub == "value") {
			return "SELECT id FROM pushed_values WHERE connection = " + n.arg(n.connection) + " AND attr = " + n.arg(a.name) + " AND value = " + n.arg(keyOf(value, false))
		}
	}
	return ""
}

// column finds by a column of the table itself; more are the terms of its index.
func (n *narrowing) column(name, key, more string) string {
	return "SELECT id FROM pushed WHERE connection = " + n.arg(n.connection) + " AND " + is(n.t) + " AND " + name + " = " + n.arg(key) + more
}

// name is a path of the core schema, spelled as there, without its filter.
func (n *narrowing) name(path scim.Path) string {
	if path.Schema != "" {
		return ""
	}
	name := path.Attr
	if path.Sub != "" {
		name += "." + path.Sub
	}
	for _, known := range []string{"id", "externalId", "displayName", "userName", "members", "members.value", "groups", "groups.value"} {
		if strings.EqualFold(name, known) {
			return known
		}
	}
	return ""
}

// asks reports whether a filter speaks of an attribute, which has to be read for it.
func asks(f *scim.Filter, attr string) bool {
	if f == nil {
		return false
	}
	return f.Path.Schema == "" && strings.EqualFold(f.Path.Attr, attr) || asks(f.Left, attr) || asks(f.Right, attr)
}
