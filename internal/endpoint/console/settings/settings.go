// Package settings is the part of the console that says how the installation is set
// up. It changes nothing but the colours: the rest stands in rollcall.yaml.
package settings

import (
	"embed"
	"strconv"
	"time"

	"rollcall.dev/rollcall/client"
	"rollcall.dev/rollcall/internal/endpoint/console/shell"
)

//go:embed *.html
var templates embed.FS

// Section is this part of the console.
func Section() shell.Section {
	return shell.Section{Name: "settings", Templates: templates, Routes: []shell.Route{{Pattern: "GET /settings", Handle: show}}}
}

type page struct {
	Theme string
	// Installation is for those who see all of it; nil for others.
	Installation *client.Installation
	Nodes        []node
	Kept         []kept
	Idle, Max    string
}

type node struct {
	client.Node
	State string
}

// kept is how long something is, and the key that says so.
type kept struct{ What, Key, Long string }

func show(q *shell.Ask) error {
	p := page{Theme: q.Remembered("theme")}
	if !q.Me.All() {
		return q.Page("settings", "Settings", p)
	}
	found, err := q.API.Installation(q.R.Context())
	if err != nil {
		return err
	}
	p.Installation = &found
	for _, n := range found.Nodes {
		p.Nodes = append(p.Nodes, node{n, stateOf(n, q.Now())})
	}
	r := found.Retention
	p.Kept = []kept{{"Rows of plans", "retention.plans", long(r.Plans)}, {"Runs", "retention.runs", long(r.Runs)}, {"Events", "retention.events", long(r.Events)}, {"Deliveries", "retention.deliveries", long(r.Deliveries)}}
	p.Idle, p.Max = long(&found.SessionIdle), long(&found.SessionMax)
	return q.Page("settings", "Settings", p)
}

// silent is after how long without a sign of life a node is told to be so.
const silent = time.Minute

func stateOf(n client.Node, now time.Time) string {
	switch {
	case now.Sub(n.SeenAt) > silent:
		return "silent"
	case n.Draining:
		return "draining"
	}
	return "on"
}

// long is a number of seconds in the largest unit that it is a whole number of.
func long(seconds *int64) string {
	if seconds == nil {
		return "for good"
	}
	for _, unit := range []struct {
		n         int64
		one, many string
	}{{86400, "day", "days"}, {3600, "hour", "hours"}, {60, "minute", "minutes"}} {
		if *seconds >= unit.n && *seconds%unit.n == 0 {
			return shell.Count(*seconds/unit.n, unit.one, unit.many)
		}
	}
	return strconv.FormatInt(*seconds, 10) + " s"
}
