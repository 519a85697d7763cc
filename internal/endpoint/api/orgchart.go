package api

import (
	"context"
	"net/http"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/account"
	"rollcall.dev/rollcall/internal/fault"
	"rollcall.dev/rollcall/internal/store/people"
)

const (
	// mostNodes is how many people one answer draws at the most.
	mostNodes = 2000
	// mostAbove is how long a chain of managers is told person by person.
	mostAbove = 1000
)

func (s *server) orgchart() {
	const tag = "accounts"
	register(s, operation{id: "get-orgchart", method: http.MethodGet, path: "/orgchart", tag: tag, summary: "Who reports to whom",
		description: "From the top, those who lead most people first, or from one person down. Whoever has left is not in it; a cycle of managers is cut at one place and reported. " +
			"An answer has at most 2000 people, the lowest are left out first; `more` says how many direct reports are not shown.", fails: []int{http.StatusNotFound}}, s.drawChart)
	register(s, operation{id: "get-orgchart-path", method: http.MethodGet, path: "/orgchart/path", tag: tag, summary: "The managers above a person, up to the top", fails: []int{http.StatusNotFound}}, s.climbChart)
}

// chartOf gives the chart in which an account is.
func (s *server) chartOf(ctx context.Context, text string) (*people.Chart, *account.Account, error) {
	a, err := s.account(ctx, text)
	if err != nil {
		return nil, nil, err
	}
	p, err := s.Store.People.Of(ctx, a.Organization)
	if err != nil {
		return nil, nil, err
	}
	return p.Chart(), a, nil
}

func notInChart(a *account.Account) error {
	return fault.New(fault.NotFound, "account %s (%s) is not in the org chart: its person has left", a.Text[account.Username], a.ID)
}

func (s *server) drawChart(ctx context.Context, in *struct {
	Organization string `query:"organization" doc:"Whose chart; may be left out where the key reaches one organization only, and with root."`
	Root         string `query:"root" doc:"From this account down, by ID; from the top unless given."`
	Depth        int    `query:"depth" default:"2" minimum:"0" maximum:"10" doc:"How many levels below the root, or from the top."`
	Limit        int    `query:"limit" default:"200" minimum:"1" maximum:"1000" doc:"How many direct reports of one person, or people at the top."`
	Offset       int    `query:"offset" minimum:"0" doc:"Begin behind so many of the root's direct reports, or of the people at the top."`
}) (*body[client.OrgChart], error) {
	organization, err := within(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	out := client.OrgChart{Organization: organization, Cycles: [][]client.OrgPerson{}}
	var c *people.Chart
	if in.Root != "" {
		var a *account.Account
		if c, a, err = s.chartOf(ctx, in.Root); err != nil {
			return nil, err
		}
		if organization != "" && a.Organization != organization {
			return nil, noAccount(in.Root)
		}
		root, ok := c.Below(a.ID, in.Depth, in.Offset, in.Limit, mostNodes)
		if !ok {
			return nil, notInChart(a)
		}
		out.Organization, out.Nodes = a.Organization, orgNodes(nil, []people.Node{root}, 0)
	} else {
		if organization == "" {
			return nil, fault.New(fault.Invalid, "organization is missing").WithHint("the API key reaches all of them: say whose chart it is")
		}
		p, err := s.Store.People.Of(ctx, organization)
		if err != nil {
			return nil, err
		}
		c = p.Chart()
		roots, all := c.Roots(in.Depth, in.Offset, in.Limit, mostNodes)
		out.Nodes, out.More = orgNodes([]client.OrgNode{}, roots, 0), max(0, all-in.Offset-len(roots))
	}
	out.People = c.People()
	for _, cycle := range c.Cycles() {
		if len(out.Cycles) == mostCycles {
			break
		}
		out.Cycles = append(out.Cycles, orgPeople(cycle[:min(len(cycle), mostInCycle)]))
	}
	return &body[client.OrgChart]{out}, nil
}

// Of cycles at most so many are told of, and of each at most so many people.
const mostCycles, mostInCycle = 50, 50

func (s *server) climbChart(ctx context.Context, in *struct {
	Account string `query:"account" required:"true" doc:"Whose managers, by ID." maxLength:"64"`
}) (*body[client.OrgPath], error) {
	c, a, err := s.chartOf(ctx, in.Account)
	if err != nil {
		return nil, err
	}
	path, more, cycle, ok := c.Path(a.ID, mostAbove)
	if !ok {
		return nil, notInChart(a)
	}
	return &body[client.OrgPath]{client.OrgPath{People: orgPeople(path), More: more, Cycle: cycle}}, nil
}

func orgPerson(n *people.Node) client.OrgPerson {
	out := client.OrgPerson{ID: n.ID.String(), Name: n.Name, Title: optional(n.Title), Department: optional(n.Department), Status: string(n.Status), Reports: n.Reports, Below: n.Below, Cycle: n.Cycle}
	if !n.Above.IsZero() {
		out.Manager = optional(n.Above.String())
	}
	return out
}

func orgPeople(list []people.Node) []client.OrgPerson {
	out := make([]client.OrgPerson, len(list))
	for i := range list {
		out[i] = orgPerson(&list[i])
	}
	return out
}

// orgNodes lays trees out flat: behind each person those below.
func orgNodes(out []client.OrgNode, list []people.Node, level int) []client.OrgNode {
	for i := range list {
		out = append(out, client.OrgNode{OrgPerson: orgPerson(&list[i]), Level: level, More: list[i].More})
		out = orgNodes(out, list[i].Children, level+1)
	}
	return out
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
