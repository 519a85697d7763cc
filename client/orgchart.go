package client

import (
	"context"
	"net/http"
)

// OrgPerson is one person in the org chart.
type OrgPerson struct {
	ID         string  `json:"id" format:"uuid"`
	Name       string  `json:"name" doc:"The display name, first and last name, or the username."`
	Title      *string `json:"title"`
	Department *string `json:"department"`
	Status     string  `json:"status" enum:"active,disabled"`
	Manager    *string `json:"manager" format:"uuid" doc:"Who is above them in the chart; null at the top."`
	Reports    int     `json:"reports" doc:"How many report to them directly."`
	Below      int     `json:"below" doc:"How many are below them altogether."`
	Cycle      bool    `json:"cycle" doc:"Their manager is somebody below them: the chart is cut above them."`
}

// OrgNode is one person as the org chart shows them.
type OrgNode struct {
	OrgPerson
	Level int `json:"level" doc:"0 for the root that was asked for, or the people at the top."`
	More  int `json:"more" doc:"Direct reports that are not shown."`
}

// OrgChart is who reports to whom.
type OrgChart struct {
	Organization string        `json:"organization"`
	People       int           `json:"people" doc:"Everybody in the chart of the organization."`
	Nodes        []OrgNode     `json:"nodes" nullable:"false" doc:"From the root that was asked for, or the people at the top: behind each person those below, by name, one level deeper."`
	More         int           `json:"more" doc:"People at the top that are not among the nodes."`
	Cycles       [][]OrgPerson `json:"cycles" nullable:"false" doc:"People whose managers lead back to themselves; the first is where the chart is cut."`
}

// OrgPath is a person with everybody above.
type OrgPath struct {
	People []OrgPerson `json:"people" nullable:"false" doc:"The person first, the top last."`
	More   int         `json:"more" doc:"People further up that are not told."`
	Cycle  bool        `json:"cycle" doc:"The last one has a manager who is below them."`
}

// OrgChartQuery says which part of the org chart. Zero fields take the defaults:
// two levels from the top, 200 reports of each person.
type OrgChartQuery struct {
	Organization string
	Root         string // an account, by ID
	Depth        int
	Limit        int
	Offset       int // how many of the root's reports to pass over
}

// OrgChart gives who reports to whom.
func (c *Client) OrgChart(ctx context.Context, q OrgChartQuery) (OrgChart, error) {
	var out OrgChart
	err := c.do(ctx, call{method: http.MethodGet, path: "/orgchart", query: query("organization", q.Organization, "root", q.Root, "depth", q.Depth, "limit", q.Limit, "offset", q.Offset)}, &out)
	return out, err
}

// OrgPath gives the managers above an account.
func (c *Client) OrgPath(ctx context.Context, account string) (OrgPath, error) {
	var out OrgPath
	err := c.do(ctx, call{method: http.MethodGet, path: "/orgchart/path", query: query("account", account)}, &out)
	return out, err
}

// AccountCounts are accounts by status.
type AccountCounts struct {
	Active   int `json:"active"`
	Disabled int `json:"disabled"`
	Deleted  int `json:"deleted"`
	Local    int `json:"local" doc:"Of the active and disabled ones those no connection keeps."`
}

// CountAccounts counts accounts, of one organization or connection where they are given.
func (c *Client) CountAccounts(ctx context.Context, organization, connection string) (AccountCounts, error) {
	var out AccountCounts
	err := c.do(ctx, call{method: http.MethodGet, path: "/accounts/counts", query: query("organization", organization, "connection", connection)}, &out)
	return out, err
}
