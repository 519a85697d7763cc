package client

import (
	"context"
	"time"
)

// Installation is what an installation is and how it is set up. Nothing in it is
// secret.
type Installation struct {
	Version       string    `json:"version"`
	PublicURL     string    `json:"public_url"`
	Database      string    `json:"database" enum:"sqlite,postgresql"`
	Configuration *string   `json:"configuration" doc:"The file that was read; null where there was none."`
	Workers       int       `json:"workers" doc:"How many runs a node carries out at a time."`
	Retention     Retention `json:"retention"`
	SessionIdle   int64     `json:"session_idle" doc:"Seconds after which a session of the console ends that is not used."`
	SessionMax    int64     `json:"session_max" doc:"Seconds after which any session of the console ends."`
	Notifications []string  `json:"notifications" nullable:"false" doc:"The ways people are told of what needs them: mail, webhook."`
	Tracing       bool      `json:"tracing"`
	Nodes         []Node    `json:"nodes" nullable:"false" doc:"The processes that serve it, the oldest first."`
}

// Retention is how long what happened is kept, in seconds; null keeps it for good.
type Retention struct {
	Plans      *int64 `json:"plans"`
	Runs       *int64 `json:"runs"`
	Events     *int64 `json:"events"`
	Deliveries *int64 `json:"deliveries"`
}

// Node is one process that serves an installation.
type Node struct {
	ID        string    `json:"id"`
	Host      string    `json:"host"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	SeenAt    time.Time `json:"seen_at" doc:"Its last sign of life."`
	Draining  bool      `json:"draining" doc:"It takes up nothing new."`
}

// Installation asks what the installation is. It is for operators, and for keys
// that read everything.
func (c *Client) Installation(ctx context.Context) (Installation, error) {
	return Get[Installation](ctx, c, "/installation", nil)
}
