// Package groups is the part of the console about groups: who is in them, which are
// nested in which, and who came and went.
package groups

import (
	"embed"
	"net/url"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "groups", Templates: templates, Routes: []shell.Route{
		{Pattern: "GET /groups", Handle: list},
		{Pattern: "GET /groups/{id}", Handle: show},
	}}
}

func list(q *shell.Ask) error {
	values := q.Values("q", "connection", "organization", "cursor")
	values.Set("limit", "50")
	found, err := client.Get[client.Page[client.Group]](q.R.Context(), q.API, "/groups", values)
	if err != nil {
		return err
	}
	return q.Page("list", "Groups", found)
}

type page struct {
	Group    client.Group
	Members  client.Page[client.Account]
	Children []*Node
	Parents  []*Node
	Inside   int // groups in it, at any depth
	Cycle    bool
	Cut      bool // there are more groups than are told
	History  []change
	More     bool
	Search   string
}

// Node is a group in the tree of groups.
type Node struct {
	client.GroupNode
	Children []*Node
}

// change is something that happened to the group, or somebody who came or went.
type change struct {
	client.Event
	Person string // a name; "" of the group itself
	Fields []shell.Field
}

func show(q *shell.Ask) error {
	ctx, id := q.R.Context(), q.R.PathValue("id")
	tree, err := q.API.GroupTree(ctx, id)
	if err != nil {
		return err
	}
	p := page{Group: tree.Group, Cut: tree.Cut, Inside: len(tree.Children), Children: grow(tree.Children), Parents: grow(tree.Parents), Search: q.R.URL.Query().Get("q")}
	for _, list := range [][]client.GroupNode{tree.Children, tree.Parents} {
		for _, n := range list {
			p.Cycle = p.Cycle || n.Cycle
		}
	}
	values := q.Values("q", "cursor")
	values.Set("limit", "50")
	values.Set("sort", "name")
	if p.Members, err = client.Get[client.Page[client.Account]](ctx, q.API, "/groups/"+url.PathEscape(p.Group.ID)+"/members", values); err != nil {
		return err
	}
	if q.R.URL.Query().Get("cursor") == "" {
		if err := p.history(q); err != nil {
			return err
		}
	}
	return q.Page("group", p.Group.Name, p)
}

// history reads the last changes, with the names of whom they are about.
func (p *page) history(q *shell.Ask) error {
	const most = 20
	found, err := q.API.GroupHistoryPage(q.R.Context(), p.Group.ID, client.Piece{Limit: most})
	if err != nil {
		return err
	}
	names := shell.NewNames(q)
	for _, e := range found.Items {
		if e.Account != nil {
			names.WantAccount(*e.Account)
		}
	}
	if err := names.Load(); err != nil {
		return err
	}
	for _, e := range found.Items {
		c := change{Event: e}
		if e.Account != nil {
			c.Person = names.Account(*e.Account)
		} else {
			c.Fields = names.Fields(e.Before, e.After)
		}
		p.History = append(p.History, c)
	}
	p.More = found.NextCursor != nil
	return nil
}

// grow makes a tree of groups that lie flat: behind each one those below.
func grow(flat []client.GroupNode) (tree []*Node) {
	var line []*Node // the last one of each level
	for _, f := range flat {
		n := &Node{GroupNode: f}
		level := min(max(f.Level, 1), len(line)+1)
		if level == 1 {
			tree = append(tree, n)
		} else {
			line[level-2].Children = append(line[level-2].Children, n)
		}
		line = append(line[:level-1], n)
	}
	return tree
}
