package client

import (
	"context"
	"net/http"
	"time"
)

// RunStates counts runs by how they stand.
type RunStates struct {
	Running  int `json:"running"`
	Applied  int `json:"applied"`
	Held     int `json:"held"`
	Failed   int `json:"failed"`
	Rejected int `json:"rejected"`
	Reverted int `json:"reverted"`
}

// RunChanges counts what runs wrote: accounts at the top, memberships as add and
// remove, groups apart.
type RunChanges struct {
	Counts
	Add    int    `json:"add" doc:"Memberships."`
	Remove int    `json:"remove" doc:"Memberships."`
	Groups Counts `json:"groups"`
}

// RunSlot is the runs that began within one hour or one day.
type RunSlot struct {
	At        time.Time  `json:"at" doc:"The beginning of the hour or day, in UTC."`
	Runs      RunStates  `json:"runs"`
	Changes   RunChanges `json:"changes" doc:"What the runs wrote that were applied, also where that was undone since."`
	LongestMS int64      `json:"longest_ms" doc:"Of the runs that have ended; 0 where none has."`
	MedianMS  int64      `json:"median_ms"`
}

// RunStatistics is a history of runs, as a chart wants it.
type RunStatistics struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	By    string    `json:"by" enum:"hour,day"`
	Slots []RunSlot `json:"slots" nullable:"false" doc:"In the order of time; hours and days without runs are left out."`
}

// StatisticsQuery says which runs to count. Zero fields do not narrow; the last
// seven days are meant where no time is given.
type StatisticsQuery struct {
	Organization string
	Connection   string
	Since, Until time.Time
	By           string // hour or day, the latter unless given
}

// Statistics counts runs by hour or by day.
func (c *Client) Statistics(ctx context.Context, q StatisticsQuery) (RunStatistics, error) {
	var out RunStatistics
	err := c.do(ctx, call{method: http.MethodGet, path: "/runs/statistics", query: query("organization", q.Organization, "connection", q.Connection,
		"since", moment(q.Since), "until", moment(q.Until), "by", q.By)}, &out)
	return out, err
}
