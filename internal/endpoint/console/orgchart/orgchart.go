// Package orgchart is the part of the console that draws who reports to whom, for
// ten thousand people as well as for ten: only what somebody opened is in the page.
package orgchart

import (
	"cmp"
	"embed"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html assets
var files embed.FS

// Section is this part of the console.
func Section() shell.Section {
	assets, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return shell.Section{Name: "orgchart", Templates: files, Assets: assets, Routes: []shell.Route{
		{Pattern: "GET /orgchart", Handle: show},
	}}
}

const (
	// reports is how many people below one person a page brings at once.
	reports = 200
	// atFirst bounds the first page, on which several have their reports shown.
	atFirst = 50
	// hits is how many people a search offers to go to.
	hits = 8
)

type page struct {
	Organizations []client.Organization // to choose from; none where there is no choice
	Organization  string
	Search        string
	Hits          []client.Account
	At            string
	People        int
	Tree          []*Node
	More          int // people at the top that are not shown
	Next          int // where those begin
	Above         []client.OrgPerson
	Cycles        [][]client.OrgPerson
	Trouble       *shell.Trouble
}

// Node is one person with those below as far as they are shown.
type Node struct {
	client.OrgPerson
	Children []*Node
	Here     bool // the one that was asked for
	Open     bool // those below are shown
	Others   int  // direct reports that are not
	Next     int  // where those begin; 0 where they are asked for as a whole
}

func show(q *shell.Ask) error {
	query := q.R.URL.Query()
	offset, err := strconv.Atoi(query.Get("offset"))
	if err != nil || offset < 0 {
		offset = 0
	}
	if query.Has("part") {
		return part(q, query.Get("at"), query.Get("organization"), offset)
	}
	p := page{Search: strings.TrimSpace(query.Get("q")), At: query.Get("at"), Organization: query.Get("organization")}
	if err := p.organization(q); err != nil {
		return err
	}
	if p.Search != "" {
		if err := p.search(q); err != nil {
			return err
		}
	}
	if p.At != "" {
		if err := p.around(q, offset); err != nil {
			if q.Problem(err).Status != http.StatusNotFound {
				return err
			}
			p.At, p.Trouble = "", q.Problem(err)
		}
	}
	if p.At == "" && p.Organization != "" {
		if err := p.top(q, offset); err != nil {
			return err
		}
	}
	return q.Page("orgchart", "Org chart", p)
}

// organization finds whose chart is meant: the only one, the one that was chosen,
// or the one with the most people.
func (p *page) organization(q *shell.Ask) error {
	if !q.Me.All() {
		p.Organization = q.Me.Organization
		return nil
	}
	all, err := client.Get[client.Page[client.Organization]](q.R.Context(), q.API, "/organizations", url.Values{"limit": {"500"}})
	if err != nil {
		return err
	}
	if len(all.Items) > 1 {
		p.Organizations = all.Items
	}
	if p.Organization == "" && len(all.Items) > 0 {
		p.Organization = slices.MaxFunc(all.Items, func(a, b client.Organization) int { return cmp.Compare(a.Accounts, b.Accounts) }).ID
	}
	return nil
}

// search finds people and goes to the best of them, unless one was chosen.
func (p *page) search(q *shell.Ask) error {
	found, err := q.API.AccountPage(q.R.Context(), client.AccountQuery{Organization: p.Organization, Search: p.Search}, client.Piece{Limit: 3 * hits})
	if err != nil {
		return err
	}
	for i := range found.Items {
		if a := found.Items[i]; a.Status != "deleted" && len(p.Hits) < hits {
			p.Hits = append(p.Hits, a)
		}
	}
	if p.At == "" && len(p.Hits) > 0 {
		p.At = p.Hits[0].ID
	}
	return nil
}

// around draws one person with their reports, below everybody above.
func (p *page) around(q *shell.Ask, offset int) error {
	ctx := q.R.Context()
	chart, err := q.API.OrgChart(ctx, client.OrgChartQuery{Root: p.At, Depth: 1, Limit: reports, Offset: offset})
	if err != nil {
		return err
	}
	path, err := q.API.OrgPath(ctx, p.At)
	if err != nil {
		return err
	}
	p.Organization, p.People, p.Cycles = chart.Organization, chart.People, chart.Cycles
	tree := grow(chart.Nodes, offset)
	if len(tree) == 0 || len(path.People) == 0 {
		return nil
	}
	here := tree[0]
	here.Here, here.Open = true, here.Reports > 0
	for _, above := range path.People[1:] {
		here = &Node{OrgPerson: above, Children: []*Node{here}, Open: true, Others: above.Reports - 1}
		p.Above = append(p.Above, above)
	}
	slices.Reverse(p.Above)
	p.Tree = []*Node{here}
	return nil
}

// top draws those nobody is above, with their reports.
func (p *page) top(q *shell.Ask, offset int) error {
	chart, err := q.API.OrgChart(q.R.Context(), client.OrgChartQuery{Organization: p.Organization, Depth: 2, Limit: atFirst, Offset: offset})
	if err != nil {
		return err
	}
	p.People, p.Cycles, p.Tree = chart.People, chart.Cycles, grow(chart.Nodes, 0)
	fold(p.Tree, reports)
	p.More, p.Next = chart.More, offset+len(p.Tree)
	return nil
}

// part is what the page's script asks for: those directly below a person, or more
// of those at the top.
func part(q *shell.Ask, at, organization string, offset int) error {
	query := client.OrgChartQuery{Organization: organization, Root: at, Depth: 1, Limit: reports, Offset: offset}
	chart, err := q.API.OrgChart(q.R.Context(), query)
	if err != nil {
		return err
	}
	tree := grow(chart.Nodes, offset)
	if at != "" && len(tree) == 1 {
		return q.Page("part", "Org chart", partPage{ID: at, Organization: chart.Organization, Nodes: tree[0].Children, More: tree[0].Others, Next: tree[0].Next})
	}
	return q.Page("part", "Org chart", partPage{ID: "top", Organization: organization, Nodes: tree, More: chart.More, Next: offset + len(tree)})
}

type partPage struct {
	ID           string
	Organization string
	Nodes        []*Node
	More, Next   int
}

// grow makes a tree of nodes that lie flat: behind each one those below. offset is
// how many of the first one's reports were passed over.
func grow(flat []client.OrgNode, offset int) (tree []*Node) {
	var line []*Node // the last one of each level
	for _, f := range flat {
		n := &Node{OrgPerson: f.OrgPerson, Others: f.More}
		level := min(f.Level, len(line))
		line = append(line[:level], n)
		if level == 0 {
			tree = append(tree, n)
			continue
		}
		above := line[level-1]
		above.Children, above.Open = append(above.Children, n), true
		above.Next = len(above.Children)
		if above.Others == 0 {
			above.Next = 0
		}
	}
	if len(tree) == 1 && offset > 0 && tree[0].Next > 0 {
		tree[0].Next += offset
	}
	return tree
}

// fold closes those further down whose reports would make the page too long.
func fold(tree []*Node, most int) {
	for _, n := range tree {
		if most -= len(n.Children); most < 0 && n.Open {
			n.Children, n.Open, n.Others, n.Next = nil, false, 0, 0
		}
	}
}
