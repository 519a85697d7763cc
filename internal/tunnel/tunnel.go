// Package tunnel carries questions to an agent in a customer's network, and what it
// answers back: one connection, which the agent dials, with a stream for each call.
// Its Hub hands a source.Source on to the engine and a source.Authenticator to the
// sign-in; its Serve hands the calls on to the agent.
//
//	agent  --dials-->  server
//	agent  <--calls--  server    preset, check, read, find, look, expires, watch, prove, identify
//
// Neither side trusts the other: whatever comes has a limit, see Limits.
package tunnel

import (
	"io"
	"net"
	"time"

	"github.com/hashicorp/yamux"
)

// Protocol is what both sides name while they connect (Sec-WebSocket-Protocol).
const Protocol = "rollcall-agent.v1"

// Path is where agents connect.
const Path = "/agent/v1/connect"

// The headers by which a node says which one it is, and how many there are.
const (
	NodeHeader  = "X-Rollcall-Node"
	NodesHeader = "X-Rollcall-Nodes"
)

// The versions of what is said on a stream which this program understands. Both
// sides tell theirs, and the newest that both understand is spoken.
const (
	oldest = 1
	newest = 1
)

// Limits bound what the other side can make us do.
type Limits struct {
	Records  int           // of one reading
	Record   int           // bytes of one record
	Items    int           // attributes, values and members of one record
	Message  int           // bytes of anything else
	Steps    int           // of one check
	Found    int           // entries that one search for somebody brings
	Accepted time.Duration // until a call is taken up; another agent is asked then
	Silence  time.Duration // until something comes of a call that was taken up
	Idle     time.Duration // until a reading gets on
	AtOnce   int           // calls at the same time
	// Keepalive is how often it is looked whether the other side is there, and Gone how
	// long it has to answer. Proxies cut connections on which nothing happens for 30 to 60
	// seconds.
	Keepalive, Gone time.Duration
}

// DefaultLimits let a directory of a few million people through, and groups of a million.
func DefaultLimits() Limits {
	return Limits{Records: 5_000_000, Record: 64 << 20, Items: 2_000_000, Message: 1 << 20, Steps: 200, Found: 100,
		Accepted: 3 * time.Second, Silence: time.Minute, Idle: 15 * time.Minute, AtOnce: 64,
		Keepalive: 10 * time.Second, Gone: 15 * time.Second}
}

// alive is how often whoever works on a call says that it still does.
const alive = 10 * time.Second

// window is how much of one stream may wait for whoever reads it.
const window = 1 << 20

// mux makes streams of a connection. Who has gone without a word is noticed.
func mux(conn net.Conn, ours bool, lim Limits) (*yamux.Session, error) {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = lim.AtOnce
	c.KeepAliveInterval = lim.Keepalive
	c.ConnectionWriteTimeout = lim.Gone
	c.MaxStreamWindowSize = window
	c.StreamOpenTimeout = 30 * time.Second
	c.StreamCloseTimeout = 10 * time.Second
	c.LogOutput = io.Discard // what matters comes as an error
	if ours {
		return yamux.Server(conn, c)
	}
	return yamux.Client(conn, c)
}
